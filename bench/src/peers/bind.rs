//! BIND 9: syncs its journal before it answers, one update at a time. It answers the same with or
//! without updates, so that one setup serves for all.

use super::{Ability, Peer, Setup, Site};
use crate::workload::{KEY_NAME, KEY_SECRET, ZONE};

pub(super) const PEER: Peer = Peer {
    name: "BIND",
    program: "named",
    version_argument: "-v",
    ability: Ability::Updates,
    prepare,
};

fn prepare(site: &Site) -> Result<Setup, String> {
    let configuration = format!(
        r#"options {{
    directory "{folder}";
    listen-on port {port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    pid-file "named.pid";
    session-keyfile "session.key";
    recursion no;
    notify no;
    dnssec-validation no;
    empty-zones-enable no;
    update-quota 5000;
    minimal-responses yes;
    notify-delay 0;
    transfer-format many-answers;
}};
controls {{ }};
logging {{
    category default {{ null; }};
    category update {{ null; }};
    category update-security {{ null; }};
}};
key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{KEY_SECRET}"; }};
zone "{ZONE}" {{ type primary; file "zone"; allow-update {{ key "{KEY_NAME}"; }}; allow-transfer {{ key "{KEY_NAME}"; }}; }};
"#,
        folder = site.folder.display(),
        port = site.port,
    );
    let path = site.write("named.conf", &configuration)?;
    let processors = site.processors.to_string();
    let arguments = ["-4", "-g", "-n", &processors, "-c", &path.display().to_string()];
    Ok(Setup { arguments: arguments.map(str::to_owned).to_vec(), configuration })
}
