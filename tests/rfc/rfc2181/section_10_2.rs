//! §10.2, PTR records.

use crate::prelude::*;

cases![many_ptr_records_are_well];

fn many_ptr_records_are_well(server: &Server) {
    server.ask("pointer.main.test. PTR").answers(
        "pointer.main.test. 300 PTR host.main.test.
         pointer.main.test. 300 PTR mail.main.test.",
    );
}
