//! What decoders find in a file, in the order of the file.

use crate::codec::Format;
use crate::codes::{FaultCode, LossCode, QuirkCode};
use crate::record::{FieldName, Place, Record};
use crate::text::Text;

/// A piece of a file. The octets of all pieces, one after the other, are the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An entry.
    Record(Box<Record>),
    /// An entry that could not be understood; it still counts as present.
    Quarantined(Box<Quarantined>),
    /// Comments, blank lines and other octets between entries.
    Between(Between),
}

/// An entry that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The file's format.
    pub format: Format,
    /// Where it begins.
    pub place: Place,
    /// The entry, line ends included.
    pub octets: Text,
    /// The name, as far as it could be read.
    pub name: Option<Text>,
    /// What is wrong.
    pub code: FaultCode,
    /// The part that is wrong.
    pub value: Text,
}

/// Octets between entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    /// The file's format.
    pub format: Format,
    /// Where they begin.
    pub place: Place,
    /// The octets, line ends included.
    pub octets: Text,
    /// Whether a record says the same: the octets are an entry that was taken into another one.
    pub is_part_of_record: bool,
}

/// Something odd that was understood all the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Quirk {
    /// What.
    pub code: QuirkCode,
    /// From 1; for files without lines, the number of the record.
    pub line: u64,
    /// Of the odd octets, from the beginning of the file.
    pub offset: u64,
    /// The odd octets, or the first of them, as UTF-8.
    pub text: String,
}

/// Something that is not in the output.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// Why.
    pub code: LossCode,
    /// The record's name; empty for text between entries.
    pub record: String,
    /// The record's field.
    #[serde(serialize_with = "field_name")]
    pub field: FieldName,
    /// What is lost.
    pub value: String,
}

fn field_name<S: serde::Serializer>(field: &FieldName, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(field.name())
}

/// What a decoder says of the file as a whole, at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Version or generation that the file states.
    pub generation: Option<u64>,
    /// SHA-256 of the layout, for formats that have one.
    pub layout_sha256: Option<[u8; 32]>,
}

/// Takes what a decoder finds, as soon as it finds it.
pub trait Sink {
    /// The next piece of the file.
    fn item(&mut self, item: Item);
    /// Something odd; it may come before or after the item that it is in.
    fn quirk(&mut self, quirk: Quirk);
}

/// What encoders write to.
#[derive(Debug, Default)]
pub struct Output {
    /// Octets that were not taken away yet.
    pub octets: Vec<u8>,
    /// What is not in the octets.
    pub losses: Vec<Loss>,
    /// Records that are in the octets.
    pub records_written: u64,
}

impl Output {
    /// Declares a loss.
    pub fn lose(
        &mut self,
        code: LossCode,
        record: &Text,
        field: FieldName,
        value: impl std::fmt::Display,
    ) {
        let (record, value) = (record.to_string(), value.to_string());
        self.losses.push(Loss { code, record, field, value });
    }

    /// Declares what an encoder says of everything that is no record of its own: comments and
    /// quarantined entries of other formats. Blank lines are no loss.
    pub fn lose_foreign(&mut self, item: &Item) {
        let none = Text::default();
        match item {
            Item::Record(_) => {}
            Item::Quarantined(entry) => {
                let name = entry.name.as_ref().unwrap_or(&none);
                self.lose(LossCode::QuarantinedNotHeld, name, FieldName::Name, &entry.octets);
            }
            Item::Between(between) => {
                let text = between.octets.octets().trim_ascii();
                if !text.is_empty() && !between.is_part_of_record {
                    let text = Text::from(text);
                    self.lose(LossCode::CommentNotHeld, &none, FieldName::Remark, text);
                }
            }
        }
    }
}
