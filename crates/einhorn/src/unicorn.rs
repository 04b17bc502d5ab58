//! `einhorn unicorn`: images, and clusters of micro-VMs.

mod status;

use crate::init::{card_file, make_local};
use crate::{Failure, Outcome, print};
use einhorn_ingress::control::{Command as Ask, SiteCommand};
use einhorn_unicorn::cluster::{CLUSTER_FILE, Cluster, DNS_PORT, HTTP_PORT, Site, link_address};
use einhorn_unicorn::machine::USER_NETWORK_HOST;
use einhorn_unicorn::supervisor::{self, Answer, Command as Order};
use einhorn_unicorn::{Error, gateway, image};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What the supervisor says, in the cluster's folder.
const LOG_FILE: &str = "unicorn.log";
const CONFIG_FILE: &str = "einhorn.toml";
/// What a machine says on its console, in its site's folder.
const CONSOLE_FILE: &str = "vm/serial.log";
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
    Status {
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// What a machine said on its console.
    Logs {
        machine: String,
        /// Go on with what it says, until Ctrl-C.
        #[arg(long, short)]
        follow: bool,
    },
    /// End a machine at once, as a power failure does.
    Kill { machine: String },
    /// Start a machine again.
    Restart { machine: String },
    /// Start all machines with another image, one after the other: each ends in order, and the next
    /// one waits until its site has everything of the others.
    Upgrade {
        /// Folder of the image.
        image: PathBuf,
    },
    /// Stop a machine's processor.
    Pause { machine: String },
    /// Let a paused machine go on.
    Resume { machine: String },
    /// Keep two machines apart.
    Partition { one: String, other: String },
    /// End all partitions, delays and losses.
    Heal,
    /// What happens to every frame between machines from now on.
    Network {
        /// How long it takes, in milliseconds.
        #[arg(long, value_name = "MS", default_value_t = 0)]
        delay_ms: u64,
        /// Of 1000 frames so many are lost.
        #[arg(long, value_name = "COUNT", default_value_t = 0)]
        lost_per_mille: u64,
    },
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
        /// The program, best a static one [default: this one].
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
        Answer::Failed(reason) => Err(Failure::finding(reason)),
        answer @ Answer::Status { .. } => Err(Failure::finding(format!("{answer:?}"))),
    };
    match arguments.command {
        Command::Image(ImageCommand::Build { kernel, binary, output }) => {
            build(kernel.as_deref(), binary, &output)
        }
        Command::Up { file } => {
            start(&folder, &file)?;
            show_status(&folder)
        }
        Command::Status { json } => status::show(&folder, json),
        Command::Logs { machine, follow } => logs(&folder, &machine, follow),
        Command::Kill { machine } => order(Order::Kill(machine)),
        Command::Restart { machine } => order(Order::Restart(machine)),
        Command::Upgrade { image } => upgrade(&folder, &image),
        Command::Pause { machine } => order(Order::Pause(machine)),
        Command::Resume { machine } => order(Order::Resume(machine)),
        Command::Partition { one, other } => order(Order::Partition(one, other)),
        Command::Heal => order(Order::Heal),
        Command::Network { delay_ms, lost_per_mille } => {
            order(Order::Network { delay_ms, lost_per_mille })
        }
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
    ))?;
    if built.libraries.is_empty() {
        return Ok(());
    }
    let libraries: Vec<_> = built.libraries.iter().map(|path| path.display().to_string()).collect();
    print(format_args!("the program is not static; with it {}", libraries.join(" ")))
}

/// Builds an image of this program, and says nothing of it.
pub(crate) fn build_quietly(output: &Path) -> Outcome {
    let binary = std::env::current_exe().map_err(Failure::finding)?;
    image::build(None, &binary, output).map(drop).map_err(failure)
}

/// Shows how the machines are.
pub(crate) fn show_status(folder: &Path) -> Outcome {
    status::show(folder, false)
}

/// Makes the sites that are new, starts the machines, and makes one cluster of them; the sites.
pub(crate) fn start(folder: &Path, file: &Path) -> Result<Vec<Site>, Failure> {
    if supervisor::ask(folder, &Order::Status).is_ok() {
        return Err(Failure::finding(format!("a cluster runs in {} already", folder.display())));
    }
    let file = std::path::absolute(file).map_err(Failure::finding)?;
    let cluster = Cluster::load(&file).map_err(failure)?;
    std::fs::create_dir_all(folder).map_err(Failure::finding)?;
    cluster.save(folder).map_err(failure)?;
    for (place, site) in cluster.site.iter().enumerate() {
        let data = folder.join(&site.name);
        if data.join(CONFIG_FILE).is_file() {
            continue;
        }
        let more = site.config.as_ref().map_or(Ok(String::new()), std::fs::read_to_string);
        let more = with_limits(more.map_err(Failure::finding)?, site.dns);
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
    }
    start_supervisor(folder)?;
    let first = folder.join(&cluster.site[0].name);
    for site in &cluster.site[1..] {
        let card = folder.join(&site.name).join(card_file(&site.name));
        let card = std::fs::read_to_string(&card).map_err(Failure::finding)?;
        // A site that is known already stays as it is.
        crate::source::ask(&first, &Ask::Site(SiteCommand::Add { card }))?;
    }
    status::await_together(folder, &cluster)?;
    Ok(cluster.site)
}

/// All clients of a machine have one address there. Who is on this host is not limited, as where no
/// machine is in between; else the limits stay, and hold for all clients together.
fn with_limits(more: String, dns: SocketAddr) -> String {
    let has_limits = more.lines().any(|line| line.trim() == "[limits]");
    if has_limits || !dns.ip().is_loopback() {
        return more;
    }
    format!(
        "{more}\n# Clients on the host.\n[limits]\nexempt = [\"127.0.0.0/8\", \"{}/32\", \"{USER_NETWORK_HOST}/32\"]\n",
        gateway::ADDRESS
    )
}

/// Gives all machines another image, one at a time.
fn upgrade(folder: &Path, image: &Path) -> Outcome {
    let mut cluster = Cluster::load(&folder.join(CLUSTER_FILE)).map_err(failure)?;
    let image = std::path::absolute(image).map_err(Failure::finding)?;
    for site in &cluster.site {
        status::await_together(folder, &cluster)?;
        let order = Order::Upgrade(site.name.clone(), image.clone());
        match supervisor::ask(folder, &order).map_err(failure)? {
            Answer::Done(text) => print(text)?,
            Answer::Failed(reason) => return Err(Failure::finding(reason)),
            other => return Err(Failure::finding(format!("{other:?}"))),
        }
    }
    status::await_together(folder, &cluster)?;
    // From the next `up` on.
    cluster.image = image;
    cluster.save(folder).map_err(failure)
}

/// What a machine has said, and what it says from now on if that is wanted.
fn logs(folder: &Path, machine: &str, follow: bool) -> Outcome {
    let console = folder.join(machine).join(CONSOLE_FILE);
    let trouble =
        |error: std::io::Error| Failure::unreachable(format!("{}: {error}", console.display()));
    let mut console = BufReader::new(std::fs::File::open(&console).map_err(trouble)?);
    let mut line = Vec::new();
    loop {
        let length = console.read_until(b'\n', &mut line).map_err(trouble)?;
        let is_whole = line.ends_with(b"\n");
        if is_whole || length == 0 && !follow && !line.is_empty() {
            print(String::from_utf8_lossy(&line).trim_end())?;
            line.clear();
        } else if length == 0 && !follow {
            return Ok(());
        } else if length == 0 {
            std::thread::sleep(LOOK_INTERVAL);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_the_host_are_not_limited_and_others_are() {
        let dns = |text: &str| text.parse().expect("an address");
        let text = with_limits("[[zone]]".to_owned(), dns("127.0.0.1:5300"));
        assert!(text.contains("exempt = [\"127.0.0.0/8\", \"10.77.0.254/32\", \"10.0.2.2/32\"]"));
        assert_eq!(with_limits("x".to_owned(), dns("192.0.2.1:53")), "x");
        assert_eq!(with_limits("[limits]".to_owned(), dns("127.0.0.1:53")), "[limits]");
    }
}
