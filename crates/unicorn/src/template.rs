//! The data disk of a machine: an empty ext4 file system of 1 GiB, made once with `mkfs.ext4` and
//! carried in the program, so that nobody needs root or that tool.
//!
//! It never touches a disk that is there.

use crate::{Error, system};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// `mkfs.ext4 -m 0 -N 65536 -J size=16 -O ^resize_inode,^metadata_csum_seed,^orphan_file` of a file
/// of [`DISK_OCTETS`]: its blocks that are not empty, each after its number (four octets, little
/// endian), compressed with gzip.
const TEMPLATE: &[u8] = include_bytes!("ext4.template");
const BLOCK_OCTETS: usize = 4096;
/// Octets of a disk; it takes only what is written of them.
pub const DISK_OCTETS: u64 = 1 << 30;

/// Makes an empty disk at `path`.
///
/// # Errors
/// The file is there already, or cannot be written.
pub fn write(path: &Path) -> Result<(), Error> {
    let file = File::create_new(path).map_err(system("make", path))?;
    file.set_len(DISK_OCTETS).map_err(system("make", path))?;
    let mut octets = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(TEMPLATE).read_to_end(&mut octets);
    unpacked.map_err(system("unpack the template for", path))?;
    for block in octets.chunks_exact(4 + BLOCK_OCTETS) {
        let (number, content) = block.split_at(4);
        let number = number.iter().rev().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
        file.write_all_at(content, number * BLOCK_OCTETS as u64).map_err(system("write", path))?;
    }
    file.sync_all().map_err(system("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_an_ext4_file_system_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.img");
        write(&path).unwrap();
        let mut magic = [0; 2];
        let file = File::open(&path).unwrap();
        // The superblock at 1024, its magic number at 0x38.
        file.read_exact_at(&mut magic, 1024 + 0x38).unwrap();
        assert_eq!(magic, [0x53, 0xef]);
        assert_eq!(file.metadata().unwrap().len(), DISK_OCTETS);
        assert!(write(&path).is_err());
    }
}
