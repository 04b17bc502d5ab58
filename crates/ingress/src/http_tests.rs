//! A witness over real HTTP: every status, restarts, rollbacks, and requests at the same time.

use super::*;
use crate::witness::fixture::{Log, cosigner, serve_witness};
use einhorn_core::ledger::Note;
use einhorn_core::ledger::witness::Request;
use einhorn_store::ledger::{OsFiles, Witness};

/// Status, content type and body.
fn post(base: &str, body: &str) -> (u16, String, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let agent = ureq::Agent::new_with_config(config);
    let mut response = agent.post(&format!("{base}/add-checkpoint")).send(body).expect("an answer");
    let kind = response.body().mime_type().unwrap_or_default().to_owned();
    let text = response.body_mut().read_to_string().expect("text");
    (response.status().as_u16(), kind, text)
}

fn witness(folder: &tempfile::TempDir, logs: &[&Log]) -> Arc<Witness> {
    let files = Arc::new(OsFiles::open(folder.path()).expect("a folder"));
    let witness = Witness::new(files, cosigner("witness.example", 1)).expect("a cosigner's key");
    for log in logs {
        witness.follow(log.key().name(), vec![log.key()]);
    }
    Arc::new(witness)
}

fn assert_cosigned(answer: &(u16, String, String), note: &str) {
    assert_eq!(answer.0, 200, "{answer:?}");
    let whole = format!("{note}{}", answer.2);
    let note = Note::parse(whole.as_bytes()).expect("a note");
    let key = cosigner("witness.example", 1);
    assert_eq!(note.cosigned_at(key.verifier()), Ok(serve_witness::NOW_SECONDS), "{answer:?}");
}

#[test]
fn every_answer_of_the_standard() {
    let (log, folder) = (Log::new("einhorn/berlin"), tempfile::tempdir().expect("a folder"));
    let stranger = Log::new("einhorn/oslo");
    let server = serve_witness::start(witness(&folder, &[&log]));
    let (seven, more) = (log.grow_to(7), log.grow_to(300));
    assert_cosigned(&post(&server.url, &log.request(0, &seven)), &seven.note);
    let conflict = (409, SIZE_CONTENT_TYPE.to_owned(), "7\n".to_owned());
    assert_eq!(post(&server.url, &log.request(0, &more)), conflict);
    assert_eq!(post(&server.url, &log.request(6, &more)), conflict);
    let status = |body: &str| post(&server.url, body).0;
    assert_eq!(status("old 7\n"), 400);
    assert_eq!(status(&log.request(7, &more).replacen("old 7", "old 301", 1)), 400);
    assert_eq!(status(&stranger.request(0, &stranger.grow_to(1))), 404);
    let forged = Log::with_seed("einhorn/berlin", 9);
    assert_eq!(status(&forged.request(0, &forged.grow_to(3))), 403);
    let bare = Request { old_size: 7, proof: Vec::new(), note: &more.note };
    assert_eq!(status(&bare.encode()), 422);
    assert_eq!(status(&"x".repeat(REQUEST_OCTETS_MAX + 1)), 413);
    assert_cosigned(&post(&server.url, &log.request(7, &more)), &more.note);
    assert_cosigned(&post(&server.url, &log.request(300, &more)), &more.note);
}

#[test]
fn after_a_restart_nothing_goes_back() {
    let (log, folder) = (Log::new("einhorn/berlin"), tempfile::tempdir().expect("a folder"));
    let (seven, ten, more) = (log.grow_to(7), log.grow_to(10), log.grow_to(300));
    let server = serve_witness::start(witness(&folder, &[&log]));
    assert_eq!(post(&server.url, &log.request(0, &seven)).0, 200);
    drop(server);
    let server = serve_witness::start(witness(&folder, &[&log]));
    assert_eq!(post(&server.url, &log.request(7, &more)).0, 200);
    drop(server);
    let server = serve_witness::start(witness(&folder, &[&log]));
    for body in [log.request(0, &seven), log.request(7, &seven), log.request(7, &ten)] {
        let told = (409, SIZE_CONTENT_TYPE.to_owned(), "300\n".to_owned());
        assert_eq!(post(&server.url, &body), told);
    }
    drop(server);
    // A damaged record is not a fresh start.
    let record = std::fs::read_dir(folder.path()).expect("files").next().expect("one");
    let path = record.expect("a file").path();
    let text = std::fs::read_to_string(&path).expect("a note").replacen("\n300\n", "\n007\n", 1);
    std::fs::write(&path, text).expect("a record to be written");
    let server = serve_witness::start(witness(&folder, &[&log]));
    assert_eq!(post(&server.url, &log.request(0, &seven)).0, 500);
}

/// Of requests that all start from one tree, one is first; the others are told so.
#[test]
fn requests_at_the_same_time_make_one_history() {
    let (log, folder) = (Log::new("einhorn/berlin"), tempfile::tempdir().expect("a folder"));
    let other = Log::new("einhorn/paris");
    let server = serve_witness::start(witness(&folder, &[&log, &other]));
    let bodies: Vec<(u64, String)> = (1..=16)
        .map(|size| (size, log.request(0, &log.grow_to(size))))
        .chain((1..=4).map(|size| (100 + size, other.request(0, &other.grow_to(size)))))
        .collect();
    let answers: Vec<(u64, (u16, String, String))> = std::thread::scope(|scope| {
        let threads: Vec<_> = bodies
            .iter()
            .map(|(size, body)| (*size, scope.spawn(|| post(&server.url, body))))
            .collect();
        threads.into_iter().map(|(size, thread)| (size, thread.join().expect("no panic"))).collect()
    });
    for of_log in [1..=16, 101..=104] {
        let answers = || answers.iter().filter(|(size, _)| of_log.contains(size));
        let first: Vec<u64> =
            answers().filter(|(_, answer)| answer.0 == 200).map(|(size, _)| *size).collect();
        let [first] = first[..] else {
            panic!("{answers:?}", answers = answers().collect::<Vec<_>>())
        };
        let told = format!("{}\n", first % 100);
        for (_, answer) in answers().filter(|(size, _)| *size != first) {
            assert_eq!((answer.0, &answer.2), (409, &told));
        }
    }
}
