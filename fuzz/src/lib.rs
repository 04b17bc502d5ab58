//! Fuzz targets: every parser of bytes that come from outside, with what must hold of whatever it
//! accepts. A target panics when something does not hold, and does nothing else.
//!
//! An ordinary test replays the corpus and mutations of it on a stable compiler; the package in
//! `libfuzzer/` runs the same targets under libFuzzer.

mod agent;
mod bridge;
mod dns;
mod edge;
mod https;
mod ledger;
mod links;
mod live;
mod mainframe;
mod text;
mod unicorn;
mod world;

/// A target and its name, which is also its folder in `corpus/`.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("message", dns::message),
    ("answer", dns::answer),
    ("dispatch", dns::dispatch),
    ("update", dns::update),
    ("tsig", dns::tsig),
    ("name", text::name),
    ("zone_file", text::zone_file),
    ("key_file", text::key_file),
    ("key", text::key),
    ("control", text::control),
    ("dyndns", text::dyndns),
    ("card", links::card),
    ("preface", links::preface),
    ("frame", links::frame),
    ("link_message", links::link_message),
    ("entry", ledger::entry),
    ("snapshot", ledger::snapshot),
    ("note", ledger::note),
    ("checkpoint", ledger::checkpoint),
    ("add_checkpoint", ledger::add_checkpoint),
    ("cosignatures", ledger::cosignatures),
    ("proof", ledger::proof),
    ("history", ledger::history),
    ("verifier_key", ledger::verifier_key),
    ("tile_path", ledger::tile_path),
    ("tile", ledger::tile),
    ("bundle", ledger::bundle),
    ("model", agent::model),
    ("trace", agent::trace),
    ("cases", agent::cases),
    ("decision", agent::decision),
    ("copybook", mainframe::copybook),
    ("layout", mainframe::layout),
    ("mainframe_records", mainframe::records),
    ("mainframe_variable", mainframe::variable),
    ("cards", mainframe::cards),
    ("hosts_txt", bridge::hosts_txt),
    ("rfc606", bridge::rfc606),
    ("etc_hosts", bridge::etc_hosts),
    ("bridge_zone", bridge::bridge_zone),
    ("dhcpd_leases", bridge::dhcpd_leases),
    ("bridge_json", bridge::bridge_json),
    ("https_request", https::request),
    ("edge_option", edge::option),
    ("edge_queue", edge::queue),
    ("edge_dhcpd", edge::dhcpd),
    ("edge_kea", edge::kea),
    ("hostname_server", bridge::hostname_server),
    ("source_step", live::step),
    ("source_frozen", live::frozen),
    ("source_view", live::view),
    ("source_record", live::stored),
    ("unicorn_kernel", unicorn::kernel),
    ("unicorn_module", unicorn::module),
    ("unicorn_control", unicorn::control),
    ("unicorn_frame", unicorn::frame),
];

pub use mainframe::{CARD_COPYBOOK, CARD_LAYOUT, COPYBOOK, LAYOUT};
pub use world::{LOG_KEY_SEED, TSIG_KEY, ZONE_TEXT, snapshot_octets, stored_entries};
