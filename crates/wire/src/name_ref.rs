//! A domain name that lies in somebody else's octets: what a [`Name`] is without owning it.

use crate::name::{Labels, Name};
use std::fmt;

/// A borrowed absolute domain name in uncompressed wire form; equality ignores case (RFC 4343).
#[derive(Clone, Copy)]
pub struct NameRef<'a>(&'a [u8]);

impl<'a> NameRef<'a> {
    /// Takes octets that have been checked before, by [`Name::from_wire`] or by being a name's.
    pub fn from_valid_wire(wire: &'a [u8]) -> NameRef<'a> {
        debug_assert!(Name::from_wire(wire).is_ok());
        NameRef(wire)
    }

    /// The name in uncompressed wire form, root label included.
    pub fn as_wire(self) -> &'a [u8] {
        self.0
    }

    /// The labels from the left, without the root.
    pub fn labels(self) -> Labels<'a> {
        Labels { rest: self.0 }
    }

    /// The owned name.
    pub fn to_name(self) -> Name {
        Name::from_valid_wire(self.0)
    }
}

impl PartialEq for NameRef<'_> {
    // Length octets are below 64, so lowering them changes nothing.
    fn eq(&self, other: &NameRef<'_>) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for NameRef<'_> {}

impl PartialEq<Name> for NameRef<'_> {
    fn eq(&self, other: &Name) -> bool {
        *self == other.borrowed()
    }
}

impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(f, "\\{}", octet as char)?;
                    }
                    0x21..=0x7e => write!(f, "{}", octet as char)?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
