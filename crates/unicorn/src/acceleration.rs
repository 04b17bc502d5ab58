//! Whether the host's own processor can run the machines: found out by starting the real image,
//! since `/dev/kvm` may be there and not work, as it is within some virtual machines.
//!
//! It never takes the host's word for it, and never waits longer than [`PROBE_MAX`].

use crate::image::{INITRD_FILE, KERNEL_FILE};
use crate::machine::{Acceleration, QEMU, QEMU_MISSING};
use crate::{Error, system};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a machine that was started with [`PROBE_PARAMETER`] says on its console, before it ends.
pub(crate) const PROBE_MARK: &str = "einhorn: this machine runs";
/// On the kernel's command line.
pub(crate) const PROBE_PARAMETER: &str = "unicorn.probe";
/// How long a machine may take to say it. With acceleration it takes less than a second.
const PROBE_MAX: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const DEVICE: &str = "/dev/kvm";
/// What was found, beside the image.
const FOUND_FILE: &str = "acceleration.json";
const CONSOLE_FILE: &str = "probe.log";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// How machines run.
    pub acceleration: Acceleration,
    /// Why so, for people.
    pub why: String,
}

/// What was found, and what it holds for.
#[derive(Serialize, Deserialize)]
struct Found {
    /// This start of the host, this QEMU, this kernel.
    key: String,
    chosen: Chosen,
}

/// Chooses for machines of the image in `image`; asks the hardware once for each start of the host,
/// version of QEMU and kernel.
///
/// # Errors
/// QEMU or the image is not there.
pub fn choose(image: &Path) -> Result<Chosen, Error> {
    let key = key(image)?;
    if let Err(error) = File::options().read(true).write(true).open(DEVICE) {
        let why = format!("{DEVICE} cannot be opened ({error})");
        return Ok(Chosen { acceleration: Acceleration::Tcg, why });
    }
    let path = image.join(FOUND_FILE);
    let known = std::fs::read(&path).ok().and_then(|octets| serde_json::from_slice(&octets).ok());
    if let Some(Found { key: of, chosen }) = known
        && of == key
    {
        return Ok(chosen);
    }
    let chosen = match probe(image)? {
        Ok(elapsed) => Chosen {
            acceleration: Acceleration::Kvm,
            why: format!("a trial machine ran within {} ms", elapsed.as_millis()),
        },
        Err(why) => Chosen {
            acceleration: Acceleration::Tcg,
            why: format!("{DEVICE} is there, but a trial machine {why}"),
        },
    };
    let found = Found { key, chosen };
    // What cannot be kept is found out again next time.
    let _ = serde_json::to_vec(&found).map(|octets| std::fs::write(&path, octets));
    Ok(found.chosen)
}

fn key(image: &Path) -> Result<String, Error> {
    let boot = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
    let version = Command::new(QEMU).arg("--version").output();
    let version =
        version.map_err(|error| Error::Missing(format!("{QEMU}: {error}. {QEMU_MISSING}")))?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let kernel = image.join(KERNEL_FILE);
    let octets = std::fs::read(&kernel).map_err(system("read", &kernel))?;
    let digest: String =
        Sha256::digest(&octets).iter().map(|octet| format!("{octet:02x}")).collect();
    let version = version.lines().next().unwrap_or_default();
    Ok(format!("{} {version} {digest}", boot.trim()))
}

/// Starts a machine with acceleration that has neither disk nor network: how long it took until its
/// program ran, or what it did instead.
fn probe(image: &Path) -> Result<Result<Duration, String>, Error> {
    let console = image.join(CONSOLE_FILE);
    File::create(&console).map_err(system("make", &console))?;
    let begun = Instant::now();
    let mut child = Command::new(QEMU)
        .args(["-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-smp", "1"])
        .args(["-M", "microvm,rtc=on", "-accel", "kvm", "-cpu", "host", "-m", "160"])
        .arg("-kernel")
        .arg(image.join(KERNEL_FILE))
        .arg("-initrd")
        .arg(image.join(INITRD_FILE))
        .args(["-serial", &format!("file:{}", console.display()), "-append"])
        .arg(format!("console=ttyS0 reboot=t panic=-1 quiet {PROBE_PARAMETER}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::Missing(format!("{QEMU}: {error}. {QEMU_MISSING}")))?;
    let outcome = loop {
        let said = std::fs::read(&console).unwrap_or_default();
        if String::from_utf8_lossy(&said).contains(PROBE_MARK) {
            break Ok(begun.elapsed());
        }
        if let Ok(Some(status)) = child.try_wait() {
            break Err(format!("ended without having run ({status})"));
        }
        if begun.elapsed() > PROBE_MAX {
            break Err(format!("did not run within {} s", PROBE_MAX.as_secs()));
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    // One that has ended needs it no more.
    let _ = child.kill().and_then(|()| child.wait());
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = choose(folder.path()).unwrap_err().to_string();
        assert!(error.contains(KERNEL_FILE) || error.contains(QEMU), "{error}");
    }
}
