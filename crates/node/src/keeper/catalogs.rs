//! Bringing catalogs and zones in line (RFC 9432): produced catalogs list what the zones' settings
//! say, and what a consumed one lists is followed here. Blocks; runs where it may.

use crate::operate::{operator_request, submit_all};
use einhorn_core::model::request::Action;
use einhorn_core::model::settings::{Role, Settings};
use einhorn_core::model::{Zone, Zones};
use einhorn_core::rules::catalog::{self, Member};
use einhorn_ingress::Ingress;
use einhorn_wire::Name;

/// Operations in one request: with these an entry stays well below its greatest length.
const OPERATIONS_MAX: usize = 200;

/// Brings one catalog in line; gives what an operator should know about.
///
/// # Errors
/// What the commit refused; it is worth trying again.
pub(super) fn bring_in_line(ingress: &Ingress, name: &Name) -> Result<Vec<String>, String> {
    let zones = ingress.zones.snapshot();
    let mut warnings = Vec::new();
    let requests = match zones.get(name) {
        Some(zone) if zone.settings.role == Role::Producer => produce(zone, &zones),
        Some(zone) if zone.settings.role == Role::Consumer => consume(zone, &zones, &mut warnings),
        // It is no catalog any more: what it brought goes with it.
        _ => {
            members_here(name, &zones).map(|zone| (zone.apex.clone(), Action::RemoveZone)).collect()
        }
    };
    if requests.is_empty() {
        return Ok(warnings);
    }
    tracing::info!(catalog = %name, requests = requests.len(), "bringing in line");
    let requests = requests
        .into_iter()
        .map(|(zone, action)| operator_request(ingress, zone, action))
        .collect::<Result<Vec<_>, _>>()?;
    submit_all(ingress, requests)?;
    Ok(warnings)
}

type Requests = Vec<(Name, Action)>;

fn produce(catalog: &Zone, zones: &Zones) -> Requests {
    // Before it has content there is nothing to update; the first content asks for this again.
    if catalog.soa().is_none() {
        return Vec::new();
    }
    let operations = catalog::listing(catalog, zones);
    let update = |operations: &[_]| {
        let (prerequisites, operations) = (Vec::new(), operations.to_vec());
        (catalog.apex.clone(), Action::Update { prerequisites, operations })
    };
    operations.chunks(OPERATIONS_MAX).map(update).collect()
}

/// The zones that this catalog brought here.
fn members_here<'z>(catalog: &'z Name, zones: &'z Zones) -> impl Iterator<Item = &'z Zone> {
    let is_member = move |zone: &&Zone| matches!(&zone.settings.role, Role::Member { catalog: by, .. } if by == catalog);
    zones.iter().map(|zone| &**zone).filter(is_member)
}

fn consume(catalog: &Zone, zones: &Zones, warnings: &mut Vec<String>) -> Requests {
    // Not transferred yet: nothing is known, so nothing is done.
    if catalog.soa().is_none() {
        return Vec::new();
    }
    let members = match catalog::members(catalog) {
        Ok(members) => members,
        Err(error) => {
            warnings.push(format!("{error}; its zones stay as they are"));
            return Vec::new();
        }
    };
    let mut requests = Vec::new();
    for zone in members_here(&catalog.apex, zones) {
        if !members.contains_key(&zone.apex) {
            requests.push((zone.apex.clone(), Action::RemoveZone));
        }
    }
    for (name, member) in members {
        take_member(catalog, zones, name, member, &mut requests, warnings);
    }
    requests
}

/// What becomes of one zone that a consumed catalog lists (§5.2 to §5.6).
fn take_member(
    catalog: &Zone,
    zones: &Zones,
    name: Name,
    member: Member,
    requests: &mut Requests,
    warnings: &mut Vec<String>,
) {
    let role = Role::Member { catalog: catalog.apex.clone(), unique: member.unique.clone() };
    // A member is kept as its catalog is.
    let settings = Settings { role, ..(*catalog.settings).clone() };
    let Some(zone) = zones.get(&name) else {
        requests.push((name, Action::Configure(settings)));
        return;
    };
    match &zone.settings.role {
        Role::Member { catalog: by, unique } => {
            if *by != catalog.apex && !may_change_owner(zones, by, &name, &catalog.apex) {
                let (apex, by) = (&catalog.apex, by);
                warnings.push(format!("catalog {apex} lists zone {name}, which catalog {by} brought here and does not give away"));
                return;
            }
            // Another label is another zone of the same name: nothing of the old one stays.
            if *unique != member.unique {
                requests.push((name.clone(), Action::RemoveZone));
            } else if *zone.settings == settings {
                return;
            }
            requests.push((name, Action::Configure(settings)));
        }
        _ => warnings.push(format!(
            "catalog {} lists zone {name}, which is kept here for another reason; it stays as it is",
            catalog.apex
        )),
    }
}

/// Whether the catalog that brought `zone` here says that it may move to `to` (§4.3.1).
fn may_change_owner(zones: &Zones, from: &Name, zone: &Name, to: &Name) -> bool {
    let Some(from) = zones.get(from).filter(|from| from.settings.role == Role::Consumer) else {
        return false;
    };
    let members = catalog::members(from).unwrap_or_default();
    members.get(zone).is_some_and(|member| member.change_of_ownership.as_ref() == Some(to))
}
