//! The profile that sends a device's questions about the fleet's names to the fleet's servers, in
//! both forms that Apple has for it: configuration profile and declaration.

use crate::published::{self, CONFIGURATION, DNS_DECLARATION, DNS_SETTINGS, PKCS12, Unpublished};
use crate::value::Value;
use einhorn_wire::Name;
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::IpAddr;

/// Names that devices ask for to find out whether a network has a portal in front of it. Its own
/// servers must answer them, or nobody gets past the portal.
const PORTAL_DOMAINS: [&str; 2] = ["captive.apple.com", "captive.g.aaplimg.com"];
/// Domains, networks and addresses that a profile may list, each.
const LISTED_MAX: usize = 64;

/// What a device is to be told. Printing it does not show the URL, which holds a secret.
#[derive(Clone, Default)]
pub struct DnsProfile {
    /// The device's host name.
    pub device: String,
    /// Who runs the fleet, for people; none: nobody is named.
    pub organization: Option<String>,
    /// Where to ask by DNS over HTTPS: `https://HOST/dns-query/TOKEN`.
    pub url: String,
    /// Addresses of that host, so that nobody else is asked for them.
    pub addresses: Vec<IpAddr>,
    /// What to ask it about; everything if there is none.
    pub domains: Vec<Name>,
    /// Wi-Fi networks in which it is not asked.
    pub except_networks: Vec<String>,
    /// An identity (PKCS #12) that the device shows.
    pub identity: Option<Vec<u8>>,
    /// Whether the device's user may not turn it off.
    pub prohibit_disablement: bool,
    /// Whether the device is supervised, which alone may be told that.
    pub is_supervised: bool,
}

impl fmt::Debug for DnsProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DnsProfile({})", self.device)
    }
}

/// A profile that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// It says what Apple has not published.
    #[error(transparent)]
    Unpublished(#[from] Unpublished),
    /// DNS over HTTPS needs such a URL (RFC 8484 §3).
    #[error("the URL of the server must begin with https://")]
    Url,
    /// Too much of a kind.
    #[error("at most {LISTED_MAX} {0}")]
    TooMany(&'static str),
}

impl DnsProfile {
    /// The configuration profile.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn profile(&self) -> Result<Value, ProfileError> {
        self.check()?;
        let identifier = self.identifier();
        let mut dns = self.common(DNS_SETTINGS, "dns", "Encrypted DNS");
        dns.push(("DNSSettings", self.server()));
        dns.push(("OnDemandRules", self.rules()));
        let mut payloads = Vec::new();
        if let Some(identity) = &self.identity {
            let mut payload = self.common(PKCS12, "identity", "Identity");
            payload.push(("PayloadContent", Value::Data(identity.clone())));
            dns.push(("PayloadCertificateUUID", self.uuid("identity").into()));
            payloads.push(Value::Dictionary(payload));
        }
        if self.prohibit_disablement {
            dns.push(("ProhibitDisablement", Value::Truth(true)));
        }
        payloads.insert(0, Value::Dictionary(dns));
        let mut outer = vec![
            ("PayloadType", CONFIGURATION.into()),
            ("PayloadVersion", Value::Number(1)),
            ("PayloadIdentifier", identifier.into()),
            ("PayloadUUID", self.uuid("").into()),
            ("PayloadDisplayName", self.visible_name().into()),
            ("PayloadDescription", self.description().into()),
        ];
        outer.extend(self.organization.iter().map(|it| ("PayloadOrganization", it.clone().into())));
        outer.push(("PayloadContent", Value::List(payloads)));
        let profile = Value::Dictionary(outer);
        published::check_profile(&profile, self.is_supervised)?;
        Ok(profile)
    }

    /// The same as a declaration, for devices from iOS 27 on. An identity is not in it: such a one
    /// is an asset that a management server declares.
    ///
    /// # Errors
    /// [`ProfileError`].
    pub fn declaration(&self) -> Result<Value, ProfileError> {
        self.check()?;
        let mut payload = vec![
            ("VisibleName", self.visible_name().into()),
            ("DNSSettings", self.server()),
            ("OnDemandRules", self.rules()),
        ];
        if self.prohibit_disablement {
            payload.push(("ProhibitDisablement", Value::Truth(true)));
        }
        let declaration = Value::Dictionary(vec![
            ("Type", DNS_DECLARATION.into()),
            ("Identifier", format!("{}.dns", self.identifier()).into()),
            // It changes with what is declared, and with nothing else.
            ("ServerToken", self.uuid("declaration").into()),
            ("Payload", Value::Dictionary(payload)),
        ]);
        published::check_declaration(&declaration, self.is_supervised)?;
        Ok(declaration)
    }

    fn check(&self) -> Result<(), ProfileError> {
        let lists = [
            ("addresses", self.addresses.len()),
            ("domains", self.domains.len()),
            ("networks", self.except_networks.len()),
        ];
        match lists.into_iter().find(|(_, count)| *count > LISTED_MAX) {
            Some((what, _)) => Err(ProfileError::TooMany(what)),
            None if !self.url.starts_with("https://") => Err(ProfileError::Url),
            None => Ok(()),
        }
    }

    /// The host name from its end, as Apple writes identifiers.
    fn identifier(&self) -> String {
        let labels: Vec<&str> = self.device.trim_end_matches('.').split('.').rev().collect();
        format!("{}.einhorn", labels.join("."))
    }

    fn visible_name(&self) -> String {
        format!("DNS of {}", self.device.trim_end_matches('.'))
    }

    fn description(&self) -> String {
        format!(
            "Asks this fleet's servers about its names, encrypted, and lets them keep the address of {}.",
            self.device.trim_end_matches('.')
        )
    }

    fn common(&self, of_type: &str, part: &str, name: &str) -> Vec<(&'static str, Value)> {
        vec![
            ("PayloadType", of_type.into()),
            ("PayloadVersion", Value::Number(1)),
            ("PayloadIdentifier", format!("{}.{part}", self.identifier()).into()),
            ("PayloadUUID", self.uuid(part).into()),
            ("PayloadDisplayName", name.into()),
        ]
    }

    fn server(&self) -> Value {
        let mut server =
            vec![("DNSProtocol", "HTTPS".into()), ("ServerURL", self.url.as_str().into())];
        if !self.addresses.is_empty() {
            let addresses = self.addresses.iter().map(IpAddr::to_string).collect();
            server.push(("ServerAddresses", addresses));
        }
        if !self.domains.is_empty() {
            let plain = |name: &Name| name.to_string().trim_end_matches('.').to_owned();
            server.push(("SupplementalMatchDomains", self.domains.iter().map(plain).collect()));
        }
        Value::Dictionary(server)
    }

    /// Rules are tried in order: not in networks that are excepted; elsewhere, but for what opens a
    /// portal.
    fn rules(&self) -> Value {
        let mut rules = Vec::new();
        if !self.except_networks.is_empty() {
            rules.push(Value::Dictionary(vec![
                ("Action", "Disconnect".into()),
                ("InterfaceTypeMatch", "WiFi".into()),
                ("SSIDMatch", self.except_networks.iter().cloned().collect()),
            ]));
        }
        let portals = Value::Dictionary(vec![
            ("Domains", PORTAL_DOMAINS.iter().map(ToString::to_string).collect()),
            ("DomainAction", "NeverConnect".into()),
        ]);
        rules.push(Value::Dictionary(vec![
            ("Action", "EvaluateConnection".into()),
            ("ActionParameters", Value::List(vec![portals])),
        ]));
        Value::List(rules)
    }

    /// A UUID of a part of this profile (RFC 9562 §5.8): the same whenever the profile is, another
    /// one when it says something else.
    fn uuid(&self, part: &str) -> String {
        let mut hash = Sha256::new();
        let lists = (&self.addresses, &self.domains, &self.except_networks, &self.identity);
        let flags = (self.prohibit_disablement, self.is_supervised);
        let said = (&self.device, &self.organization, &self.url, lists, flags, part);
        hash.update(format!("einhorn profile\n{said:?}"));
        let digest = hash.finalize();
        let mut octets = [0; 16];
        octets.copy_from_slice(&digest[..16]);
        octets[6] = octets[6] & 0x0f | 0x80;
        octets[8] = octets[8] & 0x3f | 0x80;
        let digits: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
        let (a, b, c) = (&digits[..8], &digits[8..12], &digits[12..16]);
        format!("{a}-{b}-{c}-{}-{}", &digits[16..20], &digits[20..])
    }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
