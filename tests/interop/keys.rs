//! TSIG (RFC 8945) with keys that BIND's `tsig-keygen` makes, read from files as an operator
//! would configure them, and each way in which a signature can be wrong.

use crate::support::{EINHORN, Tool, configured, dig, short, site};
use einhorn_harness::{
    Client, KEY, SignedRequest, Site, ZONE, ZONE_FILE, address, key, now_seconds, peer, run,
    scratch, tsig_of, update_message,
};
use einhorn_wire::message::{Message, Rcode};
use std::fs;
use std::path::Path;
use std::process::Command;

const ALGORITHMS: [&str; 6] =
    ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];

/// A secret that no site here has, and the same as a BIND key clause.
const OTHER_SECRET: &str =
    "hmac-sha256:phone.:b3RoZXIgc2VjcmV0IG9mIHRoZSBwaG9uZSwgYSBsb25nIG9uZQ==";

/// A configuration of the usual zone, with key files whose keys have the files' names and may do
/// everything.
fn config(folder: &Path, key_names: &[String]) -> String {
    fs::write(folder.join("fleet.zone"), ZONE_FILE).expect("the zone file is written");
    let mut config = format!("[[zone]]\nname = \"{ZONE}\"\nfile = \"fleet.zone\"\n");
    for name in key_names {
        config += &format!(
            "[[key]]\nfile = \"{name}.key\"\n[[grant]]\nkey = \"{name}.\"\nzone = \"{ZONE}\"\nnames = [\"*\"]\ntransfer = true\n"
        );
    }
    config
}

/// The secret in a key clause.
fn secret_of(clause: &str) -> &str {
    clause.split('"').nth(3).expect("key \"NAME\" { …; secret \"SECRET\"; }")
}

/// Updates with the key in `file` and then transfers the zone with it.
fn update_and_transfer(site: &Site, file: &Path, owner: &str) {
    let file = file.to_str().expect("text");
    let add = format!("update add {owner} 60 TXT \"{owner}\"");
    let Some(updated) = Tool::Nsupdate.run(site, &["-k", file], &add) else { return };
    assert_eq!(updated.outcome(), "NOERROR", "{file}: {}", updated.text);
    let Some(text) = dig(site, &["+noall", "+answer", "-k", file, ZONE, "AXFR"]) else { return };
    assert!(text.contains(&format!("\"{owner}\"")), "{file}: {text}");
}

#[test]
fn every_algorithm_of_tsig_keygen_updates_and_transfers() {
    let Some(keygen) = peer("tsig-keygen") else { return };
    let folder = scratch();
    for algorithm in ALGORITHMS {
        let clause = run(Command::new(&keygen).args(["-a", algorithm, algorithm])).good();
        fs::write(folder.path().join(format!("{algorithm}.key")), clause).expect("written");
    }
    let site = configured(folder.path(), &config(folder.path(), &ALGORITHMS.map(str::to_owned)));
    for algorithm in ALGORITHMS {
        let file = folder.path().join(format!("{algorithm}.key"));
        update_and_transfer(&site, &file, &format!("{algorithm}.fleet.example."));
        let clause = fs::read_to_string(&file).expect("it is there");
        let key = format!("{algorithm}:{algorithm}.:{}", secret_of(&clause));
        let add = format!("update add k-{algorithm}.fleet.example. 60 TXT \"k\"");
        let Some(updated) = Tool::Knsupdate.update(&site, &key, &add) else { continue };
        assert_eq!(updated.outcome(), "NOERROR", "{algorithm}: {}", updated.text);
    }
}

/// BIND cuts the MAC where the clause says so, and names the whole algorithm on the wire. One
/// file must do for both ends.
#[test]
fn a_key_file_with_truncation_works_on_both_ends() {
    let Some(keygen) = peer("tsig-keygen") else { return };
    let folder = scratch();
    let names = ["hmac-sha256-128", "hmac-sha384-192", "hmac-sha512-256"];
    for name in names {
        let whole = name.rsplit_once('-').expect("bits").0;
        let clause = run(Command::new(&keygen).args(["-a", whole, name])).good();
        let clause = clause.replace(&format!("algorithm {whole};"), &format!("algorithm {name};"));
        assert!(clause.contains(&format!("algorithm {name};")), "{clause}");
        fs::write(folder.path().join(format!("{name}.key")), clause).expect("written");
    }
    let site = configured(folder.path(), &config(folder.path(), &names.map(str::to_owned)));
    for name in names {
        let file = folder.path().join(format!("{name}.key"));
        update_and_transfer(&site, &file, &format!("{name}.fleet.example."));
    }
}

#[test]
fn a_truncated_mac_is_taken_by_a_whole_key_unless_it_asks_for_more() {
    let Some(keygen) = peer("tsig-keygen") else { return };
    let folder = scratch();
    let whole = run(Command::new(keygen).args(["-a", "hmac-sha256", "phone"])).good();
    fs::write(folder.path().join("phone.key"), &whole).expect("written");
    let cut = folder.path().join("cut.key");
    fs::write(&cut, whole.replace("hmac-sha256;", "hmac-sha256-128;")).expect("written");
    let config = config(folder.path(), &["phone".to_owned()]);
    let site = configured(folder.path(), &config);
    update_and_transfer(&site, &cut, "cut.fleet.example.");
    assert_eq!(site.stop(), Some(0));

    let strict = config.replace("phone.key\"", "phone.key\"\nmac-octets-min = 20");
    let site = configured(folder.path(), &strict);
    let add = "update add strict.fleet.example. 60 A 192.0.2.7";
    let arguments = ["-k", cut.to_str().expect("text")];
    let Some(updated) = Tool::Nsupdate.run(&site, &arguments, add) else { return };
    assert!(updated.text.contains("BADTRUNC"), "{}", updated.text);
    assert_eq!(short(&site, "strict.fleet.example.", "A").unwrap_or_default(), [""; 0]);
}

#[test]
fn wrong_unknown_and_missing_signatures_are_told_apart() {
    let (_folder, site) = site();
    let add = "update add anna.fleet.example. 60 A 192.0.2.7";
    let unknown = OTHER_SECRET.replace("phone.", "nobody.");
    // The key's name with another algorithm is another key.
    let algorithm = KEY.replace("hmac-sha256", "hmac-sha512");
    for (key, nsupdate, knsupdate) in [
        (OTHER_SECRET, "NOTAUTH(BADSIG)", "BADSIG"),
        (&unknown, "NOTAUTH(BADKEY)", "BADKEY"),
        (&algorithm, "NOTAUTH(BADKEY)", "BADKEY"),
        ("", "REFUSED", "REFUSED"),
    ] {
        if let Some(updated) = Tool::Nsupdate.update(&site, key, add) {
            assert_eq!(updated.outcome(), nsupdate, "{key}: {}", updated.text);
        }
        if let Some(updated) = Tool::Knsupdate.update(&site, key, add) {
            assert!(
                updated.text.contains(&format!("status: {knsupdate};")),
                "{key}: {}",
                updated.text
            );
        }
        if let Some(text) = dig(
            &site,
            &if key.is_empty() {
                vec!["host.fleet.example.", "A"]
            } else {
                vec!["-y", key, "host.fleet.example.", "A"]
            },
        ) {
            // A query needs no signature, but a wrong one is an error there too.
            let wanted = if key.is_empty() { "status: NOERROR" } else { "status: NOTAUTH" };
            assert!(text.contains(wanted), "{key}: {text}");
        }
    }
    assert_eq!(short(&site, "anna.fleet.example.", "A").unwrap_or_default(), [""; 0]);
}

/// An update signed as of another time, and the answer.
fn signed_at(client: &Client, at_seconds: u64) -> Vec<u8> {
    let updates = [address("clock.fleet.example.", [192, 0, 2, 7])];
    let message = update_message(9, ZONE, &[], &updates, None);
    let request = SignedRequest::new(message, &key(), at_seconds);
    client.udp(&request.octets).expect("an answer")
}

#[test]
fn a_wrong_clock_is_told_the_right_time_under_signature() {
    let (_folder, site) = site();
    let now = now_seconds();
    for wrong in [now - 310, now + 310, now - 40 * 365 * 86_400] {
        let answer = signed_at(&site.client(), wrong);
        let message = Message::parse(&answer).expect("a message");
        assert_eq!(message.header.rcode(), Rcode::NOTAUTH);
        let tsig = tsig_of(&answer).expect("a signature");
        assert_eq!((tsig.error, tsig.mac_octets), (Rcode::BADTIME, 32), "{tsig:?}");
        // RFC 8945 §5.2.3: 48 bits of the server's time.
        let [a, b, c, d, e, f] = tsig.other[..] else { panic!("{tsig:?}") };
        let told = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        assert!((now..=now + 60).contains(&told), "{told}, but it is {now}");
    }
    assert_eq!(short(&site, "clock.fleet.example.", "A").unwrap_or_default(), [""; 0]);
    for close in [now - 280, now + 290] {
        let answer = signed_at(&site.client(), close);
        assert_eq!(Message::parse(&answer).expect("a message").header.rcode(), Rcode::NOERROR);
    }
}

#[test]
fn the_answer_to_a_wrong_clock_is_signed_with_the_key() {
    let (_folder, site) = site();
    let updates = [address("clock.fleet.example.", [192, 0, 2, 7])];
    let message = update_message(9, ZONE, &[], &updates, None);
    let mut octets = message;
    let mut pending = key().sign_request(&mut octets, 0, now_seconds() - 1_000);
    let answer = site.client().udp(&octets).expect("an answer");
    let verified = pending.verify(&Message::parse(&answer).expect("a message"));
    // It would be BADSIG, were the signature itself wrong.
    assert_eq!(
        verified.expect_err("refused").to_string(),
        "the server refused the signature: TSIG error RCODE18"
    );
}

#[test]
fn a_bad_key_file_is_named_with_its_line() {
    let folder = scratch();
    let text = config(folder.path(), &["phone".to_owned()]);
    for (clause, wanted) in [
        ("key \"phone\" {\n algorithm hmac-sha3;\n secret \"YQ==\";\n};\n", "line 1"),
        ("key \"phone\" {\n algorithm hmac-sha256\n secret \"YQ==\";\n};\n", "line 3"),
        ("", "no key clause"),
    ] {
        fs::write(folder.path().join("phone.key"), clause).expect("written");
        crate::support::write_config(folder.path(), &text);
        let mut command = Command::new(EINHORN);
        command.args(["serve", "--config"]).arg(folder.path().join("einhorn.toml"));
        let said = run(&mut command).failed(2);
        assert!(said.contains("phone.key") && said.contains(wanted), "{said}");
    }
}
