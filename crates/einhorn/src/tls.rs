//! `einhorn tls`: certificates for encrypted DNS, from an authority of one's own.

use crate::{Failure, Outcome, print};
use einhorn_node::authority::{CA_CERTIFICATE_FILE, CA_KEY_FILE, Holder, issue};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Subcommands of `einhorn tls`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a certificate for a server, and an authority for it if the folder has none.
    Init {
        /// Folder of the authority; made if it does not exist.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Name by which clients know the server, such as ns1.fleet.example.
        #[arg(long)]
        name: String,
        /// Address by which clients know it too; may be given several times.
        #[arg(long, value_name = "ADDR")]
        ip: Vec<IpAddr>,
    },
    /// Make a certificate by which a device shows who it is.
    Client {
        /// Folder of the authority.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Name of the device.
        #[arg(long)]
        name: String,
    },
}

/// Runs a subcommand.
pub(crate) fn run(command: &Command) -> Outcome {
    match command {
        Command::Init { dir, name, ip } => {
            let name = name.trim_end_matches('.');
            let (certificate, key) = make(dir, Holder::Server(name, ip))?;
            print(format!(
                "{authority:<40} what clients are to trust\n\
                 {authority_key:<40} SECRET, makes certificates; the server does not need it\n\
                 {certificate:<40} the server's certificate, good for a year\n\
                 {key:<40} SECRET, its key\n\n\
                 In the configuration:\n\n\
                 [tls]\nname = \"{name}\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n\
                 dot = [\"0.0.0.0:853\"]\ndoh = [\"0.0.0.0:443\"]",
                authority = dir.join(CA_CERTIFICATE_FILE).display().to_string(),
                authority_key = dir.join(CA_KEY_FILE).display().to_string(),
            ))
        }
        Command::Client { dir, name } => {
            let authority = dir.join(CA_KEY_FILE);
            if !authority.exists() {
                let shown = authority.display();
                let reason = format!("there is no {shown}: make it with `einhorn tls init`");
                return Err(Failure::Usage(reason));
            }
            let (certificate, key) = make(dir, Holder::Client(name))?;
            print(format!(
                "{certificate:<40} the device's certificate, good for a year\n\
                 {key:<40} SECRET, its key\n\n\
                 The server asks devices for it with `client-ca = \"{}\"` in [tls].",
                dir.join(CA_CERTIFICATE_FILE).display()
            ))
        }
    }
}

/// The paths of certificate and key, for people.
fn make(dir: &Path, holder: Holder<'_>) -> Result<(String, String), Failure> {
    let now_seconds = einhorn_ingress::now_ms() / 1_000;
    let (certificate, key) = issue(dir, holder, now_seconds).map_err(Failure::finding)?;
    Ok((certificate.display().to_string(), key.display().to_string()))
}
