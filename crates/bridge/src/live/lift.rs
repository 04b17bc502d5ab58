//! What a zone says, in terms of a source: its records as they were, but for what was changed in the zone
//! since, and hosts that the source does not know.
//!
//! What the DNS cannot hold (services, remarks, addresses of other networks) is as the source said it: the
//! cluster never changes that.

use super::image::{Claims, Data, HINFO, Image, Placing, hinfo, images, network, same, same_data};
use crate::merge::{Entry, Shared, State};
use crate::record::{Address, Field, Fields, HostId, Key, Kind};
use crate::text::Text;
use einhorn_core::exchange::KnownName;
use einhorn_wire::rdata::{Presentation, target};
use einhorn_wire::{Name, RecordType};
use std::collections::{HashMap, HashSet};

/// The zone's names by name.
pub struct Content<'v> {
    names: HashMap<&'v Name, &'v KnownName>,
    all: &'v [KnownName],
}

impl<'v> Content<'v> {
    /// Of these names.
    pub fn new(all: &'v [KnownName]) -> Content<'v> {
        Content { names: all.iter().map(|known| (&known.owner, known)).collect(), all }
    }

    /// What is known of a name.
    pub fn get(&self, name: &Name) -> Option<&'v KnownName> {
        self.names.get(name).copied()
    }
}

/// What the zone says of a source's hosts. `theirs` are the hosts that it says now: of one that only the
/// zone knew so far, they say what the DNS cannot hold.
pub fn lift(placing: &Placing, base: &State, theirs: &State, content: &Content<'_>) -> State {
    let images = images(placing, base.entries());
    let claims = Claims::of(&images, |_| true);
    let lifting = Lifting { placing, base, theirs, content, images: &images, claims: &claims };
    let mut changed: HashSet<usize> = HashSet::new();
    for (name, claim) in &claims.by_name {
        let current = content.get(name).map(|known| placing.managed(&known.sets));
        if !same_data(&claim.data(&images), &current.unwrap_or_default()) {
            changed.extend(claim.hosts.iter().copied());
            changed.extend(claim.alias_of);
        }
    }
    let strangers = lifting.strangers();
    // A CNAME that the source does not know is a nickname of the host that it points to.
    let mut aliases: HashMap<Name, Vec<Name>> = HashMap::new();
    for (name, current) in &strangers {
        if let Some(host) = alias_target(current) {
            if let Some(claim) = claims.by_name.get(&host) {
                changed.extend(claim.hosts.first());
            }
            aliases.entry(host).or_default().push((*name).clone());
        }
    }
    let mut entries: Vec<Shared> = Vec::with_capacity(base.len() + strangers.len());
    for (at, entry) in base.entries().iter().enumerate() {
        match changed.contains(&at) {
            false => entries.push(entry.clone()),
            true => entries.extend(lifting.changed(at, entry, &aliases)),
        }
    }
    let own: HashSet<&Name> =
        strangers.iter().filter(|(_, data)| has_own(data)).map(|(name, _)| *name).collect();
    for (name, current) in &strangers {
        let is_known = |host: Name| {
            claims.by_name.get(&host).is_some_and(|claim| !claim.hosts.is_empty())
                || own.contains(&host)
        };
        if !alias_target(current).is_some_and(is_known) {
            entries.push(lifting.stranger(name, current, &aliases));
        }
    }
    State::new(entries).0
}

struct Lifting<'l> {
    placing: &'l Placing,
    base: &'l State,
    theirs: &'l State,
    content: &'l Content<'l>,
    images: &'l [Image],
    claims: &'l Claims,
}

/// A name's records that are the source's to change.
type Current = Vec<Data>;

impl<'l> Lifting<'l> {
    /// Names of the zone with records that the source could have, of which it knows nothing.
    fn strangers(&self) -> Vec<(&'l Name, Current)> {
        let known = self.content.all.iter().filter(|known| known.owner != self.placing.zone);
        let known = known.filter(|known| !self.claims.by_name.contains_key(&known.owner));
        known
            .map(|known| (&known.owner, self.placing.managed(&known.sets)))
            .filter(|(_, current)| !current.is_empty())
            .collect()
    }

    fn current(&self, name: &Name) -> Current {
        self.content.get(name).map_or_else(Vec::new, |known| self.placing.managed(&known.sets))
    }

    /// A host of the base whose names are not as it says; `None` if it is gone.
    fn changed(
        &self,
        at: usize,
        entry: &Shared,
        aliases: &HashMap<Name, Vec<Name>>,
    ) -> Option<Shared> {
        let image = &self.images[at];
        let Some(owner) = &image.owner else { return Some(entry.clone()) };
        let is_network = |at: usize| self.base.entries()[at].key.kind == Kind::Net;
        let fits = |data: &Data| (data.rtype == RecordType::PTR) == is_network(at);
        let current = self.current(owner);
        if !current.iter().any(|data| data.rtype != RecordType::CNAME && fits(data)) {
            return None;
        }
        let claim = self.claims.by_name.get(owner).cloned().unwrap_or_default();
        // What came is the first host's, where two have the name.
        let expected = claim.data(self.images);
        let like = claim.hosts.iter().find(|other| is_network(**other) == is_network(at));
        let is_first = like == Some(&at);
        let is_mine = |data: &&Data| {
            image.data.iter().any(|own| same(own, data))
                || is_first && fits(data) && !expected.iter().any(|other| same(other, data))
        };
        let mine: Vec<Data> = current.iter().filter(is_mine).cloned().collect();
        let new = aliases.get(owner).filter(|_| is_first).map_or(&[][..], Vec::as_slice);
        let is_alias = |name: &Name| {
            let claim = self.claims.by_name.get(name);
            let lost = claim.is_some_and(|claim| {
                !claim.hosts.is_empty() || claim.alias_of.is_some_and(|first| first != at)
            });
            lost || alias_target(&self.current(name)).as_ref() == Some(owner)
        };
        let fields = self.fields(&entry.fields, &mine, is_alias, new);
        let Entry { id, key, .. } = &**entry;
        Some(Shared::new(Entry { id: *id, key: key.clone(), fields }))
    }

    /// A host that the base does not have.
    fn stranger(
        &self,
        name: &Name,
        current: &[Data],
        aliases: &HashMap<Name, Vec<Name>>,
    ) -> Shared {
        let is_network = |data: &Data| data.rtype == RecordType::PTR;
        let kind = if current.iter().all(is_network) { Kind::Net } else { Kind::Host };
        let key = Key { kind, name: self.placing.text(name) };
        let new = aliases.get(name).map_or(&[][..], Vec::as_slice);
        let (key, reference) = match self.theirs.get(&key) {
            Some(theirs) => (theirs.key.clone(), theirs.fields.clone()),
            None => (key, Fields::default()),
        };
        let is_alias = |alias: &Name| alias_target(&self.current(alias)).as_ref() == Some(name);
        let said: Vec<&Name> = new.iter().collect();
        let known = reference.nicknames.elements().iter().filter_map(|n| self.placing.owner(n));
        let known: Vec<Name> = known.collect();
        let unsaid: Vec<Name> = said.into_iter().filter(|n| !known.contains(n)).cloned().collect();
        let fields = self.fields(&reference, current, is_alias, &unsaid);
        Shared::new(Entry { id: HostId::first_seen("cluster", &key), key, fields })
    }

    /// What a host says whose name has these records now: as in `reference`, but for what differs.
    fn fields(
        &self,
        reference: &Fields,
        current: &[Data],
        is_alias: impl Fn(&Name) -> bool,
        new_aliases: &[Name],
    ) -> Fields {
        let mut fields = reference.clone();
        fields.addresses = addresses(&reference.addresses, current);
        let is_kept = |text: &&Text| match self.placing.owner(text) {
            Some(name) if name != self.placing.zone => is_alias(&name),
            _ => true,
        };
        if !matches!(reference.nicknames, Field::Unrepresentable(_)) || !new_aliases.is_empty() {
            let kept = reference.nicknames.elements().iter().filter(is_kept).cloned();
            let new = new_aliases.iter().map(|name| self.placing.text(name));
            fields.nicknames = Field::list(kept.chain(new).collect());
        }
        let info = current.iter().find(|data| data.rtype == HINFO);
        match (hinfo(reference), info) {
            (Some(said), Some(info)) if *said == *info.rdata => {}
            (None, None) => {}
            (_, Some(info)) => (fields.machine, fields.system) = strings(&info.rdata),
            (Some(_), None) => (fields.machine, fields.system) = (Field::Unset, Field::Unset),
        }
        self.ttl_and_others(reference, current, &mut fields);
        fields
    }

    fn ttl_and_others(&self, reference: &Fields, current: &[Data], fields: &mut Fields) {
        let is_address =
            |data: &&Data| matches!(data.rtype, RecordType::A | RecordType::AAAA | HINFO);
        // Most formats have no place for a TTL, or do not use it.
        let has_ttl = self.placing.holds_others() || reference.ttl_seconds.value().is_some();
        let mut ttls = current.iter().filter(is_address).filter_map(|data| data.ttl);
        if has_ttl
            && let Some(first) = ttls.next()
            && ttls.all(|ttl| ttl == first)
            && (!reference.ttl_seconds.is_unset() || first != self.placing.ttl_seconds)
        {
            fields.ttl_seconds = Field::Value(first);
        }
        if !self.placing.holds_others() {
            return;
        }
        let is_other = |data: &&Data| {
            let is_network = data.rtype == RecordType::PTR && network(&data.rdata).is_some();
            !is_address(data) && data.rtype != RecordType::CNAME && !is_network
        };
        let now: Vec<Data> = current.iter().filter(is_other).cloned().collect();
        if !same_data(&self.placing.others(reference), &now) {
            let text = |data: &Data| {
                let Data { rtype, rdata, ttl } = data;
                let shown = Presentation { rtype: *rtype, rdata };
                Text::from(format!("{} {rtype} {shown}", ttl.unwrap_or(self.placing.ttl_seconds)))
            };
            fields.others = Field::list(now.iter().map(text).collect());
        }
    }
}

/// Whether a name has records of its own, rather than being a nickname or nothing.
fn has_own(current: &[Data]) -> bool {
    current.iter().any(|data| data.rtype != RecordType::CNAME)
}

/// What a name is a nickname of.
fn alias_target(current: &[Data]) -> Option<Name> {
    let alias = current.iter().find(|data| data.rtype == RecordType::CNAME)?;
    target(RecordType::CNAME, &alias.rdata)
}

/// Addresses in the order of `reference`, with those that it does not have behind them.
fn addresses(reference: &Field<Vec<Address>>, current: &[Data]) -> Field<Vec<Address>> {
    let now: Vec<Address> = current.iter().filter_map(address).collect();
    if now.is_empty() && reference.value().is_none() {
        return reference.clone();
    }
    let is_kept = |one: &&Address| matches!(one, Address::Foreign(_)) || now.contains(one);
    let mut all: Vec<Address> = reference.elements().iter().filter(is_kept).cloned().collect();
    let new: Vec<Address> = now.into_iter().filter(|one| !all.contains(one)).collect();
    all.extend(new);
    Field::list(all)
}

fn address(data: &Data) -> Option<Address> {
    match data.rtype {
        RecordType::A => <[u8; 4]>::try_from(&*data.rdata).ok().map(|v4| Address::V4(v4.into())),
        RecordType::AAAA => {
            <[u8; 16]>::try_from(&*data.rdata).ok().map(|v6| Address::V6(v6.into()))
        }
        RecordType::PTR => network(&data.rdata),
        _ => None,
    }
}

/// The two strings of an `HINFO`; an empty one is unset.
pub(crate) fn strings(rdata: &[u8]) -> (Field<Text>, Field<Text>) {
    let string = |rdata: &[u8]| {
        let length = usize::from(*rdata.first()?);
        Some((Field::text(rdata.get(1..1 + length)?), 1 + length))
    };
    let Some((machine, at)) = string(rdata) else { return Default::default() };
    let system = rdata.get(at..).and_then(string).map(|(system, _)| system).unwrap_or_default();
    (machine, system)
}
