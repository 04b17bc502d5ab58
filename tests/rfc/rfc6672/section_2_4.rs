//! §2.4, names next to and below a DNAME.

use crate::prelude::*;

cases![nothing_below_the_owner_is_seen];

/// "resource records MUST NOT exist at any subdomain": what a zone has there is never seen; here
/// a name below a DNAME whose parent has data all the same.
fn nothing_below_the_owner_is_seen(server: &Server) {
    let reply = server.ask("nowhere.d.dname.test. DNAME");
    reply.set(flag::AA);
    assert_eq!(reply.answer_order()[0], "d.dname.test. DNAME", "{reply}");
}
