//! The keys that Apple has published for payloads and declarations (its repository device-management,
//! and developer.apple.com/documentation/devicemanagement), with the type of each and whether only a
//! supervised device takes it. What is not in these tables is never installed.

use crate::value::Value;

/// What a key's value may be.
enum Kind {
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// This number.
    Exactly(i64),
    Truth,
    Data,
    Texts,
    Dictionary(&'static [Key]),
    Dictionaries(&'static [Key]),
    /// Payloads, each by the table of its type.
    Payloads,
}

/// A published key.
struct Key {
    name: &'static str,
    kind: Kind,
    is_required: bool,
    /// Whether only a supervised device takes it.
    is_supervised: bool,
}

const fn optional(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_required: false, is_supervised: false }
}

const fn required(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_required: true, is_supervised: false }
}

const fn supervised(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, is_required: false, is_supervised: true }
}

/// The type of the outer payload.
pub(crate) const CONFIGURATION: &str = "Configuration";
/// The type of the payload of encrypted DNS.
pub(crate) const DNS_SETTINGS: &str = "com.apple.dnsSettings.managed";
/// The type of the payload of an identity with its key.
pub(crate) const PKCS12: &str = "com.apple.security.pkcs12";
/// The type of the declaration of encrypted DNS (iOS 27).
pub(crate) const DNS_DECLARATION: &str = "com.apple.configuration.network.dns-settings";

/// What the outer payload has.
const TOP_LEVEL: &[Key] = &[
    required("PayloadType", Kind::Word(&[CONFIGURATION])),
    required("PayloadVersion", Kind::Exactly(1)),
    required("PayloadIdentifier", Kind::Text),
    required("PayloadUUID", Kind::Text),
    required("PayloadContent", Kind::Payloads),
    optional("PayloadDisplayName", Kind::Text),
    optional("PayloadDescription", Kind::Text),
    optional("PayloadOrganization", Kind::Text),
    optional("PayloadScope", Kind::Word(&["System", "User"])),
    supervised("PayloadRemovalDisallowed", Kind::Truth),
];

/// What every payload within it has.
const COMMON: &[Key] = &[
    required("PayloadType", Kind::Text),
    required("PayloadVersion", Kind::Exactly(1)),
    required("PayloadIdentifier", Kind::Text),
    required("PayloadUUID", Kind::Text),
    optional("PayloadDisplayName", Kind::Text),
    optional("PayloadDescription", Kind::Text),
    optional("PayloadOrganization", Kind::Text),
];

const DNS_SERVER: &[Key] = &[
    required("DNSProtocol", Kind::Word(&["HTTPS", "TLS"])),
    optional("ServerURL", Kind::Text),
    optional("ServerName", Kind::Text),
    optional("ServerAddresses", Kind::Texts),
    optional("AllowFailover", Kind::Truth),
    optional("SupplementalMatchDomains", Kind::Texts),
];

const DNS_SERVER_DECLARED: &[Key] = &[
    required("DNSProtocol", Kind::Word(&["HTTPS", "TLS"])),
    optional("ServerURL", Kind::Text),
    optional("ServerName", Kind::Text),
    optional("ServerAddresses", Kind::Texts),
    optional("AllowFailover", Kind::Truth),
    optional("IdentityAssetReference", Kind::Text),
    optional("SupplementalMatchDomains", Kind::Texts),
];

const ACTION_PARAMETER: &[Key] = &[
    required("Domains", Kind::Texts),
    required("DomainAction", Kind::Word(&["NeverConnect", "ConnectIfNeeded"])),
];

const ON_DEMAND_RULE: &[Key] = &[
    required("Action", Kind::Word(&["Connect", "Disconnect", "EvaluateConnection"])),
    optional("ActionParameters", Kind::Dictionaries(ACTION_PARAMETER)),
    optional("DNSDomainMatch", Kind::Texts),
    optional("DNSServerAddressMatch", Kind::Texts),
    optional("InterfaceTypeMatch", Kind::Word(&["Ethernet", "WiFi", "Cellular"])),
    optional("SSIDMatch", Kind::Texts),
    optional("URLStringProbe", Kind::Text),
];

const DNS_PAYLOAD: &[Key] = &[
    required("DNSSettings", Kind::Dictionary(DNS_SERVER)),
    optional("OnDemandRules", Kind::Dictionaries(ON_DEMAND_RULE)),
    optional("PayloadCertificateUUID", Kind::Text),
    supervised("ProhibitDisablement", Kind::Truth),
];

const PKCS12_PAYLOAD: &[Key] = &[
    required("PayloadContent", Kind::Data),
    optional("PayloadCertificateFileName", Kind::Text),
    optional("Password", Kind::Text),
];

const DECLARED_PAYLOAD: &[Key] = &[
    required("VisibleName", Kind::Text),
    required("DNSSettings", Kind::Dictionary(DNS_SERVER_DECLARED)),
    optional("OnDemandRules", Kind::Dictionaries(ON_DEMAND_RULE)),
    supervised("ProhibitDisablement", Kind::Truth),
];

const DECLARATION: &[Key] = &[
    required("Type", Kind::Word(&[DNS_DECLARATION])),
    required("Identifier", Kind::Text),
    required("ServerToken", Kind::Text),
    required("Payload", Kind::Dictionary(DECLARED_PAYLOAD)),
];

/// Something that Apple has not published, or not for such a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpublished {
    /// There is no such key.
    #[error("Apple has published no key {0}")]
    Key(String),
    /// A key is missing.
    #[error("the key {0} is missing")]
    Missing(String),
    /// A key's value is of another type, or none of the words that it may be.
    #[error("the key {0} has a value that it may not have")]
    Value(String),
    /// Only a supervised device takes the key.
    #[error("only a supervised device takes {0}: say --supervised if it is one")]
    Supervised(String),
    /// There is no such payload.
    #[error("no payload of type {0} is known here")]
    Payload(String),
}

/// Checks a whole profile against what is published.
///
/// # Errors
/// [`Unpublished`].
pub(crate) fn check_profile(profile: &Value, is_supervised: bool) -> Result<(), Unpublished> {
    check("profile", profile, &[TOP_LEVEL], is_supervised)
}

/// Checks a declaration of encrypted DNS against what is published.
///
/// # Errors
/// [`Unpublished`].
pub(crate) fn check_declaration(value: &Value, is_supervised: bool) -> Result<(), Unpublished> {
    check("declaration", value, &[DECLARATION], is_supervised)
}

fn check(
    path: &str,
    value: &Value,
    tables: &[&[Key]],
    is_supervised: bool,
) -> Result<(), Unpublished> {
    let Value::Dictionary(pairs) = value else { return Err(Unpublished::Value(path.to_owned())) };
    let keys = || tables.iter().flat_map(|table| table.iter());
    for (at, (name, value)) in pairs.iter().enumerate() {
        let path = format!("{path}.{name}");
        let key = keys().find(|key| key.name == *name);
        let key = key.ok_or_else(|| Unpublished::Key(path.clone()))?;
        if key.is_supervised && !is_supervised {
            return Err(Unpublished::Supervised((*name).to_owned()));
        }
        if pairs[..at].iter().any(|(other, _)| other == name) {
            return Err(Unpublished::Value(path));
        }
        check_kind(&path, value, &key.kind, is_supervised)?;
    }
    let missing =
        keys().find(|key| key.is_required && pairs.iter().all(|(name, _)| *name != key.name));
    missing.map_or(Ok(()), |key| Err(Unpublished::Missing(format!("{path}.{}", key.name))))
}

fn check_kind(
    path: &str,
    value: &Value,
    kind: &Kind,
    is_supervised: bool,
) -> Result<(), Unpublished> {
    let wrong = || Err(Unpublished::Value(path.to_owned()));
    match (kind, value) {
        (Kind::Text, Value::Text(_)) | (Kind::Truth, Value::Truth(_)) => Ok(()),
        (Kind::Data, Value::Data(_)) => Ok(()),
        (Kind::Word(words), Value::Text(text)) if words.contains(&text.as_str()) => Ok(()),
        (Kind::Exactly(wanted), Value::Number(number)) if wanted == number => Ok(()),
        (Kind::Texts, Value::List(values)) => {
            if values.iter().all(|value| matches!(value, Value::Text(_))) {
                Ok(())
            } else {
                wrong()
            }
        }
        (Kind::Dictionary(keys), value) => check(path, value, &[keys], is_supervised),
        (Kind::Dictionaries(keys), Value::List(values)) => {
            values.iter().try_for_each(|value| check(path, value, &[keys], is_supervised))
        }
        (Kind::Payloads, Value::List(values)) => {
            values.iter().try_for_each(|value| check_payload(path, value, is_supervised))
        }
        _ => wrong(),
    }
}

fn check_payload(path: &str, value: &Value, is_supervised: bool) -> Result<(), Unpublished> {
    let Value::Dictionary(pairs) = value else { return Err(Unpublished::Value(path.to_owned())) };
    let of_type = pairs.iter().find_map(|(name, value)| match value {
        Value::Text(text) if *name == "PayloadType" => Some(text.as_str()),
        _ => None,
    });
    let table = match of_type {
        Some(DNS_SETTINGS) => DNS_PAYLOAD,
        Some(PKCS12) => PKCS12_PAYLOAD,
        other => return Err(Unpublished::Payload(other.unwrap_or("none").to_owned())),
    };
    check(path, value, &[COMMON, table], is_supervised)
}
