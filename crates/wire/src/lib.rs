//! Bytes ↔ messages: DNS messages, resource records, EDNS, TSIG and zone files.
//!
//! This is the only crate that knows the DNS library (`domain`), which parses and prints the
//! many record data types; everything above speaks in the types defined here. It never keeps
//! state: no zone, no key store with a life of its own, no clock.

pub mod canonical;
pub mod cookie;
pub mod edge;
pub mod edns;
pub mod key_file;
pub mod message;
pub mod name;
pub mod name_buffer;
pub mod name_ref;
pub mod rdata;
pub mod record;
pub mod tsig;
pub mod writer;
pub mod zonefile;

pub use message::{Header, Message, Opcode, ParseError, Question, Rcode};
pub use name::Name;
pub use name_ref::NameRef;
pub use record::{Class, Record, RecordType};
