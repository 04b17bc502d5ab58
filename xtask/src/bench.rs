//! `cargo xtask bench`: builds what is measured, and the program that measures.
//!
//! It never measures anything but release builds of this very tree.

use crate::programs;
use crate::workspace::Workspace;
use std::process::Command;

/// Passes the arguments on to the benchmarks, which put their figures where git ignores them.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
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
            .args(arguments),
    )
}
