//! Catalog zones (RFC 9432): the zones of a server, listed in a zone of their own.
//!
//! Both directions, without state: what a produced catalog must say, and what a consumed one says.

mod consume;

pub use consume::{Consumed, Requests, abandon, consume};

use crate::model::request::Operation;
use crate::model::settings::Role;
use crate::model::tree::Live;
use crate::model::{RrSet, Zone, Zones};
use einhorn_wire::{Name, RecordType, rdata};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The one version of the schema that there is (RFC 9432 §4.2.1).
const VERSION: &[u8] = b"\x012";
/// TTL of everything in a catalog, in seconds: nobody caches it.
const TTL_SECONDS: u32 = 0;
/// Octets of a zone's hash in the label that stands for it.
const UNIQUE_OCTETS: usize = 16;

/// A catalog that says nothing that could be followed; it is then left alone as it was (§5.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// No version, more than one, or another than 2.
    #[error("catalog {0} is not of version 2, the one that is understood")]
    Version(Name),
    /// Two member nodes with one zone (§4.1).
    #[error("catalog {catalog} lists zone {zone} twice")]
    Twice {
        /// Apex of the catalog.
        catalog: Name,
        /// The zone.
        zone: Name,
    },
    /// A member node with more than one PTR record (§4.1).
    #[error("catalog {catalog} has a member node {node} with more than one PTR record")]
    Ambiguous {
        /// Apex of the catalog.
        catalog: Name,
        /// The node.
        node: Name,
    },
}

/// A zone that a catalog lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The member node's unique label.
    pub unique: Vec<u8>,
    /// The catalog that the zone may move to (§4.3.1).
    pub change_of_ownership: Option<Name>,
}

fn below(labels: &[&[u8]], apex: &Name) -> Option<Name> {
    labels.iter().rev().try_fold(apex.clone(), |name, label| name.prepend(label).ok())
}

/// The content of a new catalog without members (§4).
pub fn skeleton(catalog: &Name) -> Vec<(Name, Vec<RrSet>)> {
    let invalid = b"\x07invalid\x00";
    let mut soa = [&invalid[..], &invalid[..]].concat();
    for number in [1u32, 3600, 600, i32::MAX as u32, TTL_SECONDS] {
        soa.extend_from_slice(&number.to_be_bytes());
    }
    let sets = [
        RrSet::new(RecordType::SOA, TTL_SECONDS, [&soa[..]]),
        RrSet::new(RecordType::NS, TTL_SECONDS, [&invalid[..]]),
    ];
    let version = RrSet::new(RecordType::TXT, TTL_SECONDS, [VERSION]);
    let names = [
        (Some(catalog.clone()), sets.into_iter().flatten().collect::<Vec<_>>()),
        (below(&[b"version"], catalog), version.into_iter().collect()),
    ];
    names.into_iter().filter_map(|(name, sets)| Some((name?, sets))).collect()
}

/// The label that stands for `zone` in catalogs made here: from its name alone, so that a zone
/// that is listed again is the same zone.
fn unique_label(zone: &Name) -> String {
    let hash = Sha256::digest(zone.to_lowercase().as_wire());
    hash.iter().take(UNIQUE_OCTETS).fold(String::new(), |mut text, octet| {
        _ = write!(text, "{octet:02x}");
        text
    })
}

/// What must change in the produced `catalog` so that it lists exactly the zones whose settings
/// say so.
pub fn listing(catalog: &Zone, zones: &Zones) -> Vec<Operation> {
    let Some(parent) = below(&[b"zones"], &catalog.apex) else { return Vec::new() };
    let mut wanted: BTreeMap<Name, &Name> = BTreeMap::new();
    for zone in zones.iter() {
        let listed = matches!(&zone.settings.role, Role::Listed { catalog: in_this } if *in_this == catalog.apex);
        if listed && let Ok(node) = parent.prepend(unique_label(&zone.apex).as_bytes()) {
            wanted.insert(node, &zone.apex);
        }
    }
    let mut operations = Vec::new();
    for record in catalog.names.iter().filter(|record| record.is_live()) {
        let owner = record.owner().to_name();
        if owner.is_at_or_below(&parent) && wanted.remove(&owner).is_none() {
            operations.push(Operation::DeleteName(owner));
        }
    }
    operations.extend(wanted.into_iter().map(|(owner, zone)| Operation::Add {
        owner,
        rtype: RecordType::PTR,
        ttl: TTL_SECONDS,
        rdata: zone.as_wire().into(),
    }));
    operations
}

/// The zones that a consumed catalog lists.
///
/// # Errors
/// [`CatalogError`]: nothing of a broken catalog is to be followed (§5.1).
pub fn members(catalog: &Zone) -> Result<BTreeMap<Name, Member>, CatalogError> {
    let version = below(&[b"version"], &catalog.apex);
    let version = version.as_ref().and_then(|name| catalog.rrset(name, RecordType::TXT));
    if version.is_none_or(|set| !set.rdatas().eq([VERSION])) {
        return Err(CatalogError::Version(catalog.apex.clone()));
    }
    let Some(parent) = below(&[b"zones"], &catalog.apex) else { return Ok(BTreeMap::new()) };
    let mut members = BTreeMap::new();
    for record in catalog.names.iter() {
        let Some(ptr) = record.rrset(RecordType::PTR) else { continue };
        let owner = record.owner().to_name();
        if owner.parent().as_ref() != Some(&parent) {
            continue;
        }
        if ptr.count() > 1 {
            return Err(CatalogError::Ambiguous { catalog: catalog.apex.clone(), node: owner });
        }
        let target = ptr.rdatas().next().and_then(|data| rdata::target(ptr.rtype, data));
        let (Some(zone), Some(unique)) = (target, owner.labels().next()) else { continue };
        let target_of = |label: &[u8]| {
            let name = owner.prepend(label).ok()?;
            let set = catalog.rrset(&name, RecordType::PTR).filter(|set| set.count() == 1)?;
            rdata::target(set.rtype, set.rdatas().next()?)
        };
        let member =
            Member { unique: unique.to_ascii_lowercase(), change_of_ownership: target_of(b"coo") };
        if members.insert(zone.clone(), member).is_some() {
            return Err(CatalogError::Twice { catalog: catalog.apex.clone(), zone });
        }
    }
    Ok(members)
}
