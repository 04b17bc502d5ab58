//! What is refused: the place and the words of each error.

use super::{load_files, load_text};
use crate::zonefile::GENERATED_RECORDS_MAX;

#[test]
fn errors_say_where_and_what() {
    let table: &[(&[u8], &str)] = &[(b"", "")];
    for (text, wanted) in table {
        let error = load_text(text).expect_err(&String::from_utf8_lossy(text));
        println!("{:?} => {error}", String::from_utf8_lossy(text));
        let _ = wanted;
    }
}
