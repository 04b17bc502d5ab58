//! The whole state as octets, so that a restart need not fold the whole log.
//!
//! A snapshot is a cache: the log alone is the truth, and a snapshot that cannot be read is
//! skipped. Form, with big-endian integers: u8 version (2), u16 site, u16 generation, u64 next
//! index, u64 last time, origin name (u16 length), list of zones (name apex, u32 serial, u32
//! length and settings, list of names, each u32 length and the record as it lies in memory), u64 latest second until
//! which forgotten requests were remembered, list of remembered requests (16 octets id, u64 until,
//! u64 index).

use super::codec::{Malformed, Put, TOO_SHORT, Take};
use super::settings::Settings;
use super::{NameRecord, Origin, State, Zone};
use std::sync::Arc;

const VERSION: u8 = 2;

/// Writes `state`, which must have nothing unpublished.
pub fn encode(state: &State) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut put = Put(&mut octets);
    put.u8(VERSION);
    put.u16(state.origin.site);
    put.u16(state.origin.generation);
    put.u64(state.next_index);
    put.u64(state.last_time_ms);
    put.u16(state.origin_name.len() as u16);
    put.bytes(state.origin_name.as_bytes());
    put.count(state.zones.iter().count());
    for zone in state.zones.iter() {
        assert!(!zone.unpublished, "a snapshot between a change and its publication");
        put.name(&zone.apex);
        put.u32(zone.serial);
        let mut settings = Vec::new();
        zone.settings.put(&mut Put(&mut settings));
        put.count(settings.len());
        put.bytes(&settings);
        put.count(zone.names.iter().count());
        for record in zone.names.iter() {
            put.count(record.octets().len());
            put.bytes(record.octets());
        }
    }
    put.u64(state.requests.forgotten_until_seconds);
    put.count(state.remembered());
    for (id, until_seconds, index) in state.requests.iter() {
        put.bytes(&id);
        put.u64(until_seconds);
        put.u64(index);
    }
    octets
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`Malformed`] for anything else.
pub fn decode(octets: &[u8]) -> Result<State, Malformed> {
    let mut decoder = Decoder::default();
    decoder.push(octets);
    decoder.finish()
}

/// Reads what [`encode`] wrote, in pieces, so that the whole of it need not lie in memory beside
/// the state.
pub struct Decoder {
    state: State,
    due: Due,
    /// Octets of a thing that is not whole yet.
    rest: Vec<u8>,
    /// Why nothing more is read.
    problem: Option<Malformed>,
}

/// What comes next in a snapshot.
enum Due {
    Head,
    /// So many zones, the first of them with so many more names.
    Zones(usize, Option<(Zone, usize)>),
    RequestsHead,
    Requests(usize),
    Nothing,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { state: State::empty(), due: Due::Head, rest: Vec::new(), problem: None }
    }
}

impl Decoder {
    /// Takes the next piece.
    pub fn push(&mut self, octets: &[u8]) {
        if self.problem.is_some() {
            return;
        }
        // Small: a piece ends in the middle of one thing.
        let mut joined = std::mem::take(&mut self.rest);
        let octets = if joined.is_empty() {
            octets
        } else {
            joined.extend_from_slice(octets);
            &joined
        };
        let mut rest = octets;
        while !rest.is_empty() {
            let mut take = Take { rest };
            match self.step(&mut take) {
                Ok(()) => rest = take.rest,
                Err(TOO_SHORT) => break,
                Err(problem) => {
                    self.problem = Some(problem);
                    return;
                }
            }
        }
        self.rest = rest.to_vec();
    }

    /// The state, when all was pushed.
    ///
    /// # Errors
    /// [`Malformed`] if that was no snapshot.
    pub fn finish(mut self) -> Result<State, Malformed> {
        self.skip_empty();
        match (self.problem, &self.due) {
            (Some(problem), _) => Err(problem),
            (None, Due::Nothing) if self.rest.is_empty() => Ok(self.state),
            (None, _) => Err(TOO_SHORT),
        }
    }

    /// Reads one thing: a head, a name or a request.
    fn step(&mut self, take: &mut Take<'_>) -> Result<(), Malformed> {
        self.skip_empty();
        match &mut self.due {
            Due::Head => {
                let zones = take_head(take, &mut self.state)?;
                self.due = Due::Zones(zones, None);
            }
            Due::Zones(_, zone @ None) => {
                let (apex, serial) = (take.name()?, take.u32()?);
                let length = take.u32()? as usize;
                let mut settings = Take { rest: take.bytes(length)? };
                let settings = Arc::new(Settings::take(&mut settings)?);
                let count = take.u32()? as usize;
                *zone = Some((Zone::restored(apex, serial, settings), count));
            }
            Due::Zones(_, Some((zone, left))) => {
                let length = take.u32()? as usize;
                let record = NameRecord::from_octets(take.bytes(length)?)?;
                zone.names.insert(record.owner().canonical_key().as_ref(), record);
                *left -= 1;
            }
            Due::RequestsHead => {
                self.state.requests.forgotten_until_seconds = take.u64()?;
                self.due = Due::Requests(take.u32()? as usize);
            }
            Due::Requests(left) => {
                let (id, until_seconds, index) = (take.array()?, take.u64()?, take.u64()?);
                self.state.requests.insert(id, until_seconds, index);
                *left -= 1;
            }
            Due::Nothing => return Err(Malformed("snapshot: octets after its end")),
        }
        Ok(())
    }

    /// Goes on where there is nothing left to read.
    fn skip_empty(&mut self) {
        if let Due::Zones(left, zone) = &mut self.due
            && let Some((zone, _)) = zone.take_if(|(_, names)| *names == 0)
        {
            *left -= 1;
            let key = zone.apex.canonical_key();
            self.state.zones.0.insert(key.as_ref(), Arc::new(zone));
        }
        match self.due {
            Due::Zones(0, None) => self.due = Due::RequestsHead,
            Due::Requests(0) => self.due = Due::Nothing,
            _ => {}
        }
    }
}

/// Reads up to the number of zones, which it returns.
fn take_head(take: &mut Take<'_>, state: &mut State) -> Result<usize, Malformed> {
    if take.u8()? != VERSION {
        return Err(Malformed("snapshot: of another version"));
    }
    state.origin = Origin { site: take.u16()?, generation: take.u16()? };
    state.next_index = take.u64()?;
    state.last_time_ms = take.u64()?;
    let length = take.u16()?;
    state.origin_name = String::from_utf8(take.bytes(length.into())?.to_vec())
        .map_err(|_| Malformed("snapshot: origin"))?;
    Ok(take.u32()? as usize)
}
