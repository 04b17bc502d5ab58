//! Files of DHCP servers, as they grow and are written anew, become addresses at every site.

use crate::edge::support::Edged;
use crate::sites::support::{await_value, named};
use einhorn_harness::{Client, await_that, scratch};
use einhorn_wire::RecordType;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

const KEA_HEADER: &str = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id\n";

fn dhcpd_lease(address: &str, host: &str, state: &str) -> String {
    format!(
        "lease {address} {{\n  ends never;\n  binding state {state};\n  client-hostname \"{host}\";\n}}\n"
    )
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).expect("the file");
    file.write_all(text.as_bytes()).expect("room");
}

#[test]
fn leases_become_addresses_and_end() {
    let folder = scratch();
    let (dhcpd, kea) = (folder.path().join("dhcpd.leases"), folder.path().join("kea-leases6.csv"));
    fs::write(&dhcpd, dhcpd_lease("0.0.0.7", "anna", "active")).expect("the file");
    fs::write(&kea, KEA_HEADER).expect("the file");
    let more = format!(
        "[[leases]]\nfile = \"{}\"\nformat = \"dhcpd\"\nzone = \"fleet.example\"\n[[leases]]\nfile = \"{}\"\nformat = \"kea\"\nzone = \"fleet.example\"\n",
        dhcpd.display(),
        kea.display()
    );
    let edged = Edged::start("local", &more);
    await_value(&edged.fleet, "anna", Some(7));
    append(&dhcpd, &dhcpd_lease("0.0.0.8", "ben", "active"));
    append(&dhcpd, &dhcpd_lease("0.0.0.7", "anna", "free"));
    await_value(&edged.fleet, "ben", Some(8));
    await_value(&edged.fleet, "anna", None);
    // As dhcpd does when its file has grown long.
    let new = folder.path().join("dhcpd.leases.new");
    fs::write(&new, dhcpd_lease("0.0.0.9", "ben", "active")).expect("the file");
    fs::rename(&new, &dhcpd).expect("the file");
    append(&dhcpd, &dhcpd_lease("0.0.0.8", "ben", "free"));
    await_value(&edged.fleet, "ben", Some(9));
    append(&kea, "2001:db8::5,00:01,3600,4000000000,1,1800,0,7,128,0,0,anna,,0,,,,0\n");
    let site = Client::new(edged.fleet.dns(0));
    await_that("an address of Kea", || {
        let reply = site.query(&named("anna"), RecordType::AAAA);
        if reply.answers.len() == 1 { Ok(()) } else { Err(format!("{reply:?}")) }
    });
    edged.await_empty();
    edged.fleet.check_end();
}
