//! Entries of a copybook → records with fields, offsets and lengths.

use super::clauses::{self, Entry, Occurs, Sign, Usage};
use super::error::{Complaint, CopybookError, Place};
use super::lexer::{self, SourceForm};
use super::numeric::SignPlace;
use super::picture::{LENGTH_MAX, Picture};

/// How many fields a copybook may have.
const FIELDS_MAX: usize = 10_000;

/// Octets of a binary number, by its digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub enum BinarySizes {
    /// Two, four or eight octets: IBM, and GnuCOBOL with `-std=ibm`.
    #[default]
    #[serde(rename = "2-4-8")]
    TwoFourEight,
    /// One octet for one or two digits: GnuCOBOL by itself.
    #[serde(rename = "1-2-4-8")]
    OneTwoFourEight,
}

impl BinarySizes {
    fn octets(self, digits: usize) -> usize {
        match (self, digits) {
            (BinarySizes::OneTwoFourEight, 0..=2) => 1,
            (_, 0..=4) => 2,
            (_, 5..=9) => 4,
            _ => 8,
        }
    }
}

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Other fields.
    Group,
    /// Characters of the code page.
    Characters,
    /// One digit per octet.
    Zoned {
        /// Digits after the decimal point.
        scale: usize,
        /// Where the sign is.
        sign: SignPlace,
    },
    /// Two digits per octet.
    Packed {
        /// Digits of the picture.
        digits: usize,
        /// Digits after the decimal point.
        scale: usize,
        /// Whether it can be negative.
        signed: bool,
    },
    /// Two's complement.
    Binary {
        /// Digits of the picture.
        digits: usize,
        /// Digits after the decimal point.
        scale: usize,
        /// Whether it can be negative.
        signed: bool,
        /// COMP-5: all values of its octets, in the order of the machine.
        native: bool,
    },
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The names of its groups, outermost first, and its own; FILLER is empty.
    pub path: Vec<String>,
    /// Octets before it in the record, for the first of a table.
    pub offset: usize,
    /// Octets of one of it.
    pub length: usize,
    /// What it is.
    pub kind: Kind,
    /// For every table that it is in, outermost first: how many, and how many octets apart.
    pub tables: Vec<(usize, usize)>,
    /// Whether it lies where another one does.
    pub redefines: bool,
}

/// The table at the end of a record of variable length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableTable {
    /// Which field of the record holds the count.
    pub count_field: usize,
    /// The smallest and the largest count.
    pub count: (usize, usize),
    /// Octets of one element.
    pub stride: usize,
}

/// A record: what stands at level 01.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name; empty where the copybook begins at a lower level.
    pub name: String,
    /// Octets, with all of a table of variable length.
    pub length: usize,
    /// All fields and groups, in the copybook's order.
    pub fields: Vec<Field>,
    /// The table whose length varies, if there is one.
    pub variable: Option<VariableTable>,
}

impl Record {
    /// The field of this name, with any of its groups before it, outermost first and separated by
    /// periods: `NAME` or `HOST.NAME`.
    ///
    /// # Errors
    /// What is wrong with the name, if it is no field's or several fields'.
    pub fn find(&self, name: &str) -> Result<usize, String> {
        let upper = name.to_uppercase();
        let wanted: Vec<&str> = upper.split('.').collect();
        let matches = |field: &Field| {
            let mut path = field.path.iter();
            let own = field.path.last().map(String::as_str) == wanted.last().copied();
            own && wanted.iter().all(|part| path.any(|name| name == part))
        };
        let mut found = (0..self.fields.len()).filter(|at| matches(&self.fields[*at]));
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(format!("record {} has no field {name}", self.name)),
            (Some(_), Some(_)) => Err(format!(
                "record {} has several fields {name}: write its group before it, GROUP.{name}",
                self.name
            )),
        }
    }
}

/// Reads a copybook. `file` is its name for errors.
///
/// # Errors
/// With the place of the first thing that is wrong or not supported.
pub fn parse(
    file: &str,
    text: &str,
    form: SourceForm,
    sizes: BinarySizes,
) -> Result<Vec<Record>, CopybookError> {
    let result = lexer::split(text, form)
        .and_then(|words| clauses::entries(&words))
        .and_then(|entries| Builder { entries: &entries, at: 0, sizes }.records());
    result.map_err(|complaint| complaint.in_file(file))
}

/// What a field takes over from its groups.
#[derive(Clone, Default)]
struct Inherited {
    path: Vec<String>,
    tables: Vec<(usize, usize)>,
    usage: Option<Usage>,
    sign: Option<Sign>,
    redefines: bool,
}

struct Builder<'a> {
    entries: &'a [Entry],
    at: usize,
    sizes: BinarySizes,
}

/// A table of variable length, and after which field it ended.
struct Open {
    table: VariableTable,
    place: Place,
    fields: usize,
}

/// A record while it is read.
#[derive(Default)]
struct Draft {
    fields: Vec<Field>,
    variable: Option<Open>,
}

impl Builder<'_> {
    fn records(mut self) -> Result<Vec<Record>, Complaint> {
        let Some(first) = self.entries.first() else {
            return Err(Complaint::new(Place { line: 1, column: 1 }, "the copybook has no fields"));
        };
        if self.entries.len() > FIELDS_MAX {
            let message = format!("more than {FIELDS_MAX} fields");
            return Err(Complaint::new(first.place, message));
        }
        let mut records = Vec::new();
        while let Some(entry) = self.entries.get(self.at) {
            let mut draft = Draft::default();
            let (name, length) = if entry.level == 1 {
                if let Some(occurs) = &entry.occurs {
                    return Err(Complaint::new(occurs.place, "a whole record cannot occur"));
                }
                let length = self.item(0, &Inherited::default(), &mut draft)?;
                (entry.name.clone().unwrap_or_default(), length)
            } else {
                (String::new(), self.children(0, 0, &Inherited::default(), &mut draft)?)
            };
            if let Some(open) = &draft.variable
                && open.fields != draft.fields.len()
            {
                let message = "fields after a table with DEPENDING ON are not supported: it must \
                               be the last of its record";
                return Err(Complaint::new(open.place, message));
            }
            let variable = draft.variable.map(|open| open.table);
            records.push(Record { name, length, fields: draft.fields, variable });
        }
        Ok(records)
    }

    /// Reads all entries of one level below `parent`, and gives the octets that they take.
    fn children(
        &mut self,
        parent: u8,
        start: usize,
        inherited: &Inherited,
        draft: &mut Draft,
    ) -> Result<usize, Complaint> {
        let Some(level) = self.entries.get(self.at).map(|entry| entry.level) else { return Ok(0) };
        let mut end = start;
        // The field that may be redefined next: name, offset, octets.
        let mut last: Option<(Option<&str>, usize, usize)> = None;
        while let Some(entry) = self.entries.get(self.at).filter(|entry| entry.level > parent) {
            if entry.level == 1 && parent == 0 {
                break;
            }
            if entry.level != level {
                let message = format!(
                    "level {:02} does not fit: the fields beside it have level {level:02}",
                    entry.level
                );
                return Err(Complaint::new(entry.place, message));
            }
            let Some((name, place)) = &entry.redefines else {
                let length = self.item(end, inherited, draft)?;
                last = Some((entry.name.as_deref(), end, length));
                end += length;
                continue;
            };
            let target = last.filter(|(last, ..)| *last == Some(name));
            let Some((_, offset, available)) = target else {
                let message = format!(
                    "{name} is not the field before: REDEFINES must follow what it redefines"
                );
                return Err(Complaint::new(*place, message));
            };
            let inherited = Inherited { redefines: true, ..inherited.clone() };
            let length = self.item(offset, &inherited, draft)?;
            if length > available {
                let message = format!("{length} octets redefine the {available} of {name}");
                return Err(Complaint::new(*place, message));
            }
        }
        Ok(end - start)
    }

    /// Reads one entry and what is below it, and gives the octets that all of it takes.
    fn item(
        &mut self,
        offset: usize,
        inherited: &Inherited,
        draft: &mut Draft,
    ) -> Result<usize, Complaint> {
        let entry = &self.entries[self.at];
        self.at += 1;
        let next = self.entries.get(self.at);
        let is_group = next.is_some_and(|next| next.level > entry.level);
        let at = draft.fields.len();
        let mut below = inherited.clone();
        below.path.push(entry.name.clone().unwrap_or_default());
        below.usage = entry.usage.or(inherited.usage);
        below.sign = entry.sign.or(inherited.sign);
        if let Some(occurs) = &entry.occurs {
            // How far apart they are is known when the group has been read.
            below.tables.push((occurs.max, 0));
        }
        draft.fields.push(Field {
            path: below.path.clone(),
            offset,
            length: 0,
            kind: Kind::Group,
            tables: below.tables.clone(),
            redefines: inherited.redefines,
        });
        let length = match (&entry.picture, is_group) {
            (None, true) => self.children(entry.level, offset, &below, draft)?,
            (Some(picture), false) => {
                let (kind, length) = self.elementary(entry, *picture, &below)?;
                draft.fields[at].kind = kind;
                length
            }
            (Some(_), true) => {
                return Err(Complaint::new(entry.place, "a field with PIC cannot have fields"));
            }
            (None, false) => {
                return Err(Complaint::new(entry.place, "this field has no PIC and no fields"));
            }
        };
        draft.fields[at].length = length;
        let Some(occurs) = &entry.occurs else { return within_limit(entry, length) };
        let depth = below.tables.len() - 1;
        for field in &mut draft.fields[at..] {
            field.tables[depth].1 = length;
        }
        self.depending(occurs, length, inherited, draft)?;
        within_limit(entry, length.saturating_mul(occurs.max))
    }

    /// Notes a table of variable length.
    fn depending(
        &self,
        occurs: &Occurs,
        stride: usize,
        inherited: &Inherited,
        draft: &mut Draft,
    ) -> Result<(), Complaint> {
        let Some((min, name)) = &occurs.depending else { return Ok(()) };
        let refuse = |message: String| Err(Complaint::new(occurs.place, message));
        if draft.variable.is_some() || !inherited.tables.is_empty() || inherited.redefines {
            return refuse(
                "only one table may have DEPENDING ON, in no other and no REDEFINES".into(),
            );
        }
        let own = |field: &Field| field.path.last() == Some(name);
        let Some(count_field) = draft.fields.iter().position(own) else {
            return refuse(format!("the count {name} is not in the record before the table"));
        };
        let field = &draft.fields[count_field];
        if !field.tables.is_empty() || matches!(field.kind, Kind::Group | Kind::Characters) {
            return refuse(format!("the count {name} is no single number"));
        }
        let table = VariableTable { count_field, count: (*min, occurs.max), stride };
        draft.variable = Some(Open { table, place: occurs.place, fields: draft.fields.len() });
        Ok(())
    }

    fn elementary(
        &self,
        entry: &Entry,
        picture: Picture,
        inherited: &Inherited,
    ) -> Result<(Kind, usize), Complaint> {
        let usage = inherited.usage.unwrap_or(Usage::Display);
        let (digits, scale, signed) = match picture {
            Picture::Characters { length } if usage == Usage::Display => {
                return Ok((Kind::Characters, length));
            }
            Picture::Characters { .. } => {
                return Err(Complaint::new(entry.place, "only a number can be COMP"));
            }
            Picture::Number { digits, scale, signed } => (digits, scale, signed),
        };
        Ok(match usage {
            Usage::Display => {
                let sign = inherited.sign.unwrap_or(Sign { leading: false, separate: false });
                let sign = match (signed, sign.leading, sign.separate) {
                    (false, ..) => SignPlace::None,
                    (true, true, false) => SignPlace::Leading,
                    (true, false, false) => SignPlace::Trailing,
                    (true, true, true) => SignPlace::LeadingSeparate,
                    (true, false, true) => SignPlace::TrailingSeparate,
                };
                (Kind::Zoned { scale, sign }, digits + usize::from(sign.is_separate()))
            }
            Usage::Packed => (Kind::Packed { digits, scale, signed }, digits / 2 + 1),
            Usage::Binary | Usage::Native => {
                let native = usage == Usage::Native;
                (Kind::Binary { digits, scale, signed, native }, self.sizes.octets(digits))
            }
        })
    }
}

fn within_limit(entry: &Entry, length: usize) -> Result<usize, Complaint> {
    if length > LENGTH_MAX {
        let message = format!("{length} octets: at most {LENGTH_MAX} are supported");
        return Err(Complaint::new(entry.place, message));
    }
    Ok(length)
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
