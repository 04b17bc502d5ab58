//! Requests over HTTPS, before anything is known of who sends them.

use einhorn_ingress::doh::{Ask, GET_OCTETS_MAX, PATH, Place, Unserved, parse};

/// Lines: method, path with its query, and perhaps the type of the body.
pub(crate) fn request(octets: &[u8]) {
    let mut lines = octets.splitn(3, |octet| *octet == b'\n');
    let (Some(method), Some(target)) = (lines.next(), lines.next()) else { return };
    // What is no text never gets past HTTP itself.
    let (Ok(method), Ok(target)) = (str::from_utf8(method), str::from_utf8(target)) else { return };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let content_type = lines.next();
    match parse(method, path, query, content_type) {
        Ok(ask) => served(method, path, &ask),
        Err(refused) => {
            let (status, reason) = refused.status();
            assert!((400..600).contains(&status) && reason.ends_with('\n'));
            assert!(path != PATH || refused != Unserved::NoSuchPath, "DNS is there");
        }
    }
}

/// What is served says where the message is, and at most one secret, which is the rest of the path.
fn served(method: &str, path: &str, ask: &Ask<'_>) {
    let rest = path.strip_prefix(PATH);
    assert_eq!(rest, Some(&*ask.token.map_or(String::new(), |token| format!("/{token}"))));
    match (&ask.message, method) {
        (Place::Here(message), "GET") => assert!(message.len() <= GET_OCTETS_MAX + 2),
        (Place::Body, "POST") => {}
        (message, method) => panic!("{method} has its message {message:?}"),
    }
    if let Some(token) = ask.token {
        let shown = format!("{:?}", Ask { token: Some(token), message: Place::Body });
        let without = format!("{:?}", Ask { token: Some("x"), message: Place::Body });
        assert_eq!(shown, without, "the secret is printed");
    }
}
