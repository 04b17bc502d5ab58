//! `cargo xtask bench`: builds what is measured, and the program that measures.
//!
//! It never measures anything but release builds of this very tree.

use crate::programs;
use crate::workspace::Workspace;
use std::process::Command;

/// Where the report goes, relative to the root; git ignores it.
const UPDATE_REPORT: &str = "bench/results/update.md";

/// Runs the update benchmark with the given further arguments.
pub(crate) fn update(arguments: &[String]) -> Result<(), String> {
    let workspace = Workspace::load()?;
    let mut packages = vec!["--package", "einhorn-bench"];
    if !arguments.iter().any(|argument| argument == "-h" || argument == "--help") {
        packages.extend(["--package", "einhorn"]);
    }
    programs::run(
        programs::cargo()
            .current_dir(&workspace.root)
            .args(["build", "--quiet", "--release"])
            .args(packages),
    )?;
    programs::run(
        Command::new(workspace.target.join("release").join("einhorn-bench"))
            .current_dir(&workspace.root)
            .args(["update", "--report", UPDATE_REPORT])
            .args(arguments),
    )
}
