//! The whole state as octets, so that a restart need not fold the whole log.
//!
//! A snapshot is a cache: the log alone is the truth, and a snapshot that cannot be read is
//! skipped. Form, with big-endian integers: u8 version (2), u16 site, u16 generation, u64 next
//! index, u64 last time, origin name (u16 length), list of zones (name apex, u32 serial, settings,
//! list of names, each u32 length and the record as it lies in memory), u64 latest second until
//! which forgotten requests were remembered, list of remembered requests (16 octets id, u64 until,
//! u64 index).

use super::codec::{Malformed, Put, Take};
use super::settings::Settings;
use super::tree::Tree;
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
        zone.settings.put(&mut put);
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
    let mut take = Take { rest: octets };
    if take.u8()? != VERSION {
        return Err(Malformed("snapshot: of another version"));
    }
    let mut state = State::empty();
    state.origin = Origin { site: take.u16()?, generation: take.u16()? };
    state.next_index = take.u64()?;
    state.last_time_ms = take.u64()?;
    let length = take.u16()?;
    state.origin_name = String::from_utf8(take.bytes(length.into())?.to_vec())
        .map_err(|_| Malformed("snapshot: origin"))?;
    for _ in 0..take.count(9)? {
        let (apex, serial) = (take.name()?, take.u32()?);
        let settings = Arc::new(Settings::take(&mut take)?);
        let mut names = Tree::default();
        for _ in 0..take.count(20)? {
            let length = take.count(1)?;
            let record = NameRecord::from_octets(take.bytes(length)?)?;
            names.insert(record.owner().canonical_key().as_ref(), record);
        }
        let key = apex.canonical_key();
        let zone = Zone { apex, names, serial, unpublished: false, settings };
        state.zones.0.insert(key.as_ref(), Arc::new(zone));
    }
    state.requests.forgotten_until_seconds = take.u64()?;
    for _ in 0..take.count(32)? {
        let (id, until_seconds, index) = (take.array()?, take.u64()?, take.u64()?);
        state.requests.insert(id, until_seconds, index);
    }
    take.end()?;
    Ok(state)
}
