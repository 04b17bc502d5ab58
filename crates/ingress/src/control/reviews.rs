//! The review queue, as operators and programs see it.

use serde::{Deserialize, Serialize};

/// What can be asked of the queue.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "review", rename_all = "kebab-case")]
pub enum ReviewCommand {
    /// All that is open.
    List,
    /// One of them.
    Show {
        /// As [`ReviewLine::id`].
        id: String,
    },
    /// Decides.
    Resolve {
        /// As [`ReviewLine::id`].
        id: String,
        /// `keep`, `take` or `both`.
        choice: String,
    },
}

/// A change that waits for a person.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct ReviewLine {
    /// Where it was put into the queue, as `SITE:INDEX` or `SITE/GENERATION:INDEX`.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub opened_ms: u64,
    /// The zone.
    pub zone: String,
    /// Who asked for the change.
    pub who: String,
    /// The site where it entered.
    pub site: u16,
    /// Why it waits.
    pub reason: String,
    /// The names that it would change.
    pub names: Vec<ReviewName>,
    /// The record of a source that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy: Option<LegacyLine>,
}

/// A record of a source of the legacy bridge.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct LegacyLine {
    /// The source's name.
    pub source: String,
    /// What cannot be merged.
    pub conflict: String,
    /// Where the record stands: file, line and octet.
    pub place: String,
    /// The record in words.
    pub record: String,
    /// The record as it was read, in hexadecimal.
    pub raw: String,
}

/// A name of a change that waits. Records are written as `TTL TYPE DATA`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct ReviewName {
    /// Owner name.
    pub name: String,
    /// What it had when the change was asked for.
    pub base: Vec<String>,
    /// What it has now.
    pub current: Vec<String>,
    /// What was asked for.
    pub proposed: Vec<String>,
    /// What each choice would leave there, by the name of the choice.
    pub outcomes: Vec<(String, Vec<String>)>,
}
