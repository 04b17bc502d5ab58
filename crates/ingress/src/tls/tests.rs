//! DNS over TLS as clients see it: pipelined, with and without a certificate, beside others that
//! open connections and say nothing.

use super::fixture::{Authority, Server, identity, start};
use super::*;
use crate::dispatch::tests::query;
use crate::session::set_length;
use einhorn_wire::RecordType;
use einhorn_wire::message::{Message, Opcode};
use std::io;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

async fn dot(limits: LimitSettings) -> Server {
    start(limits, serve).await
}

/// A query with this id and these options, behind its length.
fn frame(id: u16, options: Option<&[u8]>) -> Vec<u8> {
    let mut message = query("host.example.", RecordType::A, Opcode::QUERY, options);
    message[..2].copy_from_slice(&id.to_be_bytes());
    let mut frame = vec![0, 0];
    frame.extend_from_slice(&message);
    set_length(&mut frame);
    frame
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut message = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Asks with this id; the octets of the answer.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, id: u16) -> io::Result<Vec<u8>> {
    stream.write_all(&frame(id, None)).await?;
    stream.flush().await?;
    let answer = read(stream).await?;
    assert_eq!(answer[..2], id.to_be_bytes());
    Ok(answer)
}

/// Waits until the server has closed the connection.
async fn closed<S: AsyncRead + Unpin>(stream: &mut S) {
    let end = stream.read(&mut [0; 512]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn messages_are_pipelined_and_padded_if_asked() {
    let server = dot(LimitSettings::default()).await;
    let client = server.authority.client("dot", None);
    let mut stream = server.connect(&client).await.expect("a handshake");
    let padding = [0, 12, 0, 3, 0, 0, 0];
    let all: Vec<u8> = (0..500).flat_map(|id| frame(id, Some(&padding))).collect();
    let (mut reading, mut writing) = tokio::io::split(stream);
    let writer = tokio::spawn(async move {
        writing.write_all(&all).await.expect("written");
        writing.flush().await.expect("written");
        writing
    });
    for id in 0..500_u16 {
        let answer = read(&mut reading).await.expect("an answer");
        assert_eq!((answer.len(), &answer[..2]), (468, &id.to_be_bytes()[..]));
    }
    stream = reading.unsplit(writer.await.expect("written"));
    let plain = ask(&mut stream, 1).await.expect("an answer");
    assert!(plain.len() < 100 && Message::parse(&plain).is_ok(), "{}", plain.len());
    assert_eq!(server.noted.all(), [], "nobody has shown who he is");
}

#[tokio::test]
async fn a_certificate_is_handed_on_with_the_address() {
    let server = dot(LimitSettings::default()).await;
    let pair = server.authority.issue("annas-iphone");
    let fingerprint: Fingerprint = Sha256::digest(&pair.certificate).into();
    let shown = server.authority.client("dot", Some(pair));
    let mut stream = server.connect(&shown).await.expect("a handshake");
    ask(&mut stream, 1).await.expect("an answer");
    let expected = format!("{:?}", crate::devices::Credential::Certificate(&fingerprint));
    assert_eq!(server.noted.all(), [(expected, [127, 0, 0, 1].into())]);
    // Another authority's is not taken. TLS 1.3 tells the client after its side of the handshake.
    let stranger = Authority::new().issue("annas-iphone");
    let shown = server.authority.client("dot", Some(stranger));
    let refused = match server.connect(&shown).await {
        Ok(mut stream) => ask(&mut stream, 2).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(server.noted.all().len(), 1);
}

#[tokio::test]
async fn other_protocols_and_plain_text_get_nowhere() {
    let server = dot(LimitSettings::default()).await;
    assert!(server.connect(&server.authority.client("h2", None)).await.is_err());
    let mut plain = TcpStream::connect(server.address).await.expect("connected");
    plain.write_all(&frame(1, None)).await.expect("written");
    let mut said = Vec::new();
    // An alert, and the end.
    let _ = plain.read_to_end(&mut said).await;
    assert!(said.len() < 10, "{said:?}");
}

#[tokio::test]
async fn early_data_is_never_taken() {
    let server = dot(LimitSettings::default()).await;
    let identity = server.encrypted.identity.load();
    assert_eq!((identity.dot.max_early_data_size, identity.doh.max_early_data_size), (0, 0));
}

#[tokio::test]
async fn who_says_nothing_takes_no_place_of_those_who_are_served() {
    let limits =
        LimitSettings { tls_handshakes_max: 3, tls_connections_max: 2, ..LimitSettings::default() };
    let server = dot(limits).await;
    let client = server.authority.client("dot", None);
    let mut first = server.connect(&client).await.expect("a handshake");
    ask(&mut first, 1).await.expect("an answer");
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(server.address).await.expect("connected"));
    }
    // All but three of them are closed, and so are those when others come.
    for stream in &mut silent[..47] {
        closed(stream).await;
    }
    let mut second = server.connect(&client).await.expect("a handshake");
    ask(&mut second, 2).await.expect("an answer");
    ask(&mut first, 3).await.expect("it is still served");
    assert!(server.ingress.limited.connections_closed.load(Ordering::Relaxed) >= 47);
    // A third one takes the place of the one that is idle for longest.
    let mut third = server.connect(&client).await.expect("a handshake");
    ask(&mut third, 4).await.expect("an answer");
    closed(&mut second).await;
}

#[tokio::test]
async fn a_handshake_takes_no_longer_than_allowed() {
    let limits = LimitSettings { tls_handshake_seconds: 1, ..LimitSettings::default() };
    let server = dot(limits).await;
    let mut silent = TcpStream::connect(server.address).await.expect("connected");
    closed(&mut silent).await;
    let mut slow = TcpStream::connect(server.address).await.expect("connected");
    // The start of a record that never ends.
    slow.write_all(&[22, 3, 1, 1, 0, 1]).await.expect("written");
    closed(&mut slow).await;
}

#[tokio::test]
async fn what_is_reloaded_counts_for_the_next_handshake() {
    let mut server = dot(LimitSettings::default()).await;
    let client = server.authority.client("dot", None);
    let mut before = server.connect(&client).await.expect("a handshake");
    ask(&mut before, 1).await.expect("an answer");
    server.authority = Authority::new();
    let renewed = identity(&server.authority, server.folder.path());
    server.encrypted.identity.store(Arc::new(renewed));
    assert!(server.connect(&client).await.is_err(), "it trusts the old authority, no ticket helps");
    let mut after =
        server.connect(&server.authority.client("dot", None)).await.expect("a handshake");
    ask(&mut after, 2).await.expect("an answer");
    ask(&mut before, 3).await.expect("open connections stay");
}
