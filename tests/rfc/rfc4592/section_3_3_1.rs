//! §3.3.1, closest encloser and source of synthesis.

use crate::prelude::*;

cases![closest_encloser, an_empty_closest_encloser, source_of_synthesis];

/// "the closest encloser is the node in the zone's tree ... with the most labels matching".
fn closest_encloser(server: &Server) {
    server.ask("host3.example. MX").answers("host3.example. 3600 MX 10 host1.example.");
    server.ask("_telnet._tcp.host1.example. TXT").name_error(EXAMPLE_SOA);
    server.ask("_chat._udp.host3.example. MX").answers("_chat._udp.host3.example. 3600 MX 10 host1.example.");
}

/// "there will always be exactly one closest encloser", an empty one as well.
fn an_empty_closest_encloser(server: &Server) {
    server.ask("x.below.entwild.main.test. A").answers("x.below.entwild.main.test. 300 A 192.0.2.73");
    server.ask("x.y.z.below.entwild.main.test. A").answers("x.y.z.below.entwild.main.test. 300 A 192.0.2.73");
    server.ask("x.entwild.main.test. A").name_error(MAIN_SOA);
}

/// The source of synthesis is the asterisk directly below the closest encloser, no other.
fn source_of_synthesis(server: &Server) {
    server.ask("x.real.wild.main.test. TXT").name_error(MAIN_SOA);
    server.ask("any.wild.main.test. TXT").answers("any.wild.main.test. 300 TXT \"wild\"");
}
