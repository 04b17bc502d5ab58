//! Sessions as clients see them: pipelined, split anywhere, slow, too many.

use super::*;
use crate::dispatch::tests::{ingress, query};
use crate::now_ms;
use crate::rate_limit::LimitSettings;
use crate::session::set_length;
use einhorn_wire::RecordType;
use einhorn_wire::message::Opcode;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Serves on a free port.
async fn start(limits: LimitSettings) -> (Arc<Ingress>, SocketAddr) {
    let ingress = ingress();
    let settings = crate::Settings { limits, ..Default::default() };
    ingress.settings.store(Arc::new(settings));
    let ingress = Arc::new(ingress);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let listener = TcpListener::from_std(listener).expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(Arc::clone(&ingress), listener));
    (ingress, address)
}

/// A query with this id, behind its length.
fn frame(id: u16) -> Vec<u8> {
    let mut message = query("host.example.", RecordType::A, Opcode::QUERY, None);
    message[..2].copy_from_slice(&id.to_be_bytes());
    let mut frame = vec![0, 0];
    frame.extend_from_slice(&message);
    set_length(&mut frame);
    frame
}

async fn read_id(stream: &mut TcpStream) -> std::io::Result<u16> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    assert_eq!(message[2] & 0x80, 0x80, "a response");
    Ok(u16::from_be_bytes([message[0], message[1]]))
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let end = stream.read(&mut [0; 512]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[tokio::test]
async fn messages_may_be_split_and_joined_anywhere() {
    let (_ingress, address) = start(LimitSettings::default()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("an option");
    let all: Vec<u8> = (0..3).flat_map(frame).collect();
    for octet in &all {
        stream.write_all(&[*octet]).await.expect("written");
    }
    for id in 0..3 {
        assert_eq!(read_id(&mut stream).await.expect("a reply"), id);
    }
    // Many at once: more than are read or written at once.
    let count = 5_000;
    let all: Vec<u8> = (0..count).flat_map(frame).collect();
    let (mut read, mut write) = stream.into_split();
    let writer = tokio::spawn(async move {
        write.write_all(&all).await.expect("written");
        write
    });
    for id in 0..count {
        let length = read.read_u16().await.expect("a length");
        let mut message = vec![0; length.into()];
        read.read_exact(&mut message).await.expect("a reply");
        assert_eq!(message[..2], id.to_be_bytes());
    }
    drop(writer.await.expect("written"));
}

#[tokio::test]
async fn a_message_that_dribbles_in_does_not_hold_its_place() {
    let limits = LimitSettings { tcp_message_seconds: 1, ..LimitSettings::default() };
    let (_ingress, address) = start(limits).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(&frame(1)).await.expect("written");
    assert_eq!(read_id(&mut stream).await.expect("a reply"), 1);
    let begun = Instant::now();
    let mut octets = frame(2).into_iter();
    let mut reply = [0; 512];
    let end = loop {
        // An octet, whenever a while passed without the connection being closed.
        if let Some(octet) = octets.next()
            && stream.write_all(&[octet]).await.is_err()
        {
            break Ok(0);
        }
        if let Ok(end) = timeout(Duration::from_millis(200), stream.read(&mut reply)).await {
            break end;
        }
    };
    assert!(matches!(end, Ok(0) | Err(_)), "closed, not answered: {end:?}");
    assert!(octets.len() > 0 && begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = LimitSettings { tcp_idle_seconds: 1, ..LimitSettings::default() };
    let (_ingress, address) = start(limits).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    closed(&mut stream).await;
}

#[tokio::test]
async fn the_oldest_idle_connection_makes_room() {
    let limits = LimitSettings { tcp_connections_max: 2, ..LimitSettings::default() };
    let (ingress, address) = start(limits).await;
    let mut streams = Vec::new();
    for id in 0..2 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(&frame(id)).await.expect("written");
        assert_eq!(read_id(&mut stream).await.expect("a reply"), id);
        streams.push(stream);
        // The next must come in a later millisecond to be younger.
        let now = now_ms();
        while now_ms() == now {
            tokio::task::yield_now().await;
        }
    }
    let mut third = TcpStream::connect(address).await.expect("connected");
    third.write_all(&frame(3)).await.expect("written");
    assert_eq!(read_id(&mut third).await.expect("a reply"), 3);
    closed(&mut streams[0]).await;
    streams[1].write_all(&frame(4)).await.expect("written");
    assert_eq!(read_id(&mut streams[1]).await.expect("a reply"), 4);
    assert_eq!(ingress.limited.connections_closed.load(Ordering::Relaxed), 1);
}
