//! Copybooks and where their fields lie.

use super::*;

fn records(text: &str) -> Vec<Record> {
    parse("test.cpy", text, SourceForm::Free, BinarySizes::default())
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(text: &str) -> String {
    parse("test.cpy", text, SourceForm::Free, BinarySizes::default()).expect_err(text).to_string()
}

/// Offset and length of a field.
fn lies(record: &Record, name: &str) -> (usize, usize) {
    let field = &record.fields[record.find(name).unwrap_or_else(|error| panic!("{error}"))];
    (field.offset, field.length)
}

#[test]
fn fields_follow_each_other() {
    let text = "01 HOST.
        05 KIND PIC X.
           88 IS-DETAIL VALUE 'D' 'E'.
        05 NUMBER-OF-HOST PIC S9(7) COMP-3 VALUE ZERO.
        05 NAMES.
           10 NAME PIC X(24).
           10 NICKNAME PIC X(12) OCCURS 2 TIMES INDEXED BY I.
        05 ADDRESS-OF-HOST OCCURS 3.
           10 OCTET-OF-ADDRESS PIC 9(3) OCCURS 4.
           10 FILLER PIC X.
        05 REVISION USAGE IS BINARY PIC 9(4).
        05 LOAD PIC S9(3)V9 SIGN IS LEADING SEPARATE CHARACTER.
        05 NATIVE PIC S9(9) COMP-5.
        05 LARGE PIC 9(10) COMPUTATIONAL.";
    let record = &records(text)[0];
    assert_eq!(record.name, "HOST");
    assert_eq!(lies(record, "kind"), (0, 1));
    assert_eq!(lies(record, "NUMBER-OF-HOST"), (1, 4));
    assert_eq!(lies(record, "NAMES"), (5, 48));
    assert_eq!(lies(record, "NAMES.NICKNAME"), (29, 12));
    assert_eq!(lies(record, "ADDRESS-OF-HOST"), (53, 13));
    assert_eq!(lies(record, "REVISION"), (92, 2));
    assert_eq!(lies(record, "LOAD"), (94, 5));
    assert_eq!(lies(record, "NATIVE"), (99, 4));
    assert_eq!(lies(record, "LARGE"), (103, 8));
    assert_eq!(record.length, 111);
    let octet = &record.fields[record.find("OCTET-OF-ADDRESS").expect("there")];
    assert_eq!(octet.tables, [(3, 13), (4, 3)]);
    let load = &record.fields[record.find("LOAD").expect("there")];
    assert_eq!(load.kind, Kind::Zoned { scale: 1, sign: SignPlace::LeadingSeparate });
}

#[test]
fn redefinitions_lie_where_the_first_does() {
    let text = "01 R.
        05 DATE-OF-CHANGE PIC 9(5).
        05 PARTS REDEFINES DATE-OF-CHANGE.
           10 YY PIC 99.
           10 DDD PIC 9(3).
        05 TEXT-OF-DATE REDEFINES DATE-OF-CHANGE PIC X(4).
        05 REST PIC X.
        01 OTHER. 02 A PIC X(3).";
    let records = records(text);
    assert_eq!(records.len(), 2);
    assert_eq!(lies(&records[0], "DDD"), (2, 3));
    assert_eq!(lies(&records[0], "TEXT-OF-DATE"), (0, 4));
    assert_eq!(lies(&records[0], "REST"), (5, 1));
    assert_eq!((records[0].length, records[1].length), (6, 3));
    assert!(records[0].fields[records[0].find("YY").expect("there")].redefines);
}

#[test]
fn usage_and_sign_of_a_group_are_those_of_its_fields() {
    let text = "01 R. 03 G COMP-3. 05 A PIC 9(5). 05 B PIC S9(4).
        03 H SIGN TRAILING SEPARATE. 05 C PIC S99.";
    let record = &records(text)[0];
    assert_eq!((lies(record, "A"), lies(record, "B"), lies(record, "C")), ((0, 3), (3, 3), (6, 3)));
}

#[test]
fn one_octet_binaries_are_those_of_gnucobol() {
    let text = "01 R. 05 A PIC 99 COMP. 05 B PIC 9(3) COMP.";
    let ibm = &records(text)[0];
    let gnu = parse("x", text, SourceForm::Free, BinarySizes::OneTwoFourEight).expect("parses");
    assert_eq!((ibm.length, gnu[0].length), (4, 3));
}

#[test]
fn a_table_of_variable_length_ends_its_record() {
    let text = "05 N PIC 99. 05 T OCCURS 1 TO 4 TIMES DEPENDING ON N. 10 A PIC X(8). 10 B PIC XX.";
    let record = &records(text)[0];
    assert_eq!(record.name, "");
    assert_eq!(record.length, 42);
    let table = VariableTable { count_field: 0, count: (1, 4), stride: 10 };
    assert_eq!(record.variable, Some(table));
    let not_last = format!("{text} 05 LAST-FIELD PIC X.");
    assert!(refused(&not_last).contains("last of its record"), "{}", refused(&not_last));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, place, says) in [
        ("01 A. 05 B PIC ZZ9.", "1:16", "print"),
        ("01 A.\n   05 B PIC X\n   05 C PIC X.", "3:4", "is a period missing"),
        ("01 A. 05 B PIC X. 10 C PIC X.", "1:7", "cannot have fields"),
        ("01 A. 05 B.", "1:7", "no PIC"),
        ("01 A. 05 B PIC X. 05 C REDEFINES Z PIC X.", "1:34", "not the field before"),
        ("01 A. 05 B PIC X. 05 C REDEFINES B PIC XX.", "1:34", "2 octets redefine the 1"),
        ("01 A. 10 B PIC X. 05 C PIC X.", "1:19", "does not fit"),
        ("01 A. 05 B PIC X OCCURS 0.", "1:18", "1 or more"),
        ("01 A. 05 B PIC 9 COMP SYNC.", "1:23", "SYNCHRONIZED"),
        ("01 A. 05 B COMP-1.", "1:12", "floating"),
        ("01 A PIC X", "1:10", "a period is missing"),
        ("66 A RENAMES B.", "1:1", "RENAMES"),
        ("COPY HOSTS.", "1:1", "expanded"),
        ("01 A. 05 B PIC X(99999) OCCURS 99999.", "1:7", "at most"),
        ("01 A. 05 B PIC X COMP-3.", "1:7", "only a number"),
        ("01 A. 05 N PIC X. 05 B PIC X OCCURS 1 TO 3 DEPENDING ON N.", "1:30", "no single"),
        ("", "1:1", "no fields"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(&format!("test.cpy:{place}: ")), "{text}\n{error}");
        assert!(error.contains(says), "{text}\n{error}");
    }
}

#[test]
fn names_that_several_fields_have_need_their_group() {
    let record = &records("01 R. 05 A. 10 N PIC X. 05 B. 10 N PIC XX.")[0];
    assert!(record.find("N").expect_err("two").contains("GROUP.N"));
    assert_eq!(lies(record, "B.N"), (1, 2));
    assert!(record.find("C").expect_err("none").contains("no field"));
}
