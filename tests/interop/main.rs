//! Einhorn and the programs of others, talking to each other as users would make them; and the
//! protocol by hand, where no such program goes.

mod conditions;
mod keys;
mod page;
mod pipelining;
mod policy;
mod protocol;
mod reading;
mod retries;
mod support;
mod update;
mod zone_files;
mod zones;
