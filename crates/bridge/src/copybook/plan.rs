//! Copybook and layout together: where everything is that a file of records must have.
//!
//! Everything that could be wrong is found here, before the first record is read.

use super::cell::{Cell, Coding};
use super::dates::Calendar;
use super::form::{Coded, Form, Sentinel};
use super::layout::{ByteOrder, Counts, Framing, LayoutFile, Mapping, Owner, Values, When};
use super::schema::{self, Kind, Record};
use crate::codec::{Format, Layout, Refusal};
use crate::record::FieldName;
use sha2::{Digest, Sha256};

/// Length of a card in columns.
const CARD_COLUMNS: usize = 80;
/// Fields of a record, with all places of tables, at most.
const CELLS_MAX: usize = 10_000;

/// A kind of record: its octets when nothing is in it, and by what it is known.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) length: usize,
    pub(crate) when: Option<(Cell, Vec<u8>)>,
    pub(crate) template: Vec<u8>,
    pub(crate) generation: Option<Cell>,
    /// The table of variable length at its end.
    pub(crate) table: Option<Table>,
    source: usize,
}

/// A table of variable length.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) count_cell: Cell,
    /// The smallest and the largest count.
    pub(crate) count: (usize, usize),
    /// Octets before it.
    pub(crate) start: usize,
    /// Octets of one element.
    pub(crate) stride: usize,
}

/// What is in a trailer.
#[derive(Debug)]
pub(crate) struct Totals {
    pub(crate) part: Part,
    pub(crate) count: Option<(Cell, Counts)>,
    /// The total in the trailer, and what it is the sum of in the details.
    pub(crate) hash: Option<(Cell, Cell)>,
}

/// A field of hosts.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) host: FieldName,
    pub(crate) cells: Vec<Cell>,
    pub(crate) coded: Coded,
    pub(crate) owner: Owner,
}

/// Fields of cards.
#[derive(Debug)]
pub(crate) struct CardFields {
    pub(crate) action: Cell,
    pub(crate) base_revision: Option<Cell>,
}

/// All of it.
#[derive(Debug)]
pub struct Plan {
    pub(crate) format: Format,
    pub(crate) framing: Framing,
    pub(crate) space: u8,
    pub(crate) calendar: Calendar,
    pub(crate) header: Option<Part>,
    pub(crate) detail: Part,
    pub(crate) trailer: Option<Totals>,
    pub(crate) fields: Vec<Mapped>,
    pub(crate) sorted_by: Option<Cell>,
    pub(crate) sequence: Option<(Cell, u32)>,
    pub(crate) number: Option<Cell>,
    pub(crate) revision: Option<Cell>,
    pub(crate) cards: Option<CardFields>,
    /// Octets of a detail that no field above covers.
    pub(crate) rest: Vec<(usize, usize)>,
    /// SHA-256 of the copybook and the layout.
    pub layout_sha256: [u8; 32],
}

impl Part {
    /// Whether a record is of this kind.
    pub(crate) fn is(&self, body: &[u8]) -> bool {
        self.when.as_ref().is_none_or(|(cell, octets)| cell.octets(body) == Some(octets))
    }

    /// What is wrong with the length of a record, if anything is.
    pub(crate) fn length_fault(&self, body: &[u8]) -> Option<String> {
        let Some(table) = &self.table else {
            let wanted = self.length;
            return (body.len() != wanted).then(|| {
                format!("the record has {} octets, but should have {wanted}", body.len())
            });
        };
        let (min, max) = table.count;
        match table.count_cell.number(body).map(usize::try_from) {
            Ok(Ok(count)) if (min..=max).contains(&count) => {
                let wanted = table.start + count * table.stride;
                (body.len() != wanted).then(|| {
                    let name = &table.count_cell.name;
                    format!(
                        "the record has {} octets, but with {count} in {name} it should have \
                         {wanted}",
                        body.len()
                    )
                })
            }
            _ => Some(format!("{} is no count from {min} to {max}", table.count_cell.name)),
        }
    }
}

impl Plan {
    /// Puts a copybook and a layout together, for [`Format::Copybook`] or [`Format::Cards`].
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn new(format: Format, layout: &Layout) -> Result<Plan, Refusal> {
        let file = LayoutFile::parse(&layout.layout).map_err(Refusal::Layout)?;
        let text = &layout.copybook;
        let records = schema::parse("copybook", text, file.copybook, file.binary.sizes)
            .map_err(Refusal::Copybook)?;
        let mut hasher = Sha256::new();
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text);
        hasher.update(&layout.layout);
        let coding = coding(&file).map_err(Refusal::Layout)?;
        Compiler { file: &file, records: &records, coding }
            .plan(format, hasher.finalize().into())
            .map_err(Refusal::Layout)
    }

    /// What stands for the layout in the records that it reads.
    pub(crate) fn layout_id(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.layout_sha256;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Who may change a field of hosts; `None` where the records do not have it.
    pub fn owner(&self, field: FieldName) -> Option<Owner> {
        self.fields.iter().find(|mapped| mapped.host == field).map(|mapped| mapped.owner)
    }
}

fn coding(file: &LayoutFile) -> Result<Coding, String> {
    Ok(Coding {
        page: file.page()?,
        zones: file.zones()?,
        little_endian: file.binary.native == ByteOrder::Little,
        all_values: file.binary.values == Values::Octets,
    })
}

struct Compiler<'a> {
    file: &'a LayoutFile,
    records: &'a [Record],
    coding: Coding,
}

impl Compiler<'_> {
    fn plan(&self, format: Format, layout_sha256: [u8; 32]) -> Result<Plan, String> {
        let file = self.file;
        let details = &file.detail;
        let detail = self.part(&details.record, details.when.as_ref(), None)?;
        let header = file.header.as_ref().map(|header| {
            self.part(&header.record, Some(&header.when), header.generation.as_deref())
        });
        let trailer = file.trailer.as_ref().map(|trailer| self.totals(trailer, &detail));
        let own = |name: &Option<String>| {
            name.as_ref().map(|name| self.cell(detail.source, name)).transpose()
        };
        let number = |name: &Option<String>| match own(name)? {
            Some(cell) if cell.has_fraction() => Err(format!("{} is no whole number", cell.name)),
            cell => Ok(cell),
        };
        let step = details.sequence_step.unwrap_or(1).max(1);
        let cards = file.cards.as_ref().map(|cards| {
            let action = self.cell(detail.source, &cards.action)?;
            if action.kind != Kind::Characters {
                return Err(format!("{} must be one character", action.name));
            }
            Ok(CardFields { action, base_revision: number(&cards.base_revision)? })
        });
        let mut plan = Plan {
            format,
            framing: file.records,
            space: self.coding.page.space(),
            calendar: file.calendar()?,
            header: header.transpose()?,
            trailer: trailer.transpose()?,
            fields: self.fields(&detail)?,
            sorted_by: own(&details.sorted_by)?,
            sequence: number(&details.sequence)?.map(|cell| (cell, step)),
            number: number(&details.number)?,
            revision: number(&details.revision)?,
            cards: cards.transpose()?,
            rest: Vec::new(),
            detail,
            layout_sha256,
        };
        plan.rest = uncovered(&plan)?;
        self.check(&plan)?;
        Ok(plan)
    }

    fn part(
        &self,
        record: &str,
        when: Option<&When>,
        generation: Option<&str>,
    ) -> Result<Part, String> {
        let upper = record.to_uppercase();
        let source = self.records.iter().position(|other| other.name == upper);
        let source = source.ok_or_else(|| format!("the copybook has no record {record:?}"))?;
        let described = &self.records[source];
        let mut template = vec![self.coding.page.space(); described.length];
        for field in described.fields.iter().filter(|field| !field.redefines) {
            if field.kind != Kind::Group {
                self.cells_of(field)?.iter().for_each(|cell| cell.clear(&mut template));
            }
        }
        let when = when.map(|when| {
            let cell = self.cell(source, &when.field)?;
            let sentinel = Sentinel::parse(&when.is, &cell, Form::Text)
                .map_err(|error| format!("`when` of record {record}: {error}"))?;
            sentinel.write(&cell, &mut template);
            let octets = cell.octets(&template).unwrap_or_default().to_vec();
            Ok::<_, String>((cell, octets))
        });
        let when = when.transpose()?;
        let mut table = None;
        if let Some(variable) = &described.variable {
            let (count, stride) = (variable.count, variable.stride);
            let start = described.length - count.1 * stride;
            let mut cells = self.cells_of(&described.fields[variable.count_field])?;
            let count_cell = cells.pop().filter(|cell| cell.range().1 >= count.1 as i128);
            let count_cell = count_cell
                .ok_or_else(|| format!("the count of the table in {record} has too few digits"))?;
            table = Some(Table { count_cell, count, start, stride });
        }
        Ok(Part {
            length: described.length,
            when,
            template,
            generation: generation.map(|name| self.cell(source, name)).transpose()?,
            table,
            source,
        })
    }

    fn totals(&self, trailer: &super::layout::Trailer, detail: &Part) -> Result<Totals, String> {
        let generation = trailer.generation.as_deref();
        let part = self.part(&trailer.record, Some(&trailer.when), generation)?;
        let count = trailer.count.as_ref().map(|name| self.cell(part.source, name)).transpose()?;
        let hash = trailer.hash_total.as_ref().map(|hash| {
            let total = self.cell(part.source, &hash.total)?;
            Ok::<_, String>((total, self.cell(detail.source, &hash.of)?))
        });
        let count = count.map(|cell| (cell, trailer.counts));
        Ok(Totals { count, hash: hash.transpose()?, part })
    }

    /// A field that is there once.
    fn cell(&self, source: usize, name: &str) -> Result<Cell, String> {
        let mut cells = self.cells(source, name)?;
        match (cells.pop(), cells.is_empty()) {
            (Some(cell), true) => Ok(cell),
            _ => Err(format!("{name} is a table, but must be a single field here")),
        }
    }

    /// A field, or all of a table.
    fn cells(&self, source: usize, name: &str) -> Result<Vec<Cell>, String> {
        let record = &self.records[source];
        let field = &record.fields[record.find(name)?];
        if field.kind == Kind::Group {
            return Err(format!("{name} is a group: name the fields in it"));
        }
        self.cells_of(field)
    }

    fn cells_of(&self, field: &schema::Field) -> Result<Vec<Cell>, String> {
        let own = field
            .path
            .last()
            .map_or("FILLER", |name| if name.is_empty() { "FILLER" } else { name });
        let mut places = vec![(field.offset, own.to_owned())];
        for (count, stride) in &field.tables {
            if places.len().saturating_mul(*count) > CELLS_MAX {
                return Err(format!("{own} is there more than {CELLS_MAX} times"));
            }
            places = places
                .iter()
                .flat_map(|(offset, name)| {
                    (0..*count).map(move |at| (offset + at * stride, format!("{name}({})", at + 1)))
                })
                .collect();
        }
        let (length, kind, coding) = (field.length, field.kind, self.coding);
        Ok(places
            .into_iter()
            .map(|(offset, name)| Cell { name, offset, length, kind, coding })
            .collect())
    }

    fn fields(&self, detail: &Part) -> Result<Vec<Mapped>, String> {
        let mut fields = Vec::new();
        for mapping in &self.file.fields {
            let mapped = self.mapped(mapping, detail);
            fields.push(mapped.map_err(|error| format!("[[field]] {}: {error}", mapping.field))?);
        }
        let names = fields.iter().filter(|mapped| mapped.host == FieldName::Name);
        if names.map(|mapped| mapped.cells.len()).sum::<usize>() != 1 {
            return Err("one [[field]] must be host = \"name\"".to_owned());
        }
        Ok(fields)
    }

    fn mapped(&self, mapping: &Mapping, detail: &Part) -> Result<Mapped, String> {
        let host = mapping.host()?;
        let cells = self.cells(detail.source, &mapping.field)?;
        let Some(first) = cells.first() else { return Err("is not there".to_owned()) };
        check_form(host, mapping.form, first)?;
        let (unset, never) = defaults(mapping.form, first);
        let sentinels = |given: &Option<Vec<String>>, default: Vec<Sentinel>| match given {
            None => Ok(default),
            Some(texts) => {
                texts.iter().map(|text| Sentinel::parse(text, first, mapping.form)).collect()
            }
        };
        let coded = Coded {
            form: mapping.form,
            unset: sentinels(&mapping.unset, unset)?,
            never: sentinels(&mapping.never, never)?,
        };
        Ok(Mapped { host, cells, coded, owner: mapping.owner })
    }

    fn check(&self, plan: &Plan) -> Result<(), String> {
        let parts = [Some(&plan.detail), plan.header.as_ref()];
        let trailer = plan.trailer.as_ref().map(|trailer| &trailer.part);
        let parts: Vec<&Part> = parts.into_iter().chain([trailer]).flatten().collect();
        if plan.framing == Framing::Fixed && parts.iter().any(|part| part.table.is_some()) {
            return Err("records = \"fixed\" does not go with DEPENDING ON".to_owned());
        }
        if plan.framing == Framing::Fixed && parts.iter().any(|part| part.length != parts[0].length)
        {
            let lengths: Vec<String> = parts.iter().map(|part| part.length.to_string()).collect();
            let lengths = lengths.join(", ");
            return Err(format!("records of fixed length must be of one length, not {lengths}"));
        }
        let headed = plan.header.is_some() || plan.trailer.is_some();
        if headed && plan.detail.when.is_none() {
            return Err("[detail] needs `when`, since there are other records".to_owned());
        }
        let readable = |part: &&Part| {
            let fields = &self.records[part.source].fields;
            fields.iter().all(|field| match field.kind {
                Kind::Group | Kind::Characters | Kind::Zoned { .. } => true,
                Kind::Packed { .. } | Kind::Binary { .. } => false,
            })
        };
        if plan.framing == Framing::Lines {
            if self.coding.page.is_ebcdic() {
                return Err("records = \"lines\" is for code page 819".to_owned());
            }
            if !parts.iter().all(readable) {
                return Err("packed and binary numbers may hold line ends: lines cannot".to_owned());
            }
        }
        match (plan.format, &plan.cards) {
            (Format::Cards, None) => Err("a deck of cards needs [cards]".to_owned()),
            (Format::Cards, Some(_)) if plan.detail.length != CARD_COLUMNS => Err(format!(
                "a card has {CARD_COLUMNS} columns, but the record has {}",
                plan.detail.length
            )),
            (Format::Cards, Some(_)) if !readable(&&plan.detail) => {
                Err("a card cannot hold packed or binary numbers".to_owned())
            }
            (Format::Cards, _) | (_, None) => Ok(()),
            (_, Some(_)) => Err("[cards] is for decks of cards".to_owned()),
        }
    }
}

/// Whether a field of hosts can be in a field of this form and kind.
fn check_form(host: FieldName, form: Form, cell: &Cell) -> Result<(), String> {
    let fits = match host {
        FieldName::Addresses => !matches!(form, Form::Text | Form::Number | Form::Date(_)),
        FieldName::Ttl => form == Form::Number,
        FieldName::Changed | FieldName::Expires => matches!(form, Form::Date(_)),
        _ => form == Form::Text,
    };
    if !fits {
        return Err(format!("{} cannot have this form: give another `form`", host.name()));
    }
    let characters = cell.kind == Kind::Characters;
    match form {
        Form::Ipv4Octets if !characters || cell.length != 4 => {
            Err("ipv4-octets needs PIC X(4)".to_owned())
        }
        Form::Ipv4Text if !characters => Err("ipv4-text needs PIC X".to_owned()),
        _ if cell.has_fraction() => Err("digits after a decimal point have no place".to_owned()),
        _ => Ok(()),
    }
}

/// What means "not set" and "never" where the layout does not say.
fn defaults(form: Form, cell: &Cell) -> (Vec<Sentinel>, Vec<Sentinel>) {
    let blank = cell.is_readable().then(|| Sentinel::Filled(cell.coding.page.space()));
    let low = Sentinel::Filled(0);
    let mut unset: Vec<Sentinel> = blank.into_iter().collect();
    let mut never = Vec::new();
    match form {
        Form::Text if cell.kind != Kind::Characters => {}
        Form::Text | Form::Ipv4Text | Form::Ipv4Octets => unset.push(low),
        Form::Number => {}
        Form::Ipv4Digits | Form::Ipv4Number | Form::ArpanetNumber | Form::Date(_) => {
            unset.insert(0, Sentinel::Number(0));
            unset.push(low);
        }
    }
    if form == Form::Ipv4Octets {
        // Four spaces are an address, 32.32.32.32 or 64.64.64.64.
        unset.remove(0);
    }
    if form == Form::Date(super::dates::DateForm::YearDay2) {
        never.push(Sentinel::Number(99_365));
    }
    (unset, never)
}

/// Octets of a detail that nothing covers; an error where two fields of hosts lie upon each other.
fn uncovered(plan: &Plan) -> Result<Vec<(usize, usize)>, String> {
    let mut covered: Vec<Option<&str>> = vec![None; plan.detail.length];
    let mapped = plan.fields.iter().flat_map(|mapped| &mapped.cells);
    for cell in mapped.chain(&plan.number).chain(&plan.revision) {
        for place in &mut covered[cell.offset..cell.offset + cell.length] {
            if let Some(other) = place {
                return Err(format!("{} lies where {other} does: use one of them", cell.name));
            }
            *place = Some(&cell.name);
        }
    }
    let cards = plan.cards.as_ref();
    let mut others: Vec<&Cell> = plan.detail.when.iter().map(|(cell, _)| cell).collect();
    others.extend(plan.sequence.iter().map(|(cell, _)| cell));
    others.extend(cards.map(|cards| &cards.action));
    others.extend(cards.and_then(|cards| cards.base_revision.as_ref()));
    others.extend(plan.detail.table.iter().map(|table| &table.count_cell));
    for cell in others {
        covered[cell.offset..cell.offset + cell.length].fill(Some(&cell.name));
    }
    let mut rest = Vec::new();
    let mut at = 0;
    while at < covered.len() {
        let end = at + covered[at..].iter().take_while(|place| place.is_none()).count();
        if end > at {
            rest.push((at, end));
        }
        at = end + 1;
    }
    Ok(rest)
}
