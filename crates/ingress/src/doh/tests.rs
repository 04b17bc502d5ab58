//! DNS over HTTPS, spoken by hand: methods, statuses, secrets in paths, slow and greedy clients.

use super::*;
use crate::dispatch::tests::query;
use crate::rate_limit::LimitSettings;
use crate::tls::fixture::{Server, TOKEN, start};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use einhorn_wire::RecordType;
use einhorn_wire::message::Opcode;
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

async fn doh(limits: LimitSettings) -> Server {
    start(limits, |ingress, shared, listener| serve(ingress, shared, listener, None)).await
}

fn message() -> Vec<u8> {
    query("host.example.", RecordType::A, Opcode::QUERY, None)
}

fn get(path: &str) -> String {
    let dns = URL_SAFE_NO_PAD.encode(message());
    format!("GET {path}?dns={dns} HTTP/1.1\r\nhost: ns1.example\r\n\r\n")
}

fn post(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: ns1.example\r\ncontent-type: {MEDIA_TYPE}\r\n\
         content-length: {length}\r\n\r\n"
    )
}

async fn connect(server: &Server) -> TlsStream<TcpStream> {
    server.connect(&server.authority.client("http/1.1", None)).await.expect("a handshake")
}

/// Sends a request; status, head and body of what comes.
async fn send(stream: &mut TlsStream<TcpStream>, request: &[u8]) -> (u16, String, Vec<u8>) {
    stream.write_all(request).await.expect("written");
    stream.flush().await.expect("written");
    let mut octets = Vec::new();
    let head_end = loop {
        if let Some(at) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        assert!(stream.read_buf(&mut octets).await.expect("a response") > 0, "{octets:?}");
    };
    let head = String::from_utf8(octets[..head_end].to_vec()).expect("text").to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let length: usize = length.and_then(|text| text.parse().ok()).expect("a length");
    while octets.len() < head_end + length {
        assert!(stream.read_buf(&mut octets).await.expect("a body") > 0, "a whole body");
    }
    let status = head[9..12].parse().expect("a status");
    (status, head, octets.split_off(head_end))
}

#[tokio::test]
async fn both_methods_get_the_same_answer_for_as_long_as_it_is_good() {
    let server = doh(LimitSettings::default()).await;
    let mut stream = connect(&server).await;
    let got = send(&mut stream, get("/dns-query").as_bytes()).await;
    let posted = [post("/dns-query", message().len()).as_bytes(), &message()].concat();
    let posted = send(&mut stream, &posted).await;
    for (status, head, body) in [&got, &posted] {
        assert_eq!(*status, 200, "{head}");
        assert!(head.contains("content-type: application/dns-message\r\n"), "{head}");
        assert!(head.contains("cache-control: max-age=300\r\n"), "{head}");
        assert!(body.ends_with(&[0, 4, 192, 0, 2, 1]), "{body:?}");
    }
    assert_eq!(got.2, posted.2);
}

#[tokio::test]
async fn what_is_wrong_has_its_status_and_the_connection_goes_on() {
    let server = doh(LimitSettings::default()).await;
    let mut stream = connect(&server).await;
    let long = [post("/dns-query", 70_000).into_bytes(), vec![0; 70_000]].concat();
    let head = |line: &str| format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    for (request, expected) in [
        (get("/").into_bytes(), 404),
        (get("/dns-query/").into_bytes(), 404),
        (head("GET /dns-query").into_bytes(), 400),
        (head("GET /dns-query?dns=AAAA").into_bytes(), 400),
        (head("DELETE /dns-query").into_bytes(), 405),
        (head("POST /dns-query").into_bytes(), 415),
        (post("/dns-query", 0).into_bytes(), 400),
        (long, 413),
        (get("/dns-query").into_bytes(), 200),
    ] {
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        let (status, head, _) = send(&mut stream, &request).await;
        assert_eq!(status, expected, "{shown}: {head}");
        assert_eq!(head.contains("allow: get, post\r\n"), status == 405, "{head}");
    }
}

#[tokio::test]
async fn only_a_known_secret_opens_its_path_and_shows_where_the_device_is() {
    let server = doh(LimitSettings::default()).await;
    let mut stream = connect(&server).await;
    let known = format!("/dns-query/{TOKEN}");
    for (path, expected) in [(&*known, 200), ("/dns-query/guessed", 404), ("/dns-query", 200)] {
        assert_eq!(send(&mut stream, get(path).as_bytes()).await.0, expected, "{path}");
    }
    let here = [127, 0, 0, 1].into();
    let seen = [(TOKEN.to_owned(), here), ("guessed".to_owned(), here)];
    assert_eq!(server.noted.all(), seen);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = LimitSettings { tcp_message_seconds: 1, ..LimitSettings::default() };
    let server = doh(limits).await;
    let mut stream = connect(&server).await;
    let begun = [post("/dns-query", message().len()).as_bytes(), &message()[..5]].concat();
    assert_eq!(send(&mut stream, &begun).await.0, 408);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = LimitSettings { tcp_idle_seconds: 1, ..LimitSettings::default() };
    let server = doh(limits).await;
    for protocol in ["http/1.1", "h2"] {
        let client = server.authority.client(protocol, None);
        let mut stream = server.connect(&client).await.expect("a handshake");
        // HTTP/2 says something first, and again when it ends.
        match stream.read_to_end(&mut Vec::new()).await {
            Ok(_) => {}
            // Who says nothing of HTTP/2, as here, does not hear its goodbye either and is cut off.
            Err(error) if protocol == "h2" => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
            Err(error) => panic!("{protocol}: {error}"),
        }
    }
}

#[tokio::test]
async fn no_more_is_read_of_a_head_than_allowed() {
    let server = doh(LimitSettings::default()).await;
    let mut stream = connect(&server).await;
    let long = format!("GET /dns-query HTTP/1.1\r\nx: {}", "y".repeat(2 * HEAD_OCTETS_MAX));
    // It may be closed before it has taken everything.
    let _ = stream.write_all(long.as_bytes()).await;
    let _ = stream.flush().await;
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 431"), "{said:?}");
}
