//! One page, and one Markdown file, from the last run of each benchmark.
//!
//! The page is static and whole: no scripts, nothing from elsewhere. It shows what the sheets
//! say and judges nothing.

use crate::markdown::number;
use crate::options::{Benchmark, Options};
use crate::plot::{self, escape};
use crate::sheet::{Sheet, Table, Target};
use std::fmt::Write as _;
use std::fs;

const STYLE: &str = "
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2430;--soft:#5a6675;--line:#d7dde5;--ours:#0b6e99;--theirs:#a9b6c6;--good:#1a7f4b;--bad:#b3261e;--note:#fff4d6}
@media(prefers-color-scheme:dark){:root{--paper:#12161c;--ink:#e6ebf2;--soft:#9aa7b8;--line:#2c3542;--ours:#4fb3dd;--theirs:#4d5a6b;--good:#5fd19a;--bad:#ff8a80;--note:#3a3116}}
body{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;max-width:1040px;margin:0 auto;padding:1.5rem}
h1{font-size:1.7rem;margin:.2rem 0}h2{margin-top:2.5rem;border-top:1px solid var(--line);padding-top:1.2rem}h3{margin:1.6rem 0 .2rem}
p{max-width:78ch}.soft{color:var(--soft);font-size:.92rem}
.warning{background:var(--note);padding:.5rem .8rem;border-radius:4px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem;margin:.6rem 0}
th,td{padding:.3rem .7rem;border-bottom:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums}
th:first-child,td:first-child,td.words{text-align:left}th{font-weight:600;vertical-align:bottom}
.reached{color:var(--good);font-weight:600}.missed{color:var(--bad);font-weight:600}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(400px,100%),1fr));gap:.6rem 1.4rem}
figure{margin:.6rem 0}figcaption{font-weight:600;font-size:.92rem}svg{width:100%;height:auto}
svg text{fill:var(--ink);font-size:13px;dominant-baseline:central}svg .name{text-anchor:end}
.ours{fill:var(--ours)}.theirs{fill:var(--theirs)}.spread{stroke:var(--ink);stroke-width:1.2;fill:none}
pre{overflow-x:auto;font-size:.82rem;border:1px solid var(--line);padding:.6rem;border-radius:4px}summary{cursor:pointer}
";

/// Makes both from what is in the folder of results.
pub(crate) fn make(options: &Options) -> Result<(), String> {
    let folder = &options.results;
    let mut sheets = Vec::new();
    let mut markdown = String::new();
    for benchmark in Benchmark::ALL {
        let Some(sheet) = Sheet::load(folder, benchmark.name())? else { continue };
        let path = folder.join(format!("{}.md", benchmark.name()));
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        markdown.push_str(&text);
        markdown.push('\n');
        sheets.push(sheet);
    }
    if sheets.is_empty() {
        let folder = folder.display();
        return Err(format!("there are no figures in {folder}: run a benchmark first"));
    }
    for (name, text) in [("report.html", render(&sheets)), ("report.md", markdown)] {
        let path = folder.join(name);
        fs::write(&path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        eprintln!("written: {}", path.display());
    }
    Ok(())
}

fn render(sheets: &[Sheet]) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Einhorn, measured</title><style>{STYLE}</style></head><body><h1>Einhorn, measured</h1>"
    );
    text.push_str("<p class=\"soft\">Figures of one section come from one run and may be compared; figures of different sections may not. Bars are medians over the rounds, lines on them the least and the most.</p>");
    // Writing to a String cannot fail, hence the ignored results.
    for sheet in sheets {
        render_targets(&mut text, &sheet.title, &sheet.targets);
    }
    for sheet in sheets {
        render_sheet(&mut text, sheet);
    }
    text.push_str("</body></html>\n");
    text
}

fn render_targets(text: &mut String, title: &str, targets: &[Target]) {
    if targets.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "<div class=\"scroll\"><table><tr><th>{}: target</th><th>found</th><th></th></tr>",
        escape(title)
    );
    for target in targets {
        let verdict = target.verdict.replace("**", "");
        let class = match verdict.as_str() {
            "reached" => "reached",
            "missed" => "missed",
            _ => "soft",
        };
        let _ = write!(
            text,
            "<tr><td>{}</td><td>{}</td><td class=\"words {class}\">{}</td></tr>",
            escape(&target.title),
            escape(target.found.as_deref().unwrap_or("–")),
            escape(&verdict)
        );
    }
    text.push_str("</table></div>");
}

fn render_sheet(text: &mut String, sheet: &Sheet) {
    let _ = write!(
        text,
        "<h2>{}</h2><p>{}</p><p class=\"soft\">{}. Ended {}. <code>{}</code></p>",
        escape(&sheet.title),
        escape(&sheet.method),
        escape(&sheet.machine),
        utc(sheet.unix_seconds),
        escape(&sheet.command_line)
    );
    for warning in &sheet.warnings {
        let _ = write!(text, "<p class=\"warning\">{}</p>", escape(warning));
    }
    for table in &sheet.tables {
        render_table(text, table);
    }
    text.push_str("<h3>Checks</h3><ul class=\"soft\">");
    for check in &sheet.checks {
        let _ = write!(text, "<li>{}</li>", escape(&check.replace("**", "")));
    }
    text.push_str("</ul>");
    for server in &sheet.servers {
        let _ = write!(
            text,
            "<details class=\"soft\"><summary>{}: {}</summary><pre>{}\n\n{}</pre></details>",
            escape(&server.name),
            escape(&server.version),
            escape(&server.command_line),
            escape(server.configuration.trim_end())
        );
    }
}

fn render_table(text: &mut String, table: &Table) {
    let _ = write!(
        text,
        "<h3>{}</h3><p class=\"soft\">{}</p><div class=\"plots\">",
        escape(&table.title),
        escape(&table.note)
    );
    let plotted = (0..table.columns.len()).filter(|at| table.columns[*at].is_plotted);
    plotted.filter_map(|at| plot::bars(table, at)).for_each(|svg| text.push_str(&svg));
    text.push_str("</div><div class=\"scroll\"><table><tr><th></th>");
    for column in &table.columns {
        let _ = write!(text, "<th>{}</th>", escape(&column.title));
    }
    text.push_str("</tr>");
    for row in &table.rows {
        let _ = write!(text, "<tr><td>{}</td>", escape(&row.name));
        for (cell, column) in row.cells.iter().zip(&table.columns) {
            let _ = write!(text, "<td>{}</td>", number(cell.as_ref(), column.decimals));
        }
        text.push_str("</tr>");
    }
    text.push_str("</table></div>");
}

/// A moment for people (the algorithm counts days of years that begin in March).
fn utc(unix_seconds: u64) -> String {
    let (days, seconds) = (unix_seconds / 86_400 + 719_468, unix_seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Cell, Column, Row};

    fn sheet() -> Sheet {
        Sheet {
            benchmark: "query".to_owned(),
            title: "Answers".to_owned(),
            unix_seconds: 1_709_210_096,
            command_line: "x --only <a>".to_owned(),
            machine: "m".to_owned(),
            method: "how".to_owned(),
            warnings: vec!["busy & loud".to_owned()],
            targets: vec![Target {
                title: "fast".to_owned(),
                found: Some("2.00".to_owned()),
                verdict: "**missed**".to_owned(),
            }],
            tables: vec![Table {
                title: "t".to_owned(),
                note: String::new(),
                columns: vec![Column::plotted("speed", 0)],
                rows: vec![Row { name: "NSD".to_owned(), cells: vec![Cell::of(&[7.0])] }],
                compares: true,
            }],
            checks: vec!["fine".to_owned()],
            servers: Vec::new(),
            is_sound: true,
        }
    }

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let text = render(&[sheet()]);
        for part in ["busy &amp; loud", "--only &lt;a&gt;", "words missed\">missed<", "<svg", "UTC"]
        {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
        for foreign in ["<script", "http://", "https://", "src=", "@import", "url("] {
            assert!(!text.contains(foreign), "`{foreign}` in {text}");
        }
    }

    #[test]
    fn sheets_survive_being_written_and_read() {
        let text = serde_json::to_string(&sheet()).expect("a sheet can be written");
        let read: Sheet = serde_json::from_str(&text).expect("and read");
        assert_eq!(render(&[read]), render(&[sheet()]));
    }

    #[test]
    fn moments_are_dates() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(1_709_210_096), "2024-02-29 12:34 UTC");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59 UTC");
    }
}
