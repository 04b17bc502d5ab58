//! §4.9, empty non-terminal wildcards.

use crate::prelude::*;

cases![empty_non_terminal_wildcards_cover];

/// An empty wildcard covers names all the same: no data.
fn empty_non_terminal_wildcards_cover(server: &Server) {
    server.ask("z.star.main.test. MX").no_data(MAIN_SOA);
    server.ask("y.z.star.main.test. MX").no_data(MAIN_SOA);
}
