//! Requests over HTTPS, a line for each part.

use super::{Anyhow, write};

const TARGET: &str = "https_request";
/// RFC 8484 §4.1.1: www.example.com, A.
const EXAMPLE: &str = "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB";

pub(super) fn all() -> Anyhow {
    for (name, request) in [
        ("get", format!("GET\n/dns-query?dns={EXAMPLE}")),
        ("get-more", format!("GET\n/dns-query?name=x&dns={EXAMPLE}&ct=y")),
        ("get-token", format!("GET\n/dns-query/s3cret_-?dns={EXAMPLE}")),
        ("post", "POST\n/dns-query\napplication/dns-message".to_owned()),
        ("post-token", "POST\n/dns-query/x\nApplication/DNS-Message ; charset=y".to_owned()),
        ("delete", "DELETE\n/dns-query\n".to_owned()),
        ("elsewhere", "GET\n/dns-queries/%20?dns=AAAA".to_owned()),
        ("twice", "GET\n/dns-query?dns=AAAA&dns=AA==".to_owned()),
    ] {
        write(TARGET, name, request.as_bytes())?;
    }
    Ok(())
}
