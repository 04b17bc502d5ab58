//! Tests of the zone file reader: what is read, what is refused and where, and round trips.

mod errors;
mod properties;
mod speed;

use super::*;

/// Loads the first of `files`, for `fleet.example.`.
fn load_files(files: &[(&str, &[u8])]) -> Result<Vec<Record>, String> {
    let origin: Name = "fleet.example.".parse().expect("name");
    load(Path::new(files[0].0), &origin, &mut |path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| text.to_vec()).ok_or(io::ErrorKind::NotFound.into())
    })
    .map_err(|error| error.to_string())
}

fn load_text(text: impl AsRef<[u8]>) -> Result<Vec<Record>, String> {
    load_files(&[("z", text.as_ref())])
}

/// The records of `text`, a line each, `.fleet.example.` left out.
fn lines(text: impl AsRef<[u8]>) -> Vec<String> {
    let text = text.as_ref();
    let records = load_text(text);
    let records = records.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(text)));
    records.iter().map(|record| record.to_string().replace(".fleet.example.", "")).collect()
}

const ZONE: &str = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n  NS ns\nns A 192.0.2.1\n\
    anna AAAA 2001:db8::1\n TXT \"a b\" ( c\n d )\nwww 60 CNAME anna\nsvc HTTPS 1 . alpn=h2\nx TYPE65280 \\# 2 01ab\n";

#[test]
fn writes_what_it_reads() {
    let records = load_text(ZONE).expect("a zone");
    assert_eq!(records.len(), 8);
    let mut out = Vec::new();
    let origin: Name = "fleet.example.".parse().expect("name");
    write(&mut out, &origin, records.iter()).expect("a vector takes all");
    let text = String::from_utf8(out).expect("text");
    assert_eq!(load_text(&text).expect("a zone"), records, "{text}");
    assert!(text.contains("anna.fleet.example. 300 IN TXT \"a b\" \"c\" \"d\""), "{text}");
}

#[test]
fn fields_before_the_type_come_in_either_order() {
    let text =
        "a 1 IN A 192.0.2.1\nb IN 2 A 192.0.2.1\nc in a 192.0.2.1\nd CLASS1 TYPE1 192.0.2.1\n";
    assert_eq!(
        lines(text),
        ["a 1 IN A 192.0.2.1", "b 2 IN A 192.0.2.1", "c 2 IN A 192.0.2.1", "d 2 IN A 192.0.2.1"]
    );
}

#[test]
fn a_record_without_a_ttl_takes_the_one_that_holds() {
    let ttls = |text: &str| -> Vec<u32> {
        let records = load_text(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        records.iter().map(|record| record.ttl).collect()
    };
    let soa = "@ SOA a b 1 2 3 4 5";
    assert_eq!(
        ttls("a 7 A 1.1.1.1\na A 1.1.1.2\n$TTL 8\na A 1.1.1.3\na 9 A 1.1.1.4\na A 1.1.1.5"),
        [7, 7, 8, 9, 8]
    );
    assert_eq!(ttls(&format!("{soa}\na A 1.1.1.1\na 6 A 1.1.1.2\na A 1.1.1.3")), [5, 5, 6, 5]);
    assert_eq!(ttls(&format!("{soa}\n$TTL 9\na A 1.1.1.1")), [5, 9]);
    assert_eq!(ttls(&format!("@ 1 NS a\n{soa}\n")), [1, 1]);
    assert_eq!(
        ttls("a 1h30m A 1.1.1.1\n$TTL 1W2D\na A 1.1.1.2\na 1S A 1.1.1.3\na 2147483647 A 1.1.1.4"),
        [5400, 777_600, 1, 2_147_483_647]
    );
}

#[test]
fn white_space_comments_and_parentheses_do_not_matter() {
    let wanted = ["a 1 IN TXT \"x\" \"y\"", "b 1 IN A 192.0.2.1"];
    for text in [
        "a 1 TXT x y\nb 1 A 192.0.2.1\n",
        "a 1 TXT x y\nb 1 A 192.0.2.1",
        "\u{feff}a 1 TXT x y\r\n\r\nb 1 A 192.0.2.1\r\n",
        "; one\n\n \n\t; two\na\t1\tTXT\tx\ty;three\nb 1 A 192.0.2.1 ; four",
        "a 1 TXT (x\n\n  y ; one )\n) ; two\n( b ( 1 )\n A ) 192.0.2.1\n",
        "a 1 TXT\"x\"\"y\"\nb 1 (A)192.0.2.1\n",
        "(\na\n1 TXT x\r\ny)\n()\nb 1 A 192.0.2.1 ()",
    ] {
        assert_eq!(lines(text), wanted, "{text}");
    }
}

#[test]
fn escapes_stand_for_octets_and_quotes_hold_together() {
    let text = r#"a\.b 1 TXT "c;d \"e\" \\ \065\255" f\ g "" \;
\$x 1 CNAME \@
y\032z 1 CNAME @
\101 1 CNAME .
"#;
    assert_eq!(
        lines(text),
        [
            r#"a\.b 1 IN TXT "c;d \"e\" \\ A\255" "f g" "" ";""#,
            r"\$x 1 IN CNAME \@",
            r"y\032z 1 IN CNAME fleet.example.",
            "e 1 IN CNAME .",
        ]
    );
}

#[test]
fn origins_complete_names() {
    let text = "$ORIGIN a\nx 1 NS y\n$ORIGIN b\nx 1 NS @\n 1 NS z.\n$origin fleet.example.\nx 1 NS y\n@ 1 NS x\n";
    assert_eq!(
        lines(text),
        [
            "x.a 1 IN NS y.a",
            "x.b.a 1 IN NS b.a",
            "x.b.a 1 IN NS z.",
            "x 1 IN NS y",
            "fleet.example. 1 IN NS x"
        ]
    );
}

/// One row for each type that has its own text form.
#[test]
fn reads_the_data_of_each_type() {
    for data in [
        "A 192.0.2.1",
        "AAAA 2001:db8::1",
        "NS a.b.",
        "CNAME .",
        "PTR a.",
        "DNAME a.",
        "SOA a. b. 1 2 3 4 5",
        "MX 10 a.",
        "SRV 1 2 3 a.",
        "TXT \"a\" \"\"",
        "HINFO \"a\" \"b c\"",
        "MINFO a. b.",
        "RP a. b.",
        "NAPTR 1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .",
        "CAA 0 issue \"ca.example.net\"",
        "HTTPS 1 . alpn=h2,h3 port=8443",
        "DS 1 8 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
        "DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
        "NSEC a. A NS TYPE999",
        "SSHFP 1 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
        "TLSA 3 1 1 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF",
        "TYPE65280 \\# 0",
        "NSAP 0x47000580005A0000",
        "LOC 51 30 12.748 N 0 7 39.612 W 0.00m 1.00m 10000.00m 10.00m",
        "LOC 90 0 0.000 S 180 0 0.000 E -100000.00m 0.00m 90000000.00m 0.01m",
        "LOC 0 0 0.001 S 0 0 0.000 E 42849672.95m 0.00m 0.09m 0.20m",
        "CERT 1 12345 8 AAECAwQF",
        "APL 1:192.0.2.0/24 !2:2001:db8::/32 1:0.0.0.0/0",
        "DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
        "SMIMEA 3 1 1 00AB",
        "HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdx a. b.",
        "CSYNC 66 3 A NS AAAA CAA TYPE999",
        "CSYNC 66 3",
        "NID 10 0014:4fff:ff20:ee64",
        "L32 10 10.1.2.0",
        "L64 10 2001:0db8:1140:1000",
        "EUI48 00-00-5e-00-53-2a",
        "EUI64 00-00-5e-ef-10-00-00-2a",
    ] {
        assert_eq!(lines(format!("x 1 {data}\n")), [format!("x 1 IN {data}")]);
    }
    for (data, hex) in [
        ("AFSDB 1 a.", "0001016100"),
        ("KX 1 a.", "0001016100"),
        ("LP 1 a.", "0001016100"),
        ("PX 1 a. b.", "0001016100016200"),
        ("X25 311", "03333131"),
        ("ISDN 1", "0131"),
        ("ISDN 1 2", "01310132"),
        ("GPOS 1 2 3", "013101320133"),
        ("SPF a b", "01610162"),
        ("LOC 1 N 2 E 3", "001216138036ee80806ddd00009897ac"),
        ("LOC 1 N 2 E 3m 1.99 0m", "001200138036ee80806ddd00009897ac"),
        ("NSAP 0x47.0005.80", "47000580"),
        ("APL ", ""),
        ("CERT PKIX 1 RSASHA256 (AA\n==)", "000100010800"),
        ("SMIMEA 3 1 1 (00a\n b01)", "03010100ab01"),
        ("L64 10 1:0:20:fFFf", "000a000100000020ffff"),
        ("URI 1 2 \"a b\"", "00010002612062"),
        ("SVCB 1 . alpn=\"h2\" port=5", "00010000010003026832000300020005"),
    ] {
        let (rtype, _) = data.split_once(' ').expect("a type");
        let generic = format!("x 1 {rtype} \\# {} {hex}", hex.len() / 2);
        assert_eq!(lines(format!("x 1 {data}\n")), lines(generic), "{data}");
    }
}

#[test]
fn the_generic_form_is_for_every_type() {
    assert_eq!(
        lines(
            "a 1 A \\# 4 C0 00 0 201\nb 1 TYPE15 \\# 5 (000a\n016100)\nc 1 TXT \"\\#\" 1\nd 1 HTTPS \\# 3 000100"
        ),
        ["a 1 IN A 192.0.2.1", "b 1 IN MX 10 a.", "c 1 IN TXT \"#\" \"1\"", "d 1 IN HTTPS 1 ."]
    );
}

#[test]
fn addresses_are_those_of_the_standard_library() {
    for text in [
        "::",
        "::1",
        "1::",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "1:2:3::7:8",
        "1:2:3:4::5:6:7:8",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7",
        "1::2::3",
        ":1",
        "1:",
        ":",
        ":::",
        "1:::2",
        "12345::",
        "g::",
        "::192.0.2.1",
        "1:2:3:4:5:6:7:192.0.2.1",
        "1:2:3:4:5:6:192.0.2.1",
        "FFFF::aBcD",
        "::1:",
        "0:0:0:0:0:0:0:0",
        "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8",
    ] {
        let wanted =
            text.parse::<std::net::Ipv6Addr>().ok().map(|address| address.octets().to_vec());
        let read =
            load_text(format!("x 1 AAAA {text}")).ok().map(|records| records[0].rdata.to_vec());
        assert_eq!(read, wanted, "{text}");
    }
    for text in [
        "0.0.0.0",
        "255.255.255.255",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "00.0.0.0",
        "1..3.4",
        "1.2.3.",
        ".1.2.3",
        "1.2.3.4x",
        "1.2.3.-4",
        "1.2.3.1000",
    ] {
        let wanted =
            text.parse::<std::net::Ipv4Addr>().ok().map(|address| address.octets().to_vec());
        let read = load_text(format!("x 1 A {text}")).ok().map(|records| records[0].rdata.to_vec());
        assert_eq!(read, wanted, "{text}");
    }
}

#[test]
fn an_included_file_leaves_origin_and_owner_as_they_were() {
    let files: [(&str, &[u8]); 3] = [
        ("dir/z", b"$TTL 1\nb A 192.0.2.2\n$INCLUDE more sub\n A 192.0.2.3\nc A 192.0.2.2\n$INCLUDE \"sub/mo re\"\n"),
        ("dir/more", b" TXT above\na A 192.0.2.1\n$ORIGIN x\n@ A 192.0.2.1\n$TTL 2"),
        ("dir/sub/mo re", b"d 3 A 192.0.2.4"),
    ];
    let records = load_files(&files).expect("a zone");
    let lines: Vec<_> =
        records.iter().map(|record| record.to_string().replace(".fleet.example.", "")).collect();
    assert_eq!(
        lines,
        [
            "b 1 IN A 192.0.2.2",
            "b 1 IN TXT \"above\"",
            "a.sub 1 IN A 192.0.2.1",
            "x.sub 1 IN A 192.0.2.1",
            "b 2 IN A 192.0.2.3",
            "c 2 IN A 192.0.2.2",
            "d 3 IN A 192.0.2.4",
        ]
    );
}

#[test]
fn generates_records() {
    let text = r#"$TTL 1
y A 192.0.2.9
$GENERATE 8-12/2 h${-8,3}-${1,4,x}-${0,2,X}-${0,0,o} 5 IN A 192.0.2.$
$GENERATE 18-18 ${0,7,n}.${0,3,N} IN 6 PTR a\$$$-$
$GENERATE 1-2 t-$ TXT "$ \"a $\" \"\$\" x"
$GENERATE 1-1 m${-3} MX ( "10 a$" )
 TXT y
"#;
    assert_eq!(
        lines(text),
        [
            "y 1 IN A 192.0.2.9",
            "h000-0009-08-10 5 IN A 192.0.2.8",
            "h002-000b-0A-12 5 IN A 192.0.2.10",
            "h004-000d-0C-14 5 IN A 192.0.2.12",
            "2.1.0.0.2.1 6 IN PTR a\\$\\$-18",
            "t-1 1 IN TXT \"1\" \"a 1\" \"$\" \"x\"",
            "t-2 1 IN TXT \"2\" \"a 2\" \"$\" \"x\"",
            "m-2 1 IN MX 10 a1",
            "y 1 IN TXT \"y\"",
        ]
    );
}

#[test]
fn says_where_owners_repeat() {
    let text = "$TTL 1\na A 1.1.1.1\na AAAA ::\n TXT x\nb A 1.1.1.1\n$ORIGIN c\nb A 1.1.1.1\nB.c.fleet.example. TXT x\n\
        $GENERATE 1-2 b AAAA ::$\n TXT y\n TXT z\n";
    let mut seen = Vec::new();
    let origin: Name = "fleet.example.".parse().expect("name");
    let read = &mut |_: &Path| Ok(text.as_bytes().to_vec());
    let loaded = load_with(Path::new("z"), &origin, read, &mut |record| {
        assert_eq!(record.owner().as_wire(), record.owner_wire());
        assert_eq!(record.owner().canonical_key().as_ref(), record.owner_key().as_ref());
        seen.push((record.owner().to_string(), record.owner_repeats));
        Ok(())
    });
    loaded.expect("a zone");
    let repeats: Vec<bool> = seen.iter().map(|(_, repeats)| *repeats).collect();
    let wanted = [false, true, true, false, false, false, false, false, false, true];
    assert_eq!(repeats, wanted, "{seen:?}");
    for pair in seen.windows(2) {
        assert!(!pair[1].1 || pair[0].0 == pair[1].0, "{seen:?}");
    }
}

#[test]
fn what_is_refused_is_refused_at_its_place() {
    let origin: Name = "fleet.example.".parse().expect("name");
    let read = &mut |_: &Path| Ok(b"a 1 A 1.1.1.1\n\tA 1.1.1.2\n".to_vec());
    let mut count = 0;
    let loaded = load_with(Path::new("z"), &origin, read, &mut |record| {
        count += 1;
        if record.owner_repeats { Err("one is enough".to_owned()) } else { Ok(()) }
    });
    let error = loaded.expect_err("refused").to_string();
    assert_eq!((error.as_str(), count), ("z:2:2: one is enough", 2));
}
