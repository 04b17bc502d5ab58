//! What is refused: the place and the words of each error.

use super::{load_files, load_text};

/// Texts, and what is said of them: line, column and reason.
const REFUSED: &[(&str, &str)] = &[
    ("\n\na.example. 1 A 192.0.2.1", "3:1: a.example. is not in the zone fleet.example."),
    (
        "a 1 A 192.0.2.1\nb 1 A 192.0.2\n",
        "2:7: expected an IPv4 address such as 192.0.2.1, found `192.0.2`",
    ),
    ("a 1 CH A 192.0.2.1", "1:5: class CH: only IN is served"),
    ("a 1 ANY 1", "1:5: ANY records cannot be in a zone"),
    ("a 1 TYPE0 1", "1:5: TYPE0 records cannot be in a zone"),
    (
        "a 1 A (192.0.2.1\nb 1 A 192.0.2.2\n",
        "2:1: `b` is one field too many; the parenthesis of 1:7 is still open",
    ),
    ("a 1 A (\n192.0.2.1", "1:7: this parenthesis is never closed"),
    ("a 1 A 192.0.2.1 )", "1:17: a closing parenthesis without an opening one"),
    ("a 1 TXT \"x\nb 1 A 192.0.2.1", "1:9: this quote is not closed before the end of the line"),
    (
        "a 1 TXT \"x\" y\\25 z",
        "1:14: a broken escape: after a backslash goes one character, or three digits up to 255",
    ),
    (
        "a 1 TXT x\\",
        "1:10: a broken escape: after a backslash goes one character, or three digits up to 255",
    ),
    (
        "a 1 TXT x\\256",
        "1:10: a broken escape: after a backslash goes one character, or three digits up to 255",
    ),
    (
        "a 1 TXT x\\\r\n",
        "1:10: a broken escape: after a backslash goes one character, or three digits up to 255",
    ),
    ("a 1 TXT x\rb 1 TXT y", "1:10: a carriage return without a line feed after it"),
    ("a 1 TXT", "1:8: expected a string, found the end of the entry"),
    ("a 1 MX 70000 b", "1:8: expected a preference from 0 to 65535, found `70000`"),
    ("a 1 MX 10", "1:10: expected a domain name, found the end of the entry"),
    ("a 1 MX ten b", "1:8: expected a preference from 0 to 65535, found `ten`"),
    ("a 1 SRV 1 2 x b", "1:13: expected a port from 0 to 65535, found `x`"),
    ("a 1 SOA a b 1 2 3 4", "1:20: expected the minimum TTL, found the end of the entry"),
    (
        "a 1 SOA a b 1 2 3 4 5x",
        "1:21: expected the minimum TTL in seconds or as in 1h30m, found `5x`",
    ),
    ("a 1 SOA a b -1 2 3 4 5", "1:13: expected a serial number from 0 to 4294967295, found `-1`"),
    ("a 1 A 192.0.2.1 192.0.2.2", "1:17: `192.0.2.2` is one field too many"),
    (
        "a 1 AAAA 2001:db8::g",
        "1:10: expected an IPv6 address such as 2001:db8::1, found `2001:db8::g`",
    ),
    ("a 1 A \"192.0.2.1\"", "1:7: expected an IPv4 address such as 192.0.2.1, found \"192.0.2.1\""),
    ("ä 1 TXT ö b\nü 1 AAAA é", "2:10: expected an IPv6 address such as 2001:db8::1, found `é`"),
    ("a 1 CNAME b..c", "1:13: an empty label in the name `b..c`"),
    ("a 1 CNAME \"b\"", "1:11: expected a domain name, found \"b\""),
    ("\"a\" 1 A 192.0.2.1", "1:1: expected a domain name, found \"a\""),
    ("a 1 CNAME .b", "1:11: an empty label in the name `.b`"),
    (
        "x.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 TXT x",
        "1:3: a label of 64 octets: 63 is the most",
    ),
    ("\\$a..b 1 TXT x", "1:5: an empty label in the name `\\$a..b`"),
    (
        " 1 A 192.0.2.1",
        "1:2: no record with an owner comes before, so this one needs its own, in the first column",
    ),
    ("$FOO bar", "1:1: `$FOO` is no directive: there are $ORIGIN, $TTL, $INCLUDE and $GENERATE"),
    ("$ORIGIN", "1:8: expected a domain name, found the end of the entry"),
    ("$ORIGIN a b", "1:11: `b` is one field too many"),
    ("$TTL x", "1:6: expected a TTL in seconds or as in 1h30m, found `x`"),
    ("$TTL 2147483648", "1:6: the TTL `2147483648` is above 2147483647 seconds"),
    ("$TTL 1h30", "1:6: expected a TTL in seconds or as in 1h30m, found `1h30`"),
    ("$TTL\n1", "1:5: expected a TTL, found the end of the entry"),
    ("a A 192.0.2.1", "1:3: no TTL: neither the record, nor a $TTL, nor a record before has one"),
    ("a 1h30 A 192.0.2.1", "1:3: expected a TTL in seconds or as in 1h30m, found `1h30`"),
    ("a 1", "1:4: expected a class or a record type, found the end of the entry"),
    ("a", "1:2: expected a TTL, a class or a record type, found the end of the entry"),
    ("a 1 2 A 192.0.2.1", "1:5: expected a class or a record type, found `2`"),
    ("a IN IN A 192.0.2.1", "1:6: expected a TTL or a record type, found `IN`"),
    ("a 1 IN\tAAA 192.0.2.1", "1:8: expected a record type, found `AAA`"),
    ("a 99999999999 A 1", "1:3: expected a TTL in seconds or as in 1h30m, found `99999999999`"),
    ("a 1 \"A\" 192.0.2.1", "1:5: expected a class or a record type, found \"A\""),
    ("$INCLUDE", "1:9: expected a file name, found the end of the entry"),
    ("$INCLUDE gone", "1:10: cannot read gone: entity not found"),
    ("$INCLUDE z", "1:10: $INCLUDE is nested deeper than 8 files"),
    ("$INCLUDE z a b", "1:14: `b` is one field too many"),
    ("$INCLUDE \\255", "1:10: the file name is not UTF-8"),
    ("a 1 A \\# 4 0102", "1:10: announced are 4 octets of data, found 2"),
    ("a 1 A \\# 3 010203", "1:7: these octets are no A record data"),
    ("a 1 A \\# 4 0102030405", "1:12: more than the 4 octets announced"),
    ("a 1 A \\# 4 01020", "1:10: announced are 4 octets of data, found 2 and a half"),
    ("a 1 A \\# 4 0102zz04", "1:12: expected hexadecimal digits, found `0102zz04`"),
    ("a 1 A \\#", "1:9: expected a length in octets, found the end of the entry"),
    ("a 1 A \\# x", "1:10: expected a length in octets from 0 to 65535, found `x`"),
    (
        "a 1 SOA \\# 24 0161c0000000000000000000000000000000000000000000",
        "1:9: these octets are no SOA record data",
    ),
    ("a 1 TYPE65280 x", "1:15: write TYPE65280 record data as \\# LENGTH HEX (RFC 3597)"),
    ("a 1 LOC 1", "1:10: expected N or S, found the end of the entry"),
    ("a 1 LOC 91 N", "1:9: expected degrees from 0 to 90, found `91`"),
    ("a 1 LOC 90 0 0.001 N", "1:9: more than 90 degrees"),
    ("a 1 LOC 1 2 60 N", "1:13: expected seconds from 0 to 59.999, found `60`"),
    ("a 1 LOC 1 N 2 N", "1:15: expected minutes from 0 to 59, found `N`"),
    (
        "a 1 LOC 1 N 2 E",
        "1:16: expected an altitude in metres from -100000.00 to 42849672.95, found the end of the entry",
    ),
    (
        "a 1 LOC 1 N 2 E 0 1.234",
        "1:19: expected a length in metres from 0 to 90000000.00, found `1.234`",
    ),
    ("a 1 LOC 1 N 2 E 0 1 2 3 4", "1:25: `4` is one field too many"),
    (
        "a 1 APL 1:192.0.2.0/24 1:192.0.2.0/33",
        "1:24: expected a prefix such as 1:192.0.2.0/24 or !2:2001:db8::/32, found `1:192.0.2.0/33`",
    ),
    (
        "a 1 CERT PKIY 1 8 AAAA",
        "1:10: expected a certificate type such as PKIX, or a number from 0 to 65535, found `PKIY`",
    ),
    ("a 1 CERT 1 1 8 AAAA\\# AAAA", "1:16: expected base64, found `AAAA\\#`"),
    ("a 1 CERT 1 1 8 (AAAA\n AA?A)", "2:2: expected base64, found `AA?A`"),
    ("a 1 SMIMEA 3 1 1 00 0g 00", "1:21: expected hexadecimal digits, found `0g`"),
    ("a 1 SMIMEA 3 1 1 00 0", "1:18: an odd number of hexadecimal digits"),
    ("a 1 SMIMEA 3 1 1", "1:17: expected hexadecimal digits, found the end of the entry"),
    ("a 1 SMIMEA 256 1 1 00", "1:12: expected a certificate usage from 0 to 255, found `256`"),
    (
        "a 1 EUI48 00-00-5e-00-53",
        "1:11: expected six octets such as 00-00-5e-00-53-2a, found `00-00-5e-00-53`",
    ),
    (
        "a 1 NID 10 1:2:3",
        "1:12: expected four groups of digits such as 2001:db8:1140:1000, found `1:2:3`",
    ),
    ("a 1 NSAP 470005", "1:10: expected an address such as 0x47.0005.80, found `470005`"),
    ("a 1 CSYNC 1 2 A NONSENSE", "1:17: expected a record type, found `NONSENSE`"),
    ("a 1 HIP 2 0123 AAA b", "1:16: expected a public key in base64, found `AAA`"),
    ("a 1 TYPE65280", "1:14: write TYPE65280 record data as \\# LENGTH HEX (RFC 3597)"),
    ("a 1 DS 1 8 2 (\n00zz )", "2:1: DS record data, at `00zz`: expected hex digits"),
    ("a 1 DS 1 8", "1:11: DS record data: unexpected end of entry"),
    ("a 1 CAA 256 issue \"x\"", "1:9: CAA record data, at `256`: decimal number overflow"),
    ("a 1 HTTPS 1 .\n  alpn=h2", "2:3: expected a TTL, a class or a record type, found `alpn=h2`"),
    ("a 1 HTTPS 1 . nonsense=1", "1:15: HTTPS record data, at `nonsense=1`: unknown SvcParamKey"),
    ("a 1 NSEC a. A\tNONSENSE", "1:15: NSEC record data, at `NONSENSE`: expected Rtype"),
    (
        "a 1 DNSKEY 257 3 15 ( AAAA\n A!AA )",
        "2:2: DNSKEY record data, at `A!AA`: illegal Base 64 data",
    ),
    ("a 1 CAA 0 issue \"x\" y", "1:21: CAA record data, at `y`: trailing tokens"),
    ("$GENERATE", "1:10: expected a range such as 1-254, found the end of the entry"),
    ("$GENERATE 1", "1:11: expected a range START-STOP or START-STOP/STEP that goes up, found `1`"),
    (
        "$GENERATE 2-1 a$ 1 A 192.0.2.$",
        "1:11: expected a range START-STOP or START-STOP/STEP that goes up, found `2-1`",
    ),
    (
        "$GENERATE 1-2/0 a$ 1 A 192.0.2.$",
        "1:11: expected a range START-STOP or START-STOP/STEP that goes up, found `1-2/0`",
    ),
    (
        "$GENERATE 1-2 a${1,2,q} 1 A 192.0.2.$",
        "1:16: expected ${OFFSET,WIDTH,BASE}, with a width up to 255 and a base of d, o, x, X, n or N",
    ),
    (
        "$GENERATE 1-2 a${1 1 A 192.0.2.$",
        "1:16: expected ${OFFSET,WIDTH,BASE}, with a width up to 255 and a base of d, o, x, X, n or N",
    ),
    (
        "$GENERATE 254-257 a$ 1 A 192.0.2.$",
        "1:26: expected an IPv4 address such as 192.0.2.1, found `192.0.2.256` (in `192.0.2.256`, made for 256)",
    ),
    ("$GENERATE 0-4194304 a$ 1 A 192.0.2.1", "1:11: $GENERATE makes more than 4194304 records"),
    ("$GENERATE 1-2 a$ 1 TXT b c", "1:26: `c` is one field too many"),
    ("$GENERATE 1-2 a${-2,0,x} 1 TXT b", "1:15: the number 1-2 is below 0"),
    (
        "$GENERATE 1-2 a$ A 192.0.2.$",
        "1:18: no TTL: neither the record, nor a $TTL, nor a record before has one",
    ),
    (
        "$GENERATE 1-2 a$.example. 1 A 192.0.2.$",
        "1:15: a1.example. is not in the zone fleet.example.",
    ),
    ("$GENERATE 1-2 a$ 1", "1:19: expected a class or a record type, found the end of the entry"),
    (
        "$GENERATE 1-2 a$ 1 MX \"10\"",
        "1:23: expected a domain name, found the end of the entry (in `10`, made for 1)",
    ),
    (
        "$GENERATE 1-2 \"a$ b\" 1 A 1.1.1.$",
        "1:15: `b` is one field too many (in `a1 b`, made for 1)",
    ),
    ("  $TTL 5", "1:3: a directive begins in the first column"),
    ("a 1 A 192.0.2.1\n  $TTL 5", "2:3: a directive begins in the first column"),
];

#[test]
fn errors_say_where_and_what() {
    for (text, wanted) in REFUSED {
        match load_text(text) {
            Ok(records) => panic!("{text:?} is read as {records:?}"),
            Err(error) => assert_eq!(error, format!("z:{wanted}"), "{text:?}"),
        }
    }
}

#[test]
fn long_names_and_strings_are_refused_where_they_begin() {
    let name = format!("a 1 TXT x\n{} 1 TXT x", "abcdefg.".repeat(32));
    let error = load_text(name).expect_err("a name of 257 octets");
    assert!(error.starts_with("z:2:1: the name `abcdefg.abc"), "{error}");
    assert!(error.ends_with("…` is longer than 255 octets"), "{error}");
    let error = load_text(format!("a 1 TXT x {}", "y".repeat(256)));
    let wanted = "z:1:11: a string of 256 octets: 255 is the most, split it";
    assert_eq!(error, Err(wanted.to_owned()));
    let strings = format!("a 1 TXT {}", format!("{} ", "y".repeat(255)).repeat(256));
    let error = load_text(strings).expect_err("65536 octets");
    assert_eq!(error, "z:1:65289: more strings than fit a message");
}

#[test]
fn errors_name_the_file_they_are_in() {
    let error = load_files(&[("d/z", b"$INCLUDE more\n"), ("d/more", b"\n\ta A 1\n")]);
    let reason =
        "no record with an owner comes before, so this one needs its own, in the first column";
    assert_eq!(error, Err(format!("d/more:2:2: {reason}")));
    let error = load_files(&[("d/z", b"; a\n$INCLUDE gone sub\n")]);
    assert_eq!(error, Err("d/z:2:10: cannot read d/gone: entity not found".to_owned()));
    let error = load_files(&[("y", b"")]).map(|records| records.len());
    assert_eq!(error, Ok(0));
}
