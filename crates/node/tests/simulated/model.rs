//! What clients and auditors of the simulated node know, and what must therefore be so.

use crate::recover::{log_id, read_entries};
use einhorn_core::ledger::{Frontier, Hash, checkpoint, leaf_hash};
use einhorn_core::model::entry::{Assembler, Body};
use einhorn_core::model::request::{
    Action, Commitment, Identity, Operation, Outcome, Request, RequestId,
};
use einhorn_core::model::{Origin, Position, State, Zones};
use einhorn_store::engine::EngineReader;
use einhorn_wire::{Name, RecordType};
use std::collections::{BTreeMap, HashSet};

/// The one log.
pub(super) const ORIGIN: Origin = Origin { site: 1, generation: 1 };
/// Owner names that change.
pub(super) const NAMES: u64 = 10;
/// Long after the end of every run.
const REMEMBER_UNTIL_SECONDS: u64 = 1 << 40;

pub(super) fn zone_name() -> Name {
    "example.".parse().expect("a name")
}

/// What is known about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Answered with this place.
    Done(Position),
    /// In a batch whose append failed.
    InDoubt,
    /// Refused without having been in any batch.
    NotDone,
}

pub(super) struct Sent {
    pub(super) request: Request,
    owner: u64,
    pub(super) known: Known,
    /// The batch whose append failed with it, by a number of its own.
    pub(super) batch: u64,
}

/// The clients' and the auditors' memory.
#[derive(Default)]
pub(super) struct Model {
    /// Every update ever sent; its position is its value.
    pub(super) sent: Vec<Sent>,
    /// Every checkpoint ever seen.
    checkpoints: BTreeMap<u64, Hash>,
}

pub(super) fn owner_name(owner: u64) -> Name {
    format!("n{owner}.example.").parse().expect("a name")
}

pub(super) fn request(id: u64, action: Action) -> Request {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&id.to_be_bytes());
    Request {
        id: RequestId(octets),
        remember_until_seconds: REMEMBER_UNTIL_SECONDS,
        who: Identity::Key("phone.".parse().expect("a name")),
        zone: zone_name(),
        action,
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        audit: octets[..8].to_vec(),
    }
}

impl Model {
    /// A new update of a name, with a value of its own; gives its number.
    pub(super) fn update(&mut self, owner: u64) -> usize {
        let (number, name) = (self.sent.len(), owner_name(owner));
        let rdata = Box::new((number as u32).to_be_bytes());
        let operations = vec![
            Operation::DeleteRrSet(name.clone(), RecordType::A),
            Operation::Add { owner: name, rtype: RecordType::A, ttl: 60, rdata },
        ];
        let action = Action::Update { prerequisites: Vec::new(), operations, lease: None };
        let request = request(number as u64 + 1, action);
        self.sent.push(Sent { request, owner, known: Known::NotDone, batch: 0 });
        number
    }

    pub(super) fn answered(&mut self, number: usize, outcome: &Outcome, was_staged: Option<u64>) {
        let sent = &mut self.sent[number];
        match (outcome, sent.known) {
            (Outcome::Done { at }, Known::Done(before)) => {
                assert_eq!(*at, before, "a retry of {number} is done at another place");
            }
            (Outcome::Done { at }, _) => {
                assert_eq!(at.origin, ORIGIN, "{number} is done in another log");
                sent.known = Known::Done(*at);
            }
            // Whatever was found out before stays true.
            (Outcome::Refused { .. }, Known::NotDone) => {
                if let Some(batch) = was_staged {
                    (sent.known, sent.batch) = (Known::InDoubt, batch);
                }
            }
            (Outcome::Refused { .. }, _) => {}
        }
    }

    /// Takes note of a checkpoint on the disk; what does not verify is a torn file.
    pub(super) fn saw(&mut self, note: &[u8], key: &einhorn_core::ledger::VerifierKey) {
        let Ok(checkpoint) = checkpoint::verify(note, key) else { return };
        let before = self.checkpoints.insert(checkpoint.size, checkpoint.root);
        let same = before.is_none_or(|before| before == checkpoint.root);
        assert!(same, "two roots were signed for size {}", checkpoint.size);
    }

    pub(super) fn checkpoints(&self) -> usize {
        self.checkpoints.len()
    }

    /// What a restart found: everything acknowledged at its place, batches in doubt whole or not
    /// at all, nothing that was refused, each name with its newest value.
    pub(super) fn check_state(&mut self, state: &State) -> u64 {
        let mut batches: BTreeMap<u64, bool> = BTreeMap::new();
        let mut kept = 0;
        for (number, sent) in self.sent.iter_mut().enumerate() {
            let found = state.done(&sent.request.id);
            match sent.known {
                Known::Done(at) => {
                    assert_eq!(found, Some(at), "update {number} was acknowledged");
                }
                Known::NotDone => assert_eq!(found, None, "update {number} was never staged"),
                Known::InDoubt => {
                    let whole = *batches.entry(sent.batch).or_insert(found.is_some());
                    assert_eq!(whole, found.is_some(), "a batch in doubt is torn at {number}");
                    kept += u64::from(found.is_some());
                    sent.known = found.map_or(Known::NotDone, Known::Done);
                }
            }
        }
        self.check_zones(&state.zones);
        kept
    }

    /// Each name has the value of the last of its updates that are done.
    pub(super) fn check_zones(&self, zones: &Zones) {
        let Some(zone) = zones.get(&zone_name()) else {
            let none_done = self.sent.iter().all(|sent| !matches!(sent.known, Known::Done(_)));
            assert!(none_done, "the zone is gone");
            return;
        };
        let mut newest = [None; NAMES as usize];
        for (number, sent) in self.sent.iter().enumerate() {
            if let Known::Done(at) = sent.known {
                let newest = &mut newest[sent.owner as usize];
                *newest = (*newest).max(Some((at.index, number as u32)));
            }
        }
        for (owner, newest) in newest.iter().enumerate() {
            let set = zone.rrset(&owner_name(owner as u64), RecordType::A);
            let value = set.and_then(|set| set.rdatas().next().map(<[u8]>::to_vec));
            let expected = newest.map(|(_, value)| value.to_be_bytes().to_vec());
            assert_eq!(value, expected, "n{owner}, whose newest update is {newest:?}");
        }
    }

    /// The whole log: dense, no request twice, and every checkpoint ever seen is a prefix of it.
    pub(super) fn check_log(&self, reader: &mut dyn EngineReader) -> u64 {
        let (mut assembler, mut requests) = (Assembler::default(), HashSet::new());
        let (mut tree, mut roots) = (Frontier::new(), self.checkpoints.clone());
        let read = read_entries(reader, log_id(ORIGIN), 0, &mut |index, octets| {
            assert_eq!(index, tree.size(), "indices are dense");
            tree.push(leaf_hash(octets), |_, _| {});
            if let Some(root) = roots.remove(&tree.size()) {
                assert_eq!(tree.root(), root, "another tree was signed at {}", tree.size());
            }
            let entry = assembler.next(octets).expect("an entry");
            if let Some(Body::Change(change)) = entry.map(|entry| entry.body) {
                assert!(requests.insert(change.request), "entry {index} repeats a request");
            }
            Ok(())
        });
        read.expect("a log that can be read");
        roots.remove(&0);
        assert!(roots.is_empty(), "signed, but not in the log: sizes {:?}", roots.keys());
        tree.size()
    }
}
