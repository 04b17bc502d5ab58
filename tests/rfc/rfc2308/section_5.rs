//! §5, caching negative answers.

use crate::prelude::*;

cases![a_positive_soa_keeps_its_ttl, negative_answers_over_tcp_say_the_same];

fn a_positive_soa_keeps_its_ttl(server: &Server) {
    server.ask("main.test. SOA").answers(
        "main.test. 300 SOA ns1.main.test. hostmaster.main.test. 7 3600 600 86400 60",
    );
    server.ask("target.test. SOA").answers(TARGET_SOA);
}

fn negative_answers_over_tcp_say_the_same(server: &Server) {
    server.tcp(&Query::of("nowhere.main.test. A")).name_error(MAIN_SOA);
    server.send(&Query::of("nowhere.main.test. A").edns(1232)).name_error(MAIN_SOA);
}
