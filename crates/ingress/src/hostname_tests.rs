//! The hostname server as clients see it: one line, slow, too many.

use super::*;
use crate::dispatch::tests::ingress;
use crate::rate_limit::LimitSettings;

async fn start(limits: LimitSettings, zones: &[&str]) -> (Arc<Ingress>, SocketAddr) {
    let ingress = ingress();
    ingress.settings.store(Arc::new(crate::Settings { limits, ..Default::default() }));
    let ingress = Arc::new(ingress);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let listener = TcpListener::from_std(listener).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let zones: Vec<Name> = zones.iter().map(|zone| zone.parse().expect("a name")).collect();
    tokio::spawn(serve(Arc::clone(&ingress), listener, zones.into()));
    (ingress, address)
}

async fn ask(address: SocketAddr, parts: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    for part in parts {
        stream.write_all(part.as_bytes()).await.expect("written");
        stream.flush().await.expect("written");
    }
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer and the end");
    text
}

const HOST: &str = "HOST : 192.0.2.1 : HOST : : : :\r\n";

#[tokio::test]
async fn one_line_gets_one_answer_and_the_connection_closes() {
    let (ingress, address) = start(LimitSettings::default(), &["example."]).await;
    assert_eq!(ask(address, &["HNAME HOST\r\n"]).await, HOST);
    assert_eq!(ask(address, &["HNA", "ME ho", "st", "\n"]).await, HOST);
    assert_eq!(ask(address, &["HADDR 192.0.2.1\n", "VERSION\n"]).await, HOST, "the first line");
    let more = format!("HNAME HOST\r\n{}", "x".repeat(100_000));
    assert_eq!(ask(address, &[&more]).await, HOST, "whatever follows it");
    let long = "x".repeat(COMMAND_OCTETS_MAX);
    assert!(ask(address, &[&long]).await.starts_with("ERR : ILLCOM : "), "no end is needed then");
    let table = ask(address, &["ALL\r\n"]).await;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines, ["BEGIN :", HOST.trim_end(), "DOMAIN : : EXAMPLE :", "END :"]);
    assert!(ingress.hostname_answers.load(Ordering::Relaxed) >= 6);
    let (_ingress, address) = start(LimitSettings::default(), &["example.", "gone."]).await;
    assert!(ask(address, &["HNAME HOST\r\n"]).await.starts_with("ERR : TMPSYS : "));
}

#[tokio::test]
async fn who_is_slow_to_ask_is_sent_away() {
    let limits = LimitSettings { tcp_message_seconds: 1, ..LimitSettings::default() };
    let (_ingress, address) = start(limits, &["example."]).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"HNAME").await.expect("written");
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn too_many_connections_close_one_that_is_idle() {
    let limits = LimitSettings {
        tcp_connections_per_source_max: 2,
        exempt: Vec::new(),
        ..LimitSettings::default()
    };
    let (ingress, address) = start(limits, &["example."]).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        idle.push(TcpStream::connect(address).await.expect("connected"));
    }
    assert_eq!(ask(address, &["HNAME HOST\r\n"]).await, HOST);
    let mut answers = Vec::new();
    for mut stream in idle {
        // Of one that was closed either may fail.
        _ = stream.write_all(b"HNAME HOST\r\n").await;
        let mut text = String::new();
        _ = stream.read_to_string(&mut text).await;
        answers.push(text);
    }
    answers.sort();
    assert_eq!(answers, ["", HOST], "one of the idle ones had to go");
    assert_eq!(ingress.limited.connections_closed.load(Ordering::Relaxed), 1);
}
