//! Bringing catalogs and zones in line (RFC 9432): produced catalogs list what the zones' settings
//! say, and what a consumed one lists is followed here. Blocks; runs where it may.

use crate::operate::{operator_request, submit_all};
use einhorn_core::model::request::Action;
use einhorn_core::model::settings::Role;
use einhorn_core::model::{Zone, Zones};
use einhorn_core::rules::catalog::{self, Requests};
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
        Some(zone) if zone.settings.role == Role::Consumer => {
            let consumed = catalog::consume(zone, &zones);
            warnings = consumed.warnings;
            consumed.requests
        }
        // It is no catalog, or none any more: what it brought goes with it.
        _ => {
            let is_listed =
                |role: &Role| matches!(role, Role::Listed { catalog } if catalog == name);
            let count = zones.iter().filter(|zone| is_listed(&zone.settings.role)).count();
            if count > 0 {
                warnings.push(format!(
                    "{count} zones are to be listed in catalog {name}, which is not produced here"
                ));
            }
            catalog::abandon(name, &zones)
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

fn produce(catalog: &Zone, zones: &Zones) -> Requests {
    // Before it has content there is nothing to update; the first content asks for this again.
    if catalog.soa().is_none() {
        return Vec::new();
    }
    let operations = catalog::listing(catalog, zones);
    let update = |operations: &[_]| {
        let (prerequisites, operations) = (Vec::new(), operations.to_vec());
        (catalog.apex.clone(), Action::Update { prerequisites, operations, lease: None })
    };
    operations.chunks(OPERATIONS_MAX).map(update).collect()
}
