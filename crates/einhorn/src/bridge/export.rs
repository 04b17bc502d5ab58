//! `einhorn bridge export`: writes what the cluster says and the source does not have yet.

use super::apply::failure;
use super::node::HttpNode;
use super::source::{FileInput, Which, options, source};
use super::{failed, write_whole};
use crate::{Failure, Outcome, print};
use einhorn_bridge::codec::{Options, decoder};
use einhorn_bridge::item::{Item, Quirk, Sink};
use einhorn_bridge::live::apply::{Input, Node};
use einhorn_bridge::live::outbound::{Batch, Outbound};
use einhorn_node::config::{OutputConfig, OutputPlace, SourceConfig};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const HOUR_MS: u64 = 3_600_000;

/// Arguments of `einhorn bridge export`.
#[derive(clap::Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    which: Which,
}

/// Writes the source's output.
pub(crate) fn export(arguments: &ExportArguments) -> Outcome {
    let (config, settings) = arguments.which.open()?;
    let name = &settings.name;
    let output = settings.output.as_ref().ok_or_else(|| {
        Failure::usage(format!("source {name} has no [source.output]: nothing goes there"))
    })?;
    let source = source(&settings)?;
    let form = options(&settings, &output.form)?;
    let mut node = HttpNode::new(&config, arguments.which.node.as_deref(), name)?;
    let view = node.look().map_err(failure)?;
    let out = Outbound::new(&source, &view, now_ms()).map_err(failure)?;
    match &output.to {
        OutputPlace::Spool(folder) => spool(&out, &mut node, output, &form, folder),
        OutputPlace::File(path) => whole(&out, &mut node, &settings, output, &form, path),
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn until_ms(output: &OutputConfig) -> u64 {
    now_ms() + u64::from(output.hold_hours) * HOUR_MS
}

/// A numbered file with changes. It gets its name only when the node knows of it; who was killed in
/// between finds it, and names it then.
fn spool(
    out: &Outbound<'_>,
    node: &mut HttpNode,
    output: &OutputConfig,
    form: &Options,
    folder: &Path,
) -> Outcome {
    let part = |number: u32| folder.join(format!(".{number:06}.part"));
    let place = |number: u32| folder.join(format!("{number:06}"));
    let last = out.last_spool();
    if last > 0 && part(last).exists() {
        rename(&part(last), &place(last))?;
        print(format_args!("{}: finished", place(last).display()))?;
    }
    let Some(batch) = out.deck(output.form.format, form).map_err(failure)? else {
        return print("nothing to send");
    };
    let next = part(last + 1);
    let mut file = File::create(&next).map_err(failed("write", &next))?;
    file.write_all(&batch.octets).map_err(failed("write", &next))?;
    file.sync_all().map_err(failed("write", &next))?;
    let number = out.open(node, &batch, until_ms(output)).map_err(failure)?;
    rename(&part(number), &place(number))?;
    say(&place(number), &batch)
}

fn rename(from: &Path, to: &Path) -> Outcome {
    std::fs::rename(from, to).map_err(failed("write", to))?;
    let folder = to.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}

/// A file with all records.
fn whole(
    out: &Outbound<'_>,
    node: &mut HttpNode,
    settings: &SourceConfig,
    output: &OutputConfig,
    form: &Options,
    path: &Path,
) -> Outcome {
    let items = last_items(out, settings, output)?;
    let batch = out.whole(output.form.format, form, items).map_err(failure)?;
    if is_there(path, &batch.octets) {
        return print(format_args!("{} is as it is to be", path.display()));
    }
    if !batch.sent.is_empty() {
        out.open(node, &batch, until_ms(output)).map_err(failure)?;
    }
    write_whole(path, |file| file.write_all(&batch.octets).map_err(failed("write", path)))?;
    say(path, &batch)
}

/// The items of the last file that was applied, if it is still there and goes out in the same format: what
/// did not change stays octet by octet.
fn last_items(
    out: &Outbound<'_>,
    settings: &SourceConfig,
    output: &OutputConfig,
) -> Result<Vec<Item>, Failure> {
    #[derive(Default)]
    struct Found(Vec<Item>);
    impl Sink for Found {
        fn item(&mut self, item: Item) {
            self.0.push(item);
        }
        fn quirk(&mut self, _: Quirk) {}
    }
    if settings.file.is_none() || settings.input.format != output.form.format {
        return Ok(Vec::new());
    }
    let Ok(mut input) = FileInput::new(None, settings) else { return Ok(Vec::new()) };
    let form = options(settings, &settings.input)?;
    let refused = |refusal| Failure::finding(refusal);
    let mut decode = decoder(settings.input.format, &form).map_err(refused)?;
    let (mut found, mut sha256) = (Found::default(), Sha256::new());
    let read = input.read(&mut |piece| {
        sha256.update(piece);
        decode.push(piece, &mut found)
    });
    let sha256: [u8; 32] = sha256.finalize().into();
    if read.is_err() || out.last_file() != Some(sha256) {
        return Ok(Vec::new());
    }
    decode.finish(&mut found).map_err(refused)?;
    Ok(found.0)
}

fn is_there(path: &Path, octets: &[u8]) -> bool {
    let mut there = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut there));
    read.is_ok() && there == octets
}

fn say(path: &Path, batch: &Batch) -> Outcome {
    let Batch { octets, sent, losses, .. } = batch;
    let (path, changed) = (path.display(), sent.len());
    print(format_args!("{path}: {changed} hosts changed, {} octets", octets.len()))?;
    losses.iter().try_for_each(|loss| {
        let (record, field, value) = (&loss.record, loss.field.name(), &loss.value);
        print(format_args!("not written ({}): {record}: {field} {value}", loss.code))
    })
}
