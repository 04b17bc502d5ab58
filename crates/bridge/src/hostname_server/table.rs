//! The host table that some zones are at one moment.
//!
//! A name with addresses is a host, its nicknames the `CNAME` records that point to it; a name with a
//! `PTR` into `in-addr.arpa` is a network (RFC 1101); a zone, and what it delegates, is a domain, with the
//! addresses of its servers as far as these zones have them. The DNS knows no gateways.
//!
//! Names of the first zone are shown as they stand in it, those of the others in full, as the bridge reads
//! them. Nothing is built beforehand: a question looks at every name once, a table once for each kind.

use super::{Shown, View};
use crate::codec::Format;
use crate::live::image::{HINFO, Placing, network};
use crate::live::lift::strings;
use crate::record::{Address, Field, Kind};
use crate::text::Text;
use einhorn_core::model::tree::Live;
use einhorn_core::model::{NameRecord, Zone, Zones};
use einhorn_wire::rdata::target;
use einhorn_wire::{Name, RecordType};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// Kinds of entries that zones have.
const KINDS: [Kind; 3] = [Kind::Net, Kind::Host, Kind::Domain];

/// A table made of zones.
pub struct Table<'z> {
    zones: Vec<Placed<'z>>,
}

/// A zone, and how its names are written.
struct Placed<'z> {
    zone: &'z Zone,
    placing: Placing,
    /// Its names are written without its own.
    is_first: bool,
}

/// A name of a zone.
#[derive(Clone, Copy)]
struct Found<'t, 'z> {
    of: &'t Placed<'z>,
    record: &'z NameRecord,
    /// The zone says of it only who has it.
    is_delegated: bool,
}

/// The nicknames of hosts.
type Nicknames = HashMap<Name, Vec<Text>>;

impl<'z> Table<'z> {
    /// The table of the zones with these names; `None` if one of them is not served now.
    pub fn new(zones: &'z Zones, expired: &HashSet<Name>, apexes: &[Name]) -> Option<Table<'z>> {
        let placed = |(at, apex): (usize, &Name)| {
            let zone = zones.get(apex).filter(|zone| zone.soa().is_some())?;
            let zone: &Zone = zone;
            let placing = Placing { zone: apex.clone(), format: Format::HostsTxt, ttl_seconds: 0 };
            (!expired.contains(apex)).then_some(Placed { zone, placing, is_first: at == 0 })
        };
        Some(Table { zones: apexes.iter().enumerate().map(placed).collect::<Option<_>>()? })
    }

    /// Shows every name that the zones speak for.
    fn each(&self, take: &mut dyn FnMut(Found<'_, 'z>) -> ControlFlow<()>) -> ControlFlow<()> {
        for of in &self.zones {
            let mut cut: Option<Name> = None;
            for record in of.zone.names.iter().filter(|record| record.is_live()) {
                // What lies below a delegation is for others to say, and comes right behind it.
                if let Some(above) = &cut {
                    if record.owner().to_name().is_at_or_below(above) {
                        continue;
                    }
                    cut = None;
                }
                let is_delegated = of.delegates(record);
                if is_delegated {
                    cut = Some(record.owner().to_name());
                }
                if !is_wildcard(record) {
                    take(Found { of, record, is_delegated })?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The names of hosts that satisfy `wanted`, each with its nicknames.
    fn nicknames(&self, wanted: impl Fn(&Name) -> bool) -> Nicknames {
        let mut nicknames = Nicknames::new();
        _ = self.each(&mut |found| {
            let alias = found.record.rrset(RecordType::CNAME);
            let host = alias.and_then(|set| target(RecordType::CNAME, set.first()));
            if let Some(host) = host.filter(|host| !found.is_delegated && wanted(host)) {
                nicknames.entry(host).or_default().push(found.of.text(&found.owner()));
            }
            ControlFlow::Continue(())
        });
        nicknames
    }

    /// What the zones have at a name.
    fn at<'t>(&'t self, name: &'t Name) -> impl Iterator<Item = Found<'t, 'z>> {
        self.zones.iter().filter_map(|of| of.find(name))
    }

    /// The entries of these names.
    fn entries(&self, all: &[Found<'_, 'z>]) -> Vec<Shown> {
        let owners: HashSet<Name> = all.iter().map(Found::owner).collect();
        let nicknames = match all.is_empty() {
            true => Nicknames::new(),
            false => self.nicknames(|host| owners.contains(host)),
        };
        let entry = |kind| all.iter().map(move |found| (kind, found));
        let entries = KINDS.into_iter().flat_map(entry);
        entries.filter_map(|(kind, found)| self.entry(kind, found, &nicknames)).collect()
    }

    /// The entry of this kind that a name is, if it is one.
    fn entry(&self, kind: Kind, found: &Found<'_, 'z>, nicknames: &Nicknames) -> Option<Shown> {
        let addresses = match kind {
            Kind::Domain => return self.domain(found),
            _ if found.is_delegated => return None,
            Kind::Net => found.networks(),
            Kind::Host | Kind::Gateway => found.addresses(),
        };
        if !addresses.iter().any(|address| matches!(address, Address::V4(_))) {
            return None;
        }
        let owner = found.owner();
        let known = nicknames.get(&owner).map_or(&[][..], Vec::as_slice);
        let mut shown = Shown::new(kind, found.of.text(&owner), addresses);
        if kind == Kind::Host {
            shown.names.extend_from_slice(known);
            let info = found.record.rrset(HINFO).map(|set| strings(set.first()));
            let text = |field: Field<Text>| field.value().cloned().unwrap_or_default();
            let (machine, system) = info.unwrap_or_default();
            (shown.machine, shown.system) = (text(machine), text(system));
        }
        Some(shown)
    }

    /// A zone, or what it delegates, with its servers' addresses.
    fn domain(&self, found: &Found<'_, 'z>) -> Option<Shown> {
        let owner = found.owner();
        if !found.is_delegated && owner != found.of.zone.apex {
            return None;
        }
        let mut addresses: Vec<Address> = Vec::new();
        for server in found.record.rrset(RecordType::NS)?.rdatas() {
            let Some(server) = target(RecordType::NS, server) else { continue };
            // Glue counts here, as it does for whoever follows a delegation.
            for of in &self.zones {
                let Some(record) = of.zone.name(&server) else { continue };
                for address in (Found { of, record, is_delegated: false }).addresses() {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
            }
        }
        Some(Shown::new(Kind::Domain, found.of.text(&owner), addresses))
    }
}

impl View for Table<'_> {
    fn by_name(&self, name: &Text) -> Vec<Shown> {
        let owners: Vec<Name> = self.zones.iter().filter_map(|of| of.owner(name)).collect();
        let mut all: Vec<Found<'_, '_>> = owners.iter().flat_map(|owner| self.at(owner)).collect();
        let hosts: Vec<Name> = all.iter().filter_map(Found::alias_of).collect();
        all.extend(hosts.iter().flat_map(|host| self.at(host)));
        self.entries(&all)
    }

    fn by_address(&self, address: &Address) -> Vec<Shown> {
        let mut all: Vec<&NameRecord> = Vec::new();
        let has = |found: &Found<'_, '_>| match address {
            Address::V4(v4) => {
                let set = found.record.rrset(RecordType::A);
                set.is_some_and(|set| set.contains(&v4.octets()))
                    || found.networks().contains(address)
            }
            Address::V6(v6) => {
                let set = found.record.rrset(RecordType::AAAA);
                set.is_some_and(|set| set.contains(&v6.octets()))
            }
            Address::Foreign(_) => false,
        };
        _ = self.each(&mut |found| {
            if !found.is_delegated && has(&found) {
                all.push(found.record);
            }
            ControlFlow::Continue(())
        });
        let owners: Vec<Name> = all.iter().map(|record| record.owner().to_name()).collect();
        let found: Vec<Found<'_, '_>> = owners.iter().flat_map(|owner| self.at(owner)).collect();
        let mut entries = self.entries(&found);
        entries.retain(|shown| shown.kind != Kind::Domain);
        entries
    }

    fn all(&self, take: &mut dyn FnMut(&Shown) -> ControlFlow<()>) -> ControlFlow<()> {
        let nicknames = self.nicknames(|_| true);
        KINDS.into_iter().try_for_each(|kind| {
            self.each(&mut |found| match self.entry(kind, &found, &nicknames) {
                Some(shown) => take(&shown),
                None => ControlFlow::Continue(()),
            })
        })
    }

    /// The serials of the zones: it changes when one of them does.
    fn version(&self) -> String {
        let serials: Vec<_> = self.zones.iter().map(|of| of.zone.serial.to_string()).collect();
        serials.join(".")
    }
}

/// Whether a name stands for others, and for no host.
fn is_wildcard(record: &NameRecord) -> bool {
    record.owner().labels().next() == Some(b"*")
}

impl<'z> Placed<'z> {
    fn delegates(&self, record: &NameRecord) -> bool {
        record.rrset(RecordType::NS).is_some() && record.owner() != self.zone.apex
    }

    /// What the zone has at a name, unless others have authority for it.
    fn find(&self, name: &Name) -> Option<Found<'_, 'z>> {
        let key = name.canonical_key();
        let mut is_occluded = false;
        let found =
            self.zone.names.descend(key.as_ref(), |above| is_occluded |= self.delegates(above));
        let record = found
            .value
            .filter(|record| record.is_live() && !is_occluded && !is_wildcard(record))?;
        Some(Found { of: self, record, is_delegated: self.delegates(record) })
    }

    /// How a name is written.
    fn text(&self, name: &Name) -> Text {
        if self.is_first && *name != self.zone.apex {
            return self.placing.text(name);
        }
        let labels: Vec<&[u8]> = name.labels().collect();
        Text::from(labels.join(&b'.')).to_upper()
    }

    /// The name that somebody may mean by this.
    fn owner(&self, text: &Text) -> Option<Name> {
        let owner = self.placing.owner(text)?;
        let octets = text.octets();
        let is_meant = |owner: &Name| {
            let full = Text::from(octets.strip_suffix(b".").unwrap_or(octets));
            self.is_first || self.text(owner).same_name(&full)
        };
        is_meant(&owner).then_some(owner)
    }
}

impl Found<'_, '_> {
    fn owner(&self) -> Name {
        self.record.owner().to_name()
    }

    fn alias_of(&self) -> Option<Name> {
        let alias = self.record.rrset(RecordType::CNAME).filter(|_| !self.is_delegated)?;
        target(RecordType::CNAME, alias.first())
    }

    fn addresses(&self) -> Vec<Address> {
        let of = |rtype| self.record.rrset(rtype).into_iter().flat_map(|set| set.rdatas());
        let v4 = of(RecordType::A).filter_map(|rdata| <[u8; 4]>::try_from(rdata).ok());
        let v6 = of(RecordType::AAAA).filter_map(|rdata| <[u8; 16]>::try_from(rdata).ok());
        let v4 = v4.map(|octets| Address::V4(octets.into()));
        v4.chain(v6.map(|octets| Address::V6(octets.into()))).collect()
    }

    fn networks(&self) -> Vec<Address> {
        let set = self.record.rrset(RecordType::PTR);
        set.into_iter().flat_map(|set| set.rdatas()).filter_map(network).collect()
    }
}

impl Shown {
    fn new(kind: Kind, name: Text, addresses: Vec<Address>) -> Shown {
        let (machine, system) = (Text::default(), Text::default());
        Shown { kind, names: vec![name], addresses, machine, system, protocols: Vec::new() }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
