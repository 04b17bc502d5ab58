//! kill -9 of each site in turn, under load: nothing acknowledged at `majority` is lost, and
//! nothing is done twice, whichever site a device asks again.

use crate::sites::history;
use crate::sites::load::Devices;
use crate::sites::support::fleet;

/// Devices at each site.
const DEVICES: usize = 3;
/// Acknowledged updates between one fault and the next.
const BETWEEN: u64 = 60;

#[test]
fn each_site_is_killed_under_load() {
    let mut fleet = fleet("majority");
    let servers: Vec<_> = (0..fleet.count()).map(|site| fleet.dns(site)).collect();
    let mut devices = Devices::new(&fleet, DEVICES);
    devices.run(&servers, |doing| {
        for site in 0..fleet.count() {
            doing.await_more(BETWEEN);
            fleet.kill(site);
            // Names that are at home at the others go on.
            doing.await_more(BETWEEN / 4);
            fleet.start(site);
            doing.await_more(BETWEEN);
        }
    });
    devices.check(&fleet);
    fleet.check_end();
    history::check(&fleet);
}
