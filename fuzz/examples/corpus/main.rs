//! Writes the corpus: small inputs of every target, all made here. Run it from the package's
//! folder after a format has changed: `cargo run --release -p einhorn-fuzz --example corpus`.

mod edge;
mod https;
mod live;
mod mainframe;
mod sites;

use einhorn_core::ledger::map::{
    CompactRange, History, Included, Leaf, LogHistory, MapKey, MapPart, RootBuilder, Tail, prove,
    touches, verify_parsed,
};
use einhorn_core::ledger::tile::{append_entry, encode_tile};
use einhorn_core::ledger::tree::{complete_subtrees, inclusion_proof, subtree_root};
use einhorn_core::ledger::witness;
use einhorn_core::ledger::{
    Algorithm, Checkpoint, Cosignatures, EMPTY_ROOT, Hash, SignerKey, Tile, leaf_hash,
};
use einhorn_core::link::Message;
use einhorn_core::model::entry::{Assembler, Entry};
use einhorn_core::model::registry::RegistryChange;
use einhorn_core::model::request::{
    Action, Commitment, Identity, Operation, Outcome, PlannedName, Prerequisite, ReplaceReason,
    Request, RequestId,
};
use einhorn_core::model::settings::{Level, Settings};
use einhorn_core::model::{Origin, Position, RrSet, Site};
use einhorn_fuzz::{LOG_KEY_SEED, TSIG_KEY, ZONE_TEXT, snapshot_octets, stored_entries};
use einhorn_links::VersionRange;
use einhorn_links::card::Card;
use einhorn_links::frame::Frame;
use einhorn_links::preface::Preface;
use einhorn_wire::message::{Opcode, Rcode};
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, Name, RecordType};
use sites::{of_sites, transaction};
use std::convert::Infallible;
use std::error::Error;
use std::path::Path;

type Anyhow = Result<(), Box<dyn Error>>;

fn write(target: &str, name: &str, octets: &[u8]) -> Anyhow {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), octets)?)
}

fn main() -> Anyhow {
    messages()?;
    texts()?;
    links()?;
    link_messages()?;
    mainframe::all()?;
    live::all()?;
    edge::all()?;
    https::all()?;
    ledger()
}

/// Owner, type, class, TTL, rdata.
type Given<'a> = (&'a str, RecordType, Class, u32, &'a [u8]);

fn update(prerequisites: &[Given<'_>], updates: &[Given<'_>]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, 7, 60_000);
    writer.set_request(Opcode::UPDATE);
    let zone: Name = "fleet.example.".parse()?;
    writer.question(zone.as_wire(), RecordType::SOA, Class::IN)?;
    for (section, records) in [(Section::Answer, prerequisites), (Section::Authority, updates)] {
        for (owner, rtype, class, ttl, rdata) in records {
            let owner: Name = owner.parse()?;
            writer.record(section, owner.as_wire(), *rtype, *class, *ttl, rdata)?;
        }
    }
    Ok(octets)
}

fn messages() -> Anyhow {
    let names =
        ["host", "alias", "loop", "x.wild", "a.sub", "x.renamed", "empty.nonterminal", "no"];
    for name in names {
        let owner: Name = format!("{name}.fleet.example.").parse()?;
        let mut octets = Vec::new();
        Writer::new(&mut octets, 7, 512).question(owner.as_wire(), RecordType::A, Class::IN)?;
        write("answer", name, &octets)?;
        write("message", name, &octets)?;
        // The root, type 41, 1232 octets, DNSSEC OK; one more additional record.
        octets.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0]);
        octets[11] += 1;
        write("dispatch", name, &octets)?;
        write("answer", &format!("{name}-edns"), &octets)?;
    }
    let (a, any, none) = (RecordType::A, Class::ANY, Class::NONE);
    let host = "host.fleet.example.";
    let address: &[u8] = &[192, 0, 2, 7];
    let updates = [
        ("add", update(&[], &[(host, a, Class::IN, 60, address)])?),
        ("replace", update(&[], &[(host, a, any, 0, &[]), (host, a, Class::IN, 60, address)])?),
        ("delete-name", update(&[], &[(host, RecordType::ANY, any, 0, &[])])?),
        ("delete-record", update(&[], &[(host, a, none, 0, &[192, 0, 2, 1])])?),
        ("in-use", update(&[(host, RecordType::ANY, any, 0, &[])], &[])?),
        ("equals", update(&[(host, a, Class::IN, 0, &[192, 0, 2, 1])], &[])?),
        ("absent", update(&[(host, RecordType::TXT, none, 0, &[])], &[])?),
        ("apex", update(&[], &[("fleet.example.", RecordType::ANY, any, 0, &[])])?),
        ("cname", update(&[], &[(host, RecordType::CNAME, Class::IN, 60, b"\x01x\x00")])?),
        ("delete-mx", update(&[], &[(host, RecordType::MX, any, 0, &[])])?),
        ("soa", update(&[], &[("fleet.example.", RecordType::SOA, Class::IN, 60, &[0; 22])])?),
    ];
    let key = std::sync::Arc::new(TSIG_KEY.parse::<einhorn_wire::tsig::Key>()?);
    for (name, octets) in &updates {
        for target in ["update", "message", "tsig"] {
            write(target, name, octets)?;
        }
        let mut signed = octets.clone();
        key.sign_request(&mut signed, 0, 1_700_000_000);
        write("tsig", &format!("{name}-signed"), &signed)?;
        write("dispatch", &format!("{name}-signed"), &signed)?;
    }
    Ok(())
}

/// Zone files with what the reader has special ways for.
const ZONE_FILES: &[(&str, &str)] = &[
    (
        "directives",
        "\u{feff}$TTL 1h30m\r\n$ORIGIN sub\r\n@ A 192.0.2.1\r\n A 192.0.2.2\r\n$origin fleet.example.\r\n$INCLUDE \"zone\" x",
    ),
    (
        "generate",
        "$TTL 1\n$GENERATE 1-9/2 h-${-1,3,x}.$$ 60 A 192.0.2.$\n$GENERATE 0-20 ${0,7,n}${5,0,N} IN TXT \"a$ \\\"b \\$\\\"\"\n",
    ),
    (
        "generic",
        "a 1 A \\# 4 (c000\n0201)\nb 1W2D CLASS1 TYPE15 \\# 5 000a016100\nc 1 TYPE65280 \\# 0\n",
    ),
    (
        "dnssec",
        "a 1 DS 1 8 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF\na 1 RRSIG A 15 2 300 20300101000000 20200101000000 7 \\(b (AAAA\n AAAA)\na 1 NSEC b\\; A TYPE999\na 1 DNSKEY 257 3 15 AAAA\na 1 NSEC3 1 0 5 AB 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A\n",
    ),
    (
        "rows",
        "a 1 NAPTR 1 2 u \"E2U+sip\" \"!^.*$!sip:a@b!\" .\na 1 URI 1 2 \"http://a\"\na 1 RP a b\na 1 ISDN 1\na 1 GPOS 1 2 3\na 1 CAA 0 issue \"ca;x\"\na 1 HTTPS 1 \\@ alpn=\"h2,h3\" ipv4hint=192.0.2.1 key7=\"a b\"\na 1 IPSECKEY 10 3 2 a\\) AAAA\na 1 SSHFP 1 1 00\na 1 TLSA 3 1 1 00\na 1 ZONEMD 1 1 1 00112233445566778899AABB\na 1 AAAA ::ffff:192.0.2.1\n",
    ),
];

fn texts() -> Anyhow {
    write("zone_file", "everything", ZONE_TEXT.as_bytes())?;
    write("zone_file", "include", b"$INCLUDE more sub\n@ 60 SOA a b 1 2 3 4 5\n")?;
    write("zone_file", "parentheses", b"a 60 TXT ( \"x\"\n y ) ; comment\n\\097 60 A 192.0.2.1\n")?;
    // The library runs over the end of this one.
    write("zone_file", "quotes", b"a 60 TXT \" \"x\n( y ) ; \\097 60 A 192.0.2.1\n")?;
    for (name, text) in ZONE_FILES {
        write("zone_file", name, text.as_bytes())?;
    }
    for (name, text) in [
        ("plain", "host.fleet.example."),
        ("escapes", "a\\.b\\010c\\\\.example."),
        ("root", "."),
        ("wire", "\u{4}host\u{5}fleet\u{7}example\u{0}"),
    ] {
        write("name", name, text.as_bytes())?;
    }
    let secret = "c2VjcmV0IG9mIHRoZSBwaG9uZSBhbmQgdGhlIHNpdGU=";
    let bind = format!("key \"phone.\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n");
    write("key_file", "bind", bind.as_bytes())?;
    write("key_file", "comment", format!("# c\n// d\n/* e */ {bind}{bind}").as_bytes())?;
    write("key", "plain", TSIG_KEY.as_bytes())?;
    write("key", "sha1", format!("hmac-sha1:a.b.:{secret}").as_bytes())?;
    for (name, text) in [
        ("reload", r#"{"command":"reload"}"#),
        ("audit", r#"{"command":"audit","index":7}"#),
        (
            "rollback",
            r#"{"command":"rollback","zone":"a.","serial":1,"time_ms":null,"name":null,"dry_run":true}"#,
        ),
        ("done", r#"{"answer":"done","text":"x","index":1}"#),
    ] {
        write("control", name, text.as_bytes())?;
    }
    Ok(())
}

fn links() -> Anyhow {
    let key = |name: &str, algorithm| SignerKey::from_seed(name, algorithm, &LOG_KEY_SEED);
    let mut card = Card {
        name: "berlin".to_owned(),
        addresses: vec!["berlin.example:5301".to_owned(), "[2001:db8::1]:5301".to_owned()],
        ledger: key("einhorn/berlin", Algorithm::Ed25519)?.verifier().clone(),
        mirror: key("einhorn/berlin/mirror", Algorithm::CosignatureV1)?.verifier().clone(),
        certificates: vec![[0xa5; 32]],
    };
    write("card", "two-addresses", card.to_string().as_bytes())?;
    card.addresses.clear();
    card.certificates.push([7; 32]);
    write("card", "two-certificates", card.to_string().as_bytes())?;
    for (name, lowest, highest) in [("berlin", 1, 1), ("a", 1, 2), ("0-9", 7, u16::MAX)] {
        let versions = VersionRange::new(lowest, highest).ok_or("no range")?;
        let preface = Preface { versions, instance: 0x0102_0304_0506_0708, name: name.to_owned() };
        write("preface", name, &preface.encode())?;
    }
    let mut octets = Vec::new();
    for (name, frame) in [
        ("alive", Frame::Alive),
        ("data", Frame::Data(&[7; 300])),
        ("close", Frame::Close("the site is stopping")),
        ("welcome", Frame::Welcome),
    ] {
        frame.write(&mut octets);
        write("frame", name, &octets)?;
    }
    Ok(())
}

fn origin(site: u16) -> Origin {
    Origin { site, generation: 1 }
}

fn site(number: u16) -> Site {
    Site {
        name: format!("site{number}"),
        addresses: vec![format!("site{number}.example:5301")],
        logs: [(1, format!("einhorn/site{number}"))].into(),
        mirror_keys: vec![format!("einhorn/site{number}/mirror")],
        certificates: vec![[number as u8; 32]],
        is_suspended: number == 2,
    }
}

fn request(number: u8, action: Action) -> Result<Request, Box<dyn Error>> {
    Ok(Request {
        id: RequestId([number; 32]),
        remember_until_seconds: 1_700_000_600,
        who: Identity::Key("phone.".parse()?),
        zone: "fleet.example.".parse()?,
        action,
        entered_site: 2,
        audit_commitment: Commitment([number; 32]),
        decision: None,
        audit: vec![number; 5],
    })
}

fn link_messages() -> Anyhow {
    let position = Position { origin: origin(1), index: 7 };
    let note = "a note\n".to_owned();
    let state = Message::State {
        origin: origin(2),
        held: vec![(origin(1), 8), (origin(2), 3)],
        time_ms: 1_700_000_000_000,
        waiting: 2,
        oldest_ms: 40,
    };
    let entries = Message::Entries { origin: origin(1), first: 0, entries: stored_entries() };
    let cosignature =
        Message::Cosignature { origin: origin(1), size: 8, root: EMPTY_ROOT, line: note.clone() };
    let done = Message::Answer {
        ticket: 3,
        request: RequestId([3; 32]),
        outcome: Outcome::Done { at: position },
    };
    let outcome = Outcome::Refused { rcode: Rcode::SERVFAIL, reason: "no".to_owned() };
    for (name, message) in [
        ("state", state),
        ("follow", Message::Follow { origin: origin(1), from: 7 }),
        ("entries", entries),
        ("have", Message::Have { origin: origin(1), next: 8 }),
        ("checkpoint", Message::Checkpoint { origin: origin(1), note }),
        ("cosignature", cosignature),
        ("done", done),
        ("refused", Message::Answer { ticket: 3, request: RequestId([3; 32]), outcome }),
        ("propose", Message::Propose { lost: origin(1), successor: origin(2), round: 1 }),
        ("ended", Message::Ended { origin: origin(1), end: 8 }),
        ("fork", Message::Fork { origin: origin(1), size: 8 }),
        (
            "refuse",
            Message::Refuse {
                id: transaction().id,
                is_final: true,
                rcode: Rcode::YXDOMAIN,
                reason: "no".to_owned(),
            },
        ),
        ("resolve", Message::Resolve { transaction: transaction() }),
    ] {
        write("link_message", name, &message.encode())?;
    }
    for (number, (name, action)) in (1..).zip(actions()?) {
        let request = Box::new(request(number, action)?);
        let (ticket, seen) = (u64::from(number), vec![position]);
        let message = Message::Forward { ticket, hops: 1, seen, budget_ms: 3_000, request };
        write("link_message", &format!("forward-{name}"), &message.encode())?;
        if let Message::Forward { seen, request, .. } = message
            && name == "update"
        {
            let requests = vec![*request];
            let transaction = transaction();
            let settings = vec![1; requests.len()];
            let message =
                Message::Prepare { transaction, seen, is_exact: true, settings, requests };
            write("link_message", "prepare", &message.encode())?;
        }
    }
    Ok(())
}

/// One of everything that can be asked for.
fn actions() -> Result<Vec<(&'static str, Action)>, Box<dyn Error>> {
    let owner: Name = "host.fleet.example.".parse()?;
    let (rtype, rdata) = (RecordType::A, vec![192, 0, 2, 7]);
    let set = RrSet::new(rtype, 60, [&rdata[..]]).ok_or("no records")?;
    let prerequisites = vec![
        Prerequisite::NameInUse(owner.clone()),
        Prerequisite::NameNotInUse("new.fleet.example.".parse()?),
        Prerequisite::RrSetExists(owner.clone(), rtype),
        Prerequisite::RrSetAbsent(owner.clone(), RecordType::TXT),
        Prerequisite::RrSetEquals(owner.clone(), set.clone()),
    ];
    let rdata = rdata.into_boxed_slice();
    let operations = vec![
        Operation::DeleteRrSet(owner.clone(), rtype),
        Operation::DeleteName(owner.clone()),
        Operation::DeleteRecord { owner: owner.clone(), rtype, rdata: rdata.clone() },
        Operation::Add { owner: owner.clone(), rtype, ttl: 60, rdata },
    ];
    let names = vec![PlannedName {
        owner: owner.clone(),
        version: 2,
        epoch: None,
        after: vec![set.clone()],
    }];
    let reason = ReplaceReason::Transfer { from: Some(1), to: 2 };
    let settings = Settings {
        level: Level::Majority,
        primaries: vec!["192.0.2.1".parse()?],
        notify: vec!["[2001:db8::1]:5353 key phone.".parse()?],
        ..Settings::default()
    };
    Ok(vec![
        ("update", Action::Update { prerequisites, operations, lease: None }),
        ("load", Action::LoadZone { names: vec![(owner, vec![set])], source: [9; 32] }),
        ("replace", Action::Replace { reason, names }),
        ("remove", Action::RemoveZone),
        ("configure", Action::Configure(settings)),
        ("put-site", Action::Sites(RegistryChange::Put { site: site(3) })),
    ])
}

fn ledger() -> Anyhow {
    let entries = stored_entries();
    let mut framed = Vec::new();
    entries.iter().try_for_each(|entry| append_entry(&mut framed, entry))?;
    write("entry", "log", &framed)?;
    // One change in two parts, cut in the middle.
    let longest = entries.iter().max_by_key(|entry| entry.len()).ok_or("no entries")?;
    let (first, second) = longest[1..].split_at(longest.len() / 2);
    let mut parts = Vec::new();
    for (number, piece) in [(0, first), (1, second)] {
        append_entry(&mut parts, &[&[6, 0, number, 0, 2], piece].concat())?;
    }
    write("entry", "parts", &parts)?;
    write("entry", "sites", &of_sites()?)?;
    write("snapshot", "zone", &snapshot_octets())?;
    let mut bundle = vec![entries.len() as u8 - 1];
    bundle.extend_from_slice(&framed);
    write("bundle", "log", &bundle)?;
    write("bundle", "empty-entries", &[1, 0, 0, 0, 0])?;
    write("tile", "two", &[&[1][..], &encode_tile(&[EMPTY_ROOT, Hash([5; 32])])].concat())?;
    for (name, path) in [
        ("checkpoint", "checkpoint"),
        ("tile", "tile/0/x001/x234/067"),
        ("partial", "tile/3/000.p/255"),
        ("bundle", "tile/entries/x001/067.p/1"),
    ] {
        write("tile_path", name, path.as_bytes())?;
    }
    let signer = SignerKey::from_seed("einhorn/fuzz", Algorithm::Ed25519, &LOG_KEY_SEED)?;
    write("verifier_key", "public", signer.verifier().to_string().as_bytes())?;
    write("verifier_key", "secret", signer.to_secret_text().as_bytes())?;
    let checkpoint =
        Checkpoint { origin: "einhorn/fuzz".to_owned(), size: 300, root: Hash([5; 32]) };
    write("checkpoint", "body", checkpoint.body().as_bytes())?;
    let signed = checkpoint.sign(&signer)?;
    write("checkpoint", "signed", signed.note.as_bytes())?;
    write("note", "signed", signed.note.as_bytes())?;
    let hash = signed.note.lines().nth(2).ok_or("no root")?;
    let note = &signed.note;
    let proof = format!("c2sp.org/tlog-proof@v1\nextra YQ==\nindex 7\n{hash}\n{hash}\n\n{note}");
    write("proof", "two-hashes", proof.as_bytes())?;
    let request = witness::Request { old_size: 0, proof: Vec::new(), note };
    write("add_checkpoint", "first", request.encode().as_bytes())?;
    let request = witness::Request { old_size: 7, proof: vec![Hash([6; 32]); 3], note };
    write("add_checkpoint", "three-hashes", request.encode().as_bytes())?;
    let mut known = Cosignatures::new("einhorn/fuzz");
    for (name, time) in [("paris", 1), ("rome", 1_800_000_000)] {
        let cosigner = SignerKey::from_seed(name, Algorithm::CosignatureV1, &LOG_KEY_SEED)?;
        let line = cosigner.cosign(&signed.checkpoint.body(), time)?;
        known.add(&signed.checkpoint, &line, &[cosigner.verifier().clone()]);
    }
    write("cosignatures", "two", known.encode().as_bytes())?;
    histories(entries, &signer)
}

/// The tile of a tree with fewer than 256 leaves.
fn small_tile(leaves: &[Hash]) -> impl Fn(Tile) -> Result<Vec<Hash>, Infallible> {
    move |tile| Ok(leaves[..usize::from(tile.width)].to_vec())
}

/// What a log says of a name that it has and one that it has not: with a map, and without.
fn histories(mut entries: Vec<Vec<u8>>, signer: &SignerKey) -> Anyhow {
    let zone: Name = "fleet.example.".parse()?;
    let at = entries.len() as u64;
    let (mut assembler, mut leaves, mut changes) = (Assembler::default(), Vec::new(), Vec::new());
    for (index, octets) in (0..).zip(&entries) {
        let before = leaves.len();
        let Some(entry) = assembler.next(octets)? else { continue };
        // No name is in two of these entries.
        touches(index, &entry, |touch| leaves.push(Leaf::touched(None, &touch)));
        changes.extend((leaves.len() > before).then_some(index));
    }
    leaves.sort_by_key(|leaf| leaf.key);
    let (mut map, mut hashes) = (RootBuilder::default(), Vec::new());
    for leaf in &leaves {
        hashes.push(leaf.hash());
        assert!(map.push(leaf.key, leaf.hash(), |_, _| {}), "leaves in order");
    }
    Entry { time_ms: 1, body: map.root(at).body() }
        .encode(&mut Vec::new(), |part| entries.push(part.to_vec()));
    let tree: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let (origin, size, root) = ("einhorn/fuzz".to_owned(), at + 1, subtree_root(&tree));
    let checkpoint = Checkpoint { origin, size, root }.sign(signer)?.note;
    let included = |index: u64| -> Result<Included, Box<dyn Error>> {
        let proof = inclusion_proof(size, index, small_tile(&tree))?;
        Ok(Included { index, octets: entries[index as usize].clone(), hashes: proof })
    };
    let prove_key = |key| {
        let leaf = |position: u64| Ok::<_, Infallible>(leaves[position as usize]);
        prove(leaves.len() as u64, key, leaf, small_tile(&hashes))
    };
    for owner in ["host", "nobody"] {
        let name: Name = format!("{owner}.fleet.example.").parse()?;
        let [of_name, of_zone] = [MapKey::of_name(&zone, &name), MapKey::of_zone(&zone)];
        let is_there = leaves.iter().any(|leaf| leaf.key == of_name);
        let shown = changes.iter().filter(|_| is_there).map(|index| included(*index));
        let map =
            MapPart { entry: included(at)?, name: prove_key(of_name)?, zone: prove_key(of_zone)? };
        let before = complete_subtrees(size, at, small_tile(&tree))?;
        let before = CompactRange::new(at, before).ok_or("not a range")?;
        let tail = Tail { before, entries: entries[at as usize..].to_vec() };
        let by_map = LogHistory {
            checkpoint: checkpoint.clone(),
            genesis: included(0)?,
            map: Some(map),
            changes: shown.collect::<Result<_, _>>()?,
            tail: Some(tail),
        };
        let tail = Tail { before: CompactRange::default(), entries: entries.clone() };
        let whole =
            LogHistory { map: None, changes: Vec::new(), tail: Some(tail), ..by_map.clone() };
        for (form, log) in [("map", by_map), ("whole", whole)] {
            let history = History { zone: zone.clone(), owner: name.clone(), logs: vec![log] };
            verify_parsed(&history, &[signer.verifier().clone()])?;
            write("history", &format!("{owner}-{form}"), history.to_string().as_bytes())?;
        }
    }
    Ok(())
}
