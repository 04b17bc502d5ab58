//! The small world that targets run in: one zone, one key, one moment, the same in every process.

use arc_swap::ArcSwap;
use einhorn_core::agent::Rules;
use einhorn_core::commit::{Commit, Output};
use einhorn_core::model::request::{Action, Commitment, Identity, Request, RequestId};
use einhorn_core::model::{Origin, Publication, State, snapshot};
use einhorn_core::rules::policy::{Grant, Policy};
use einhorn_core::rules::zone::names_of_zone;
use einhorn_ingress::rate_limit::{LimitCounters, LimitSettings};
use einhorn_ingress::{Access, Ingress, Settings};
use einhorn_serve::answer::AnswerSettings;
use einhorn_serve::publish::Published;
use einhorn_wire::cookie::Secret;
use einhorn_wire::tsig::{Key, KeyRing};
use einhorn_wire::{Name, zonefile};
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The key that may do everything in the zone.
pub const TSIG_KEY: &str = "hmac-sha256:phone.:c2VjcmV0IG9mIHRoZSBwaG9uZSBhbmQgdGhlIHNpdGU=";
/// Seed of the key that signs notes of the corpus.
pub const LOG_KEY_SEED: [u8; 32] = [7; 32];
/// The moment at which everything happens, in seconds since 1970.
pub(crate) const NOW_SECONDS: u64 = 1_700_000_000;
/// The zone's content: a bit of everything that answers depend on.
pub const ZONE_TEXT: &str = "$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
@ MX 10 mail
ns A 192.0.2.53
host A 192.0.2.1
host AAAA 2001:db8::1
alias CNAME host
loop CNAME loop
*.wild TXT \"any\"
sub NS ns.sub
ns.sub A 192.0.2.54
renamed DNAME host
deep.empty.nonterminal A 192.0.2.9
text TXT \"hello\" \"world\"
service SRV 0 0 443 host
web HTTPS 1 . alpn=h2
odd TYPE65280 \\# 2 01ab
";

pub(crate) fn zone_name() -> Name {
    name("fleet.example.")
}

pub(crate) fn name(text: &str) -> Name {
    match text.parse() {
        Ok(name) => name,
        Err(error) => unreachable!("{text}: {error}"),
    }
}

pub(crate) fn key() -> Arc<Key> {
    match TSIG_KEY.parse() {
        Ok(key) => Arc::new(key),
        Err(error) => unreachable!("{error}"),
    }
}

/// Everything that targets share; nothing in it is ever changed.
pub(crate) struct World {
    pub(crate) snapshot: Vec<u8>,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) ingress: Ingress,
}

pub(crate) static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (state, entries) = loaded();
    let zones = Published::default();
    zones.publish(Publication { zones: state.zones.clone(), steps: Vec::new() });
    let mut keys = KeyRing::default();
    let key = key();
    let grant = Grant::everything(key.name().clone(), zone_name());
    keys.insert((*key).clone());
    let answer = AnswerSettings {
        nsid: Some(b"fuzz".to_vec()),
        identity: Some("fuzz".to_owned()),
        cookie_secrets: vec![Secret([5; 16])],
        ..AnswerSettings::default()
    };
    let ingress = Ingress {
        zones,
        access: ArcSwap::from_pointee(Access {
            keys,
            policy: Policy::new([grant]),
            ..Access::default()
        }),
        settings: ArcSwap::from_pointee(Settings { answer, limits: LimitSettings::default() }),
        limited: LimitCounters::default(),
        crowd: Arc::default(),
        hostname_answers: Default::default(),
        submissions: crossbeam_channel::bounded(1).0,
        notified: tokio::sync::mpsc::channel(1).0,
        site: 1.into(),
        audit_secret: [3; 32],
    };
    World { snapshot: snapshot::encode(&state), entries, ingress }
});

/// A commit that goes on from the zone as loaded.
pub(crate) fn commit() -> Commit<()> {
    match snapshot::decode(&WORLD.snapshot) {
        Ok(state) => Commit::new(state, Box::new(Rules)),
        Err(error) => unreachable!("{error}"),
    }
}

fn loaded() -> (State, Vec<Vec<u8>>) {
    let read = &mut |_: &Path| Ok(ZONE_TEXT.as_bytes().to_vec());
    let records = zonefile::load(Path::new("zone"), &zone_name(), read);
    let names = records.map(|records| names_of_zone(&zone_name(), records));
    let Ok(Ok(names)) = names else { unreachable!("the zone is sound") };
    let mut commit: Commit<()> = Commit::new(State::empty(Origin::NONE), Box::new(Rules));
    commit.begin_log(1, Origin { site: 1, generation: 1 }, "einhorn/fuzz".to_owned(), None);
    let request = Request {
        id: RequestId([1; 32]),
        remember_until_seconds: NOW_SECONDS + 600,
        who: Identity::Operator,
        zone: zone_name(),
        action: Action::LoadZone { names, source: [9; 32] },
        entered_site: 1,
        audit_commitment: Commitment([0; 32]),
        decision: None,
        audit: Vec::new(),
    };
    let mut out = Vec::new();
    commit.request(NOW_SECONDS * 1000, request, (), &mut out);
    commit.flush(NOW_SECONDS * 1000, &mut out);
    let mut entries = Vec::new();
    for output in &out {
        if let Output::Append(append) = output {
            entries.extend(append.own.entries().map(|(entry, _)| entry.to_vec()));
        }
    }
    commit.appended(0, &mut out);
    let octets = snapshot::encode(commit.state());
    match snapshot::decode(&octets) {
        Ok(state) => (state, entries),
        Err(error) => unreachable!("{error}"),
    }
}

/// Sound entries, as a log stores them.
pub fn stored_entries() -> Vec<Vec<u8>> {
    WORLD.entries.clone()
}

/// A sound snapshot.
pub fn snapshot_octets() -> Vec<u8> {
    WORLD.snapshot.clone()
}
