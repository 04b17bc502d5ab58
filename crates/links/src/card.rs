//! Cards: what a site shows to others, so that they know it. A small TOML text without secrets,
//! which people hand on by whatever way they trust.
//!
//! Pure: text in, values out. Whether a card is believed is decided by whoever adds it.

use crate::Peer;
use crate::identity::{self, Fingerprint};
use crate::preface::is_site_name;
use einhorn_core::ledger::{Algorithm, VerifierKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Octets of the longest card.
pub const CARD_OCTETS_MAX: usize = 16 << 10;
/// Most addresses of a card.
pub const ADDRESSES_MAX: usize = 16;
/// Most certificates of a card: one, and the next while it is being changed.
pub const CERTIFICATES_MAX: usize = 4;
/// Letters of the longest host name, RFC 1035 section 2.3.4 as text.
const HOST_OCTETS_MAX: usize = 253;

/// What others need to know of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Where it takes connections of other sites, each `host:port`; none if only it dials.
    pub addresses: Vec<String>,
    /// Verifies the checkpoints of its log.
    pub ledger: VerifierKey,
    /// Verifies its cosignatures under the checkpoints of others.
    pub mirror: VerifierKey,
    /// The certificates it may show.
    pub certificates: Vec<Fingerprint>,
}

/// Text that is not a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// It is longer than [`CARD_OCTETS_MAX`].
    #[error("longer than {CARD_OCTETS_MAX} octets, which no card is")]
    TooLong,
    /// It is not TOML with the keys of a card.
    #[error("not a card: {0}")]
    Syntax(String),
    /// A value is wrong.
    #[error("{key}: {reason}")]
    Value {
        /// Which one.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCard {
    name: String,
    addresses: Vec<String>,
    ledger: String,
    mirror: String,
    certificates: Vec<String>,
}

impl Card {
    /// Reads and checks a card.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn parse(text: &str) -> Result<Card, CardError> {
        if text.len() > CARD_OCTETS_MAX {
            return Err(CardError::TooLong);
        }
        let raw: RawCard = toml::from_str(text)
            .map_err(|error| CardError::Syntax(error.to_string().trim_end().to_owned()))?;
        let wrong = |key, reason: String| CardError::Value { key, reason };
        if !is_site_name(&raw.name) {
            let reason = format!("`{}`: use 1 to 63 of a-z, 0-9 and -", raw.name.escape_debug());
            return Err(wrong("name", reason));
        }
        if raw.addresses.len() > ADDRESSES_MAX {
            return Err(wrong("addresses", format!("more than {ADDRESSES_MAX}")));
        }
        for address in &raw.addresses {
            check_address(address).map_err(|reason| wrong("addresses", reason))?;
        }
        let count = raw.certificates.len();
        if count == 0 || count > CERTIFICATES_MAX {
            let reason = format!("a card has 1 to {CERTIFICATES_MAX}, this one {count}");
            return Err(wrong("certificates", reason));
        }
        let fingerprint = |text: &String| {
            let reason = "write each as the SHA-256 of its DER, 64 of 0-9 and a-f";
            identity::from_hex(text).ok_or_else(|| wrong("certificates", reason.to_owned()))
        };
        let certificates = raw.certificates.iter().map(fingerprint).collect::<Result<_, _>>()?;
        Ok(Card {
            ledger: key("ledger", &raw.ledger, Algorithm::Ed25519)?,
            mirror: key("mirror", &raw.mirror, Algorithm::CosignatureV1)?,
            name: raw.name,
            addresses: raw.addresses,
            certificates,
        })
    }

    /// The site as a peer of links, under the number it has been given.
    #[must_use]
    pub fn peer(&self, site: u16) -> Peer {
        let Card { name, addresses, certificates, .. } = self.clone();
        Peer { site, name, addresses, certificates }
    }
}

fn key(place: &'static str, text: &str, wanted: Algorithm) -> Result<VerifierKey, CardError> {
    let wrong = |reason: String| CardError::Value { key: place, reason };
    let key = VerifierKey::parse(text).map_err(|error| wrong(error.to_string()))?;
    match (key.algorithm() == wanted, wanted) {
        (true, _) => Ok(key),
        (false, Algorithm::Ed25519) => {
            Err(wrong("a key for cosignatures, where that of the log belongs".to_owned()))
        }
        (false, Algorithm::CosignatureV1) => {
            Err(wrong("the key of a log, where that for cosignatures belongs".to_owned()))
        }
    }
}

/// Checks that `text` is `host:port`: a host name, an IPv4 address, or an IPv6 address in brackets,
/// and a port from 1. Whether anybody is there is another matter.
///
/// # Errors
/// What is wrong, for people.
pub fn check_address(text: &str) -> Result<(), String> {
    let wrong = |reason: &str| Err(format!("`{}`: {reason}", text.escape_debug()));
    let Some((host, port)) = text.rsplit_once(':') else {
        return wrong("write HOST:PORT");
    };
    if !port.bytes().all(|octet| octet.is_ascii_digit()) || port.parse::<u16>().unwrap_or(0) == 0 {
        return wrong("the port is a number from 1 to 65535");
    }
    if let Some(inside) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match inside.parse::<std::net::Ipv6Addr>() {
            Ok(address) if address.is_unspecified() => wrong("nobody can connect to `::`"),
            Ok(_) => Ok(()),
            Err(_) => wrong("in brackets belongs an IPv6 address"),
        };
    }
    let good = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    if host.is_empty() || host.len() > HOST_OCTETS_MAX || !host.bytes().all(good) {
        return wrong("the host is a name, an IPv4 address, or an IPv6 address in brackets");
    }
    if host == "0.0.0.0" {
        return wrong("nobody can connect to 0.0.0.0");
    }
    Ok(())
}

/// The text of the card, which [`Card::parse`] reads.
impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = RawCard {
            name: self.name.clone(),
            addresses: self.addresses.clone(),
            ledger: self.ledger.to_string(),
            mirror: self.mirror.to_string(),
            certificates: self.certificates.iter().map(identity::hex).collect(),
        };
        let text = toml::to_string(&raw).map_err(|_| fmt::Error)?;
        write!(
            f,
            "# The card of an Einhorn site. Nothing in it is secret, but whoever adds it trusts it:\n\
             # hand it on by a way on which nobody can exchange it.\n{text}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_core::ledger::SignerKey;
    use proptest::prelude::*;

    fn verifier(name: &str, algorithm: Algorithm) -> VerifierKey {
        let signer = SignerKey::from_seed(name, algorithm, &[7; 32]).expect("a key");
        signer.verifier().clone()
    }

    fn card() -> Card {
        Card {
            name: "berlin".to_owned(),
            addresses: vec!["link.berlin.example:5301".to_owned(), "[2001:db8::1]:5301".to_owned()],
            ledger: verifier("einhorn/berlin", Algorithm::Ed25519),
            mirror: verifier("einhorn/berlin/mirror", Algorithm::CosignatureV1),
            certificates: vec![[0xa5; 32]],
        }
    }

    fn error(from: &str, to: &str) -> String {
        let text = card().to_string();
        assert!(text.contains(from), "no {from} in {text}");
        Card::parse(&text.replace(from, to)).expect_err("a bad card").to_string()
    }

    #[test]
    fn a_card_comes_back() {
        let text = card().to_string();
        assert_eq!(Card::parse(&text), Ok(card()), "{text}");
        assert!(text.lines().any(|line| line == "name = \"berlin\""), "{text}");
        let peer = card().peer(3);
        assert_eq!((peer.site, &*peer.name, peer.certificates), (3, "berlin", vec![[0xa5; 32]]));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let digits = "a5".repeat(32);
        let ledger = card().ledger.to_string();
        let mirror = card().mirror.to_string();
        for (from, to, wanted) in [
            ("name", "nam", "unknown field `nam`"),
            ("\"berlin\"", "\"Berlin\"", "name: `Berlin`: use 1 to 63"),
            ("\"berlin\"", "7", "line 3"),
            (":5301\"", "\"", "addresses: `link.berlin.example`: write HOST:PORT"),
            (&digits, &digits[1..], "certificates: write each as the SHA-256"),
            (&digits, &digits.to_uppercase(), "certificates: write each as the SHA-256"),
            (&format!("\"{digits}\""), "", "certificates: a card has 1 to 4, this one 0"),
            (&ledger, &mirror, "ledger: a key for cosignatures, where that of the log belongs"),
            (&mirror, &ledger, "mirror: the key of a log, where that for cosignatures belongs"),
            ("einhorn/berlin+", "einhorn/bonn+", "ledger: key id belongs to another name or key"),
        ] {
            let said = error(from, to);
            assert!(said.contains(wanted), "no `{wanted}` in: {said}");
        }
        assert_eq!(Card::parse(&" ".repeat(CARD_OCTETS_MAX + 1)), Err(CardError::TooLong));
        assert!(
            Card::parse("name = \"x\"").is_err_and(|e| e.to_string().contains("missing field"))
        );
    }

    #[test]
    fn addresses_are_host_and_port() {
        for good in ["a:1", "a.b-c_d:65535", "192.0.2.1:53", "[::1]:53"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:65536",
            "a:+1",
            "a b:1",
            "::1:53",
            "[a]:1",
            "[::]:1",
            "0.0.0.0:1",
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn key_names_with_anything_in_them_come_back(name in "[^\\s\\p{Cc}+]{1,20}") {
            let ledger = verifier(&name, Algorithm::Ed25519);
            let card = Card { ledger, ..card() };
            prop_assert_eq!(Card::parse(&card.to_string()), Ok(card));
        }
    }
}
