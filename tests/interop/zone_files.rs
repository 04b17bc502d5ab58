//! Zone files that are easily misread: what we make of them, and what BIND and Knot do.

use einhorn_harness::{ZONE, optional_peer, peer, run, scratch};
use einhorn_wire::{Name, zonefile};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Before each text, so that it is a zone.
const HEAD: &str = "$TTL 1\n@ SOA a b 1 2 3 4 5\n NS n\nn A 192.0.2.9\n";
/// What all take, and take for the same. A file `more` lies beside it: [`INCLUDED`].
const GOOD: &[&str] = &[
    "x A 192.0.2.1\n TXT y",
    "x IN 1W2D A 192.0.2.1\ny 1h30m IN A 192.0.2.1\nz 5s A 192.0.2.1",
    "x CLASS1 TYPE1 192.0.2.1",
    "x AAAA ::192.0.2.1\n AAAA 1:2:3:4:5:6:7::\n AAAA ::2:3:4:5:6:7:8\n AAAA ::\n AAAA 2001:DB8::AbCd",
    "x TXT a\"b\"c",
    "x TXT (a ; c\n b) c",
    "(x A 192.0.2.1)",
    "(\n x A 192.0.2.1)",
    "x() A 192.0.2.1 ()\ny A (192.0.2.1);c",
    "x TXT a\\010b \\200 \"\\\"\\\\\" \"\" \"a;b\" c\\;d a\\ b",
    "x TXT \u{e9}\"\u{e9}\"",
    "x\\032y\\.z A 192.0.2.1\nx\\ y A 192.0.2.1\n\\120 TXT w\n\\$x TXT w\n\\@ TXT w",
    "x CNAME \\@\ny CNAME a.\\@.b\nz CNAME @\nw CNAME .",
    "x MX 010 @\ny MX 0 a.b.",
    "x A \\# 4 0102 03 04\ny TXT \\# 3 02 6162\nz TYPE65280 \\# 0\nw TXT \"\\#\" 3 02\nv TYPE15 \\# 5 000a 0161 00",
    " ;c\n\t\n;\n()\n\tA 192.0.2.1",
    "$ttl 5\nx A 192.0.2.1\n$TTL 1d\ny A 192.0.2.1\nz 7 A 192.0.2.1\nw A 192.0.2.1",
    "$ORIGIN a\nx A 192.0.2.1\n$ORIGIN b\n@ A 192.0.2.1\n$ORIGIN fleet.example.\ny A 192.0.2.1",
    "$INCLUDE more\n TXT z\nx A 192.0.2.1",
    "$ORIGIN a\nx TXT y\n$INCLUDE more sub\n TXT z\nx A 192.0.2.1\n$INCLUDE \"more\" sub.fleet.example.",
    "x SRV 1 2 3 a\ny HINFO a \"b c\"\nz NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .\nw RP a b",
    "x URI 1 2 \"http://a\"\ny CAA 0 issue \"a\"\nz SVCB 1 . alpn=\"h2,h3\" port=5\nw HTTPS 0 a",
    "x DS 1 8 2 ( 0011223344556677889900112233445566778899001122334455667788990011 )",
    "x AFSDB 1 b\ny KX 1 a\nz LP 1 a\nx EUI48 \\# 6 010203040506",
    "x LOC 51 30 12.748 N 0 7 39.612 W 0.00m 1m 10000m 10m\ny LOC 1 N 2 E 3\nz LOC 1 2 S 2 3 W -100000.00m 90000000.00m 0.01m",
    "x APL 1:192.0.2.0/24 !2:2001:db8::/32 1:0.0.0.0/0 1:192.0.2.1/8\ny APL",
    "x CERT 1 12345 8 AAEC AwQF\ny CERT PKIX 1 RSASHA256 (AA\n==)\nz CERT OID 65535 255 AA==",
    "x DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    "x SMIMEA 3 1 1 0000000000000000000000000000000000000000000000000000000000 000001",
    "x EUI48 00-00-5e-00-53-2A\ny EUI64 00-00-5e-ef-10-00-00-2a",
    "x NID 10 0014:4fff:ff20:ee64\ny L32 10 10.1.2.0\nz L64 10 2001:0db8:1140:1000",
    "x CSYNC 66 3 CAA A NS AAAA TYPE999\ny CSYNC 1 0",
    "x CNAME a\\(b\\\"c\\;d\\)\ny MX 1 \\(\nz SRV 1 2 3 \\\"",
    "x A 192.0.2.1\r\ny A ( 192.0.2.2 ; c\r\n)\r\n",
    "X.fleet.EXAMPLE. A 192.0.2.1\nx A 192.0.2.1",
];
/// As [`GOOD`], but Knot does not read it: it has no `$GENERATE`, and fewer of the oldest types.
const GOOD_FOR_BIND: &[&str] = &[
    "$GENERATE 1-3 h-$ A 192.0.2.$\n TXT after",
    "$GENERATE 1-20/7 h${-1,3}-${10,4,x}-${0,2,X}-${0,0,o}-${+5} 60 IN A 192.0.2.$",
    "$GENERATE 1-2 a$ IN 60 CNAME x$\n$GENERATE 0-1 $ 5 PTR h$.a.",
    "$GENERATE 17-18 x-${0,5,N}.${0,7,n} A 192.0.2.1\n$GENERATE 171-171 ${1,0,n}.${1,0,N} A 192.0.2.1",
    "$GENERATE 1-2 t$ TXT \"a $ \\\"b c\\\" ${0,4,d} \\\\$\"",
    "$GENERATE 1-2 m$ MX \"10 a$\"\n$GENERATE 1-1 @ A 192.0.2.$",
    "$GENERATE 1-2 $$$ A 192.0.2.1\n$GENERATE 1-2 \\$x$ CNAME \\$$",
    "$GENERATE 1-2 x${-2} A 192.0.2.$\n$GENERATE 1-1 y$ A 192.0.2.1 ; c",
    "$ORIGIN a\n$GENERATE 1-2 x$ CNAME y$\n$GENERATE 1-2 z$ AAAA 2001:db8::${0,4,x}",
    "$GENERATE 1-2 t$ TXT \"$;\\\"$;\\\"\"",
    "x HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdx a b.\ny HIP 1 00 AA==",
    "x NSAP 0x47.0005.80.005a00.0000\ny NSAP 0X01",
    "x NID 10 14:4fff:fF20:0\ny L64 10 0:0:1:0",
    "w ISDN 1\ny GPOS 1 2 3\nz PX 1 a b\nx SPF a",
];
const INCLUDED: &str = "more A 192.0.2.5\n$TTL 77\n$ORIGIN deep\nmore A 192.0.2.6";
/// What BIND and we refuse.
const BAD: &[&str] = &[
    "x 1h30 A 192.0.2.1",
    "x A 192.0.02.1",
    "x A 192.0.2",
    "x A 192.0.2.1 192.0.2.2",
    "x AAAA 1::2::3",
    "x AAAA 1:2:3:4:5:6:7",
    "x NS \"a\"",
    "x \\# 4 01020304",
    "x A \\# 4 010203",
    "x A \\# 3 010203",
    "x 60 60 A 192.0.2.1",
    "x IN IN A 192.0.2.1",
    "x CH A 192.0.2.1",
    "x ANY 192.0.2.1",
    "x TXT",
    "x TXT \"a\nb\"",
    "x TXT a\\\nb",
    "x TXT a\\256",
    "x TXT a\\25",
    "x HINFO a",
    "x MX a",
    "x MX 65536 a",
    "x URI 1 2 http://a",
    "x LOC 91 N 1 E 1",
    "x LOC 1 60 N 1 E 1",
    "x LOC 90 0 1 N 1 E 1",
    "x LOC 1 0 0.1234 N 1 E 1",
    "x LOC 1 E 1 N 1",
    "x LOC 1 N 1 E -100001",
    "x LOC 1 N 1 E 1 90000001",
    "x LOC 1 N 1 E 1 1 1 1 1",
    "x APL 1:192.0.2.0/33",
    "x APL 3:192.0.2.0/24",
    "x APL 192.0.2.0/24",
    "x CERT 65536 1 8 AAAA",
    "x CERT PKIX 1 8 AAA",
    "x CERT PKIX 1 8",
    "x SMIMEA 3 1 1 0",
    "x SMIMEA 3 1 1",
    "x SMIMEA 256 1 1 00",
    "x EUI48 00-00-5e-00-53",
    "x EUI64 00-00-5e-00-53-2a",
    "x NID 10 1:2:3",
    "x NID 10 1:2:3:12345",
    "x L32 10 1:2:3:4",
    "x CSYNC 1 2 NONSENSE",
    "x CSYNC 1 65536",
    "x HIP 2 012 AAAA",
    "x NSAP 470005",
    "x A 192.0.2.1 )",
    "x A 192.0.2.1 )(",
    "x A ( 192.0.2.1",
    "x..y A 192.0.2.1",
    ".x A 192.0.2.1",
    "x \"A\" 192.0.2.1",
    "x TYPE65280 abc",
    "x IN",
    "$FOO bar",
    "$TTL 1h\n$TTL",
    "$ORIGIN",
    "$ORIGIN a b",
    "$INCLUDE",
    "$INCLUDE gone",
    "  $TTL 5",
    "$GENERATE 1-2 a$ TXT a b",
    "$GENERATE 3-1 x$ A 192.0.2.1",
    "$GENERATE 1-3/0 x$ A 192.0.2.1",
    "$GENERATE 1-2 x$ \"MX\" \"10 a$\"",
    "$GENERATE 1-2 x$ MX \"10 a${0,3\"",
    "$GENERATE 1-2 x${1,2,q} A 192.0.2.1",
    "$GENERATE 255-256 x$ A 192.0.2.$",
];

/// The zone in `file` in BIND's canonical text; `None` when it refuses the file.
fn by_bind(program: &Path, folder: &Path, file: &str) -> Option<Vec<String>> {
    let mut command = Command::new(program);
    command.args(["-q", "-i", "none", "-k", "ignore", "-s", "full", "-o", "-", ZONE, file]);
    let ran = run(command.current_dir(folder));
    let mut lines: Vec<String> = ran.stdout.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    (ran.code == Some(0)).then_some(lines)
}

/// The zone in `file` as we write it after reading it.
fn by_us(folder: &Path, file: &str) -> Result<String, String> {
    let origin: Name = ZONE.parse().expect("a name");
    let read = &mut |path: &Path| fs::read(path);
    let records = zonefile::load(&folder.join(file), &origin, read);
    let records = records.map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    zonefile::write(&mut text, &origin, records.iter()).expect("a vector takes all");
    Ok(String::from_utf8(text).expect("text"))
}

#[test]
fn we_read_zone_files_as_bind_does() {
    let Some(program) = peer("named-compilezone") else { return };
    let folder = scratch();
    let folder = folder.path();
    fs::write(folder.join("more"), INCLUDED).expect("written");
    for text in GOOD.iter().chain(GOOD_FOR_BIND) {
        fs::write(folder.join("zone"), format!("{HEAD}{text}\n")).expect("written");
        let wanted = by_bind(&program, folder, "zone").unwrap_or_else(|| panic!("BIND: {text}"));
        let ours = by_us(folder, "zone").unwrap_or_else(|error| panic!("{error}: {text}"));
        fs::write(folder.join("ours"), &ours).expect("written");
        assert_eq!(by_bind(&program, folder, "ours"), Some(wanted), "{text}\nbecomes\n{ours}");
    }
    for text in BAD {
        fs::write(folder.join("zone"), format!("{HEAD}{text}\n")).expect("written");
        let ours = by_us(folder, "zone");
        assert!(ours.is_err(), "{text}\nbecomes {ours:?}");
        assert_eq!(by_bind(&program, folder, "zone"), None, "{text}");
    }
}

#[test]
fn we_are_as_strict_as_bind_or_stricter() {
    let Some(program) = peer("named-compilezone") else { return };
    let folder = scratch();
    let folder = folder.path();
    // BIND takes quotes around a name, a TTL of 32 bits for 0, with a warning, and half
    // an octet for a whole one.
    for text in ["\"x\" A 192.0.2.1", "x 2147483648 A 192.0.2.1", "x EUI48 00-00-5e-00-53-2g"] {
        fs::write(folder.join("zone"), format!("{HEAD}{text}\n")).expect("written");
        assert!(by_bind(&program, folder, "zone").is_some(), "{text}");
        let ours = by_us(folder, "zone");
        assert!(ours.is_err(), "{text}\nbecomes {ours:?}");
    }
}

#[test]
fn knot_takes_what_we_take() {
    // Of a package that the project's test command does not install: Debian's knot-dnssecutils.
    let Some(program) = optional_peer("kzonecheck") else { return };
    let folder = scratch();
    let folder = folder.path();
    fs::write(folder.join("more"), INCLUDED).expect("written");
    let check = |file: &str| {
        let mut command = Command::new(&program);
        run(command.args(["-o", ZONE, file]).current_dir(folder))
    };
    for text in GOOD {
        fs::write(folder.join("zone"), format!("{HEAD}{text}\n")).expect("written");
        let ours = by_us(folder, "zone").unwrap_or_else(|error| panic!("{error}: {text}"));
        fs::write(folder.join("ours"), &ours).expect("written");
        let ran = check("ours");
        assert_eq!(ran.code, Some(0), "{ours}: {ran:?}");
    }
}
