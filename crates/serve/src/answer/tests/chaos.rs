//! What servers say of themselves in the CHAOS class (RFC 4892).

use super::*;

fn chaos(settings: &AnswerSettings, qname: &str, qtype: &str) -> Reply {
    let mut query = query(qname, qtype, None);
    set_class(&mut query, Class::CH);
    ask_in(&ZONES, &query, &context(settings, Transport::Udp))
}

#[test]
fn names_are_answered_as_configured() {
    let settings = AnswerSettings {
        version: Some("einhorn".to_owned()),
        identity: Some("fra1".to_owned()),
        authors: Some("us".to_owned()),
        ..settings()
    };
    for (qname, text) in [
        ("version.bind.", "einhorn"),
        ("VERSION.server.", "einhorn"),
        ("hostname.bind.", "fra1"),
        ("id.server.", "fra1"),
        ("authors.bind.", "us"),
    ] {
        let reply = chaos(&settings, qname, "TXT");
        assert_eq!(reply.answer, [format!("{qname} 0 CH TXT \"{text}\"")]);
        assert!(reply.authoritative);
        assert_eq!(chaos(&settings, qname, "ANY").answer.len(), 1);
        assert_eq!(chaos(&settings, qname, "A").status(), (Rcode::NOERROR, 0, 0, 0), "{qname}");
    }
}

#[test]
fn what_is_not_configured_is_refused() {
    let nothing = AnswerSettings { version: None, ..settings() };
    for qname in
        ["version.bind.", "version.server.", "hostname.bind.", "id.server.", "authors.bind."]
    {
        assert_eq!(chaos(&nothing, qname, "TXT").status(), (Rcode::REFUSED, 0, 0, 0), "{qname}");
    }
    assert_eq!(chaos(&settings(), "version.bind.", "TXT").answer.len(), 1);
    assert_eq!(chaos(&settings(), "id.server.", "TXT").rcode, Rcode::REFUSED);
    assert_eq!(chaos(&settings(), "anna.example.", "TXT").rcode, Rcode::REFUSED);
    // In the Internet class these are names like others.
    assert_eq!(get("version.bind.", "TXT").rcode, Rcode::REFUSED);
}
