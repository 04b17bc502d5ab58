//! The legacy bridge: translates between DNS state and the files in which host records have been
//! kept since 1970, both ways, without losing anything silently.
//!
//! A [`codec`] turns octets into [`record`]s and back; whatever it meets that is odd is a quirk,
//! whatever a format cannot hold is a declared loss, and an entry that cannot be understood is
//! quarantined with its octets. [`merge`] compares what a source said last, what it says now and
//! what the cluster says.
//!
//! It never opens a file or a socket, and never reads a clock: octets in, octets out.

pub mod cards;
pub mod codec;
pub mod codes;
pub mod convert;
pub mod copybook;
pub mod dhcpd_leases;
pub mod ebcdic;
pub mod etc_hosts;
mod held;
pub mod hostname_server;
pub mod hosts_txt;
pub mod item;
pub mod json;
mod lines;
pub mod live;
pub mod merge;
mod names;
pub mod record;
pub mod report;
pub mod rfc606;
pub mod text;
pub mod zone;
