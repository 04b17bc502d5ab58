//! Where this server answers encrypted, for clients that found it unencrypted: discovery of
//! designated resolvers (RFC 9462, with the parameters of RFC 9461).

use super::Outcome;
use einhorn_wire::message::{QuestionRef, Rcode};
use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Name, RecordType};
use std::net::{IpAddr, SocketAddr};

/// The name that clients ask for, to the resolver whose address they know (RFC 9462 §4).
const QNAME: &[u8] = b"\x04_dns\x08resolver\x04arpa\0";
/// For how long clients may keep the answer, in seconds.
const TTL_SECONDS: u32 = 300;
/// Numbers of the parameters (RFC 9460 §14.3.2, RFC 9461 §8), in the order in which they stand.
const ALPN: u16 = 1;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const IPV6_HINT: u16 = 6;
const DOHPATH: u16 = 7;

/// How clients may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Designation {
    /// DNS over TLS at these addresses.
    Dot(Vec<SocketAddr>),
    /// DNS over HTTPS at these addresses, with this path template.
    Doh(Vec<SocketAddr>, &'static str),
}

impl Designation {
    fn addresses(&self) -> &[SocketAddr] {
        match self {
            Designation::Dot(addresses) | Designation::Doh(addresses, _) => addresses,
        }
    }

    /// The port that is meant when none is told (RFC 9461 §4.2).
    fn usual_port(&self) -> u16 {
        match self {
            Designation::Dot(_) => 853,
            Designation::Doh(..) => 443,
        }
    }
}

/// The answer, made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Designated {
    /// Data of SVCB records.
    rdatas: Vec<Vec<u8>>,
}

impl Designated {
    /// What the server that clients know as `name` answers; the earlier, the more it is preferred.
    /// There is a record for each port.
    pub fn new(name: &Name, designations: &[Designation]) -> Designated {
        let mut rdatas = Vec::new();
        for designation in designations {
            let mut ports: Vec<u16> =
                designation.addresses().iter().map(SocketAddr::port).collect();
            ports.sort_unstable();
            ports.dedup();
            for port in ports {
                let priority = rdatas.len() as u16 + 1;
                rdatas.push(rdata(priority, name, designation, port));
            }
        }
        Designated { rdatas }
    }

    /// Answers the question if it is the one that this is about.
    pub(super) fn answer(
        &self,
        question: &QuestionRef<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<Option<Outcome>, NoRoom> {
        if !question.name.eq_ignore_ascii_case(QNAME) {
            return Ok(None);
        }
        writer.set_authoritative();
        if matches!(question.rtype, RecordType::SVCB | RecordType::ANY) {
            let (name, rtype) = (question.name, RecordType::SVCB);
            let rdatas = self.rdatas.iter().map(Vec::as_slice);
            writer.rrset(Section::Answer, name, rtype, TTL_SECONDS, rdatas)?;
        }
        Ok(Some(Outcome::of(Rcode::NOERROR)))
    }
}

fn rdata(priority: u16, name: &Name, designation: &Designation, port: u16) -> Vec<u8> {
    let mut octets = priority.to_be_bytes().to_vec();
    octets.extend_from_slice(name.as_wire());
    let mut parameter = |key: u16, value: &[u8]| {
        octets.extend_from_slice(&key.to_be_bytes());
        octets.extend_from_slice(&(value.len() as u16).to_be_bytes());
        octets.extend_from_slice(value);
    };
    parameter(
        ALPN,
        match designation {
            Designation::Dot(_) => b"\x03dot",
            Designation::Doh(..) => b"\x02h2",
        },
    );
    if port != designation.usual_port() {
        parameter(PORT, &port.to_be_bytes());
    }
    // Listening everywhere says nothing of where that is.
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    let here = designation.addresses().iter().filter(|address| address.port() == port);
    for address in here.filter(|address| !address.ip().is_unspecified()) {
        match address.ip() {
            IpAddr::V4(address) => v4.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => v6.extend_from_slice(&address.octets()),
        }
    }
    for (key, hints) in [(IPV4_HINT, v4), (IPV6_HINT, v6)] {
        if !hints.is_empty() {
            parameter(key, &hints);
        }
    }
    if let Designation::Doh(_, path) = designation {
        parameter(DOHPATH, path.as_bytes());
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ask_in, context, query, settings};
    use super::super::{AnswerSettings, Transport};
    use super::*;
    use einhorn_core::model::Zones;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn with(designations: &[Designation]) -> AnswerSettings {
        let name = "ns1.fleet.example.".parse().expect("a name");
        let designated = Some(Designated::new(&name, designations));
        AnswerSettings { designated, ..settings() }
    }

    fn answers(settings: &AnswerSettings, qname: &str, qtype: &str) -> (Rcode, Vec<String>) {
        let query = query(qname, qtype, None);
        let reply = ask_in(&Zones::default(), &query, &context(settings, Transport::Udp));
        (reply.rcode, reply.answer)
    }

    #[test]
    fn clients_are_told_where_to_go() {
        let settings = with(&[
            Designation::Dot(vec![address("192.0.2.53:853"), address("[2001:db8::53]:853")]),
            Designation::Doh(vec![address("0.0.0.0:8443")], "/dns-query{?dns}"),
        ]);
        let (rcode, answers) = answers(&settings, "_DNS.resolver.arpa.", "SVCB");
        let head = "_DNS.resolver.arpa. 300 IN SVCB";
        let hints = "ipv4hint=192.0.2.53 ipv6hint=2001:db8::53";
        let expected = [
            format!("{head} 1 ns1.fleet.example. alpn=dot {hints}"),
            format!("{head} 2 ns1.fleet.example. alpn=h2 port=8443 dohpath=/dns-query{{?dns}}"),
        ];
        let plain: Vec<String> = answers.iter().map(|answer| answer.replace('"', "")).collect();
        assert_eq!((rcode, plain), (Rcode::NOERROR, expected.to_vec()));
    }

    #[test]
    fn nothing_else_is_there() {
        let dot = with(&[Designation::Dot(vec![address("192.0.2.53:853")])]);
        assert_eq!(answers(&dot, "_dns.resolver.arpa.", "A"), (Rcode::NOERROR, vec![]));
        assert_eq!(answers(&dot, "x._dns.resolver.arpa.", "SVCB").0, Rcode::REFUSED);
        assert_eq!(answers(&settings(), "_dns.resolver.arpa.", "SVCB").0, Rcode::REFUSED);
    }
}
