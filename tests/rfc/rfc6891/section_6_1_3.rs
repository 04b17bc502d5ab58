//! §6.1.3, OPT record TTL field use.

use crate::prelude::*;

cases![later_versions_are_badvers];

/// "If a responder does not implement the VERSION level of the request, then it MUST respond with
/// RCODE=BADVERS", with its highest version and without an answer.
fn later_versions_are_badvers(server: &Server) {
    for version in [1, 2, 255] {
        let reply = server.send(&Query::of("host.main.test. A").edns_version(version));
        reply.rcode(Rcode::BADVERS).answer_section("");
        assert_eq!(reply.edns().version, 0, "{reply}");
    }
}
