//! A case is a function that checks one thing of one section, for any server; the macro makes a
//! test of it for each implementation.

use crate::servers::{Kind, Server, running};
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How strongly the text wants what a deviating server does not do (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The server breaks a MUST, or plain words that leave no choice.
    Must,
    /// It does not follow a SHOULD.
    Should,
    /// The text leaves it to the server.
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        })
    }
}

/// An implementation that fails a case, and why that is understood.
#[derive(Debug)]
pub(crate) struct Deviation {
    pub(crate) server: Kind,
    pub(crate) level: Level,
    /// A part of what the case says when it fails; another failure is not this deviation.
    pub(crate) seen: &'static str,
    pub(crate) reason: &'static str,
}

/// One case.
pub(crate) struct Case {
    /// Such as `rfc::rfc4592::section_3_3_1`.
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) check: fn(&Server),
    pub(crate) deviations: &'static [Deviation],
}

/// The cases of a section: the name of each, and the implementations that deviate, in the form
/// `case [Knot Should "seen" "reason"]`.
macro_rules! cases {
    ($($case:ident
        $([$($server:ident $level:ident $seen:literal $reason:literal),+ $(,)?])?
    ),+ $(,)?) => {
        pub(crate) const CASES: &[$crate::case::Case] = &[$($crate::case::Case {
            module: module_path!(),
            name: stringify!($case),
            check: $case,
            deviations: &[$($($crate::case::Deviation {
                server: $crate::servers::Kind::$server,
                level: $crate::case::Level::$level,
                seen: $seen,
                reason: $reason,
            }),+)?],
        }),+];
        $(mod $case {
            #[test]
            fn einhorn() {
                $crate::case::run(super::CASES, stringify!($case), $crate::servers::Kind::Einhorn);
            }
            #[test]
            fn bind() {
                $crate::case::run(super::CASES, stringify!($case), $crate::servers::Kind::Bind);
            }
            #[test]
            fn knot() {
                $crate::case::run(super::CASES, stringify!($case), $crate::servers::Kind::Knot);
            }
            #[test]
            fn nsd() {
                $crate::case::run(super::CASES, stringify!($case), $crate::servers::Kind::Nsd);
            }
        })+
    };
}
pub(crate) use cases;

/// Runs a case against an implementation. One that is said to deviate must still do so, in the
/// same way.
pub(crate) fn run(cases: &[Case], name: &str, kind: Kind) {
    let Some(server) = running(kind) else { return };
    let case = cases.iter().find(|case| case.name == name).expect("a case");
    let deviation = case.deviations.iter().find(|deviation| deviation.server == kind);
    match (deviation, catch_unwind(AssertUnwindSafe(|| (case.check)(server)))) {
        (None, Ok(())) => {}
        (None, Err(panic)) => resume_unwind(panic),
        (Some(_), Ok(())) => panic!("{kind} passes {name} now: remove its deviation"),
        (Some(deviation), Err(panic)) => {
            let said = text(&*panic);
            assert!(
                said.contains(deviation.seen),
                "{kind} fails {name} in another way than `{}`: {said}",
                deviation.seen
            );
        }
    }
}

/// What a panic says.
fn text(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
