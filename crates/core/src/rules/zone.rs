//! What makes a set of records a zone that can be served.

use crate::model::{RrSet, find};
use einhorn_wire::{Name, Record, RecordType, rdata};
use std::collections::BTreeMap;

/// Why records are not a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// No SOA, or more than one, at the apex.
    #[error("zone {0} needs exactly one SOA record at its apex, and has {1}")]
    Soa(Name, usize),
    /// No NS at the apex.
    #[error("zone {0} has no NS record at its apex")]
    NoNs(Name),
    /// An SOA elsewhere.
    #[error("{0} has an SOA record but is not the apex")]
    StraySoa(Name),
    /// CNAME beside other data, or two CNAMEs.
    #[error("{0} has a CNAME record and other records")]
    CnameBesideOthers(Name),
}

/// Groups the records of a zone by name, in canonical order, and checks what a zone must have
/// (RFC 1035 §5.2). Records of one RRset with different TTLs take the lowest (RFC 2181 §5.2);
/// repeated records count once.
///
/// # Errors
/// The first [`ZoneError`] found.
pub fn names_of_zone(
    apex: &Name,
    records: Vec<Record>,
) -> Result<Vec<(Name, Vec<RrSet>)>, ZoneError> {
    type Sets = Vec<(RecordType, u32, Vec<Box<[u8]>>)>;
    // Keyed by canonical octets: comparing names would compute them at every step.
    let mut names: BTreeMap<Box<[u8]>, (Name, Sets)> = BTreeMap::new();
    for record in records {
        let key = record.owner.canonical_key().as_ref().into();
        let (_, sets) = names.entry(key).or_insert_with(|| (record.owner, Vec::new()));
        match sets.iter_mut().find(|(rtype, ..)| *rtype == record.rtype) {
            Some((rtype, ttl, datas)) => {
                *ttl = record.ttl.min(*ttl);
                if !datas.iter().any(|data| rdata::same(*rtype, data, &record.rdata)) {
                    datas.push(record.rdata);
                }
            }
            None => sets.push((record.rtype, record.ttl, vec![record.rdata])),
        }
    }
    let names: Vec<(Name, Vec<RrSet>)> = names
        .into_values()
        .map(|(owner, sets)| {
            let sets = sets.iter().filter_map(|(rtype, ttl, datas)| {
                RrSet::new(*rtype, *ttl, datas.iter().map(|data| &**data))
            });
            (owner, sets.collect())
        })
        .collect();
    check(apex, &names)?;
    Ok(names)
}

fn check(apex: &Name, names: &[(Name, Vec<RrSet>)]) -> Result<(), ZoneError> {
    let at_apex = names.iter().find(|(owner, _)| owner == apex).map_or(&[][..], |(_, sets)| sets);
    match find(at_apex, RecordType::SOA).map_or(0, RrSet::count) {
        1 => {}
        count => return Err(ZoneError::Soa(apex.clone(), count)),
    }
    if find(at_apex, RecordType::NS).is_none() {
        return Err(ZoneError::NoNs(apex.clone()));
    }
    names.iter().try_for_each(|(owner, sets)| check_name(apex, owner, sets))
}

/// Checks what a zone must not have at a name.
///
/// # Errors
/// [`ZoneError`].
pub(super) fn check_name(apex: &Name, owner: &Name, sets: &[RrSet]) -> Result<(), ZoneError> {
    if owner != apex && find(sets, RecordType::SOA).is_some() {
        return Err(ZoneError::StraySoa(owner.clone()));
    }
    let beside = sets.iter().filter(|set| !super::update::may_join_cname(set.rtype));
    if find(sets, RecordType::CNAME).is_some_and(|set| set.count() > 1 || beside.count() > 1) {
        return Err(ZoneError::CnameBesideOthers(owner.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_wire::zonefile;
    use std::path::Path;

    fn load(text: &str) -> Result<Vec<(Name, Vec<RrSet>)>, ZoneError> {
        let apex: Name = "example.".parse().expect("name");
        let records = zonefile::load(Path::new("z"), &apex, &mut |_| Ok(text.as_bytes().to_vec()));
        names_of_zone(&apex, records.expect("records"))
    }

    const HEAD: &str = "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\n";

    #[test]
    fn groups_and_checks() {
        let names = load(&format!(
            "{HEAD}b 60 A 192.0.2.1\nb 30 A 192.0.2.2\nB 60 A 192.0.2.1\na 1 TXT x\n"
        ));
        let names = names.expect("a zone");
        let owners: Vec<_> = names.iter().map(|(owner, _)| owner.to_string()).collect();
        assert_eq!(owners, ["example.", "a.example.", "b.example."]);
        assert_eq!((names[2].1[0].ttl, names[2].1[0].count()), (30, 2));
        assert!(matches!(load("@ 60 NS ns\n"), Err(ZoneError::Soa(_, 0))));
        assert!(matches!(load("@ 60 SOA ns h 1 2 3 4 5\n"), Err(ZoneError::NoNs(_))));
        assert!(matches!(
            load(&format!("{HEAD}a 1 SOA ns h 1 2 3 4 5\n")),
            Err(ZoneError::StraySoa(_))
        ));
        let both = load(&format!("{HEAD}a 1 CNAME b\na 1 A 192.0.2.1\n"));
        assert!(matches!(both, Err(ZoneError::CnameBesideOthers(_))));
    }
}
