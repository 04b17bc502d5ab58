//! Text that people and other programs write: names, zone files, keys, commands.

use crate::world::zone_name;
use einhorn_core::rules::zone::names_of_zone;
use einhorn_ingress::control::{Answer, Command};
use einhorn_ingress::http::dyndns::request::{
    self, Credentials, HOSTS_MAX, Wanted, client_address,
};
use einhorn_wire::tsig::Key;
use einhorn_wire::zonefile::ZoneFileError;
use einhorn_wire::{Name, Record, key_file, zonefile};
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// A name in text or wire form comes back from its text form.
pub(crate) fn name(octets: &[u8]) {
    let from_text = std::str::from_utf8(octets).ok().and_then(|text| text.parse().ok());
    for name in [from_text, Name::from_wire(octets).ok()].into_iter().flatten() {
        let text = name.to_string();
        let again: Result<Name, _> = text.parse();
        assert!(again.as_ref().is_ok_and(|again| *again == name), "{text} becomes {again:?}");
        assert_eq!(name.canonical_key().as_ref(), name.to_lowercase().canonical_key().as_ref());
        assert!(name.is_at_or_below(&Name::root()));
    }
}

/// Records that one input may make: `$GENERATE` makes many of few octets.
const RECORDS_MAX: usize = 2_000;

/// Loads a zone file that can only include itself, and looks at what the reader says of owners and
/// places.
fn load(octets: &[u8]) -> Option<Vec<Record>> {
    let read = &mut |path: &Path| match path == Path::new("zone") {
        true => Ok(octets.to_vec()),
        false => Err(io::ErrorKind::NotFound.into()),
    };
    let mut records: Vec<Record> = Vec::new();
    let loaded = zonefile::load_with(Path::new("zone"), &zone_name(), read, &mut |record| {
        let last = records.last().map(|last| last.owner.as_wire());
        assert!(!record.owner_repeats || last == Some(record.owner_wire()), "owner of {last:?}");
        records.push(record.to_record());
        if records.len() > RECORDS_MAX { Err("enough".to_owned()) } else { Ok(()) }
    });
    match loaded {
        Ok(()) => Some(records),
        Err(ZoneFileError::Content { line, column, reason, .. }) => {
            let text = octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets);
            let at = line.checked_sub(1).and_then(|n| text.split(|o| *o == b'\n').nth(n));
            // The end of the line is a place too.
            let columns = at.map_or(0, <[u8]>::len) + 1;
            assert!(at.is_some() && (1..=columns).contains(&column), "{line}:{column}: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A zone file that is read can be written and read again, with the same content.
pub(crate) fn zone_file(octets: &[u8]) {
    let Some(records) = load(octets) else { return };
    let mut text = Vec::new();
    if let Err(error) = zonefile::write(&mut text, &zone_name(), records.iter()) {
        panic!("a vector takes everything: {error}");
    }
    let again = load(&text);
    assert_eq!(again.as_ref(), Some(&records), "{}", String::from_utf8_lossy(&text));
    let _ = names_of_zone(&zone_name(), records);
}

pub(crate) fn key_file(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    for key in key_file::parse(text).into_iter().flatten() {
        assert!(!key.secret_base64().is_empty(), "a key without a secret");
    }
}

/// A key as on the command line: `ALGORITHM:NAME:BASE64`.
pub(crate) fn key(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let Ok(key) = text.parse::<Key>() else { return };
    let again = Key::from_text(&key.name().to_string(), key.algorithm(), &key.secret_base64());
    assert!(again.is_ok(), "a key that does not come back");
}

/// The control socket's commands and answers.
pub(crate) fn control(octets: &[u8]) {
    if let Ok(command) = serde_json::from_slice::<Command>(octets) {
        let text = serde_json::to_string(&command).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Command>(&text).ok(), Some(command));
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(octets) {
        let text = serde_json::to_string(&answer).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Answer>(&text).ok(), Some(answer));
    }
}

/// What dyndns2 clients send: the query of a URL, and headers.
pub(crate) fn dyndns(octets: &[u8]) {
    let shown = Credentials::parse(octets);
    assert!(shown.is_none_or(|shown| !shown.user.contains(':')), "a name with its password");
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let peer = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(client_address(peer, [text].into_iter(), |_| false), peer, "nobody's word");
    let said = client_address(peer, text.lines(), |address| address == peer);
    assert!(said == peer || text.contains(['.', ':']), "{said} out of nothing");
    let Ok(asked) = request::parse(text) else { return };
    assert!((1..=HOSTS_MAX).contains(&asked.hosts.len()), "{} hosts", asked.hosts.len());
    assert!(asked.hosts.iter().all(|host| !host.is_empty()), "a host without a name");
    if let Wanted::Given { v4: None, v6: None, prefix: None } = asked.wanted {
        panic!("given nothing");
    }
}
