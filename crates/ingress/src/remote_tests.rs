//! Servers that answer badly.

use super::*;
use einhorn_wire::tsig::{self, KeyRing};

const KEY: &str = "hmac-sha256:k.:c2VjcmV0IHNlY3JldCBzZWNyZXQ=";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn soa(serial: u32) -> Vec<u8> {
    let mut soa = vec![0, 0];
    [serial, 1, 1, 1, 1].iter().for_each(|number| soa.extend(number.to_be_bytes()));
    soa
}

/// An answer with these records at `example.`.
fn answer(id: u16, rtype: RecordType, records: &[(RecordType, Vec<u8>)]) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, id, 65_000);
    writer.set_response(Opcode::QUERY, false);
    writer.set_authoritative();
    let apex = name("example.");
    writer.question(apex.as_wire(), rtype, Class::IN).expect("room");
    for (rtype, data) in records {
        let section = Section::Answer;
        writer.record(section, apex.as_wire(), *rtype, Class::IN, 1, data).expect("room");
    }
    octets
}

fn id_of(octets: &[u8]) -> u16 {
    u16::from_be_bytes([octets[0], octets[1]])
}

#[tokio::test]
async fn forged_datagrams_are_passed_over() {
    let server = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = server.local_addr().expect("an address");
    let serve = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, client) = server.recv_from(&mut buffer).await.expect("a question");
        let id = id_of(&buffer[..length]);
        let right = answer(id, RecordType::SOA, &[(RecordType::SOA, soa(7))]);
        let wrong = answer(id ^ 1, RecordType::SOA, &[(RecordType::SOA, soa(9))]);
        for octets in [&wrong[..], &buffer[..length], b"rubbish", &right[..]] {
            server.send_to(octets, client).await.expect("sent");
        }
    });
    let peer = Peer { address, key: None };
    assert_eq!(serial(&peer, &name("example.")).await.expect("a serial"), 7);
    serve.await.expect("served");
}

/// Serves one transfer of `count` messages over TCP, signing those that `signs` says.
async fn transfer_of(
    count: usize,
    signs: impl Fn(usize) -> bool + Send + 'static,
) -> Result<Content, RemoteError> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    let key: Arc<Key> = Arc::new(KEY.parse().expect("a key"));
    let mut ring = KeyRing::default();
    ring.insert((*key).clone());
    let serve = async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let length = stream.read_u16().await.expect("a length");
        let mut octets = vec![0; length.into()];
        stream.read_exact(&mut octets).await.expect("a question");
        let message = Message::parse(&octets).expect("a message");
        let now = now_ms() / 1000;
        let signed = tsig::verify(&message, &ring, now).expect("a good signature").expect("one");
        let mut signer = signed.response_signer();
        for index in 0..count {
            let mut records = Vec::new();
            if index == 0 {
                records.push((RecordType::SOA, soa(7)));
            }
            records.push((RecordType::TXT, vec![2, (index >> 8) as u8, index as u8]));
            if index + 1 == count {
                records.push((RecordType::SOA, soa(7)));
            }
            let mut octets = answer(id_of(&octets), RecordType::AXFR, &records);
            if signs(index) {
                signer.sign(&mut octets, 0, now);
            }
            stream.write_u16(octets.len() as u16).await.expect("sent");
            stream.write_all(&octets).await.expect("sent");
        }
        stream
    };
    let peer = Peer { address, key: Some(key) };
    let zone = name("example.");
    let (stream, content) = tokio::join!(serve, transfer(&peer, &zone, None));
    drop(stream);
    content
}

#[tokio::test]
async fn the_first_and_last_message_are_signed_and_few_are_not() {
    let good = transfer_of(150, |_| true).await;
    assert!(matches!(&good, Ok(Content::Whole(records)) if records.len() == 151), "{good:?}");
    let sparse = transfer_of(150, |index| index == 0).await;
    assert!(matches!(sparse, Err(RemoteError::Unsigned)), "{sparse:?}");
    let last = transfer_of(3, |index| index < 2).await;
    assert!(matches!(last, Err(RemoteError::Unsigned)), "{last:?}");
    let first = transfer_of(2, |index| index > 0).await;
    assert!(matches!(first, Err(RemoteError::Signature(ResponseError::Unsigned))), "{first:?}");
}

#[tokio::test]
async fn who_does_not_listen_is_named() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let peer = Peer { address: socket.local_addr().expect("an address"), key: None };
    drop(socket);
    let error = transfer(&peer, &name("example."), None).await.expect_err("nobody is there");
    assert!(error.to_string().starts_with("cannot connect"), "{error}");
    assert!(!error.is_of_content());
}
