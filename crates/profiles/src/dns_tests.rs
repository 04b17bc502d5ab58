//! Profiles and declarations against the published keys.

use super::*;

/// The keys of a dictionary, with their values.
type Keys = Vec<(&'static str, Value)>;

fn anna() -> DnsProfile {
    DnsProfile {
        device: "annas-iphone.fleet.example.".to_owned(),
        organization: Some("Fleet & Co".to_owned()),
        url: "https://dns.fleet.example/dns-query/s3cret".to_owned(),
        addresses: vec!["192.0.2.53".parse().expect("an address")],
        domains: vec!["fleet.example.".parse().expect("a name")],
        except_networks: vec!["Office".to_owned()],
        ..DnsProfile::default()
    }
}

#[test]
fn a_profile_says_what_it_should() {
    let text = anna().profile().expect("a profile").to_plist();
    for part in [
        "<key>PayloadType</key>\n\t<string>Configuration</string>",
        "<string>com.apple.dnsSettings.managed</string>",
        "<string>example.fleet.annas-iphone.einhorn.dns</string>",
        "<string>https://dns.fleet.example/dns-query/s3cret</string>",
        "<string>192.0.2.53</string>",
        "<key>SupplementalMatchDomains</key>\n\t\t\t\t<array>\n\t\t\t\t\t<string>fleet.example</string>",
        "<key>SSIDMatch</key>",
        "<string>captive.apple.com</string>",
        "<string>Fleet &amp; Co</string>",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("ProhibitDisablement"));
}

#[test]
fn what_only_supervised_devices_take_is_refused_to_others() {
    let mut profile = DnsProfile { prohibit_disablement: true, ..anna() };
    let refused = ProfileError::Unpublished(Unpublished::Supervised("ProhibitDisablement".into()));
    assert_eq!(profile.profile(), Err(refused.clone()));
    assert_eq!(profile.declaration(), Err(refused));
    profile.is_supervised = true;
    assert!(profile.profile().expect("a profile").to_plist().contains("ProhibitDisablement"));
    assert!(profile.declaration().is_ok());
}

/// Each payload with one thing wrong is refused by the table.
#[test]
fn nothing_unpublished_gets_through() {
    let spoil = |change: &dyn Fn(&mut Keys)| {
        let Value::Dictionary(mut pairs) = anna().profile().expect("a profile") else { panic!() };
        change(&mut pairs);
        published::check_profile(&Value::Dictionary(pairs), false)
    };
    let inner = |change: &dyn Fn(&mut Keys)| {
        spoil(&|pairs| {
            let Some((_, Value::List(payloads))) = pairs.last_mut() else { panic!("payloads") };
            let Value::Dictionary(payload) = &mut payloads[0] else { panic!("a payload") };
            change(payload);
        })
    };
    assert_eq!(spoil(&|_| ()), Ok(()));
    let key = |path: &str| Err(Unpublished::Key(path.to_owned()));
    let value = |path: &str| Err(Unpublished::Value(path.to_owned()));
    assert_eq!(spoil(&|it| it.push(("PayloadColor", "red".into()))), key("profile.PayloadColor"));
    assert_eq!(spoil(&|it| it[1].1 = Value::Number(2)), value("profile.PayloadVersion"));
    let doubled = spoil(&|it| it.insert(0, it[0].clone()));
    assert_eq!(doubled, value("profile.PayloadType"));
    let missing = spoil(&|it| drop(it.remove(3)));
    assert_eq!(missing, Err(Unpublished::Missing("profile.PayloadUUID".to_owned())));
    let removal = spoil(&|it| it.push(("PayloadRemovalDisallowed", Value::Truth(true))));
    assert_eq!(removal, Err(Unpublished::Supervised("PayloadRemovalDisallowed".to_owned())));
    let unknown = inner(&|it| it[0].1 = "com.apple.other".into());
    assert_eq!(unknown, Err(Unpublished::Payload("com.apple.other".to_owned())));
    let lacking = inner(&|it| it.retain(|(name, _)| *name != "DNSSettings"));
    assert_eq!(lacking, Err(Unpublished::Missing("profile.PayloadContent.DNSSettings".to_owned())));
    let typed = inner(&|it| {
        it.retain_mut(|(name, value)| {
            if *name == "OnDemandRules" {
                *value = "Connect".into();
            }
            true
        })
    });
    assert_eq!(typed, value("profile.PayloadContent.OnDemandRules"));
    let word = inner(&|it| {
        let settings = it.iter_mut().find(|(name, _)| *name == "DNSSettings");
        let Some((_, Value::Dictionary(server))) = settings else { panic!("settings") };
        server[0].1 = "QUIC".into();
    });
    assert_eq!(word, value("profile.PayloadContent.DNSSettings.DNSProtocol"));
}

#[test]
fn a_declaration_says_the_same() {
    let json = anna().declaration().expect("a declaration").to_json();
    assert_eq!(json["Type"], "com.apple.configuration.network.dns-settings");
    assert_eq!(json["Identifier"], "example.fleet.annas-iphone.einhorn.dns");
    assert_eq!(json["Payload"]["DNSSettings"]["ServerURL"], anna().url);
    assert_eq!(json["Payload"]["OnDemandRules"][0]["Action"], "Disconnect");
}

#[test]
fn an_identity_is_pointed_at_by_its_uuid() {
    let profile = DnsProfile { identity: Some(vec![1, 2, 3]), ..anna() };
    let text = profile.profile().expect("a profile").to_plist();
    let uuid = profile.uuid("identity");
    assert_eq!(text.matches(&uuid).count(), 2, "{text}");
    assert!(text.contains("<data>AQID</data>"));
}

#[test]
fn uuids_change_with_what_is_said() {
    let (one, other) = (anna(), DnsProfile { url: "https://x/dns-query/y".to_owned(), ..anna() });
    assert_eq!(one.uuid("dns"), anna().uuid("dns"));
    assert_ne!(one.uuid("dns"), other.uuid("dns"));
    assert_ne!(one.uuid("dns"), one.uuid(""));
    assert_eq!(one.uuid("")[14..15], *"8", "{}", one.uuid(""));
    let plain = DnsProfile { url: "http://x/".to_owned(), ..anna() };
    assert_eq!(plain.profile(), Err(ProfileError::Url));
    let many = DnsProfile { except_networks: vec![String::new(); LISTED_MAX + 1], ..anna() };
    assert_eq!(many.profile(), Err(ProfileError::TooMany("networks")));
}
