//! The same on a real folder.

use super::super::{Files as _, OsFiles, TileSource as _};
use super::*;

#[test]
fn a_real_folder_holds_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let files = Arc::new(OsFiles::open(folder.path().join("ledger")).unwrap());
        Sealer::open(files, signer()).unwrap()
    };
    for size in [10, 300, 700] {
        let mut sealer = open();
        seal_to(&mut sealer, size);
        sealer.sync_full().unwrap();
        sealer.sync_full().unwrap();
    }
    let files = OsFiles::open(folder.path().join("ledger")).unwrap();
    assert_sound(&files);
    assert_eq!(files.list("tile/entries").unwrap(), ["000", "001", "002.p"]);
    assert_eq!(open().durable(), 512);
}

#[test]
fn files_are_replaced_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let files = OsFiles::open(folder.path()).unwrap();
    assert_eq!(files.read("a/b/c").unwrap(), None);
    files.write_atomic("a/b/c", b"one").unwrap();
    files.write_durable("a/b/c", b"two").unwrap();
    files.write_durable("d/e", b"three").unwrap();
    assert_eq!(files.read("a/b/c").unwrap().unwrap(), b"two");
    assert_eq!(files.read("a/b/c/d").unwrap(), None, "a file is no folder");
    files.sync(&["a/b/c".to_owned(), "d/e".to_owned()]).unwrap();
    assert!(files.sync(&["missing".to_owned()]).is_err());
    assert_eq!(files.list("a/b").unwrap(), ["c"]);
    assert_eq!(files.list("no").unwrap(), Vec::<String>::new());
    files.remove_folder("a").unwrap();
    files.remove_folder("a").unwrap();
    assert_eq!(files.read("a/b/c").unwrap(), None);
    assert_eq!(files.list("").unwrap(), ["d"], "no temporary file is left");
}
