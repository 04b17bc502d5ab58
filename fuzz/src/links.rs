//! What other sites show and say: cards, prefaces, frames, messages.

use einhorn_core::link::Message;
use einhorn_links::card::{Card, check_address};
use einhorn_links::frame::{Frame, HEADER_OCTETS};
use einhorn_links::preface::{PREFACE_OCTETS_MAX, Preface, is_site_name};

/// A card that is read comes back from its own text, and everything on it can be used.
pub(crate) fn card(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let Ok(card) = Card::parse(text) else { return };
    assert!(is_site_name(&card.name) && !card.certificates.is_empty(), "{card:?}");
    for address in &card.addresses {
        assert_eq!(check_address(address), Ok(()));
    }
    let again = card.to_string();
    assert_eq!(Card::parse(&again), Ok(card), "{again}");
}

/// A preface is its octets, and whoever sends less than one cannot keep the reader waiting for more
/// than the longest.
pub(crate) fn preface(octets: &[u8]) {
    match Preface::parse(octets) {
        Ok(Some((preface, length))) => {
            assert_eq!(preface.encode(), octets[..length]);
            assert!(is_site_name(&preface.name) && length <= PREFACE_OCTETS_MAX);
            assert_eq!(Preface::parse(&octets[..length - 1]), Ok(None));
        }
        Ok(None) => assert!(octets.len() < PREFACE_OCTETS_MAX, "{} octets", octets.len()),
        Err(_) => {}
    }
}

/// A stream of frames is its octets.
pub(crate) fn frame(octets: &[u8]) {
    let mut rest = octets;
    let mut written = Vec::new();
    while let Ok(Some((frame, length))) = Frame::parse(rest) {
        assert!(length >= HEADER_OCTETS, "{length}");
        frame.write(&mut written);
        rest = &rest[length..];
    }
    assert_eq!(written, octets[..octets.len() - rest.len()]);
}

/// A message that is read comes back from its own octets.
pub(crate) fn link_message(octets: &[u8]) {
    let Ok(message) = Message::decode(octets) else { return };
    assert_eq!(Message::decode(&message.encode()), Ok(message));
}
