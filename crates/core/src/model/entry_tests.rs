//! Entries survive their binary form, which is pinned octet by octet.

use super::*;
use crate::model::review;
use crate::model::settings::Role;
use crate::model::source::{Applied, Head, Item, OpenBatch, Sent, UnderWay};
use einhorn_agent::DEFAULT_MODEL;
use einhorn_agent::decision::{Homes, Knobs, Record, Situation};
use einhorn_agent::features::COUNT;
use einhorn_agent::model::Model;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = Name> {
    proptest::collection::vec("[a-zA-Z0-9-]{1,9}", 0..4).prop_map(|labels| {
        labels.iter().fold(Name::root(), |name, l| name.prepend(l.as_bytes()).expect("short"))
    })
}

fn rrset(rdata_octets_max: usize) -> impl Strategy<Value = RrSet> {
    let rdata = proptest::collection::vec(any::<u8>(), 0..rdata_octets_max);
    (256u16..300, any::<u32>(), proptest::collection::vec(rdata, 1..4)).prop_map(
        |(rtype, ttl, rdatas)| {
            RrSet::new(RecordType(rtype), ttl, rdatas.iter().map(Vec::as_slice)).expect("not empty")
        },
    )
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u16>(), any::<u16>(), any::<u64>()).prop_map(|(site, generation, index)| Position {
        origin: Origin { site, generation },
        index,
    })
}

fn origin() -> impl Strategy<Value = Origin> {
    (any::<u16>(), any::<u16>()).prop_map(|(site, generation)| Origin { site, generation })
}

fn lease(rdata_octets_max: usize) -> impl Strategy<Value = Lease> {
    let rdata = proptest::collection::vec(any::<u8>(), 0..rdata_octets_max);
    (any::<u16>(), rdata, any::<u64>()).prop_map(|(rtype, rdata, until_ms)| Lease {
        rtype: RecordType(rtype),
        rdata: rdata.into(),
        until_ms,
    })
}

fn name_change(rdata_octets_max: usize) -> impl Strategy<Value = NameChange> {
    let before = proptest::option::of(rrset(rdata_octets_max))
        .prop_map(|set| (set.as_ref().map_or(RecordType::A, |set| set.rtype), set));
    (
        (name(), origin(), any::<u32>(), any::<u64>(), any::<u64>()),
        proptest::option::of(position()),
        proptest::collection::vec(before, 0..3),
        proptest::collection::vec(rrset(rdata_octets_max), 0..3),
        proptest::collection::vec(lease(rdata_octets_max), 0..3),
    )
        .prop_map(
            |((owner, home, epoch, version, sequence), previous, before, after, leases)| {
                NameChange {
                    owner,
                    home,
                    epoch,
                    version,
                    sequence,
                    previous,
                    before,
                    after,
                    leases,
                }
            },
        )
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        Just(Cause::Update),
        any::<[u8; 32]>().prop_map(|source| Cause::ZoneLoad { source }),
        (any::<u64>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(
            |(target_index, root_before, root_after)| {
                Cause::Rollback { target_index, root_before, root_after }
            }
        ),
        any::<[u8; 32]>().prop_map(|source| Cause::ZoneReload { source }),
        (any::<u64>(), any::<[u8; 32]>())
            .prop_map(|(names, root)| Cause::ZoneRemoval { names, root }),
        any::<u32>().prop_map(|serial| Cause::Transfer { serial }),
        any::<[u8; 32]>().prop_map(|apply| Cause::Source { apply }),
        (position(), name()).prop_map(|(review, asker)| Cause::Review {
            review,
            choice: Choice::Take,
            asker: Identity::Key(asker),
        }),
        name().prop_map(|catalog| {
            let role = Role::Listed { catalog };
            let settings = Box::new(Settings { role, ..Settings::default() });
            Cause::Settings { version: 7, settings }
        }),
    ]
}

/// What an agent says of a change that began then, with some numbers in it.
fn decision(began_ms: u64) -> Box<Advised> {
    let model = Model::from_octets(DEFAULT_MODEL).expect("the shipped model");
    let features = [began_ms as u8; COUNT];
    let situation = Situation::usual(features, Homes::Elsewhere);
    let (_, record) = Record::make(&model, true, &Knobs::default(), &situation, began_ms);
    Box::new(Advised { began_ms, reason: Reason::Predicted, record })
}

fn change(rdata_octets_max: usize, names_max: usize) -> impl Strategy<Value = Change> {
    let who = prop_oneof![
        name().prop_map(Identity::Key),
        Just(Identity::Operator),
        any::<std::net::IpAddr>().prop_map(Identity::Primary),
    ];
    let advice =
        Advice { path: Path::MultiPhase, reason: Reason::OtherWriter, model: *b"a model!" };
    (
        (name(), any::<[u8; 32]>(), any::<u64>(), who, any::<u16>()),
        cause(),
        proptest::collection::vec(name_change(rdata_octets_max), 0..names_max),
    )
        .prop_map(
            move |((zone, request, remember_until_seconds, who, entered_site), cause, names)| {
                Change {
                    zone,
                    request: RequestId(request),
                    remember_until_seconds,
                    who,
                    incarnation: u32::from(entered_site) + 1,
                    entered_site,
                    audit_commitment: Commitment(request),
                    decision: (entered_site % 2 == 1).then(|| decision(remember_until_seconds)),
                    stands_for: vec![(RequestId([9; 32]), 5); usize::from(entered_site % 3)],
                    advice,
                    path: Path::Fast,
                    cause,
                    names,
                }
            },
        )
}

fn entry(rdata_octets_max: usize, names_max: usize) -> impl Strategy<Value = Entry> {
    let whole = change(rdata_octets_max, names_max).prop_map(Body::Change);
    let publication = (name(), any::<u32>(), proptest::collection::vec(position(), 0..3)).prop_map(
        |(zone, serial, covers)| Body::Publication {
            zone,
            incarnation: serial ^ 5,
            serial,
            covers,
        },
    );
    let genesis = (position(), "[a-zä/.]{0,20}").prop_map(|(p, name)| Body::Genesis {
        origin: p.origin,
        previous: (p.index % 2 == 0).then_some(Previous {
            origin: p.origin,
            entries: p.index,
            root: [p.index as u8; 32],
        }),
        name,
    });
    let bodies = prop_oneof![
        6 => whole,
        1 => publication,
        1 => genesis,
        2 => sites_body(),
        2 => transaction_body(rdata_octets_max, names_max),
        2 => source_body(rdata_octets_max, names_max)
    ];
    (any::<u64>(), bodies).prop_map(|(time_ms, body)| Entry { time_ms, body })
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let participants = proptest::collection::btree_set(origin(), 1..4);
    (any::<[u8; 16]>(), origin(), participants, any::<u64>()).prop_map(
        |(id, coordinator, participants, deadline_ms)| {
            let participants = participants.into_iter().collect();
            Transaction { id: TransactionId(id), coordinator, participants, deadline_ms }
        },
    )
}

/// What is logged of changes with several homes.
fn transaction_body(rdata_octets_max: usize, names_max: usize) -> impl Strategy<Value = Body> {
    let changes = || proptest::collection::vec(change(rdata_octets_max, names_max), 0..3);
    let intents = proptest::collection::vec(position(), 0..3);
    prop_oneof![
        (transaction(), changes())
            .prop_map(|(transaction, changes)| Body::Intent { transaction, changes }),
        (transaction(), any::<bool>(), intents, changes()).prop_map(
            |(transaction, is_commit, intents, changes)| {
                Body::Decision { transaction, is_commit, intents, changes }
            }
        ),
        (any::<[u8; 16]>(), origin(), any::<bool>()).prop_map(|(id, participant, had_intent)| {
            Body::Finish { id: TransactionId(id), participant, had_intent }
        }),
    ]
}

/// What is logged of sources of the legacy bridge.
fn source_body(rdata_octets_max: usize, names_max: usize) -> impl Strategy<Value = Body> {
    let octets = || proptest::collection::vec(any::<u8>(), 0..9).prop_map(Box::from);
    let item = (octets(), proptest::option::of(octets()), any::<u32>()).prop_map(
        |(key, record, missing)| {
            let sent = [None, Some(Sent::Gone), Some(Sent::Record(Box::from([7])))];
            let sent = sent[missing as usize % 3].clone();
            Item { key, record, missing, sent }
        },
    );
    let file = (any::<[u8; 32]>(), any::<u64>()).prop_map(|(id, generation)| Applied {
        id,
        generation,
        file_sha256: id,
    });
    let head = (name(), proptest::option::of(file), any::<u32>(), "[a-z]{0,9}").prop_map(
        |(zone, last, spool, summary)| {
            let names = vec![zone.clone(); usize::from(spool % 2 == 1)];
            let batch = (spool > 9).then_some(OpenBatch { spool, until_ms: 5, names });
            let under_way = last.map(|file| UnderWay { file, plan: [7; 32] });
            Head { applies: 3, last, under_way, spool, batch, summary, ..Head::new(zone) }
        },
    );
    let changes = proptest::collection::vec(change(rdata_octets_max, names_max), 0..3);
    let advance = (head, any::<u64>(), proptest::collection::vec(item, 0..4)).prop_map(
        |(head, revision, items)| Advance { source: "nic".to_owned(), revision, head, items },
    );
    let legacy = (octets(), proptest::option::of(octets()), any::<u64>(), "[a-zä]{0,9}").prop_map(
        |(key, record, revision, text)| LegacyRecord {
            source: "nic".to_owned(),
            raw: key.to_vec(),
            key,
            revision,
            record,
            conflict: text.clone(),
            place: text.clone(),
            text,
        },
    );
    let review = (change(rdata_octets_max, names_max), proptest::option::of(legacy)).prop_map(
        |(change, legacy)| {
            let reason = match legacy {
                Some(_) => review::Reason::Legacy,
                None => review::Reason::Contested,
            };
            Body::Review(Review { reason, change, replaces: None, legacy })
        },
    );
    let source = (advance, changes, any::<[u8; 32]>()).prop_map(|(advance, changes, id)| {
        let (request, remember_until_seconds) = (RequestId(id), 9);
        Body::Source(SourceChange { request, remember_until_seconds, advance, changes })
    });
    prop_oneof![source, review]
}

/// What several sites say to each other by entries.
fn sites_body() -> impl Strategy<Value = Body> {
    let site = ("[a-z]{1,5}", any::<[u8; 32]>(), any::<bool>()).prop_map(|(name, hash, flag)| {
        crate::model::Site {
            addresses: vec![format!("{name}:53")],
            logs: [(1, name.clone()), (2, String::new())].into(),
            mirror_keys: vec![name.clone(); usize::from(hash[0] % 3)],
            certificates: vec![hash; usize::from(hash[1] % 3)],
            is_suspended: flag,
            name,
        }
    });
    let registry = (any::<u16>(), proptest::collection::btree_map(any::<u16>(), site, 0..3));
    let sites = registry.prop_map(|(version, sites)| {
        Body::Sites(SitesChange {
            request: RequestId([1; 32]),
            remember_until_seconds: 5,
            who: Identity::Site(version),
            registry: Registry { version: version.into(), sites, ..Registry::default() },
        })
    });
    let hash = (any::<u64>(), any::<u64>(), any::<[u8; 32]>());
    prop_oneof![
        sites,
        hash.prop_map(|(at, names, root)| Body::MapRoot { at, names, root }),
        (origin(), origin(), any::<u32>(), any::<u64>()).prop_map(
            |(lost, successor, round, held)| Body::Endorsement { lost, successor, round, held }
        ),
        (origin(), any::<u32>()).prop_map(|(lost, round)| Body::Withdrawal { lost, round }),
        (origin(), any::<u64>(), proptest::collection::vec(origin(), 0..4), any::<bool>())
            .prop_map(|(lost, end, endorsers, is_attested)| {
                Body::Takeover { lost, end, endorsers, is_attested }
            }),
        (position(), proptest::collection::vec(any::<u8>(), 0..50))
            .prop_map(|(position, octets)| Body::Leftover { position, octets }),
    ]
}

fn encoded(entry: &Entry) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    let count = entry.encode(&mut Vec::new(), |part| parts.push(part.to_vec()));
    assert_eq!(count as usize, parts.len());
    parts
}

proptest! {
    #[test]
    fn round_trips(entry in entry(40, 4)) {
        let parts = encoded(&entry);
        prop_assert_eq!(parts.len(), 1);
        prop_assert_eq!(Assembler::default().next(&parts[0]), Ok(Some(entry)));
    }

    #[test]
    fn octets_that_are_an_entry_have_no_other_form(entry in entry(40, 3), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut octets = encoded(&entry).remove(0);
        let at = at.index(octets.len());
        octets[at] ^= flip;
        if let Ok(Some(changed)) = Assembler::default().next(&octets) {
            prop_assert_eq!(&encoded(&changed)[0], &octets);
        }
    }

    #[test]
    fn junk_is_refused_without_a_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Assembler::default().next(&octets);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn long_changes_come_in_parts(entry in entry(60_000, 8)) {
        let parts = encoded(&entry);
        let mut assembler = Assembler::default();
        for (i, part) in parts.iter().enumerate() {
            prop_assert!(part.len() <= ENTRY_OCTETS_MAX);
            let whole = assembler.next(part);
            if i + 1 == parts.len() {
                prop_assert_eq!(whole, Ok(Some(entry.clone())));
            } else {
                prop_assert_eq!(whole, Ok(None));
                prop_assert!(assembler.clone().next(&parts[0]).is_err() || i > 0 && parts.len() == 1);
            }
        }
        prop_assert!(assembler.is_empty());
    }
}

/// The form is on disk for decades: a change of these octets is a new version.
#[test]
fn golden_octets() {
    let set = |octet| RrSet::new(RecordType::A, 60, [&[192, 0, 2, octet][..]]);
    let entry = Entry {
        time_ms: 0x0102_0304,
        body: Body::Change(Change {
            zone: "z.".parse().expect("name"),
            request: RequestId([7; 32]),
            remember_until_seconds: 9,
            who: Identity::Key("k.".parse().expect("name")),
            incarnation: 1,
            entered_site: 1,
            audit_commitment: Commitment([8; 32]),
            decision: None,
            stands_for: Vec::new(),
            advice: Advice { path: Path::Fast, reason: Reason::NoHazard, model: *b"rules-v1" },
            path: Path::Fast,
            cause: Cause::Update,
            names: vec![NameChange {
                owner: "a.z.".parse().expect("name"),
                home: Origin { site: 1, generation: 1 },
                epoch: 2,
                version: 3,
                sequence: 4,
                previous: Some(Position { origin: Origin { site: 1, generation: 1 }, index: 5 }),
                before: vec![(RecordType::A, set(1)), (RecordType::TXT, None)],
                after: set(2).into_iter().collect(),
                leases: vec![Lease { rtype: RecordType::A, rdata: [3; 4].into(), until_ms: 6 }],
            }],
        }),
    };
    let expected = [
        &[7, 2, 0, 0, 0, 0, 1, 2, 3, 4, 1, b'z', 0, 0, 0, 0, 1][..],
        &[7; 32],
        &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 1, 1, b'k', 0, 0, 1],
        &[8; 32],
        b"\x01\x01rules-v1\x01\x01",
        &[0, 0, 0, 1, 1, b'a', 1, b'z', 0, 0, 1, 0, 1, 0, 0, 0, 2],
        &[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4],
        &[1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5],
        &[0, 0, 0, 2, 0, 1, 1, 0, 1, 0, 0, 0, 60, 0, 0, 0, 6, 0, 4, 192, 0, 2, 1, 0, 16, 0],
        &[0, 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 0, 0, 6, 0, 4, 192, 0, 2, 2],
        &[0, 0, 0, 1, 0, 1, 0, 0, 0, 4, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 6],
    ]
    .concat();
    assert_eq!(encoded(&entry), [expected]);
}

/// As above, for what takeovers are made of.
#[test]
fn golden_octets_of_takeovers() {
    let (lost, successor) = (Origin { site: 1, generation: 2 }, Origin { site: 3, generation: 1 });
    let of = |body| encoded(&Entry { time_ms: 9, body }).concat();
    let head = |kind| [7, kind, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 2];
    let expected = [&head(6)[..], &[0, 3, 0, 1, 0, 0, 0, 7], &[0, 0, 0, 0, 0, 0, 0, 5]].concat();
    assert_eq!(of(Body::Endorsement { lost, successor, round: 7, held: 5 }), expected);
    let expected = [&head(7)[..], &[0, 0, 0, 7]].concat();
    assert_eq!(of(Body::Withdrawal { lost, round: 7 }), expected);
    let end = [0, 0, 0, 0, 0, 0, 0, 5];
    let expected = [&head(8)[..], &end, &[0, 0, 0, 1, 0, 3, 0, 1, 1]].concat();
    let endorsers = vec![successor];
    assert_eq!(of(Body::Takeover { lost, end: 5, endorsers, is_attested: true }), expected);
}

/// As above, for changes with several homes.
#[test]
fn golden_octets_of_transactions() {
    let (one, two) = (Origin { site: 1, generation: 1 }, Origin { site: 2, generation: 3 });
    let of = |body| encoded(&Entry { time_ms: 9, body }).concat();
    let id = TransactionId([5; 16]);
    let participants = vec![one, two];
    let transaction = Transaction { id, coordinator: two, participants, deadline_ms: 7 };
    let about = [
        &[5; 16][..],
        &[0, 2, 0, 3, 0, 0, 0, 2, 0, 1, 0, 1, 0, 2, 0, 3],
        &[0, 0, 0, 0, 0, 0, 0, 7],
    ]
    .concat();
    let head = |kind| [7, kind, 0, 0, 0, 0, 0, 0, 0, 9];
    let expected = [&head(10)[..], &about, &[0, 0, 0, 0]].concat();
    assert_eq!(
        of(Body::Intent { transaction: transaction.clone(), changes: Vec::new() }),
        expected
    );
    let intents = vec![Position { origin: two, index: 4 }];
    let place = [0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4];
    let expected = [&head(11)[..], &about, &[1], &place, &[0, 0, 0, 0]].concat();
    let decision = Body::Decision { transaction, is_commit: true, intents, changes: Vec::new() };
    assert_eq!(of(decision), expected);
    let expected = [&head(12)[..], &[5; 16], &[0, 2, 0, 3, 1]].concat();
    assert_eq!(of(Body::Finish { id, participant: two, had_intent: true }), expected);
}
