//! Where the workspace lies and which files belong to it.
//!
//! It only reads, and never looks at what git ignores.

use crate::programs;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace, as cargo describes it.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// What `cargo metadata` prints.
    pub(crate) metadata: Value,
}

impl Workspace {
    /// Asks cargo about the workspace that this tool belongs to.
    pub(crate) fn load() -> Result<Workspace, String> {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = programs::cargo();
        command.current_dir(tool).args(["metadata", "--format-version", "1", "--no-deps"]);
        let text = programs::output(&mut command)?;
        let metadata: Value = serde_json::from_str(&text)
            .map_err(|error| format!("`cargo metadata` printed no valid JSON: {error}"))?;
        let folder = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .ok_or_else(|| format!("`cargo metadata` does not say `{key}`"))
        };
        Ok(Workspace {
            root: folder("workspace_root")?,
            target: folder("target_directory")?,
            metadata,
        })
    }

    /// The files with this ending that are part of the project: tracked, or new and not
    /// ignored. Paths are relative to the root.
    pub(crate) fn files(&self, pattern: &str) -> Result<Vec<String>, String> {
        let mut command = Command::new("git");
        command.current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            pattern,
        ]);
        let text = programs::output(&mut command)?;
        let mut files: Vec<String> = text
            .split('\0')
            .filter(|path| !path.is_empty())
            // Deleted, but not yet so in the index.
            .filter(|path| self.root.join(path).is_file())
            .map(str::to_owned)
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The text of a file.
    pub(crate) fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.root.join(path))
            .map_err(|error| format!("cannot read {path}: {error}"))
    }
}
