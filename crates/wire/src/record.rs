//! Record types, classes and whole records.

use crate::name::Name;
use domain::base::iana;
use std::fmt;
use std::str::FromStr;

/// A record type (RFC 1035 §3.2.2), printed as `TYPE65280` when it has no name (RFC 3597 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(pub u16);

#[allow(missing_docs)] // the names are the documentation
impl RecordType {
    pub const A: RecordType = RecordType(1);
    pub const NS: RecordType = RecordType(2);
    pub const CNAME: RecordType = RecordType(5);
    pub const SOA: RecordType = RecordType(6);
    pub const PTR: RecordType = RecordType(12);
    pub const MX: RecordType = RecordType(15);
    pub const TXT: RecordType = RecordType(16);
    pub const AAAA: RecordType = RecordType(28);
    pub const SRV: RecordType = RecordType(33);
    pub const DNAME: RecordType = RecordType(39);
    pub const OPT: RecordType = RecordType(41);
    pub const DS: RecordType = RecordType(43);
    pub const RRSIG: RecordType = RecordType(46);
    pub const NSEC: RecordType = RecordType(47);
    pub const NXNAME: RecordType = RecordType(128);
    /// RFC 2535 §3, RFC 2930.
    pub const KEY: RecordType = RecordType(25);
    pub const DNSKEY: RecordType = RecordType(48);
    pub const NSEC3: RecordType = RecordType(50);
    pub const SVCB: RecordType = RecordType(64);
    pub const HTTPS: RecordType = RecordType(65);
    pub const TKEY: RecordType = RecordType(249);
    pub const TSIG: RecordType = RecordType(250);
    pub const IXFR: RecordType = RecordType(251);
    pub const AXFR: RecordType = RecordType(252);
    pub const MAILB: RecordType = RecordType(253);
    pub const MAILA: RecordType = RecordType(254);
    pub const ANY: RecordType = RecordType(255);
}

impl RecordType {
    /// Whether the type only has a meaning in questions or in messages, never in a zone: the
    /// QTYPE and meta-TYPE range of RFC 6895 §3.1, and OPT.
    pub fn is_meta(self) -> bool {
        (128..=255).contains(&self.0) || self == RecordType::OPT || self.0 == 0
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&iana::Rtype::from_int(self.0), f)
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that names no record type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a record type: use a name such as AAAA, or TYPE65280 for others")]
pub struct UnknownRecordType(pub String);

impl FromStr for RecordType {
    type Err = UnknownRecordType;

    fn from_str(text: &str) -> Result<RecordType, UnknownRecordType> {
        iana::Rtype::from_str(text)
            .map(|rtype| RecordType(rtype.to_int()))
            .map_err(|_| UnknownRecordType(text.to_owned()))
    }
}

/// A class (RFC 1035 §3.2.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class(pub u16);

#[allow(missing_docs)] // the names are the documentation
impl Class {
    pub const IN: Class = Class(1);
    pub const CH: Class = Class(3);
    pub const NONE: Class = Class(254);
    pub const ANY: Class = Class(255);
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&iana::Class::from_int(self.0), f)
    }
}

/// One resource record with its rdata in uncompressed wire form.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Owner name.
    pub owner: Name,
    /// Type.
    pub rtype: RecordType,
    /// Class; in an UPDATE it selects the operation (RFC 2136 §2.5).
    pub class: Class,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Record data, uncompressed.
    pub rdata: Box<[u8]>,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rdata = crate::rdata::Presentation { rtype: self.rtype, rdata: &self.rdata };
        write!(f, "{} {} {} {} {rdata}", self.owner, self.ttl, self.class, self.rtype)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
