//! §2.3, apex redirection.

use crate::prelude::*;

cases![at_the_apex];

/// "If a DNAME is at the zone apex ... there is still a need to have the customary SOA and NS".
fn at_the_apex(server: &Server) {
    let soa = "apex-dname.test. 300 SOA ns.dname.test. hostmaster.dname.test. 5 3600 600 86400 60";
    server.ask("apex-dname.test. SOA").answers(soa);
    server.ask("apex-dname.test. TXT").answers("apex-dname.test. 300 TXT \"apex\"");
    let reply = server.ask("nowhere.at.all.apex-dname.test. CNAME");
    reply.answers(
        "apex-dname.test. 300 DNAME target.test.
         nowhere.at.all.apex-dname.test. 300 CNAME nowhere.at.all.target.test.",
    );
}
