//! Paths and contents against the examples of C2SP tlog-tiles, and properties.

use proptest::prelude::*;

use super::*;

#[test]
fn the_example_index_is_written_in_groups_of_three_digits() {
    assert_eq!(Tile::full(0, 1_234_067).path(), "tile/0/x001/x234/067");
    assert_eq!(Tile { level: 3, index: 7, width: 12 }.path(), "tile/3/007.p/12");
    assert_eq!(Bundle { index: 1000, width: 255 }.path(), "tile/entries/x001/000.p/255");
    assert_eq!(Path::Checkpoint.to_string(), "checkpoint");
}

#[test]
fn a_tree_of_70000_has_the_tiles_of_the_specification() {
    let tiles: Vec<Tile> = Tile::all(70_000).collect();
    let full = |level| tiles.iter().filter(|t| t.level == level && t.is_full()).count();
    assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
    let edge: Vec<(u8, u64, u16)> =
        Tile::edge(70_000).map(|t| (t.level, t.index, t.width)).collect();
    assert_eq!(edge, [(0, 273, 112), (1, 1, 17), (2, 0, 1)]);
    assert_eq!(tiles.len(), 277);
    assert_eq!(Bundle::all(70_000).count(), 274);

    let edge: Vec<Tile> = Tile::edge(256).collect();
    assert_eq!(edge, [Tile { level: 1, index: 0, width: 1 }]);
    assert_eq!(Tile::all(0).count() + Tile::edge(0).count() + Bundle::all(0).count(), 0);
    assert!(Tile::in_tree(0, u64::MAX, u64::MAX).is_none());
    assert!(Tile::in_tree(63, 0, u64::MAX).is_none());
}

#[test]
fn other_spellings_of_a_path_are_refused() {
    for text in [
        "",
        "/checkpoint",
        "checkpoint/",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x001/x000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.p/1.p/1",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "tile/entries/+01",
        "tile/data/000",
    ] {
        assert_eq!(Path::parse(text.as_bytes()), Err(PathError), "{text}");
    }
    assert!(Path::parse(b"tile/0/\xff").is_err());
    assert_eq!(Path::parse(b"tile/63/x001/000"), Ok(Path::Tile(Tile::full(63, 1000))));
}

#[test]
fn a_bundle_must_hold_exactly_its_entries() {
    let mut bytes = Vec::new();
    for entry in [&b"first"[..], b"", b"third"] {
        append_entry(&mut bytes, entry).unwrap();
    }
    assert_eq!(bytes, b"\0\x05first\0\0\0\x05third");
    assert_eq!(parse_bundle(&bytes, 3).unwrap(), [&b"first"[..], b"", b"third"]);
    assert_eq!(parse_bundle(&bytes, 2), Err(TileError::Trailing));
    assert_eq!(parse_bundle(&bytes, 4), Err(TileError::Truncated { position: 3 }));
    let cut = &bytes[..bytes.len() - 1];
    assert_eq!(parse_bundle(cut, 3), Err(TileError::Truncated { position: 2 }));
    assert_eq!(entries(cut, 3).count(), 3, "nothing follows the error");

    let long = vec![0; ENTRY_BYTES_MAX + 1];
    let before = bytes.clone();
    assert!(append_entry(&mut bytes, &long).is_err());
    assert_eq!(bytes, before);
    append_entry(&mut bytes, &long[1..]).unwrap();
}

#[test]
fn a_tile_must_have_the_length_of_its_width() {
    let hashes = [Hash([1; 32]), Hash([2; 32])];
    let bytes = encode_tile(&hashes);
    assert_eq!(parse_tile(&bytes, 2).unwrap(), hashes);
    for (bytes, width) in [(&bytes[..63], 2), (&bytes[..], 1), (&bytes[..], 3), (&[][..], 1)] {
        assert!(parse_tile(bytes, width).is_err());
    }
}

proptest! {
    #[test]
    fn paths_round_trip(level in 0u8..=63, index: u64, width in 1u16..=256, bundle: bool) {
        let path = if bundle {
            Path::Bundle(Bundle { index, width })
        } else {
            Path::Tile(Tile { level, index, width })
        };
        prop_assert_eq!(Path::parse(path.to_string().as_bytes()), Ok(path));
    }

    #[test]
    fn what_parses_prints_the_same(text in "(tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?|.*)") {
        if let Ok(path) = Path::parse(text.as_bytes()) {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn bundles_round_trip(list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..256)) {
        let mut bytes = Vec::new();
        for entry in &list {
            append_entry(&mut bytes, entry).unwrap();
        }
        prop_assert_eq!(parse_bundle(&bytes, list.len() as u16).unwrap(), list);
    }

    #[test]
    fn any_bytes_are_a_bundle_or_an_error(bytes: Vec<u8>, width in 0u16..=300) {
        if let Ok(list) = parse_bundle(&bytes, width) {
            let length: usize = list.iter().map(|entry| 2 + entry.len()).sum();
            prop_assert_eq!((list.len(), length), (usize::from(width), bytes.len()));
        }
        let _ = parse_tile(&bytes, width);
    }
}
