//! The answers of the hostname server of RFC 953 (and RFC 811): one line in, one answer out.
//!
//! The socket, which closes after each answer, is somebody else's. Tables are handed out piece by piece,
//! however large they are.

mod table;

pub use table::Table;

use crate::record::{Address, Kind};
use crate::text::Text;
use std::ops::ControlFlow;

/// Octets of a command line that are looked at.
pub const COMMAND_OCTETS_MAX: usize = 512;
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
    /// Hands all entries to `take`, networks first, then gateways, hosts and domains, until it has enough.
    fn all(&self, take: &mut dyn FnMut(&Shown) -> ControlFlow<()>) -> ControlFlow<()>;
    /// The version of the table.
    fn version(&self) -> String;
}

/// Takes an answer, piece by piece, until nobody wants more of it.
pub type Out<'o> = &'o mut dyn FnMut(&[u8]) -> ControlFlow<()>;

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

/// What a line asks. Every line asks something: what is wrong with it is in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The entries with a name.
    Name(Text),
    /// The entries with an address; `None` for what is none.
    Address(Option<Address>),
    /// Part of the table.
    Table(Part),
    /// The version of the table.
    Version,
    /// Which commands there are.
    Help,
    /// No command.
    Illegal(String),
}

/// Which part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    All,
    /// All but domains.
    WithoutDomains,
    /// Top-level domains.
    TopDomains,
    /// Domains.
    Domains,
    /// Gateways that are in more than one network.
    Gateways,
}

impl Part {
    fn has(self, shown: &Shown) -> bool {
        let is_domain = shown.kind == Kind::Domain;
        match self {
            Part::All => true,
            Part::WithoutDomains => !is_domain,
            Part::TopDomains => is_domain && is_top_level(shown),
            Part::Domains => is_domain,
            Part::Gateways => shown.kind == Kind::Gateway && shown.addresses.len() > 1,
        }
    }
}

impl Question {
    /// What `line` asks.
    pub fn of(line: &[u8]) -> Question {
        let line = line[..line.len().min(COMMAND_OCTETS_MAX)].trim_ascii();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (command, argument) = (line[..end].to_ascii_uppercase(), line[end..].trim_ascii());
        match (&command[..], argument.is_empty()) {
            (b"HNAME", false) => Question::Name(argument.into()),
            (b"HADDR", false) => Question::Address(address(argument)),
            (b"ALL", true) => Question::Table(Part::All),
            (b"ALL-OLD", true) => Question::Table(Part::WithoutDomains),
            (b"DOMAINS", true) => Question::Table(Part::TopDomains),
            (b"ALL-DOM", true) => Question::Table(Part::Domains),
            (b"ALL-INGWAY", true) => Question::Table(Part::Gateways),
            (b"VERSION", true) => Question::Version,
            (b"HELP" | b"?", true) => Question::Help,
            _ => Question::Illegal(printable(&command)),
        }
    }

    /// Hands the answer to `out`. Without a `view` there is no table at this time.
    pub fn answer(&self, view: Option<&dyn View>, out: Out<'_>) -> ControlFlow<()> {
        match (self, view) {
            (Question::Help, _) => out(help().as_bytes()),
            (Question::Illegal(command), _) => {
                let text = format!("Illegal command {command}, try HELP");
                out(Trouble::IllegalCommand.line(&text).as_bytes())
            }
            (_, None) => {
                let text = "No table at this time, try again later";
                out(Trouble::TemporarySystemFailure.line(text).as_bytes())
            }
            (Question::Name(name), Some(view)) => {
                entries(&view.by_name(name), Trouble::NameNotFound.line("Name not found"), out)
            }
            (Question::Address(address), Some(view)) => {
                let found = address.as_ref().map(|address| view.by_address(address));
                let none = Trouble::AddressNotFound.line("Address not found");
                entries(&found.unwrap_or_default(), none, out)
            }
            (Question::Table(part), Some(view)) => table(view, *part, out),
            (Question::Version, Some(view)) => {
                out(format!("VERSION : {} :{LINE_END}", view.version()).as_bytes())
            }
        }
    }
}

fn printable(command: &[u8]) -> String {
    let is_shown = |octet: &&u8| octet.is_ascii_graphic() && **octet != b':';
    command.iter().filter(is_shown).map(|octet| char::from(*octet)).collect()
}

fn help() -> String {
    let mut text = format!("HELP : one command a line, then one answer :{LINE_END}");
    for (command, meaning) in COMMANDS {
        text.push_str(&format!("{command:<16}{meaning}{LINE_END}"));
    }
    text
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

/// The entries, or `none` where there are none.
fn entries(found: &[Shown], none: String, out: Out<'_>) -> ControlFlow<()> {
    let mut octets = Vec::new();
    found.iter().for_each(|shown| write(shown, &mut octets));
    if found.is_empty() {
        octets = none.into_bytes();
    }
    out(&octets)
}

fn table(view: &dyn View, part: Part, out: Out<'_>) -> ControlFlow<()> {
    out(format!("BEGIN :{LINE_END}").as_bytes())?;
    let mut octets = Vec::new();
    view.all(&mut |shown| {
        if !part.has(shown) {
            return ControlFlow::Continue(());
        }
        octets.clear();
        write(shown, &mut octets);
        out(&octets)
    })?;
    out(format!("END :{LINE_END}").as_bytes())
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
    let is_plain = |octet: &&u8| **octet >= b' ' && !matches!(octet, b':' | b';' | b',' | 0x7f..);
    text.octets().iter().filter(is_plain).copied().collect()
}

#[cfg(test)]
mod tests;
