//! DNS cookies (RFC 7873) with the server cookie that all servers of one address can share
//! (RFC 9018): made from a secret, the client's address and the time, so that nothing is kept.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Octets of a client cookie (RFC 7873 §4.1).
pub const CLIENT_COOKIE_OCTETS: usize = 8;
/// Octets of the server cookies made here (RFC 9018 §4).
pub const SERVER_COOKIE_OCTETS: usize = 16;
/// Octets of a server cookie of anybody's (RFC 7873 §4.2).
const SERVER_COOKIE_OCTETS_MAX: usize = 32;
/// Octets of a secret, which is a SipHash key.
pub const SECRET_OCTETS: usize = 16;
/// The only version of server cookies (RFC 9018 §4.1), and the reserved octets behind it.
const VERSION: [u8; 4] = [1, 0, 0, 0];
/// Seconds for which a server cookie is good (RFC 9018 §4.3).
const AGE_SECONDS_MAX: u32 = 3600;
/// Seconds that a server cookie may lie in the future: servers' clocks differ (RFC 9018 §4.3).
const AHEAD_SECONDS_MAX: u32 = 300;
/// Seconds after which a client gets a new one (RFC 9018 §4.3).
const RENEW_SECONDS: u32 = 1800;

/// A COOKIE option as a request brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    client: [u8; CLIENT_COOKIE_OCTETS],
    server: [u8; SERVER_COOKIE_OCTETS_MAX],
    server_octets: u8,
}

impl Cookie {
    /// The option's data; `None` for a length that no cookie has (RFC 7873 §5.2.2).
    pub fn parse(data: &[u8]) -> Option<Cookie> {
        let (client, given) = data.split_first_chunk::<CLIENT_COOKIE_OCTETS>()?;
        if !matches!(given.len(), 0 | 8..=SERVER_COOKIE_OCTETS_MAX) {
            return None;
        }
        let mut server = [0; SERVER_COOKIE_OCTETS_MAX];
        server[..given.len()].copy_from_slice(given);
        Some(Cookie { client: *client, server, server_octets: given.len() as u8 })
    }

    /// Whether a server cookie is with it, good or bad.
    pub fn has_server_part(&self) -> bool {
        self.server_octets > 0
    }

    fn server(&self) -> &[u8] {
        &self.server[..usize::from(self.server_octets)]
    }

    /// The data of the COOKIE option to answer with, and whether the client proved that it is at
    /// `address`: it had this from us before. The first of `secrets` makes new cookies; all of
    /// them are accepted, so that they can be replaced one at a time (RFC 9018 §5). `None`
    /// without secrets: cookies are off.
    pub fn answer(
        &self,
        secrets: &[Secret],
        address: IpAddr,
        now_seconds: u64,
    ) -> Option<(CookieData, bool)> {
        let current = secrets.first()?;
        // 32 bits of time that wrap around (RFC 9018 §4.3).
        let now = now_seconds as u32;
        let mut data = [0; CLIENT_COOKIE_OCTETS + SERVER_COOKIE_OCTETS];
        data[..CLIENT_COOKIE_OCTETS].copy_from_slice(&self.client);
        let known = self.known(secrets, address, now);
        match known {
            Some(Known::Fresh) => data[CLIENT_COOKIE_OCTETS..].copy_from_slice(self.server()),
            Some(Known::Due) | None => data[CLIENT_COOKIE_OCTETS..]
                .copy_from_slice(&current.server_cookie(&self.client, now, address)),
        }
        Some((CookieData(data), known.is_some()))
    }

    /// Whether one of `secrets` made the server cookie, and not too long ago.
    fn known(&self, secrets: &[Secret], address: IpAddr, now: u32) -> Option<Known> {
        let given = self.server();
        let made = u32::from_be_bytes(*given.get(4..)?.first_chunk()?);
        let age = now.wrapping_sub(made);
        let ahead = made.wrapping_sub(now);
        if given.len() != SERVER_COOKIE_OCTETS
            || (age > AGE_SECONDS_MAX && ahead > AHEAD_SECONDS_MAX)
        {
            return None;
        }
        let is_ours = |secret: &Secret| {
            bool::from(secret.server_cookie(&self.client, made, address)[..].ct_eq(given))
        };
        let by = secrets.iter().position(is_ours)?;
        let is_young = age <= RENEW_SECONDS || ahead <= AHEAD_SECONDS_MAX;
        Some(if by == 0 && is_young { Known::Fresh } else { Known::Due })
    }
}

/// A server cookie that is ours.
#[derive(Clone, Copy)]
enum Known {
    /// It goes back as it is.
    Fresh,
    /// It is old, or made with a secret that is being replaced.
    Due,
}

/// The data of a COOKIE option in a response: the client's cookie and ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieData([u8; CLIENT_COOKIE_OCTETS + SERVER_COOKIE_OCTETS]);

impl CookieData {
    /// The option's data.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// What server cookies are made with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; SECRET_OCTETS]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The server cookie of RFC 9018 §4.
    fn server_cookie(
        &self,
        client: &[u8; CLIENT_COOKIE_OCTETS],
        made: u32,
        address: IpAddr,
    ) -> [u8; SERVER_COOKIE_OCTETS] {
        let mut hash = SipHasher24::new_with_key(&self.0);
        hash.write(client);
        hash.write(&VERSION);
        hash.write(&made.to_be_bytes());
        match address {
            IpAddr::V4(address) => hash.write(&address.octets()),
            IpAddr::V6(address) => hash.write(&address.octets()),
        }
        let mut cookie = [0; SERVER_COOKIE_OCTETS];
        cookie[..4].copy_from_slice(&VERSION);
        cookie[4..8].copy_from_slice(&made.to_be_bytes());
        cookie[8..].copy_from_slice(&hash.finish().to_le_bytes());
        cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex"))
            .collect()
    }

    fn secret(text: &str) -> Secret {
        Secret(octets(text).try_into().expect("16 octets"))
    }

    /// The test vectors of RFC 9018 appendix A.
    #[test]
    fn the_published_vectors_hold() {
        let old = secret("e5e973e5a6b2a43f48e7dc849e37bfcf");
        let v4 = "198.51.100.100".parse().expect("address");
        let first = Cookie::parse(&octets("2464c4abcf10c957")).expect("a cookie");
        let (data, known) =
            first.answer(std::slice::from_ref(&old), v4, 1_559_731_985).expect("on");
        assert_eq!(data.as_slice(), octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        assert!(!known);
        // A.2: the same cookie comes back, now due for renewal.
        let again = Cookie::parse(data.as_slice()).expect("a cookie");
        let (renewed, known) =
            again.answer(std::slice::from_ref(&old), v4, 1_559_734_385).expect("on");
        assert_eq!(renewed.as_slice(), octets("2464c4abcf10c957010000005cf7a871d4a564a1442aca77"));
        assert!(known);
        // A.4: another secret and IPv6.
        let new = secret("445536bcd2513298075a5d379663c962");
        let old = secret("dd3bdf9344b678b185a6f5cb60fca715");
        let v6 = "2001:db8:220:1:59de:d0f4:8769:82b8".parse().expect("address");
        let cookie = octets("22681ab97d52c298010000005cf7c57926556bd0934c72f8");
        let cookie = Cookie::parse(&cookie).expect("a cookie");
        let (renewed, known) = cookie.answer(&[new, old], v6, 1_559_741_961).expect("on");
        assert_eq!(renewed.as_slice(), octets("22681ab97d52c298010000005cf7c609a6bb79d16625507a"));
        assert!(known);
    }

    #[test]
    fn only_the_right_cookie_at_the_right_time_from_the_right_address_counts() {
        let secrets = [Secret([7; 16])];
        let address = IpAddr::from([192, 0, 2, 1]);
        let fresh = Cookie::parse(&[1; 8]).expect("a cookie");
        let at = 1_700_000_000;
        let made = fresh.answer(&secrets, address, at).expect("on").0;
        let known = |data: &[u8], address, now| {
            Cookie::parse(data).expect("a cookie").answer(&secrets, address, now).expect("on").1
        };
        assert!(known(made.as_slice(), address, at + 3600));
        assert!(!known(made.as_slice(), address, at + 3601));
        assert!(known(made.as_slice(), address, at - 300));
        assert!(!known(made.as_slice(), address, at - 301));
        assert!(!known(made.as_slice(), IpAddr::from([192, 0, 2, 2]), at));
        for at_octet in 0..24 {
            let mut forged = made.as_slice().to_vec();
            forged[at_octet] ^= 1;
            assert!(!known(&forged, address, at), "octet {at_octet} counts");
        }
        assert!(!known(&made.as_slice()[..16], address, at));
        assert_eq!(fresh.answer(&[], address, at), None);
    }

    #[test]
    fn lengths_that_no_cookie_has_are_refused() {
        for length in 0..60 {
            let good = length == 8 || (16..=40).contains(&length);
            assert_eq!(Cookie::parse(&vec![0; length]).is_some(), good, "{length}");
        }
    }
}
