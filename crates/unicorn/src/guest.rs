//! Einhorn as the first process of a machine: makes a system of the bare kernel, lets the node run
//! in this same process, answers on the control port, and ends the machine in order.
//!
//! It never starts another program: there is none.

mod network;
mod port;

use crate::acceleration::{PROBE_MARK, PROBE_PARAMETER};
use crate::image::MODULES_FOLDER;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::system::{RebootCommand, reboot};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The disk of a machine.
const DISK: &str = "/dev/vda";
/// Where it is mounted.
const DATA_FOLDER: &str = "/data";
/// The node's folder on it.
const SITE_FOLDER: &str = "/data/site";
/// What the host brings along at each start: the site's folder as it was made.
const SEED_FOLDER: &str = "/seed";
/// The node's configuration in its folder.
const CONFIG_FILE: &str = "einhorn.toml";

/// On the kernel's command line: so many MiB of the disk are to be free.
pub(crate) const FREE_PARAMETER: &str = "unicorn.free=";
/// What takes the rest.
const BALLAST: &str = "/data/ballast";

/// Whether this process is the first one of a machine that was made for it.
pub fn is_first_process() -> bool {
    std::process::id() == 1 && Path::new("/init").exists() && Path::new(SEED_FOLDER).is_dir()
}

/// What gives an interface its address, on the kernel's command line; of 24 bits.
pub(crate) fn network_parameter(mac: &str, address: &str) -> String {
    format!("{}{mac},{address}/24", network::PARAMETER)
}

/// Runs the machine: `serve` runs the node with the configuration it is given, until SIGTERM.
/// It does not come back: the machine ends.
pub fn run(serve: impl FnOnce(PathBuf) -> Result<(), String>) {
    let port = match prepare() {
        Ok(Some(port)) => port,
        // A trial.
        Ok(None) => return end(),
        Err(reason) => {
            eprintln!("einhorn: this machine cannot start: {reason}");
            return end();
        }
    };
    let answering = port.answer(PathBuf::from(SITE_FOLDER));
    let outcome = match answering {
        Ok(()) => serve(Path::new(SITE_FOLDER).join(CONFIG_FILE)),
        Err(error) => Err(format!("the control port: {error}")),
    };
    rustix::fs::sync();
    // Open files may keep it; it is synced all the same.
    let _ = unmount(DATA_FOLDER, UnmountFlags::empty());
    port.farewell(outcome);
    end();
}

/// A restart, which the host's machine takes as its end.
fn end() {
    rustix::fs::sync();
    if let Err(error) = reboot(RebootCommand::Restart) {
        eprintln!("einhorn: this machine cannot end: {error}");
    }
}

/// Everything before the node; no port for a machine that only shows that it runs.
fn prepare() -> Result<Option<port::Port>, String> {
    let trouble = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let attach = |kind: &'static str, place: &'static str| {
        let mounted = mount(kind, place, kind, MountFlags::NOSUID, None);
        mounted.map_err(|error| format!("cannot mount {place}: {error}"))
    };
    attach("devtmpfs", "/dev")?;
    attach("proc", "/proc")?;
    attach("sysfs", "/sys")?;
    let line = fs::read_to_string("/proc/cmdline").map_err(trouble("the command line"))?;
    if line.split_whitespace().any(|word| word == PROBE_PARAMETER) {
        eprintln!("{PROBE_MARK}");
        return Ok(None);
    }
    load_modules().map_err(trouble("modules"))?;
    let port = port::Port::open().map_err(trouble("the control port"))?;
    let rest = || -> Result<(), String> {
        network::set_up(&line).map_err(trouble("the network"))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let mounted = mount(DISK, DATA_FOLDER, "ext4", flags, None);
        mounted.map_err(|error| format!("cannot mount the data disk {DISK}: {error}"))?;
        fill(&line).map_err(trouble("the ballast"))?;
        port.take_clock().map_err(trouble("the clock"))?;
        seed(Path::new(SEED_FOLDER), Path::new(SITE_FOLDER))
            .map_err(trouble("the data disk takes no configuration"))
    };
    match rest() {
        Ok(()) => Ok(Some(port)),
        Err(reason) => {
            port.fail(&reason);
            Err(reason)
        }
    }
}

fn load_modules() -> io::Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(Path::new("/").join(MODULES_FOLDER))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    for path in files {
        let loaded = rustix::system::finit_module(File::open(&path)?, c"", 0);
        match loaded {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => {
                return Err(io::Error::other(format!("{}: {error}", path.display())));
            }
        }
        // It is in the kernel now, and its file would only take memory.
        fs::remove_file(&path)?;
    }
    Ok(())
}

/// Fills the disk, if that is wanted, as far as it is wanted; what was filled before is made anew.
fn fill(line: &str) -> io::Result<()> {
    match fs::remove_file(BALLAST) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut words = line.split_whitespace();
    let Some(mib) = words.find_map(|word| word.strip_prefix(FREE_PARAMETER)) else { return Ok(()) };
    let mib: u64 = mib.parse().map_err(io::Error::other)?;
    let disk = rustix::fs::statvfs(DATA_FOLDER)?;
    let free_octets = disk.f_bavail.saturating_mul(disk.f_frsize);
    let taken_octets = free_octets.saturating_sub(mib << 20);
    let ballast = File::create(BALLAST)?;
    Ok(rustix::fs::fallocate(ballast, rustix::fs::FallocateFlags::empty(), 0, taken_octets)?)
}

/// Copies what the host brought; of what is there already only the configuration is replaced,
/// since the node may have renewed its keys.
fn seed(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_name() == CONFIG_FILE || !target.exists() {
            fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replaces_the_configuration_and_nothing_else() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |name: &str, text: &str| fs::write(from.path().join(name), text).unwrap();
        let to = to.path().join("site");
        put(CONFIG_FILE, "one");
        put("link.key", "one");
        seed(from.path(), &to).unwrap();
        put(CONFIG_FILE, "two");
        put("link.key", "two");
        seed(from.path(), &to).unwrap();
        assert_eq!(fs::read_to_string(to.join(CONFIG_FILE)).unwrap(), "two");
        assert_eq!(fs::read_to_string(to.join("link.key")).unwrap(), "one");
        assert!(!is_first_process());
    }
}
