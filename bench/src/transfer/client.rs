//! A client that receives a zone and only counts: records, octets, and what stands first and
//! last.
//!
//! It looks at no record's data but that of SOA, and keeps none. It does not check signatures.

use crate::workload::{KEY_NAME, KEY_SECRET, ZONE};
use einhorn_wire::tsig::Key;
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, Header, Name, Opcode, Rcode, RecordType};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server that sends nothing for so long has given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Octets read at once.
const READ_OCTETS: usize = 256 << 10;
const PREFIX_OCTETS: usize = 2;
const HEADER_OCTETS: usize = 12;
const REQUEST_OCTETS_MAX: usize = 1024;
/// Type, class, TTL and length of a record.
const FIXED_OCTETS: usize = 10;

/// What was received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Transferred {
    /// The SOA at the beginning and the one at the end count both.
    pub(super) records: u64,
    pub(super) messages: u64,
    pub(super) octets: u64,
    pub(super) elapsed: Duration,
    pub(super) serial: u32,
    /// Whether it came as differences.
    pub(super) is_incremental: bool,
}

/// Asks for the whole zone, or for what changed since a serial.
pub(super) fn receive(
    server: SocketAddr,
    since: Option<u32>,
    is_signed: bool,
) -> Result<Transferred, String> {
    let request = request(since, is_signed)?;
    let failed = |error: std::io::Error| format!("the transfer from {server} broke off: {error}");
    let begin = Instant::now();
    let mut stream = TcpStream::connect(server).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.write_all(&request).map_err(failed)?;
    let mut progress = Progress::default();
    let (mut buffer, mut filled) = (vec![0; READ_OCTETS], 0);
    while !progress.is_complete() {
        let length = stream.read(&mut buffer[filled..]).map_err(failed)?;
        if length == 0 {
            return Err(format!(
                "the server closed the connection after {} records",
                progress.counts.records
            ));
        }
        filled += length;
        let used = progress.take(&buffer[..filled])?;
        buffer.copy_within(used..filled, 0);
        filled -= used;
    }
    progress.counts.elapsed = begin.elapsed();
    Ok(progress.counts)
}

fn request(since: Option<u32>, is_signed: bool) -> Result<Vec<u8>, String> {
    let zone: Name = ZONE.parse().map_err(|error| format!("{ZONE}: {error}"))?;
    let mut octets = vec![0; PREFIX_OCTETS];
    let mut writer = Writer::new(&mut octets, 1, REQUEST_OCTETS_MAX);
    writer.set_request(Opcode::QUERY);
    let rtype = if since.is_some() { RecordType::IXFR } else { RecordType::AXFR };
    let mut written = writer.question(zone.as_wire(), rtype, Class::IN);
    if let Some(serial) = since {
        // Only the serial counts (RFC 1995 §3): names of the root, other numbers 0.
        let mut data = vec![0, 0];
        data.extend_from_slice(&serial.to_be_bytes());
        data.extend_from_slice(&[0; 16]);
        let soa = RecordType::SOA;
        written = written.and_then(|()| {
            writer.record(Section::Authority, zone.as_wire(), soa, Class::IN, 0, &data)
        });
    }
    written.map_err(|_| "the request does not fit its message".to_owned())?;
    if is_signed {
        let key: Key = format!("hmac-sha256:{KEY_NAME}:{KEY_SECRET}")
            .parse()
            .map_err(|error| format!("the benchmark's own key is malformed: {error}"))?;
        Arc::new(key).sign_request(&mut octets, PREFIX_OCTETS, crate::sheet::unix_seconds());
    }
    let length = (octets.len() - PREFIX_OCTETS) as u16;
    octets[..PREFIX_OCTETS].copy_from_slice(&length.to_be_bytes());
    Ok(octets)
}

/// How far a transfer has come.
#[derive(Debug, Default)]
struct Progress {
    counts: Transferred,
    /// SOA records with the serial of the first.
    current_soas: u32,
}

/// One record, as far as it is looked at.
struct Seen {
    rtype: u16,
    /// Of an SOA.
    serial: u32,
    end: usize,
}

impl Progress {
    /// A whole zone ends with the second SOA; differences end with the third of the new serial,
    /// since the second begins the last additions (RFC 1995 §4).
    fn is_complete(&self) -> bool {
        self.current_soas >= if self.counts.is_incremental { 3 } else { 2 }
    }

    /// Takes in whole messages; how many octets they were.
    fn take(&mut self, octets: &[u8]) -> Result<usize, String> {
        let mut at = 0;
        while let Some((prefix, rest)) = octets[at..].split_first_chunk::<PREFIX_OCTETS>() {
            let length = usize::from(u16::from_be_bytes(*prefix));
            let Some(message) = rest.get(..length) else { break };
            self.message(message)?;
            at += PREFIX_OCTETS + length;
        }
        self.counts.octets += at as u64;
        Ok(at)
    }

    fn message(&mut self, message: &[u8]) -> Result<(), String> {
        let header = Header::parse(message).ok_or("a message is too short")?;
        if header.rcode() != Rcode::NOERROR {
            return Err(format!("the server refused the transfer: {}", header.rcode()));
        }
        self.counts.messages += 1;
        let malformed = || "a message of the transfer is malformed".to_owned();
        let mut at = HEADER_OCTETS;
        for _ in 0..header.counts[0] {
            at = skip_name(message, at).ok_or_else(malformed)? + 4;
        }
        for _ in 0..header.counts[1] {
            if self.is_complete() {
                return Err("records follow the last SOA".to_owned());
            }
            let seen = read_record(message, at).ok_or_else(malformed)?;
            at = seen.end;
            self.record(&seen)?;
        }
        Ok(())
    }

    fn record(&mut self, seen: &Seen) -> Result<(), String> {
        let is_soa = seen.rtype == RecordType::SOA.0;
        match self.counts.records {
            0 if !is_soa => return Err("the transfer does not begin with SOA".to_owned()),
            0 => self.counts.serial = seen.serial,
            1 => self.counts.is_incremental = is_soa,
            _ => {}
        }
        self.counts.records += 1;
        self.current_soas += u32::from(is_soa && seen.serial == self.counts.serial);
        Ok(())
    }
}

/// The end of a name.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

fn read_record(message: &[u8], at: usize) -> Option<Seen> {
    let at = skip_name(message, at)?;
    let fixed = message.get(at..at + FIXED_OCTETS)?;
    let rtype = u16::from_be_bytes([fixed[0], fixed[1]]);
    let data = at + FIXED_OCTETS;
    let end = data + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    if end > message.len() {
        return None;
    }
    let mut serial = 0;
    if rtype == RecordType::SOA.0 {
        let numbers = skip_name(message, skip_name(message, data)?)?;
        serial = u32::from_be_bytes(*message.get(numbers..end)?.first_chunk()?);
    }
    Some(Seen { rtype, serial, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(records: &[(u16, u32)]) -> Vec<u8> {
        let mut octets = vec![0, 1, 0x84, 0, 0, 0, 0, records.len() as u8, 0, 0, 0, 0];
        for (rtype, serial) in records {
            let mut data = vec![10, 0, 0, 1];
            if *rtype == RecordType::SOA.0 {
                data = vec![0, 0];
                data.extend_from_slice(&serial.to_be_bytes());
                data.extend_from_slice(&[0; 16]);
            }
            octets.extend_from_slice(&[1, b'a', 0]);
            octets.extend_from_slice(&rtype.to_be_bytes());
            octets.extend_from_slice(&[0, 1, 0, 0, 0, 9, 0, data.len() as u8]);
            octets.extend_from_slice(&data);
        }
        let mut framed = (octets.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(&octets);
        framed
    }

    const A: (u16, u32) = (1, 0);

    fn soa(serial: u32) -> (u16, u32) {
        (RecordType::SOA.0, serial)
    }

    #[test]
    fn a_whole_zone_ends_with_its_second_soa() {
        let mut progress = Progress::default();
        let octets = [message(&[soa(5), A, A]), message(&[A, soa(5)])].concat();
        // The second message is not there as a whole at first.
        let used = progress.take(&octets[..octets.len() - 1]).expect("well-formed");
        assert!(!progress.is_complete(), "{progress:?}");
        progress.take(&octets[used..]).expect("well-formed");
        assert!(progress.is_complete(), "{progress:?}");
        let Transferred { records, octets: counted, is_incremental, serial, .. } = progress.counts;
        assert_eq!((records, is_incremental, serial), (5, false, 5));
        assert_eq!(counted as usize, octets.len());
    }

    #[test]
    fn differences_end_with_the_third_soa_of_the_new_serial() {
        let mut progress = Progress::default();
        let steps = [soa(7), soa(5), A, soa(6), A, soa(6), A, soa(7), A];
        progress.take(&message(&steps)).expect("well-formed");
        assert!(!progress.is_complete() && progress.counts.is_incremental, "{progress:?}");
        progress.take(&message(&[soa(7)])).expect("well-formed");
        assert!(progress.is_complete(), "{progress:?}");
    }

    #[test]
    fn what_is_not_a_transfer_is_refused() {
        let refused = |octets: &[u8]| Progress::default().take(octets).expect_err("no transfer");
        assert!(refused(&message(&[A])).contains("SOA"));
        assert!(refused(&message(&[soa(1), A, soa(1), A])).contains("follow"));
        let mut no = message(&[]);
        no[5] = 5;
        assert!(refused(&no).contains("REFUSED"), "{}", refused(&no));
        let mut cut = message(&[soa(1), A]);
        let end = cut.len();
        cut[end - 5] = 200;
        assert!(refused(&cut).contains("malformed"));
    }
}
