//! What is sent: a zone of hosts, and updates that replace one host's address each.
//!
//! Every update carries a value never sent before, because servers are much faster at updates
//! that change nothing. Nothing here knows a socket or measures time.

use einhorn_wire::tsig::{Key, PendingResponse};
use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Class, Name, Opcode, RecordType};
use std::fmt::Write as _;
use std::sync::Arc;

/// The zone, with its final dot.
pub(crate) const ZONE: &str = "bench.example.";
/// The TSIG key's name, without a final dot, as all configuration files take it.
pub(crate) const KEY_NAME: &str = "bench-key";
/// Its secret: public, since it guards nothing but scratch folders.
pub(crate) const KEY_SECRET: &str = "ZWluaG9ybi1iZW5jaC1zZWNyZXQtb2YtMzItb2N0ZXQ=";
/// Hosts in the zone.
pub(crate) const HOSTS: u32 = 10_000;
/// Coprime to `HOSTS`: steps of this size visit every host before any host again, in an order
/// that is not the zone's.
const HOST_STRIDE: u32 = 7919;
/// Room for one update; they take about 180 octets.
const UPDATE_OCTETS_MAX: usize = 512;
/// TTL of the addresses, in seconds.
pub(crate) const TTL_SECONDS: u32 = 300;

/// The zone as the servers load it at the start.
pub(crate) fn zone_file() -> String {
    zone_file_with(3600, HOSTS)
}

/// The same with another refresh interval, in seconds, and fewer hosts.
pub(crate) fn zone_file_with(refresh_seconds: u32, hosts: u32) -> String {
    let mut text = format!(
        "$ORIGIN {ZONE}\n$TTL {TTL_SECONDS}\n@ IN SOA ns1 hostmaster 1 {refresh_seconds} 600 86400 60\n@ IN NS ns1\nns1 IN A 127.0.0.1\n"
    );
    for host in 0..hosts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "h{host:05} IN A 192.0.2.1");
    }
    text
}

/// The host that the update with this sequence number changes.
pub(crate) fn host_of(sequence: u32) -> u32 {
    (u64::from(sequence) * u64::from(HOST_STRIDE) % u64::from(HOSTS)) as u32
}

/// The address that the update with this sequence number sets.
pub(crate) fn address_of(sequence: u32) -> [u8; 4] {
    let [_, b, c, d] = sequence.to_be_bytes();
    [10, b, c, d]
}

/// What one server has been sent and has acknowledged, over all phases it goes through.
pub(crate) struct Workload {
    key: Arc<Key>,
    zone: Name,
    hosts: Vec<Name>,
    next_sequence: u32,
    /// By host: the sequence number of the last acknowledged update.
    acknowledged: Vec<Option<u32>>,
    /// By host: an update was sent twice or never answered, so that what the server holds is
    /// anybody's guess.
    uncertain: Vec<bool>,
}

impl Workload {
    /// The workload at its beginning, for a fresh server.
    pub(crate) fn new() -> Result<Workload, String> {
        let key: Key = format!("hmac-sha256:{KEY_NAME}:{KEY_SECRET}")
            .parse()
            .map_err(|error| format!("the benchmark's own key is malformed: {error}"))?;
        let name = |text: &str| -> Result<Name, String> {
            text.parse()
                .map_err(|error| format!("the benchmark's own name `{text}` is malformed: {error}"))
        };
        let hosts =
            (0..HOSTS).map(|host| name(&format!("h{host:05}.{ZONE}"))).collect::<Result<_, _>>()?;
        Ok(Workload {
            key: Arc::new(key),
            zone: name(ZONE)?,
            hosts,
            next_sequence: 0,
            acknowledged: vec![None; HOSTS as usize],
            uncertain: vec![false; HOSTS as usize],
        })
    }

    /// The zone's name.
    pub(crate) fn zone(&self) -> &Name {
        &self.zone
    }

    /// The name of a host.
    pub(crate) fn host(&self, host: u32) -> &Name {
        &self.hosts[host as usize]
    }

    /// The sequence number of the next update.
    pub(crate) fn next_sequence(&self) -> u32 {
        self.next_sequence
    }

    /// Passes over one sequence number.
    pub(crate) fn skip(&mut self) {
        self.next_sequence += 1;
    }

    /// The identifier of the next update: the low bits of its sequence number.
    pub(crate) fn next_id(&self) -> u16 {
        self.next_sequence as u16
    }

    /// Appends the next update, signed, to `buffer`; returns its sequence number and what
    /// checks the response's signature.
    pub(crate) fn next_update(
        &mut self,
        buffer: &mut Vec<u8>,
        unix_seconds: u64,
    ) -> Result<(u32, PendingResponse), NoRoom> {
        let (sequence, id, base) = (self.next_sequence, self.next_id(), buffer.len());
        let host = self.hosts[host_of(sequence) as usize].as_wire();
        let mut writer = Writer::new(buffer, id, UPDATE_OCTETS_MAX);
        writer.set_request(Opcode::UPDATE);
        writer.question(self.zone.as_wire(), RecordType::SOA, Class::IN)?;
        writer.record(Section::Authority, host, RecordType::A, Class::ANY, 0, &[])?;
        writer.record(
            Section::Authority,
            host,
            RecordType::A,
            Class::IN,
            TTL_SECONDS,
            &address_of(sequence),
        )?;
        self.next_sequence += 1;
        Ok((sequence, self.key.sign_request(buffer, base, unix_seconds)))
    }

    /// Notes that the server acknowledged an update.
    pub(crate) fn acknowledge(&mut self, sequence: u32) {
        let last = &mut self.acknowledged[host_of(sequence) as usize];
        *last = (*last).max(Some(sequence));
    }

    /// Notes that nobody knows whether, or when, the server applied an update.
    pub(crate) fn doubt(&mut self, sequence: u32) {
        self.uncertain[host_of(sequence) as usize] = true;
    }

    /// Hosts whose value must be that of the update named beside them.
    pub(crate) fn expectations(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..HOSTS)
            .filter(|host| !self.uncertain[*host as usize])
            .filter_map(|host| Some((host, self.acknowledged[host as usize]?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_wire::Message;
    use std::collections::HashSet;

    #[test]
    fn every_host_is_visited_before_any_again() {
        let visited: HashSet<u32> = (5..5 + HOSTS).map(host_of).collect();
        assert_eq!(visited.len(), HOSTS as usize);
    }

    #[test]
    fn updates_are_well_formed_and_their_values_differ() {
        let mut workload = Workload::new().expect("a workload");
        let mut buffer = vec![0, 0];
        let (sequence, _) = workload.next_update(&mut buffer, 1_800_000_000).expect("room");
        let message = Message::parse(&buffer[2..]).expect("a message");
        assert_eq!((sequence, message.header.counts), (0, [1, 0, 2, 1]));
        assert!(message.tsig.is_some());
        assert_ne!(address_of(1), address_of(1 + HOSTS));
    }

    #[test]
    fn doubtful_hosts_are_not_expected_to_hold_anything() {
        let mut workload = Workload::new().expect("a workload");
        workload.acknowledge(1);
        workload.acknowledge(2);
        workload.doubt(1);
        assert_eq!(workload.expectations().collect::<Vec<_>>(), [(host_of(2), 2)]);
    }
}
