//! The tree against published roots and proofs, and against RFC 6962's definitions written down
//! as they stand there.

use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::super::hash::leaf_hash;
use super::*;

/// `MTH` of RFC 6962, section 2.1.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while 2 * k < leaves.len() {
                k *= 2;
            }
            node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

/// `PATH` of RFC 6962, section 2.1.1.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = split_point(leaves.len() as u64) as usize;
    let (left, right) = leaves.split_at(k);
    if m < k {
        [path(m, left), vec![mth(right)]].concat()
    } else {
        [path(m - k, right), vec![mth(left)]].concat()
    }
}

/// `SUBPROOF` of RFC 6962, section 2.1.2.
fn subproof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if known { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = split_point(leaves.len() as u64) as usize;
    let (left, right) = leaves.split_at(k);
    if m <= k {
        [subproof(m, left, known), vec![mth(right)]].concat()
    } else {
        [subproof(m - k, right, false), vec![mth(left)]].concat()
    }
}

struct Log {
    leaves: Vec<Hash>,
    frontier: Frontier,
    full: BTreeMap<(u8, u64), Vec<Hash>>,
}

impl Log {
    fn new(size: usize) -> Log {
        let leaves: Vec<Hash> = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let (mut frontier, mut full) = (Frontier::new(), BTreeMap::new());
        for leaf in &leaves {
            frontier.push(*leaf, |tile, hashes| {
                assert!(full.insert((tile.level, tile.index), hashes.to_vec()).is_none());
            });
        }
        Log { leaves, frontier, full }
    }

    /// Tiles as a tree of this size publishes them.
    fn read(&self) -> impl Fn(Tile) -> Result<Vec<Hash>, Infallible> + '_ {
        |tile| {
            let partial = || {
                let mut partial = self.frontier.partial_tiles();
                partial.find(|(t, _)| *t == tile).map(|(_, hashes)| hashes.to_vec())
            };
            Ok(self.full.get(&(tile.level, tile.index)).cloned().or_else(partial).expect("tile"))
        }
    }
}

/// Leaves and roots of the reference tree that Certificate Transparency implementations share.
#[test]
fn published_roots_and_proofs() {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), EMPTY_ROOT);
    for (entry, root) in entries.iter().zip(roots) {
        frontier.push(leaf_hash(entry), |_, _| panic!("no tile is full"));
        assert_eq!(frontier.root().to_hex(), root);
    }
    let read = |tile: Tile| -> Result<_, Infallible> {
        Ok(entries[..usize::from(tile.width)].iter().map(|e| leaf_hash(e)).collect())
    };
    let hex =
        |proof: Vec<Hash>| proof.iter().map(|h| h.to_hex()[..8].to_owned()).collect::<Vec<_>>();
    assert_eq!(hex(inclusion_proof(8, 0, read).unwrap()), ["96a296d2", "5f083f0a", "6b47aaf2"]);
    assert_eq!(hex(inclusion_proof(8, 5, read).unwrap()), ["bc1a0643", "ca854ea1", "d37ee418"]);
    assert_eq!(hex(inclusion_proof(3, 2, read).unwrap()), ["fac54203"]);
    assert_eq!(hex(consistency_proof(1, 8, read).unwrap()), ["96a296d2", "5f083f0a", "6b47aaf2"]);
    assert_eq!(hex(consistency_proof(6, 8, read).unwrap()), ["0ebc5d34", "ca854ea1", "d37ee418"]);
    assert_eq!(hex(consistency_proof(2, 5, read).unwrap()), ["5f083f0a", "bc1a0643"]);
}

#[test]
fn every_small_tree_agrees_with_the_definition() {
    for size in 0..=70 {
        let log = Log::new(size);
        let root = mth(&log.leaves);
        assert_eq!(log.frontier.root(), root);
        for index in 0..size {
            let proof = inclusion_proof(size as u64, index as u64, log.read()).unwrap();
            assert_eq!(proof, path(index, &log.leaves));
            verify_inclusion(log.leaves[index], index as u64, size as u64, root, &proof).unwrap();
        }
        for old in 1..=size {
            let proof = consistency_proof(old as u64, size as u64, log.read()).unwrap();
            assert_eq!(proof, subproof(old, &log.leaves, true));
            let old_root = mth(&log.leaves[..old]);
            verify_consistency(old as u64, old_root, size as u64, root, &proof).unwrap();
        }
    }
}

#[test]
fn sizes_around_tile_borders() {
    for size in [255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 70_000] {
        let log = Log::new(size);
        let root = mth(&log.leaves);
        assert_eq!(log.frontier.root(), root, "{size}");
        let tiles: Vec<Tile> = Tile::all(size as u64).filter(Tile::is_full).collect();
        assert_eq!(tiles.len(), log.full.len());
        assert!(Tile::edge(size as u64).eq(log.frontier.partial_tiles().map(|(tile, _)| tile)));
        for index in [0, 1, size / 3, size / 2, size - 2, size - 1] {
            let proof = inclusion_proof(size as u64, index as u64, log.read()).unwrap();
            assert_eq!(proof, path(index, &log.leaves));
            let old = index + 1;
            let old_root = prefix_root(size as u64, old as u64, log.read()).unwrap();
            assert_eq!(old_root, mth(&log.leaves[..old]));
            let proof = consistency_proof(old as u64, size as u64, log.read()).unwrap();
            assert_eq!(proof, subproof(old, &log.leaves, true));
        }
        let cut = log.frontier.at_full_bundles();
        let rebuilt = Frontier::from_full_tiles(cut.size(), log.read()).unwrap();
        assert_eq!((rebuilt.root(), rebuilt.size()), (cut.root(), cut.size()));
        assert_eq!(cut.root(), mth(&log.leaves[..size / 256 * 256]));
    }
    assert_eq!(Frontier::from_full_tiles(1, |_| Err(())).unwrap_err(), BuildError::Range);
    assert_eq!(
        Frontier::from_full_tiles(256, Err).unwrap_err(),
        BuildError::Read(Tile::full(0, 0))
    );
    let short: Result<_, BuildError<()>> = Frontier::from_full_tiles(256, |_| Ok(vec![]));
    assert_eq!(short.unwrap_err(), BuildError::Width { tile: Tile::full(0, 0), found: 0 });
}

#[test]
fn proofs_outside_of_the_tree_are_refused() {
    let none = |_: Tile| -> Result<Vec<Hash>, ()> { panic!("nothing to read") };
    assert_eq!(inclusion_proof(5, 5, none), Err(BuildError::Range));
    assert_eq!(inclusion_proof(0, 0, none), Err(BuildError::Range));
    assert_eq!(consistency_proof(6, 5, none), Err(BuildError::Range));
    assert_eq!(prefix_root(5, 6, none), Err(BuildError::Range));
    assert_eq!(inclusion_proof(u64::MAX, 5, none), Err(BuildError::Range));
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    assert_eq!(verify_inclusion(a, 0, 0, EMPTY_ROOT, &[]), Err(ProofError::Range));
    assert_eq!(verify_inclusion(a, 1, 1, a, &[]), Err(ProofError::Range));
    assert_eq!(verify_consistency(2, a, 1, a, &[]), Err(ProofError::Range));
    assert_eq!(verify_consistency(0, EMPTY_ROOT, 7, a, &[]), Ok(()));
    assert_eq!(verify_consistency(0, a, 7, a, &[]), Err(ProofError::Root));
    assert_eq!(verify_consistency(7, a, 7, b, &[]), Err(ProofError::Root));
    assert_eq!(verify_consistency(7, a, 7, a, &[a]), Err(ProofError::Length));
}

proptest! {
    /// One changed bit, one hash more or less, another index or size: no proof survives it.
    #[test]
    fn changed_proofs_fail(size in 2usize..600, index: prop::sample::Index, bit in 0usize..256, at: prop::sample::Index) {
        let log = Log::new(size);
        let (index, root, size) = (index.index(size), log.frontier.root(), size as u64);
        let leaf = log.leaves[index];
        let proof = inclusion_proof(size, index as u64, log.read()).unwrap();
        let old_root = mth(&log.leaves[..=index]);
        let old = index as u64 + 1;
        let consistency = consistency_proof(old, size, log.read()).unwrap();
        let flip = |hashes: &[Hash]| {
            let mut changed = hashes.to_vec();
            changed[at.index(hashes.len())].0[bit / 8] ^= 1 << (bit % 8);
            changed
        };
        prop_assert!(verify_inclusion(leaf, index as u64, size, root, &flip(&proof)).is_err());
        prop_assert!(verify_inclusion(leaf, index as u64, size, root, &proof[1..]).is_err());
        let longer = [&proof[..], &[leaf]].concat();
        prop_assert!(verify_inclusion(leaf, index as u64, size, root, &longer).is_err());
        prop_assert!(verify_inclusion(leaf, index as u64 ^ 1, size, root, &proof).is_err());
        prop_assert!(verify_inclusion(flip(&[leaf])[0], index as u64, size, root, &proof).is_err());
        if old < size {
            prop_assert!(verify_consistency(old, old_root, size, root, &flip(&consistency)).is_err());
            prop_assert!(verify_consistency(old, old_root, size, root, &consistency[1..]).is_err());
        }
        let longer = [&consistency[..], &[leaf]].concat();
        prop_assert!(verify_consistency(old, old_root, size, root, &longer).is_err());
        prop_assert!(verify_consistency(old, flip(&[old_root])[0], size, root, &consistency).is_err());
    }

    #[test]
    fn verifying_never_panics(index: u64, size: u64, count in 0usize..70) {
        let hash = leaf_hash(b"");
        let proof = vec![hash; count];
        let _ = verify_inclusion(hash, index, size, hash, &proof);
        let _ = verify_consistency(index, hash, size, hash, &proof);
    }
}
