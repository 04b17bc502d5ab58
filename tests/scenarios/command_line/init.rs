//! `einhorn init site`: a site that runs as it was made, and whose card another one takes.

use super::{einhorn, refused, says};
use einhorn_harness::{Site, files_below, run, scratch};
use einhorn_wire::RecordType;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn init(name: &str, folder: &Path, more: &[&str]) -> Command {
    let mut command = einhorn(&["init", "site", name, "--listen", "127.0.0.1:0", "--data"]);
    command.arg(folder).args(more);
    command
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = files_below(folder)
        .iter()
        .map(|file| file.strip_prefix(folder).expect("below").display().to_string())
        .collect();
    names.sort();
    names
}

const MADE: [&str; 8] = [
    "berlin.site",
    "einhorn.toml",
    "ledger.key",
    "ledger.vkey",
    "link.crt",
    "link.key",
    "mirror.key",
    "mirror.vkey",
];

#[test]
fn a_site_runs_as_it_was_made() {
    let scratch = scratch();
    let folder = scratch.path().join("berlin");
    let said = run(&mut init("berlin", &folder, &["--http", "127.0.0.1:0"])).good();
    let config = folder.join("einhorn.toml");
    says(&said, &[&format!("\n  einhorn serve --config {}\n", config.display()), "--join"]);
    assert_eq!(names(&folder), MADE);
    for name in MADE {
        says(&said, &[name]);
        let mode = folder.join(name).metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o077 == 0, name.ends_with(".key"), "{name}: {mode:o}");
        assert_eq!(
            said.lines().any(|l| l.contains(name) && l.contains("SECRET")),
            name.ends_with(".key")
        );
    }
    let key = fs::read_to_string(folder.join("ledger.vkey")).expect("made");
    assert!(key.starts_with("einhorn/berlin+"), "{key}");
    let card = fs::read_to_string(folder.join("berlin.site")).expect("made");
    says(&card, &["name = \"berlin\"", "addresses = [\"127.0.0.1:5301\"]", key.trim()]);
    // Every secret stays at home.
    for secret in ["ledger.key", "mirror.key", "link.key"] {
        let text = fs::read_to_string(folder.join(secret)).expect("made");
        let line = text.lines().max_by_key(|line| line.len()).expect("lines");
        assert!(!card.contains(line) && !said.contains(line), "{secret}");
    }

    let mut serve = einhorn(&["serve", "--config"]);
    serve.arg(&config);
    let site = Site::spawn(serve, folder.clone()).expect("ready");
    let zone = scratch.path().join("fleet.zone");
    fs::write(&zone, einhorn_harness::ZONE_FILE).expect("written");
    let mut add = einhorn(&["zone", "add", "fleet.example.", "--file"]);
    add.arg(&zone).arg("--data").arg(&folder);
    run(&mut add).good();
    assert_eq!(site.client().query("fleet.example.", RecordType::SOA).answers.len(), 1);
    assert_eq!(fs::read_to_string(folder.join("ledger.vkey")).expect("kept"), key);
    assert_eq!(site.stop(), Some(0));
    let mut verify = einhorn(&["ledger", "verify", "--data"]);
    verify.arg(&folder);
    run(&mut verify).good();
}

#[test]
fn nothing_is_ever_overwritten() {
    let scratch = scratch();
    for name in MADE.iter().chain(&["log.db", "ledger"]) {
        let folder = scratch.path().join(name.replace('.', "-"));
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join(name), "mine").expect("written");
        let said = refused(init("berlin", &folder, &[]), 1);
        says(&said, &[name, "exists already", "--data"]);
        assert_eq!(names(&folder), [*name]);
        assert_eq!(fs::read_to_string(folder.join(name)).expect("there"), "mine");
    }
    // What does not matter may lie there.
    let folder = scratch.path().join("other");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("fleet.zone"), "").expect("written");
    run(&mut init("berlin", &folder, &[])).good();
    says(&refused(init("berlin", &folder, &[]), 1), &["exists already"]);
}

#[test]
fn another_site_joins_with_the_card() {
    let scratch = scratch();
    let (berlin, tokyo) = (scratch.path().join("berlin"), scratch.path().join("tokyo"));
    run(&mut init("berlin", &berlin, &[])).good();
    let card = berlin.join("berlin.site");
    let join = ["--join", card.to_str().expect("text")];
    let link = ["--link", "[::]:5302"];
    let advertise = ["--advertise", "tokyo.example:5302", "--advertise", "[2001:db8::2]:5302"];
    let said = run(&mut init("tokyo", &tokyo, &[&join[..], &link, &advertise].concat())).good();
    let made = tokyo.join("tokyo.site");
    says(
        &said,
        &[
            &format!("Give {} to the operator of berlin", made.display()),
            "\n  einhorn site add tokyo.site --data DIR\n",
            "einhorn serve --config",
        ],
    );
    assert_eq!(fs::read(tokyo.join("berlin.site")).ok(), fs::read(&card).ok());
    says(
        &fs::read_to_string(tokyo.join("einhorn.toml")).expect("made"),
        &[
            "\njoin = \"berlin.site\"\n",
            "\nlisten = \"[::]:5302\"\n",
            "\nadvertise = [\"tokyo.example:5302\", \"[2001:db8::2]:5302\"]\n",
        ],
    );
    says(
        &fs::read_to_string(&made).expect("made"),
        &["addresses = [\"tokyo.example:5302\", \"[2001:db8::2]:5302\"]"],
    );
    let said = refused(init("berlin", &scratch.path().join("x"), &join), 2);
    says(&said, &["the site to join is called `berlin` too"]);
}

#[test]
fn mistakes_are_2_and_nothing_is_made() {
    let scratch = scratch();
    let folder = scratch.path().join("site");
    let card = scratch.path().join("bad.site");
    fs::write(&card, "name = \"berlin\"\nadress = []\n").expect("written");
    let card = card.display().to_string();
    for (name, more, wanted) in [
        ("Berlin", &[][..], &["`Berlin` cannot name a site", "a-z"][..]),
        ("../x", &[], &["cannot name a site"]),
        ("berlin", &["--link", "0.0.0.0:5301"], &["0.0.0.0:5301", "--advertise HOST:PORT"]),
        ("berlin", &["--advertise", "berlin"], &["--advertise `berlin`: write HOST:PORT"]),
        ("berlin", &["--join", "/nonexistent/a.site"], &["cannot read /nonexistent/a.site"]),
        (
            "tokyo",
            &["--join", &card],
            &["bad.site: not a card", "line 2", "unknown field `adress`"],
        ),
    ] {
        says(&refused(init(name, &folder, more), 2), wanted);
        assert!(!folder.exists(), "{name} {more:?}");
    }
    says(&run(&mut einhorn(&["init"])).failed(2), &["Usage: einhorn init"]);
    says(&run(&mut einhorn(&["init", "site", "berlin"])).failed(2), &["--data <DIR>"]);
}
