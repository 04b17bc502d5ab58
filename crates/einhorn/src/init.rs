//! `einhorn init`: makes the folder of a new site, with its configuration, keys and card.

use crate::{Failure, Outcome, print};
use einhorn_links::Identity;
use einhorn_links::card::{Card, check_address};
use einhorn_links::identity::{CERTIFICATE_FILE, KEY_FILE};
use einhorn_links::preface::is_site_name;
use einhorn_links::secret_file::write_public;
use einhorn_node::config::ledger_name;
use einhorn_node::files::{KeyFiles, LEDGER_FOLDER, LEDGER_KEY, MIRROR_KEY, make_key};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The configuration in a site's folder.
pub(crate) const CONFIG_FILE: &str = "einhorn.toml";
/// The log in a site's folder, which a site that has run would have.
const LOG_FILE: &str = "log.db";

/// Subcommands of `einhorn init`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make the folder of a new site: configuration, keys, and the card that other sites need.
    Site(Arguments),
}

/// Arguments of `einhorn init site`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Short name of the site, such as berlin: a-z, 0-9 and -.
    name: String,
    /// Folder to make; also the data folder of the site.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address for DNS over UDP and TCP.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5300")]
    listen: SocketAddr,
    /// Address for HTTP, where the ledger is served; left out: nowhere.
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// Address for the connections of other sites.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5301")]
    link: SocketAddr,
    /// Where other sites reach that, if it is not the same: a name, or a public address.
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Vec<String>,
    /// Card of a site whose cluster this one is to join.
    #[arg(long, value_name = "CARD")]
    join: Option<PathBuf>,
}

/// Makes what is asked for.
pub(crate) fn run(command: &Command) -> Outcome {
    let Command::Site(arguments) = command;
    let site = Site::check(arguments)?;
    site.make("")?;
    print(site.next_steps())
}

/// Makes the folder of a new site on loopback whose configuration ends with `more`.
pub(crate) fn make_local(
    name: &str,
    data: &Path,
    [listen, http, link]: [SocketAddr; 3],
    join: Option<PathBuf>,
    more: &str,
) -> Outcome {
    let (name, data) = (name.to_owned(), data.to_owned());
    let arguments =
        Arguments { name, data, listen, http: Some(http), link, advertise: Vec::new(), join };
    Site::check(&arguments)?.make(more)
}

/// A site that can be made.
struct Site<'a> {
    arguments: &'a Arguments,
    advertise: Vec<String>,
    /// The card of the site to join.
    join: Option<Card>,
}

impl<'a> Site<'a> {
    /// Finds every mistake before anything is made.
    fn check(arguments: &'a Arguments) -> Result<Site<'a>, Failure> {
        let Arguments { name, link, advertise, .. } = arguments;
        if !is_site_name(name) {
            let shown = name.escape_debug();
            return Err(Failure::usage(format!(
                "`{shown}` cannot name a site: use 1 to 63 of a-z, 0-9 and -"
            )));
        }
        let reachable = !link.ip().is_unspecified() && link.port() != 0;
        if advertise.is_empty() && !reachable {
            return Err(Failure::usage(format!(
                "others cannot connect to {link}: say with --advertise HOST:PORT where they reach this site"
            )));
        }
        for address in advertise {
            check_address(address)
                .map_err(|reason| Failure::usage(format!("--advertise {reason}")))?;
        }
        let advertise =
            if advertise.is_empty() { vec![link.to_string()] } else { advertise.clone() };
        let join = arguments.join.as_deref().map(read_card).transpose()?;
        if join.as_ref().is_some_and(|card| card.name == *name) {
            return Err(Failure::usage(format!(
                "the site to join is called `{name}` too: every site has its own name"
            )));
        }
        Ok(Site { arguments, advertise, join })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.arguments.data.join(file)
    }

    fn card_file(&self) -> String {
        card_file(&self.arguments.name)
    }

    /// Makes everything; the configuration last, so that what was interrupted does not run.
    fn make(&self, more: &str) -> Outcome {
        let folder = &self.arguments.data;
        let joined = self.join.as_ref().map(|card| card_file(&card.name));
        let card_file = self.card_file();
        let files = [LEDGER_KEY.secret, LEDGER_KEY.public, MIRROR_KEY.secret, MIRROR_KEY.public];
        let beside = [KEY_FILE, CERTIFICATE_FILE, &card_file, CONFIG_FILE, LOG_FILE, LEDGER_FOLDER];
        for file in files.iter().map(AsRef::as_ref).chain(beside).chain(joined.as_deref()) {
            // A link to nowhere is something too.
            if self.path(file).symlink_metadata().is_ok() {
                return Err(Failure::finding(format!(
                    "{} exists already, and nothing is overwritten: give another folder with --data",
                    self.path(file).display()
                )));
            }
        }
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::finding(format!("cannot make {}: {error}", folder.display()))
        })?;
        let name = &self.arguments.name;
        let key = |files: KeyFiles, name: &str| make_key(folder, files, name);
        let ledger = key(LEDGER_KEY, &ledger_name(name)).map_err(Failure::finding)?;
        let mirror = key(MIRROR_KEY, &mirror_name(name)).map_err(Failure::finding)?;
        let identity = Identity::generate(name).map_err(Failure::finding)?;
        identity.save(folder).map_err(Failure::finding)?;
        let card = Card {
            name: name.clone(),
            addresses: self.advertise.clone(),
            ledger: ledger.verifier().clone(),
            mirror: mirror.verifier().clone(),
            certificates: vec![identity.fingerprint()],
        };
        write(&self.path(&card_file), &card.to_string())?;
        if let (Some(file), Some(card)) = (joined, &self.join) {
            write(&self.path(&file), &card.to_string())?;
        }
        write(&self.path(CONFIG_FILE), &(self.config() + more))
    }

    fn config(&self) -> String {
        let Arguments { name, listen, http, link, .. } = self.arguments;
        let http = match http {
            Some(http) => format!("http = \"{http}\"\n"),
            None => "# http = \"127.0.0.1:8053\"\n".to_owned(),
        };
        let advertise: Vec<String> =
            self.advertise.iter().map(|address| format!("\"{address}\"")).collect();
        let advertise = advertise.join(", ");
        let join = match &self.join {
            Some(card) => format!(
                "# The card of the site whose cluster this one joins.\njoin = \"{}\"\n",
                card_file(&card.name)
            ),
            None => String::new(),
        };
        format!(
            "\
# The configuration of the site {name}. Relative paths start from the folder of this file.
site = \"{name}\"
# Everything durable lies here: the log, the ledger, and the keys that sign it.
data = \".\"
# DNS over UDP and TCP.
listen = [\"{listen}\"]
# The ledger over HTTP, for auditors.
{http}
[link]
# Where other sites connect, and how they reach that; the card {card} says the same.
listen = \"{link}\"
advertise = [{advertise}]
{join}
# A zone, and the zone file from which it is created. Zones can also be added to a running node:
# `einhorn zone add --help`.
# [[zone]]
# name = \"fleet.example\"
# file = \"fleet.zone\"

# Who may change it: a key, as `tsig-keygen phone.` makes it, and what it is allowed.
# [[key]]
# file = \"phone.key\"
# [[grant]]
# key = \"phone.\"
# zone = \"fleet.example\"
",
            card = self.card_file(),
        )
    }

    /// What was made, and what to do with it.
    fn next_steps(&self) -> String {
        let folder = &self.arguments.data;
        let card = self.card_file();
        let mut text =
            format!("{} is the folder of the site {}:\n", folder.display(), self.arguments.name);
        let files = [
            (CONFIG_FILE, "the configuration: look at it, and add zones and keys"),
            (&*LEDGER_KEY.secret, "SECRET, signs the log; keep a copy elsewhere"),
            (&*LEDGER_KEY.public, "its public half, for auditors"),
            (&*MIRROR_KEY.secret, "SECRET, cosigns the logs of other sites; keep a copy elsewhere"),
            (&*MIRROR_KEY.public, "its public half"),
            (KEY_FILE, "SECRET, for the connections to other sites"),
            (CERTIFICATE_FILE, "its certificate"),
            (&*card, "the card: what other sites need to know"),
        ];
        for (file, purpose) in files {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {file:<14} {purpose}");
        }
        let serve = format!("einhorn serve --config {}", self.path(CONFIG_FILE).display());
        let shown = self.path(&card).display().to_string();
        let steps = match &self.join {
            None => format!(
                "Start it:\n  {serve}\n\
                 Another site joins it with the card:\n  \
                 einhorn init site NAME --data DIR --join {shown}"
            ),
            Some(first) => format!(
                "Give {shown} to the operator of {}, who runs there, with the site's own folder:\n  \
                 einhorn site add {card} --data DIR\n\
                 Then start this one:\n  {serve}",
                first.name
            ),
        };
        text + &steps
    }
}

/// The name of a site's card.
pub(crate) fn card_file(site: &str) -> String {
    format!("{site}.site")
}

/// The name under which a site cosigns.
fn mirror_name(site: &str) -> String {
    format!("{}/mirror", ledger_name(site))
}

fn read_card(path: &Path) -> Result<Card, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    Card::parse(&text).map_err(|error| Failure::usage(format!("{shown}: {error}")))
}

fn write(path: &Path, text: &str) -> Outcome {
    write_public(path, text)
        .map_err(|error| Failure::finding(format!("cannot write {}: {error}", path.display())))
}
