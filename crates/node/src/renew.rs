//! New keys for a running site. Each is told to the others before it is used, and the old one stays
//! good until an operator retires it, so that nothing waits.

use crate::files::{self, FolderError, MIRROR_KEY};
use crate::inquiry::Inquiry;
use crate::operate::Operator;
use einhorn_core::model::registry::RegistryChange;
use einhorn_core::model::{Origin, Site};
use einhorn_ingress::control::{Answer, SiteKey};
use einhorn_links::Identity;
use std::fs;
use std::path::Path;

/// Folder, in the data folder, where new keys are made before they take the place of the old ones.
const NEW_FOLDER: &str = "renewed";

impl Operator {
    /// Gives this site a new key.
    pub(crate) fn renew(&self, key: SiteKey) -> Result<Answer, String> {
        let report = self.report()?;
        let known = report.registry.named(&self.site).map(|(_, site)| site.clone());
        let known = known.ok_or("this site has no links, or was not added by the others yet")?;
        let text = match key {
            SiteKey::Link => self.renew_link(known)?,
            SiteKey::Mirror => self.renew_mirror(known)?,
            SiteKey::Ledger => self.renew_ledger(report.origin, known)?,
        };
        Ok(Answer::Done { text, index: None })
    }

    fn new_folder(&self) -> Result<std::path::PathBuf, String> {
        let folder = self.data.join(NEW_FOLDER);
        // What an earlier attempt left was never used.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder)
    }

    /// Moves what was made into the data folder.
    fn take_in_use(&self, folder: &Path) -> Result<(), String> {
        let moved = fs::read_dir(folder).and_then(|mut files| {
            files.try_for_each(|file| {
                let file = file?;
                fs::rename(file.path(), self.data.join(file.file_name()))
            })
        });
        moved.map_err(|error| format!("{}: {error}", folder.display()))
    }

    fn renew_link(&self, mut known: Site) -> Result<String, String> {
        let links = self.links.as_ref().ok_or("this site has no links")?;
        let folder = self.new_folder()?;
        let identity = Identity::generate(&self.site).map_err(|error| error.to_string())?;
        identity.save(&folder).map_err(|error| error.to_string())?;
        known.certificates.push(identity.fingerprint());
        self.change_sites(RegistryChange::Put { site: known })?;
        self.take_in_use(&folder)?;
        links.set_identity(&identity).map_err(|error| error.to_string())?;
        Ok(format!(
            "new connections show a new certificate; when all sites are connected: einhorn site retire {}",
            self.site
        ))
    }

    fn renew_mirror(&self, mut known: Site) -> Result<String, String> {
        let folder = self.new_folder()?;
        let name = files::mirror_name(&self.data).map_err(|error| error.to_string())?;
        let key = files::make_key(&folder, MIRROR_KEY, &name).map_err(|error| error.to_string())?;
        known.mirror_keys.push(key.verifier().to_string());
        self.change_sites(RegistryChange::Put { site: known })?;
        self.take_in_use(&folder)?;
        self.tell(Inquiry::Mirror(Box::new(key)))?;
        Ok(format!(
            "other logs are cosigned with a new key; retire the old one with: einhorn site retire {}",
            self.site
        ))
    }

    /// A log has one key for ever, so the site goes on in its next log.
    fn renew_ledger(&self, own: Origin, mut known: Site) -> Result<String, String> {
        let next = own.generation + 1;
        let error = |error: FolderError| error.to_string();
        let name = files::ledger_name_of(&self.data, own.generation).map_err(error)?;
        let first = name.strip_suffix(&format!("/{}", own.generation)).unwrap_or(&name);
        let name = crate::recover::log_name(first, next);
        let key = files::signer(&self.data, next, &name, true).map_err(error)?;
        known.logs.insert(next, key.verifier().to_string());
        self.change_sites(RegistryChange::Put { site: known })?;
        // The first reason is enough.
        let _ = self.rebuild.set(format!("its next log, {name}, begins with a new key"));
        Ok(format!(
            "this site goes on in its next log, {name}, with a new key; the log before it stays as it is, and so does its key for those who check it"
        ))
    }
}
