//! `einhorn review`.

use crate::describe;
use crate::source::{ask, ask_node};
use crate::{Failure, Outcome, print};
use einhorn_ingress::control::{self, Answer, LegacyLine, ReviewCommand, ReviewLine, ReviewName};
use std::path::{Path, PathBuf};

/// Subcommands of `einhorn review`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the changes that wait, one a line.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        /// Data folder of the node.
        #[arg(long)]
        data: PathBuf,
    },
    /// Show one: both versions, what they come from, and what each choice would do.
    Show {
        /// Its id, as `list` shows it.
        id: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Data folder of the node.
        #[arg(long)]
        data: PathBuf,
    },
    /// Decide: keep what the names have, take what was asked for, or both where records can stand
    /// beside each other.
    Resolve {
        /// Its id, as `list` shows it.
        id: String,
        /// `keep`, `take` or `both`.
        choice: String,
        /// Data folder of the node.
        #[arg(long)]
        data: PathBuf,
    },
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::List { json, data } => list(&data, json),
        Command::Show { id, json, data } => {
            let reviews = reviews(&data, ReviewCommand::Show { id })?;
            reviews.iter().try_for_each(|review| match json {
                true => print(serde_json::to_string(review).map_err(Failure::finding)?),
                false => print(text(review).trim_end()),
            })
        }
        Command::Resolve { id, choice, data } => {
            print(ask(&data, &control::Command::Review(ReviewCommand::Resolve { id, choice }))?)
        }
    }
}

fn reviews(data: &Path, command: ReviewCommand) -> Result<Vec<ReviewLine>, Failure> {
    match ask_node(data, &control::Command::Review(command))? {
        Answer::Reviews { reviews } => Ok(reviews),
        _ => Err(Failure::finding("the node answered something else; is it another version?")),
    }
}

fn list(data: &Path, json: bool) -> Outcome {
    let reviews = reviews(data, ReviewCommand::List)?;
    if json {
        return reviews.iter().try_for_each(|review| {
            print(serde_json::to_string(review).map_err(Failure::finding)?)
        });
    }
    if reviews.is_empty() {
        return print("nothing waits");
    }
    for review in &reviews {
        let names: Vec<_> = review.names.iter().map(|name| name.name.as_str()).collect();
        let ReviewLine { id, opened_ms, who, reason, .. } = review;
        let opened = describe::time(*opened_ms);
        print(format_args!("{id}  {opened}  {}  by {who}: {reason}", names.join(", ")))?;
    }
    Ok(())
}

pub(crate) fn text(review: &ReviewLine) -> String {
    let ReviewLine { id, opened_ms, zone, who, site, reason, names, legacy } = review;
    let opened = describe::time(*opened_ms);
    let mut lines = vec![
        format!("review {id}, opened {opened}"),
        format!("  zone {zone}, asked for by {who} at site {site}"),
        format!("  waits because {reason}"),
    ];
    legacy.iter().for_each(|legacy| legacy_lines(legacy, &mut lines));
    for ReviewName { name, base, current, proposed, outcomes } in names {
        lines.push(format!("  {name}"));
        for (what, records) in [("had then", base), ("has now", current), ("was to have", proposed)]
        {
            lines.push(format!("    {what:12} {}", listed(records)));
        }
        for (choice, records) in outcomes {
            lines.push(format!("    `{choice}` leaves {}", listed(records)));
        }
    }
    lines.join("\n")
}

/// A record of a source in words, and as it was read: octets and what is legible of them.
fn legacy_lines(legacy: &LegacyLine, lines: &mut Vec<String>) {
    const OCTETS_A_LINE: usize = 16;
    let LegacyLine { source, conflict, place, record, raw } = legacy;
    lines.push(format!("  conflict with source {source}: {conflict}"));
    lines.push(format!("  {place}"));
    lines.push(format!("    {record}"));
    let digits: Vec<&str> =
        (0..raw.len() / 2).filter_map(|at| raw.get(2 * at..2 * at + 2)).collect();
    for octets in digits.chunks(OCTETS_A_LINE) {
        let legible = |digits: &&str| match u8::from_str_radix(digits, 16) {
            Ok(octet @ b' '..=b'~') => char::from(octet),
            _ => '.',
        };
        let text: String = octets.iter().map(legible).collect();
        lines.push(format!("    {:47}  {text}", octets.join(" ")));
    }
}

fn listed(records: &[String]) -> String {
    if records.is_empty() { "nothing".to_owned() } else { records.join("; ") }
}
