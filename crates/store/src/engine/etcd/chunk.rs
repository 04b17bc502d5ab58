//! A run of entries, or of their audit values, as one value in etcd.
//!
//! It must never hand out octets whose checksum does not hold.

use etcd_client::TxnOp;

use super::super::LogId;
use super::keys::{Family, Keys};

/// First index, epoch, count, checksum; little-endian.
const HEADER_BYTES: usize = 8 + 8 + 4 + 4;

/// A run. Its framed values are borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// The index of the first value.
    pub(super) first: u64,
    /// How many values; never 0.
    pub(super) count: u32,
    pub(super) epoch: u64,
    /// Framed.
    pub(super) bytes: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The index after the last value.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }

    /// The operation that puts it.
    pub(super) fn put(&self, keys: &Keys, family: Family, log: LogId, id: u64) -> TxnOp {
        TxnOp::put(keys.value(family, id, self.end() - 1), self.encode(family, log, id), None)
    }

    pub(super) fn encode(&self, family: Family, log: LogId, id: u64) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEADER_BYTES + self.bytes.len());
        value.extend_from_slice(&self.first.to_le_bytes());
        value.extend_from_slice(&self.epoch.to_le_bytes());
        value.extend_from_slice(&self.count.to_le_bytes());
        value.extend_from_slice(&self.checksum(family, log, id).to_le_bytes());
        value.extend_from_slice(self.bytes);
        value
    }

    /// Reads what [`Chunk::encode`] wrote; `None` if it is damaged or lies at the wrong place.
    pub(super) fn decode(value: &'a [u8], family: Family, log: LogId, id: u64) -> Option<Self> {
        let (first, rest) = value.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (checksum, bytes) = rest.split_first_chunk()?;
        let chunk = Chunk {
            first: u64::from_le_bytes(*first),
            epoch: u64::from_le_bytes(*epoch),
            count: u32::from_le_bytes(*count),
            bytes,
        };
        (chunk.checksum(family, log, id) == u32::from_le_bytes(*checksum)).then_some(chunk)
    }

    fn checksum(&self, family: Family, log: LogId, id: u64) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[family as u8]);
        hasher.update(&log.0.to_le_bytes());
        hasher.update(&id.to_le_bytes());
        hasher.update(&self.first.to_le_bytes());
        hasher.update(&self.epoch.to_le_bytes());
        hasher.update(&self.count.to_le_bytes());
        hasher.update(self.bytes);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_or_misplaced_run_is_seen() {
        let chunk = Chunk { first: 7, count: 2, epoch: 3, bytes: b"\0\x01a\0\x01b" };
        let value = chunk.encode(Family::Log, LogId(1), 5);
        fn decode(value: &[u8]) -> Option<Chunk<'_>> {
            Chunk::decode(value, Family::Log, LogId(1), 5)
        }
        assert_eq!(decode(&value), Some(chunk));
        assert_eq!(Chunk::decode(&value, Family::Log, LogId(2), 5), None);
        assert_eq!(Chunk::decode(&value, Family::Audit, LogId(1), 5), None);
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "octet {at}");
            assert_eq!(decode(&value[..at]), None, "cut at {at}");
        }
    }
}
