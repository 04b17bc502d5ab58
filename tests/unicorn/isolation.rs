//! What a machine may reach: nothing of the host. The node inside is told to fetch zones from the
//! host, and tries to.

use crate::cluster::Cluster;
use einhorn_harness::{SITES, await_that};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// What stands for the host in the two networks of a machine.
const HOST_INSIDE: [&str; 2] = ["10.0.2.2", "10.77.0.254"];

#[test]
fn a_machine_begins_nothing_towards_the_host() {
    let Some(cluster) = Cluster::describe("local", &[""]) else { return };
    cluster.up();
    // At every address that the host has, loopback too.
    let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
    let port = tcp.local_addr().expect("an address").port();
    let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a socket");
    tcp.set_nonblocking(true).expect("a mode");
    udp.set_nonblocking(true).expect("a mode");
    for (number, host) in HOST_INSIDE.iter().enumerate() {
        let (zone, primary) = (format!("zone{number}.example"), format!("{host}:{port}"));
        cluster.operate(0, &["zone", "add", &zone, "--primary", &primary]).good();
        await_that("a machine that has tried", || {
            let said = cluster.order(&["logs", SITES[0]]).good();
            let has_tried = said
                .lines()
                .any(|line| line.contains("cannot be refreshed") && line.contains(&primary));
            if has_tried { Ok(()) } else { Err(said) }
        });
    }
    let came = tcp.accept().map(drop).map_err(|error| error.kind());
    assert_eq!(came, Err(ErrorKind::WouldBlock));
    let came = udp.recv(&mut [0; 512]).map(drop).map_err(|error| error.kind());
    assert_eq!(came, Err(ErrorKind::WouldBlock));
}
