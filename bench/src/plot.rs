//! Bar charts as SVG inside a page.
//!
//! Colours come from the page's style sheet, so that they follow its light or dark form. Nothing
//! is loaded from elsewhere.

use crate::markdown::number;
use crate::sheet::{Row, Table};
use std::fmt::Write as _;

const WIDTH: f64 = 460.0;
const ROW_HEIGHT: f64 = 26.0;
const BAR_HEIGHT: f64 = 16.0;
/// Left of the bars, for names, and right of them, for figures.
const NAMES_WIDTH: f64 = 118.0;
const FIGURES_WIDTH: f64 = 84.0;

/// One chart for one column; `None` where no row has a figure.
pub(crate) fn bars(table: &Table, column: usize) -> Option<String> {
    let most = table
        .rows
        .iter()
        .filter_map(|row| row.cells[column])
        .map(|cell| cell.high.max(cell.value))
        .fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let (title, height) =
        (escape(&table.columns[column].title), ROW_HEIGHT * table.rows.len() as f64);
    let mut text = format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}: {title}\">",
        escape(&table.title)
    );
    for (at, row) in table.rows.iter().enumerate() {
        let scale = (WIDTH - NAMES_WIDTH - FIGURES_WIDTH) / most;
        let is_first = at == 0 && table.compares;
        bar(&mut text, row, (column, table.columns[column].decimals), scale, at, is_first);
    }
    text.push_str("</svg></figure>");
    Some(text)
}

fn bar(
    text: &mut String,
    row: &Row,
    (column, decimals): (usize, usize),
    scale: f64,
    at: usize,
    is_first: bool,
) {
    let (top, middle) =
        (at as f64 * ROW_HEIGHT + (ROW_HEIGHT - BAR_HEIGHT) / 2.0, (at as f64 + 0.5) * ROW_HEIGHT);
    let cell = row.cells[column];
    let length = cell.map_or(0.0, |cell| cell.value * scale);
    let class = if is_first { "ours" } else { "theirs" };
    // Writing to a String cannot fail, hence the ignored results.
    let _ = write!(
        text,
        "<text x=\"{}\" y=\"{middle:.1}\" class=\"name\">{}</text><rect x=\"{NAMES_WIDTH}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\" class=\"{class}\"/>",
        NAMES_WIDTH - 8.0,
        escape(&row.name)
    );
    let mut end = NAMES_WIDTH + length;
    if let Some(cell) = cell.filter(|cell| cell.high > cell.low) {
        let (low, high) = (NAMES_WIDTH + cell.low * scale, NAMES_WIDTH + cell.high * scale);
        let _ = write!(
            text,
            "<path d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {0:.1}v6M{high:.1} {0:.1}v6\" class=\"spread\"/>",
            middle - 3.0
        );
        end = end.max(high);
    }
    let _ = write!(
        text,
        "<text x=\"{:.1}\" y=\"{middle:.1}\" class=\"figure\">{}</text>",
        end + 6.0,
        number(cell.as_ref(), decimals)
    );
}

/// Text that is safe inside a page.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Cell, Column};

    fn table(values: &[Option<f64>]) -> Table {
        let row = |value: &Option<f64>| Row {
            name: "a<b".to_owned(),
            cells: vec![value.and_then(|value| Cell::of(&[value, value * 2.0]))],
        };
        Table {
            title: "t".to_owned(),
            note: String::new(),
            columns: vec![Column::plotted("queries/s", 0)],
            rows: values.iter().map(row).collect(),
            compares: true,
        }
    }

    #[test]
    fn bars_have_figures_spreads_and_safe_names() {
        let svg = bars(&table(&[Some(1000.0), None]), 0).expect("a chart");
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"), "{svg}");
        assert!(svg.contains(">1,500</text>") && svg.contains(">–</text>"), "{svg}");
        assert_eq!(svg.matches("class=\"spread\"").count(), 1, "{svg}");
        assert_eq!(svg.matches("class=\"ours\"").count(), 1, "{svg}");
    }

    #[test]
    fn without_figures_there_is_no_chart() {
        assert_eq!(bars(&table(&[None]), 0), None);
    }
}
