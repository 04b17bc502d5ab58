//! The hostname server (RFC 953) of a running node, asked as in its days: with a line on TCP.

use super::support::{Bridge, EINHORN, OPEN, source};
use einhorn_harness::{ZONE, await_that, free_address, optional_peer, output, run};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

const TABLE: &str = "\
; Version number 1
NET : 10.0.0.0 : ARPANET :
HOST : 10.0.0.51, 26.0.0.73 : SRI-NIC.ARPA,SRI-NIC,NIC : DEC-2060 : TOPS20 : :
HOST : 10.0.0.2 : MIT-MC : PDP-10 : ITS : :
";

fn ask(server: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(server).expect("connected");
    stream.write_all(line.as_bytes()).expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer and the end");
    text
}

fn start() -> (Bridge, SocketAddr) {
    let server = free_address();
    let more = format!("[hostname-server]\nlisten = \"{server}\"\nzones = [\"{ZONE}\"]\n");
    (Bridge::start(&format!("{}{more}", source(OPEN))), server)
}

#[test]
fn it_answers_from_the_zone_as_it_is_now() {
    let (bridge, server) = start();
    let before = ask(server, "HNAME ANNAS-IPHONE\r\n");
    assert_eq!(before, "ERR : NAMNFD : Name not found :\r\n");
    bridge.device("annas-iphone", [10, 9, 9, 9]);
    let phone = "HOST : 10.9.9.9 : ANNAS-IPHONE : : : :\r\n";
    assert_eq!(ask(server, "HNAME ANNAS-IPHONE\r\n"), phone);
    assert_eq!(ask(server, "haddr 10.9.9.9\n"), phone);
    bridge.apply(&bridge.file("HOSTS.1", TABLE));
    let nic = ask(server, "HNAME nic\r\n");
    assert_eq!(nic.lines().count(), 1, "{nic}");
    for part in ["HOST : 10.0.0.51, 26.0.0.73 : SRI-NIC.ARPA,", ": DEC-2060 : TOPS20 :", "SRI-NIC"]
    {
        assert!(nic.contains(part), "{part} in {nic}");
    }
    assert_eq!(ask(server, "HNAME ARPANET\r\n"), "NET : 10.0.0.0 : ARPANET :\r\n");
    bridge.device_leaves("annas-iphone");
    assert_eq!(ask(server, "HNAME ANNAS-IPHONE\r\n"), before);
    for (line, answer) in [
        ("HADDR 1.2.3.4\r\n", "ERR : ADRNFD : "),
        ("QUIT\r\n", "ERR : ILLCOM : "),
        ("HELP\r\n", "HELP : "),
        ("VERSION\r\n", "VERSION : "),
    ] {
        let said = ask(server, line);
        assert!(said.starts_with(answer) && said.ends_with("\r\n"), "{line:?}: {said}");
    }
    let status = Command::new(EINHORN)
        .args(["status", "--data"])
        .arg(bridge.path().join("data"))
        .output()
        .expect("the status");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains(&format!("hostname server: {server} for {ZONE}")), "{status}");
}

#[test]
fn its_table_is_one_that_sources_could_have() {
    let (bridge, server) = start();
    bridge.apply(&bridge.file("HOSTS.1", TABLE));
    let table = ask(server, "ALL-OLD\r\n");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.first() == Some(&"BEGIN :") && lines.last() == Some(&"END :"), "{table}");
    let entries = lines[1..lines.len() - 1].join("\n") + "\n";
    let file = bridge.file("ALL.TXT", &entries);
    let zone = bridge.path().join("all.zone");
    let mut convert = Command::new(EINHORN);
    convert.args(["bridge", "convert", "--from", "hosts-txt", "--to", "zone", "--origin", ZONE]);
    let said = run(convert.arg(&file).arg("--output").arg(&zone)).good();
    assert!(said.contains("0 quarantined"), "{said}");
    let shown = super::support::records(&std::fs::read_to_string(zone).expect("a zone file"));
    for record in bridge.records().iter().filter(|record| record.contains(" 86400 ")) {
        assert!(shown.contains(record), "{record} in {shown:#?}");
    }
}

#[test]
fn clients_of_all_kinds_are_served_and_idle_ones_are_in_nobodys_way() {
    let (bridge, server) = start();
    bridge.device("annas-iphone", [10, 9, 9, 9]);
    let phone = "HOST : 10.9.9.9 : ANNAS-IPHONE : : : :\r\n";
    let idle: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(server).expect("connected")).collect();
    // One that never takes its table does not keep others from theirs.
    let mut greedy = TcpStream::connect(server).expect("connected");
    greedy.write_all(b"ALL\r\n").expect("written");
    assert_eq!(ask(server, "HNAME ANNAS-IPHONE\r\n"), phone);
    assert!(ask(server, "ALL\r\n").contains(phone));
    drop((idle, greedy));
    if optional_peer("nc").is_some() {
        let (address, port) = (server.ip().to_string(), server.port().to_string());
        await_that("nc", || {
            let mut nc = Command::new("nc");
            let (_, said) = output(nc.args(["-w", "5", &address, &port]), "HNAME ANNAS-IPHONE\r\n");
            if said.contains(phone.trim_end()) { Ok(()) } else { Err(said) }
        });
    }
}
