//! What nearly every case uses.

pub(crate) use crate::case::cases;
pub(crate) use crate::query::{Query, flag, option};
pub(crate) use crate::reply::{Reply, normal, records};
pub(crate) use crate::servers::{COOKIE_SECRET, IDENTITY, Server, sign};
pub(crate) use einhorn_harness::framed;
pub(crate) use einhorn_wire::{Class, Rcode, RecordType};
pub(crate) use std::io::Write;

/// The SOA of main.test. in negative answers.
pub(crate) const MAIN_SOA: &str =
    "main.test. 60 SOA ns1.main.test. hostmaster.main.test. 7 3600 600 86400 60";
/// The SOA of example. in negative answers.
pub(crate) const EXAMPLE_SOA: &str =
    "example. 60 SOA ns.example.com. hostmaster.example.com. 1 3600 600 86400 60";
/// The SOA of target.test. in negative answers.
pub(crate) const TARGET_SOA: &str =
    "target.test. 30 SOA ns.target.test. hostmaster.target.test. 4 3600 600 86400 3600";
/// The SOA of dname.test. in negative answers.
pub(crate) const DNAME_SOA: &str =
    "dname.test. 60 SOA ns.dname.test. hostmaster.dname.test. 5 3600 600 86400 60";
/// The delegation of deleg.main.test.
pub(crate) const DELEG_NS: &str = "deleg.main.test. 300 NS ns.deleg.main.test.
    deleg.main.test. 300 NS ns.sibling.main.test.
    deleg.main.test. 300 NS ns.elsewhere.invalid.";
/// Its glue, the sibling's included.
pub(crate) const DELEG_GLUE: &str = "ns.deleg.main.test. 300 A 192.0.2.60
    ns.deleg.main.test. 300 AAAA 2001:db8::60
    ns.sibling.main.test. 300 A 192.0.2.61";
