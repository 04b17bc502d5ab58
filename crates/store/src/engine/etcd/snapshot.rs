//! Snapshots in pieces, which one write of the root makes visible.
//!
//! It must never show a piece of a snapshot that is not whole.

use etcd_client::{GetOptions, TxnOp};

use super::super::EngineError;
use super::EtcdEngine;
use super::connection::Members;
use super::fence::read_root;
use super::keys::{Family, Keys};
use super::reader::EtcdReader;
use super::root::{Root, Snapshot};

/// The octets of a piece: with its key, well below etcd's limit of a request.
const PIECE_BYTES: usize = 1 << 20;

impl EtcdEngine {
    /// Puts all pieces, then the root; what a failure leaves behind is removed at opening.
    pub(super) fn write_snapshot(&mut self, tag: u64, bytes: &[u8]) -> Result<(), EngineError> {
        const DOING: &str = "save a snapshot";
        let keys = &self.connection.place.keys;
        let id = self.writer.root.next_id;
        for (number, piece) in (0..).zip(bytes.chunks(PIECE_BYTES)) {
            let put = TxnOp::put(keys.value(Family::Piece, id, number), piece, None);
            self.writer.stage(&self.connection, DOING, vec![put])?;
        }
        let pieces = bytes.len().div_ceil(PIECE_BYTES) as u64;
        let checksum = checksum(tag, pieces, [bytes]);
        let (root, dropped) = self.writer.root.with_snapshot(tag, pieces, checksum);
        let deletes = dropped.iter().map(|id| keys.delete_from(Family::Piece, *id, 0)).collect();
        self.writer.commit(&self.connection, DOING, root, deletes)
    }

    /// Removes all snapshots.
    pub(super) fn delete_snapshots(&mut self) -> Result<(), EngineError> {
        if self.writer.root.snapshots.is_empty() {
            return Ok(());
        }
        let root = Root { snapshots: Vec::new(), ..self.writer.root.clone() };
        let delete = delete_all_pieces(&self.connection.place.keys);
        self.writer.commit(&self.connection, "drop the snapshots", root, vec![delete])
    }
}

pub(super) fn delete_all_pieces(keys: &Keys) -> TxnOp {
    keys.delete_ids_from(Family::Piece, 0)
}

fn checksum<'a>(tag: u64, pieces: u64, bytes: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut hasher = begin_checksum(tag, pieces);
    bytes.into_iter().for_each(|some| hasher.update(some));
    hasher.finalize()
}

/// A checksum that still wants the snapshot's bytes.
fn begin_checksum(tag: u64, pieces: u64) -> crc32fast::Hasher {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&tag.to_le_bytes());
    hasher.update(&pieces.to_le_bytes());
    hasher
}

impl EtcdReader {
    /// Reads it twice, at the revision of the root: nothing is shown of a snapshot that turns out
    /// to be damaged.
    pub(super) fn visit_latest_snapshot(
        &mut self,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<u64>, EngineError> {
        'again: loop {
            let found = read_root(&self.connection)?;
            for snapshot in found.root.snapshots.iter().rev() {
                let Snapshot { tag, pieces, .. } = *snapshot;
                let mut checksum = begin_checksum(tag, pieces);
                let seen =
                    match self.pieces(snapshot, found.at, &mut |bytes| checksum.update(bytes)) {
                        // The history with that revision was dropped meanwhile.
                        Err(error) if error.is_compacted() => continue 'again,
                        other => other?,
                    };
                if seen == pieces && checksum.finalize() == snapshot.checksum {
                    self.pieces(snapshot, found.at, visit)?;
                    return Ok(Some(tag));
                }
                tracing::error!(
                    log = %self.connection.place.name(), tag,
                    "a snapshot is damaged and skipped: its checksum does not hold"
                );
            }
            return Ok(None);
        }
    }

    /// Shows the pieces that were there at a revision, in order; returns how many.
    fn pieces(
        &self,
        snapshot: &Snapshot,
        revision: i64,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, EngineError> {
        for number in 0..snapshot.pieces {
            let key = self.connection.place.keys.value(Family::Piece, snapshot.id, number);
            let response = self.connection.call("read a snapshot", move |client| {
                let options = GetOptions::new().with_revision(revision);
                let key = key.clone();
                async move { Members::reading(&client).get(key, Some(options)).await }
            })?;
            match response.kvs().first() {
                Some(piece) => visit(piece.value()),
                None => return Ok(number),
            }
        }
        Ok(snapshot.pieces)
    }
}
