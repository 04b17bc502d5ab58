//! The direction of arrows: a room may use those below it, never one above or beside it.
//!
//! It reads what cargo says about dependencies, never the manifests themselves, except to find
//! the line to point at.

use super::Finding;
use serde_json::Value;

/// The rooms from the lowest to the highest. A new crate gets its place here.
const ROOMS: [&str; 14] = [
    "einhorn-agent",
    "einhorn-wire",
    "einhorn-core",
    "einhorn-workload",
    "einhorn-profiles",
    "einhorn-links",
    "einhorn-store",
    "einhorn-serve",
    "einhorn-bridge",
    "einhorn-ingress",
    "einhorn-edge",
    "einhorn-node",
    "einhorn-unicorn",
    "einhorn",
];
/// Drives all rooms in tests, and is never shipped.
const SIMULATOR: &str = "einhorn-sim";
/// Packages that are no rooms: they may use any room, and no room may use them.
const TOOLS: [&str; 6] = [
    "xtask",
    "einhorn-bench",
    "einhorn-fuzz",
    "einhorn-harness",
    "einhorn-model",
    "einhorn-simulated-sites",
];
/// The DNS library, and the only room that knows it.
const DNS_LIBRARY: &str = "domain";
const DNS_LIBRARY_ROOM: &str = "einhorn-wire";

const RULE: &str = "arrow";

/// Checks what `cargo metadata` says; `read` gives the text of a manifest.
pub(super) fn check(metadata: &Value, read: &dyn Fn(&str) -> String) -> Vec<Finding> {
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let path = manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/');
        let text = read(path);
        if rank(name).is_none() && name != SIMULATOR && !TOOLS.contains(&name) {
            let advice = format!(
                "`{name}` has no place among the rooms: give it one in xtask/src/tidy/arrows.rs"
            );
            findings.push(Finding::new(path, line_of(&text, name), RULE, advice));
        }
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let only_tests = dependency["kind"].as_str() == Some("dev");
            if let Some(advice) = objection(name, used, only_tests) {
                findings.push(Finding::new(path, line_of(&text, used), RULE, advice));
            }
        }
    }
    findings
}

fn rank(name: &str) -> Option<usize> {
    ROOMS.iter().position(|room| *room == name)
}

/// Why `user` must not depend on `used`, if so.
fn objection(user: &str, used: &str, only_tests: bool) -> Option<String> {
    if used == DNS_LIBRARY && user != DNS_LIBRARY_ROOM {
        return Some(format!(
            "only {DNS_LIBRARY_ROOM} may know `{DNS_LIBRARY}`: let it offer what {user} needs"
        ));
    }
    if only_tests {
        return None;
    }
    if used == SIMULATOR && !TOOLS.contains(&user) {
        return Some(format!(
            "{user} depends on {SIMULATOR}, which is never shipped: make it a dev-dependency"
        ));
    }
    let user_rank = rank(user)?;
    if TOOLS.contains(&used) {
        return Some(format!("{user} depends on the tool {used}: move what it needs into a room"));
    }
    (rank(used)? >= user_rank).then(|| {
        format!(
            "{user} depends on {used}, but a room may only use those below it ({})",
            ROOMS.join(" < ")
        )
    })
}

/// The line of a manifest that names a package, or the first.
fn line_of(manifest: &str, name: &str) -> usize {
    let names_it = |line: &str| {
        line.trim_start()
            .trim_start_matches("name = \"")
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=', '"']))
    };
    1 + manifest.lines().position(names_it).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn findings(user: &str, used: &str, kind: Option<&str>) -> Vec<Finding> {
        let metadata = json!({
            "workspace_root": "/w",
            "packages": [{
                "name": user,
                "manifest_path": "/w/crates/x/Cargo.toml",
                "dependencies": [{"name": used, "kind": kind}],
            }],
        });
        check(&metadata, &|_| format!("[package]\nname = \"{user}\"\n{used}.workspace = true\n"))
    }

    #[test]
    fn arrows_point_downwards() {
        assert_eq!(findings("einhorn-core", "einhorn-wire", None), []);
        let found = findings("einhorn-core", "einhorn-store", None);
        assert_eq!((found.len(), found[0].line, &*found[0].path), (1, 3, "crates/x/Cargo.toml"));
        assert!(found[0].advice.contains("einhorn-core depends on einhorn-store"));
        assert_eq!(findings("einhorn-core", "einhorn-core", Some("build")).len(), 1);
        assert_eq!(findings("einhorn-core", "einhorn-store", Some("dev")), []);
    }

    #[test]
    fn the_simulator_is_for_tests_alone() {
        assert_eq!(findings("einhorn-store", "einhorn-sim", Some("dev")), []);
        assert_eq!(findings("einhorn", "einhorn-sim", None).len(), 1);
        assert_eq!(findings("einhorn-sim", "einhorn-node", None), []);
    }

    #[test]
    fn the_dns_library_stays_in_its_room() {
        assert_eq!(findings("einhorn-wire", "domain", None), []);
        assert_eq!(findings("einhorn-serve", "domain", None).len(), 1);
        assert_eq!(findings("einhorn-serve", "domain", Some("dev")).len(), 1);
    }

    #[test]
    fn strangers_and_tools_are_noticed() {
        let found = findings("einhorn-attic", "serde", None);
        assert_eq!((found.len(), found[0].line), (1, 2));
        assert_eq!(findings("einhorn-node", "einhorn-bench", None).len(), 1);
    }
}
