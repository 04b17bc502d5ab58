//! Implicit updates: a device asks something, shows who it is, and where it asks from becomes its
//! record. From sightings to changes, without a clock or a socket.
//!
//! Who has a device's secret can also be a thief, and where a connection comes from need not be the
//! device. So the rules are, in this order: nothing counts that could have been sent again by anyone;
//! a secret that is at two places at once stops everything until a person has looked; only addresses
//! that the operator has listed become records, and some never do; an address counts at once after a
//! calm, and in unrest only when it stays. What is not told is left alone: one family of addresses
//! says nothing of the other, unless the operator wants that.

use crate::model::RrSet;
use crate::model::device::Device;
use crate::model::request::{Operation, Prerequisite};
use crate::model::settings::Prefix;
use einhorn_wire::RecordType;
use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long after a change another one must prove itself, in milliseconds.
pub const CALM_MS: u64 = 60_000;
/// For how long a new address must have been the only one then, in milliseconds.
pub const SETTLE_MS: u64 = 10_000;
/// How often it must have been seen then.
pub const SETTLE_TIMES: u32 = 3;
/// How long an update that was asked for may take until it is asked for again, in milliseconds.
pub const ASKED_AGAIN_MS: u64 = 5_000;
/// A return to a place that was left less than this long ago, in milliseconds, is no roaming: who
/// changes networks stays away longer.
pub const RETURN_MS: u64 = 10_000;
/// So many such returns …
pub const RETURNS_MAX: usize = 6;
/// … within so many milliseconds mean that there are two.
pub const RETURNS_WINDOW_MS: u64 = 60_000;
/// Places of a family that are remembered.
const PLACES_MAX: usize = 8;

/// A device was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Where its connection comes from.
    pub address: IpAddr,
    /// When, in milliseconds since 1970.
    pub now_ms: u64,
    /// Whether it came as TLS early data, which anyone could send again (RFC 8446 §8).
    pub is_early_data: bool,
}

/// The device's records as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its IPv4 addresses.
    pub a: Option<RrSet>,
    /// Its IPv6 addresses.
    pub aaaa: Option<RrSet>,
    /// Whether the name is an alias, which has no addresses of its own.
    pub is_alias: bool,
    /// When the name last changed, in milliseconds since 1970; 0 if it never did.
    pub changed_at_ms: u64,
}

/// One secret was at two places at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// When that was certain, in milliseconds since 1970.
    pub at_ms: u64,
    /// Where it was.
    pub places: [IpAddr; 2],
}

/// Why nothing is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// The device is revoked.
    Revoked,
    /// It was early data.
    EarlyData,
    /// The device's record is frozen.
    Frozen,
    /// Such an address is no device's: shared by a provider's customers, a relay's, or of one link.
    NeverAnAddress,
    /// The address is not among those that the operator has listed.
    NotListed,
    /// The name is an alias.
    Alias,
    /// The record says so already.
    Same,
    /// That was asked for a moment ago.
    Asked,
    /// The address has to stay for longer first.
    Unsettled,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Nothing(Quiet),
    /// An ordinary update.
    Update {
        /// That the records are as they were when this was decided.
        prerequisites: Vec<Prerequisite>,
        /// The device's own addresses.
        operations: Vec<Operation>,
    },
    /// Tell the operator; from now on nothing is done for the device.
    Freeze(Alarm),
}

/// Addresses that are no device's, whatever the operator has listed.
#[derive(Debug, Clone, Default)]
pub struct Never {
    /// The operator's own: egress addresses of relays, by their first octets.
    ranges: BTreeSet<(u8, u128)>,
}

/// Shared by the customers of a provider (RFC 6598).
const SHARED: (Ipv4Addr, u32) = (Ipv4Addr::new(100, 64, 0, 0), 10);
/// Bits of a written IPv4 address in front of its own in [`key`].
const V4_IN_V6_BITS: u8 = 96;

impl Never {
    /// These ranges beside those that nobody needs to list.
    pub fn new(ranges: impl IntoIterator<Item = Prefix>) -> Never {
        let ranges = ranges.into_iter().map(|range| {
            let offset = if range.address().is_ipv4() { V4_IN_V6_BITS } else { 0 };
            let bits = offset + range.bits();
            (bits, masked(key(range.address()), bits))
        });
        Never { ranges: ranges.collect() }
    }

    /// Whether no record may ever have this address because a device was seen there.
    pub fn contains(&self, address: IpAddr) -> bool {
        let built_in = match address {
            IpAddr::V4(v4) => {
                let shift = 32 - SHARED.1;
                let is_shared = v4.to_bits() >> shift == SHARED.0.to_bits() >> shift;
                is_shared || v4.is_link_local() || v4.is_broadcast()
            }
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let of_no_host = address.is_unspecified() || address.is_multicast();
        let key = key(address);
        let mut lengths = 0..=128_u8;
        built_in
            || of_no_host
            || lengths.any(|bits| self.ranges.contains(&(bits, masked(key, bits))))
    }
}

/// An address of either family as one number.
fn key(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn masked(number: u128, bits: u8) -> u128 {
    number & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

/// Where an address is: an IPv6 host changes the lower half as it likes (RFC 8981).
fn place(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(masked(v6.to_bits(), 64)).into(),
    }
}

/// An address that may become the record.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    address: IpAddr,
    since_ms: u64,
    times: u32,
}

/// What is known of a device's addresses of one family.
#[derive(Debug, Clone, Default)]
struct Family {
    /// Places, the newest last, and when the device was last seen there.
    places: VecDeque<(IpAddr, u64)>,
    /// When it returned to one too soon.
    returns: VecDeque<u64>,
    candidate: Option<Candidate>,
    asked: Option<(IpAddr, u64)>,
    last_seen_ms: Option<u64>,
}

impl Family {
    /// Notes where the device is; two places if it is at both.
    fn note(&mut self, address: IpAddr, now_ms: u64) -> Option<[IpAddr; 2]> {
        let here = place(address);
        let before = self.places.back().map(|(last, _)| *last);
        let known = self.places.iter().position(|(known, _)| *known == here);
        let left_at = known.and_then(|at| self.places.remove(at)).map(|(_, at_ms)| at_ms);
        self.places.push_back((here, now_ms));
        if self.places.len() > PLACES_MAX {
            self.places.pop_front();
        }
        let other = before.filter(|before| *before != here)?;
        if now_ms.saturating_sub(left_at?) >= RETURN_MS {
            return None;
        }
        self.returns.push_back(now_ms);
        while self.returns.front().is_some_and(|at| now_ms.saturating_sub(*at) > RETURNS_WINDOW_MS)
        {
            self.returns.pop_front();
        }
        (self.returns.len() >= RETURNS_MAX).then_some([other, here])
    }

    /// Whether an address that is not the record has been seen for long enough.
    fn is_settled(&mut self, address: IpAddr, now_ms: u64, is_calm: bool) -> bool {
        let candidate = match self.candidate {
            Some(known) if known.address == address => {
                Candidate { times: known.times.saturating_add(1), ..known }
            }
            _ => Candidate { address, since_ms: now_ms, times: 1 },
        };
        self.candidate = Some(candidate);
        let stayed_ms = now_ms.saturating_sub(candidate.since_ms);
        is_calm || candidate.times >= SETTLE_TIMES && stayed_ms >= SETTLE_MS
    }
}

/// What is known of one device. Its memory is bounded.
#[derive(Debug, Clone)]
pub struct Watch {
    v4: Family,
    v6: Family,
    /// Since when the device is watched.
    since_ms: u64,
    alarm: Option<Alarm>,
}

impl Watch {
    /// A device that was never seen.
    pub fn new(now_ms: u64) -> Watch {
        Watch { v4: Family::default(), v6: Family::default(), since_ms: now_ms, alarm: None }
    }

    /// One whose record was frozen before.
    pub fn frozen(now_ms: u64, alarm: Alarm) -> Watch {
        Watch { alarm: Some(alarm), ..Watch::new(now_ms) }
    }

    /// Why the device's record is frozen, if it is.
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Where the device was last, with the time in milliseconds since 1970: IPv4 and IPv6.
    pub fn last_seen(&self) -> impl Iterator<Item = (IpAddr, u64)> {
        [&self.v4, &self.v6].into_iter().filter_map(|family| family.places.back().copied())
    }

    /// Takes a sighting in.
    pub fn seen(
        &mut self,
        device: &Device,
        sighting: Sighting,
        standing: &Standing,
        never: &Never,
    ) -> Verdict {
        let Sighting { now_ms, is_early_data, .. } = sighting;
        let address = sighting.address.to_canonical();
        if let Some(quiet) = self.unheard(device, is_early_data) {
            return Verdict::Nothing(quiet);
        }
        let (family, other) = match address {
            IpAddr::V4(_) => (&mut self.v4, &self.v6),
            IpAddr::V6(_) => (&mut self.v6, &self.v4),
        };
        if let Some(places) = family.note(address, now_ms) {
            let alarm = Alarm { at_ms: now_ms, places };
            self.alarm = Some(alarm);
            return Verdict::Freeze(alarm);
        }
        if let Some(quiet) = unusable(device, address, standing, never) {
            // Where it is says at least where it is not.
            family.candidate = None;
            return Verdict::Nothing(quiet);
        }
        family.last_seen_ms = Some(now_ms);
        let mut change = Change::default();
        let quiet = change.address(device, address, standing, family, now_ms);
        let unused_since_ms = other.last_seen_ms.unwrap_or(self.since_ms);
        change.other_family(device, address, standing, now_ms.saturating_sub(unused_since_ms));
        match quiet {
            Some(quiet) if change.operations.is_empty() => Verdict::Nothing(quiet),
            _ => Verdict::Update {
                prerequisites: change.prerequisites,
                operations: change.operations,
            },
        }
    }

    /// Why the device is not to be heard at all.
    fn unheard(&self, device: &Device, is_early_data: bool) -> Option<Quiet> {
        match (device.is_revoked(), is_early_data, self.alarm) {
            (true, ..) => Some(Quiet::Revoked),
            (_, true, _) => Some(Quiet::EarlyData),
            (.., Some(_)) => Some(Quiet::Frozen),
            _ => None,
        }
    }
}

/// Why an address cannot become the device's record.
fn unusable(device: &Device, address: IpAddr, standing: &Standing, never: &Never) -> Option<Quiet> {
    if never.contains(address) {
        return Some(Quiet::NeverAnAddress);
    }
    if !device.prefixes.iter().any(|prefix| prefix.contains(address)) {
        return Some(Quiet::NotListed);
    }
    standing.is_alias.then_some(Quiet::Alias)
}

/// The rdata of an address, and its type.
fn rdata(address: IpAddr) -> (RecordType, Box<[u8]>) {
    match address {
        IpAddr::V4(v4) => (RecordType::A, v4.octets().into()),
        IpAddr::V6(v6) => (RecordType::AAAA, v6.octets().into()),
    }
}

/// An update that is being made.
#[derive(Default)]
struct Change {
    prerequisites: Vec<Prerequisite>,
    operations: Vec<Operation>,
}

impl Change {
    /// Makes the address the record of its family, or says why not.
    fn address(
        &mut self,
        device: &Device,
        address: IpAddr,
        standing: &Standing,
        family: &mut Family,
        now_ms: u64,
    ) -> Option<Quiet> {
        let (rtype, rdata) = rdata(address);
        let now = if address.is_ipv4() { &standing.a } else { &standing.aaaa };
        if now.as_ref().is_some_and(|set| set.contains(&rdata)) {
            family.candidate = None;
            return Some(Quiet::Same);
        }
        let since_ms = |at_ms: u64| now_ms.saturating_sub(at_ms);
        let is_asked =
            |(asked, at_ms): (IpAddr, u64)| asked == address && since_ms(at_ms) < ASKED_AGAIN_MS;
        if family.asked.is_some_and(is_asked) {
            return Some(Quiet::Asked);
        }
        let asked_ms = family.asked.map_or(0, |(_, at_ms)| at_ms);
        let is_calm = now.is_none() || since_ms(standing.changed_at_ms.max(asked_ms)) >= CALM_MS;
        if !family.is_settled(address, now_ms, is_calm) {
            return Some(Quiet::Unsettled);
        }
        family.asked = Some((address, now_ms));
        family.candidate = None;
        let owner = device.name.clone();
        self.expect(device, rtype, now.as_ref());
        self.operations.push(Operation::DeleteRrSet(owner.clone(), rtype));
        self.operations.push(Operation::Add { owner, rtype, ttl: device.ttl_seconds, rdata });
        None
    }

    /// Deletes the record of the other family if the operator wants that and it was unused for so
    /// long.
    fn other_family(
        &mut self,
        device: &Device,
        address: IpAddr,
        standing: &Standing,
        unused_ms: u64,
    ) {
        let Some(seconds) = device.other_family_seconds else { return };
        let (rtype, now) = match address {
            IpAddr::V4(_) => (RecordType::AAAA, &standing.aaaa),
            IpAddr::V6(_) => (RecordType::A, &standing.a),
        };
        if now.is_some() && unused_ms >= 1_000 * u64::from(seconds) {
            self.expect(device, rtype, now.as_ref());
            self.operations.push(Operation::DeleteRrSet(device.name.clone(), rtype));
        }
    }

    fn expect(&mut self, device: &Device, rtype: RecordType, now: Option<&RrSet>) {
        let owner = device.name.clone();
        self.prerequisites.push(match now {
            Some(set) => Prerequisite::RrSetEquals(owner, set.clone()),
            None => Prerequisite::RrSetAbsent(owner, rtype),
        });
    }
}

#[cfg(test)]
#[path = "implicit_tests.rs"]
mod tests;
