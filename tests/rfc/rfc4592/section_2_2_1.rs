//! §2.2.1, an example.

use crate::prelude::*;

cases![synthesised, not_synthesised];

/// The responses of the section's first list, synthesised from a wildcard.
fn synthesised(server: &Server) {
    server.ask("host3.example. MX").answers("host3.example. 3600 MX 10 host1.example.");
    server.ask("host3.example. A").no_data(EXAMPLE_SOA);
    server.ask("foo.bar.example. TXT").answers("foo.bar.example. 3600 TXT \"this is a wildcard\"");
}

/// "would not be synthesized from any of the wildcards in the zone".
fn not_synthesised(server: &Server) {
    server.ask("host1.example. MX").no_data(EXAMPLE_SOA);
    server.ask("sub.*.example. MX").no_data(EXAMPLE_SOA);
    server.ask("_telnet._tcp.host1.example. SRV").name_error(EXAMPLE_SOA);
    let ns = "subdel.example. 3600 NS ns.example.com.
        subdel.example. 3600 NS ns.example.net.";
    server.ask("host.subdel.example. A").refers(ns, "");
    server.ask("ghost.*.example. MX").name_error(EXAMPLE_SOA);
}
