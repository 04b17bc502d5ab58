//! §6, connection handling.

use crate::prelude::*;

cases![pipelined_queries_are_all_answered, a_connection_is_used_again];

/// §6.2.1.1: pipelined queries are all answered, in any order (§7), each with its id.
fn pipelined_queries_are_all_answered(server: &Server) {
    let names = ["host", "nowhere", "alias", "deleg", "multi", "ent", "x.wild"];
    let queries: Vec<Query> = (0u16..)
        .zip(names)
        .map(|(id, name)| Query::of(&format!("{name}.main.test. A")).id(id))
        .collect();
    let octets: Vec<u8> = queries.iter().flat_map(|query| framed(&query.octets())).collect();
    let mut stream = server.connect();
    stream.write_all(&octets).expect("it takes the queries");
    let mut ids: Vec<u16> = queries.iter().map(|_| server.read(&mut stream).header.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..7).collect::<Vec<u16>>());
}

/// §6.2.3: the server leaves the connection open for another query.
fn a_connection_is_used_again(server: &Server) {
    let mut stream = server.connect();
    for id in 0..5 {
        let query = Query::of("host.main.test. A").id(id);
        stream.write_all(&framed(&query.octets())).expect("it takes the query");
        server.read(&mut stream).of(&query).answers("host.main.test. 300 A 192.0.2.1");
    }
}
