//! Asking witnesses: our own, and ones that are badly behaved.

use super::fixture::{Log, cosigner, serve_witness};
use super::*;
use einhorn_store::ledger::{OsFiles, Witness};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

fn outside(url: &str) -> OutsideWitness {
    let key = cosigner("witness.example", 1).verifier().clone();
    OutsideWitness { url: url.to_owned(), key }
}

fn client(log: &Log, url: &str) -> Client {
    Client::new(outside(url), log.prove())
}

fn witness(folder: &tempfile::TempDir, log: &Log) -> Arc<Witness> {
    let files = Arc::new(OsFiles::open(folder.path()).expect("a folder"));
    let witness = Witness::new(files, cosigner("witness.example", 1)).expect("a cosigner's key");
    witness.follow(log.key().name(), vec![log.key()]);
    Arc::new(witness)
}

/// Answers the requests of one connection each with these texts.
fn canned(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            let mut octets = [0; 4096];
            // The note at the end of the body ends with its signature line.
            while !String::from_utf8_lossy(&request).contains("\n— ") || !request.ends_with(b"\n")
            {
                match stream.read(&mut octets) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend_from_slice(&octets[..count]),
                }
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[test]
fn a_witness_that_has_seen_part_of_the_log_tells_its_size() {
    let (log, folder) = (Log::new("einhorn/berlin"), tempfile::tempdir().expect("a folder"));
    let server = serve_witness::start(witness(&folder, &log));
    let mut first = client(&log, &server.url);
    let text = |line: &str| line.starts_with("— witness.example ");
    assert!(text(&first.ask(&log.grow_to(10)).expect("a cosignature")));
    // A client that has forgotten starts from 0 and is told 10.
    let mut second = client(&log, &server.url);
    assert!(text(&second.ask(&log.grow_to(700)).expect("a cosignature")));
    assert!(text(&first.ask(&log.grow_to(900)).expect("a cosignature")));
    assert_eq!((first.known_size, second.known_size), (900, 700));
    // The log was put back to an older state.
    let older = Log::new("einhorn/berlin");
    let result = client(&older, &server.url).ask(&older.grow_to(800));
    assert!(matches!(result, Err(AskError::Ahead { told: 900, size: 800 })), "{result:?}");
}

#[test]
fn bad_answers_are_errors() {
    let log = Log::new("einhorn/berlin");
    let signed = log.grow_to(5);
    let stranger = cosigner("witness.example", 2).cosign(&signed.checkpoint.body(), 1);
    let lines = answer("200 OK", "text/plain", &stranger.expect("a line"));
    let size = |size: &str| answer("409 Conflict", SIZE_CONTENT_TYPE, size);
    let cases: Vec<(Vec<String>, &str)> = vec![
        (vec![lines], "no cosignature by its key"),
        (vec![answer("200 OK", "text/plain", "")], "no cosignature by its key"),
        (vec![answer("403 Forbidden", "text/plain", "")], "status 403"),
        (vec![answer("302 Found", "text/plain", "")], "status 302"),
        (vec![size("nonsense\n")], "told no size"),
        (vec![answer("409 Conflict", "text/plain", "3\n")], "told no size"),
        (vec![size("6\n")], "restored from an older copy"),
        (vec![size("0\n")], "status 409"),
        (vec![size("1\n"), size("2\n"), size("3\n"), size("4\n")], "another size each time"),
        (vec![String::new()], ""),
    ];
    for (answers, expected) in cases {
        let url = canned(answers.clone());
        let error = client(&log, &url).ask(&signed).expect_err("no cosignature").to_string();
        assert!(error.contains(expected), "{answers:?}: {error}");
    }
}

/// One witness is away and one never answers; the third cosigns, and offering takes no time.
#[test]
fn a_witness_that_is_away_holds_up_nobody() {
    let (log, folder) = (Log::new("einhorn/berlin"), tempfile::tempdir().expect("a folder"));
    let server = serve_witness::start(witness(&folder, &log));
    let silent = TcpListener::bind("127.0.0.1:0").expect("an address");
    let silent_url = format!("http://{}", silent.local_addr().expect("an address"));
    let gone = TcpListener::bind("127.0.0.1:0").expect("an address");
    let gone_url = format!("http://{}", gone.local_addr().expect("an address"));
    drop(gone);
    let witnesses = [&silent_url, &gone_url, &server.url].map(|url| outside(url)).to_vec();
    let (sender, received) = mpsc::channel();
    let cosigned: Cosigned = Arc::new(move |checkpoint, line| {
        let _ = sender.send((checkpoint.size, line));
    });
    let started = Witnesses::start(witnesses, log.prove(), cosigned).expect("threads");
    let mut offered = std::time::Duration::ZERO;
    for size in [10, 300] {
        let signed = log.grow_to(size);
        let before = std::time::Instant::now();
        started.offer(signed);
        offered += before.elapsed();
        let (cosigned, line) = received.recv().expect("a cosignature");
        assert!(cosigned == size && line.starts_with("— witness.example "), "{cosigned}: {line}");
    }
    let before = std::time::Instant::now();
    drop(started);
    offered += before.elapsed();
    // Far below what any of the two would take to time out.
    assert!(offered < ANSWER_TIMEOUT / 10, "{offered:?}");
}

/// Under load only the newest checkpoint is asked for.
#[test]
fn checkpoints_in_between_are_skipped() {
    let board = Board::default();
    let log = Log::new("einhorn/berlin");
    for size in [1, 2, 3] {
        let mut state = board.lock();
        state.number += 1;
        state.newest = Some(log.grow_to(size));
    }
    let (number, signed) = board.next(0).expect("a checkpoint");
    assert_eq!((number, signed.checkpoint.size), (3, 3));
    board.lock().closed = true;
    assert_eq!(board.next(number), None);
    assert!(board.pause(RETRY_INTERVAL_MAX));
}
