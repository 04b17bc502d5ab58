//! §4.5, SRV at a wildcard.

use crate::prelude::*;

cases![srv_at_a_wildcard];

/// SRV has no rule of its own: the prefix labels are matched by the asterisk.
fn srv_at_a_wildcard(server: &Server) {
    let reply = server.ask("_imap._tcp.srvwild.wild-apex.test. SRV");
    reply.answers("_imap._tcp.srvwild.wild-apex.test. 300 SRV 0 0 22 host.wild-apex.test.");
    let soa = "wild-apex.test. 60 SOA ns.main.test. hostmaster.main.test. 6 3600 600 86400 60";
    server.ask("_imap._tcp.srv.wild-apex.test. SRV").name_error(soa);
}
