//! Builds a bootable image: the kernel as an ELF file, and an archive with this program as `/init`
//! and the few modules that it loads. A program that is not static brings its libraries along.
//!
//! It never needs root, and puts nothing about a site into the image.

use crate::cpio::Archive;
use crate::{Error, kernel, libraries, modules, system};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernel in an image's folder.
pub const KERNEL_FILE: &str = "vmlinux";
/// The first file system in an image's folder.
pub const INITRD_FILE: &str = "image.cpio";
/// Where modules are in a machine, in the order of their names.
pub const MODULES_FOLDER: &str = "modules";
const ELF_INTERPRETER: u32 = 3;
/// The program while it is made smaller, in an image's folder.
const STRIPPED_FILE: &str = "program";
/// Octets of the largest program.
const PROGRAM_OCTETS_MAX: usize = 48 << 20;

/// What was built.
pub struct Built {
    /// The kernel it was made of.
    pub kernel: PathBuf,
    /// Octets of the kernel.
    pub kernel_octets: u64,
    /// Octets of the archive.
    pub initrd_octets: u64,
    /// Modules in it, in their order.
    pub modules: Vec<String>,
    /// What a program that is not static needs, which is in it too.
    pub libraries: Vec<PathBuf>,
}

/// Builds an image in `output` of the program `binary`.
///
/// # Errors
/// No kernel, a program whose libraries are not there, files that cannot be read or written.
pub fn build(given: Option<&Path>, binary: &Path, output: &Path) -> Result<Built, Error> {
    std::fs::create_dir_all(output).map_err(system("make", output))?;
    let program = stripped(binary, output)?;
    let libraries = match is_static(&program) {
        true => Vec::new(),
        false => libraries::of(binary)?,
    };
    let found = kernel::find(given, output)?;
    let packed = std::fs::read(&found.image).map_err(system("read", &found.image))?;
    let vmlinux = kernel::vmlinux(&packed)
        .map_err(|reason| Error::Malformed { path: found.image.clone(), reason })?;
    let loaded = match &found.modules {
        Some(tree) => modules::closure(tree)?,
        None => Vec::new(),
    };
    let mut archive = Archive::default();
    for folder in ["dev", "proc", "sys", "data", "seed", MODULES_FOLDER] {
        archive.folder(folder);
    }
    // The kernel opens the first for /init; a Rust program needs the second to begin.
    archive.device("dev/console", 5, 1);
    archive.device("dev/null", 1, 3);
    for (place, module) in loaded.iter().enumerate() {
        archive.file(&format!("{MODULES_FOLDER}/{place:03}-{}.ko", module.name), &module.content);
    }
    archive.program("init", &program);
    add_libraries(&mut archive, &libraries)?;
    let initrd = archive.finish();
    write(&output.join(KERNEL_FILE), &vmlinux)?;
    write(&output.join(INITRD_FILE), &initrd)?;
    Ok(Built {
        kernel: found.image,
        kernel_octets: vmlinux.len() as u64,
        initrd_octets: initrd.len() as u64,
        modules: loaded.into_iter().map(|module| module.name).collect(),
        libraries,
    })
}

/// The program without what only debuggers need, if `strip` is there: it would take the machine's
/// memory.
fn stripped(binary: &Path, output: &Path) -> Result<Vec<u8>, Error> {
    let small = output.join(STRIPPED_FILE);
    let made = Command::new("strip").arg("-o").arg(&small).arg(binary).output();
    let program = match made {
        Ok(made) if made.status.success() => {
            let program = std::fs::read(&small).map_err(system("read", &small));
            std::fs::remove_file(&small).map_err(system("remove", &small))?;
            program?
        }
        _ => std::fs::read(binary).map_err(system("read", binary))?,
    };
    match program.len() {
        0..=PROGRAM_OCTETS_MAX => Ok(program),
        octets => Err(Error::Refused(format!(
            "{} has {} MiB, too many for a machine's memory: `apt-get install binutils` brings \
             `strip`, which makes it small",
            binary.display(),
            octets >> 20
        ))),
    }
}

/// Each at its path on this host, where the linker in the machine looks for it too.
fn add_libraries(archive: &mut Archive, libraries: &[PathBuf]) -> Result<(), Error> {
    let mut folders = BTreeSet::new();
    for library in libraries {
        let above = library.ancestors().skip(1).filter(|folder| *folder != Path::new("/"));
        folders.extend(above);
    }
    // A folder comes before those in it.
    for folder in folders {
        archive.folder(&name_of(folder));
    }
    for library in libraries {
        let content = std::fs::read(library).map_err(system("read", library))?;
        archive.program(&name_of(library), &content);
    }
    Ok(())
}

/// Names in an archive begin at its root.
fn name_of(path: &Path) -> String {
    path.display().to_string().trim_start_matches('/').to_owned()
}

/// Replaces a file as a whole, so that a machine that starts sees the old one or the new one.
fn write(path: &Path, octets: &[u8]) -> Result<(), Error> {
    let draft = path.with_extension("new");
    std::fs::write(&draft, octets).map_err(system("write", &draft))?;
    std::fs::rename(&draft, path).map_err(system("write", path))
}

/// Whether it is an ELF file for x86-64 that asks for no interpreter.
fn is_static(program: &[u8]) -> bool {
    let number = |at: usize, length: usize| -> Option<u64> {
        let octets = program.get(at..at.checked_add(length)?)?;
        Some(octets.iter().rev().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
    };
    let headers = || -> Option<bool> {
        let is_x86_64 = number(0, 4)? == 0x464c_457f && number(0x12, 2)? == 62;
        let start = usize::try_from(number(0x20, 8)?).ok()?;
        let (size, count) = (number(0x36, 2)? as usize, number(0x38, 2)? as usize);
        for place in 0..count {
            if number(start.checked_add(place * size)?, 4)? == u64::from(ELF_INTERPRETER) {
                return Some(false);
            }
        }
        Some(is_x86_64)
    };
    headers().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_linker_is_known() {
        // This test itself is one on the systems on which it runs.
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(!is_static(&this));
        let mut bare = vec![0; 64];
        bare[..4].copy_from_slice(b"\x7fELF");
        bare[0x12] = 62;
        assert!(is_static(&bare));
        assert!(!is_static(&bare[..40]));
    }
}
