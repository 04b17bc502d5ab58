//! What `dig` and `kdig` read: every usual type, negative answers, EDNS, truncation, TCP.

use crate::support::{EINHORN, dig, kdig, site};
use einhorn_harness::{KEY, Site, free_address, scratch};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

const ZONE_FILE: &str = "$TTL 300
@ SOA ns hostmaster 7 3600 600 86400 60
@ NS ns
@ MX 10 mail
ns A 192.0.2.53
mail A 192.0.2.25
host A 192.0.2.1
host AAAA 2001:db8::1
alias CNAME alias2
alias2 CNAME host
away CNAME www.example.net.
text TXT \"hello\" \"world; \\\"quoted\\\"\"
_ipp._tcp SRV 0 5 631 host
svc HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.1
_dns SVCB 1 ns alpn=dot port=853
odd TYPE65280 \\# 4 01020304
*.wild A 192.0.2.77
lab NS ns.lab
ns.lab A 192.0.2.54
";
const REVERSE_FILE: &str = "$TTL 300
@ SOA ns.fleet.example. hostmaster.fleet.example. 1 3600 600 86400 60
@ NS ns.fleet.example.
1 PTR host.fleet.example.
";

/// A site with a zone of every type, 40 large TXT records at `big`, and a reverse zone.
fn rich_site() -> (TempDir, Site) {
    let folder = scratch();
    let big: String = (0..40).map(|i| format!("big TXT \"{i:02}{}\"\n", "x".repeat(90))).collect();
    let write = |name: &str, text: String| {
        fs::write(folder.path().join(name), text).expect("the zone file is written");
    };
    write("fleet.zone", format!("{ZONE_FILE}{big}"));
    write("reverse.zone", REVERSE_FILE.to_owned());
    write("zones", "# all\nfleet.example. fleet.zone\n2.0.192.in-addr.arpa reverse.zone\n".into());
    let mut command = Command::new(EINHORN);
    command.args(["serve", "--key", KEY, "--listen"]).arg(free_address().to_string());
    command.arg("--data").arg(folder.path().join("data"));
    command.arg("--zones").arg(folder.path().join("zones"));
    let site = Site::spawn(command, folder.path().join("data")).expect("ready");
    (folder, site)
}

/// Questions and their answers as `dig +short` prints them.
const ANSWERS: [(&str, &str, &str); 19] = [
    ("host.fleet.example.", "A", "192.0.2.1\n"),
    ("HOST.Fleet.EXAMPLE.", "A", "192.0.2.1\n"),
    ("host.fleet.example.", "AAAA", "2001:db8::1\n"),
    ("alias.fleet.example.", "A", "alias2.fleet.example.\nhost.fleet.example.\n192.0.2.1\n"),
    ("alias.fleet.example.", "CNAME", "alias2.fleet.example.\n"),
    ("alias.fleet.example.", "TXT", "alias2.fleet.example.\nhost.fleet.example.\n"),
    ("away.fleet.example.", "A", "www.example.net.\n"),
    ("fleet.example.", "MX", "10 mail.fleet.example.\n"),
    ("fleet.example.", "NS", "ns.fleet.example.\n"),
    ("fleet.example.", "SOA", "ns.fleet.example. hostmaster.fleet.example. 7 3600 600 86400 60\n"),
    ("1.2.0.192.in-addr.arpa.", "PTR", "host.fleet.example.\n"),
    ("_ipp._tcp.fleet.example.", "SRV", "0 5 631 host.fleet.example.\n"),
    ("text.fleet.example.", "TXT", "\"hello\" \"world; \\\"quoted\\\"\"\n"),
    ("svc.fleet.example.", "HTTPS", "1 . alpn=\"h2,h3\" ipv4hint=192.0.2.1\n"),
    ("_dns.fleet.example.", "SVCB", "1 ns.fleet.example. alpn=\"dot\" port=853\n"),
    ("odd.fleet.example.", "TYPE65280", "\\# 4 01020304\n"),
    ("any.wild.fleet.example.", "A", "192.0.2.77\n"),
    ("nobody.fleet.example.", "A", ""),
    ("host.fleet.example.", "MX", ""),
];

#[test]
fn every_type_is_answered_over_udp_and_tcp_with_and_without_edns() {
    let (_folder, site) = rich_site();
    for (name, rtype, wanted) in ANSWERS {
        for options in [&["+edns"][..], &["+noedns"], &["+tcp"], &["+bufsize=1232", "+dnssec"]] {
            let arguments = [&["+short"], options, &[name, rtype]].concat();
            let Some(text) = dig(&site, &arguments) else { return };
            assert_eq!(text, wanted, "{name} {rtype} {options:?}");
        }
    }
}

#[test]
fn kdig_reads_the_same() {
    let (_folder, site) = rich_site();
    for (name, rtype, wanted) in ANSWERS {
        let Some(text) = kdig(&site, &["+short", name, rtype]) else { return };
        // It prints the parameters of SVCB and HTTPS without quotes.
        let plain = |text: &str| match rtype {
            "HTTPS" | "SVCB" => text.replace('"', ""),
            _ => text.to_owned(),
        };
        assert_eq!(plain(&text), plain(wanted), "{name}");
    }
}

#[test]
fn what_is_not_there_is_denied_with_the_soa() {
    let (_folder, site) = rich_site();
    // The SOA comes with its negative TTL, 60 (RFC 2308 §3).
    let soa = "fleet.example.\t\t60\tIN\tSOA\tns.fleet.example. hostmaster.fleet.example. 7 3600 600 86400 60";
    for (name, rtype, status) in [
        ("nobody.fleet.example.", "A", "NXDOMAIN"),
        ("host.fleet.example.", "MX", "NOERROR"),
        // Exists only because something is below it.
        ("_tcp.fleet.example.", "A", "NOERROR"),
        ("wild.fleet.example.", "A", "NOERROR"),
    ] {
        let Some(text) = dig(&site, &[name, rtype]) else { return };
        assert!(text.contains(&format!("status: {status},")), "{name} {rtype}: {text}");
        assert!(text.contains(soa) && text.contains("ANSWER: 0, AUTHORITY: 1"), "{name}: {text}");
        assert!(text.contains("flags: qr aa"), "{name}: {text}");
    }
}

#[test]
fn a_delegation_is_referred_and_other_zones_are_refused() {
    let (_folder, site) = rich_site();
    let Some(text) = dig(&site, &["+norecurse", "x.lab.fleet.example.", "A"]) else { return };
    assert!(text.contains("ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 2"), "{text}");
    assert!(text.contains("ns.lab.fleet.example.\t300\tIN\tA\t192.0.2.54"), "{text}");
    assert!(text.contains("flags: qr;"), "a referral is not authoritative: {text}");
    for (name, class) in [("example.net.", "IN"), ("fleet.example.", "CH"), (".", "IN")] {
        let text = dig(&site, &["+norecurse", "-c", class, name, "A"]).expect("as before");
        assert!(text.contains("status: REFUSED"), "{name} {class}: {text}");
    }
}

#[test]
fn what_does_not_fit_is_truncated_and_asked_again_over_tcp() {
    let (_folder, site) = rich_site();
    let big = ["big.fleet.example.", "TXT"];
    for options in [&["+bufsize=512"][..], &["+noedns"], &["+bufsize=1232"], &["+bufsize=4096"]] {
        let Some(text) = dig(&site, &[&["+ignore"], options, &big].concat()) else { return };
        assert!(text.contains("flags: qr aa tc"), "{options:?}: {text}");
        let received: usize = text
            .split_once("MSG SIZE  rcvd: ")
            .and_then(|(_, rest)| rest.lines().next()?.parse().ok())
            .expect("a size");
        let limit = if options == ["+noedns"] || options == ["+bufsize=512"] { 512 } else { 1232 };
        assert!(received <= limit, "{received} octets for {options:?}");

        let text = dig(&site, &[options, &big].concat()).expect("as before");
        assert!(text.contains("Truncated, retrying in TCP mode"), "{text}");
        assert!(text.contains("ANSWER: 40,"), "{text}");
    }
    if let Some(text) = kdig(&site, &["+noedns", big[0], big[1]]) {
        assert!(text.contains("ANSWER: 40;") && text.contains("TCP"), "{text}");
    }
}

/// The signature has its room in a truncated answer too, and `dig` checks it.
#[test]
fn a_signed_question_gets_signed_answers_of_every_size() {
    let (_folder, site) = rich_site();
    for (options, name, rtype, wanted) in [
        (&["+ignore", "+noedns"][..], "big.fleet.example.", "TXT", "flags: qr aa tc"),
        (&["+ignore", "+bufsize=1232"], "big.fleet.example.", "TXT", "flags: qr aa tc"),
        (&["+tcp"], "big.fleet.example.", "TXT", "ANSWER: 40,"),
        (&[], "host.fleet.example.", "A", "ANSWER: 1,"),
        (&[], "nobody.fleet.example.", "A", "status: NXDOMAIN"),
        (&[], "example.net.", "A", "status: REFUSED"),
    ] {
        let arguments = [options, &["+norecurse", "-y", KEY, name, rtype]].concat();
        let Some(text) = dig(&site, &arguments) else { return };
        assert!(text.contains(wanted), "{name} {options:?}: {text}");
        assert!(text.contains("TSIG\thmac-sha256.") && text.contains("NOERROR 0"), "{text}");
        assert!(!text.contains("verify") && !text.contains("WARNING"), "{text}");
    }
}

#[test]
fn edns_is_answered_as_asked() {
    let (_folder, site) = rich_site();
    let host = ["host.fleet.example.", "A"];
    let ask = |options: &[&str]| dig(&site, &[options, &host].concat());
    let Some(plain) = ask(&["+noedns"]) else { return };
    assert!(!plain.contains("EDNS"), "{plain}");
    let edns = ask(&["+edns"]).expect("as before");
    assert!(edns.contains("; EDNS: version: 0, flags:; udp: 1232"), "{edns}");
    let cookies = ask(&["+cookie", "+nsid", "+subnet=192.0.2.0/24", "+ednsopt=65001:abcd"]);
    assert!(cookies.expect("as before").contains("192.0.2.1"), "unknown options are ignored");
    let version = ask(&["+edns=1", "+noednsnegotiation"]).expect("as before");
    assert!(version.contains("status: BADVERS"), "{version}");
    assert!(version.contains("; EDNS: version: 0"), "{version}");
}

#[test]
fn one_connection_serves_many_questions() {
    let (_folder, site) = site();
    let names = ["host.fleet.example.", "ns.fleet.example.", "nobody.fleet.example."];
    let mut arguments = vec!["+tcp", "+keepopen", "+noall", "+answer"];
    names.iter().for_each(|name| arguments.extend([name, "A"]));
    let Some(text) = dig(&site, &arguments) else { return };
    let answers: Vec<_> = text.split_whitespace().filter(|w| w.starts_with("192.0.2.")).collect();
    assert_eq!(answers, ["192.0.2.1", "192.0.2.53"], "{text}");
}
