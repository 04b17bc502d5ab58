//! Carrying out a plan: step by step, each of them atomic, until the node has all of it.
//!
//! Whatever was done stays done: who is killed between two steps plans again from what the node knows,
//! and goes on with the rest. A record that a device changed in between is merged anew.

use super::file::{RawReader, Raws, Read, Reader};
use super::image::Placing;
use super::lift::Content;
use super::plan::{Known, NotConfirmed, Planned, confirm, plan};
use super::show::{self, Summary};
use super::steps::{Frozen, Work, work};
use super::stored::{self, BadRecord};
use crate::codec::{Options, Refusal};
use crate::merge::{InputKind, PlanError, Policy, State};
use einhorn_core::exchange::{self, View};
use einhorn_core::model::request::{SourceStep, SourceUnit};
use einhorn_core::model::source::{Head, LegacyRecord, UnderWay};

/// Units of one step at most …
const STEP_UNITS_MAX: usize = 1_000;
/// … and about so many octets of them.
const STEP_OCTETS: usize = 512 << 10;
/// How often what devices changed in between is merged anew before the rest waits for the next run.
const ROUNDS_MAX: usize = 20;
/// Octets of a record as it was read that a person is shown at most.
const RAW_OCTETS_MAX: usize = 4_096;

/// What a source is.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Where its hosts are; and its format.
    pub placing: Placing,
    /// What the format needs.
    pub options: Options,
    /// What absence means in its files; the revision of changes does not matter.
    pub kind: InputKind,
    /// The rules of its merge.
    pub policy: Policy,
}

/// The node.
pub trait Node {
    /// What is known of the source and its zone.
    ///
    /// # Errors
    /// [`Problem::Node`].
    fn look(&mut self) -> Result<View, Problem>;

    /// Does a step.
    ///
    /// # Errors
    /// [`Problem::Moved`] if the source has moved on, else [`Problem::Node`].
    fn advance(&mut self, step: &SourceStep) -> Result<Done, Problem>;

    /// Puts records into the review queue.
    ///
    /// # Errors
    /// As [`Node::advance`].
    fn freeze(&mut self, frozen: &exchange::Frozen) -> Result<Done, Problem>;
}

/// The file, which is read from its beginning each time.
pub trait Input {
    /// What people call it.
    fn name(&self) -> String;

    /// Gives all its octets, piece by piece.
    ///
    /// # Errors
    /// [`Problem`], its own or that of `each`.
    fn read(&mut self, each: &mut dyn FnMut(&[u8]) -> Result<(), Refusal>) -> Result<(), Problem>;
}

/// What a node did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// The source's revision now.
    pub revision: u64,
    /// What was left, by its place from 0, and why.
    pub left: Vec<(usize, String)>,
}

/// Why a file is not applied.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The node cannot be asked, or cannot do it now.
    #[error("{0}")]
    Node(String),
    /// The source is not as it was seen: somebody else applies to it.
    #[error("{0}")]
    Moved(String),
    /// The file cannot be read.
    #[error("{0}")]
    File(String),
    /// The file as a whole is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is nothing to do, or the file contradicts one that was applied.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// An operator is to confirm it.
    #[error(transparent)]
    NotConfirmed(#[from] NotConfirmed),
    /// The ledger has what this program cannot read.
    #[error(transparent)]
    Base(#[from] BadRecord),
    /// Devices change the names as fast as they are merged.
    #[error(
        "{0} records were changed again and again while they were applied; apply the file again: {1}"
    )]
    Restless(usize, String),
}

/// A plan with all that is shown of it.
pub struct Shown {
    /// The plan.
    pub planned: Planned,
    /// How it would go.
    pub summary: Summary,
    /// What would change, a line each.
    pub lines: Vec<String>,
    /// Whether the apply of this file was interrupted and goes on.
    pub resumes: bool,
}

/// Reads a file and says what it would do.
///
/// # Errors
/// [`Problem`].
pub fn look(source: &Source, node: &mut dyn Node, input: &mut dyn Input) -> Result<Shown, Problem> {
    let view = node.look()?;
    let known = Known::new(&view, &source.placing)?;
    let read = read(source, &known.state.base, input)?;
    let round = Round::new(source, &view, known, &read)?;
    let mut summary = Summary::new(&input.name(), &round.planned, &read, &round.work);
    let lines = show::lines(&source.placing, &round.planned, &round.work, &mut summary);
    let resumes = round.known.resumes(round.planned.file.id).is_some();
    Ok(Shown { planned: round.planned, summary, lines, resumes })
}

/// Applies a file; `confirmed` is the hash of the plan that an operator has seen. `progress` is told how
/// many records of how many are done.
///
/// # Errors
/// [`Problem`]; what was done until then stays, and another run goes on from there.
pub fn apply(
    source: &Source,
    node: &mut dyn Node,
    input: &mut dyn Input,
    confirmed: Option<[u8; 32]>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Summary, Problem> {
    let view = node.look()?;
    let known = Known::new(&view, &source.placing)?;
    let read = read(source, &known.state.base, input)?;
    let mut round = Round::new(source, &view, known, &read)?;
    let plan = confirm(&round.known, &round.planned, confirmed)?;
    let mut summary = Summary::new(&input.name(), &round.planned, &read, &round.work);
    show::lines(&source.placing, &round.planned, &round.work, &mut summary);
    let mut left = (0, String::new());
    for _ in 0..ROUNDS_MAX {
        let carried = round.carry_out(source, node, input, &read, plan, progress);
        left = match carried {
            Ok(0) => return round.end(source, node, summary),
            Ok(count) => (count, "their names changed".to_owned()),
            Err(Problem::Moved(reason)) => (1, reason),
            Err(problem) => return Err(problem),
        };
        let view = node.look()?;
        let known = Known::new(&view, &source.placing)?;
        round = Round::new(source, &view, known, &read)?;
    }
    Err(Problem::Restless(left.0, left.1))
}

fn read(source: &Source, base: &State, input: &mut dyn Input) -> Result<Read, Problem> {
    let mut reader = Reader::new(source.placing.format, &source.options, base)?;
    input.read(&mut |piece| reader.push(piece))?;
    Ok(reader.finish()?)
}

/// What is to be done as of one view of the node.
struct Round {
    known: Known,
    planned: Planned,
    work: Work,
}

impl Round {
    fn new(source: &Source, view: &View, known: Known, read: &Read) -> Result<Round, Problem> {
        let content = Content::new(&view.names);
        let kind = match source.kind {
            InputKind::Delta { .. } => InputKind::Delta { revision: known.state.base_revision },
            ref other => other.clone(),
        };
        let (placing, policy) = (&source.placing, &source.policy);
        let planned = plan(&source.name, placing, policy, kind.clone(), &known, &content, read)?;
        let work = work(placing, &known, &content, read, &kind, &planned);
        Ok(Round { known, planned, work })
    }

    /// Does all but the last step; how many records are to be merged anew.
    fn carry_out(
        &mut self,
        source: &Source,
        node: &mut dyn Node,
        input: &mut dyn Input,
        read: &Read,
        plan: [u8; 32],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<usize, Problem> {
        let mut left = 0;
        let under_way = Some(UnderWay { file: self.planned.file, plan });
        let head = Head { under_way, ..self.known.head.clone() };
        let of = self.work.units.len();
        let mut done = 0;
        for units in chunks(std::mem::take(&mut self.work.units)) {
            done += units.len();
            let answer = node.advance(&self.step(source, head.clone(), units))?;
            self.known.revision = answer.revision;
            left += answer.left.len();
            progress(done - left, of);
        }
        self.known.head = head;
        if left == 0 && !self.work.frozen.is_empty() {
            let frozen = std::mem::take(&mut self.work.frozen);
            let records = self.legacy(source, input, read, frozen)?;
            let apply = self.planned.file.id;
            let answer = node.freeze(&exchange::Frozen { apply, records })?;
            self.known.revision = answer.revision;
            left += answer.left.len();
        }
        Ok(left)
    }

    /// The step that ends an apply.
    fn end(
        self,
        source: &Source,
        node: &mut dyn Node,
        summary: Summary,
    ) -> Result<Summary, Problem> {
        let head = Head {
            applies: self.known.head.applies + 1,
            last: Some(self.planned.file),
            under_way: None,
            batch: None,
            summary: summary.to_json(),
            ..self.known.head.clone()
        };
        let unit = SourceUnit { items: self.work.last.clone(), names: Vec::new() };
        let units = if unit.items.is_empty() { Vec::new() } else { vec![unit] };
        node.advance(&self.step(source, head, units))?;
        Ok(summary)
    }

    fn step(&self, source: &Source, head: Head, units: Vec<SourceUnit>) -> SourceStep {
        let (apply, revision) = (self.planned.file.id, self.known.revision);
        SourceStep { source: source.name.clone(), revision, apply, head, units }
    }

    /// Records for the review queue, as a person sees them.
    fn legacy(
        &self,
        source: &Source,
        input: &mut dyn Input,
        read: &Read,
        frozen: Vec<Frozen>,
    ) -> Result<Vec<(LegacyRecord, Vec<einhorn_core::model::request::PlannedName>)>, Problem> {
        let raws = raws(source, input, read, &frozen)?;
        let none = Vec::new();
        let record = |frozen: Frozen| {
            let key = stored::key(&frozen.key);
            let sidecar = read.sidecars.get(&key).unwrap_or(&none);
            let found = raws.get(&frozen.key);
            let place = found.map_or_else(String::new, |(place, _)| {
                format!(", line {}, octet {}", place.line, place.offset)
            });
            let raw = found.and_then(|(_, raw)| raw.as_ref());
            let raw = raw.map_or(&[][..], |raw| raw.octets.octets());
            let theirs = frozen.theirs.as_ref();
            let legacy = LegacyRecord {
                source: source.name.clone(),
                key,
                revision: self.known.revision,
                record: theirs.map(|theirs| stored::encode(theirs, sidecar)),
                conflict: frozen.conflict,
                place: format!("{}{place}", input.name()),
                text: match theirs {
                    Some(theirs) => show::entry(theirs),
                    None => format!("{} {} is gone", frozen.key.kind.keyword(), frozen.key.name),
                },
                raw: raw[..raw.len().min(RAW_OCTETS_MAX)].to_vec(),
            };
            (legacy, frozen.names)
        };
        Ok(frozen.into_iter().map(record).collect())
    }
}

fn raws(
    source: &Source,
    input: &mut dyn Input,
    read: &Read,
    frozen: &[Frozen],
) -> Result<Raws, Problem> {
    let keys = frozen.iter().map(|frozen| &frozen.key);
    let mut reader = RawReader::new(source.placing.format, &source.options, keys)?;
    input.read(&mut |piece| reader.push(piece))?;
    let (raws, sha256) = reader.finish()?;
    if sha256 != read.sha256 {
        let name = input.name();
        return Err(Problem::File(format!("{name} has changed while it was applied")));
    }
    Ok(raws)
}

/// Units in steps of a moderate size.
fn chunks(units: Vec<SourceUnit>) -> Vec<Vec<SourceUnit>> {
    let octets = |unit: &SourceUnit| {
        let items = unit.items.iter().map(|item| item.record.as_ref().map_or(0, |r| r.len()));
        let sets = unit.names.iter().flat_map(|name| &name.after);
        64 + items.sum::<usize>() + sets.map(|set| 32 + set.packed().len()).sum::<usize>()
    };
    let mut chunks: Vec<Vec<SourceUnit>> = Vec::new();
    let mut room = 0;
    for unit in units {
        let size = octets(&unit);
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < STEP_UNITS_MAX && size <= room => {
                room -= size;
                chunk.push(unit);
            }
            _ => {
                room = STEP_OCTETS.saturating_sub(size);
                chunks.push(vec![unit]);
            }
        }
    }
    chunks
}
