//! Writes the archive that a Linux kernel unpacks as its first file system: cpio in the format
//! `newc` (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! It never reads a file: contents are given. Owners are root and times are zero, so that the same
//! contents are the same octets.

/// The number that begins each header.
const MAGIC: &str = "070701";
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const SECRET: u32 = 0o100_600;
const DEVICE: u32 = 0o020_600;
/// Names and contents begin at multiples of so many octets.
const ALIGNMENT: usize = 4;

/// An archive that is being written.
#[derive(Default)]
pub struct Archive {
    octets: Vec<u8>,
    inode: u32,
}

impl Archive {
    /// Adds a folder; its parents come before it.
    pub fn folder(&mut self, name: &str) {
        self.entry(name, FOLDER, (0, 0), &[]);
    }

    /// Adds a file that can be run.
    pub fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, (0, 0), content);
    }

    /// Adds a file that only its owner reads.
    pub fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, SECRET, (0, 0), content);
    }

    /// Adds a character device.
    pub fn device(&mut self, name: &str, major: u32, minor: u32) {
        self.entry(name, DEVICE, (major, minor), &[]);
    }

    /// Ends the archive. Several may follow one another: the kernel unpacks all of them.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry(TRAILER, 0, (0, 0), &[]);
        self.octets
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inode += 1;
        let fields = [
            self.inode,
            mode,
            0, // owner
            0, // group
            1, // links
            0, // time
            content.len() as u32,
            0, // device of the file system
            0,
            device.0,
            device.1,
            name.len() as u32 + 1,
            0, // checksum, which this format leaves out
        ];
        self.octets.extend(MAGIC.bytes());
        for field in fields {
            self.octets.extend(format!("{field:08x}").bytes());
        }
        self.octets.extend(name.bytes());
        self.octets.push(0);
        self.align();
        self.octets.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(ALIGNMENT), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_contents_are_aligned() {
        let mut archive = Archive::default();
        archive.folder("dev");
        archive.device("dev/null", 1, 3);
        archive.program("init", b"12345");
        let octets = archive.finish();
        assert_eq!(octets.len() % ALIGNMENT, 0);
        let text = String::from_utf8_lossy(&octets);
        let places: Vec<usize> = text.match_indices(MAGIC).map(|(at, _)| at).collect();
        assert_eq!(places.len(), 4);
        assert!(places.iter().all(|at| at % ALIGNMENT == 0));
        // The length of the content of `init`, the seventh field.
        assert_eq!(&text[places[2] + 54..places[2] + 62], "00000005");
        assert!(text.contains(TRAILER));
    }
}
