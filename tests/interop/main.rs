//! Einhorn and the programs of others, talking to each other as users would make them; and the
//! protocol by hand, where no such program goes.

mod bonjour;
mod catalog;
mod conditions;
mod devices;
mod encrypted;
mod keys;
mod neighbours;
mod page;
mod pipelining;
mod policy;
mod protocol;
mod reading;
mod retries;
mod support;
mod transfer_in;
mod transfer_out;
mod update;
mod zone_files;
mod zones;
