//! The command line: exit codes, where output goes, and errors that say what is wrong, where it
//! is and what to do.

mod demo;
mod demo_sites;
mod init;
mod simulate;

use einhorn_harness::{
    KEY, Site, Start, ZONE, ZONE_FILE, files_below, flip_bit, free_address, key, run, scratch,
    set_format,
};
use einhorn_wire::RecordType;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) const EINHORN: &str = env!("CARGO_BIN_EXE_einhorn");

fn einhorn(arguments: &[&str]) -> Command {
    let mut command = Command::new(EINHORN);
    command.args(arguments);
    command
}

fn serve(folder: &Path) -> Command {
    Start { program: EINHORN, folder }.command()
}

/// What a `serve` says that must end with `code`, and print nothing on standard output.
fn refused(mut command: Command, code: i32) -> String {
    let ran = run(&mut command);
    assert_eq!(ran.stdout, "", "{ran:?}");
    let said = ran.failed(code);
    assert!(said.starts_with("einhorn: "), "one line of ours: {said}");
    assert!(!said.contains("panicked") && !said.contains("stack backtrace"), "{said}");
    said
}

/// Asserts that `said` has all of `parts`.
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
}

#[test]
fn wrong_use_is_2_and_shows_how() {
    for arguments in [&[][..], &["frobnicate"], &["serve", "--frobnicate"], &["ledger"]] {
        let said = run(&mut einhorn(arguments)).failed(2);
        says(&said, &["Usage: einhorn"]);
    }
    let said = refused(einhorn(&["serve"]), 2);
    says(&said, &["serve needs --config FILE", "--listen ADDR:PORT", "einhorn serve --help"]);
    let said = refused(einhorn(&["serve", "--listen", "127.0.0.1:0"]), 2);
    says(&said, &["--data DIR"]);
    let base = ["serve", "--listen", "127.0.0.1:0", "--data", "/nonexistent/data"];
    for (more, wanted) in [
        (["--zone", "fleet.example."], "write ZONE=FILE"),
        (["--zone", "a..b=file"], "--zone a..b=file"),
        (["--key", "phone"], "expected ALGORITHM:NAME:BASE64"),
        (["--key", "hmac-sha3:phone.:YQ=="], "unknown algorithm `hmac-sha3`"),
        (["--key", "hmac-sha256:phone.:%"], "the secret of key `phone.` is not base64"),
        (["--zones", "/nonexistent/list"], "cannot read /nonexistent/list"),
    ] {
        let said = refused(einhorn(&[&base[..], &more].concat()), 2);
        says(&said, &[wanted]);
    }
    says(&run(&mut einhorn(&["--version"])).good(), &["einhorn 0."]);
}

#[test]
fn a_bad_configuration_is_2_with_file_line_and_suggestion() {
    let folder = scratch();
    let file = folder.path().join("einhorn.toml");
    let start = || {
        let mut command = einhorn(&["serve", "--config"]);
        command.arg(&file);
        command
    };
    let name = file.display().to_string();
    says(&refused(start(), 2), &["cannot read", &name, "No such file"]);
    let good = "data = \"data\"\nlisten = [\"127.0.0.1:0\"]\n";
    for (text, wanted) in [
        (format!("{good}lisen = []\n"), &["line 3", "lisen", "did you mean `listen`?"][..]),
        (format!("{good}[[zone]]\nname = \"x.\"\nfiel = \"x\"\n"), &["did you mean `file`?"]),
        (format!("{good}site = \n"), &["line 3"]),
        ("listen = [\"127.0.0.1:0\"]\n".to_owned(), &["missing field `data`"]),
        (format!("{good}http = \"localhost\"\n"), &["line 3", "socket address"]),
        (format!("{good}[[key]]\nfile = \"gone.key\"\n"), &["cannot read", "gone.key"]),
        ("data = \"data\"\nlisten = []\n".to_owned(), &["listen = []", "give an address"]),
        (
            format!("{good}{0}{0}", "[[zone]]\nname = \"x.\"\nfile = \"x\"\n"),
            &["zone \"x.\": is given twice"],
        ),
        (
            format!(
                "{good}{}{}",
                "[[key]]\nname = \"a.\"\nsecret = \"YWJj\"\n",
                "[[key]]\nname = \"A\"\nsecret = \"ZGVm\"\n"
            ),
            &["key \"a.\": is given twice"],
        ),
        (
            format!("{good}[[grant]]\nkey = \"a.\"\nzone = \"b.\"\n"),
            &["grant.key = \"a.\"", "there is no such [[key]]"],
        ),
    ] {
        fs::write(&file, text).expect("written");
        let said = refused(start(), 2);
        says(&said, &[&name[..name.len() - "einhorn.toml".len()]]);
        says(&said, wanted);
    }
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

#[test]
fn a_bad_zone_file_is_1_with_file_and_line() {
    let ns = "@ NS ns\nns A 192.0.2.53\n";
    let soa = "@ SOA ns hostmaster 1 3600 600 86400 60\n";
    for (text, wanted) in [
        (format!("$TTL 300\n{soa}{ns}host A 192.0.2\n"), &["fleet.zone:5:8"][..]),
        (
            format!("$TTL 300\n{soa}{ns}example.net. A 192.0.2.1\n"),
            &["fleet.zone:5:1", "example.net. is not in the zone fleet.example."],
        ),
        (
            format!("$TTL 300\n{ns}"),
            &["fleet.zone", "exactly one SOA record at its apex, and has 0"],
        ),
        (format!("$TTL 300\n{soa}ns A 192.0.2.53\n"), &["fleet.zone", "no NS record at its apex"]),
        (format!("$TTL 300\n{soa}{ns}a CNAME ns\na A 192.0.2.1\n"), &["a CNAME record and other"]),
        (format!("$TTL 300\n{soa}{ns}$INCLUDE gone\n"), &["gone", "No such file"]),
        (format!("$TTL 300\n{soa}{ns}$GENERATE 255-256 a$ A 192.0.2.$\n"), &["fleet.zone:5:24"]),
    ] {
        let folder = scratch();
        let file = folder.path().join("fleet.zone");
        fs::write(&file, &text).expect("written");
        let mut check = einhorn(&["zone", "check", ZONE]);
        check.arg(&file);
        for said in [refused(serve(folder.path()), 1), refused(check, 1)] {
            says(&said, wanted);
        }
        // Put right, it is taken: the failed start has left nothing in the way.
        fs::write(&file, ZONE_FILE).expect("written");
        let site = Start { program: EINHORN, folder: folder.path() }.start().expect("ready");
        assert_eq!(site.client().query(ZONE, RecordType::SOA).answers.len(), 1, "after {text}");
    }
    let folder = scratch();
    let mut command = serve(folder.path());
    fs::remove_file(folder.path().join("fleet.zone")).expect("it was made");
    command.env("LANG", "C");
    says(&refused(command, 1), &["fleet.zone: cannot read the zone file: No such file"]);
}

#[test]
fn a_port_in_use_is_1_and_named() {
    let folder = scratch();
    let site = Start { program: EINHORN, folder: folder.path() }.start().expect("ready");
    let http = site.ledger_url.trim_start_matches("http://").split('/').next().expect("an address");
    // Not a port that the system gives to clients: one of those may have it for TCP by now.
    let silent = UdpSocket::bind(free_address()).expect("a socket");
    let udp = silent.local_addr().expect("an address").to_string();
    let dns = site.dns.to_string();
    let free = "127.0.0.1:0";
    for (protocol, listen, web, taken) in
        [("TCP", &dns[..], free, &dns[..]), ("UDP", &udp, free, &udp), ("HTTP", free, http, http)]
    {
        let other = scratch();
        let mut command = einhorn(&["serve", "--listen", listen, "--http", web]);
        command.arg("--data").arg(other.path().join("data"));
        let said = refused(command, 1);
        says(&said, &[&format!("{protocol} {taken} is in use"), "choose another address"]);
    }
    // An address of no interface here.
    let other = scratch();
    let mut command = einhorn(&["serve", "--listen", "192.0.2.1:53"]);
    command.arg("--data").arg(other.path().join("data"));
    says(&refused(command, 1), &["cannot listen on TCP 192.0.2.1:53"]);
}

#[test]
fn a_data_folder_that_cannot_be_used_is_1_and_named() {
    let folder = scratch();
    let file = folder.path().join("file");
    fs::write(&file, "a file").expect("written");
    for data in [&file, &file.join("below"), Path::new("/proc/einhorn")] {
        let mut command = einhorn(&["serve", "--listen", "127.0.0.1:0", "--data"]);
        command.arg(data);
        let said = refused(command, 1);
        says(&said, &[&format!("the data folder {} cannot be used", data.display())]);
    }
}

/// A node that ran and was stopped, in `folder`.
fn stopped(folder: &Path) {
    let site = Start { program: EINHORN, folder }.start().expect("ready");
    site.client().set_address(&key(), ZONE, "anna.fleet.example.", [192, 0, 2, 7]);
    assert_eq!(site.stop(), Some(0));
}

#[test]
fn a_data_folder_of_a_newer_version_is_1_and_left_alone() {
    let folder = scratch();
    stopped(folder.path());
    let data = folder.path().join("data");
    set_format(&data, 3);
    let before = fs::read(data.join("log.db")).expect("the log");
    says(
        &refused(serve(folder.path()), 1),
        &["log.db has format 3", "reads formats up to 2", "upgrade einhorn"],
    );
    let mut verify = einhorn(&["ledger", "verify", "--data"]);
    says(&run(verify.arg(&data)).failed(1), &["has format 3"]);
    assert!(fs::read(data.join("log.db")).expect("the log") == before, "it was changed");
    set_format(&data, 2);
    stopped(folder.path());
}

#[test]
fn a_folder_serves_one_node() {
    let folder = scratch();
    let site = Start { program: EINHORN, folder: folder.path() }.start().expect("ready");
    let said = refused(serve(folder.path()), 1);
    says(&said, &[&format!("another process (pid {})", site.pid()), "a folder serves one node"]);
    // The first goes on.
    let rcode = site.client().set_address(&key(), ZONE, "anna.fleet.example.", [192, 0, 2, 7]);
    assert_eq!(rcode.to_string(), "NOERROR");
    assert_eq!(site.stop(), Some(0));
}

#[test]
fn a_lost_or_damaged_ledger_key_is_1_and_never_made_anew() {
    let folder = scratch();
    stopped(folder.path());
    let file = folder.path().join("data/ledger.key");
    let text = fs::read_to_string(&file).expect("the key");
    fs::remove_file(&file).expect("it was there");
    let said = refused(serve(folder.path()), 1);
    says(&said, &["ledger.key", "the key of this log is gone", "from a backup"]);
    assert!(!file.exists(), "no new key was made");

    fs::write(&file, "no key").expect("written");
    says(&refused(serve(folder.path()), 1), &["ledger.key: "]);
    fs::write(&file, text).expect("written");
    stopped(folder.path());
}

#[test]
fn a_ledger_keeps_its_name() {
    let folder = scratch();
    fs::write(folder.path().join("fleet.zone"), ZONE_FILE).expect("written");
    let config = |name: &str| {
        let text = format!(
            "data = \"data\"\nlisten = [\"127.0.0.1:0\"]\nledger-name = \"{name}\"\n[[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\n"
        );
        fs::write(folder.path().join("einhorn.toml"), text).expect("written");
        let mut command = einhorn(&["serve", "--config"]);
        command.arg(folder.path().join("einhorn.toml"));
        command
    };
    let data = folder.path().join("data");
    let site = Site::spawn(config("fleet.example/one"), data.clone()).expect("ready");
    assert_eq!(site.stop(), Some(0));
    let said = refused(config("fleet.example/two"), 1);
    says(&said, &["ledger.key", "`fleet.example/one`", "`fleet.example/two`", "for ever"]);
    let said = refused(
        {
            let command = config("a b");
            fs::remove_dir_all(&data).expect("it was there");
            command
        },
        1,
    );
    says(&said, &["`a b` cannot name a log"]);
}

#[test]
fn a_list_of_zones_is_served() {
    let folder = scratch();
    let list = folder.path().join("zones");
    fs::create_dir(folder.path().join("files")).expect("a folder");
    for name in ["one", "two"] {
        fs::write(folder.path().join(format!("files/{name}")), ZONE_FILE).expect("written");
    }
    let start = |text: &str| {
        fs::write(&list, text).expect("written");
        let mut command =
            einhorn(&["serve", "--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--key", KEY]);
        command.arg("--zones").arg(&list).arg("--data").arg(folder.path().join("data"));
        command
    };
    for (text, place) in [("one.example. files/one\njust-a-name\n", ":2"), ("a..b x\n", ":1")] {
        says(&refused(start(text), 2), &[&format!("{}{place}", list.display())]);
    }
    let command = start("# two zones\none.example. files/one\n\ntwo.example\tfiles/two\n");
    let site = Site::spawn(command, folder.path().join("data")).expect("ready");
    for zone in ["one.example.", "two.example."] {
        let reply = site.client().query(&format!("host.{zone}"), RecordType::A);
        assert_eq!(*reply.answers[0].rdata, [192, 0, 2, 1], "{zone}");
        let rcode = site.client().set_address(&key(), zone, &format!("a.{zone}"), [192, 0, 2, 7]);
        assert_eq!(rcode.to_string(), "NOERROR");
    }
    assert_eq!(site.stop(), Some(0));
}

/// A service manager sends its signal as soon as it is told; that is not too soon.
#[test]
fn serve_is_silent_says_when_it_is_ready_and_ends_with_0() {
    let folder = scratch();
    for signal in [Signal::TERM, Signal::INT].into_iter().cycle().take(20) {
        let mut child = serve(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let line = lines.next().expect("a line").expect("text");
        let pid = Pid::from_raw(child.id().try_into().expect("a number")).expect("a process id");
        kill_process(pid, signal).expect("the signal is sent");
        let status = child.wait().expect("it ends");
        assert!(line.starts_with("einhorn: ready, site serves DNS on 127.0.0.1:"), "{line}");
        assert!(line.contains(", ledger at http://127.0.0.1:"), "{line}");
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        assert_eq!(status.code(), Some(0), "{signal:?}: {status:?}, {rest:?}");
        let mut stdout = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("text");
        assert_eq!(stdout, "");
    }
}

/// A node with a damaged log serves what it can prove, and says loudly that it takes nothing.
#[test]
fn a_read_only_node_says_so_before_it_is_ready() {
    let folder = scratch();
    stopped(folder.path());
    let checkpoint = files_below(&folder.path().join("data/ledger"))
        .into_iter()
        .find(|file| file.ends_with("checkpoint.signed"))
        .expect("the signed checkpoint");
    flip_bit(&checkpoint, 3);
    let site = Start { program: EINHORN, folder: folder.path() }.start().expect("ready");
    let said = site.stderr();
    says(&said, &["einhorn: READ ONLY, no update will be acknowledged"]);
    let rcode = site.client().set_address(&key(), ZONE, "anna.fleet.example.", [192, 0, 2, 9]);
    assert_eq!(rcode.to_string(), "SERVFAIL");
    assert_eq!(site.client().query("host.fleet.example.", RecordType::A).answers.len(), 1);
    assert_eq!(site.stop(), Some(0));
}
