//! What a dyndns2 client asks: from the query of its URL, and a few headers, to typed values. Pure.
//!
//! Nobody ever wrote this protocol down; it is what ddclient, inadyn and routers send, and what the
//! return codes of its first server meant.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use subtle::ConstantTimeEq;

/// Hosts in one request.
pub const HOSTS_MAX: usize = 20;
/// Octets of the longest query that is read.
const QUERY_OCTETS_MAX: usize = 8_192;
/// Octets of the longest header with a name and password.
const AUTHORIZATION_OCTETS_MAX: usize = 1_024;
/// Addresses in one parameter.
const ADDRESSES_MAX: usize = 8;
/// Addresses of a forwarded header that are looked at.
const FORWARDED_MAX: usize = 32;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The hosts, as written.
    pub hosts: Vec<String>,
    /// What they shall have.
    pub wanted: Wanted,
}

/// What hosts shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// No address.
    Offline,
    /// The address that the request comes from.
    Source,
    /// These; a family that is not named stays as it is.
    Given {
        /// The IPv4 address.
        v4: Option<Ipv4Addr>,
        /// The IPv6 address.
        v6: Option<Ipv6Addr>,
        /// The network that the host is in now; it keeps the rest of its address.
        prefix: Option<LanPrefix>,
    },
}

/// A network of IPv6 hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanPrefix {
    network: u128,
    bits: u8,
}

impl LanPrefix {
    /// `host` with this network in front.
    pub fn renumber(self, host: Ipv6Addr) -> Ipv6Addr {
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        Ipv6Addr::from_bits(self.network & mask | host.to_bits() & !mask)
    }

    fn parse(text: &str) -> Option<LanPrefix> {
        let (network, bits) = text.split_once('/')?;
        let network: Ipv6Addr = network.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| (1..=128).contains(bits))?;
        Some(LanPrefix { network: network.to_bits(), bits })
    }
}

/// Why nothing of a request is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// No host is named, or the query cannot be read.
    NoHost,
    /// Too many hosts.
    ManyHosts,
    /// An address is none, or there are two for one place.
    Address,
}

/// Reads the query of a URL.
///
/// # Errors
/// [`Wrong`].
pub fn parse(query: &str) -> Result<Asked, Wrong> {
    if query.len() > QUERY_OCTETS_MAX {
        return Err(Wrong::NoHost);
    }
    let (mut hosts, mut addresses) = (Vec::new(), Addresses::default());
    let mut is_offline = false;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(key), Some(value)) = (decoded(key), decoded(value)) else {
            return Err(Wrong::NoHost);
        };
        let listed = || value.split(',').map(str::trim).filter(|part| !part.is_empty());
        match key.to_ascii_lowercase().as_str() {
            "hostname" | "host" => hosts.extend(listed().map(str::to_owned)),
            "myip" | "myipv4" | "myipv6" | "ip6lanprefix" => {
                addresses.take(listed().take(ADDRESSES_MAX + 1))?;
            }
            "offline" => is_offline |= value.eq_ignore_ascii_case("yes"),
            // `system`, `wildcard`, `mx` and `backmx` mean nothing here, as nearly everywhere.
            _ => {}
        }
    }
    let Addresses { v4, v6, prefix } = addresses;
    let wanted = match (is_offline, v4, v6, prefix) {
        (true, ..) => Wanted::Offline,
        (_, None, None, None) => Wanted::Source,
        (_, v4, v6, prefix) => Wanted::Given { v4, v6, prefix },
    };
    match hosts.len() {
        0 => Err(Wrong::NoHost),
        1..=HOSTS_MAX => Ok(Asked { hosts, wanted }),
        _ => Err(Wrong::ManyHosts),
    }
}

/// The addresses of all parameters: clients write either family into any of them.
#[derive(Default)]
struct Addresses {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    prefix: Option<LanPrefix>,
}

impl Addresses {
    fn take<'a>(&mut self, parts: impl Iterator<Item = &'a str>) -> Result<(), Wrong> {
        for part in parts {
            let is_new = match part.parse::<IpAddr>().map(|address| address.to_canonical()) {
                Ok(IpAddr::V4(address)) => self.v4.replace(address).is_none_or(|it| it == address),
                Ok(IpAddr::V6(address)) => self.v6.replace(address).is_none_or(|it| it == address),
                Err(_) => {
                    let prefix = LanPrefix::parse(part).ok_or(Wrong::Address)?;
                    self.prefix.replace(prefix).is_none_or(|it| it == prefix)
                }
            };
            if !is_new {
                return Err(Wrong::Address);
            }
        }
        Ok(())
    }
}

/// A part of a query without its escapes (RFC 3986 §2.1, and `+` for a space); `None` if they are
/// broken or hide no text.
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        octets.push(match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                rest = tail;
                let digit = |octet: &u8| char::from(*octet).to_digit(16);
                (digit(high)? << 4 | digit(low)?) as u8
            }
            (b'%', _) => return None,
            (b'+', _) => b' ',
            (other, _) => *other,
        });
    }
    String::from_utf8(octets).ok()
}

/// A name and password (RFC 7617). Printing it shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who it says it is.
    pub user: String,
    password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?})", self.user)
    }
}

impl Credentials {
    /// Reads an Authorization header.
    pub fn parse(header: &[u8]) -> Option<Credentials> {
        if header.len() > AUTHORIZATION_OCTETS_MAX {
            return None;
        }
        let (scheme, value) = std::str::from_utf8(header).ok()?.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Credentials { user: user.to_owned(), password: password.to_owned() })
    }

    /// Whether the password is this one. How long that takes says nothing about where they differ.
    pub fn has_password(&self, password: &str) -> bool {
        self.password.as_bytes().ct_eq(password.as_bytes()).into()
    }
}

/// Who asks, where `peer` may be a proxy: the newest address of the X-Forwarded-For headers that no
/// listed proxy has. Only what a listed proxy has added is believed.
pub fn client_address<'h>(
    peer: IpAddr,
    headers: impl DoubleEndedIterator<Item = &'h str>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = peer.to_canonical();
    let said = headers.rev().flat_map(|header| header.rsplit(','));
    for text in said.take(FORWARDED_MAX) {
        if !is_proxy(client) {
            break;
        }
        let Ok(address) = text.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(v4: Option<&str>, v6: Option<&str>, prefix: Option<&str>) -> Wanted {
        Wanted::Given {
            v4: v4.map(|it| it.parse().expect("an address")),
            v6: v6.map(|it| it.parse().expect("an address")),
            prefix: prefix.map(|it| LanPrefix::parse(it).expect("a prefix")),
        }
    }

    #[test]
    fn queries_of_real_clients() {
        for (query, wanted) in [
            // ddclient
            (
                "system=dyndns&hostname=a.example&myip=192.0.2.1",
                given(Some("192.0.2.1"), None, None),
            ),
            // inadyn
            ("hostname=a.example&myip=2001%3Adb8%3A%3A1", given(None, Some("2001:db8::1"), None)),
            // A router with everything, and one that knows nothing.
            (
                "hostname=a.example&myip=192.0.2.1&myipv6=2001:db8::1&ip6lanprefix=2001:db8:7::/64",
                given(Some("192.0.2.1"), Some("2001:db8::1"), Some("2001:db8:7::/64")),
            ),
            (
                "myip=192.0.2.1,2001:db8::1&HostName=a.example",
                given(Some("192.0.2.1"), Some("2001:db8::1"), None),
            ),
            ("hostname=a.example&myip=&mx=x&wildcard=NOCHG", Wanted::Source),
            ("hostname=a.example", Wanted::Source),
            ("hostname=a.example&offline=YES&myip=192.0.2.1", Wanted::Offline),
            ("hostname=a.example&offline=NOCHG", Wanted::Source),
        ] {
            let asked = parse(query).expect(query);
            assert_eq!(
                (asked.hosts, asked.wanted),
                (vec!["a.example".to_owned()], wanted),
                "{query}"
            );
        }
        let hosts = |query: &str| parse(query).map(|asked| asked.hosts.len());
        assert_eq!(hosts("hostname=a.x,b.x,&hostname=c.x"), Ok(3));
        assert_eq!(hosts(&format!("hostname={}", "a.x,".repeat(HOSTS_MAX))), Ok(HOSTS_MAX));
        assert_eq!(hosts(&format!("hostname={}", "a.x,".repeat(21))), Err(Wrong::ManyHosts));
        assert_eq!(hosts("myip=192.0.2.1"), Err(Wrong::NoHost));
        assert_eq!(hosts("hostname=%zz"), Err(Wrong::NoHost));
        for bad in ["x", "192.0.2.1,192.0.2.2", "192.0.2.256", "2001:db8::/0", "192.0.2.0/24"] {
            assert_eq!(hosts(&format!("hostname=a.x&myip={bad}")), Err(Wrong::Address), "{bad}");
        }
    }

    #[test]
    fn a_new_prefix_keeps_the_host() {
        let host = "2001:db8:1:2:3::4".parse().expect("an address");
        let renumbered = |prefix: &str| LanPrefix::parse(prefix).expect("a prefix").renumber(host);
        assert_eq!(renumbered("2001:db8:f:e::/64").to_string(), "2001:db8:f:e:3::4");
        assert_eq!(renumbered("2001:db8:f00::/40").to_string(), "2001:db8:f01:2:3::4");
        assert_eq!(renumbered("fd00::1/128").to_string(), "fd00::1");
    }

    #[test]
    fn names_and_passwords_are_read_and_not_shown() {
        let header = format!("Basic {}", STANDARD.encode("anna.example:pass:word"));
        let shown = Credentials::parse(header.as_bytes()).expect("credentials");
        assert!(shown.has_password("pass:word") && !shown.has_password("pass:wor"));
        assert_eq!(format!("{shown:?}"), "Credentials(\"anna.example\")");
        for bad in ["", "Basic", "Basic !", "Bearer YTpi", "Basic YWI="] {
            assert_eq!(Credentials::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn only_listed_proxies_are_believed() {
        let is_proxy = |address: IpAddr| address.to_string().starts_with("10.");
        let client = |peer: &str, headers: &[&str]| {
            let peer = peer.parse().expect("an address");
            client_address(peer, headers.iter().copied(), is_proxy).to_string()
        };
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        // What the client itself has written is in front, and does not count.
        assert_eq!(client("10.0.0.1", &["203.0.113.9, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["203.0.113.9", "198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
    }
}
