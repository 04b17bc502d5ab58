//! §5, text representation.

use crate::prelude::*;

cases![
    spaces_and_parentheses,
    the_generic_form_of_known_types,
    the_generic_names_of_known_types,
    classes_by_number [
        Knot May "SERVFAIL"
            "the form is for unknown classes, and to use it for a known one is a MAY; Knot's zone \
             files know IN alone",
    ],
];

fn spaces_and_parentheses(server: &Server) {
    server
        .ask("spaced.types.test. TYPE65282")
        .answers(r"spaced.types.test. 300 TYPE65282 \# 6 010203040506");
}

fn the_generic_form_of_known_types(server: &Server) {
    server.ask("generic2.types.test. A").answers("generic2.types.test. 300 A 192.0.2.3");
    server.ask("genericmx.types.test. MX").answers("genericmx.types.test. 300 MX 10 Mail.Types.Test.");
}

fn the_generic_names_of_known_types(server: &Server) {
    server.ask("generic.types.test. A").answers("generic.types.test. 300 A 192.0.2.2");
}

fn classes_by_number(server: &Server) {
    server.ask("classed.class-form.test. A").answers("classed.class-form.test. 300 A 192.0.2.170");
}
