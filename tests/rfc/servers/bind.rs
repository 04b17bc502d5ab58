//! BIND 9.

use super::{COOKIE_SECRET, IDENTITY, Setup, TRANSFER_SECRET};

/// A wildcard that owns NS is an error in a zone file for BIND.
pub(super) const NOT_LOADED: [&str; 1] = ["wild-ns.test."];

/// Writes the configuration and gives the arguments.
pub(super) fn prepare(setup: &Setup<'_>) -> Vec<String> {
    let zones = setup.for_zones(|name, file| {
        format!("zone \"{name}\" {{ type primary; file \"{}\"; }};\n", file.display())
    });
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
    check-names primary ignore;
    check-mx-cname ignore;
    minimal-responses yes;
    minimal-any yes;
    zero-no-soa-ttl no;
    tcp-listen-queue 100;
    server-id "{IDENTITY}";
    version "{IDENTITY}";
    hostname "{IDENTITY}";
    answer-cookie yes;
    cookie-algorithm siphash24;
    cookie-secret "{COOKIE_SECRET}";
    allow-transfer {{ key "transfer."; }};
}};
controls {{ }};
key "transfer." {{ algorithm hmac-sha256; secret "{TRANSFER_SECRET}"; }};
{zones}"#,
        folder = setup.folder.display(),
        port = setup.port,
    );
    let path = setup.write("named.conf", &configuration);
    ["-4", "-g", "-n", "1", "-c", &path.display().to_string()].map(str::to_owned).to_vec()
}
