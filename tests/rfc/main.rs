//! What the RFCs want of a server of zones, checked against Einhorn, BIND, Knot and NSD alike.
//!
//! The path of a test is the section it checks and the implementation under test:
//! `rfc4592::section_3_3_1::closest_encloser::knot`. Where an implementation deviates, the case
//! says why, and docs/conformance.md lists it.

mod case;
mod conformance;
mod differential;
mod prelude;
mod query;
mod reply;
mod servers;

/// Declares the RFCs, and lists the cases of all.
macro_rules! rfcs {
    ($($rfc:ident)+) => {
        $(mod $rfc;)+
        /// The cases of every section of every RFC.
        const ALL: &[&[&[case::Case]]] = &[$($rfc::SECTIONS),+];
    };
}

rfcs!(
    rfc1034 rfc1035 rfc1995 rfc1996 rfc2181 rfc2308 rfc3597 rfc4035 rfc4343 rfc4592 rfc5001 rfc5936
    rfc6672 rfc6891 rfc7766 rfc7873 rfc8482 rfc8906 rfc8914 rfc9018 rfc9471
);
