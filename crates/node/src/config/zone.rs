//! `[[zone]]`: how a zone is kept, and where its content comes from.

use super::{Checker, ConfigError, ZoneConfig};
use einhorn_core::model::settings::{
    Contested, Level, LevelError, Reverse, Role, Settings as ZoneKeeping,
};
use einhorn_ingress::control::ZoneSettings;
use einhorn_wire::Name;
use serde::Deserialize;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawZone {
    name: String,
    file: Option<PathBuf>,
    #[serde(default, rename = "primary")]
    primaries: Vec<String>,
    #[serde(default)]
    notify: Vec<String>,
    #[serde(default)]
    transfer_to: Vec<String>,
    catalog: Option<String>,
    catalog_role: Option<String>,
    ack: Option<String>,
    reverse: Option<String>,
    contested: Option<String>,
    coalesce_ms: Option<u16>,
}

impl Checker<'_> {
    pub(super) fn zone(&self, raw: &RawZone) -> Result<ZoneConfig, ConfigError> {
        let name = self.name("zone.name", &raw.name)?;
        let text = ZoneSettings {
            primaries: raw.primaries.clone(),
            notify: raw.notify.clone(),
            transfer_to: raw.transfer_to.clone(),
            catalog: raw.catalog.clone(),
            catalog_role: raw.catalog_role.clone(),
            ack: raw.ack.clone(),
            reverse: raw.reverse.clone(),
            contested: raw.contested.clone(),
            coalesce_ms: raw.coalesce_ms,
        };
        let place = || format!("zone \"{}\"", raw.name);
        let settings = zone_settings(&text).map_err(|reason| self.wrong(place(), reason))?;
        check_source(raw.file.is_some(), &settings)
            .map_err(|reason| self.wrong(place(), reason))?;
        let file = raw.file.as_ref().map(|file| self.folder.join(file));
        Ok(ZoneConfig { name, file, settings })
    }
}

/// Checks what an operator wrote about a zone.
///
/// # Errors
/// What is wrong, as text.
pub(crate) fn zone_settings(text: &ZoneSettings) -> Result<ZoneKeeping, String> {
    fn all<T: FromStr<Err: ToString>>(what: &str, texts: &[String]) -> Result<Vec<T>, String> {
        let one = |text: &String| {
            text.parse().map_err(|error: T::Err| format!("{what}: {}", error.to_string()))
        };
        texts.iter().map(one).collect()
    }
    let catalog = text.catalog.as_ref().map(|catalog| {
        catalog.parse::<Name>().map_err(|error| format!("catalog = \"{catalog}\": {error}"))
    });
    let role = match (text.catalog_role.as_deref(), catalog.transpose()?) {
        (None, None) => Role::Ordinary,
        (None, Some(catalog)) => Role::Listed { catalog },
        (Some("producer"), None) => Role::Producer,
        (Some("consumer"), None) => Role::Consumer,
        (Some(_), Some(_)) => return Err("a catalog is not listed in another one".to_owned()),
        (Some(other), None) => {
            return Err(format!("catalog-role = \"{other}\": write producer or consumer"));
        }
    };
    let level = text.ack.as_deref().map_or(Ok(Level::Local), str::parse);
    Ok(ZoneKeeping {
        level: level.map_err(|error: LevelError| error.to_string())?,
        primaries: all("primary", &text.primaries)?,
        notify: all("notify", &text.notify)?,
        transfer_to: all("transfer-to", &text.transfer_to)?,
        role,
        reverse: one_of(
            "reverse",
            text.reverse.as_deref(),
            ["off", "auto"],
            [Reverse::Off, Reverse::Auto],
        )?,
        contested: one_of(
            "contested",
            text.contested.as_deref(),
            ["latest", "review"],
            [Contested::Latest, Contested::Review],
        )?,
        coalesce_ms: match text.coalesce_ms.unwrap_or(0) {
            long if long > COALESCE_MS_MAX => {
                return Err(format!("coalesce-ms = {long}: at most {COALESCE_MS_MAX}"));
            }
            window_ms => window_ms,
        },
    })
}

/// A change may be held so long at most, in milliseconds: who asked waits for it.
const COALESCE_MS_MAX: u16 = 1_000;

/// Which of two words stands there; the first if none does.
fn one_of<T>(
    what: &str,
    text: Option<&str>,
    words: [&str; 2],
    [first, second]: [T; 2],
) -> Result<T, String> {
    match text {
        None => Ok(first),
        Some(text) if text == words[0] => Ok(first),
        Some(text) if text == words[1] => Ok(second),
        Some(other) => Err(format!("{what} = \"{other}\": write {} or {}", words[0], words[1])),
    }
}

/// Checks that a zone's content comes from exactly one place.
///
/// # Errors
/// What is wrong, as text.
pub(crate) fn check_source(has_file: bool, settings: &ZoneKeeping) -> Result<(), String> {
    match (has_file, settings.is_followed(), &settings.role) {
        (false, true, Role::Producer) | (true, _, Role::Producer) => {
            Err("a producer's content is made here: give neither `file` nor `primary`".to_owned())
        }
        (_, false, Role::Consumer) => {
            Err("a consumer follows a catalog: give the `primary` it comes from".to_owned())
        }
        (true, true, _) => {
            Err("give either `file` or `primary`: a followed zone's content is its primary's"
                .to_owned())
        }
        (false, false, Role::Ordinary | Role::Listed { .. }) => {
            Err("give a `file` with its content, or the `primary` it is followed from".to_owned())
        }
        _ => Ok(()),
    }
}
