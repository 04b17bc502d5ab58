//! Where a ledger is read from: a data folder, a folder of ledger files, or a URL; and how a
//! running node is asked.

use crate::Failure;
use einhorn_core::ledger::note::VerifierKey;
use einhorn_ingress::control::{self, Answer, Command};
use einhorn_store::ledger::{OsFiles, TileSource};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a server may take for one file.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);
/// Octets of the largest file of a ledger: 256 entries of the greatest length.
const FILE_OCTETS_MAX: u64 = 256 * (65_535 + 2);

/// Which ledger, and whose key it must have.
#[derive(clap::Args, Clone)]
pub(crate) struct Arguments {
    /// Data folder of a node.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address of a served ledger, such as http://127.0.0.1:8053/ledger/berlin/.
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub(crate) url: Option<String>,
    /// The log's public key. Needed with --url; with --data it is taken from the folder.
    #[arg(long, value_name = "NAME+HASH+BASE64")]
    pub(crate) vkey: Option<String>,
}

/// A ledger that can be read.
pub(crate) struct Ledger {
    pub(crate) files: Box<dyn TileSource>,
    pub(crate) key: VerifierKey,
}

impl Arguments {
    /// Opens the ledger.
    pub(crate) fn open(&self) -> Result<Ledger, Failure> {
        let (files, key): (Box<dyn TileSource>, _) = match (&self.data, &self.url) {
            (Some(data), _) => {
                let folder = data.join("ledger");
                if !folder.is_dir() {
                    return Err(Failure::unreachable(format!(
                        "there is no ledger in {}",
                        data.display()
                    )));
                }
                let files = OsFiles::open(&folder).map_err(Failure::unreachable)?;
                (Box::new(files), self.vkey.as_deref().map_or_else(|| read_vkey(data), parse_vkey)?)
            }
            (None, Some(url)) => {
                let vkey = self.vkey.as_deref().ok_or_else(|| {
                    Failure::usage("a ledger from a URL needs --vkey: whom to trust")
                })?;
                (Box::new(HttpSource::new(url)), parse_vkey(vkey)?)
            }
            (None, None) => {
                return Err(Failure::usage(
                    "which ledger? Give --data DIR, or --url URL and --vkey KEY",
                ));
            }
        };
        Ok(Ledger { files, key })
    }
}

/// Opens the ledger in a data folder, in a folder of ledger files, or at a URL. Its key is the one
/// among `keys` that has its name, else the data folder's own.
pub(crate) fn open_from(from: &str, keys: &[VerifierKey]) -> Result<Ledger, Failure> {
    let is_url = from.starts_with("http://") || from.starts_with("https://");
    let (data, ledger) = (Path::new(from), Path::new(from).join("ledger"));
    let files: Box<dyn TileSource> = if is_url {
        Box::new(HttpSource::new(from))
    } else {
        let folder = if ledger.is_dir() { &ledger } else { data };
        if !folder.is_dir() {
            return Err(Failure::unreachable(format!("there is no ledger in {from}")));
        }
        Box::new(OsFiles::open(folder).map_err(Failure::unreachable)?)
    };
    let note = files.read("checkpoint").map_err(Failure::unreachable)?;
    let note = note.ok_or_else(|| Failure::unreachable(format!("{from} has no checkpoint")))?;
    let origin = String::from_utf8_lossy(&note).lines().next().unwrap_or_default().to_owned();
    let given = keys.iter().find(|key| key.name() == origin).cloned();
    let key = match given {
        Some(key) => key,
        None if !is_url && data.join("ledger.vkey").is_file() => read_vkey(data)?,
        None => {
            return Err(Failure::usage(format!(
                "{from} is the ledger {origin}: give its key with --key"
            )));
        }
    };
    Ok(Ledger { files, key })
}

/// A public key as given on the command line.
pub(crate) fn parse_vkey(text: &str) -> Result<VerifierKey, Failure> {
    VerifierKey::parse(text.trim()).map_err(|error| Failure::usage(format!("--vkey: {error}")))
}

fn read_vkey(data: &Path) -> Result<VerifierKey, Failure> {
    read_vkey_file(&data.join("ledger.vkey"))
}

/// The public key of a log in a file of its site's data folder.
pub(crate) fn read_vkey_file(path: &Path) -> Result<VerifierKey, Failure> {
    let text = std::fs::read(path).map_err(|error| {
        Failure::unreachable(format!(
            "cannot read {}: {error}; give the key with --vkey",
            path.display()
        ))
    })?;
    let text = String::from_utf8_lossy(&text);
    VerifierKey::parse(text.trim())
        .map_err(|error| Failure::finding(format!("{}: {error}", path.display())))
}

/// A ledger served over HTTP.
struct HttpSource {
    base: String,
    agent: ureq::Agent,
}

impl HttpSource {
    fn new(url: &str) -> HttpSource {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(HTTP_TIMEOUT))
            .http_status_as_error(false);
        let base = format!("{}/", url.trim_end_matches('/'));
        HttpSource { base, agent: ureq::Agent::new_with_config(config.build()) }
    }
}

impl TileSource for HttpSource {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let url = format!("{}{path}", self.base);
        let mut response = self
            .agent
            .get(&url)
            .call()
            .map_err(|error| io::Error::other(format!("{url}: {error}")))?;
        match response.status().as_u16() {
            200 => {
                let body = response.body_mut().with_config().limit(FILE_OCTETS_MAX).read_to_vec();
                body.map(Some).map_err(|error| io::Error::other(format!("{url}: {error}")))
            }
            404 => Ok(None),
            status => Err(io::Error::other(format!("{url}: HTTP status {status}"))),
        }
    }
}

/// Asks the node that runs on `data`; gives its text.
pub(crate) fn ask(data: &Path, command: &Command) -> Result<String, Failure> {
    match ask_node(data, command)? {
        Answer::Done { text, .. } => Ok(text),
        other => Err(Failure::finding(format!("the node answered something else: {other:?}"))),
    }
}

/// Asks the node that runs on `data`; gives its answer, unless it could not do what was asked.
pub(crate) fn ask_node(data: &Path, command: &Command) -> Result<Answer, Failure> {
    match control::ask(data, command) {
        Ok(Answer::Failed { reason }) => Err(Failure::finding(reason)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(Failure::unreachable(format!(
            "no node answers in {}: {error}; is it running?",
            data.display()
        ))),
    }
}
