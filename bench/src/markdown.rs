//! A sheet as Markdown: targets, figures, ratios, and all that is needed to measure again.
//!
//! It never leaves out a server, a warning or a failure.

use crate::sheet::{Cell, Sheet, Table};
use std::fmt::Write as _;

/// What a cell says when there is no figure.
const NOTHING: &str = "–";

/// The whole report.
pub(crate) fn render(sheet: &Sheet) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, hence the ignored results.
    let _ = writeln!(text, "# {}\n\n{}\n", sheet.title, sheet.method);
    let _ = writeln!(
        text,
        "- Machine: {}.\n- Command line: `{}`.\n",
        sheet.machine, sheet.command_line
    );
    for warning in &sheet.warnings {
        let _ = writeln!(text, "**Warning:** {warning}.\n");
    }
    if !sheet.targets.is_empty() {
        text.push_str("## Targets\n\n| target | found | |\n|---|---:|---|\n");
        for target in &sheet.targets {
            let found = target.found.as_deref().unwrap_or(NOTHING);
            let _ = writeln!(text, "| {} | {found} | {} |", target.title, target.verdict);
        }
        text.push('\n');
    }
    for table in &sheet.tables {
        render_table(&mut text, table);
    }
    text.push_str("## Checks\n\n");
    for check in &sheet.checks {
        let _ = writeln!(text, "- {}", check.replace('\n', "\n  "));
    }
    if !sheet.servers.is_empty() {
        text.push_str("\n## Versions and configurations\n");
    }
    for server in &sheet.servers {
        let _ = writeln!(text, "\n### {}\n\n{}", server.name, server.version);
        for part in [&server.command_line, &server.configuration] {
            if !part.is_empty() {
                let _ = writeln!(text, "\n```\n{}\n```", part.trim_end());
            }
        }
    }
    text
}

fn render_table(text: &mut String, table: &Table) {
    let _ = writeln!(text, "## {}\n\n{}\n", table.title, table.note);
    let titles: Vec<&str> = table.columns.iter().map(|column| column.title.as_str()).collect();
    let _ = writeln!(text, "| | {} |\n|---|{}", titles.join(" | "), "---:|".repeat(titles.len()));
    for row in &table.rows {
        let cells = row.cells.iter().zip(&table.columns);
        let cells: Vec<String> =
            cells.map(|(cell, column)| number(cell.as_ref(), column.decimals)).collect();
        let _ = writeln!(text, "| {} | {} |", row.name, cells.join(" | "));
    }
    text.push('\n');
    render_ratios(text, table);
}

/// The first server's figures as parts or multiples of each other server's.
fn render_ratios(text: &mut String, table: &Table) {
    let Some((first, others)) = table.rows.split_first().filter(|_| table.compares) else { return };
    let plotted: Vec<usize> =
        (0..table.columns.len()).filter(|at| table.columns[*at].is_plotted).collect();
    let titles: Vec<&str> = plotted.iter().map(|at| table.columns[*at].title.as_str()).collect();
    if others.is_empty() || titles.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "| {} is … times | {} |\n|---|{}",
        first.name,
        titles.join(" | "),
        "---:|".repeat(titles.len())
    );
    for row in others {
        let ratio = |at: &usize| {
            let (ours, theirs) = (first.cells[*at]?.value, row.cells[*at]?.value);
            (theirs > 0.0).then(|| format!("{:.2}", ours / theirs))
        };
        let cells: Vec<String> =
            plotted.iter().map(|at| ratio(at).unwrap_or_else(|| NOTHING.to_owned())).collect();
        let _ = writeln!(text, "| {}'s | {} |", row.name, cells.join(" | "));
    }
    text.push('\n');
}

/// A figure as a cell.
pub(crate) fn number(cell: Option<&Cell>, decimals: usize) -> String {
    cell.map_or_else(|| NOTHING.to_owned(), |cell| grouped(cell.value, decimals))
}

/// A number with commas between thousands.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, rest) = match text.split_once('.') {
        Some((whole, rest)) => (whole, format!(".{rest}")),
        None => (text.as_str(), String::new()),
    };
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Column, Row};

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(1_234_567.4, 0), "1,234,567");
        assert_eq!(grouped(999.25, 2), "999.25");
        assert_eq!(grouped(-1234.0, 1), "-1,234.0");
        assert_eq!(number(None, 2), NOTHING);
    }

    #[test]
    fn ratios_are_of_the_first_row_to_the_others() {
        let cell = |value| Cell::of(&[value]);
        let table = Table {
            title: "t".to_owned(),
            note: String::new(),
            columns: vec![Column::plotted("speed", 0), Column::plain("beside", 0)],
            rows: vec![
                Row { name: "Einhorn".to_owned(), cells: vec![cell(300.0), None] },
                Row { name: "NSD".to_owned(), cells: vec![cell(200.0), cell(1.0)] },
                Row { name: "gone".to_owned(), cells: vec![None, None] },
            ],
            compares: true,
        };
        let mut text = String::new();
        render_table(&mut text, &table);
        assert!(text.contains("| Einhorn | 300 | – |"), "{text}");
        assert!(text.contains("| NSD's | 1.50 |\n| gone's | – |"), "{text}");
    }
}
