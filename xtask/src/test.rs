//! `cargo xtask test`: what must hold before a change is merged.
//!
//! Every step uses the release profile, so that dependencies are built once and what is tested
//! is what is shipped. It never builds a tool that the machine lacks; it says how to get it.

use crate::steps::{Done, Steps};
use crate::workspace::Workspace;
use crate::{packages, programs, tidy};
use std::process::{Command, Stdio};

/// Makes tests that talk to peer programs fail, instead of pass unseen, where one is missing.
const REQUIRE_PEERS: &str = "EINHORN_TEST_REQUIRE_PEERS";

/// The engine on etcd is off by default, since its client needs `protoc` to be built; whatever is
/// tested has it, so that nothing is built twice.
const ALL_ENGINES: [&str; 2] = ["--features", "einhorn/etcd,einhorn-store/etcd"];

/// Names the program that the tests of micro-VMs put into their image.
const UNICORN_PROGRAM: &str = "EINHORN_UNICORN_PROGRAM";

/// How much is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What every change must pass.
    Merge,
    /// The long tests and the documentation as well.
    Full,
    /// Only the clusters of micro-VMs.
    Unicorn,
}

/// Runs all steps.
pub(crate) fn run(extent: Extent) -> Result<(), String> {
    let workspace = Workspace::load()?;
    let cargo = |arguments: &[&str]| {
        let mut command = programs::cargo();
        command.current_dir(&workspace.root).args(arguments);
        command
    };
    let mut steps = Steps::default();
    steps.run("peer programs", || {
        packages::install_missing(&workspace.target).map(|()| Done::Passed)
    });
    if extent == Extent::Unicorn {
        steps.run("micro-VMs", || micro_vms(&workspace, extent));
        return steps.finish();
    }
    steps.run("formatting", || {
        require_component("fmt", "rustfmt")?;
        passed(&mut cargo(&["fmt", "--all", "--check"]))
            .map_err(|message| format!("{message}; `cargo fmt --all` puts it right"))
    });
    steps.run("tidy", || tidy::run().map(|()| Done::Passed));
    steps.run("clippy", || {
        require_component("clippy", "clippy")?;
        let all = ["clippy", "--release", "--workspace", "--all-targets"];
        passed(&mut cargo(&[&all[..], &ALL_ENGINES, &["--", "-D", "warnings"]].concat()))?;
        // As it is built by who has no `protoc`.
        passed(&mut cargo(&["clippy", "--release", "-p", "einhorn", "--", "-D", "warnings"]))
    });
    steps.run("licences and advisories", || match programs::find("cargo-deny") {
        Some(_) => passed(&mut cargo(&["deny", "check"])),
        None => Ok(Done::Skipped(
            "cargo-deny is not installed; `cargo install --locked cargo-deny` gets it".to_owned(),
        )),
    });
    let tests = ["test", "--release", "--workspace", "--no-fail-fast"];
    steps.run("tests", || {
        passed(cargo(&[&tests[..], &ALL_ENGINES].concat()).env(REQUIRE_PEERS, "1"))
    });
    steps.run("micro-VMs", || micro_vms(&workspace, extent));
    if extent == Extent::Full {
        steps.run("long tests", || {
            let long = ["--", "--ignored"];
            passed(cargo(&[&tests[..], &ALL_ENGINES, &long].concat()).env(REQUIRE_PEERS, "1"))
        });
        steps.run("documentation", || {
            passed(
                cargo(&["doc", "--release", "--no-deps", "--workspace"])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            )
        });
    }
    steps.finish()
}

/// Lets machines run the program: as it is, with its libraries, since one that is linked otherwise
/// would be built once more; or, in the long tests, linked statically, as it is meant to be.
fn micro_vms(workspace: &Workspace, extent: Extent) -> Result<Done, String> {
    let folder = workspace.target.join("unicorn");
    let program = folder.join("einhorn");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let cargo = |arguments: &[&str]| {
        let mut command = programs::cargo();
        command.current_dir(&workspace.root).args(arguments);
        command
    };
    // By itself, the rest of the workspace is not built for it.
    let scope: Vec<&str> = match extent {
        Extent::Unicorn => vec!["--release", "-p", "einhorn"],
        Extent::Merge | Extent::Full => [&["--release", "--workspace"], &ALL_ENGINES[..]].concat(),
    };
    if extent == Extent::Full {
        passed(
            cargo(&["rustc", "--release", "-p", "einhorn", "--bin", "einhorn", "--"])
                .args(["-C", "target-feature=+crt-static"]),
        )?;
    } else {
        // The tests' own build of the program: another one would build its dependencies again.
        passed(cargo(&["test"]).args(&scope).args(["--test", "unicorn", "--no-run"]))?;
    }
    // Where lines are is of no use in a machine, and takes its memory.
    passed(
        Command::new("strip").arg("-o").arg(&program).arg(workspace.target.join("release/einhorn")),
    )?;
    passed(
        cargo(&["test"])
            .args(scope)
            .args(["--test", "unicorn", "--", "--nocapture"])
            .env(UNICORN_PROGRAM, &program)
            .env(REQUIRE_PEERS, "1"),
    )
}

fn passed(command: &mut Command) -> Result<Done, String> {
    println!("    {}", programs::describe(command));
    programs::run(command).map(|()| Done::Passed)
}

/// Toolchains with the minimal profile lack rustfmt and clippy.
fn require_component(subcommand: &str, component: &str) -> Result<(), String> {
    let found = programs::cargo()
        .args([subcommand, "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    match found {
        true => Ok(()),
        false => {
            Err(format!("{component} is not installed: run `rustup component add {component}`"))
        }
    }
}
