//! BIND 9: syncs its journal before it answers, one update at a time.

use super::{Peer, Setup, Site};
use crate::workload::{KEY_NAME, KEY_SECRET, ZONE};

pub(super) const PEER: Peer =
    Peer { name: "BIND", program: "named", version_argument: "-v", prepare };

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
}};
controls {{ }};
logging {{
    category default {{ null; }};
    category update {{ null; }};
    category update-security {{ null; }};
}};
key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{KEY_SECRET}"; }};
zone "{ZONE}" {{ type primary; file "zone"; allow-update {{ key "{KEY_NAME}"; }}; }};
"#,
        folder = site.folder.display(),
        port = site.port,
    );
    let path = site.write("named.conf", &configuration)?;
    let arguments =
        ["-4", "-g", "-c"].map(str::to_owned).into_iter().chain([path.display().to_string()]);
    Ok(Setup { arguments: arguments.collect(), configuration })
}
