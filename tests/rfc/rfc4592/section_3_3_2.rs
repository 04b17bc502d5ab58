//! §3.3.2, examples of both.

use crate::prelude::*;

cases![the_table];

/// The five rows of the section's table that the zone can show.
fn the_table(server: &Server) {
    server.ask("host3.example. TXT").answers("host3.example. 3600 TXT \"this is a wildcard\"");
    server.ask("_telnet._tcp.host1.example. TXT").name_error(EXAMPLE_SOA);
    server.ask("_dns._udp.host2.example. TXT").name_error(EXAMPLE_SOA);
    server.ask("_telnet._tcp.host3.example. TXT").answers("_telnet._tcp.host3.example. 3600 TXT \"this is a wildcard\"");
    server.ask("_chat._udp.host3.example. TXT").answers("_chat._udp.host3.example. 3600 TXT \"this is a wildcard\"");
    server.ask("foobar.*.example. TXT").name_error(EXAMPLE_SOA);
}
