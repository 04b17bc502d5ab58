//! Text of unknown encoding: octets as they stood in a file.

use std::borrow::Cow;
use std::fmt;

/// A few octets of a file, which are meant as text but need not be ASCII or UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text(Box<[u8]>);

impl Text {
    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Whether it has no octets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As UTF-8, with `U+FFFD` for what is none; for people, not for round trips.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Whether both are the same name: host names compare without ASCII case (RFC 952).
    pub fn same_name(&self, other: &Text) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// The same text with ASCII letters in upper case.
    pub fn to_upper(&self) -> Text {
        Text(self.0.to_ascii_uppercase().into())
    }
}

impl From<&[u8]> for Text {
    fn from(octets: &[u8]) -> Text {
        Text(octets.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.as_bytes().into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(text.into_bytes().into())
    }
}

impl From<Vec<u8>> for Text {
    fn from(octets: Vec<u8>) -> Text {
        Text(octets.into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lossy())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
