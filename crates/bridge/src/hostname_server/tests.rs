//! What each command is answered.

use super::*;

struct Rows(Vec<Shown>);

impl View for Rows {
    fn by_name(&self, name: &Text) -> Vec<Shown> {
        let has = |shown: &&Shown| shown.names.iter().any(|other| other.same_name(name));
        self.0.iter().filter(has).cloned().collect()
    }

    fn by_address(&self, address: &Address) -> Vec<Shown> {
        self.0.iter().filter(|shown| shown.addresses.contains(address)).cloned().collect()
    }

    fn all(&self, take: &mut dyn FnMut(&Shown) -> ControlFlow<()>) -> ControlFlow<()> {
        self.0.iter().try_for_each(take)
    }

    fn version(&self) -> String {
        "983".to_owned()
    }
}

fn shown(kind: Kind, names: &[&str], addresses: &[&str]) -> Shown {
    Shown {
        kind,
        names: names.iter().map(|name| Text::from(*name)).collect(),
        addresses: addresses
            .iter()
            .map(|address| Address::V4(address.parse().expect("an address")))
            .collect(),
        machine: "DEC-2060".into(),
        system: "TOPS20".into(),
        protocols: vec!["TCP/TELNET".into(), "TCP/SMTP".into()],
    }
}

fn table() -> Rows {
    Rows(vec![
        shown(Kind::Net, &["ARPANET"], &["10.0.0.0"]),
        shown(Kind::Gateway, &["GW.ARPA"], &["10.0.0.9", "26.0.0.9"]),
        shown(Kind::Gateway, &["ONE.ARPA"], &["10.0.0.8"]),
        shown(Kind::Host, &["SRI-NIC.ARPA", "NIC"], &["26.0.0.73", "10.0.0.51"]),
        shown(Kind::Domain, &["COM"], &["26.0.0.73"]),
        shown(Kind::Domain, &["MIT.EDU"], &["18.72.0.3"]),
    ])
}

fn said(line: &str, view: Option<&dyn View>) -> String {
    let mut octets = Vec::new();
    let answered = Question::of(line.as_bytes()).answer(view, &mut |piece| {
        octets.extend_from_slice(piece);
        ControlFlow::Continue(())
    });
    assert_eq!(answered, ControlFlow::Continue(()));
    String::from_utf8(octets).expect("ASCII")
}

fn ask(line: &str) -> String {
    said(line, Some(&table()))
}

const NIC: &str = "HOST : 26.0.0.73, 10.0.0.51 : SRI-NIC.ARPA,NIC : DEC-2060 : TOPS20 : \
                   TCP/TELNET,TCP/SMTP :\r\n";

#[test]
fn names_and_addresses_are_found() {
    assert_eq!(ask("HNAME sri-nic.arpa\r\n"), NIC);
    assert_eq!(ask("hname NIC"), NIC);
    assert_eq!(ask("HADDR 10.0.0.51\n"), NIC);
    assert_eq!(ask("HNAME NOBODY"), "ERR : NAMNFD : Name not found :\r\n");
    assert_eq!(ask("HADDR 1.2.3.4"), "ERR : ADRNFD : Address not found :\r\n");
    assert_eq!(ask("HADDR rubbish"), "ERR : ADRNFD : Address not found :\r\n");
}

#[test]
fn tables_have_what_was_asked_for() {
    let count = |command: &str| {
        let text = ask(command);
        assert!(text.starts_with("BEGIN :\r\n") && text.ends_with("END :\r\n"), "{text}");
        text.lines().count() - 2
    };
    assert_eq!((count("ALL"), count("ALL-OLD"), count("DOMAINS")), (6, 4, 1));
    assert_eq!((count("ALL-DOM"), count("ALL-INGWAY")), (2, 1));
    assert!(ask("ALL").contains(NIC));
    assert!(ask("DOMAINS").contains("DOMAIN : 26.0.0.73 : COM :\r\n"));
    assert_eq!(ask("VERSION"), "VERSION : 983 :\r\n");
    assert!(ask("HELP").contains("ALL-INGWAY"));
}

#[test]
fn what_is_no_command_is_refused() {
    for line in ["", "\r\n", "HNAME", "QUIT", "ALL now", "\u{0}\u{7f}:x"] {
        let text = ask(line);
        assert!(text.starts_with("ERR : ILLCOM : "), "{line:?}: {text}");
        assert_eq!(text.matches(':').count(), 3, "{text}");
    }
}

#[test]
fn without_a_table_nobody_is_told_that_a_name_does_not_exist() {
    for line in ["HNAME NIC", "HADDR 10.0.0.51", "HADDR rubbish", "ALL", "DOMAINS", "VERSION"] {
        let text = said(line, None);
        assert!(text.starts_with("ERR : TMPSYS : "), "{line:?}: {text}");
    }
    assert!(said("HELP", None).contains("ALL-INGWAY"));
    assert!(said("QUIT", None).contains("ILLCOM"));
}

#[test]
fn a_table_ends_when_nobody_wants_more_of_it() {
    let mut pieces = 0;
    let answered = Question::of(b"ALL").answer(Some(&table()), &mut |_| {
        pieces += 1;
        if pieces == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((pieces, answered), (3, ControlFlow::Break(())));
}
