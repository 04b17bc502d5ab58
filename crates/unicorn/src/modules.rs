//! Which kernel modules must be loaded, and in which order: those that are wanted, each after those
//! that its section `.modinfo` names in `depends=`.
//!
//! It never loads one; see [`crate::guest`] for that.

use crate::{Error, system};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What a guest needs of a kernel that has it as modules; what is built in is not there as a file.
pub const WANTED: [&str; 6] =
    ["virtio_mmio", "virtio_net", "virtio_blk", "virtio_rng", "virtio_console", "ext4"];
/// Some kernels call a module otherwise.
const ALIASES: [(&str, &str); 1] = [("virtio_rng", "virtio-rng")];
/// Folders below each other in a tree of modules, at most.
const DEPTH_MAX: usize = 12;

/// One module to load.
pub struct Module {
    /// Its name, with `_`.
    pub name: String,
    /// The file, as the kernel takes it.
    pub content: Vec<u8>,
}

/// The wanted modules of a tree (`/lib/modules/VERSION`) and all they depend on, in the order in
/// which they are to be loaded.
///
/// # Errors
/// A file that cannot be read, a compressed one, or one that is named but not there.
pub fn closure(tree: &Path) -> Result<Vec<Module>, Error> {
    let mut files = HashMap::new();
    collect(tree, 0, &mut files)?;
    let mut loaded = Vec::new();
    for name in WANTED {
        let alias = ALIASES.iter().find(|(known, _)| *known == name).map_or(name, |(_, as_)| as_);
        // What is not there is built in, or the machine does without and says so.
        if files.contains_key(&plain(alias)) {
            visit(&plain(alias), &files, &mut loaded, 0)?;
        }
    }
    Ok(loaded)
}

/// Module names compare with `_` for `-`.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn collect(folder: &Path, depth: usize, files: &mut HashMap<String, PathBuf>) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(system("read", folder))? {
        let entry = entry.map_err(system("read", folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(system("read", &path))?;
        if kind.is_dir() {
            collect(&path, depth + 1, files)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            files.insert(plain(name), path);
        }
    }
    Ok(())
}

fn visit(
    name: &str,
    files: &HashMap<String, PathBuf>,
    loaded: &mut Vec<Module>,
    depth: usize,
) -> Result<(), Error> {
    // The depth ends a circle, which no kernel build makes.
    if depth > DEPTH_MAX || loaded.iter().any(|module| module.name == name) {
        return Ok(());
    }
    // What is named and not there as a file is built in.
    let Some(path) = files.get(name) else { return Ok(()) };
    let mut content = std::fs::read(path).map_err(system("read", path))?;
    if path.extension().is_some_and(|kind| kind == "xz") {
        content = crate::kernel::unpack_xz(&content)
            .map_err(|reason| Error::Malformed { path: path.clone(), reason })?;
    }
    if !content.starts_with(b"\x7fELF") {
        let reason = "not an ELF file; only plain modules and .ko.xz are known".to_owned();
        return Err(Error::Malformed { path: path.clone(), reason });
    }
    for needed in depends(&content) {
        visit(&plain(&needed), files, loaded, depth + 1)?;
    }
    loaded.push(Module { name: name.to_owned(), content });
    Ok(())
}

/// What a module says that it depends on.
pub fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..].split(|octet| *octet == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(depends: &str) -> Vec<u8> {
        format!("\x7fELF\0license=GPL\0depends={depends}\0name=x\0").into_bytes()
    }

    #[test]
    fn what_a_module_needs_comes_before_it() {
        let tree = tempfile::tempdir().unwrap();
        let put = |name: &str, depends| {
            std::fs::write(tree.path().join(format!("{name}.ko")), module(depends)).unwrap();
        };
        put("virtio_net", "net_failover,virtio-ring");
        put("net_failover", "failover");
        put("failover", "");
        put("virtio_ring", "");
        put("virtio-rng", "virtio_ring");
        put("unwanted", "");
        let names: Vec<String> =
            closure(tree.path()).unwrap().into_iter().map(|module| module.name).collect();
        assert_eq!(names, ["failover", "net_failover", "virtio_ring", "virtio_net", "virtio_rng"]);
    }

    #[test]
    fn a_file_that_is_no_module_is_refused() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join("virtio_blk.ko"), b"zst?").unwrap();
        assert!(closure(tree.path()).is_err());
    }
}
