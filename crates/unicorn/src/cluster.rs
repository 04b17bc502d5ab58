//! What a cluster of machines is, as its file says, and the folder in which it lives.
//!
//! It never starts anything; see [`crate::supervisor`].

use crate::{Error, system};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The description in a cluster's folder.
pub const CLUSTER_FILE: &str = "cluster.toml";
/// Sites of a cluster, at most; the last octet of their addresses counts them.
pub const SITES_MAX: usize = 16;
/// Memory of a machine, in MiB, if nothing else is said.
const MEMORY_MIB: u32 = 160;
/// Less than this, and Debian's kernel does not start.
const MEMORY_MIB_MIN: u32 = 96;
/// The path of a Unix socket has at most 107 octets, and this is what comes below the folder.
const FOLDER_OCTETS_MAX: usize = 60;
/// Where sites reach each other: this port at [`link_address`].
pub const LINK_PORT: u16 = 5301;
/// DNS and HTTP in each machine.
pub const DNS_PORT: u16 = 53;
/// See [`DNS_PORT`].
pub const HTTP_PORT: u16 = 8053;

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cluster {
    /// Folder of the image.
    pub image: PathBuf,
    /// Memory of each machine, in MiB.
    #[serde(default = "default_memory")]
    pub memory_mib: u32,
    /// Sites; the others join the first.
    pub site: Vec<Site>,
}

/// One site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Where its DNS is on the host.
    pub dns: SocketAddr,
    /// Where its HTTP is on the host.
    pub http: SocketAddr,
    /// A file whose text ends its configuration: zones, keys, grants. Files that it names are
    /// beside it in the machine.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// Files that the configuration names.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// What is wrong with its machine, to try out what happens then.
    #[serde(default)]
    pub faults: Faults,
}

/// What is wrong with a machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Faults {
    /// What its clock shows when it starts, such as `2001-01-01T00:00:00`, instead of the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<String>,
    /// So much of its disk is free when it starts, in MiB, instead of nearly all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_mib: Option<u64>,
}

fn default_memory() -> u32 {
    MEMORY_MIB
}

impl Cluster {
    /// Reads a description. Its relative paths start from its folder.
    ///
    /// # Errors
    /// It cannot be read, or says what cannot be.
    pub fn load(path: &Path) -> Result<Cluster, Error> {
        let text = std::fs::read_to_string(path).map_err(system("read", path))?;
        let wrong = |reason: String| Error::Malformed { path: path.to_owned(), reason };
        let mut cluster: Cluster =
            toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        cluster.image = folder.join(&cluster.image);
        for site in &mut cluster.site {
            let files = site.files.iter_mut().chain(&mut site.config);
            files.for_each(|file| *file = folder.join(&*file));
        }
        cluster.check().map_err(wrong)?;
        Ok(cluster)
    }

    /// What is wrong with it.
    fn check(&self) -> Result<(), String> {
        if self.site.is_empty() || self.site.len() > SITES_MAX {
            return Err(format!("a cluster has 1 to {SITES_MAX} sites"));
        }
        if self.memory_mib < MEMORY_MIB_MIN {
            return Err(format!("memory-mib is at least {MEMORY_MIB_MIN}"));
        }
        for (place, site) in self.site.iter().enumerate() {
            if self.site[..place].iter().any(|other| other.name == site.name) {
                return Err(format!("two sites are called {}", site.name));
            }
            // It becomes one word of a command line.
            let is_word = |clock: &String| {
                clock.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | 'T'))
            };
            if !site.faults.clock.iter().all(is_word) {
                return Err("a clock shows a time such as 2001-01-01T00:00:00".to_owned());
            }
        }
        Ok(())
    }

    /// Keeps the description in the cluster's folder.
    ///
    /// # Errors
    /// It cannot be written, or the folder's path is too long for sockets below it.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let octets = folder.as_os_str().len();
        if octets > FOLDER_OCTETS_MAX {
            return Err(Error::Refused(format!(
                "{}: the path has {octets} octets, and sockets below it allow {FOLDER_OCTETS_MAX}: \
                 give a shorter one with --dir",
                folder.display()
            )));
        }
        let path = folder.join(CLUSTER_FILE);
        let text = toml::to_string(self)
            .map_err(|error| Error::Malformed { path: path.clone(), reason: error.to_string() })?;
        std::fs::write(&path, text).map_err(system("write", &path))
    }

    /// The place of a site.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn place(&self, name: &str) -> Result<usize, Error> {
        self.site.iter().position(|site| site.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.site.iter().map(|site| &*site.name).collect();
            Error::Refused(format!("no machine is called {name}; there are {}", names.join(", ")))
        })
    }
}

/// The address of a site's links in the network between machines.
pub fn link_address(place: usize) -> SocketAddr {
    (Ipv4Addr::new(10, 77, 0, place as u8 + 1), LINK_PORT).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_read_and_its_mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        let site = |name: &str| {
            format!(
                "[[site]]\nname = \"{name}\"\ndns = \"127.0.0.1:5300\"\nhttp = \"127.0.0.1:8053\"\nfiles = [\"a\"]\n"
            )
        };
        std::fs::write(&path, format!("image = \"i\"\n{}{}", site("a"), site("b"))).unwrap();
        let cluster = Cluster::load(&path).unwrap();
        assert_eq!((cluster.image, cluster.memory_mib), (folder.path().join("i"), MEMORY_MIB));
        assert_eq!(cluster.site[1].files, [folder.path().join("a")]);
        for wrong in [
            "image = \"i\"\nsite = []\n".to_owned(),
            format!("image = \"i\"\n{}{}", site("a"), site("a")),
            format!("image = \"i\"\n{}[site.faults]\nclock = \"0,x=y\"\n", site("a")),
        ] {
            std::fs::write(&path, wrong).unwrap();
            assert!(Cluster::load(&path).is_err());
        }
    }
}
