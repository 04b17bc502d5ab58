//! What a benchmark found, in a form that every report is made from.
//!
//! Each run leaves its sheet as JSON beside its Markdown; the page with the plots is made from
//! whatever sheets are there. Nothing here measures or judges.

use crate::statistics::median;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// All that a run found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sheet {
    /// As on the command line: `query`.
    pub(crate) benchmark: String,
    pub(crate) title: String,
    /// When it ended.
    pub(crate) unix_seconds: u64,
    pub(crate) command_line: String,
    pub(crate) machine: String,
    /// What was done, for people.
    pub(crate) method: String,
    /// What spoils the figures: other load, missing programs.
    pub(crate) warnings: Vec<String>,
    pub(crate) targets: Vec<Target>,
    pub(crate) tables: Vec<Table>,
    /// What was verified, and what failed.
    pub(crate) checks: Vec<String>,
    pub(crate) servers: Vec<ServerNote>,
    /// Whether everything that was to be measured was, with right answers.
    pub(crate) is_sound: bool,
}

/// A server, as it was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServerNote {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) command_line: String,
    pub(crate) configuration: String,
}

/// A target and what was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) title: String,
    /// Absent where it was not measured.
    pub(crate) found: Option<String>,
    pub(crate) verdict: String,
}

/// Figures of several servers, or of several kinds of work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    /// Whether rows are servers, to be compared with the first.
    pub(crate) compares: bool,
}

/// One kind of figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) title: String,
    pub(crate) decimals: usize,
    pub(crate) is_plotted: bool,
}

/// The figures of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// By column; absent where not measured.
    pub(crate) cells: Vec<Option<Cell>>,
}

/// The median over the rounds, the least and the most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Cell {
    /// `None` without values.
    pub(crate) fn of(values: &[f64]) -> Option<Cell> {
        Some(Cell {
            value: median(values)?,
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

impl Column {
    /// A figure that is plotted.
    pub(crate) fn plotted(title: &str, decimals: usize) -> Column {
        Column { title: title.to_owned(), decimals, is_plotted: true }
    }

    /// A figure beside the others.
    pub(crate) fn plain(title: &str, decimals: usize) -> Column {
        Column { is_plotted: false, ..Column::plotted(title, decimals) }
    }
}

impl Table {
    /// The figure of one row in one column.
    pub(crate) fn value(&self, row: &str, column: &str) -> Option<f64> {
        let at = self.columns.iter().position(|candidate| candidate.title == column)?;
        let row = self.rows.iter().find(|candidate| candidate.name == row)?;
        row.cells[at].map(|cell| cell.value)
    }
}

/// Wall-clock time, to tell runs apart.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Sheet {
    /// Writes the sheet, and the Markdown made from it or by the benchmark itself, in `folder`.
    pub(crate) fn save(&self, folder: &Path, markdown: &str) -> Result<(), String> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| format!("cannot write the figures as JSON: {error}"))?;
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        for (extension, text) in [("json", json.as_str()), ("md", markdown)] {
            let path = folder.join(format!("{}.{extension}", self.benchmark));
            fs::write(&path, text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            eprintln!("written: {}", path.display());
        }
        Ok(())
    }

    /// The sheet of one benchmark in `folder`; `None` if there is none.
    pub(crate) fn load(folder: &Path, benchmark: &str) -> Result<Option<Sheet>, String> {
        let path = folder.join(format!("{benchmark}.json"));
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        serde_json::from_str(&text).map(Some).map_err(|error| {
            format!(
                "{} is not of this version's form ({error}): run the benchmark again, or delete it",
                path.display()
            )
        })
    }
}
