//! The layout file: what a copybook does not say of the records that it describes.

use super::dates::Calendar;
use super::form::Form;
use super::lexer::SourceForm;
use super::numeric::Zones;
use super::schema::BinarySizes;
use crate::ebcdic::CodePage;
use crate::record::FieldName;
use jiff::tz::TimeZoneDatabase;
use serde::Deserialize;

/// The first of the hundred years that two digits stand for, unless the layout says another.
const WINDOW: i16 = 1970;

/// How records follow each other in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// One after the other, all of the same length.
    Fixed,
    /// Four octets before each: its length with these four, and two that are zero (IBM, format V).
    Rdw,
    /// Four octets before each: its length without them, and two that are zero (GnuCOBOL's
    /// sequential files with records of variable length).
    Gnucobol,
    /// Lines that end in LF; a line may be shorter than the record (GnuCOBOL's line sequential).
    Lines,
}

/// Who may change a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The mainframe's side alone.
    Legacy,
    /// The cluster alone.
    Cluster,
    /// Both.
    #[default]
    Shared,
}

/// Which records count towards a trailer's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counts {
    /// Those of hosts.
    #[default]
    Details,
    /// Header and trailer too.
    All,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayoutFile {
    code_page: String,
    #[serde(default)]
    pub(super) copybook: SourceForm,
    pub(super) records: Framing,
    zoned: Option<ZonedStyle>,
    #[serde(default)]
    pub(super) binary: Binary,
    zone: Option<String>,
    window: Option<i16>,
    pub(super) header: Option<Header>,
    pub(super) detail: Detail,
    pub(super) trailer: Option<Trailer>,
    pub(super) cards: Option<Cards>,
    #[serde(rename = "field")]
    pub(super) fields: Vec<Mapping>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ZonedStyle {
    Overpunch,
    Gnucobol,
}

/// Binary numbers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Binary {
    pub(super) sizes: BinarySizes,
    pub(super) native: ByteOrder,
    pub(super) values: Values,
}

/// Order of the octets of COMP-5.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ByteOrder {
    #[default]
    Big,
    Little,
}

/// Which values COMP may have.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Values {
    /// Those of the picture.
    #[default]
    Picture,
    /// Those of its octets: `TRUNC(BIN)`.
    Octets,
}

/// By which field a kind of record is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    pub(super) field: String,
    pub(super) is: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) record: String,
    pub(super) when: When,
    pub(super) generation: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Detail {
    pub(super) record: String,
    pub(super) when: Option<When>,
    /// Records ascend by the octets of this field.
    pub(super) sorted_by: Option<String>,
    /// A number that ascends from record to record.
    pub(super) sequence: Option<String>,
    pub(super) sequence_step: Option<u32>,
    /// A number that stays with a host; new hosts get the next.
    pub(super) number: Option<String>,
    /// How often the record has changed.
    pub(super) revision: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trailer {
    pub(super) record: String,
    pub(super) when: When,
    pub(super) count: Option<String>,
    #[serde(default)]
    pub(super) counts: Counts,
    pub(super) hash_total: Option<HashTotal>,
    pub(super) generation: Option<String>,
}

/// The sum of a field of all details, without the digits that do not fit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HashTotal {
    pub(super) total: String,
    pub(super) of: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cards {
    pub(super) action: String,
    pub(super) base_revision: Option<String>,
}

/// Which field of a host is in which fields of the record.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    pub(super) host: String,
    pub(super) field: String,
    #[serde(default = "text_form")]
    pub(super) form: Form,
    pub(super) unset: Option<Vec<String>>,
    pub(super) never: Option<Vec<String>>,
    #[serde(default)]
    pub(super) owner: Owner,
}

fn text_form() -> Form {
    Form::Text
}

impl LayoutFile {
    /// Reads one; the error says what is wrong and where.
    pub(super) fn parse(text: &str) -> Result<LayoutFile, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    pub(super) fn page(&self) -> Result<CodePage, String> {
        CodePage::from_name(&self.code_page).ok_or_else(|| {
            let known: Vec<&str> = CodePage::ALL.iter().map(|page| page.name()).collect();
            format!("code_page {:?} is not known: there are {}", self.code_page, known.join(", "))
        })
    }

    pub(super) fn zones(&self) -> Result<Zones, String> {
        match (self.page()?.is_ebcdic(), self.zoned) {
            (true, None) => Ok(Zones::Ebcdic),
            (true, Some(_)) => Err("`zoned` is for code page 819; EBCDIC has one way".to_owned()),
            (false, Some(ZonedStyle::Overpunch)) => Ok(Zones::AsciiOverpunch),
            (false, Some(ZonedStyle::Gnucobol) | None) => Ok(Zones::AsciiGnucobol),
        }
    }

    pub(super) fn calendar(&self) -> Result<Calendar, String> {
        let name = self.zone.as_deref().unwrap_or("UTC");
        let zone = TimeZoneDatabase::bundled().get(name);
        let zone = zone.map_err(|error| format!("zone {name:?}: {error}"))?;
        let window = self.window.unwrap_or(WINDOW);
        if !(1800..=2100).contains(&window) {
            return Err(format!("window {window} is not between 1800 and 2100"));
        }
        Ok(Calendar::new(zone, window))
    }
}

impl Mapping {
    /// The host's field.
    pub(super) fn host(&self) -> Result<FieldName, String> {
        let named = FieldName::ALL.into_iter().find(|field| field.name() == self.host);
        named.filter(|field| !matches!(field, FieldName::Sidecar)).ok_or_else(|| {
            let known: Vec<&str> = FieldName::ALL.iter().map(|field| field.name()).collect();
            format!("host field {:?} is not known: there are {}", self.host, known.join(", "))
        })
    }
}
