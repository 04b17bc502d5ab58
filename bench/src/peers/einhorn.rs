//! Einhorn itself, which the command line configures.

use super::{Ability, Peer, Setup, Site};
use crate::workload::{KEY_NAME, KEY_SECRET, ZONE};

pub(super) const PEER: Peer = Peer {
    name: "Einhorn",
    program: "einhorn",
    version_argument: "--version",
    ability: Ability::Updates,
    prepare,
};

fn prepare(site: &Site) -> Result<Setup, String> {
    let arguments = [
        "serve".to_owned(),
        "--listen".to_owned(),
        format!("127.0.0.1:{}", site.port),
        "--data".to_owned(),
        site.create_folder("data")?.display().to_string(),
        "--key".to_owned(),
        format!("hmac-sha256:{KEY_NAME}:{KEY_SECRET}"),
        "--zone".to_owned(),
        format!("{ZONE}={}", site.zone_file.display()),
    ];
    Ok(Setup { arguments: arguments.to_vec(), configuration: String::new() })
}
