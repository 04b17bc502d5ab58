//! §3, comparison.

use crate::prelude::*;

cases![letters_compare_without_case, nothing_else_does];

fn letters_compare_without_case(server: &Server) {
    for letter in b'A'..=b'Z' {
        let name = format!("{}hain1.main.test.", letter as char);
        let reply = server.ask(&format!("{name} CNAME"));
        match letter {
            b'C' => reply.answers("chain1.main.test. 300 CNAME chain2.main.test."),
            _ => reply.name_error(MAIN_SOA),
        };
    }
}

/// `@` and `[` lie beside the letters, and differ from `` ` `` and `{` by the same bit.
fn nothing_else_does(server: &Server) {
    server.ask("under\\@at.main.test. A").answers("under\\@at.main.test. 300 A 192.0.2.86");
    server.ask("under`at.main.test. A").name_error(MAIN_SOA);
}
