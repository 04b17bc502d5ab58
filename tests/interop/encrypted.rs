//! DNS over TLS and over HTTPS, as the programs of others speak it: kdig, dig, curl; and updates by
//! hand, which none of them sends that way.

use crate::support::{EINHORN, configured, write_config};
use einhorn_harness::{
    KEY, Ran, SignedRequest, Site, TlsClient, ZONE, ZONE_FILE, address, framed, key, now_seconds,
    optional_peer, output, peer, read_message, run, scratch, update_message,
};
use einhorn_wire::RecordType;
use einhorn_wire::message::Rcode;
use rustix::process::Signal;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The name of the server.
const NAME: &str = "ns1.fleet.example";
/// Connections that are opened and never say anything: more than may shake hands at once.
const HALF_OPEN: usize = 1_500;

/// A site that listens encrypted, with an authority of its own.
struct Encrypted {
    folder: TempDir,
    site: Site,
}

/// What is put behind the `[tls]` table.
const CONFIG: &str = "[[zone]]\nname = \"fleet.example\"\nfile = \"fleet.zone\"\n\
    [[key]]\nname = \"phone.\"\nsecret = \"c2VjcmV0IG9mIHRoZSBwaG9uZSBhbmQgdGhlIHNpdGU=\"\n\
    [[grant]]\nkey = \"phone.\"\nzone = \"*\"\nnames = [\"*\"]\ntransfer = true\n";

fn config(authority: &str) -> String {
    let (dot, doh) = ("dot = [\"127.0.0.1:0\"]", "doh = [\"127.0.0.1:0\"]");
    format!(
        "http = \"127.0.0.1:0\"\n[tls]\nname = \"{NAME}\"\ncertificate = \"{authority}/{NAME}.crt\"\n\
         key = \"{authority}/{NAME}.key\"\nclient-ca = \"{authority}/ca.crt\"\n{dot}\n{doh}\n{CONFIG}"
    )
}

/// Runs `einhorn tls` with these arguments on the folder of an authority.
fn tls(command: &str, authority: &Path, name: &str, more: &[&str]) -> Ran {
    let mut program = Command::new(EINHORN);
    program.args(["tls", command, "--dir"]).arg(authority).args(["--name", name]).args(more);
    run(&mut program)
}

fn make_authority(folder: &Path) {
    tls("init", folder, NAME, &["--ip", "127.0.0.1"]).good();
}

impl Encrypted {
    fn start() -> Encrypted {
        Encrypted::with(&config("tls"))
    }

    /// With this configuration, whose authority is in `tls`.
    fn with(config: &str) -> Encrypted {
        let folder = scratch();
        make_authority(&folder.path().join("tls"));
        let zone = format!("{ZONE_FILE}here A 127.0.0.1\n");
        std::fs::write(folder.path().join("fleet.zone"), zone).expect("a zone file");
        let site = configured(folder.path(), config);
        Encrypted { folder, site }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// What `kdig` says for these arguments to a listener, if it trusts this authority.
    fn kdig(&self, server: SocketAddr, ca: &Path, arguments: &[&str]) -> Option<(bool, String)> {
        let mut command = Command::new(peer("kdig")?);
        command.env("HOME", "/nonexistent").arg(format!("@{}", server.ip()));
        command.arg("-p").arg(server.port().to_string());
        command.arg(format!("+tls-ca={}", ca.display())).arg(format!("+tls-host={NAME}"));
        let (code, text) = output(command.args(arguments), "");
        Some((code == Some(0) && !text.contains("WARNING"), text))
    }

    /// The same of a question that must be answered.
    fn answered(&self, server: SocketAddr, arguments: &[&str]) -> Option<String> {
        let (is_good, text) = self.kdig(server, &self.path("tls/ca.crt"), arguments)?;
        assert!(is_good, "{arguments:?}: {text}");
        Some(text)
    }

    /// What `curl` prints for these arguments, with the authority's certificate.
    fn curl(&self, arguments: &[&str]) -> Option<(Option<i32>, String)> {
        let mut command = Command::new(peer("curl")?);
        command.args(["--silent", "--disable", "--max-time", "20", "--cacert"]);
        Some(output(command.arg(self.path("tls/ca.crt")).args(arguments), ""))
    }

    /// The status with which a request to the DNS path, or below it, is answered.
    fn status(&self, version: &str, path: &str, arguments: &[&str]) -> Option<String> {
        let url = format!("https://{}/dns-query{path}", self.site.doh());
        let fixed = [version, "--output", "/dev/null", "--write-out", "%{http_code}", &url];
        self.curl(&[&fixed, arguments].concat()).map(|(_, text)| text)
    }
}

#[test]
fn kdig_asks_over_tls_and_https() {
    let it = Encrypted::start();
    let (dot, doh) = (it.site.dot(), it.site.doh());
    for (server, how) in [(dot, "+tls"), (doh, "+https"), (doh, "+https-get")] {
        let ask = |arguments: &[&str]| it.answered(server, &[&[how], arguments].concat());
        let Some(text) = ask(&["host.fleet.example", "A"]) else { return };
        // It pads what it asks, so that it gets a block.
        assert!(text.contains("192.0.2.1") && text.contains("Received 468 B"), "{how}: {text}");
        let text = ask(&["+nopadding", "nobody.fleet.example", "A"]).expect("kdig");
        assert!(text.contains("NXDOMAIN") && !text.contains("PADDING"), "{how}: {text}");
        let text = ask(&["elsewhere.test", "A"]).expect("kdig");
        assert!(text.contains("REFUSED"), "{how}: {text}");
    }
    // Who came unencrypted is told where to come.
    let mut plain = Command::new(peer("kdig").expect("kdig"));
    plain.arg("@127.0.0.1").arg("-p").arg(it.site.dns.port().to_string());
    let (_, text) = output(plain.args(["+short", "_dns.resolver.arpa", "SVCB"]), "");
    let lines: Vec<&str> = text.lines().collect();
    let port = |server: SocketAddr| format!(" port={} ", server.port());
    assert!(lines[0].starts_with("1 ns1.fleet.example. alpn=dot"), "{text}");
    assert!(lines[0].contains(&port(dot)) && lines[1].contains(&port(doh)), "{text}");
    assert!(lines[1].contains("alpn=h2") && lines[1].contains("/dns-query{?dns}"), "{text}");
    // Without padding asked for, and where anybody can read it, there is none.
    let padded = ["+padding", "host.fleet.example", "A"];
    let (_, text) = output(
        Command::new(peer("kdig").expect("kdig"))
            .arg("@127.0.0.1")
            .arg("-p")
            .arg(it.site.dns.port().to_string())
            .args(padded),
        "",
    );
    assert!(text.contains("192.0.2.1") && !text.contains("Received 468 B"), "{text}");
}

#[test]
fn dig_asks_and_transfers_over_tls() {
    let it = Encrypted::start();
    let Some(program) = peer("dig") else { return };
    let ask = |how: &str, server: SocketAddr, arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.env("HOME", "/nonexistent").arg(how).arg("@127.0.0.1").arg("-p");
        let ca = format!("+tls-ca={}", it.path("tls/ca.crt").display());
        command.arg(server.port().to_string()).args([&ca, &format!("+tls-hostname={NAME}")]);
        output(command.args(arguments), "").1
    };
    let (dot, doh) = (it.site.dot(), it.site.doh());
    for (how, server) in [("+tls", dot), ("+https", doh), ("+https-get", doh)] {
        assert_eq!(ask(how, server, &["+short", "host.fleet.example"]), "192.0.2.1\n", "{how}");
    }
    let zone = ask("+tls", dot, &["-y", KEY, "fleet.example", "AXFR"]);
    assert!(zone.contains("here.fleet.example.") && zone.contains("XFR size"), "{zone}");
    let refused = ask("+https", doh, &["-y", KEY, "fleet.example", "AXFR"]);
    assert!(refused.contains("Transfer failed"), "{refused}");
}

#[test]
fn curl_finds_a_host_by_https() {
    let it = Encrypted::start();
    let doh = format!("https://{}/dns-query", it.site.doh());
    let ledger = it.site.ledger_url.replace("127.0.0.1", "here.fleet.example");
    let url = format!("{ledger}checkpoint");
    let Some((code, text)) = it.curl(&["--doh-url", &doh, &url]) else { return };
    assert!(code == Some(0) && text.starts_with("einhorn/site\n"), "{code:?}: {text}");
}

#[test]
fn what_is_no_question_has_its_status_in_both_versions() {
    let it = Encrypted::start();
    let (large, small) = (it.path("large"), it.path("small"));
    std::fs::write(&large, vec![0; 70_000]).expect("written");
    std::fs::write(&small, [0; 5]).expect("written");
    let dns = ["--header", "content-type: application/dns-message"];
    for version in ["--http1.1", "--http2"] {
        let from = |path: &Path| format!("@{}", path.display());
        let (large, small) = (from(&large), from(&small));
        let question = "?dns=AAABAAABAAAAAAAABGhvc3QFZmxlZXQHZXhhbXBsZQAAAQAB";
        for (path, arguments, expected) in [
            (question, vec![], "200"),
            ("", vec![], "400"),
            ("?dns=!", vec![], "400"),
            ("/guessed?dns=AAAA", vec![], "404"),
            ("s", vec![], "404"),
            (question, vec!["--request", "DELETE"], "405"),
            ("", [&dns[..], &["--data-binary", &large]].concat(), "413"),
            ("", [&dns[..], &["--data-binary", &small]].concat(), "400"),
            ("", vec!["--data-binary", &small], "415"),
        ] {
            let Some(status) = it.status(version, path, &arguments) else { return };
            assert_eq!(status, expected, "{version} {path} {arguments:?}");
        }
    }
}

#[test]
fn a_signed_update_goes_the_same_way() {
    let it = Encrypted::start();
    let update = |id: u16, host: &str, last: u8| {
        let updates = [address(&format!("{host}.{ZONE}"), [192, 0, 2, last])];
        let octets = update_message(id, ZONE, &[], &updates, None);
        SignedRequest::new(octets, &key(), now_seconds())
    };
    let is_there = |host: &str, last: u8| {
        let reply = it.site.client().query(&format!("{host}.{ZONE}"), RecordType::A);
        assert_eq!(*reply.answers[0].rdata, [192, 0, 2, last]);
    };
    let client = TlsClient::new(&it.path("tls/ca.crt"), b"dot", None);
    let mut stream = client.connect(it.site.dot(), NAME).expect("a handshake");
    let request = update(7, "by-tls", 71);
    stream.write_all(&framed(&request.octets)).expect("written");
    let reply = read_message(&mut stream).expect("an answer");
    assert_eq!(request.rcode(&reply), Rcode::NOERROR);
    is_there("by-tls", 71);
    let request = update(8, "by-https", 72);
    let (sent, came) = (it.path("sent"), it.path("came"));
    std::fs::write(&sent, &request.octets).expect("written");
    let data = format!("@{}", sent.display());
    let Some(status) = it.curl(&[
        "--header",
        "content-type: application/dns-message",
        "--data-binary",
        &data,
        "--output",
        &came.display().to_string(),
        "--write-out",
        "%{http_code} %header{cache-control}",
        &format!("https://{}/dns-query", it.site.doh()),
    ]) else {
        return;
    };
    assert_eq!(status.1, "200 max-age=0", "an update's answer is not kept");
    assert_eq!(request.rcode(&std::fs::read(came).expect("an answer")), Rcode::NOERROR);
    is_there("by-https", 72);
}

#[test]
fn certificates_change_without_a_restart() {
    let it = Encrypted::start();
    let ask = |ca: &str| {
        let question = ["+tls", "+short", "host.fleet.example"];
        it.kdig(it.site.dot(), &it.path(ca), &question).map(|(is_good, _)| is_good)
    };
    let Some(before) = ask("tls/ca.crt") else { return };
    let client = TlsClient::new(&it.path("tls/ca.crt"), b"dot", None);
    let mut open = client.connect(it.site.dot(), NAME).expect("a handshake");
    make_authority(&it.path("renewed"));
    // The addresses stay what they are.
    write_config(it.folder.path(), &config("renewed"));
    let seen = it.site.stderr().lines().count();
    it.site.signal(Signal::HUP);
    it.site.await_line(seen, "einhorn: reloaded");
    assert_eq!((before, ask("renewed/ca.crt"), ask("tls/ca.crt")), (true, Some(true), Some(false)));
    // Whoever is connected stays so.
    let request = update_message(9, "elsewhere.test.", &[], &[], None);
    open.write_all(&framed(&request)).expect("written");
    assert_eq!(read_message(&mut open).expect("an answer")[..2], [0, 9]);
    // A mistake changes nothing.
    std::fs::write(it.path(&format!("renewed/{NAME}.crt")), "no certificate").expect("written");
    let reload = run(Command::new(EINHORN).args(["reload", "--data"]).arg(&it.site.data));
    assert!(reload.failed(1).contains("no certificate"), "it says which file");
    assert_eq!(ask("renewed/ca.crt"), Some(true));
}

#[test]
fn a_device_may_show_a_certificate_of_the_authority_alone() {
    let it = Encrypted::start();
    make_authority(&it.path("other"));
    for (authority, expected) in [("tls", true), ("other", false)] {
        let folder = it.path(authority);
        tls("client", &folder, "annas-iphone", &[]).good();
        let file = |end: &str| folder.join(format!("annas-iphone.{end}")).display().to_string();
        let certificate = format!("+tls-certfile={}", file("crt"));
        let key = format!("+tls-keyfile={}", file("key"));
        let question = ["+tls", &certificate, &key, "+short", "host.fleet.example"];
        let said = it.kdig(it.site.dot(), &it.path("tls/ca.crt"), &question);
        let Some((_, text)) = said else { return };
        assert_eq!(text.contains("192.0.2.1"), expected, "{authority}: {text}");
    }
}

#[test]
fn half_open_handshakes_hold_nobody_up() {
    let it = Encrypted::start();
    let connect = |_| TcpStream::connect(it.site.dot()).expect("connected");
    let half_open: Vec<TcpStream> = (0..HALF_OPEN).map(connect).collect();
    for how in ["+tls", "+notls"] {
        let server = if how == "+tls" { it.site.dot() } else { it.site.dns };
        let Some(text) = it.answered(server, &[how, "+short", "host.fleet.example"]) else {
            return;
        };
        assert_eq!(text, "192.0.2.1\n", "{how}");
    }
    drop(half_open);
}

/// Chromium asks by HTTPS alone and then connects to what it was told. It is large: where it is
/// not installed, curl has to do.
#[test]
fn chromium_finds_a_host_by_https() {
    let (Some(chromium), Some(certutil)) = (optional_peer("chromium"), optional_peer("certutil"))
    else {
        return;
    };
    // It does not ask a server that wants to know who it is.
    let config = config("tls").replace("client-ca", "# client-ca");
    let it = Encrypted::with(&config);
    let home = it.path("home");
    let store = home.join(".pki/nssdb");
    std::fs::create_dir_all(&store).expect("a folder");
    let database = format!("sql:{}", store.display());
    let trust = |arguments: &[&str]| {
        run(Command::new(&certutil).args(["-d", &database]).args(arguments)).good()
    };
    trust(&["-N", "--empty-password"]);
    let ca = it.path("tls/ca.crt").display().to_string();
    trust(&["-A", "-n", "authority", "-t", "C,,", "-i", &ca]);
    let profile = home.join("profile");
    std::fs::create_dir_all(&profile).expect("a folder");
    let template = format!("https://{}/dns-query", it.site.doh());
    let state = format!(r#"{{"dns_over_https":{{"mode":"secure","templates":"{template}"}}}}"#);
    std::fs::write(profile.join("Local State"), state).expect("written");
    let mut command = Command::new(chromium);
    command.env("HOME", &home).arg(format!("--user-data-dir={}", profile.display()));
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
    let url = it.site.ledger_url.replace("127.0.0.1", "here.fleet.example");
    let (code, text) = output(command.arg(format!("{url}checkpoint")), "");
    assert!(text.contains("einhorn/site"), "{code:?}: {text}");
}
