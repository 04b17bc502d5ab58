//! What a change of the sites makes of the registry. Pure.

use crate::ledger::VerifierKey;
use crate::model::State;
use crate::model::registry::{Registry, RegistryChange, SITES_MAX, Site};

/// The registry after `change`.
///
/// # Errors
/// Why it is not done, for people.
pub(super) fn after(state: &State, change: &RegistryChange) -> Result<Registry, String> {
    let mut registry = (*state.registry).clone();
    match change {
        RegistryChange::Put { site } => put(&mut registry, site)?,
        RegistryChange::Remove { site } => {
            let name = known(&registry, *site)?;
            if *site == state.origin.site {
                return Err(format!("site {name} decides on the sites, so it stays"));
            }
            let log = state.log_of_site(*site);
            let is_open = log.is_some_and(|log| state.in_charge(log) == log);
            if is_open && log.is_some_and(|log| state.log(log).is_some()) {
                return Err(format!(
                    "names may be at home at site {name}: take it over first (einhorn site failover {name})"
                ));
            }
            registry.sites.remove(site);
        }
        RegistryChange::Suspend { site, is_suspended } => {
            known(&registry, *site)?;
            if let Some(site) = registry.sites.get_mut(site) {
                site.is_suspended = *is_suspended;
            }
            if registry.counted().next().is_none() {
                return Err("one site at least must count".to_owned());
            }
        }
        RegistryChange::Retire { site } => {
            known(&registry, *site)?;
            if let Some(site) = registry.sites.get_mut(site) {
                site.mirror_keys.drain(..site.mirror_keys.len().saturating_sub(1));
                site.certificates.drain(..site.certificates.len().saturating_sub(1));
            }
        }
        RegistryChange::Failover(failover) => registry.failover = *failover,
    }
    registry.home.get_or_insert(state.origin);
    registry.version += 1;
    Ok(registry)
}

fn known(registry: &Registry, site: u16) -> Result<String, String> {
    registry
        .sites
        .get(&site)
        .map(|site| site.name.clone())
        .ok_or(format!("there is no site {site}"))
}

/// A site joins, or says something new of itself.
fn put(registry: &mut Registry, site: &Site) -> Result<(), String> {
    for key in site.logs.values().chain(&site.mirror_keys) {
        VerifierKey::parse(key).map_err(|error| format!("`{key}` is no verifier key: {error}"))?;
    }
    let Some(number) = registry.named(&site.name).map(|(number, _)| number) else {
        if registry.sites.len() >= SITES_MAX {
            return Err(format!("there are {SITES_MAX} sites, which is the limit"));
        }
        registry.sites.insert(registry.next_number(), site.clone());
        return Ok(());
    };
    let Some(known) = registry.sites.get_mut(&number) else { return Ok(()) };
    for (generation, key) in &site.logs {
        // The key of a log is for ever.
        if known.logs.entry(*generation).or_insert_with(|| key.clone()) != key {
            return Err(format!(
                "site {} has another key for that log: is this another site of the same name?",
                site.name
            ));
        }
    }
    known.addresses.clone_from(&site.addresses);
    for key in &site.mirror_keys {
        known.mirror_keys.retain(|old| old != key);
        known.mirror_keys.push(key.clone());
    }
    for certificate in &site.certificates {
        known.certificates.retain(|old| old != certificate);
        known.certificates.push(*certificate);
    }
    Ok(())
}
