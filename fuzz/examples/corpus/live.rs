//! Sources of the legacy bridge: steps, views, records, and their entries.

use super::{Anyhow, write};
use einhorn_bridge::live::stored;
use einhorn_bridge::merge::Entry;
use einhorn_bridge::record::{Address, Field, Fields, HostId, Key, Kind, Moment};
use einhorn_core::agent::{Path, Rules};
use einhorn_core::exchange::{Frozen, encode_frozen, encode_step, encode_view};
use einhorn_core::model::entry::{Body, Cause, Change, SourceChange};
use einhorn_core::model::request::{
    Commitment, Identity, PlannedName, RequestId, SourceStep, SourceUnit,
};
use einhorn_core::model::review::{Reason, Review};
use einhorn_core::model::source::{
    Advance, Applied, FrozenRecord, Head, Item, LegacyRecord, OpenBatch, Sent, UnderWay,
};
use einhorn_core::model::{Origin, Position, RrSet};
use einhorn_wire::{Name, RecordType};
use std::error::Error;

type Made<T> = Result<T, Box<dyn Error>>;

fn zone() -> Made<Name> {
    Ok("fleet.example.".parse()?)
}

fn record() -> Box<[u8]> {
    let key = Key { kind: Kind::Host, name: "SRI-NIC".into() };
    let fields = Fields {
        addresses: Field::list(vec![
            Address::V4([26, 0, 0, 73].into()),
            Address::foreign(b"CHAOS", b"3120"),
        ]),
        nicknames: Field::list(vec!["NIC".into()]),
        machine: Field::text(b"DEC-2060"),
        expires: Field::Value(Moment::Never),
        ..Fields::default()
    };
    let entry = Entry { id: HostId::first_seen("nic", &key), key, fields };
    stored::encode(&entry, &vec![("revision".into(), "7".into())])
}

fn item() -> Item {
    let sent = Some(Sent::Record(record()));
    let key = b"\x02SRI-NIC".to_vec().into();
    Item { missing: 1, sent, ..Item::new(key, Some(record())) }
}

fn head() -> Made<Head> {
    let file = Applied { id: [1; 32], generation: 9, file_sha256: [2; 32] };
    let names = vec!["sri-nic.fleet.example.".parse()?];
    Ok(Head {
        last: Some(file),
        under_way: Some(UnderWay { file, plan: [3; 32] }),
        spool: 4,
        batch: Some(OpenBatch { spool: 4, until_ms: 1_700_000_000_000, names }),
        summary: "{}".to_owned(),
        ..Head::new(zone()?)
    })
}

fn planned() -> Made<PlannedName> {
    let set = RrSet::new(RecordType::A, 60, [&[26, 0, 0, 73][..]]).ok_or("no records")?;
    let owner = "sri-nic.fleet.example.".parse()?;
    Ok(PlannedName { owner, version: 3, epoch: Some(1), after: vec![set] })
}

fn legacy() -> LegacyRecord {
    LegacyRecord {
        source: "nic".to_owned(),
        key: item().key,
        revision: 5,
        record: Some(record()),
        conflict: "both-changed: machine".to_owned(),
        place: "HOSTS.TXT, line 7, octet 301".to_owned(),
        text: "HOST SRI-NIC".to_owned(),
        raw: b"HOST : 26.0.0.73 : SRI-NIC :\n".to_vec(),
    }
}

fn change() -> Made<Change> {
    Ok(Change {
        zone: zone()?,
        incarnation: 1,
        request: RequestId([4; 32]),
        remember_until_seconds: 1_700_000_600,
        stands_for: Vec::new(),
        who: Identity::Source("nic".to_owned()),
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        advice: Rules::operator(),
        path: Path::Review,
        cause: Cause::Source { apply: [1; 32] },
        names: Vec::new(),
    })
}

/// An entry of a source.
pub(super) fn source() -> Made<Body> {
    let advance =
        Advance { source: "nic".to_owned(), revision: 5, head: head()?, items: vec![item()] };
    let (request, remember_until_seconds) = (RequestId([4; 32]), 1_700_000_600);
    Ok(Body::Source(SourceChange { request, remember_until_seconds, advance, changes: Vec::new() }))
}

/// An entry of a record that waits for a person.
pub(super) fn review() -> Made<Body> {
    let (reason, replaces, legacy) = (Reason::Legacy, None, Some(legacy()));
    Ok(Body::Review(Review { reason, change: change()?, replaces, legacy }))
}

pub(super) fn all() -> Anyhow {
    let units = vec![SourceUnit { items: vec![item()], names: vec![planned()?] }];
    let step =
        SourceStep { source: "nic".to_owned(), revision: 5, apply: [1; 32], head: head()?, units };
    write("source_step", "unit", &encode_step(&step))?;
    let records = vec![(legacy(), vec![planned()?])];
    write("source_frozen", "record", &encode_frozen(&Frozen { apply: [1; 32], records }))?;
    let at = Position { origin: Origin { site: 1, generation: 1 }, index: 7 };
    let frozen = [FrozenRecord { at, key: item().key, record: Some(record()) }];
    write("source_view", "frozen", &encode_view(None, &frozen, None))?;
    write("source_record", "host", &record())
}
