//! What an HTTP request asks of a DNS server (RFC 8484 §4.1): from its first line and one header
//! to a DNS message, or to where that stands, or to the status that says why not.
//!
//! Pure: it reads no body and knows no connection.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// The path of DNS.
pub const PATH: &str = "/dns-query";
/// The path as clients are told it, with its variable (RFC 8484 §3).
pub const TEMPLATE: &str = "/dns-query{?dns}";
/// The media type of DNS messages (RFC 8484 §6).
pub const MEDIA_TYPE: &str = "application/dns-message";
/// The methods that are served.
pub(super) const METHODS: &str = "GET, POST";
/// Octets of a secret in a path.
const TOKEN_OCTETS_MAX: usize = 128;
/// Octets of the longest message in a path; longer ones are sent with POST. No question needs
/// more than 600, padding included.
pub const GET_OCTETS_MAX: usize = 4_096;

/// What is asked for.
#[derive(PartialEq, Eq)]
pub struct Ask<'a> {
    /// The secret at the end of the path: `/dns-query/TOKEN`.
    pub token: Option<&'a str>,
    /// Where the message is.
    pub message: Place,
}

/// Where a request has its DNS message.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// Here: it was in the path.
    Here(Vec<u8>),
    /// In the body.
    Body,
}

impl fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.map(|_| "secret");
        f.debug_struct("Ask").field("token", &token).field("message", &self.message).finish()
    }
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unserved {
    /// 400: there is no DNS message in it.
    NoMessage,
    /// 404: nothing is at this path.
    NoSuchPath,
    /// 405: neither GET nor POST.
    Method,
    /// 408: the body has not come in time.
    Late,
    /// 413: the body is longer than any DNS message.
    LongBody,
    /// 414: the message is too long for a path.
    LongPath,
    /// 415: the body is something else.
    MediaType,
    /// 503: the server is stopping.
    Stopping,
}

impl Unserved {
    /// The status code, with what to do about it.
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Unserved::NoMessage => (400, "no DNS message: send ?dns= with base64url, unpadded\n"),
            Unserved::NoSuchPath => (404, "DNS is at /dns-query\n"),
            Unserved::Method => (405, "use GET or POST\n"),
            Unserved::Late => (408, "the body took too long\n"),
            Unserved::LongBody => (413, "a DNS message has at most 65535 octets\n"),
            Unserved::LongPath => (414, "send long messages with POST\n"),
            Unserved::MediaType => (415, "send application/dns-message\n"),
            Unserved::Stopping => (503, "the server is stopping\n"),
        }
    }
}

/// Reads a request.
///
/// # Errors
/// [`Unserved`].
pub fn parse<'a>(
    method: &str,
    path: &'a str,
    query: Option<&str>,
    content_type: Option<&[u8]>,
) -> Result<Ask<'a>, Unserved> {
    let token = match path.strip_prefix(PATH).ok_or(Unserved::NoSuchPath)? {
        "" => None,
        rest => Some(rest.strip_prefix('/').filter(is_token).ok_or(Unserved::NoSuchPath)?),
    };
    let message = match method {
        "GET" => Place::Here(message_in(query.unwrap_or_default())?),
        "POST" if content_type.is_some_and(is_dns_message) => Place::Body,
        "POST" => return Err(Unserved::MediaType),
        _ => return Err(Unserved::Method),
    };
    Ok(Ask { token, message })
}

/// A secret is one part of a path, and needs no escapes there.
fn is_token(text: &&str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    (1..=TOKEN_OCTETS_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// The one value of `dns`, decoded (RFC 8484 §6).
fn message_in(query: &str) -> Result<Vec<u8>, Unserved> {
    let mut values = query.split('&').filter_map(|pair| pair.strip_prefix("dns="));
    let (Some(text), None) = (values.next(), values.next()) else {
        return Err(Unserved::NoMessage);
    };
    if text.len() > GET_OCTETS_MAX.div_ceil(3) * 4 {
        return Err(Unserved::LongPath);
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unserved::NoMessage)
}

/// Whether it is our media type, whatever its parameters (RFC 9110 §8.3.1).
fn is_dns_message(content_type: &[u8]) -> bool {
    let kind = content_type.split(|octet| *octet == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn get(path: &str, query: &str) -> Result<(Option<String>, Vec<u8>), Unserved> {
        let ask = parse("GET", path, Some(query), None)?;
        match ask.message {
            Place::Here(message) => Ok((ask.token.map(str::to_owned), message)),
            Place::Body => panic!("GET has no body"),
        }
    }

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 8484 §4.1.1: www.example.com, A.
        let asked = get("/dns-query", "dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB");
        let (token, message) = asked.expect("a message");
        assert_eq!((token, message.len(), &message[12..16]), (None, 33, &b"\x03www"[..]));
        let media_type = Some(MEDIA_TYPE.as_bytes());
        let posted = parse("POST", "/dns-query", None, media_type).expect("a place");
        assert_eq!(posted, Ask { token: None, message: Place::Body });
    }

    #[test]
    fn what_is_not_served_has_its_status() {
        let long = format!("dns={}", "A".repeat(GET_OCTETS_MAX * 2));
        for (method, path, query, content_type, status) in [
            ("GET", "/", "dns=AAAA", None, 404),
            ("GET", "/dns-queries", "dns=AAAA", None, 404),
            ("GET", "/dns-query/", "dns=AAAA", None, 404),
            ("GET", "/dns-query/a/b", "dns=AAAA", None, 404),
            ("GET", "/dns-query/a%20b", "dns=AAAA", None, 404),
            ("GET", "//dns-query", "dns=AAAA", None, 404),
            ("PUT", "/dns-query", "dns=AAAA", Some(MEDIA_TYPE), 405),
            ("HEAD", "/dns-query", "dns=AAAA", None, 405),
            ("PUT", "/elsewhere", "", None, 404),
            ("GET", "/dns-query", "", None, 400),
            ("GET", "/dns-query", "name=example.com", None, 400),
            ("GET", "/dns-query", "dns=AAAA&dns=AAAA", None, 400),
            ("GET", "/dns-query", "dns=A", None, 400),
            ("GET", "/dns-query", "dns=AAAA====", None, 400),
            ("GET", "/dns-query", "dns=AA+A", None, 400),
            ("GET", "/dns-query", &long, None, 414),
            ("POST", "/dns-query", "", None, 415),
            ("POST", "/dns-query", "", Some("application/json"), 415),
            ("POST", "/dns-query", "", Some("application/dns-messages"), 415),
        ] {
            let content_type = content_type.map(str::as_bytes);
            let refused = parse(method, path, Some(query), content_type).expect_err("refused");
            assert_eq!(refused.status().0, status, "{method} {path}?{query}");
        }
    }

    #[test]
    fn a_token_is_handed_on_and_never_printed() {
        let longest = "x".repeat(TOKEN_OCTETS_MAX);
        for token in ["s3cret_-", &longest] {
            let path = format!("/dns-query/{token}");
            let ask = parse("GET", &path, Some("dns=AAAA"), None).expect("a message");
            assert_eq!(ask.token, Some(token));
            assert!(!format!("{ask:?}").contains(token));
        }
        let too_long = format!("/dns-query/{longest}x");
        assert_eq!(get(&too_long, "dns=AAAA"), Err(Unserved::NoSuchPath));
        assert_eq!(get("/dns-query", "x=1&dns=AAAA").map(|asked| asked.1), Ok(vec![0; 3]));
        let parameters = Some(&b"Application/DNS-Message ; charset=x"[..]);
        assert!(parse("POST", "/dns-query", None, parameters).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(octets in proptest::collection::vec(any::<u8>(), 0..700)) {
            let query = format!("dns={}", URL_SAFE_NO_PAD.encode(&octets));
            prop_assert_eq!(get("/dns-query", &query), Ok((None, octets)));
        }
    }
}
