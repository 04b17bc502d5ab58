//! A node with one source, and the commands that belong to it.

use einhorn_harness::{
    KEY, Ran, Reply, Site, ZONE, ZONE_FILE, key, record, run, scratch, update_message,
};
use einhorn_wire::message::Rcode;
use einhorn_wire::{Class, RecordType};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

pub(crate) const EINHORN: &str = env!("CARGO_BIN_EXE_einhorn");
pub(crate) const TOKEN: &str = "a-token-for-operators";
/// A source of host tables, all of whose guards are open.
pub(crate) const OPEN: &str =
    "missing-generations = 1\ndeletes-percent-max = 100\nupdates-percent-max = 100\n";

/// The configuration of a source of host tables in [`ZONE`].
pub(crate) fn source(more: &str) -> String {
    format!(
        "[[source]]\nname = \"nic\"\nzone = \"{ZONE}\"\nformat = \"hosts-txt\"\ninput = \"full\"\n{more}"
    )
}

/// A node with a source.
pub(crate) struct Bridge {
    site: Option<Site>,
    folder: TempDir,
}

impl Bridge {
    /// One that runs.
    pub(crate) fn start(source: &str) -> Bridge {
        let folder = scratch();
        let path = folder.path();
        let secret = KEY.rsplit(':').next().unwrap_or_default();
        let config = format!(
            "site = \"berlin\"\ndata = \"data\"\nlisten = [\"127.0.0.1:0\"]\nhttp = \"127.0.0.1:0\"\n\
             operator-token-file = \"token\"\n[[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\n\
             [[key]]\nname = \"phone.\"\nsecret = \"{secret}\"\n[[grant]]\nkey = \"phone.\"\nzone = \"*\"\n\
             names = [\"*\"]\ntransfer = true\n{source}"
        );
        std::fs::write(path.join("einhorn.toml"), config).expect("a configuration");
        std::fs::write(path.join("token"), TOKEN).expect("a token");
        std::fs::write(path.join("fleet.zone"), ZONE_FILE).expect("a zone file");
        let mut bridge = Bridge { site: None, folder };
        bridge.restart();
        bridge
    }

    /// Starts the node that was killed.
    pub(crate) fn restart(&mut self) {
        let mut command = Command::new(EINHORN);
        command.args(["serve", "--config"]).arg(self.config());
        let site = Site::spawn(command, self.path().join("data"));
        self.site = Some(site.unwrap_or_else(|said| panic!("the node is not ready: {said}")));
    }

    pub(crate) fn site(&self) -> &Site {
        self.site.as_ref().expect("a running node")
    }

    /// Kills the node.
    pub(crate) fn kill(&mut self) {
        self.site.take().expect("a running node").kill();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PathBuf {
        self.path().join("einhorn.toml")
    }

    /// Writes a file of the source.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn command(&self, subcommand: &str) -> Command {
        let url = self.site().ledger_url.split("/ledger/").next().unwrap_or_default().to_owned();
        let mut command = Command::new(EINHORN);
        command.args(["bridge", subcommand, "nic", "--node", &url, "--config"]);
        command.arg(self.config());
        command
    }

    /// Runs `einhorn bridge SUBCOMMAND nic`.
    pub(crate) fn bridge(&self, subcommand: &str, more: &[&Path]) -> Ran {
        run(self.command(subcommand).args(more))
    }

    /// Starts it and leaves it running.
    pub(crate) fn begin(&self, subcommand: &str, more: &[&Path]) -> Child {
        self.begin_as(None, subcommand, more)
    }

    /// Starts it as another user, if one is given, and leaves it running.
    pub(crate) fn begin_as(&self, user: Option<u32>, subcommand: &str, more: &[&Path]) -> Child {
        let mut command = self.command(subcommand);
        user.into_iter().for_each(|user| _ = command.uid(user));
        command.args(more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("it starts")
    }

    /// The hash of the plan for a file, and what it would do.
    pub(crate) fn plan(&self, file: &Path) -> (String, String) {
        let text = self.bridge("plan", &[file]).good();
        let hash = text.lines().rev().find_map(|line| line.strip_prefix("plan "));
        (hash.unwrap_or_else(|| panic!("no hash: {text}")).to_owned(), text)
    }

    /// Plans and applies a file; gives what is said of it.
    pub(crate) fn apply(&self, file: &Path) -> String {
        let (hash, _) = self.plan(file);
        self.bridge("apply", &[file, "--plan".as_ref(), hash.as_ref()]).good()
    }

    /// `einhorn review …` at the node.
    pub(crate) fn review(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(EINHORN);
        run(command.arg("review").args(arguments).arg("--data").arg(self.path().join("data")))
    }

    /// What `einhorn bridge report --json` says.
    pub(crate) fn report(&self) -> serde_json::Value {
        let text = self.bridge("report", &["--json".as_ref()]).good();
        serde_json::from_str(&text).unwrap_or(serde_json::Value::Null)
    }

    /// The zone's records but for its apex, as `NAME TTL TYPE DATA` in lower case and in order.
    pub(crate) fn records(&self) -> Vec<String> {
        let mut command = Command::new(EINHORN);
        command.args(["zone", "export", ZONE, "--data"]).arg(self.path().join("data"));
        records(&run(&mut command).good())
    }

    /// What the ledger says of a name.
    pub(crate) fn history(&self, label: &str) -> String {
        let name = format!("{label}.{ZONE}");
        let mut command = Command::new(EINHORN);
        command.args(["ledger", "history", &name, "--data"]).arg(self.path().join("data"));
        run(&mut command).good()
    }

    /// A device gives its name up.
    pub(crate) fn device_leaves(&self, label: &str) {
        let gone = record(&format!("{label}.{ZONE}"), RecordType::ANY, Class::ANY, 0, &[]);
        let message = update_message(8, ZONE, &[], &[gone], Some(&key()));
        let answer = self.site().client().udp(&message).expect("an answer");
        assert_eq!(Reply::parse(answer).rcode, Rcode::NOERROR);
    }

    /// A device gives a name this address.
    pub(crate) fn device(&self, label: &str, address: [u8; 4]) {
        let name = format!("{label}.{ZONE}");
        let rcode = self.site().client().set_address(&key(), ZONE, &name, address);
        assert_eq!(rcode, Rcode::NOERROR);
    }
}

/// The records of a zone file but for its apex, as `NAME TTL TYPE DATA` in lower case and in order. Names
/// in the zone are without it.
pub(crate) fn records(zone_file: &str) -> Vec<String> {
    let apex = format!("{ZONE} ");
    let lines = zone_file.lines().filter(|line| !line.starts_with('$') && !line.starts_with(&apex));
    let mut records: Vec<String> = lines
        .map(|line| line.to_lowercase().replacen(" in ", " ", 1))
        .map(|line| line.replace(&format!(".{ZONE}"), ""))
        .collect();
    records.sort();
    records.dedup();
    records
}
