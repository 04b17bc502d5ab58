//! A verifier of transparency logs, written from the C2SP specifications alone: tlog-tiles,
//! tlog-checkpoint and signed-note. It shares no code with the program that it checks.
//!
//! It reads a log over HTTP or from a folder, computes every hash and the root anew, and keeps
//! every checkpoint it ever saw: each later tree must begin with each earlier one.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub(crate) type Hash = [u8; 32];

/// Hashes in a full tile and entries in a full bundle.
const TILE_WIDTH: u64 = 256;
/// How long a server may take to answer.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a new log may be without a checkpoint.
const FIRST_CHECKPOINT_MAX: Duration = Duration::from_secs(10);

/// Where a log's files are.
pub(crate) enum Source {
    Folder(PathBuf),
    Http(HttpSource),
}

/// One connection to a web server, kept open.
pub(crate) struct HttpSource {
    host: String,
    prefix: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Source {
    /// A log at `http://HOST:PORT/PREFIX/`.
    pub(crate) fn http(url: &str) -> Source {
        let rest = url.strip_prefix("http://").expect("an http URL");
        let (host, prefix) = rest.split_once('/').expect("a path in the URL");
        Source::Http(HttpSource {
            host: host.to_owned(),
            prefix: format!("/{prefix}"),
            connection: None,
        })
    }

    /// The file at `path`; `None` if there is none.
    pub(crate) fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self {
            Source::Folder(folder) => match std::fs::read(folder.join(path)) {
                Ok(octets) => Ok(Some(octets)),
                // A file where a folder would be, such as `000` and `000.p`, is not an error.
                Err(error) if matches!(error.raw_os_error(), Some(2 | 20)) => Ok(None),
                Err(error) => Err(format!("{path}: {error}")),
            },
            Source::Http(http) => http.get(path).map_err(|error| format!("{path}: {error}")),
        }
    }

    /// Waits for the first checkpoint of a new log, which comes with the first sealing.
    pub(crate) fn wait_for_checkpoint(&mut self) {
        let begun = Instant::now();
        while self.read("checkpoint").expect("readable").is_none() {
            assert!(begun.elapsed() < FIRST_CHECKPOINT_MAX, "a new log gets no checkpoint");
            std::thread::yield_now();
        }
    }
}

impl HttpSource {
    fn get(&mut self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&self.host)?;
                stream.set_read_timeout(Some(HTTP_TIMEOUT))?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let connection = self.connection.insert(connection);
        let (prefix, host) = (&self.prefix, &self.host);
        let request = format!("GET {prefix}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        connection.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = None;
        loop {
            line.clear();
            if connection.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.trim().is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let length = length.ok_or_else(|| std::io::Error::other("no content-length"))?;
        let mut body = vec![0; length];
        connection.read_exact(&mut body)?;
        match status.as_str() {
            "200" => Ok(Some(body)),
            "404" => Ok(None),
            _ => Err(std::io::Error::other(format!("HTTP status {status}"))),
        }
    }
}

/// What a checkpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// Someone who watches one log.
pub(crate) struct Auditor {
    origin: String,
    key_id: [u8; 4],
    key: VerifyingKey,
    /// Every checkpoint with a good signature: root by size.
    seen: BTreeMap<u64, Hash>,
}

/// A log that was found sound.
pub(crate) struct Audit {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) entries: Vec<Vec<u8>>,
}

impl Auditor {
    /// Watches the log with this verifier key: `NAME+HEX KEY ID+BASE64 OF (1, PUBLIC KEY)`.
    pub(crate) fn new(verifier_key: &str) -> Auditor {
        // The base64 part may hold further plus signs.
        let mut parts = verifier_key.trim().splitn(3, '+');
        let mut part = || parts.next().expect("three parts of a verifier key");
        let (origin, id, key) = (part(), part(), part());
        let key = BASE64_STANDARD.decode(key).expect("base64");
        let id = u32::from_str_radix(id, 16).expect("a key id").to_be_bytes();
        assert_eq!(key.first(), Some(&1), "an Ed25519 key");
        let hash =
            Sha256::new().chain_update(origin).chain_update(b"\n").chain_update(&key).finalize();
        assert_eq!(hash[..4], id, "the key id is of this name and key");
        let key = key[1..].try_into().expect("32 octets");
        let key = VerifyingKey::from_bytes(&key).expect("a public key");
        Auditor { origin: origin.to_owned(), key_id: id, key, seen: BTreeMap::new() }
    }

    /// Watches the log in a node's data folder.
    pub(crate) fn of_folder(data: &std::path::Path) -> Auditor {
        let path = data.join("ledger.vkey");
        Auditor::new(&std::fs::read_to_string(path).expect("the verifier key"))
    }

    /// Number of different checkpoints seen.
    pub(crate) fn checkpoints_seen(&self) -> usize {
        self.seen.len()
    }

    /// Size of the largest tree seen.
    pub(crate) fn size_seen(&self) -> u64 {
        self.seen.keys().next_back().copied().unwrap_or(0)
    }

    /// Verifies a checkpoint and remembers it.
    pub(crate) fn checkpoint(&mut self, note: &[u8]) -> Result<Checkpoint, String> {
        let checkpoint = self.parse(note)?;
        match self.seen.insert(checkpoint.size, checkpoint.root) {
            Some(root) if root != checkpoint.root => {
                Err(format!("two checkpoints of size {}: the log has forked", checkpoint.size))
            }
            _ => Ok(checkpoint),
        }
    }

    fn parse(&self, note: &[u8]) -> Result<Checkpoint, String> {
        let text = std::str::from_utf8(note).map_err(|_| "a note that is not UTF-8")?;
        let split = text.rfind("\n\n").ok_or("a note without signatures")?;
        let (body, signatures) = (&text[..=split], &text[split + 2..]);
        if !signatures.ends_with('\n') {
            return Err("a note with half a signature line".to_owned());
        }
        let mut good = false;
        for line in signatures.lines() {
            let line = line.strip_prefix("\u{2014} ").ok_or("a line that is no signature")?;
            let (name, value) = line.split_once(' ').ok_or("a line that is no signature")?;
            let value = BASE64_STANDARD.decode(value).map_err(|_| "a signature not in base64")?;
            if name != self.origin || value.get(..4) != Some(&self.key_id[..]) {
                continue;
            }
            let signature = value[4..].try_into().map_err(|_| "a signature of wrong length")?;
            self.key
                .verify_strict(body.as_bytes(), &Signature::from_bytes(&signature))
                .map_err(|_| "a wrong signature")?;
            good = true;
        }
        if !good {
            return Err("no signature of this log".to_owned());
        }
        let mut lines = body.lines();
        if lines.next() != Some(&self.origin) {
            return Err("a checkpoint of another log".to_owned());
        }
        let size = lines.next().unwrap_or_default();
        let number: u64 = size.parse().map_err(|_| "a size that is no number")?;
        if number.to_string() != size {
            return Err("a size with extra digits".to_owned());
        }
        let root = BASE64_STANDARD.decode(lines.next().unwrap_or_default());
        let root = root.ok().and_then(|root| root.try_into().ok()).ok_or("no root hash")?;
        Ok(Checkpoint { size: number, root })
    }

    /// Reads the whole log and verifies everything about it.
    pub(crate) fn audit(&mut self, source: &mut Source) -> Result<Audit, String> {
        let seen_before = self.size_seen();
        let note = source.read("checkpoint")?.ok_or("there is no checkpoint")?;
        let checkpoint = self.checkpoint(&note)?;
        if checkpoint.size < seen_before {
            let size = checkpoint.size;
            return Err(format!("the log shrank from {seen_before} entries to {size}"));
        }
        let entries = read_entries(source, checkpoint.size)?;
        let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        check_tiles(source, &leaves)?;
        self.check_roots(&leaves)?;
        Ok(Audit { checkpoint, entries })
    }

    /// Every checkpoint seen, of any size, must be a prefix of the tree with these leaves.
    fn check_roots(&self, leaves: &[Hash]) -> Result<(), String> {
        // Roots of the full subtrees of what was pushed so far, largest first, with their sizes.
        let mut peaks: Vec<(u64, Hash)> = Vec::new();
        for size in 0..=leaves.len() as u64 {
            if let Some(root) = self.seen.get(&size) {
                let right_to_left = peaks.iter().rev().map(|(_, hash)| *hash);
                let computed = right_to_left.reduce(|right, left| node_hash(&left, &right));
                let computed = computed.unwrap_or_else(|| Sha256::digest([]).into());
                if computed != *root {
                    return Err(format!("the checkpoint of size {size} is not of these entries"));
                }
            }
            if let Some(leaf) = usize::try_from(size).ok().and_then(|at| leaves.get(at)) {
                let mut peak = (1, *leaf);
                while let Some((width, left)) = peaks.pop_if(|(width, _)| *width == peak.0) {
                    peak = (2 * width, node_hash(&left, &peak.1));
                }
                peaks.push(peak);
            }
        }
        Ok(())
    }
}

fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// Root of a tree by its definition (RFC 6962 §2.1), which is slow and short.
fn tree_hash(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Sha256::digest([]).into(),
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
            node_hash(&tree_hash(left), &tree_hash(right))
        }
    }
}

/// `x001/x234/067`.
fn index_path(mut index: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    while index >= 1000 {
        index /= 1000;
        path = format!("x{:03}/{path}", index % 1000);
    }
    path
}

/// Reads a tile or bundle of `width` items; where the partial one is gone, the full one.
fn read_resource(
    source: &mut Source,
    folder: &str,
    index: u64,
    width: u64,
) -> Result<(String, Vec<u8>), String> {
    let full = format!("{folder}/{}", index_path(index));
    if width < TILE_WIDTH {
        let partial = format!("{full}.p/{width}");
        if let Some(octets) = source.read(&partial)? {
            return Ok((partial, octets));
        }
    }
    let octets = source.read(&full)?.ok_or_else(|| format!("{full} (width {width}): missing"))?;
    Ok((full, octets))
}

/// Index and width of each tile of a level with this many hashes.
fn tiles(hashes: u64) -> impl Iterator<Item = (u64, u64)> {
    let count = hashes.div_ceil(TILE_WIDTH);
    (0..count).map(move |index| (index, TILE_WIDTH.min(hashes - index * TILE_WIDTH)))
}

fn read_entries(source: &mut Source, size: u64) -> Result<Vec<Vec<u8>>, String> {
    let mut entries = Vec::new();
    for (index, width) in tiles(size) {
        let (path, octets) = read_resource(source, "tile/entries", index, width)?;
        let mut rest = &octets[..];
        for _ in 0..width {
            let (length, behind) =
                rest.split_first_chunk::<2>().ok_or_else(|| format!("{path} is too short"))?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, behind) =
                behind.split_at_checked(length).ok_or_else(|| format!("{path} is too short"))?;
            entries.push(entry.to_vec());
            rest = behind;
        }
        let is_whole = path.ends_with(&format!(".p/{width}")) || width == TILE_WIDTH;
        if is_whole && !rest.is_empty() {
            return Err(format!("{path} has octets behind its last entry"));
        }
    }
    Ok(entries)
}

/// Compares every tile of every level with the tree of these leaves.
fn check_tiles(source: &mut Source, leaves: &[Hash]) -> Result<(), String> {
    let mut hashes = leaves.to_vec();
    let mut level = 0;
    while !hashes.is_empty() {
        for (index, width) in tiles(hashes.len() as u64) {
            let (path, octets) = read_resource(source, &format!("tile/{level}"), index, width)?;
            let is_partial = path.ends_with(&format!(".p/{width}"));
            let length = 32 * if is_partial { width } else { TILE_WIDTH } as usize;
            if octets.len() != length {
                return Err(format!("{path} has {} octets instead of {length}", octets.len()));
            }
            let start = (index * TILE_WIDTH) as usize;
            let expected = hashes[start..start + width as usize].concat();
            if octets[..expected.len()] != expected {
                return Err(format!("{path} does not have the hashes of the log's entries"));
            }
        }
        hashes = hashes.chunks_exact(TILE_WIDTH as usize).map(tree_hash).collect();
        level += 1;
    }
    Ok(())
}
