//! The codes by which reports name quirks, faults and losses. They are part of the interface:
//! a code never changes its meaning.

/// An enum whose variants have a code and a meaning in words.
macro_rules! codes {
    ($(#[$about:meta])* $name:ident { $($variant:ident $code:literal $meaning:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = $meaning] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// As reports write it.
            pub fn code(self) -> &'static str {
                match self { $($name::$variant => $code,)* }
            }

            /// What it says, for people.
            pub fn meaning(self) -> &'static str {
                match self { $($name::$variant => $meaning,)* }
            }

            /// The one with this code.
            pub fn from_code(code: &str) -> Option<$name> {
                match code { $($code => Some($name::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.code())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.code())
            }
        }
    };
}

codes! {
    /// Something odd that was understood all the same.
    QuirkCode {
        LongLine "long-line" "a line of more than 80 columns",
        LongName "long-name" "a name of more than 24 characters",
        ManyAddresses "many-addresses" "more than eight addresses in one entry",
        ManyNames "many-names" "more than eight names in one entry",
        LowerCase "lower-case" "a name with lower case letters",
        OddName "odd-name" "a name with characters outside letters, digits, minus and period",
        NotAscii "not-ascii" "octets outside ASCII",
        LeadingZero "leading-zero" "an address part with a leading zero, read as decimal",
        DuplicateName "duplicate-name" "a name that another entry, or this one, already has",
        EmptyElement "empty-element" "an empty element in a list",
        FormFeed "form-feed" "a form feed",
        Nul "nul" "NUL octets",
        ControlZ "control-z" "a ^Z, the end of a file in CP/M and TOPS-20",
        ControlCharacter "control-character" "another control character",
        CarriageReturn "carriage-return" "a line that ends in CR LF, or a CR alone",
        NoFinalNewline "no-final-newline" "the last line has no end",
        UnknownLine "unknown-line" "a line that is neither entry nor comment; kept as text",
        TrailingComment "trailing-comment" "a comment behind an entry",
        NoFinalColon "no-final-colon" "an entry that is complete but for its last colon",
        ExtraFields "extra-fields" "more fields than the entry can have",
        MissingFields "missing-fields" "fewer fields than the entry should have",
        BrokenEntry "broken-entry" "an entry that is broken in the middle",
        ForeignNetwork "foreign-network" "an address that is not an Internet address",
        OldDialect "old-dialect" "entries with commas and brackets, older than RFC 810",
        OldHostNumber "old-host-number" "an ARPANET host number of 8 bits",
        LongChunk "long-chunk" "a line or entry that is too long to be one; kept as text",
        Superseded "superseded" "an entry that a later one of the same file replaces",
        Edited "edited" "fields that are not what the raw octets say; the fields count",
        Sentinel "sentinel" "a date that means never or not set",
    }
}

codes! {
    /// Why an entry is quarantined.
    FaultCode {
        NoName "no-name" "the entry has no name",
        NoAddress "no-address" "the entry has no address where it must have one",
        BadAddress "bad-address" "an address that cannot be read",
        OctetRange "octet-range" "an address part above 255",
        BrokenEntry "broken-entry" "an entry that is broken in the middle",
        BadNumber "bad-number" "a number that cannot be read or is out of range",
        BadText "bad-text" "text that its encoding does not allow",
        BadDate "bad-date" "a date that does not exist or is ambiguous",
        BadRecord "bad-record" "a record that its format does not allow",
    }
}

codes! {
    /// Why something is not in the output.
    LossCode {
        FieldNotHeld "field-not-held" "the format has no place for this field",
        ValueNotHeld "value-not-held" "the format cannot hold this value of the field",
        KindNotHeld "kind-not-held" "the format has no entries of this kind",
        AddressNotHeld "address-not-held" "the format cannot hold this address",
        NameNotHeld "name-not-held" "the format cannot hold this name",
        NameCollides "name-collides" "another record of the output has this name",
        NoAddress "no-address" "the format needs an address that it can hold",
        NotActive "not-active" "a lease that is not active names no host",
        CommentNotHeld "comment-not-held" "text between entries is not carried over",
        SidecarNotHeld "sidecar-not-held" "a part of the entry that only its own format holds",
        QuarantinedNotHeld "quarantined-not-held" "a quarantined entry goes only into its own format",
        Truncated "truncated" "the value was cut to fit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_come_back() {
        for code in QuirkCode::ALL {
            assert_eq!(QuirkCode::from_code(code.code()), Some(*code));
        }
        for code in LossCode::ALL {
            assert_eq!(LossCode::from_code(code.code()), Some(*code), "{}", code.meaning());
        }
        for code in FaultCode::ALL {
            assert_eq!(FaultCode::from_code(code.code()), Some(*code));
        }
    }
}
