//! What a program that is not static needs to run: the linker and the libraries that it asks for,
//! as the host's own linker finds them.
//!
//! It never copies anything.

use crate::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Libraries of a program, at most.
const LIBRARIES_MAX: usize = 64;
/// How a static program is made.
const STATIC: &str = "a static one needs none: `cargo rustc --release -p einhorn --bin einhorn -- \
                      -C target-feature=+crt-static -C strip=symbols`";

/// The files that `program` needs.
///
/// # Errors
/// It cannot run here either.
pub(crate) fn of(program: &Path) -> Result<Vec<PathBuf>, Error> {
    let trouble = |reason: String| {
        let program = program.display();
        Error::Missing(format!("the libraries of {program} are not found: {reason}; {STATIC}"))
    };
    let output = Command::new("ldd").arg(program).output();
    let output = output.map_err(|error| trouble(format!("ldd: {error}")))?;
    if !output.status.success() {
        return Err(trouble(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    parse(&String::from_utf8_lossy(&output.stdout)).map_err(trouble)
}

/// The paths that `ldd` shows, one a line: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the
/// linker; what has no path comes from the kernel.
fn parse(text: &str) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for line in text.lines().map(str::trim) {
        let file = line.split_once(" => ").map_or(line, |(_, file)| file);
        if file.starts_with("not found") {
            return Err(line.to_owned());
        }
        if file.starts_with('/') {
            let path = file.rsplit_once(" (").map_or(file, |(path, _)| path);
            paths.push(PathBuf::from(path));
        }
    }
    match paths.len() {
        1..=LIBRARIES_MAX => Ok(paths),
        count => Err(format!("{count} libraries")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_named_and_the_kernel_s_is_none() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f05)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f06)\n";
        let paths = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(parse(text), Ok(paths.map(PathBuf::from).to_vec()));
        assert!(parse("\tlibx.so => not found\n").is_err());
        assert!(parse("\tstatically linked\n").is_err());
        assert!(of(Path::new("/nowhere")).is_err());
    }
}
