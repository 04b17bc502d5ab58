//! Several sites as real processes, and what breaks between and in them.

use crate::network::Network;
use crate::{
    DelayedLink, KEY, Ran, Site, SteppedClock, ZONE, ZONE_FILE, await_that, free_address, run,
    scratch, transfer,
};
use rustix::process::Signal;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Lines of each site that a failed test shows.
const LINES_SHOWN: usize = 60;
/// Sites of the usual fleet: the first is the one that the others join.
pub const SITES: [&str; 3] = ["berlin", "frankfurt", "muenchen"];
/// Fleets run one after the other: each is three programs already, and deadlines are meant for
/// machines that have time for them.
static TURN: Mutex<()> = Mutex::new(());

/// How a fleet is to be started.
pub struct FleetStart<'a> {
    /// The program: `env!("CARGO_BIN_EXE_einhorn")`.
    pub program: &'a str,
    /// The sites; they join the first one.
    pub names: &'a [&'a str],
    /// The acknowledgement level of [`ZONE`].
    pub ack: &'a str,
    /// The content of [`ZONE`].
    pub zone_file: &'a str,
    /// Whether each has a network namespace of its own, so that links can be cut.
    pub has_network: bool,
    /// How long the links between them are, on loopback.
    pub round_trip: Option<Duration>,
    /// Whether each has a wall clock of its own, which can be set.
    pub has_clocks: bool,
    /// Further keys that may change everything, with the secret of [`KEY`].
    pub more_keys: &'a [String],
}

impl FleetStart<'_> {
    /// Three sites on loopback.
    pub fn usual(program: &str) -> FleetStart<'_> {
        FleetStart {
            program,
            names: &SITES,
            ack: "local",
            zone_file: ZONE_FILE,
            has_network: false,
            round_trip: None,
            has_clocks: false,
            more_keys: &[],
        }
    }

    /// Starts all of it, and waits until every site knows and has everything; `None`, said
    /// loudly, where this machine has no network or clocks for it.
    ///
    /// # Panics
    /// When that does not come.
    pub fn start(&self) -> Option<Fleet> {
        // A failed test leaves nothing half done.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let network = match self.has_network {
            true => Some(Network::new(self.names.len())?),
            false => None,
        };
        let folder = scratch();
        fs::write(folder.path().join("fleet.zone"), self.zone_file).expect("the zone file");
        let clock = |name: &&str| SteppedClock::new(folder.path().join(format!("{name}.clock")));
        let clocks: Option<Vec<_>> = match self.has_clocks {
            true => self.names.iter().map(clock).collect(),
            false => Some(Vec::new()),
        };
        let clocks = clocks?;
        let mut fleet = Fleet {
            members: Vec::new(),
            network,
            clocks,
            round_trip: self.round_trip,
            folder,
            program: self.program.to_owned(),
            ack: self.ack.to_owned(),
            more_keys: self.more_keys.to_vec(),
            _turn: turn,
        };
        self.names.iter().for_each(|name| fleet.init(name));
        (0..self.names.len()).for_each(|site| fleet.start(site));
        (1..self.names.len()).for_each(|site| fleet.add(site));
        fleet.settle();
        Some(fleet)
    }
}

/// One of the sites.
struct Member {
    name: String,
    data: PathBuf,
    dns: SocketAddr,
    /// What others' connections go through.
    link: Option<DelayedLink>,
    running: Option<Site>,
    /// What it said before it was last stopped.
    said: Vec<String>,
}

/// Several sites. All are killed when this is dropped.
pub struct Fleet {
    members: Vec<Member>,
    /// Behind the members: namespaces go when nothing runs in them.
    network: Option<Network>,
    /// By site; none where they have the machine's.
    clocks: Vec<SteppedClock>,
    round_trip: Option<Duration>,
    folder: TempDir,
    program: String,
    ack: String,
    more_keys: Vec<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Fleet {
    /// Makes the folder of one more site, which joins the first one.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn init(&mut self, name: &str) {
        let number = self.members.len();
        let data = self.folder.path().join(name);
        let address = || match &self.network {
            Some(network) => SocketAddr::new(network.address(number), free_address().port()),
            None => free_address(),
        };
        let (dns, http, link) = (address(), address(), address());
        let mut command = Command::new(&self.program);
        command.args(["init", "site", name, "--data"]).arg(&data);
        for (option, address) in [("--listen", dns), ("--http", http), ("--link", link)] {
            command.arg(option).arg(address.to_string());
        }
        let delayed = self.round_trip.map(|round_trip| DelayedLink::start(link, round_trip));
        if let Some(delayed) = &delayed {
            command.arg("--advertise").arg(delayed.address.to_string());
        }
        if let Some(first) = self.members.first() {
            command.arg("--join").arg(first.data.join(format!("{}.site", first.name)));
        }
        run(&mut command).good();
        let (name, running, said) = (name.to_owned(), None, Vec::new());
        let member = Member { name, data, dns, link: delayed, running, said };
        self.members.push(member);
        let config = self.config(number);
        let made = fs::read_to_string(&config).expect("a configuration");
        fs::write(config, made + &self.more_config(number)).expect("the configuration");
    }

    /// A site's configuration file.
    pub fn config(&self, site: usize) -> PathBuf {
        self.members[site].data.join("einhorn.toml")
    }

    fn more_config(&self, site: usize) -> String {
        let secret = KEY.rsplit(':').next().unwrap_or_default();
        let mut more = String::new();
        for key in std::iter::once("phone.").chain(self.more_keys.iter().map(String::as_str)) {
            // Writing to a string cannot fail.
            let _ = write!(
                more,
                "[[key]]\nname = \"{key}\"\nsecret = \"{secret}\"\n[[grant]]\nkey = \"{key}\"\nzone = \"*\"\nnames = [\"*\"]\ntransfer = true\n"
            );
        }
        if site == 0 {
            let file = self.folder.path().join("fleet.zone");
            let (file, ack) = (file.display(), &self.ack);
            let _ =
                write!(more, "[[zone]]\nname = \"{ZONE}\"\nfile = \"{file}\"\nack = \"{ack}\"\n");
        }
        more
    }

    /// Starts a site that is not running.
    ///
    /// # Panics
    /// With what it said, when it ends instead.
    pub fn start(&mut self, site: usize) {
        let mut command = match &self.network {
            Some(network) => network.command(site, &self.program),
            None => Command::new(&self.program),
        };
        if let Some(clock) = self.clocks.get(site) {
            clock.apply(&mut command);
        }
        command.env("EINHORN_LOG", "info").args(["serve", "--config"]).arg(self.config(site));
        let member = &mut self.members[site];
        assert!(member.running.is_none(), "{} is running already", member.name);
        let running = Site::spawn(command, member.data.clone());
        member.running =
            Some(running.unwrap_or_else(|said| panic!("{} is not ready: {said}", member.name)));
    }

    /// Lets the first site add another one.
    ///
    /// # Panics
    /// When it does not.
    pub fn add(&self, site: usize) {
        let card = self.members[site].data.join(format!("{}.site", self.members[site].name));
        self.operate(0, &["site", "add", &card.display().to_string()]).good();
    }

    /// How many sites there are, running or not.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// The sites that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.count()).filter(|site| self.members[*site].running.is_some()).collect()
    }

    /// The name of a site.
    pub fn name(&self, site: usize) -> &str {
        &self.members[site].name
    }

    /// The data folder of a site.
    pub fn data(&self, site: usize) -> &Path {
        &self.members[site].data
    }

    /// A folder for whatever a test needs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a site answers DNS.
    pub fn dns(&self, site: usize) -> SocketAddr {
        self.members[site].dns
    }

    /// The network that its links go through.
    ///
    /// # Panics
    /// When it was started without.
    pub fn network(&self) -> &Network {
        self.network.as_ref().expect("a fleet with a network of its own")
    }

    /// What connections of other sites to this one go through.
    ///
    /// # Panics
    /// When it was started without.
    pub fn link(&self, site: usize) -> &DelayedLink {
        self.members[site].link.as_ref().expect("a fleet with delayed links")
    }

    /// Whether each site has a wall clock of its own.
    pub fn has_clocks(&self) -> bool {
        !self.clocks.is_empty()
    }

    /// The wall clock of a site.
    ///
    /// # Panics
    /// When it was started without.
    pub fn clock(&self, site: usize) -> &SteppedClock {
        self.clocks.get(site).expect("a fleet with clocks of its own")
    }

    /// A running site.
    ///
    /// # Panics
    /// When it does not run.
    pub fn site(&self, site: usize) -> &Site {
        let member = &self.members[site];
        member.running.as_ref().unwrap_or_else(|| panic!("{} does not run", member.name))
    }

    fn take(&mut self, site: usize) -> Site {
        let member = &mut self.members[site];
        let running = member.running.take();
        let running = running.unwrap_or_else(|| panic!("{} does not run", member.name));
        member.said.extend(running.stderr().lines().map(str::to_owned));
        running
    }

    /// Ends a site in order.
    ///
    /// # Panics
    /// When it ends otherwise.
    pub fn stop(&mut self, site: usize) {
        let running = self.take(site);
        assert_eq!(running.stop(), Some(0), "{} does not end well", self.name(site));
    }

    /// Ends a site at once.
    pub fn kill(&mut self, site: usize) {
        self.take(site).kill();
    }

    /// Nothing of a site goes on until [`Fleet::wake`].
    pub fn pause(&self, site: usize) {
        self.site(site).signal(Signal::STOP);
    }

    /// A paused site goes on.
    pub fn wake(&self, site: usize) {
        self.site(site).signal(Signal::CONT);
    }

    /// Runs `einhorn ARGUMENTS --data` on a site's data.
    pub fn operate(&self, site: usize, arguments: &[&str]) -> Ran {
        run(Command::new(&self.program).args(arguments).arg("--data").arg(self.data(site)))
    }

    /// What a running site says of itself and the others (`einhorn status --json`).
    ///
    /// # Errors
    /// What it said instead.
    pub fn status(&self, site: usize) -> Result<Value, String> {
        let ran = self.operate(site, &["status", "--json"]);
        if ran.code != Some(0) {
            return Err(format!("{}: {}", self.name(site), ran.stderr));
        }
        serde_json::from_str(&ran.stdout).map_err(|error| format!("{error}: {}", ran.stdout))
    }

    /// Waits until a site says of itself what `look` wants.
    ///
    /// # Panics
    /// With what it said last, when that does not come.
    pub fn await_status(&self, site: usize, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        await_that(&format!("{}: {what}", self.name(site)), || {
            let status = self.status(site)?;
            if look(&status) { Ok(status) } else { Err(format!("{status:#}")) }
        })
    }

    /// Waits until nothing is under way any more: all running sites see each other, have all
    /// entries of each other, acknowledge, and serve the same zone at the same serial.
    ///
    /// # Panics
    /// With what was seen last, when that does not come.
    pub fn settle(&self) {
        let running = self.running();
        await_that("sites that have everything of each other", || {
            let statuses: Vec<Value> =
                running.iter().map(|site| self.status(*site)).collect::<Result<_, _>>()?;
            for (site, status) in running.iter().zip(&statuses) {
                is_settled(status, running.len())
                    .map_err(|what| format!("{}: {what}: {status:#}", self.name(*site)))?;
            }
            let serials: Vec<_> = statuses.iter().map(serial_of).collect();
            let first = serials.first().copied().flatten();
            if first.is_some() && serials.iter().all(|serial| *serial == first) {
                Ok(())
            } else {
                Err(format!("serials {serials:?}"))
            }
        });
    }

    /// Waits as [`Fleet::settle`]; then all sites must give the same zone, and every ledger must
    /// verify.
    ///
    /// # Panics
    /// When not.
    pub fn check_end(&self) {
        self.settle();
        let running = self.running();
        let zones: Vec<_> = running.iter().map(|site| transfer(self.dns(*site))).collect();
        for (site, zone) in running.iter().zip(&zones) {
            assert_eq!(
                *zone,
                zones[0],
                "{} differs from {}",
                self.name(*site),
                self.name(running[0])
            );
        }
        for site in running {
            self.verify(site);
        }
    }

    /// Verifies the ledger of a site: every entry, tile and hash against the signed checkpoint.
    ///
    /// # Panics
    /// When it does not verify.
    pub fn verify(&self, site: usize) {
        let ran = await_that("files that say whose logs there are", || {
            let ran = self.operate(site, &["ledger", "verify"]);
            // Files of copies are written each in its own time: that of a new site's log may be there
            // before the one that tells of the site.
            match ran.stderr.contains("no site that is known has this log") {
                true => Err(ran.stderr),
                false => Ok(ran),
            }
        });
        assert_eq!(ran.code, Some(0), "the ledger of {}: {ran:?}", self.name(site));
    }
}

/// Whether a site has everything and misses nobody.
fn is_settled(status: &Value, running: usize) -> Result<(), String> {
    let list = |of: &str| status[of].as_array().cloned().unwrap_or_default();
    if !status["problem"].is_null() {
        return Err(status["problem"].to_string());
    }
    let here = list("sites").iter().filter(|site| site["state"] != "away").count();
    if here != running {
        return Err(format!("{here} of {running} sites are there"));
    }
    if status["waiting"] != 0 {
        return Err("requests wait".to_owned());
    }
    let lag = list("lags").into_iter().find(|lag| {
        // What the dead lack is no matter.
        lag["held"].as_u64() < lag["known"].as_u64() || !lag["problem"].is_null()
    });
    match lag {
        Some(lag) => Err(format!("lag {lag}")),
        None => Ok(()),
    }
}

fn serial_of(status: &Value) -> Option<u64> {
    let zones = status["zones"].as_array()?;
    zones.iter().find(|zone| zone["zone"] == ZONE)?["serial"].as_u64()
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in &mut self.members {
            if std::thread::panicking() {
                let running = member.running.as_ref().map(Site::stderr).unwrap_or_default();
                let lines: Vec<_> =
                    member.said.iter().map(String::as_str).chain(running.lines()).collect();
                let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
                eprintln!("---- {} has said\n{}", member.name, shown.join("\n"));
            }
            // Before the namespace that it runs in.
            member.running = None;
        }
    }
}
