//! Zone files (RFC 1035 §5), read and written by the project's own reader and writer.
//!
//! The records of one owner that stand together are one host: `A` and `AAAA` are its addresses,
//! `HINFO` its machine and system, a `CNAME` that points to it a nickname. A name with a `PTR` into
//! `in-addr.arpa` is a network (RFC 1101 §3.1). All else is kept as it is, in `others`.

mod decode;
mod encode;
mod split;

pub use decode::decoder;
pub use encode::Encoder;

#[cfg(test)]
mod tests;
