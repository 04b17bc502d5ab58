//! The answers of the hostname server of RFC 953 (and RFC 811): one line in, one answer out.
//!
//! The socket, which closes after each answer, is somebody else's.

use crate::record::{Address, Kind};
use crate::text::Text;

/// Octets of a command line that are looked at.
const COMMAND_OCTETS_MAX: usize = 512;
/// What ends each line of an answer.
const LINE_END: &str = "\r\n";

/// A host, gateway, network or domain as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Kind.
    pub kind: Kind,
    /// Official name first, then nicknames.
    pub names: Vec<Text>,
    /// Addresses.
    pub addresses: Vec<Address>,
    /// Machine type; empty if it is not known.
    pub machine: Text,
    /// Operating system; empty if it is not known.
    pub system: Text,
    /// Protocols.
    pub protocols: Vec<Text>,
}

/// What the server looks into: one state of the cluster.
pub trait View {
    /// Entries with this name or nickname, in any case.
    fn by_name(&self, name: &Text) -> Vec<Shown>;
    /// Entries with this address.
    fn by_address(&self, address: &Address) -> Vec<Shown>;
    /// Hands all entries to `take`, networks first, then gateways, hosts and domains.
    fn all(&self, take: &mut dyn FnMut(&Shown));
    /// The version of the table; `None` if it cannot be said now.
    fn version(&self) -> Option<String>;
}

/// What kind of trouble the server has, with the words it uses (RFC 953).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    NameNotFound,
    AddressNotFound,
    IllegalCommand,
    TemporarySystemFailure,
}

impl Trouble {
    fn line(self, text: &str) -> String {
        let code = match self {
            Trouble::NameNotFound => "NAMNFD",
            Trouble::AddressNotFound => "ADRNFD",
            Trouble::IllegalCommand => "ILLCOM",
            Trouble::TemporarySystemFailure => "TMPSYS",
        };
        format!("ERR : {code} : {text} :{LINE_END}")
    }
}

/// The commands, with what they do.
const COMMANDS: [(&str, &str); 9] = [
    ("HNAME name", "the entry with this name"),
    ("HADDR address", "the entry with this address"),
    ("ALL", "the whole table"),
    ("ALL-OLD", "the whole table, without domains"),
    ("DOMAINS", "the top-level domains"),
    ("ALL-DOM", "all domains"),
    ("ALL-INGWAY", "all gateways that are in more than one network"),
    ("VERSION", "the version of the table"),
    ("HELP", "this list"),
];

/// The answer to one line. It never fails: what is wrong is in the answer.
pub fn answer(line: &[u8], view: &dyn View) -> Vec<u8> {
    let line = &line[..line.len().min(COMMAND_OCTETS_MAX)];
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (command, argument) = (line[..end].to_ascii_uppercase(), line[end..].trim_ascii());
    let has_argument = !argument.is_empty();
    match &command[..] {
        b"HNAME" if has_argument => {
            let found = view.by_name(&argument.into());
            entries(&found).unwrap_or_else(|| Trouble::NameNotFound.line("Name not found").into())
        }
        b"HADDR" if has_argument => {
            let found = address(argument).map(|address| view.by_address(&address));
            found
                .and_then(|found| entries(&found))
                .unwrap_or_else(|| Trouble::AddressNotFound.line("Address not found").into())
        }
        _ if has_argument => illegal(&command),
        b"ALL" => table(view, |_| true),
        b"ALL-OLD" => table(view, |shown| shown.kind != Kind::Domain),
        b"DOMAINS" => table(view, |shown| shown.kind == Kind::Domain && is_top_level(shown)),
        b"ALL-DOM" => table(view, |shown| shown.kind == Kind::Domain),
        b"ALL-INGWAY" => {
            table(view, |shown| shown.kind == Kind::Gateway && shown.addresses.len() > 1)
        }
        b"VERSION" => match view.version() {
            Some(version) => format!("VERSION : {version} :{LINE_END}").into_bytes(),
            None => Trouble::TemporarySystemFailure.line("No table at this time").into_bytes(),
        },
        b"HELP" | b"?" => help(),
        _ => illegal(&command),
    }
}

fn illegal(command: &[u8]) -> Vec<u8> {
    let shown: String = command
        .iter()
        .filter(|octet| octet.is_ascii_graphic() && **octet != b':')
        .map(|octet| char::from(*octet))
        .collect();
    Trouble::IllegalCommand.line(&format!("Illegal command {shown}, try HELP")).into_bytes()
}

fn help() -> Vec<u8> {
    let mut text = format!("HELP : one command a line, then one answer :{LINE_END}");
    for (command, meaning) in COMMANDS {
        text.push_str(&format!("{command:<16}{meaning}{LINE_END}"));
    }
    text.into_bytes()
}

/// An address as it is asked for: of the Internet, or a network's name and an address in it.
fn address(text: &[u8]) -> Option<Address> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse() {
        return Some(Address::V4(address));
    }
    if let Ok(address) = text.parse() {
        return Some(Address::V6(address));
    }
    let (network, address) = text.split_once(|c: char| c.is_ascii_whitespace())?;
    Some(Address::foreign(network.as_bytes(), address.trim().as_bytes()))
}

fn is_top_level(shown: &Shown) -> bool {
    shown.names.first().is_some_and(|name| !name.octets().trim_ascii_end().contains(&b'.'))
}

/// The entries, if there are any.
fn entries(found: &[Shown]) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    found.iter().for_each(|shown| write(shown, &mut octets));
    (!found.is_empty()).then_some(octets)
}

fn table(view: &dyn View, wanted: impl Fn(&Shown) -> bool) -> Vec<u8> {
    let mut octets = format!("BEGIN :{LINE_END}").into_bytes();
    view.all(&mut |shown| {
        if wanted(shown) {
            write(shown, &mut octets);
        }
    });
    octets.extend_from_slice(format!("END :{LINE_END}").as_bytes());
    octets
}

/// One entry in the form of the host table; octets that would break the line are left out.
fn write(shown: &Shown, octets: &mut Vec<u8>) {
    let texts = |texts: &[Text]| {
        let texts: Vec<_> = texts.iter().map(plain).collect();
        texts.join(&b","[..])
    };
    let addresses: Vec<_> = shown
        .addresses
        .iter()
        .filter(|a| !matches!(a, Address::V6(_)))
        .map(Address::to_string)
        .collect();
    octets.extend_from_slice(shown.kind.keyword().as_bytes());
    let mut fields = vec![addresses.join(", ").into_bytes(), texts(&shown.names)];
    if matches!(shown.kind, Kind::Host | Kind::Gateway) {
        fields.extend([plain(&shown.machine), plain(&shown.system), texts(&shown.protocols)]);
    }
    for field in fields {
        octets.extend_from_slice(if field.is_empty() { b" :" } else { b" : " });
        octets.extend_from_slice(&field);
    }
    octets.extend_from_slice(b" :");
    octets.extend_from_slice(LINE_END.as_bytes());
}

fn plain(text: &Text) -> Vec<u8> {
    let is_plain = |octet: &&u8| **octet >= b' ' && !matches!(octet, b':' | b';' | 0x7f);
    text.octets().iter().filter(is_plain).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table(Vec<Shown>);

    impl View for Table {
        fn by_name(&self, name: &Text) -> Vec<Shown> {
            let has = |shown: &&Shown| shown.names.iter().any(|other| other.same_name(name));
            self.0.iter().filter(has).cloned().collect()
        }

        fn by_address(&self, address: &Address) -> Vec<Shown> {
            self.0.iter().filter(|shown| shown.addresses.contains(address)).cloned().collect()
        }

        fn all(&self, take: &mut dyn FnMut(&Shown)) {
            self.0.iter().for_each(take);
        }

        fn version(&self) -> Option<String> {
            (!self.0.is_empty()).then(|| "983".to_owned())
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

    fn table() -> Table {
        Table(vec![
            shown(Kind::Net, &["ARPANET"], &["10.0.0.0"]),
            shown(Kind::Gateway, &["GW.ARPA"], &["10.0.0.9", "26.0.0.9"]),
            shown(Kind::Gateway, &["ONE.ARPA"], &["10.0.0.8"]),
            shown(Kind::Host, &["SRI-NIC.ARPA", "NIC"], &["26.0.0.73", "10.0.0.51"]),
            shown(Kind::Domain, &["COM"], &["26.0.0.73"]),
            shown(Kind::Domain, &["MIT.EDU"], &["18.72.0.3"]),
        ])
    }

    fn ask(line: &str) -> String {
        String::from_utf8(answer(line.as_bytes(), &table())).expect("ASCII")
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
        let none = answer(b"VERSION", &Table(Vec::new()));
        assert!(none.starts_with(b"ERR : TMPSYS : "));
    }
}
