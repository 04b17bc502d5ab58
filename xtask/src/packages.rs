//! The peer programs that tests talk to, and the Debian packages they come in.
//!
//! It installs what is missing where it can, and must never leave a service running or enabled
//! that was not there before.

use crate::programs;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A package, the programs that tests need of it (or a file, by its path), and the system service it
/// brings along.
struct Package {
    name: &'static str,
    programs: &'static [&'static str],
    service: Option<&'static str>,
}

/// What `protoc` needs of its own, and Debian only recommends.
const PROTOCOL_FILE: &str = "/usr/include/google/protobuf/descriptor.proto";
/// What ddclient needs for HTTPS.
const SOCKET_SSL: &str = "/usr/share/perl5/IO/Socket/SSL.pm";
/// All of them, in one place.
const PACKAGES: [Package; 20] = [
    Package { name: "bind9", programs: &["named"], service: Some("named") },
    Package { name: "bind9-dnsutils", programs: &["dig", "nsupdate"], service: None },
    Package { name: "bind9-utils", programs: &["named-checkzone"], service: None },
    Package { name: "knot", programs: &["knotd", "knotc"], service: Some("knot") },
    Package { name: "knot-dnsutils", programs: &["kdig", "knsupdate"], service: None },
    Package { name: "knot-dnssecutils", programs: &["kzonecheck"], service: None },
    Package { name: "nsd", programs: &["nsd"], service: Some("nsd") },
    Package { name: "etcd-server", programs: &["etcd"], service: Some("etcd") },
    Package { name: "protobuf-compiler", programs: &["protoc"], service: None },
    Package { name: "curl", programs: &["curl"], service: None },
    Package { name: "libprotobuf-dev", programs: &[PROTOCOL_FILE], service: None },
    Package { name: "iproute2", programs: &["ip"], service: None },
    Package { name: "faketime", programs: &["faketime"], service: None },
    Package { name: "gnucobol3", programs: &["cobc"], service: None },
    Package { name: "ddclient", programs: &["ddclient"], service: Some("ddclient") },
    Package { name: "libio-socket-ssl-perl", programs: &[SOCKET_SSL], service: None },
    Package { name: "inadyn", programs: &["inadyn"], service: Some("inadyn") },
    Package { name: "openssl", programs: &["openssl"], service: None },
    Package { name: "nftables", programs: &["nft"], service: Some("nftables") },
    Package { name: "qemu-system-x86", programs: &["qemu-system-x86_64"], service: None },
];

/// Debian asks this program before a package starts a service; exit code 101 forbids it.
const POLICY_PATH: &str = "/usr/sbin/policy-rc.d";
const POLICY: &str = "#!/bin/sh\nexit 101\n";

/// Installs the packages whose programs are missing. `scratch` is a folder for a temporary file.
pub(crate) fn install_missing(scratch: &Path) -> Result<(), String> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        println!("    all there: {}", names(&PACKAGES.iter().collect::<Vec<_>>()));
        return Ok(());
    }
    let names = names(&missing);
    if programs::find("apt-get").is_none() {
        let wanted: Vec<&str> =
            missing.iter().flat_map(|package| package.programs).copied().collect();
        return Err(format!(
            "tests need these programs, please install them: {}",
            wanted.join(", ")
        ));
    }
    let by_hand =
        format!("run `sudo apt-get install --no-install-recommends {names}` and try again");
    let Some(administrator) = Administrator::find() else {
        return Err(format!("only an administrator can install {names}: {by_hand}"));
    };
    println!("    installing {names}");
    install(&administrator, &missing, scratch)
        .map_err(|message| format!("{message}; {by_hand}"))?;
    match missing.into_iter().find(|package| !is_installed(package)) {
        None => Ok(()),
        Some(package) => Err(format!(
            "{} is installed, but lacks one of: {}",
            package.name,
            package.programs.join(", ")
        )),
    }
}

fn names(packages: &[&Package]) -> String {
    packages.iter().map(|package| package.name).collect::<Vec<_>>().join(" ")
}

fn is_installed(package: &Package) -> bool {
    package.programs.iter().all(|program| programs::find(program).is_some())
}

fn install(
    administrator: &Administrator,
    missing: &[&Package],
    scratch: &Path,
) -> Result<(), String> {
    let _policy = NoServices::begin(administrator, scratch)?;
    let apt = |arguments: &[&str]| {
        let mut command = administrator.command("env");
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"])
            .args(arguments);
        programs::run(&mut command)
    };
    apt(&["update"])?;
    let mut arguments = vec!["install", "--no-install-recommends"];
    arguments.extend(missing.iter().map(|package| package.name));
    apt(&arguments)?;
    if Path::new("/run/systemd/system").exists() {
        for service in missing.iter().filter_map(|package| package.service) {
            programs::run(administrator.command("systemctl").args(["disable", "--now", service]))?;
        }
    }
    Ok(())
}

/// How to become the administrator.
enum Administrator {
    Already,
    Sudo { asks: bool },
}

impl Administrator {
    fn find() -> Option<Administrator> {
        let user = programs::output(Command::new("id").arg("-u")).unwrap_or_default();
        if user.trim() == "0" {
            return Some(Administrator::Already);
        }
        // Without a terminal nobody could type a password: fail at once instead of waiting.
        programs::find("sudo").map(|_| Administrator::Sudo { asks: std::io::stdin().is_terminal() })
    }

    fn command(&self, program: &str) -> Command {
        match self {
            Administrator::Already => Command::new(program),
            Administrator::Sudo { asks } => {
                let mut command = Command::new("sudo");
                if !asks {
                    command.arg("--non-interactive");
                }
                command.arg(program);
                command
            }
        }
    }
}

/// While this lives, packages do not start their services. A policy that the machine has
/// already stays as it is.
struct NoServices<'a> {
    administrator: &'a Administrator,
    installed: bool,
    draft: PathBuf,
}

impl NoServices<'_> {
    fn begin<'a>(
        administrator: &'a Administrator,
        scratch: &Path,
    ) -> Result<NoServices<'a>, String> {
        let draft = scratch.join("policy-rc.d");
        let mut guard = NoServices { administrator, installed: false, draft };
        if Path::new(POLICY_PATH).exists() {
            return Ok(guard);
        }
        fs::write(&guard.draft, POLICY)
            .map_err(|error| format!("cannot write {}: {error}", guard.draft.display()))?;
        let draft = guard.draft.display().to_string();
        programs::run(administrator.command("install").args(["-m", "0755", &draft, POLICY_PATH]))?;
        guard.installed = true;
        Ok(guard)
    }
}

impl Drop for NoServices<'_> {
    fn drop(&mut self) {
        if self.installed {
            let mut command = self.administrator.command("rm");
            if let Err(message) =
                programs::run(command.args(["-f", POLICY_PATH]).stdout(Stdio::null()))
            {
                eprintln!("    please remove {POLICY_PATH}: {message}");
            }
        }
        // It may never have been written.
        let _ = fs::remove_file(&self.draft);
    }
}
