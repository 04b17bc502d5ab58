//! Where a kernel comes from, and the plain ELF file inside a distribution's `vmlinuz`, which a
//! machine starts in a third less time (the entry for PVH).
//!
//! It never installs a package and never needs root.

use crate::{Error, lz4, system};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's package that depends on its newest kernel for virtual machines.
const PACKAGE: &str = "linux-image-cloud-amd64";
/// Octets of the largest kernel or module that is unpacked.
const UNPACKED_MAX: u64 = 512 << 20;
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";
const GZIP_MAGIC: &[u8] = b"\x1f\x8b\x08";
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// Where the header of a bzImage says `HdrS` (Linux, Documentation/arch/x86/boot.rst).
const HEADER_MAGIC_AT: usize = 0x202;
const SETUP_SECTORS_AT: usize = 0x1f1;
const PAYLOAD_OFFSET_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
const SECTOR_OCTETS: usize = 512;

/// A kernel and its modules.
pub struct Kernel {
    /// The `vmlinuz`, or a plain `vmlinux`.
    pub image: PathBuf,
    /// The tree of its modules, if it has any.
    pub modules: Option<PathBuf>,
}

/// Finds a kernel: the one that is given, this machine's in `/boot`, or the one in Debian's
/// package, which is fetched into `scratch` and unpacked there.
///
/// # Errors
/// None of these is there; the text says how to get one.
pub fn find(given: Option<&Path>, scratch: &Path) -> Result<Kernel, Error> {
    if let Some(image) = given {
        let modules = modules_of(image);
        return Ok(Kernel { image: image.to_owned(), modules });
    }
    if let Some(kernel) = newest_in(Path::new("/")) {
        return Ok(kernel);
    }
    let unpacked = scratch.join("kernel-package");
    if let Some(kernel) = newest_in(&unpacked) {
        return Ok(kernel);
    }
    fetch(scratch, &unpacked)?;
    newest_in(&unpacked)
        .ok_or_else(|| Error::Missing(format!("{}: no kernel was in it", unpacked.display())))
}

/// The kernel of the highest name below a root whose modules are there too.
fn newest_in(root: &Path) -> Option<Kernel> {
    let mut images: Vec<PathBuf> = std::fs::read_dir(root.join("boot"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| file_name(path).starts_with("vmlinuz-"))
        .collect();
    images.sort();
    images.into_iter().rev().find_map(|image| {
        std::fs::File::open(&image).ok()?;
        let modules = modules_of(&image)?;
        Some(Kernel { image, modules: Some(modules) })
    })
}

/// `ROOT/lib/modules/V` for `ROOT/boot/vmlinuz-V`.
fn modules_of(image: &Path) -> Option<PathBuf> {
    let name = file_name(image);
    let version = name.strip_prefix("vmlinuz-")?;
    let root = image.parent()?.parent()?;
    let trees = [root.join("lib/modules"), root.join("usr/lib/modules")];
    trees.into_iter().map(|tree| tree.join(version)).find(|tree| tree.is_dir())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn fetch(scratch: &Path, unpacked: &Path) -> Result<(), Error> {
    let missing = |reason: String| {
        Error::Missing(format!(
            "no kernel: {reason}. Give one with --kernel vmlinuz-VERSION (its modules in \
             ../lib/modules/VERSION), or let `apt-get download {PACKAGE}` work"
        ))
    };
    let run = |command: &mut Command| -> Result<String, Error> {
        let shown = format!("{:?}", command.get_program());
        let output = command.current_dir(scratch).output();
        let output = output.map_err(|error| missing(format!("{shown}: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(missing(format!("{shown}: {}", said.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let said = run(Command::new("apt-cache").args(["depends", PACKAGE]))?;
    let package = said.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let package = package.ok_or_else(|| missing(format!("apt knows no {PACKAGE}")))?;
    let package = format!("linux-image-{package}");
    run(Command::new("apt-get").args(["download", &package]))?;
    let files = std::fs::read_dir(scratch).map_err(system("read", scratch))?;
    let archive = files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| file_name(path).starts_with(&package) && file_name(path).ends_with(".deb"));
    let archive = archive.ok_or_else(|| missing(format!("{package} was not downloaded")))?;
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(unpacked))?;
    Ok(())
}

/// The ELF file in a bzImage, or the file itself if it is one.
///
/// # Errors
/// What is wrong with it, or that its compression is not known (xz, gzip and lz4 are).
pub fn vmlinux(image: &[u8]) -> Result<Vec<u8>, String> {
    if image.starts_with(ELF_MAGIC) {
        return Ok(image.to_vec());
    }
    if image.get(HEADER_MAGIC_AT..HEADER_MAGIC_AT + 4) != Some(b"HdrS") {
        return Err("neither a bzImage nor an ELF file".to_owned());
    }
    let short = || "a bzImage that ends too early".to_owned();
    let word = |at: usize| -> Option<usize> {
        let octets = image.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(octets) as usize)
    };
    // Zero sectors stand for four.
    let sectors = match image.get(SETUP_SECTORS_AT).copied().ok_or_else(short)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let offset = word(PAYLOAD_OFFSET_AT).ok_or_else(short)?;
    let length = word(PAYLOAD_LENGTH_AT).ok_or_else(short)?;
    let start = (sectors + 1) * SECTOR_OCTETS + offset;
    let payload = image.get(start..start.saturating_add(length)).ok_or_else(short)?;
    let unpacked = if payload.starts_with(XZ_MAGIC) {
        unpack_xz(payload)?
    } else if payload.starts_with(GZIP_MAGIC) {
        unpack(flate2::read::GzDecoder::new(payload))?
    } else if payload.starts_with(lz4::MAGIC) {
        lz4::unpack(payload, UNPACKED_MAX as usize)?
    } else {
        return Err("a kernel that is compressed with none of xz, gzip and lz4".to_owned());
    };
    if unpacked.starts_with(ELF_MAGIC) {
        Ok(unpacked)
    } else {
        Err("what is in the bzImage is no ELF file".to_owned())
    }
}

/// Unpacks a file in the format xz.
pub(crate) fn unpack_xz(packed: &[u8]) -> Result<Vec<u8>, String> {
    unpack(lzma_rust2::XzReader::new(packed, false))
}

fn unpack(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let length = reader.take(UNPACKED_MAX).read_to_end(&mut unpacked);
    match length {
        Ok(length) if (length as u64) < UNPACKED_MAX => Ok(unpacked),
        Ok(_) => Err(format!("more than {UNPACKED_MAX} octets when unpacked")),
        Err(error) => Err(format!("cannot be unpacked: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn bz_image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR_OCTETS + 16];
        image[SETUP_SECTORS_AT] = 1;
        image[HEADER_MAGIC_AT..HEADER_MAGIC_AT + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET_AT] = 16;
        let length = payload.len() as u32;
        image[PAYLOAD_LENGTH_AT..PAYLOAD_LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
        image.extend(payload);
        image
    }

    #[test]
    fn the_kernel_is_unpacked() {
        let elf = b"\x7fELF and the rest";
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(elf).unwrap();
        let image = bz_image(&packer.finish().unwrap());
        assert_eq!(vmlinux(&image).as_deref(), Ok(&elf[..]));
        assert_eq!(vmlinux(elf).as_deref(), Ok(&elf[..]));
        // One that was cut off.
        for length in 0..image.len() {
            assert!(vmlinux(&image[..length]).is_err());
        }
    }
}
