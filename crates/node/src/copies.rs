//! The files of copies of other sites' logs: tiles, bundles and checkpoints like the log's own, so
//! that an auditor can read any log at any site.
//!
//! Nobody waits for them: what this site cosigned is durable in its engine, and the files follow.

use crate::recover::log_id;
use crate::sealing::{Stretch, parts};
use einhorn_core::commit::Cosignature;
use einhorn_core::ledger::{SignedCheckpoint, VerifierKey};
use einhorn_core::model::{Origin, Registry};
use einhorn_store::engine::EngineReader;
use einhorn_store::ledger::{Mirror, OsFiles, SealError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Folder of the copies in the data folder.
const FOLDER: &str = "copies";

/// The folder of the copy of one log.
pub(crate) fn folder(data: &Path, origin: Origin) -> PathBuf {
    data.join(FOLDER).join(format!("{}.{}", origin.site, origin.generation))
}

/// The copies of all logs.
pub(crate) struct CopyFiles {
    data: PathBuf,
    registry: Arc<Registry>,
    keys: Vec<VerifierKey>,
    copies: BTreeMap<Origin, Copy>,
}

/// The copy of one log.
struct Copy {
    mirror: Mirror,
    /// The newest checkpoint, if its entries are not all written.
    checkpoint: Option<SignedCheckpoint>,
    /// The newest cosignature of each site that is not written.
    cosignatures: BTreeMap<u16, Cosignature>,
    /// Something went wrong; a restart tries again.
    is_broken: bool,
}

impl CopyFiles {
    pub(crate) fn new(data: &Path) -> CopyFiles {
        let registry = Arc::default();
        let copies = BTreeMap::new();
        CopyFiles { data: data.to_owned(), registry, keys: Vec::new(), copies }
    }

    /// The sites are these now, and these keys verify their cosignatures.
    pub(crate) fn trust(&mut self, registry: Arc<Registry>, keys: Vec<VerifierKey>) {
        (self.registry, self.keys) = (registry, keys);
        for (origin, copy) in &mut self.copies {
            if let Err(error) = copy.mirror.trust(self.keys.clone()) {
                tracing::warn!(%error, %origin, "cosigners know more of a log than its copy here");
            }
        }
    }

    /// A checkpoint was found to be right.
    pub(crate) fn checkpoint(&mut self, origin: Origin, checkpoint: SignedCheckpoint) {
        if let Some(copy) = self.copy(origin) {
            copy.checkpoint = Some(checkpoint);
        }
    }

    /// A cosignature was found to be right.
    pub(crate) fn cosignature(&mut self, cosignature: Cosignature) {
        if let Some(copy) = self.copy(cosignature.origin) {
            copy.cosignatures.insert(cosignature.site, cosignature);
        }
    }

    /// The files of one copy; none if they cannot be opened, which is logged once.
    pub(crate) fn mirror(&mut self, origin: Origin) -> Option<&mut Mirror> {
        self.copy(origin).map(|copy| &mut copy.mirror)
    }

    fn copy(&mut self, origin: Origin) -> Option<&mut Copy> {
        if !self.copies.contains_key(&origin) {
            let key = VerifierKey::parse(self.registry.log_key(origin)?).ok()?;
            let opened = self.open(origin, key);
            if let Err(error) = &opened {
                tracing::error!(%error, %origin, "the files of a copy cannot be opened");
            }
            let copy = Copy {
                mirror: opened.ok()?,
                checkpoint: None,
                cosignatures: BTreeMap::new(),
                is_broken: false,
            };
            self.copies.insert(origin, copy);
        }
        self.copies.get_mut(&origin).filter(|copy| !copy.is_broken)
    }

    fn open(&self, origin: Origin, key: VerifierKey) -> Result<Mirror, SealError> {
        let folder = folder(&self.data, origin);
        let io = |source| SealError::Io { path: folder.display().to_string(), source };
        std::fs::create_dir_all(&folder).map_err(io)?;
        let files = OsFiles::open(&folder).map_err(io)?;
        let mut mirror = Mirror::open(Arc::new(files), key)?;
        if let Err(error) = mirror.trust(self.keys.clone()) {
            tracing::warn!(%error, %origin, "cosigners know more of a log than its copy here");
        }
        Ok(mirror)
    }

    /// Writes what is due.
    pub(crate) fn write(&mut self, reader: &mut dyn EngineReader) {
        for (origin, copy) in self.copies.iter_mut().filter(|(_, copy)| !copy.is_broken) {
            if let Err(error) = copy.write(reader, *origin) {
                tracing::error!(%error, %origin, "the files of a copy are not written any more");
                copy.is_broken = true;
            }
        }
    }
}

impl Copy {
    fn write(
        &mut self,
        reader: &mut dyn EngineReader,
        origin: Origin,
    ) -> Result<(), Box<dyn std::error::Error>> {
        if let Some(checkpoint) = &self.checkpoint {
            let size = checkpoint.checkpoint.size;
            let mut read = Stretch::default();
            while self.mirror.sealed() < size && reader.next_index(log_id(origin))? >= size {
                let first = self.mirror.sealed();
                read.read(reader, origin, first, size)?;
                self.mirror.seal(first, &read.entries(), checkpoint)?;
            }
            if self.mirror.sealed() >= size {
                self.checkpoint = None;
            }
        }
        let sealed = self.mirror.sealed();
        for (site, cosignature) in std::mem::take(&mut self.cosignatures) {
            let Some((checkpoint, line)) = parts(&cosignature) else { continue };
            if checkpoint.size > sealed {
                self.cosignatures.insert(site, cosignature);
            } else {
                self.mirror.add_cosignatures(&checkpoint, &line)?;
            }
        }
        Ok(())
    }
}
