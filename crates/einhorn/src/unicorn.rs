//! `einhorn unicorn`: images, and clusters of micro-VMs.

use crate::init::{card_file, make_local};
use crate::{Failure, Outcome, print};
use einhorn_ingress::control::{Command as Ask, SiteCommand};
use einhorn_unicorn::cluster::{CLUSTER_FILE, Cluster, DNS_PORT, HTTP_PORT, link_address};
use einhorn_unicorn::supervisor::{self, Answer, Command as Order, MachineStatus};
use einhorn_unicorn::{Error, image};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What the supervisor says, in the cluster's folder.
const LOG_FILE: &str = "unicorn.log";
const CONFIG_FILE: &str = "einhorn.toml";
/// Pause between two looks whether the machines run.
const LOOK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

/// Arguments of `einhorn unicorn`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder of the cluster.
    #[arg(long, value_name = "DIR", default_value = "unicorn", global = true)]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Images.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Start a cluster, and make its sites if they are new.
    Up {
        /// What the cluster is.
        file: PathBuf,
    },
    /// How the machines are.
    Status,
    /// What a machine said on its console.
    Logs { machine: String },
    /// End a machine at once, as a power failure does.
    Kill { machine: String },
    /// Start a machine again.
    Restart { machine: String },
    /// Stop a machine's processor.
    Pause { machine: String },
    /// Let a paused machine go on.
    Resume { machine: String },
    /// Keep two machines apart.
    Partition { one: String, other: String },
    /// End all partitions.
    Heal,
    /// End all machines in order.
    Down,
    /// Keep the machines; `up` starts this.
    #[command(hide = true)]
    Supervise,
}

#[derive(clap::Subcommand)]
enum ImageCommand {
    /// Build an image of a kernel and this program.
    Build {
        /// The kernel [default: this machine's, or the one in Debian's package].
        #[arg(long, value_name = "PATH")]
        kernel: Option<PathBuf>,
        /// The static program [default: this one].
        #[arg(long, value_name = "PATH")]
        binary: Option<PathBuf>,
        /// Folder of the image.
        #[arg(long, value_name = "DIR", default_value = "unicorn-image")]
        output: PathBuf,
    },
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Missing(_) => Failure::unreachable(error),
        error => Failure::finding(error),
    }
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let folder = std::path::absolute(&arguments.dir).map_err(Failure::finding)?;
    let order = |order| match supervisor::ask(&folder, &order).map_err(failure)? {
        Answer::Done(text) => print(text),
        Answer::Status(machines) => print(table(&machines)),
        Answer::Failed(reason) => Err(Failure::finding(reason)),
    };
    match arguments.command {
        Command::Image(ImageCommand::Build { kernel, binary, output }) => {
            build(kernel.as_deref(), binary, &output)
        }
        Command::Up { file } => up(&folder, &file),
        Command::Status => order(Order::Status),
        Command::Logs { machine } => {
            let console = folder.join(machine).join("vm/serial.log");
            let text = std::fs::read(&console)
                .map_err(|error| Failure::unreachable(format!("{}: {error}", console.display())))?;
            print(String::from_utf8_lossy(&text))
        }
        Command::Kill { machine } => order(Order::Kill(machine)),
        Command::Restart { machine } => order(Order::Restart(machine)),
        Command::Pause { machine } => order(Order::Pause(machine)),
        Command::Resume { machine } => order(Order::Resume(machine)),
        Command::Partition { one, other } => order(Order::Partition(one, other)),
        Command::Heal => order(Order::Heal),
        Command::Down => order(Order::Down),
        Command::Supervise => {
            let cluster = Cluster::load(&folder.join(CLUSTER_FILE)).map_err(failure)?;
            supervisor::run(&folder, cluster).map_err(failure)
        }
    }
}

fn build(kernel: Option<&Path>, binary: Option<PathBuf>, output: &Path) -> Outcome {
    let binary = binary.map_or_else(std::env::current_exe, Ok).map_err(Failure::finding)?;
    let built = image::build(kernel, &binary, output).map_err(failure)?;
    print(format_args!(
        "{}: kernel {} ({} MiB), first file system {} MiB, modules {}",
        output.display(),
        built.kernel.display(),
        built.kernel_octets >> 20,
        built.initrd_octets >> 20,
        built.modules.join(" "),
    ))
}

/// Makes the sites that are new, starts the machines, and makes one cluster of them.
fn up(folder: &Path, file: &Path) -> Outcome {
    if supervisor::ask(folder, &Order::Status).is_ok() {
        return Err(Failure::finding(format!("a cluster runs in {} already", folder.display())));
    }
    let file = std::path::absolute(file).map_err(Failure::finding)?;
    let cluster = Cluster::load(&file).map_err(failure)?;
    std::fs::create_dir_all(folder).map_err(Failure::finding)?;
    cluster.save(folder).map_err(failure)?;
    let mut joining = Vec::new();
    for (place, site) in cluster.site.iter().enumerate() {
        let data = folder.join(&site.name);
        if data.join(CONFIG_FILE).is_file() {
            continue;
        }
        let more = site.config.as_ref().map_or(Ok(String::new()), std::fs::read_to_string);
        let more = more.map_err(Failure::finding)?;
        let everywhere = |port| (Ipv4Addr::UNSPECIFIED, port).into();
        let first = &cluster.site[0].name;
        let join = (place > 0).then(|| folder.join(first).join(card_file(first)));
        let addresses = [everywhere(DNS_PORT), everywhere(HTTP_PORT), link_address(place)];
        make_local(&site.name, &data, addresses, join, &more)?;
        for path in &site.files {
            let name = path.file_name().unwrap_or_default();
            std::fs::copy(path, data.join(name)).map_err(|error| {
                Failure::finding(format!("cannot copy {}: {error}", path.display()))
            })?;
        }
        if place > 0 {
            joining.push(data.join(card_file(&site.name)));
        }
    }
    start_supervisor(folder)?;
    for card in joining {
        let card = std::fs::read_to_string(&card).map_err(Failure::finding)?;
        let first = folder.join(&cluster.site[0].name);
        crate::source::ask(&first, &Ask::Site(SiteCommand::Add { card }))?;
    }
    match supervisor::ask(folder, &Order::Status).map_err(failure)? {
        Answer::Status(machines) => print(table(&machines)),
        other => Err(Failure::finding(format!("{other:?}"))),
    }
}

/// Starts the supervisor, and waits until all machines are ready.
fn start_supervisor(folder: &Path) -> Outcome {
    let log_path = folder.join(LOG_FILE);
    let log = std::fs::File::create(&log_path).map_err(Failure::finding)?;
    let mut child = std::process::Command::new(std::env::current_exe().map_err(Failure::finding)?)
        .args(["unicorn", "supervise", "--dir"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Ctrl-C here is not for the machines.
        .process_group(0)
        .spawn()
        .map_err(Failure::finding)?;
    loop {
        // It answers once all machines are ready, and ends if one cannot be.
        if supervisor::ask(folder, &Order::Status).is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait().map_err(Failure::finding)? {
            let said = std::fs::read_to_string(&log_path).unwrap_or_default();
            return Err(Failure::finding(format!("not started ({status}): {}", said.trim())));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn table(machines: &[MachineStatus]) -> String {
    let line = |machine: &MachineStatus| {
        let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let state = match (machine.pid, machine.is_paused) {
            (None, _) => "gone",
            (Some(_), true) => "paused",
            (Some(_), false) => "runs",
        };
        format!(
            "{:<16} {state:<7} pid {:<8} ready after {:>6} ms  memory {:>7} KiB, free inside {:>7} KiB",
            machine.name,
            number(machine.pid.map(u64::from)),
            number(machine.boot_ms),
            number(machine.resident_kib),
            number(machine.available_kib),
        )
    };
    let lines: Vec<String> = machines.iter().map(line).collect();
    format!("QEMU without hardware acceleration (TCG)\n{}", lines.join("\n"))
}
