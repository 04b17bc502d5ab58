//! One machine: QEMU's `microvm`, started without any privilege, with its folder.
//!
//! It never looks into what runs inside.

use crate::cpio::Archive;
use crate::guest::{FREE_PARAMETER, network_parameter};
use crate::image::{INITRD_FILE, KERNEL_FILE};
use crate::{Error, cluster, system, template};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";
/// What to do where it is not there.
pub(crate) const QEMU_MISSING: &str =
    "`apt-get install --no-install-recommends qemu-system-x86` brings it";
/// Whom a machine takes connections over TCP to come from (QEMU's user-mode network).
pub const USER_NETWORK_HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// Where a machine's things are in its site's folder.
const FOLDER: &str = "vm";
/// What the processor's clock runs at if nobody says, in kHz.
const TSC_KHZ_DEFAULT: u64 = 2_000_000;

/// How long the system may take to end a process.
const END_MAX: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How a machine's processor is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceleration {
    /// By the host's processor.
    Kvm,
    /// By translation; works everywhere.
    Tcg,
}

/// What a machine is made of.
pub struct Machine {
    /// Its place in the cluster.
    pub place: usize,
    /// The site's folder on the host; what is a file there goes to the machine.
    pub folder: PathBuf,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Ports on the host.
    pub site: cluster::Site,
    /// The switch's socket.
    pub switch: PathBuf,
    /// How it runs.
    pub acceleration: Acceleration,
}

impl Machine {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(FOLDER).join(name)
    }

    /// The control port's socket.
    pub fn control(&self) -> PathBuf {
        self.path("ctl")
    }

    /// What the machine says on its console.
    pub fn console(&self) -> PathBuf {
        self.path("serial.log")
    }

    /// The machine's end of the network between machines.
    pub fn network(&self) -> PathBuf {
        self.path("net")
    }

    /// The number of its process.
    pub fn pid_file(&self) -> PathBuf {
        self.path("pid")
    }

    /// Starts it with the image in this folder.
    ///
    /// # Errors
    /// QEMU is not there, or a file cannot be made.
    pub fn start(&self, image: &Path) -> Result<Child, Error> {
        let folder = self.folder.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(system("make", &folder))?;
        self.end_orphan()?;
        let disk = self.path("data.img");
        if !disk.exists() {
            template::write(&disk)?;
        }
        self.write_initrd(image)?;
        // What an earlier machine left; QEMU makes them anew.
        for socket in [self.control(), self.network()] {
            let _ = std::fs::remove_file(socket);
        }
        let said = self.path("qemu.log");
        let said = File::create(&said).map_err(system("make", &said))?;
        let child = Command::new(QEMU)
            .args(self.arguments(image))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .map_err(|error| {
                Error::Missing(format!("cannot start {QEMU}: {error}. {QEMU_MISSING}"))
            })?;
        let pid = self.pid_file();
        std::fs::write(&pid, child.id().to_string()).map_err(system("write", &pid))?;
        Ok(child)
    }

    /// Ends what an earlier supervisor started and could not end: the disk is only for one machine.
    fn end_orphan(&self) -> Result<(), Error> {
        let path = self.pid_file();
        let Ok(text) = std::fs::read_to_string(&path) else { return Ok(()) };
        let proc = Path::new("/proc").join(text.trim());
        let command = std::fs::read(proc.join("cmdline")).unwrap_or_default();
        let disk = self.path("data.img").display().to_string();
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        if let Some(pid) = pid
            && String::from_utf8_lossy(&command).contains(&disk)
        {
            kill_process(pid, Signal::KILL).map_err(|error| system("end", &path)(error.into()))?;
            let begun = Instant::now();
            while proc.join("exe").exists() && begun.elapsed() < END_MAX {
                std::thread::sleep(LOOK_INTERVAL);
            }
        }
        Ok(())
    }

    /// The image's archive, and after it one with the site's files.
    fn write_initrd(&self, image: &Path) -> Result<(), Error> {
        let image = image.join(INITRD_FILE);
        let mut octets = std::fs::read(&image).map_err(system("read", &image))?;
        let mut archive = Archive::default();
        let files = std::fs::read_dir(&self.folder).map_err(system("read", &self.folder))?;
        for entry in files {
            let path = entry.map_err(system("read", &self.folder))?.path();
            if path.is_file() {
                let content = std::fs::read(&path).map_err(system("read", &path))?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                archive.file(&format!("seed/{name}"), &content);
            }
        }
        octets.extend(archive.finish());
        let path = self.path("initrd");
        // It holds the site's keys.
        let mut file = rustix::fs::open(
            &path,
            rustix::fs::OFlags::CREATE | rustix::fs::OFlags::TRUNC | rustix::fs::OFlags::WRONLY,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .map(File::from)
        .map_err(|error| system("write", &path)(error.into()))?;
        file.write_all(&octets).map_err(system("write", &path))
    }

    /// QEMU's arguments.
    pub fn arguments(&self, image: &Path) -> Vec<String> {
        let shown = |path: PathBuf| path.display().to_string();
        let number = self.place + 1;
        let (outer, inner) =
            (format!("02:00:00:00:00:{number:02x}"), format!("02:00:00:00:01:{number:02x}"));
        let forwards: String =
            [(self.site.dns, cluster::DNS_PORT), (self.site.http, cluster::HTTP_PORT)]
                .iter()
                .map(|(host, port)| format!(",hostfwd=tcp:{}:{}-:{port}", host.ip(), host.port()))
                .collect();
        let (accelerator, processor, clock) = match self.acceleration {
            Acceleration::Kvm => ("kvm", "host", String::new()),
            Acceleration::Tcg => (
                "tcg,tb-size=32",
                "qemu64,+rdrand",
                // Without it the kernel hangs while it measures, if the host is busy.
                format!(" tsc_early_khz={} tsc=reliable", tsc_khz()),
            ),
        };
        let link = cluster::link_address(self.place).ip();
        let line = format!(
            "console=ttyS0 reboot=t panic=-1 quiet{clock} {} {}",
            network_parameter(&outer, "10.0.2.15"),
            network_parameter(&inner, &link.to_string()),
        );
        let line = match self.site.faults.free_mib {
            Some(mib) => format!("{line} {FREE_PARAMETER}{mib}"),
            None => line,
        };
        let words = [
            "-nodefaults -no-user-config -nographic -no-reboot -smp 1".to_owned(),
            "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
                .to_owned(),
            format!("-M microvm,rtc=on -accel {accelerator} -cpu {processor}"),
            format!("-m {}", self.memory_mib),
            "-serial chardev:ser -device virtio-serial-device,max_ports=2".to_owned(),
            "-device virtserialport,chardev=ctl,name=unicorn.ctl".to_owned(),
            "-device virtio-rng-device".to_owned(),
            // A full disk of the host is an error inside, and does not stop the machine.
            "-device virtio-blk-device,drive=d0,werror=report,rerror=report".to_owned(),
            format!("-netdev user,id=n0,restrict=on{forwards}"),
            format!("-device virtio-net-device,netdev=n0,mac={outer}"),
            format!("-device virtio-net-device,netdev=n1,mac={inner}"),
        ];
        let mut arguments: Vec<String> =
            words.iter().flat_map(|words| words.split(' ')).map(str::to_owned).collect();
        if let Some(clock) = &self.site.faults.clock {
            arguments.extend(["-rtc".to_owned(), format!("base={clock}")]);
        }
        // Paths and texts may have spaces.
        let mut more = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        more("-kernel", shown(image.join(KERNEL_FILE)));
        more("-initrd", shown(self.path("initrd")));
        more("-append", line);
        more("-chardev", format!("file,id=ser,path={},append=on", shown(self.console())));
        more(
            "-chardev",
            format!("socket,id=ctl,path={},server=on,wait=off", shown(self.control())),
        );
        let disk = shown(self.path("data.img"));
        more("-drive", format!("if=none,id=d0,file={disk},format=raw,cache=writeback"));
        let (net, switch) = (shown(self.network()), shown(self.switch.clone()));
        more(
            "-netdev",
            format!(
                "dgram,id=n1,local.type=unix,local.path={net},remote.type=unix,remote.path={switch}"
            ),
        );
        arguments
    }
}

/// The frequency of this host's time stamp counter in kHz, as the kernel shows it.
fn tsc_khz() -> u64 {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split(": ").nth(1));
    let mhz: Option<f64> = value.and_then(|value| value.trim().parse().ok());
    mhz.map_or(TSC_KHZ_DEFAULT, |mhz| (mhz * 1000.0) as u64)
}

/// KiB of memory that a process has in use.
pub fn resident_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    let status = status.ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_of_nothing_but_its_ports_and_may_start_nothing() {
        let site = "name = \"a\"\ndns = \"127.0.0.1:5300\"\nhttp = \"127.0.0.1:8053\"\n\
                    [faults]\nclock = \"2001-01-01T00:00:00\"\nfree-mib = 8\n";
        let machine = Machine {
            place: 1,
            folder: PathBuf::from("/c/a"),
            memory_mib: 160,
            site: toml::from_str(site).unwrap(),
            switch: PathBuf::from("/c/switch"),
            acceleration: Acceleration::Tcg,
        };
        let arguments = machine.arguments(Path::new("/i")).join(" ");
        let user = "-netdev user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:5300-:53,\
                    hostfwd=tcp:127.0.0.1:8053-:8053 ";
        for part in
            [user, "spawn=deny", "-rtc base=2001-01-01T00:00:00", "unicorn.free=8", " -nodefaults"]
        {
            assert!(format!(" {arguments}").contains(part), "{part} in {arguments}");
        }
        assert_eq!(arguments.matches("-netdev").count(), 2);
        assert!(!arguments.contains("virtfs") && !arguments.contains("fsdev"));
    }
}
