//! `einhorn bridge`.

mod apply;
mod export;
mod node;
mod source;
mod transfer;
mod watch;

use crate::{Failure, Outcome, print};
use einhorn_bridge::codec::{Format, Layout, Options, Refusal, UnknownFormat, decoder};
use einhorn_bridge::convert::Conversion;
use einhorn_bridge::report::Report;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Octets read at a time.
const PIECE_OCTETS: usize = 1 << 20;
/// How often a long run says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Subcommands of `einhorn bridge`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Turn a file of host records into another format, and say what was odd and what is lost.
    Convert(ConvertArguments),
    /// Show what a file of a source would change on the running node, and the hash that confirms it.
    Plan(apply::PlanArguments),
    /// Apply a file of a source.
    Apply(apply::ApplyArguments),
    /// Apply what a source says as it changes, until it is stopped.
    Watch(watch::WatchArguments),
    /// Write what the cluster says and the source does not have yet.
    Export(export::ExportArguments),
    /// How the last apply of a source went, and what waits.
    Report(apply::ReportArguments),
}

/// Arguments of `einhorn bridge convert`.
#[derive(clap::Args)]
pub(crate) struct ConvertArguments {
    /// Format of the file: hosts-txt, rfc606, etc-hosts, zone, copybook, cards, dhcpd-leases or
    /// json.
    #[arg(long, value_name = "FORMAT")]
    from: String,
    /// Format to write.
    #[arg(long, value_name = "FORMAT")]
    to: String,
    /// File to read.
    file: PathBuf,
    /// File to write.
    #[arg(long, value_name = "OUT")]
    output: PathBuf,
    /// Write what was odd, lost and quarantined as JSON.
    #[arg(long, value_name = "REPORT")]
    report: Option<PathBuf>,
    /// Zone of zone files.
    #[arg(long, value_name = "ZONE", default_value = ".")]
    origin: String,
    /// COBOL copybook that describes the records.
    #[arg(long, value_name = "FILE.cpy", requires = "layout")]
    copybook: Option<PathBuf>,
    /// Layout that says which item of the copybook is which field.
    #[arg(long, value_name = "FILE.toml", requires = "copybook")]
    layout: Option<PathBuf>,
    /// COBOL copybook of the file to write, if it is another one.
    #[arg(long, value_name = "FILE.cpy", requires = "to_layout")]
    to_copybook: Option<PathBuf>,
    /// Layout of the file to write, if it is another one.
    #[arg(long, value_name = "FILE.toml", requires = "to_copybook")]
    to_layout: Option<PathBuf>,
    /// Name of the source, from which hosts get their ids; left out: the file's name.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
}

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Convert(arguments) => convert(&arguments),
        Command::Plan(arguments) => apply::plan(&arguments),
        Command::Apply(arguments) => apply::apply(&arguments),
        Command::Watch(arguments) => watch::watch(&arguments),
        Command::Export(arguments) => export::export(&arguments),
        Command::Report(arguments) => apply::report(&arguments),
    }
}

fn convert(arguments: &ConvertArguments) -> Outcome {
    let format =
        |name: &str| name.parse::<Format>().map_err(|error: UnknownFormat| Failure::usage(error));
    let (from, to) = (format(&arguments.from)?, format(&arguments.to)?);
    let options = options(arguments)?;
    let input = File::open(&arguments.file).map_err(failed("read", &arguments.file))?;
    let to_layout = layout(&arguments.to_copybook, &arguments.to_layout)?;
    let to_options =
        Options { layout: to_layout.or_else(|| options.layout.clone()), ..options.clone() };
    let conversion = Conversion::between((from, &options), (to, &to_options));
    let conversion = conversion.map_err(|refusal| match refusal {
        Refusal::Option { .. } => Failure::usage(refusal),
        refusal => {
            let of_output = decoder(from, &options).is_ok();
            Failure::finding(named(&refusal, arguments, of_output))
        }
    })?;
    let report = write_whole(&arguments.output, |output| {
        pass(input, &arguments.file, conversion, output, &arguments.output)
    })?;
    if let Some(path) = &arguments.report {
        let mut text = serde_json::to_vec_pretty(&report).map_err(Failure::finding)?;
        text.push(b'\n');
        write_whole(path, |file| file.write_all(&text).map_err(failed("write", path)))?;
    }
    print(report.to_string().trim_end())
}

/// A refusal that says which of the files is at fault; `of_output` says that it is one of those
/// that describe the file to write.
fn named(refusal: &Refusal, arguments: &ConvertArguments, of_output: bool) -> String {
    let (copybook, layout) = if of_output && arguments.to_layout.is_some() {
        (&arguments.to_copybook, &arguments.to_layout)
    } else {
        (&arguments.copybook, &arguments.layout)
    };
    match (refusal, copybook, layout) {
        (Refusal::Copybook(error), Some(path), _) => {
            format!("{}:{}:{}: {}", path.display(), error.line, error.column, error.message)
        }
        (Refusal::Layout(reason), _, Some(path)) => format!("{}: {reason}", path.display()),
        _ => refusal.to_string(),
    }
}

fn layout(copybook: &Option<PathBuf>, layout: &Option<PathBuf>) -> Result<Option<Layout>, Failure> {
    let text = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
    };
    Ok(match (copybook, layout) {
        (Some(copybook), Some(layout)) => {
            Some(Layout { copybook: text(copybook)?, layout: text(layout)? })
        }
        _ => None,
    })
}

fn options(arguments: &ConvertArguments) -> Result<Options, Failure> {
    let layout = layout(&arguments.copybook, &arguments.layout)?;
    let name = arguments.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let origin = arguments.origin.parse();
    Ok(Options {
        source: arguments.source.clone().or(name).unwrap_or_default(),
        origin: origin
            .map_err(|error| Failure::usage(format!("--origin {}: {error}", arguments.origin)))?,
        layout,
    })
}

fn failed<'p>(what: &'p str, path: &'p Path) -> impl Fn(std::io::Error) -> Failure + 'p {
    move |error| Failure::finding(format!("cannot {what} {}: {error}", path.display()))
}

/// Writes a file beside its place, and puts it there when it is complete and on the disk: nobody
/// ever sees half of it. A place that is no file, such as `/dev/null`, is written to directly.
fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if path.metadata().is_ok_and(|at| !at.is_file()) {
        let mut file = File::options().write(true).open(path).map_err(failed("write", path))?;
        return write(&mut file);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed("write", path))?;
    let written = write(file.as_file_mut())?;
    file.as_file().sync_all().map_err(failed("write", path))?;
    file.persist(path).map_err(|error| failed("write", path)(error.error))?;
    Ok(written)
}

fn pass(
    mut input: File,
    from: &Path,
    mut conversion: Conversion,
    output: &mut File,
    to: &Path,
) -> Result<Report, Failure> {
    let refused =
        |refusal: Refusal| Failure::finding(format!("{} is refused: {refusal}", from.display()));
    let size = input.metadata().map_or(0, |metadata| metadata.len());
    let (mut done, mut told) = (0, Instant::now());
    let mut piece = vec![0; PIECE_OCTETS];
    loop {
        let count = input.read(&mut piece).map_err(failed("read", from))?;
        if count == 0 {
            break;
        }
        let octets = conversion.push(&piece[..count]).map_err(refused)?;
        output.write_all(&octets).map_err(failed("write", to))?;
        done += count as u64;
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            eprintln!("read {done} of {size} octets");
        }
    }
    let (octets, report) = conversion.finish().map_err(refused)?;
    output.write_all(&octets).map_err(failed("write", to))?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, from: &str, to: &str, octets: &[u8]) -> Outcome {
        std::fs::write(folder.join("in"), octets).expect("a file");
        convert(&ConvertArguments {
            from: from.to_owned(),
            to: to.to_owned(),
            file: folder.join("in"),
            output: folder.join("out"),
            report: Some(folder.join("report.json")),
            origin: ".".to_owned(),
            copybook: None,
            layout: None,
            to_copybook: None,
            to_layout: None,
            source: None,
        })
    }

    #[test]
    fn losses_are_reported_and_are_no_failure() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let table = b"HOST : 1.2.3.4 : A : VAX : : :\nHOST : 1.2.3.999 : B ::::\n\xff\0";
        run(folder, "hosts-txt", "etc-hosts", table).expect("losses are no failure");
        let text = std::fs::read_to_string(folder.join("out")).expect("the output");
        assert_eq!(text, "1.2.3.4\tA\n");
        let report = std::fs::read(folder.join("report.json")).expect("the report");
        let report: serde_json::Value = serde_json::from_slice(&report).expect("JSON");
        assert_eq!(report["counts"]["losses"]["field-not-held"], 1, "{report}");
        assert_eq!(report["quarantined"][0]["line"], 2, "{report}");
        assert_eq!(report["entries"], 2, "{report}");
        run(folder, "hosts-txt", "hosts-txt", table).expect("nothing is lost");
        assert_eq!(std::fs::read(folder.join("out")).expect("the output"), table);
    }

    #[test]
    fn a_refused_file_leaves_no_output() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = run(folder.path(), "json", "hosts-txt", b"no JSON");
        assert!(matches!(refused, Err(Failure::Finding(_))), "{refused:?}");
        assert!(!folder.path().join("out").exists());
        let unknown = run(folder.path(), "hosts", "json", b"");
        assert!(matches!(unknown, Err(Failure::Usage(_))), "{unknown:?}");
        let layout = run(folder.path(), "cards", "json", b"");
        assert!(matches!(layout, Err(Failure::Usage(_))), "{layout:?}");
    }
}
