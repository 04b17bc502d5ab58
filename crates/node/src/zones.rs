//! Zones that come and go while the node runs: each step is a request of the operator, and so an
//! entry of the ledger.

use crate::config::{self, Config, ZoneConfig};
use crate::operate::{operator_request, submit};
use einhorn_core::model::request::{Action, ReplaceReason};
use einhorn_core::model::settings::{Contested, Level, Reverse, Role, Settings};
use einhorn_core::model::{NameRecord, RrSet, RrSetRef, Zone, borrowed};
use einhorn_core::rules::catalog;
use einhorn_core::rules::replace::{self, Overwrite, Plan};
use einhorn_core::rules::zone::{ZoneError, ZoneNames};
use einhorn_ingress::Ingress;
use einhorn_ingress::control::{FollowLine, ZoneLine, ZoneSettings};
use einhorn_serve::transfer;
use einhorn_wire::Name;
use einhorn_wire::zonefile::{self, ZoneFileError};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often a change is planned anew when names changed while it was planned.
const PLANS_MAX: usize = 5;
/// Lines of a difference that are shown.
const LINES_SHOWN_MAX: usize = 200;

/// A zone that was not taken in, and why.
#[derive(Debug, thiserror::Error)]
pub enum ZoneRefused {
    /// Its file.
    #[error(transparent)]
    File(#[from] ZoneFileError),
    /// The content of its file.
    #[error("{}: {source}", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: ZoneError,
    },
    /// The commit, or a rule above it.
    #[error("zone {zone}: {reason}")]
    Refused {
        /// Apex.
        zone: Name,
        /// Why.
        reason: String,
    },
}

impl ZoneRefused {
    fn because(zone: &Name, reason: impl Into<String>) -> ZoneRefused {
        ZoneRefused::Refused { zone: zone.clone(), reason: reason.into() }
    }
}

/// What a zone file says.
struct Source {
    names: Vec<(Name, Vec<RrSet>)>,
    hash: [u8; 32],
}

impl Source {
    fn read(apex: &Name, file: &Path) -> Result<Source, ZoneRefused> {
        let mut hash = Sha256::new();
        let mut names = ZoneNames::new(apex);
        let read = &mut |path: &Path| {
            let text = std::fs::read(path)?;
            hash.update(&text);
            Ok(text)
        };
        zonefile::load_with(file, apex, read, &mut |record| {
            names.add_read(&record).map_err(|error| error.to_string())
        })?;
        let names =
            names.finish().map_err(|source| ZoneRefused::Content { file: file.into(), source })?;
        Ok(Source { names, hash: hash.finalize().into() })
    }
}

fn change(ingress: &Ingress, zone: &Name, action: Action) -> Result<u64, ZoneRefused> {
    operator_request(ingress, zone.clone(), action)
        .and_then(|request| submit(ingress, request))
        .map_err(|reason| ZoneRefused::because(zone, reason))
}

fn find(ingress: &Ingress, zone: &Name) -> Option<Arc<Zone>> {
    ingress.zones.current().get(zone).cloned()
}

/// Makes the zones of the configuration what it says: settings always, content for zones that
/// have none. Zones that it does not name stay. Returns how many zones were changed.
pub(crate) fn apply(config: &Config, ingress: &Ingress) -> Result<usize, ZoneRefused> {
    let mut changed = 0;
    for zone in &config.zones {
        changed += usize::from(apply_one(zone, ingress)?);
    }
    for grant in &config.grants {
        if let Some(zone) = grant.zone.as_ref().filter(|zone| find(ingress, zone).is_none()) {
            tracing::warn!(key = %grant.key, %zone, "a grant names a zone that is not served here");
        }
    }
    Ok(changed)
}

fn apply_one(config: &ZoneConfig, ingress: &Ingress) -> Result<bool, ZoneRefused> {
    let zone = find(ingress, &config.name);
    let as_configured = zone.as_ref().map_or(config.settings == Settings::default(), |zone| {
        // A catalog's word stands above the file's, or both would undo each other's.
        *zone.settings == config.settings || matches!(zone.settings.role, Role::Member { .. })
    });
    if !as_configured {
        change(ingress, &config.name, Action::Configure(config.settings.clone()))?;
        tracing::info!(zone = %config.name, "settings changed");
    }
    let loaded = zone.is_none_or(|zone| zone.soa().is_none())
        && load(ingress, &config.name, config.file.as_deref(), &config.settings)?.is_some();
    Ok(loaded || !as_configured)
}

/// Gives a zone without content its first one; `None` when it will come from elsewhere.
fn load(
    ingress: &Ingress,
    zone: &Name,
    file: Option<&Path>,
    settings: &Settings,
) -> Result<Option<u64>, ZoneRefused> {
    first_source(zone, file, settings)?.map(|source| take_in(ingress, zone, source)).transpose()
}

/// The first content of a zone; `None` when it will come from elsewhere.
fn first_source(
    zone: &Name,
    file: Option<&Path>,
    settings: &Settings,
) -> Result<Option<Source>, ZoneRefused> {
    match (file, &settings.role) {
        (Some(file), _) => Source::read(zone, file).map(Some),
        (None, Role::Producer) => {
            Ok(Some(Source { names: catalog::skeleton(zone), hash: [0; 32] }))
        }
        (None, _) => Ok(None),
    }
}

fn take_in(ingress: &Ingress, zone: &Name, source: Source) -> Result<u64, ZoneRefused> {
    let names = source.names.len();
    let index =
        change(ingress, zone, Action::LoadZone { names: source.names, source: source.hash })?;
    tracing::info!(%zone, index, names, "zone loaded");
    Ok(index)
}

/// Serves a new zone; the answer is for people.
pub(crate) fn add(
    ingress: &Ingress,
    zone: &Name,
    file: Option<&Path>,
    settings: Settings,
) -> Result<(String, u64), ZoneRefused> {
    if find(ingress, zone).is_some() {
        return Err(ZoneRefused::because(
            zone,
            "is served already; `zone import` changes its content",
        ));
    }
    config::check_source(file.is_some(), &settings)
        .map_err(|reason| ZoneRefused::because(zone, reason))?;
    // A mistake in the file is found before anything changes.
    let source = first_source(zone, file, &settings)?;
    let mut index = None;
    if settings != Settings::default() {
        index = Some(change(ingress, zone, Action::Configure(settings))?);
    }
    let loaded = source.map(|source| take_in(ingress, zone, source)).transpose()?;
    let index = loaded.or(index).ok_or_else(|| ZoneRefused::because(zone, "nothing to add"))?;
    Ok((format!("zone {zone} added in entry {index}"), index))
}

/// Serves a zone no longer. Its last content goes to a file in `folder`, since no rollback brings
/// a removed zone back.
pub(crate) fn remove(
    ingress: &Ingress,
    zone: &Name,
    folder: &Path,
) -> Result<(String, u64), ZoneRefused> {
    let current =
        find(ingress, zone).ok_or_else(|| ZoneRefused::because(zone, "is not served here"))?;
    let mut text = String::new();
    if current.soa().is_some() {
        let file = folder.join(format!("{}{}.zone", file_name(zone), current.serial));
        let written = std::fs::create_dir_all(folder).and_then(|()| export(&current, &file));
        written.map_err(|error| {
            ZoneRefused::because(
                zone,
                format!("not removed: cannot keep {}: {error}", file.display()),
            )
        })?;
        _ = write!(text, "; its last content is kept in {}", file.display());
    }
    let index = change(ingress, zone, Action::RemoveZone)?;
    Ok((format!("zone {zone} removed in entry {index}{text}"), index))
}

/// The zone's name as part of a file's name, with a dot at its end.
fn file_name(zone: &Name) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    zone.to_string().chars().map(safe).collect()
}

fn export(zone: &Zone, file: &Path) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    let records: Vec<_> = transfer::records(zone).collect();
    zonefile::write(&mut out, &zone.apex, records.iter())?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}

/// Takes a zone file into a zone, as a difference.
pub(crate) fn import(
    ingress: &Ingress,
    zone: &Name,
    file: &Path,
    overwrite: Overwrite,
    dry_run: bool,
) -> Result<(String, Option<u64>), ZoneRefused> {
    let Some(current) = find(ingress, zone).filter(|zone| zone.soa().is_some()) else {
        if dry_run {
            let names = Source::read(zone, file)?.names.len();
            return Ok((format!("zone {zone} is new: it would get {names} names\n"), None));
        }
        let index = load(ingress, zone, Some(file), &Settings::default())?;
        return Ok((format!("zone {zone} loaded\n"), index));
    };
    let mut source = Source::read(zone, file)?;
    replace::keep_serial(&current, &mut source.names);
    let mut current = current;
    for attempt in 1.. {
        let plan = replace::whole(&current, source.names.clone(), overwrite);
        let mut text = describe(&current, &plan);
        if plan.names.is_empty() || dry_run {
            return Ok((text, None));
        }
        let reason = ReplaceReason::Reload { source: source.hash };
        match change(ingress, zone, Action::Replace { reason, names: plan.names }) {
            Ok(index) => {
                _ = writeln!(text, "done in entry {index}");
                return Ok((text, Some(index)));
            }
            // Most likely a device changed one of the names while this was planned.
            Err(error) if attempt == PLANS_MAX => return Err(error),
            Err(error) => match find(ingress, zone).filter(|now| now.serial != current.serial) {
                Some(now) => current = now,
                None => return Err(error),
            },
        }
    }
    unreachable!("the loop ends by returning")
}

/// Reads the configured files again: of one zone, or of all.
pub(crate) fn reload(
    ingress: &Ingress,
    config: &Config,
    only: Option<&Name>,
    overwrite: Overwrite,
    dry_run: bool,
) -> Result<String, ZoneRefused> {
    let mut text = String::new();
    let mut found = false;
    for zone in config.zones.iter().filter(|zone| only.is_none_or(|only| *only == zone.name)) {
        found = true;
        if let Some(file) = &zone.file {
            let (changes, _) = import(ingress, &zone.name, file, overwrite, dry_run)?;
            _ = write!(text, "{}: {changes}", zone.name);
        }
    }
    match only {
        Some(only) if !found => Err(ZoneRefused::because(
            only,
            "has no file in the configuration; `zone import` takes one by name",
        )),
        _ => Ok(text),
    }
}

/// A diff: what goes, what comes, what stays because a device wrote it.
fn describe(zone: &Zone, plan: &Plan) -> String {
    let mut text = format!("{} names differ\n", plan.names.len());
    let mut lines = 0;
    let mut line = |sign: char, owner: &Name, set: RrSetRef<'_>| {
        let shown = set.lines().take(LINES_SHOWN_MAX.saturating_sub(lines));
        shown.for_each(|record| _ = writeln!(text, "{sign} {owner} {record}"));
        lines += set.count();
    };
    for name in &plan.names {
        let now = || zone.name(&name.owner).into_iter().flat_map(NameRecord::rrsets);
        let after = || borrowed(&name.after);
        let gone = now().filter(|set| !after().any(|other| other == *set));
        gone.for_each(|set| line('-', &name.owner, set));
        let new = after().filter(|set| !now().any(|other| other == *set));
        new.for_each(|set| line('+', &name.owner, set));
    }
    if lines > LINES_SHOWN_MAX {
        _ = writeln!(text, "… and {} more", lines - LINES_SHOWN_MAX);
    }
    if !plan.kept.is_empty() {
        _ = writeln!(
            text,
            "{} names differ but were changed by a device last, so they stay (--overwrite replaces them):",
            plan.kept.len()
        );
        plan.kept.iter().take(LINES_SHOWN_MAX).for_each(|owner| _ = writeln!(text, "  {owner}"));
    }
    text
}

/// All zones, for people and programs.
pub(crate) fn list(ingress: &Ingress, mut following: HashMap<Name, FollowLine>) -> Vec<ZoneLine> {
    let line = |zone: &Arc<Zone>| {
        let has_content = zone.soa().is_some();
        ZoneLine {
            zone: zone.apex.to_string(),
            serial: has_content.then_some(zone.serial),
            names: zone.names.live_count(),
            settings: settings_text(&zone.settings),
            member_of: match &zone.settings.role {
                Role::Member { catalog, .. } => Some(catalog.to_string()),
                _ => None,
            },
            following: following.remove(&zone.apex),
            problem: (!has_content).then(|| "no content yet".to_owned()),
        }
    };
    ingress.zones.current().iter().map(line).collect()
}

fn settings_text(settings: &Settings) -> ZoneSettings {
    let (catalog, catalog_role) = match &settings.role {
        Role::Listed { catalog } => (Some(catalog.to_string()), None),
        Role::Producer => (None, Some("producer".to_owned())),
        Role::Consumer => (None, Some("consumer".to_owned())),
        Role::Ordinary | Role::Member { .. } => (None, None),
    };
    ZoneSettings {
        primaries: settings.primaries.iter().map(ToString::to_string).collect(),
        notify: settings.notify.iter().map(ToString::to_string).collect(),
        transfer_to: settings.transfer_to.iter().map(ToString::to_string).collect(),
        catalog,
        catalog_role,
        ack: (settings.level != Level::Local).then(|| settings.level.to_string()),
        reverse: (settings.reverse == Reverse::Auto).then(|| "auto".to_owned()),
        contested: (settings.contested == Contested::Review).then(|| "review".to_owned()),
        coalesce_ms: (settings.coalesce_ms > 0).then_some(settings.coalesce_ms),
    }
}
