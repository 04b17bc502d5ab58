//! The whole state as octets, so that a restart need not fold the whole log.
//!
//! A snapshot is a cache: the logs alone are the truth, and a snapshot that cannot be read is
//! skipped. Form 8, with the words of [`super::entry`]: u8 version; origin that this site appends
//! to; list of logs (origin, text, u64 next index, u64 last time, option of u64 end and origin of
//! the successor, option of the last map root (u64
//! entries, u64 names, 32 octets, u64 time)); octets of the registry; list of
//! endorsements (origin lost, origin endorser, origin successor, u32 round, u64 held, u64 index); list of
//! withdrawals (two origins, u32 round); list of positions of leftovers; octets of the
//! transactions under way; octets of the open reviews; list of removed zones (name, u32 incarnation); list of zones; u64 latest second until which forgotten requests were remembered; list of remembered
//! requests (16 octets id, u64 until, position); list of sources; list of edges
//! (8 octets tag, u64 lowest number that is not settled). Form 7 ends before the edges, form 6 before the
//! sources; both are read too.
//!
//! Source: text name, origin home, u64 revision, octets head, list of its records (u64 revision, octets item).
//!
//! Zone: name apex, u32 incarnation, origin home, u32 serial, u64 and octets settings, list of
//! waiting points (position, u32 serial, list of positions), list of names as of the serial where they
//! differ (octets key, option of octets record), list of octets of uncovered records, list of
//! names (octets record). A record is as it lies in memory.

use super::codec::{Malformed, Put, TOO_SHORT, Take};
use super::edge::EdgeTag;
use super::points::Point;
use super::review::Reviews;
use super::settings::Settings;
use super::source::{Head, Item, Sources};
use super::state::{Closed, Endorsed, Log, MapRootLogged};
use super::transaction::Transactions;
use super::tree::Tree;
use super::{Effects, NameRecord, Origin, Registry, State, Zone};
use crate::commit::bug::{Bug, has};
use std::sync::Arc;

const VERSION: u8 = 8;
/// The form without edges.
const VERSION_WITHOUT_EDGES: u8 = 7;
/// The form without sources.
const VERSION_WITHOUT_SOURCES: u8 = 6;

/// Writes `state`.
pub fn encode(state: &State) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut put = Put(&mut octets);
    put.u8(VERSION);
    put_head(&mut put, state);
    put.count(state.zones.iter().count());
    for zone in state.zones.iter() {
        put_zone(&mut put, zone);
    }
    put.u64(state.requests.forgotten_until_seconds);
    put.count(state.remembered());
    for (id, until_seconds, at) in state.requests.iter() {
        put.bytes(&id);
        put.u64(until_seconds);
        put.position(at);
    }
    put_sources(&mut put, &state.sources);
    let edges = state.requests.edges.lowest();
    put.count(edges.len());
    for (edge, lowest) in edges {
        put.bytes(&edge.0);
        put.u64(lowest);
    }
    octets
}

fn put_sources(put: &mut Put<'_>, sources: &Sources) {
    put.count(sources.iter().count());
    let mut octets = Vec::new();
    for (name, source) in sources.iter() {
        put.text(name);
        put.origin(source.home);
        put.u64(source.revision);
        octets.clear();
        source.head.put(&mut Put(&mut octets));
        put.octets(&octets);
        put.count(source.records().count());
        for record in source.records() {
            put.u64(record.revision());
            octets.clear();
            record.item().put(&mut Put(&mut octets));
            put.octets(&octets);
        }
    }
}

fn put_head(put: &mut Put<'_>, state: &State) {
    put.origin(state.origin);
    put.count(state.logs.len());
    for (origin, log) in &state.logs {
        put.origin(*origin);
        put.text(&log.name);
        put.u64(log.next_index);
        put.u64(log.last_time_ms);
        put.option(log.closed, |put, closed| {
            put.u64(closed.end);
            put.origin(closed.successor);
        });
        put.option(log.map_root, |put, map| {
            put.u64(map.at);
            put.u64(map.names);
            put.bytes(&map.root);
            put.u64(map.time_ms);
        });
    }
    let mut registry = Vec::new();
    state.registry.put(&mut Put(&mut registry));
    put.octets(&registry);
    put.count(state.endorsements.len());
    for ((lost, endorser), endorsed) in &state.endorsements {
        put.origin(*lost);
        put.origin(*endorser);
        put.origin(endorsed.successor);
        put.u32(endorsed.round);
        put.u64(endorsed.held);
        put.u64(endorsed.index);
    }
    put.count(state.withdrawn.len());
    for ((lost, successor), round) in &state.withdrawn {
        put.origin(*lost);
        put.origin(*successor);
        put.u32(*round);
    }
    put.count(state.leftovers.len());
    state.leftovers.iter().for_each(|at| put.position(*at));
    let mut transactions = Vec::new();
    state.transactions.put(&mut Put(&mut transactions));
    put.octets(&transactions);
    let mut reviews = Vec::new();
    state.reviews.put(&mut Put(&mut reviews));
    put.octets(&reviews);
    put.count(state.removed.len());
    for (apex, incarnation) in &state.removed {
        put.name(apex);
        put.u32(*incarnation);
    }
}

fn put_zone(put: &mut Put<'_>, zone: &Zone) {
    put.name(&zone.apex);
    put.u32(zone.incarnation);
    put.origin(zone.home);
    put.u32(zone.serial);
    put.u64(zone.settings_version);
    let mut settings = Vec::new();
    zone.settings.put(&mut Put(&mut settings));
    put.octets(&settings);
    put.count(zone.points.waiting.len());
    for point in &zone.points.waiting {
        put.position(point.at);
        put.u32(point.serial);
        put.count(point.covers.len());
        point.covers.iter().for_each(|at| put.position(*at));
    }
    put.count(zone.points.uncovered.len());
    for record in &zone.points.uncovered {
        let key = record.owner().canonical_key();
        put.octets(key.as_ref());
        let at_serial = zone.points.names.get(key.as_ref());
        put.option(at_serial, |put, record| put.octets(record.octets()));
    }
    put.count(zone.points.uncovered.len());
    zone.points.uncovered.iter().for_each(|record| put.octets(record.octets()));
    put.count(zone.names.iter().count());
    zone.names.iter().for_each(|record| put.octets(record.octets()));
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
    /// The form.
    version: u8,
    /// Octets of a thing that is not whole yet.
    rest: Vec<u8>,
    /// Why nothing more is read.
    problem: Option<Malformed>,
}

/// What comes next in a snapshot.
enum Due {
    Head,
    /// So many zones, the first of them with so many more names, and where it was otherwise at its
    /// serial.
    Zones(usize, Option<(Zone, usize, AtSerial)>),
    RequestsHead,
    Requests(usize),
    SourcesHead,
    /// So many sources, of which the one with this name has so many more records.
    Sources(usize, Option<(String, usize)>),
    EdgesHead,
    /// So many edges.
    Edges(usize),
    Nothing,
}

/// Names that were otherwise at the zone's serial, by key; `None` for those that were not there.
type AtSerial = Vec<(Box<[u8]>, Option<NameRecord>)>;

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            state: State::empty(Origin::NONE),
            due: Due::Head,
            version: VERSION,
            rest: Vec::new(),
            problem: None,
        }
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
            (None, Due::Nothing) if self.rest.is_empty() => {
                self.state.wait_for_points(&mut Effects::default());
                Ok(self.state)
            }
            (None, _) => Err(TOO_SHORT),
        }
    }

    /// Reads one thing: a head, a name or a request.
    fn step(&mut self, take: &mut Take<'_>) -> Result<(), Malformed> {
        self.skip_empty();
        match &mut self.due {
            Due::Head => {
                let (zones, version) = take_head(take, &mut self.state)?;
                self.version = version;
                self.due = Due::Zones(zones, None);
            }
            Due::Zones(_, zone @ None) => *zone = Some(take_zone(take)?),
            Due::Zones(_, Some((zone, left, _))) => {
                let record = NameRecord::from_octets(take_octets(take)?)?;
                zone.names.insert(record.owner().canonical_key().as_ref(), record);
                *left -= 1;
            }
            Due::RequestsHead => {
                self.state.requests.forgotten_until_seconds = take.u64()?;
                self.due = Due::Requests(take.u32()? as usize);
            }
            Due::Requests(left) => {
                let (id, until_seconds, at) = (take.array()?, take.u64()?, take.position()?);
                if !has(Bug::DoneForgottenAtRestart) {
                    self.state.requests.restore(id, until_seconds, at);
                }
                *left -= 1;
            }
            Due::SourcesHead => self.due = Due::Sources(take.u32()? as usize, None),
            Due::Sources(_, source @ None) => {
                let (name, home, revision) = (take_text(take)?, take.origin()?, take.u64()?);
                let head = Head::take(&mut Take { rest: take_octets(take)? })?;
                let records = take.u32()? as usize;
                self.state.sources.insert(name.clone(), home, revision, head);
                *source = Some((name, records));
            }
            Due::Sources(_, Some((name, left))) => {
                let revision = take.u64()?;
                let item = Item::take(&mut Take { rest: take_octets(take)? })?;
                self.state.sources.insert_record(name, &item, revision);
                *left -= 1;
            }
            Due::EdgesHead => self.due = Due::Edges(take.u32()? as usize),
            Due::Edges(left) => {
                self.state.requests.edges.raise(EdgeTag(take.array()?), take.u64()?);
                *left -= 1;
            }
            Due::Nothing => return Err(Malformed("snapshot: octets after its end")),
        }
        Ok(())
    }

    /// Goes on where there is nothing left to read.
    fn skip_empty(&mut self) {
        if let Due::Zones(left, zone) = &mut self.due
            && let Some((mut zone, _, at_serial)) = zone.take_if(|(_, names, _)| *names == 0)
        {
            *left -= 1;
            zone.points.names = at_serial_of(&zone, at_serial);
            let key = zone.apex.canonical_key();
            self.state.zones.0.insert(key.as_ref(), Arc::new(zone));
        }
        match self.due {
            Due::Zones(0, None) => self.due = Due::RequestsHead,
            Due::Requests(0) if self.version > VERSION_WITHOUT_SOURCES => {
                self.due = Due::SourcesHead
            }
            Due::Requests(0) => self.due = Due::Nothing,
            _ => {}
        }
        if let Due::Sources(left, source) = &mut self.due {
            if source.take_if(|(_, records)| *records == 0).is_some() {
                *left -= 1;
            }
            if (*left, source.is_none()) == (0, true) {
                let has_edges = self.version > VERSION_WITHOUT_EDGES;
                self.due = if has_edges { Due::EdgesHead } else { Due::Nothing };
            }
        }
        if matches!(self.due, Due::Edges(0)) {
            self.due = Due::Nothing;
        }
    }
}

/// The names as of the zone's serial.
fn at_serial_of(zone: &Zone, differing: AtSerial) -> Tree<NameRecord> {
    let mut names = zone.names.clone();
    for (key, record) in differing {
        if let Some(record) = record {
            names.insert(&key, record);
        } else {
            names.remove(&key);
        }
    }
    names
}

/// Octets behind their length, of which perhaps not all are there yet.
fn take_octets<'a>(take: &mut Take<'a>) -> Result<&'a [u8], Malformed> {
    let length = take.u32()? as usize;
    take.bytes(length)
}

/// As [`Take::list`], where not all may be there yet.
fn take_list<'a, T>(
    take: &mut Take<'a>,
    mut each: impl FnMut(&mut Take<'a>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = take.u32()?;
    let mut things = Vec::new();
    for _ in 0..count {
        things.push(each(take)?);
    }
    Ok(things)
}

/// Reads a zone up to its names, and the number of those.
fn take_zone(take: &mut Take<'_>) -> Result<(Zone, usize, AtSerial), Malformed> {
    let mut zone = Zone::empty(take.name()?);
    zone.incarnation = take.u32()?;
    zone.home = take.origin()?;
    zone.serial = take.u32()?;
    zone.settings_version = take.u64()?;
    zone.settings = Arc::new(Settings::take(&mut Take { rest: take_octets(take)? })?);
    let point = |take: &mut Take<'_>| {
        let (at, serial) = (take.position()?, take.u32()?);
        Ok(Point { at, serial, covers: take_list(take, Take::position)? })
    };
    zone.points.waiting = take_list(take, point)?.into();
    let record = |take: &mut Take<'_>| NameRecord::from_octets(take_octets(take)?);
    let at_serial = take_list(take, |take| {
        let key = take_octets(take)?.into();
        Ok((key, if take.flag()? { Some(record(take)?) } else { None }))
    })?;
    zone.points.uncovered = take_list(take, record)?;
    Ok((zone, take.u32()? as usize, at_serial))
}

/// Reads up to the number of zones, which it returns, and the form.
fn take_head(take: &mut Take<'_>, state: &mut State) -> Result<(usize, u8), Malformed> {
    let version = take.u8()?;
    if !(VERSION_WITHOUT_SOURCES..=VERSION).contains(&version) {
        return Err(Malformed("snapshot: of another version"));
    }
    state.origin = take.origin()?;
    let logs = take_list(take, |take| {
        let (origin, name) = (take.origin()?, take_text(take)?);
        let (next_index, last_time_ms) = (take.u64()?, take.u64()?);
        let closed =
            take.option(|take| Ok(Closed { end: take.u64()?, successor: take.origin()? }))?;
        let map_root = take.option(|take| {
            let (at, names, root) = (take.u64()?, take.u64()?, take.array()?);
            Ok(MapRootLogged { at, names, root, time_ms: take.u64()? })
        })?;
        Ok((origin, Log { name, next_index, last_time_ms, closed, map_root }))
    })?;
    state.logs = logs.into_iter().collect();
    state.registry = Arc::new(Registry::take(&mut Take { rest: take_octets(take)? })?);
    let endorsements = take_list(take, |take| {
        let key = (take.origin()?, take.origin()?);
        let (successor, round) = (take.origin()?, take.u32()?);
        Ok((key, Endorsed { successor, round, held: take.u64()?, index: take.u64()? }))
    })?;
    state.endorsements = endorsements.into_iter().collect();
    let withdrawn = take_list(take, |take| Ok(((take.origin()?, take.origin()?), take.u32()?)))?;
    state.withdrawn = withdrawn.into_iter().collect();
    state.leftovers = take_list(take, Take::position)?;
    let mut transactions = Take { rest: take_octets(take)? };
    state.transactions = Transactions::take(&mut transactions)?;
    transactions.end()?;
    let mut reviews = Take { rest: take_octets(take)? };
    state.reviews = Reviews::take(&mut reviews)?;
    reviews.end()?;
    state.removed = take_list(take, |take| Ok((take.name()?, take.u32()?)))?.into_iter().collect();
    Ok((take.u32()? as usize, version))
}

fn take_text(take: &mut Take<'_>) -> Result<String, Malformed> {
    String::from_utf8(take_octets(take)?.to_vec()).map_err(|_| Malformed("snapshot: text"))
}
