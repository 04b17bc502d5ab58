//! A source as the configuration says it, and its files.

use super::apply::failure;
use super::transfer::Server;
use super::{PIECE_OCTETS, failed};
use crate::Failure;
use einhorn_bridge::codec::{Layout, Options, Refusal};
use einhorn_bridge::copybook::{self, Plan};
use einhorn_bridge::live::apply::{Input, Problem, Source};
use einhorn_bridge::live::image::Placing;
use einhorn_bridge::merge::{InputKind, Owner, Policy};
use einhorn_bridge::record::FieldName;
use einhorn_node::config::{Config, DeclaredInput, SourceConfig, SourceFormat};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Which source of which node.
#[derive(clap::Args, Clone)]
pub(crate) struct Which {
    /// Name of the source in the configuration.
    pub(crate) source: String,
    /// Configuration file of the node.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Where the node's HTTP is; without it, as the configuration says.
    #[arg(long, value_name = "URL")]
    pub(crate) node: Option<String>,
}

impl Which {
    /// The configuration, and the source in it.
    pub(crate) fn open(&self) -> Result<(Config, SourceConfig), Failure> {
        let config = Config::load(&self.config).map_err(Failure::usage)?;
        let found = config.sources.iter().find(|source| source.name == self.source).cloned();
        let source = found.ok_or_else(|| {
            let path = self.config.display();
            Failure::usage(format!("{path} has no [[source]] with the name `{}`", self.source))
        })?;
        Ok((config, source))
    }
}

/// What the bridge needs to know of a source.
pub(crate) fn source(config: &SourceConfig) -> Result<Source, Failure> {
    let options = options(config, &config.input)?;
    let policy = policy(config, &options)?;
    Ok(Source {
        name: config.name.clone(),
        placing: placing(config),
        options,
        kind: match &config.declared {
            DeclaredInput::Full => InputKind::Full,
            DeclaredInput::Partial(scope) => InputKind::Partial(scope.clone()),
            DeclaredInput::Delta => InputKind::Delta { revision: 0 },
        },
        policy,
    })
}

/// The rules of the merge: whom a layout says that a field belongs to counts where the configuration says
/// nothing.
fn policy(config: &SourceConfig, options: &Options) -> Result<Policy, Failure> {
    let mut policy = config.policy.clone();
    let Some(layout) = &options.layout else { return Ok(policy) };
    let plan = Plan::new(config.input.format, layout).map_err(Failure::usage)?;
    for field in FieldName::ALL {
        let is_configured = policy.owners.iter().any(|(configured, _)| *configured == field);
        let owner = match plan.owner(field) {
            Some(copybook::Owner::Legacy) => Owner::Legacy,
            Some(copybook::Owner::Cluster) => Owner::Cluster,
            Some(copybook::Owner::Shared) | None => continue,
        };
        if !is_configured {
            policy.owners.push((field, owner));
        }
    }
    Ok(policy)
}

pub(crate) fn placing(config: &SourceConfig) -> Placing {
    let (zone, format) = (config.zone.clone(), config.input.format);
    Placing { zone, format, ttl_seconds: config.ttl_seconds }
}

/// What a format of the source needs.
pub(crate) fn options(config: &SourceConfig, form: &SourceFormat) -> Result<Options, Failure> {
    let text = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
    };
    let layout = match (&form.copybook, &form.layout) {
        (Some(copybook), Some(layout)) => {
            Some(Layout { copybook: text(copybook)?, layout: text(layout)? })
        }
        _ => None,
    };
    Ok(Options { source: config.name.clone(), origin: config.zone.clone(), layout })
}

/// What a source says now: the file that was named, or what the configuration says.
pub(crate) fn input(
    named: Option<&Path>,
    config: &Config,
    settings: &SourceConfig,
) -> Result<Box<dyn Input>, Failure> {
    match (named, &settings.transfer) {
        (None, Some(remote)) => {
            let octets = Server::new(config, settings, remote)?.fetch().map_err(failure)?;
            Ok(Box::new(octets))
        }
        _ => Ok(Box::new(FileInput::new(named, settings)?)),
    }
}

/// What lies in memory: it cannot change while it is applied.
pub(crate) struct Octets {
    /// What people call it.
    pub(crate) name: String,
    /// All of it.
    pub(crate) octets: Vec<u8>,
}

impl Input for Octets {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn read(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), Refusal>) -> Result<(), Problem> {
        Ok(each(&self.octets)?)
    }
}

/// A file of a source.
pub(crate) struct FileInput {
    path: PathBuf,
}

impl FileInput {
    /// The file that was named, or else the configured one. It must be there: a source that is missing is
    /// an error, never an empty table.
    pub(crate) fn new(named: Option<&Path>, config: &SourceConfig) -> Result<FileInput, Failure> {
        let path = named.map(Path::to_owned).or_else(|| config.file.clone()).ok_or_else(|| {
            Failure::usage(format!("source {} has no `file`: name one", config.name))
        })?;
        File::open(&path).map_err(failed("read", &path))?;
        Ok(FileInput { path })
    }
}

impl Input for FileInput {
    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }

    fn read(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), Refusal>) -> Result<(), Problem> {
        let name = self.path.display();
        let unreadable = |error| Problem::File(format!("cannot read {name}: {error}"));
        let mut file = File::open(&self.path).map_err(unreadable)?;
        let mut piece = vec![0; PIECE_OCTETS];
        loop {
            match file.read(&mut piece).map_err(unreadable)? {
                0 => return Ok(()),
                count => each(&piece[..count])
                    .map_err(|refusal| Problem::File(format!("{name} is refused: {refusal}")))?,
            }
        }
    }
}
