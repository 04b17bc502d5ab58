//! `[[source]]`: where host records of another system come from, what its files mean, and where its
//! changes go.
//!
//! The node takes the names and zones of sources from here; everything else is for the bridge's own
//! process, which reads the same file.

use super::{Checker, ConfigError};
use einhorn_bridge::codec::Format;
use einhorn_bridge::merge::{Owner, Policy, Scope};
use einhorn_bridge::record::{FieldName, Kind};
use einhorn_core::model::settings::Remote;
use einhorn_core::model::source::SOURCE_NAME_OCTETS_MAX;
use einhorn_wire::Name;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// TTL of names whose source says none, in seconds.
const TTL_SECONDS: u32 = 86_400;
/// For how many hours what was given to the other side holds its names.
const HOLD_HOURS: u32 = 24;

/// A source of host records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// Its name.
    pub name: String,
    /// The zone that its hosts are in.
    pub zone: Name,
    /// What it sends.
    pub input: SourceFormat,
    /// The file that it replaces, or writes anew.
    pub file: Option<PathBuf>,
    /// The folder in which its files appear.
    pub folder: Option<PathBuf>,
    /// The server from which the zone is transferred; instead of files.
    pub transfer: Option<Remote>,
    /// What a file says of records that are not in it.
    pub declared: DeclaredInput,
    /// The rules of its merge.
    pub policy: Policy,
    /// TTL of names for which it says none, in seconds.
    pub ttl_seconds: u32,
    /// What it is sent; `None` where it gets nothing.
    pub output: Option<OutputConfig>,
}

/// What describes files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFormat {
    /// Their format.
    pub format: Format,
    /// The COBOL copybook.
    pub copybook: Option<PathBuf>,
    /// The layout beside it.
    pub layout: Option<PathBuf>,
}

/// Where changes of the cluster go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// In which form.
    pub form: SourceFormat,
    /// What is written.
    pub to: OutputPlace,
    /// For how long what was written holds its names, in hours.
    pub hold_hours: u32,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPlace {
    /// This file, with all records.
    File(PathBuf),
    /// A new numbered file in this folder, with what the source does not have yet.
    Spool(PathBuf),
}

/// What a file says of records that are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeclaredInput {
    /// They are gone.
    Full,
    /// Nothing; and it has only records in this scope.
    Partial(Scope),
    /// Nothing: it has changes.
    Delta,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSource {
    name: String,
    zone: String,
    format: String,
    copybook: Option<PathBuf>,
    layout: Option<PathBuf>,
    file: Option<PathBuf>,
    folder: Option<PathBuf>,
    transfer: Option<String>,
    input: String,
    scope_suffix: Option<String>,
    scope_kinds: Option<Vec<String>>,
    #[serde(default)]
    owners: BTreeMap<String, String>,
    missing_generations: Option<u32>,
    name_octets_max: Option<usize>,
    deletes_percent_max: Option<u32>,
    updates_percent_max: Option<u32>,
    ttl_seconds: Option<u32>,
    output: Option<RawOutput>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawOutput {
    format: Option<String>,
    copybook: Option<PathBuf>,
    layout: Option<PathBuf>,
    file: Option<PathBuf>,
    spool: Option<PathBuf>,
    hold_hours: Option<u32>,
}

impl Checker<'_> {
    pub(super) fn sources(&self, raw: Vec<RawSource>) -> Result<Vec<SourceConfig>, ConfigError> {
        let mut sources: Vec<SourceConfig> = Vec::with_capacity(raw.len());
        for raw in raw {
            let place = format!("source \"{}\"", raw.name);
            let source = self.source(raw).map_err(|reason| self.wrong(&place, reason))?;
            if sources.iter().any(|other| other.name == source.name) {
                return Err(self.wrong(place, "is given twice"));
            }
            sources.push(source);
        }
        Ok(sources)
    }

    fn source(&self, raw: RawSource) -> Result<SourceConfig, String> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if raw.name.is_empty()
            || raw.name.len() > SOURCE_NAME_OCTETS_MAX
            || !raw.name.chars().all(is_plain)
        {
            return Err("a source's name is 1 to 63 of a-z, 0-9 and -".to_owned());
        }
        let input = self.form(&raw.format, raw.copybook.as_ref(), raw.layout.as_ref())?;
        let output = raw.output.as_ref().map(|output| self.output(&raw, output)).transpose()?;
        let transfer = transfer(&raw)?;
        let declared = declared(&raw.input, raw.scope_suffix.as_deref(), raw.scope_kinds)?;
        let mut policy = Policy::new(input.format);
        policy.owners = owners(&raw.owners)?;
        let set = |to: &mut u32, value: Option<u32>| *to = value.unwrap_or(*to);
        if transfer.is_some() {
            // What a whole zone does not have is gone from it.
            policy.missing_generations = 1;
        }
        set(&mut policy.missing_generations, raw.missing_generations);
        set(&mut policy.deletes_percent_max, raw.deletes_percent_max);
        set(&mut policy.updates_percent_max, raw.updates_percent_max);
        policy.name_octets_max = raw.name_octets_max;
        if policy.missing_generations == 0 || policy.name_octets_max == Some(0) {
            return Err("missing-generations and name-octets-max are at least 1".to_owned());
        }
        let zone = raw.zone.parse().map_err(|error| format!("zone \"{}\": {error}", raw.zone))?;
        let path = |path: Option<PathBuf>| path.map(|path| self.folder.join(path));
        Ok(SourceConfig {
            name: raw.name,
            zone,
            input,
            file: path(raw.file),
            folder: path(raw.folder),
            transfer,
            declared,
            policy,
            ttl_seconds: raw.ttl_seconds.unwrap_or(TTL_SECONDS),
            output,
        })
    }

    fn form(
        &self,
        format: &str,
        copybook: Option<&PathBuf>,
        layout: Option<&PathBuf>,
    ) -> Result<SourceFormat, String> {
        let format: Format = format.parse().map_err(|error| format!("{error}"))?;
        let needs_layout = matches!(format, Format::Copybook | Format::Cards);
        if needs_layout != copybook.is_some() || needs_layout != layout.is_some() {
            let reason = "`copybook` and `layout` belong to the formats copybook and cards";
            return Err(reason.to_owned());
        }
        let path = |path: Option<&PathBuf>| path.map(|path| self.folder.join(path));
        Ok(SourceFormat { format, copybook: path(copybook), layout: path(layout) })
    }

    fn output(&self, source: &RawSource, raw: &RawOutput) -> Result<OutputConfig, String> {
        let form = match &raw.format {
            Some(format) => self.form(format, raw.copybook.as_ref(), raw.layout.as_ref())?,
            None => self.form(&source.format, source.copybook.as_ref(), source.layout.as_ref())?,
        };
        let to = match (&raw.file, &raw.spool) {
            (Some(file), None) => OutputPlace::File(self.folder.join(file)),
            (None, Some(spool)) => OutputPlace::Spool(self.folder.join(spool)),
            _ => return Err("an output has either `file` or `spool`".to_owned()),
        };
        Ok(OutputConfig { form, to, hold_hours: raw.hold_hours.unwrap_or(HOLD_HOURS) })
    }
}

/// The server whose zone it is, if it is one.
fn transfer(raw: &RawSource) -> Result<Option<Remote>, String> {
    let Some(text) = &raw.transfer else { return Ok(None) };
    if raw.format != "zone" || raw.input != "full" || raw.file.is_some() || raw.folder.is_some() {
        let reason = "`transfer` goes with format = \"zone\" and input = \"full\", without `file` and `folder`";
        return Err(reason.to_owned());
    }
    text.parse().map(Some).map_err(|error| format!("transfer: {error}"))
}

fn declared(
    input: &str,
    suffix: Option<&str>,
    kinds: Option<Vec<String>>,
) -> Result<DeclaredInput, String> {
    match (input, suffix, kinds) {
        ("full", None, None) => Ok(DeclaredInput::Full),
        ("delta", None, None) => Ok(DeclaredInput::Delta),
        ("partial", Some(suffix), None) => {
            Ok(DeclaredInput::Partial(Scope::Suffix(suffix.as_bytes().into())))
        }
        ("partial", None, Some(kinds)) => {
            let kind = |text: &String| {
                Kind::from_keyword(text.as_bytes())
                    .ok_or_else(|| format!("`{text}` is not HOST, GATEWAY, NET or DOMAIN"))
            };
            let kinds: Result<_, _> = kinds.iter().map(kind).collect();
            Ok(DeclaredInput::Partial(Scope::Kinds(kinds?)))
        }
        ("partial", ..) => {
            Err("a partial input has either `scope-suffix` or `scope-kinds`".to_owned())
        }
        ("full" | "delta", ..) => Err("only a partial input has a scope".to_owned()),
        _ => Err(format!("input = \"{input}\": write full, partial or delta")),
    }
}

fn owners(raw: &BTreeMap<String, String>) -> Result<Vec<(FieldName, Owner)>, String> {
    let owner = |(field, owner): (&String, &String)| {
        let named = FieldName::ALL.into_iter().find(|name| name.name() == field);
        let name = named.ok_or_else(|| format!("owners: there is no field `{field}`"))?;
        let owner = match owner.as_str() {
            "legacy" => Owner::Legacy,
            "cluster" => Owner::Cluster,
            "shared" => Owner::Shared,
            other => return Err(format!("owners: `{other}` is not legacy, cluster or shared")),
        };
        Ok((name, owner))
    };
    raw.iter().map(owner).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    const HEAD: &str = "data = \"data\"\nlisten = [\"127.0.0.1:5300\"]\n";

    fn parse(text: &str) -> Result<Vec<SourceConfig>, String> {
        let config = Config::parse(Path::new("/etc/einhorn.toml"), &format!("{HEAD}{text}"));
        config.map(|config| config.sources).map_err(|error| error.to_string())
    }

    const GOOD: &str = r#"
[[source]]
name = "master"
zone = "hosts.example"
format = "copybook"
copybook = "master.cpy"
layout = "master.toml"
folder = "in"
input = "full"
owners = { addresses = "cluster", machine = "legacy" }
name-octets-max = 8
[source.output]
format = "cards"
copybook = "cards.cpy"
layout = "cards.toml"
spool = "out"
"#;

    #[test]
    fn a_good_one_is_taken() {
        let sources = parse(GOOD).expect("a good source");
        let [source] = &sources[..] else { panic!("{sources:?}") };
        assert_eq!(source.policy.owner(FieldName::Addresses), Owner::Cluster);
        assert_eq!(source.policy.owner(FieldName::Nicknames), Owner::Shared);
        assert_eq!(source.policy.missing_generations, 2);
        assert_eq!(source.folder.as_deref(), Some(Path::new("/etc/in")));
        let output = source.output.as_ref().expect("an output");
        assert_eq!(output.to, OutputPlace::Spool("/etc/out".into()));
        assert_eq!(output.form.format, Format::Cards);
    }

    #[test]
    fn a_server_may_be_one() {
        let key = "[[key]]\nname = \"bridge.\"\nsecret = \"c2VjcmV0\"\n";
        let text = "[[source]]\nname = \"bind\"\nzone = \"hosts.example\"\nformat = \"zone\"\n\
                    input = \"full\"\ntransfer = \"192.0.2.1 key bridge.\"\n";
        let sources = parse(&format!("{key}{text}")).expect("a good source");
        let from = sources[0].transfer.as_ref().expect("a server").to_string();
        assert_eq!(
            (&*from, sources[0].policy.missing_generations),
            ("192.0.2.1:53 key bridge.", 1)
        );
        let error = parse(text).expect_err("no key");
        assert!(error.contains("there is no such [[key]]"), "{error}");
        for (from, to) in [
            ("\"zone\"", "\"hosts-txt\""),
            ("\"full\"", "\"delta\""),
            ("transfer", "file = \"x\"\ntransfer"),
        ] {
            let error = parse(&format!("{key}{}", text.replacen(from, to, 1))).expect_err(to);
            assert!(error.contains("`transfer` goes with"), "{error}");
        }
        let error = parse(&text.replace("192.0.2.1", "bind.example")).expect_err("no address");
        assert!(error.contains("is not a server"), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, reason) in [
            ("input = \"full\"", "input = \"some\"", "write full, partial or delta"),
            ("input = \"full\"", "input = \"partial\"", "scope-suffix"),
            ("addresses = \"cluster\"", "adresses = \"cluster\"", "no field `adresses`"),
            ("layout = \"master.toml\"", "", "belong to the formats"),
            ("format = \"copybook\"", "format = \"hosts\"", "is no format"),
            ("name = \"master\"", "name = \"Master Tape\"", "a-z"),
            ("spool = \"out\"", "", "either `file` or `spool`"),
            ("zone = ", "zoen = ", "did you mean `zone`?"),
        ] {
            let error = parse(&GOOD.replacen(from, to, 1)).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
        let error = parse(&format!("{GOOD}{GOOD}")).expect_err("twice");
        assert!(error.contains("twice"), "{error}");
    }
}
