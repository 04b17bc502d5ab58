//! A device's update goes through an edge as if it had been sent to a site.

use crate::edge::support::{Edged, owner};
use crate::sites::history;
use crate::sites::support::{
    await_value, change, has_value, replacement, send, set, signed, value,
};
use einhorn_wire::message::Rcode;

#[test]
fn an_update_goes_through_once_under_the_devices_name() {
    let edged = Edged::start("local", "");
    edged.await_status("a nearest site", |status| !status["nearest"].is_null());
    let first = value();
    let octets = set("phone1", first);
    change(edged.dns(), &octets);
    await_value(&edged.fleet, "phone1", Some(first));
    // The same octets again are the same request, also after the next one.
    let second = value();
    change(edged.dns(), &set("phone1", second));
    assert_eq!(send(edged.dns(), &octets), Some(Rcode::NOERROR));
    await_value(&edged.fleet, "phone1", Some(second));
    // What a site refuses is refused.
    let refused = signed(&[has_value("phone1", first)], &replacement("phone1", value()));
    assert_eq!(send(edged.dns(), &refused), Some(Rcode::NXRRSET));
    edged.fleet.settle();
    let changes = edged.changes_of_devices();
    assert_eq!(changes, [(owner("phone1"), 1, first), (owner("phone1"), 2, second)]);
    history::check(&edged.fleet);
    let status = edged.await_status("three updates", |status| status["taken"] == 3);
    assert_eq!((&status["done"], &status["refused"]), (&2.into(), &1.into()), "{status:#}");
}
