//! What the tests here have in common: a site, and the update clients pointed at it.

use einhorn_harness::{Site, Start, ZONE, free_address, output, peer, scratch};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The program under test.
pub(crate) const EINHORN: &str = env!("CARGO_BIN_EXE_einhorn");

/// A site with the usual zone and key, and its folder.
pub(crate) fn site() -> (TempDir, Site) {
    let folder = scratch();
    let site = Start { program: EINHORN, folder: folder.path() }.start().expect("ready");
    (folder, site)
}

/// A site with this configuration; `data` and `listen` are put in front of it.
pub(crate) fn configured(folder: &Path, config: &str) -> Site {
    write_config(folder, config);
    let mut command = Command::new(EINHORN);
    command.args(["serve", "--config"]).arg(folder.join("einhorn.toml"));
    Site::spawn(command, folder.join("data")).unwrap_or_else(|said| panic!("not ready: {said}"))
}

/// Writes the configuration that [`configured`] starts, for a reload too: the address stays.
pub(crate) fn write_config(folder: &Path, config: &str) {
    let file = folder.join("einhorn.toml");
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    let listen = old
        .lines()
        .find(|line| line.starts_with("listen"))
        .map_or_else(|| format!("listen = [\"{}\"]", free_address()), str::to_owned);
    let config = format!("data = \"data\"\n{listen}\n{config}");
    std::fs::write(file, config).expect("the configuration is written");
}

/// An update client of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Nsupdate,
    Knsupdate,
}

impl Tool {
    pub(crate) const ALL: [Tool; 2] = [Tool::Nsupdate, Tool::Knsupdate];

    fn program(self) -> Option<PathBuf> {
        peer(match self {
            Tool::Nsupdate => "nsupdate",
            Tool::Knsupdate => "knsupdate",
        })
    }

    /// Does `lines` in the usual zone, signed with `key` in the form of `-y` unless it is empty;
    /// `None` where the tool is not installed.
    pub(crate) fn update(self, site: &Site, key: &str, lines: &str) -> Option<Updated> {
        let arguments = if key.is_empty() { vec![] } else { vec!["-y", key] };
        self.run(site, &arguments, lines)
    }

    /// Does `lines` with these arguments of the tool.
    pub(crate) fn run(self, site: &Site, arguments: &[&str], lines: &str) -> Option<Updated> {
        let program = self.program()?;
        let input =
            format!("server {} {}\nzone {ZONE}\n{lines}\nsend\n", site.dns.ip(), site.dns.port());
        let (code, text) = output(Command::new(program).args(arguments), &input);
        Some(Updated { code, text })
    }
}

/// What an update client said.
#[derive(Debug)]
pub(crate) struct Updated {
    code: Option<i32>,
    pub(crate) text: String,
}

impl Updated {
    /// NOERROR, or the word by which the tool names what went wrong.
    pub(crate) fn outcome(&self) -> String {
        if self.code == Some(0) {
            return "NOERROR".to_owned();
        }
        // "update failed: NOTAUTH(BADSIG)", "update failed with error 'YXDOMAIN'"
        let failed = self.text.lines().find_map(|line| line.split_once("update failed"));
        let word = failed.map(|(_, rest)| {
            rest.trim_start_matches(":").trim_start_matches(" with error").trim().trim_matches('\'')
        });
        word.map_or_else(|| format!("code {:?}: {}", self.code, self.text), str::to_owned)
    }
}

/// What `dig` prints for these arguments; `None` where it is not installed.
pub(crate) fn dig(site: &Site, arguments: &[&str]) -> Option<String> {
    ask("dig", site, arguments)
}

/// What `kdig` prints for these arguments; `None` where it is not installed.
pub(crate) fn kdig(site: &Site, arguments: &[&str]) -> Option<String> {
    ask("kdig", site, arguments)
}

fn ask(program: &str, site: &Site, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(peer(program)?);
    // No file of the user that runs the test may change what is asked.
    command.env("HOME", "/nonexistent");
    command.arg(format!("@{}", site.dns.ip())).arg("-p").arg(site.dns.port().to_string());
    let (code, text) = output(command.args(arguments), "");
    assert_eq!(code, Some(0), "{command:?}: {text}");
    Some(text)
}

/// The data of all answers, sorted.
pub(crate) fn short(site: &Site, name: &str, rtype: &str) -> Option<Vec<String>> {
    let text = dig(site, &["+short", name, rtype])?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    Some(lines)
}
