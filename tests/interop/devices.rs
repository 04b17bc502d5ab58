//! Devices as their users meet them: enrolled by the command line, updating with the clients of others
//! (ddclient, inadyn), or by nothing but asking over DNS over HTTPS (kdig).

use crate::support::{EINHORN, Tool, configured, short, write_config};
use einhorn_harness::{Ran, Site, ZONE_FILE, await_that, output, peer, run, scratch};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ANNA: &str = "anna.fleet.example.";
const CONFIG: &str = "http = \"127.0.0.1:0\"
[[zone]]
name = \"fleet.example.\"
file = \"fleet.zone\"
[devices]
file = \"devices.toml\"
url = \"http://dns.fleet.example:8053\"
";
const TLS: &str = "[tls]
name = \"dns.fleet.example\"
certificate = \"dns.crt\"
key = \"dns.key\"
doh = [\"127.0.0.1:0\"]
";

/// How long a new address must stay when the last change was a moment ago.
const SETTLE: Duration = Duration::from_secs(10);
/// More than that.
const SETTLED_MAX: Duration = Duration::from_secs(60);

/// A site with devices.
struct Fleet {
    folder: tempfile::TempDir,
    site: Site,
}

/// What a device was given.
struct Given {
    profile: String,
    doh: String,
    secret: String,
}

impl Fleet {
    fn start(more: &str) -> Fleet {
        let folder = scratch();
        fs::write(folder.path().join("fleet.zone"), ZONE_FILE).expect("written");
        let site = configured(folder.path(), &format!("{CONFIG}{more}"));
        Fleet { folder, site }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn device(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(EINHORN);
        command.arg("device").args(arguments).arg("--config").arg(self.path("einhorn.toml"));
        run(&mut command)
    }

    /// Enrols anna's phone, or gives it new secrets.
    fn given(&self, arguments: &[&str]) -> Given {
        let line = self.device(arguments).good();
        let json: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let text = |key: &str| json[key].as_str().expect(key).to_owned();
        assert!(line.starts_with("{\"name\":\"anna.fleet.example.\",\"profile\":"), "{line}");
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(4), "{line}");
        Given { profile: text("profile"), doh: text("doh"), secret: text("secret") }
    }

    fn add(&self, more: &[&str]) -> Given {
        let add = ["add", "anna", "--zone", "fleet.example", "--json"];
        self.given(&[&add[..], &["--server", "dns.fleet.example"], more].concat())
    }

    /// HOST:PORT of its HTTP.
    fn http(&self) -> String {
        let url = self.site.ledger_url.strip_prefix("http://").expect("HTTP");
        url.split('/').next().expect("a host").to_owned()
    }

    /// Lets ddclient say that anna's phone is here; what it prints.
    fn ddclient(&self, server: &str, secret: &str, address: &str) -> Option<String> {
        let program = peer("ddclient")?;
        let config = format!(
            "daemon=0\nuse=ip, ip={address}\nprotocol=dyndns2\n{server}\n\
             login=anna.fleet.example\npassword='{secret}'\nanna.fleet.example\n"
        );
        let file = self.path("ddclient.conf");
        fs::write(&file, config).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
        let cache = self.path(&format!("ddclient-{address}.cache"));
        let mut command = Command::new(program);
        command.args(["-daemon=0", "-foreground", "-noquiet", "-verbose", "-file"]).arg(file);
        Some(output(command.arg("-cache").arg(cache), "").1)
    }

    fn update(&self, key: &str, line: &str) -> Option<String> {
        Tool::Nsupdate.update(&self.site, key, line).map(|updated| updated.outcome())
    }
}

fn tsig(given: &Given) -> String {
    format!("hmac-sha256:{ANNA}:{}", given.secret)
}

const MOVE: &str =
    "update delete anna.fleet.example. A\nupdate add anna.fleet.example. 60 A 192.0.2.7";

/// The secrets work as soon as they are printed, and not any more once they are replaced or revoked.
#[test]
fn a_device_is_enrolled_rotated_and_revoked_without_a_restart() {
    let fleet = Fleet::start("");
    let first = fleet.add(&[]);
    assert!(fleet.device(&["add", "anna", "--zone", "fleet.example"]).failed(1).contains("rotate"));
    let mode = fs::metadata(fleet.path("devices.toml")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let file = fs::read_to_string(fleet.path("devices.toml")).expect("read");
    let token = first.doh.rsplit('/').next().expect("a token");
    assert!(!file.contains(token), "the token is nowhere but on the device");
    let Some(outcome) = fleet.update(&tsig(&first), MOVE) else { return };
    assert_eq!(outcome, "NOERROR");
    let other = "update add ben.fleet.example. 60 A 192.0.2.7";
    assert_eq!(fleet.update(&tsig(&first), other).as_deref(), Some("REFUSED"));
    let text = "update add anna.fleet.example. 60 TXT x";
    assert_eq!(fleet.update(&tsig(&first), text).as_deref(), Some("REFUSED"));
    let second = fleet.given(&["rotate", ANNA, "--json", "--server", "dns.fleet.example"]);
    assert!(second.secret != first.secret && second.doh != first.doh);
    assert_eq!(fleet.update(&tsig(&first), MOVE).as_deref(), Some("NOTAUTH(BADSIG)"));
    assert_eq!(fleet.update(&tsig(&second), MOVE).as_deref(), Some("NOERROR"));
    let shown = fleet.device(&["show", ANNA]).good();
    assert!(shown.contains("from nowhere") && !shown.contains(&second.secret), "{shown}");
    assert!(fleet.device(&["revoke", ANNA]).good().contains("in force at this site"));
    assert_eq!(fleet.update(&tsig(&second), MOVE).as_deref(), Some("NOTAUTH(BADKEY)"));
    assert!(fleet.device(&["list"]).good().contains("REVOKED"));
    assert_eq!(short(&fleet.site, ANNA, "A"), Some(vec!["192.0.2.7".to_owned()]));
    // A name that has become free is enrolled anew.
    fleet.add(&[]);
    assert!(!fleet.device(&["list"]).good().contains("REVOKED"));
}

/// What the QR code leads to: signed, given once, and what openssl says of it.
#[test]
fn a_profile_is_fetched_once_and_verified_by_openssl() {
    let fleet = Fleet::start("");
    let given = fleet.add(&["--except-ssid", "Office", "--address", "192.0.2.53"]);
    let place = given.profile.strip_prefix("http://dns.fleet.example:8053").expect("the URL");
    let fetch = |path: &str| {
        let mut command = Command::new(peer("curl")?);
        command.args(["--silent", "--include", "--output"]).arg(fleet.path("fetched"));
        command.arg(format!("http://{}{path}", fleet.http()));
        assert_eq!(run(&mut command).code, Some(0));
        let octets = fs::read(fleet.path("fetched")).expect("fetched");
        let end = octets.windows(4).position(|octets| octets == b"\r\n\r\n").expect("a head");
        Some((String::from_utf8_lossy(&octets[..end]).into_owned(), octets[end + 4..].to_vec()))
    };
    let Some((head, page)) = fetch(place) else { return };
    assert!(head.starts_with("HTTP/1.1 200") && !page.is_empty(), "{head}");
    let (head, profile) = fetch(&format!("{place}/profile")).expect("as before");
    assert!(head.contains("application/x-apple-aspen-config"), "{head}");
    assert!(fetch(&format!("{place}/profile")).expect("as before").0.starts_with("HTTP/1.1 404"));
    fs::write(fleet.path("profile"), profile).expect("written");
    let pem = fs::read_to_string(fleet.site.data.join("profiles.crt")).expect("certificates");
    let authority = pem.rfind("-----BEGIN").expect("an authority");
    fs::write(fleet.path("ca.pem"), &pem[authority..]).expect("written");
    let Some(openssl) = peer("openssl") else { return };
    for trust in [&["-noverify"][..], &["-CAfile", "ca.pem"]] {
        let mut command = Command::new(&openssl);
        command.current_dir(fleet.folder.path());
        command.args(["cms", "-verify", "-inform", "DER", "-in", "profile"]).args(trust);
        let plist = run(&mut command).good();
        assert!(plist.contains(&given.doh) && plist.contains("Office"), "{plist}");
    }
}

#[test]
fn ddclient_and_inadyn_update_by_http() {
    let fleet = Fleet::start("");
    let given = fleet.add(&[]);
    let secret = &given.secret;
    let http = fleet.http();
    let ddclient =
        |address: &str| fleet.ddclient(&format!("ssl=no\nserver={http}"), secret, address);
    let Some(said) = ddclient("192.0.2.77") else { return };
    assert!(said.contains("SUCCESS:  updating anna.fleet.example: good"), "{said}");
    assert_eq!(short(&fleet.site, ANNA, "A"), Some(vec!["192.0.2.77".to_owned()]));
    let Some(inadyn) = peer("inadyn") else { return };
    let config = format!(
        "allow-ipv6 = true\ncustom fleet {{\n username = anna.fleet.example\n password = \"{secret}\"\n\
         ddns-server = \"{http}\"\n ddns-path = \"/nic/update?hostname=%h&myip=%i\"\n\
         hostname = anna.fleet.example\n ssl = false\n checkip-command = \"/bin/echo 192.0.2.78\"\n}}\n"
    );
    fs::write(fleet.path("inadyn.conf"), config).expect("written");
    let mut command = Command::new(inadyn);
    command.args(["-1", "-n", "--force", "-l", "debug", "-f"]).arg(fleet.path("inadyn.conf"));
    command.arg("--cache-dir").arg(fleet.folder.path()).arg("-P").arg(fleet.path("inadyn.pid"));
    let (_, said) = output(&mut command, "");
    assert!(said.contains("Successful alias table update for anna.fleet.example"), "{said}");
    assert_eq!(short(&fleet.site, ANNA, "A"), Some(vec!["192.0.2.78".to_owned()]));
    // The ledger says who it was, as of every update.
    await_that("its history", || {
        let mut history = Command::new(EINHORN);
        history.args(["ledger", "history", ANNA, "--data"]).arg(&fleet.site.data);
        let history = run(&mut history).good();
        if history.contains("key anna.fleet.example.") { Ok(()) } else { Err(history) }
    });
    fleet.device(&["revoke", ANNA]).good();
    let said = ddclient("192.0.2.79").expect("as before");
    assert!(said.contains("FAILED"), "{said}");
    assert_eq!(short(&fleet.site, ANNA, "A"), Some(vec!["192.0.2.78".to_owned()]));
}

/// A server certificate for `dns.fleet.example`; `None` where openssl is not installed.
fn certificate(folder: &Path) -> Option<()> {
    let mut command = Command::new(peer("openssl")?);
    command.current_dir(folder).args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "dns.key", "-out", "dns.crt"]);
    command.args(["-subj", "/CN=dns.fleet.example", "-addext"]);
    run(command.arg("subjectAltName=DNS:dns.fleet.example,IP:127.0.0.1")).good();
    Some(())
}

/// A site that serves DNS over HTTPS too, and has the devices in the folder.
fn encrypted(folder: &Path) -> Site {
    started(folder, &format!("{CONFIG}{TLS}"))
}

/// A site that says everything.
fn started(folder: &Path, config: &str) -> Site {
    fs::write(folder.join("fleet.zone"), ZONE_FILE).expect("written");
    write_config(folder, config);
    let mut command = Command::new(EINHORN);
    command.env("EINHORN_LOG", "trace").args(["serve", "--config"]);
    command.arg(folder.join("einhorn.toml"));
    Site::spawn(command, folder.join("data")).expect("ready")
}

impl Fleet {
    /// One that serves DNS over HTTPS too; `None` where its certificate cannot be made.
    fn encrypted() -> Option<Fleet> {
        let folder = scratch();
        certificate(folder.path())?;
        let site = encrypted(folder.path());
        Some(Fleet { folder, site })
    }

    /// Where it serves DNS over HTTPS.
    fn doh(&self) -> SocketAddr {
        let said = self.site.stderr();
        let doh = said.split("https://").nth(1).and_then(|rest| rest.split('/').next());
        doh.expect("an address").parse().expect("an address")
    }

    /// Asks by the path that a device was given, from this address; what kdig prints.
    fn asked(&self, given: &Given, from: &str) -> Option<String> {
        let doh = self.doh();
        let path = given.doh.strip_prefix("https://dns.fleet.example").expect("the server");
        let mut command = Command::new(peer("kdig")?);
        command.arg(format!("@{}", doh.ip())).arg("-p").arg(doh.port().to_string());
        command.args(["-b", from, "+retry=0"]);
        command.arg(format!("+https={path}")).args(["host.fleet.example.", "A"]);
        Some(output(&mut command, "").1)
    }

    fn await_address(&self, address: &str) {
        await_that("the record", || {
            let found = short(&self.site, ANNA, "A");
            if found == Some(vec![address.to_owned()]) { Ok(()) } else { Err(format!("{found:?}")) }
        });
    }
}

/// The flagship: a phone that asks is found, with no program on it but its own.
#[test]
fn who_asks_by_a_secret_path_is_found_where_it_asks_from() {
    let Some(fleet) = Fleet::encrypted() else { return };
    let asked = |given: &Given| fleet.asked(given, "127.0.0.1");
    // Nothing is listed: it is answered, and not found.
    let given = fleet.add(&[]);
    let Some(answer) = asked(&given) else { return };
    assert!(answer.contains("192.0.2.1"), "{answer}");
    assert_eq!(short(&fleet.site, ANNA, "A"), Some(Vec::new()));
    fleet.device(&["revoke", ANNA]).good();
    assert!(!asked(&given).expect("as before").contains("192.0.2.1"), "its path is gone");
    let given = fleet.add(&["--from", "127.0.0.0/8", "--ttl", "30"]);
    let begun = Instant::now();
    asked(&given);
    fleet.await_address("127.0.0.1");
    let shown = fleet.device(&["show", ANNA]).good();
    assert!(shown.contains("last seen at 127.0.0.1"), "{shown}");
    // A moment after a change another address has to stay for longer.
    fleet.asked(&given, "127.0.0.2");
    let shown = fleet.device(&["show", ANNA]).good();
    assert!(shown.contains("last seen at 127.0.0.2"), "{shown}");
    assert!(fleet.site.stderr().contains("Unsettled"));
    assert_eq!(short(&fleet.site, ANNA, "A"), Some(vec!["127.0.0.1".to_owned()]));
    while short(&fleet.site, ANNA, "A") != Some(vec!["127.0.0.2".to_owned()]) {
        assert!(begun.elapsed() < SETTLED_MAX, "it stays long enough");
        fleet.asked(&given, "127.0.0.2");
    }
    assert!(begun.elapsed() >= SETTLE, "{:?}", begun.elapsed());
    // Everything that was said, at the most talkative level too, is without secrets.
    let token = given.doh.rsplit('/').next().expect("a token");
    let said = fleet.site.stderr();
    assert!(said.contains("it has moved"), "the log is on: {said}");
    assert!(!said.contains(token) && !said.contains(&given.secret), "{said}");
    assert_eq!(fleet.site.stop(), Some(0));
}

#[test]
fn a_secret_at_two_places_freezes_its_record_until_somebody_has_looked() {
    let Some(fleet) = Fleet::encrypted() else { return };
    let given = fleet.add(&["--from", "127.0.0.1"]);
    if fleet.asked(&given, "127.0.0.1").is_none() {
        return;
    }
    fleet.await_address("127.0.0.1");
    for from in ["127.0.0.2", "127.0.0.1"].repeat(6) {
        fleet.asked(&given, from);
    }
    let shown = fleet.device(&["show", ANNA]).good();
    assert!(shown.contains("ALARM") && shown.contains("127.0.0.2"), "{shown}");
    let status = |fleet: &Fleet| {
        let mut command = Command::new(EINHORN);
        run(command.args(["status", "--data"]).arg(&fleet.site.data)).good()
    };
    assert!(status(&fleet).contains("ALARM: the secret of anna.fleet.example."));
    assert!(fleet.site.stderr().contains("ALARM"));
    let Fleet { folder, site } = fleet;
    assert_eq!(site.stop(), Some(0));
    let fleet = Fleet { site: encrypted(folder.path()), folder };
    assert!(status(&fleet).contains("ALARM"), "a restart thaws nothing");
    assert!(fleet.device(&["release", ANNA]).good().contains("follows it again"));
    assert!(!status(&fleet).contains("ALARM"));
    assert!(fleet.device(&["release", ANNA]).failed(1).contains("is not frozen"));
    assert!(!fleet.site.stderr().contains(given.doh.rsplit('/').next().expect("a token")));
}

/// The same listener has updates by dyndns2 and the profile.
#[test]
fn dyndns2_and_the_profile_come_over_https_too() {
    let Some(fleet) = Fleet::encrypted() else { return };
    let given = fleet.add(&[]);
    let doh = fleet.doh();
    let authority = fleet.path("dns.crt").display().to_string();
    let server = format!("ssl=yes\nssl_ca_file={authority}\nserver={doh}");
    let Some(said) = fleet.ddclient(&server, &given.secret, "192.0.2.81") else { return };
    assert!(said.contains("SUCCESS:  updating anna.fleet.example: good"), "{said}");
    assert_eq!(short(&fleet.site, ANNA, "A"), Some(vec!["192.0.2.81".to_owned()]));
    let said = fleet.ddclient(&server, "c2VjcmV0", "192.0.2.82").expect("as before");
    assert!(said.contains("FAILED"), "{said}");
    let Some(curl) = peer("curl") else { return };
    let place = given.profile.strip_prefix("http://dns.fleet.example:8053").expect("the URL");
    // Who speaks HTTP/1.0 does not name it in the handshake.
    for version in [&["--http2"][..], &["--http1.1"], &["--http1.0", "--no-alpn"]] {
        let mut command = Command::new(&curl);
        command.args(["--silent", "--include", "--cacert", &authority]).args(version);
        let page = run(command.arg(format!("https://{doh}{place}"))).good();
        assert!(page.contains("200") && page.contains("Load the profile"), "{version:?}: {page}");
    }
    assert_eq!(fleet.site.stop(), Some(0));
}

/// Over DNS over TLS its certificate says who a phone is.
#[test]
fn who_shows_a_certificate_is_found_where_it_asks_from() {
    let folder = scratch();
    if certificate(folder.path()).is_none() {
        return;
    }
    fs::write(folder.path().join("extensions"), "basicConstraints = CA:FALSE\n").expect("written");
    for arguments in [
        "req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=anna \
         -keyout anna.key -out anna.csr",
        "x509 -req -in anna.csr -CA dns.crt -CAkey dns.key -set_serial 2 -days 2 \
         -extfile extensions -out anna.crt",
    ] {
        let mut command = Command::new(peer("openssl").expect("as before"));
        run(command.current_dir(folder.path()).args(arguments.split_whitespace())).good();
    }
    let tls = TLS.replace("doh =", "client-ca = \"dns.crt\"\ndot =");
    let site = started(folder.path(), &format!("{CONFIG}{tls}"));
    let fleet = Fleet { folder, site };
    let shown = fleet.path("anna.crt").display().to_string();
    fleet.add(&["--cert", &shown, "--from", "127.0.0.0/8"]);
    let said = fleet.site.stderr();
    let rest = said.split("over TLS on 127.0.0.1:").nth(1).expect("it listens");
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let ask = |more: &[&str]| {
        let mut command = Command::new(peer("kdig")?);
        command.args(["@127.0.0.1", "-p", &port, "+retry=0", "+tls"]).args(more);
        Some(output(command.args(["host.fleet.example.", "A"]), "").1)
    };
    let Some(answer) = ask(&[]) else { return };
    assert!(answer.contains("192.0.2.1"), "{answer}");
    assert_eq!(short(&fleet.site, ANNA, "A"), Some(Vec::new()), "nobody was shown");
    let key = format!("+tls-keyfile={}", fleet.path("anna.key").display());
    let answer = ask(&[&format!("+tls-certfile={shown}"), &key]).expect("as before");
    assert!(answer.contains("192.0.2.1"), "{answer}");
    fleet.await_address("127.0.0.1");
}
