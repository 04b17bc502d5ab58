//! What answers read of a name's records, and nothing else: the one place that knows how a zone
//! keeps them.

use einhorn_core::model::tree::Live;
use einhorn_core::model::{NameRecord, RrSetRef};
use einhorn_wire::RecordType;
use einhorn_wire::writer::{NoRoom, Section, Writer};

/// A name of a zone with its records.
pub(super) type Node = NameRecord;
/// An RRset of a name.
pub(super) type Set<'z> = RrSetRef<'z>;

/// The set of that type.
pub(super) fn set(node: &Node, rtype: RecordType) -> Option<Set<'_>> {
    node.rrset(rtype)
}

/// All sets.
pub(super) fn sets(node: &Node) -> impl Iterator<Item = Set<'_>> {
    node.rrsets()
}

/// Whether there is any record: a name without is a tombstone.
pub(super) fn is_live(node: &Node) -> bool {
    node.is_live()
}

/// The owner name in wire form.
pub(super) fn owner(node: &Node) -> &[u8] {
    node.owner().as_wire()
}

/// The type of a set.
pub(super) fn rtype(set: Set<'_>) -> RecordType {
    set.rtype
}

/// The TTL of a set in seconds.
pub(super) fn ttl(set: Set<'_>) -> u32 {
    set.ttl
}

/// The data of each record.
pub(super) fn rdatas<'z>(set: Set<'z>) -> impl Iterator<Item = &'z [u8]> {
    set.rdatas()
}

/// The data of the first record, the only one of types such as CNAME, DNAME and SOA.
pub(super) fn first<'z>(set: Set<'z>) -> &'z [u8] {
    // A set without records does not exist.
    rdatas(set).next().unwrap_or_default()
}

/// Writes the whole set, or nothing of it.
pub(super) fn write(
    writer: &mut Writer<'_>,
    section: Section,
    owner: &[u8],
    set: Set<'_>,
    ttl: u32,
) -> Result<(), NoRoom> {
    writer.rrset(section, owner, rtype(set), ttl, rdatas(set))
}
