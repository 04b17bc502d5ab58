//! EDNS(0): the OPT pseudo-record (RFC 6891 §6) and the options in it.

use crate::cookie::{Cookie, CookieData};
use crate::message::{Message, ParseError, Rcode};
use crate::record::Class;
use crate::writer::Writer;
use std::ops::RangeInclusive;

/// Smallest UDP payload any requestor is assumed to take (RFC 6891 §6.2.3), in octets.
pub const UDP_PAYLOAD_MIN: u16 = 512;
/// What passes over UDP without fragments on nearly every path, in octets.
pub const UDP_PAYLOAD_USUAL: u16 = 1232;
/// Octets of an OPT record without options.
const OPT_OCTETS: usize = 11;
/// Octets of an option without its data.
const OPTION_HEADER_OCTETS: usize = 4;
/// Option code of update leases (RFC 9664 §4).
pub(crate) const OPTION_UPDATE_LEASE: u16 = 2;
/// Option code of name server identifiers (RFC 5001 §2.3).
const OPTION_NSID: u16 = 3;
/// Option code of cookies (RFC 7873 §4).
const OPTION_COOKIE: u16 = 10;
/// Option code of a TCP connection's idle time (RFC 7828 §3.1).
const OPTION_KEEPALIVE: u16 = 11;
/// Option code of padding (RFC 7830 §3).
const OPTION_PADDING: u16 = 12;
/// Option code of extended errors (RFC 8914 §2).
const OPTION_EXTENDED_ERROR: u16 = 15;

/// Padded responses have a multiple of this many octets (RFC 8467 §4.1).
pub const PADDING_BLOCK_OCTETS: usize = 468;

/// What a request said in its OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edns {
    /// UDP payload the requestor takes, at least 512, in octets.
    pub udp_payload: u16,
    /// EDNS version; only 0 exists.
    pub version: u8,
    /// DNSSEC OK.
    pub dnssec_ok: bool,
    /// Whether it asks who answers (RFC 5001).
    pub nsid: bool,
    /// Whether it asks for how long an idle connection stays open (RFC 7828).
    pub keepalive: bool,
    /// Whether it is padded, so that its response is to be (RFC 7830 §4).
    pub padding: bool,
    /// The first cookie; later ones do not count (RFC 7873 §5.2).
    pub cookie: Option<Cookie>,
    /// How long the records of an update are to stay.
    pub lease: Option<UpdateLease>,
}

/// How long records stay that an update adds, unless it is repeated (RFC 9664 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateLease {
    /// LEASE, in seconds.
    pub record_seconds: u32,
    /// KEY-LEASE, in seconds: for KEY records, where it differs.
    pub key_seconds: Option<u32>,
}

impl UpdateLease {
    fn parse(data: &[u8]) -> Option<UpdateLease> {
        let (record, rest) = data.split_first_chunk()?;
        let key_seconds = match rest {
            [] => None,
            rest => Some(u32::from_be_bytes(rest.try_into().ok()?)),
        };
        Some(UpdateLease { record_seconds: u32::from_be_bytes(*record), key_seconds })
    }

    /// The same within these bounds, in seconds: what is granted in its place.
    pub fn clamped(self, record: RangeInclusive<u32>, key: RangeInclusive<u32>) -> UpdateLease {
        let within = |seconds: u32, bounds: RangeInclusive<u32>| {
            seconds.clamp(*bounds.start(), *bounds.end())
        };
        UpdateLease {
            record_seconds: within(self.record_seconds, record),
            key_seconds: self.key_seconds.map(|seconds| within(seconds, key)),
        }
    }

    /// Appends the option, code and length included.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&OPTION_UPDATE_LEASE.to_be_bytes());
        out.extend_from_slice(&(self.octets() as u16).to_be_bytes());
        out.extend_from_slice(&self.record_seconds.to_be_bytes());
        if let Some(seconds) = self.key_seconds {
            out.extend_from_slice(&seconds.to_be_bytes());
        }
    }

    fn octets(self) -> usize {
        if self.key_seconds.is_some() { 8 } else { 4 }
    }
}

impl Edns {
    /// The OPT record of `message`; `None` if it has none. Options of a version that does not
    /// exist are not looked at, unknown options are passed over.
    ///
    /// # Errors
    /// [`ParseError::BadOption`].
    pub fn of(message: &Message<'_>) -> Result<Option<Edns>, ParseError> {
        let Some(opt) = &message.opt else { return Ok(None) };
        let mut edns = Edns {
            udp_payload: opt.class.0.max(UDP_PAYLOAD_MIN),
            version: (opt.ttl >> 16) as u8,
            dnssec_ok: opt.ttl & 0x8000 != 0,
            ..Edns::default()
        };
        let mut rest = &message.octets[opt.rdata_start..opt.end];
        if edns.version > 0 {
            return Ok(Some(edns));
        }
        while !rest.is_empty() {
            let (code, data, tail) = next_option(rest)?;
            rest = tail;
            match code {
                OPTION_NSID => edns.nsid = true,
                OPTION_KEEPALIVE => edns.keepalive = true,
                OPTION_PADDING => edns.padding = true,
                OPTION_COOKIE if edns.cookie.is_none() => {
                    edns.cookie = Some(Cookie::parse(data).ok_or(ParseError::BadOption)?);
                }
                OPTION_UPDATE_LEASE => {
                    edns.lease = Some(UpdateLease::parse(data).ok_or(ParseError::BadOption)?);
                }
                _ => {}
            }
        }
        Ok(Some(edns))
    }
}

fn put_option(out: &mut Vec<u8>, code: u16, parts: [&[u8]; 2]) {
    out.extend_from_slice(&code.to_be_bytes());
    let octets = parts[0].len() + parts[1].len();
    out.extend_from_slice(&(octets as u16).to_be_bytes());
    parts.into_iter().for_each(|part| out.extend_from_slice(part));
}

/// The first of some options: its code, its data and what follows it.
pub(crate) fn next_option(options: &[u8]) -> Result<(u16, &[u8], &[u8]), ParseError> {
    let (&[a, b, c, d], tail) =
        options.split_first_chunk::<OPTION_HEADER_OCTETS>().ok_or(ParseError::BadOption)?;
    let length = usize::from(u16::from_be_bytes([c, d]));
    let (data, rest) = tail.split_at_checked(length).ok_or(ParseError::BadOption)?;
    Ok((u16::from_be_bytes([a, b]), data, rest))
}

/// An extended error for the response to an EDNS request (RFC 8914).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedError<'a> {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT, for people; may be empty.
    pub text: &'a str,
}

impl ExtendedError<'_> {
    /// "Other Error" (RFC 8914 §4.1).
    pub const OTHER: u16 = 0;
    /// "Not Ready" (RFC 8914 §4.15).
    pub const NOT_READY: u16 = 14;
    /// "Prohibited" (RFC 8914 §4.19).
    pub const PROHIBITED: u16 = 18;
    /// "Not Authoritative" (RFC 8914 §4.21).
    pub const NOT_AUTHORITATIVE: u16 = 20;
    /// "Not Supported" (RFC 8914 §4.22).
    pub const NOT_SUPPORTED: u16 = 21;
    /// "Invalid Data": of a zone that is configured but too old (RFC 8914 §4.25).
    pub const INVALID_DATA: u16 = 24;
    /// "Invalid Query Type" (RFC 9824 §10.2).
    pub const INVALID_QUERY_TYPE: u16 = 30;

    /// The code alone.
    pub const fn code(code: u16) -> ExtendedError<'static> {
        ExtendedError { code, text: "" }
    }

    /// Octets this adds to an OPT record.
    fn octets(&self) -> usize {
        OPTION_HEADER_OCTETS + 2 + self.text.len()
    }
}

/// The OPT record of a response.
#[derive(Debug, Clone, Copy, Default)]
pub struct OptReply<'a> {
    /// UDP payload that we take, in octets.
    pub udp_payload: u16,
    /// DNSSEC OK, as the request had it (RFC 3225 §3).
    pub dnssec_ok: bool,
    /// Who answers.
    pub nsid: Option<&'a [u8]>,
    /// The cookies.
    pub cookie: Option<CookieData>,
    /// For how long an idle connection stays open, in tenths of a second.
    pub keepalive_deciseconds: Option<u16>,
    /// How long the records of an update stay.
    pub lease: Option<UpdateLease>,
    /// Whether to fill the message up, and what follows the record.
    pub padding: Option<Padding>,
}

/// Octets without meaning, so that a message's length says less of what is in it (RFC 7830).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Padding {
    /// Octets of the message that follow the OPT record: those of a signature.
    pub octets_behind: usize,
}

impl OptReply<'_> {
    /// The same without a name server identifier, to keep for longer.
    pub fn without_nsid(&self) -> OptReply<'static> {
        OptReply {
            udp_payload: self.udp_payload,
            dnssec_ok: self.dnssec_ok,
            nsid: None,
            cookie: self.cookie,
            keepalive_deciseconds: self.keepalive_deciseconds,
            lease: self.lease,
            padding: self.padding,
        }
    }

    /// Says that so many octets will follow the record.
    pub fn set_octets_behind(&mut self, octets_behind: usize) {
        self.padding = self.padding.map(|_| Padding { octets_behind });
    }

    /// Octets of the record without an extended error, and without what fills it up.
    pub fn octets(&self) -> usize {
        let option = |data: Option<usize>| data.map_or(0, |octets| OPTION_HEADER_OCTETS + octets);
        OPT_OCTETS
            + option(self.nsid.map(<[u8]>::len))
            + option(self.cookie.map(|cookie| cookie.as_slice().len()))
            + option(self.keepalive_deciseconds.map(|_| 2))
            + option(self.lease.map(UpdateLease::octets))
            + option(self.padding.map(|_| 0))
    }

    /// Adds the record, for which the caller has left [`OptReply::octets`]; `rcode` gives its
    /// upper eight bits. The extended error comes with as much of itself as fits in
    /// `more_octets_max`: text and code, the code, or nothing; padding, with what then fits.
    pub fn write(
        &self,
        writer: &mut Writer<'_>,
        rcode: Rcode,
        error: Option<ExtendedError<'_>>,
        more_octets_max: usize,
    ) {
        let dnssec_ok = if self.dnssec_ok { 0x8000 } else { 0 };
        let ttl = u32::from(rcode.0 >> 4) << 24 | dnssec_ok;
        let fits = |error: &ExtendedError<'_>| error.octets() <= more_octets_max;
        let error = error.and_then(|error| {
            Some(error).filter(fits).or(Some(ExtendedError::code(error.code)).filter(fits))
        });
        let padding_octets = self.padding.map(|padding| {
            let error_octets = error.map_or(0, |error| error.octets());
            let octets = writer.len() + self.octets() + error_octets + padding.octets_behind;
            let missing = octets.next_multiple_of(PADDING_BLOCK_OCTETS) - octets;
            missing.min(more_octets_max - error_octets)
        });
        writer.opt(Class(self.udp_payload), ttl, |out| {
            let mut option = |code: u16, parts: [&[u8]; 2]| put_option(out, code, parts);
            if let Some(nsid) = self.nsid {
                option(OPTION_NSID, [nsid, &[]]);
            }
            if let Some(cookie) = &self.cookie {
                option(OPTION_COOKIE, [cookie.as_slice(), &[]]);
            }
            if let Some(deciseconds) = self.keepalive_deciseconds {
                option(OPTION_KEEPALIVE, [&deciseconds.to_be_bytes(), &[]]);
            }
            if let Some(lease) = self.lease {
                lease.write(out);
            }
            let mut option = |code: u16, parts: [&[u8]; 2]| put_option(out, code, parts);
            if let Some(error) = error {
                option(OPTION_EXTENDED_ERROR, [&error.code.to_be_bytes(), error.text.as_bytes()]);
            }
            if let Some(octets) = padding_octets {
                option(OPTION_PADDING, [&[0; PADDING_BLOCK_OCTETS][..octets], &[]]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(ttl: u32, options: &[u8]) -> Result<Option<Edns>, ParseError> {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, 1, 512);
        writer.opt(Class(100), ttl, |out| out.extend_from_slice(options));
        Edns::of(&Message::parse(&octets).expect("a message"))
    }

    #[test]
    fn known_options_are_taken_and_unknown_ones_passed_over() {
        let options = [
            &[0, 99, 0, 3, 1, 2, 3][..], // unknown
            &[0, 3, 0, 0],
            &[0, 11, 0, 0],
            &[0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0, 10, 0, 1, 9], // a second cookie
        ]
        .concat();
        let edns = parse(0x8000, &options).expect("sound").expect("EDNS");
        assert!(edns.nsid && edns.keepalive && edns.dnssec_ok, "{edns:?}");
        assert_eq!((edns.udp_payload, edns.version), (512, 0));
        assert_eq!(edns.cookie, Cookie::parse(&[1, 2, 3, 4, 5, 6, 7, 8]));
    }

    #[test]
    fn options_that_do_not_add_up_are_refused_in_version_0() {
        for options in [
            &[0][..],
            &[0, 3, 0],
            &[0, 3, 0, 1],
            &[0, 10, 0, 7, 1, 2, 3, 4, 5, 6, 7],
            &[0, 10, 0, 0],
        ] {
            assert_eq!(parse(0, options), Err(ParseError::BadOption), "{options:?}");
            assert_eq!(parse(1 << 16, options).map(|edns| edns.map(|e| e.version)), Ok(Some(1)));
        }
    }

    #[test]
    fn a_reply_has_the_octets_it_says_and_errors_shrink() {
        let cookie = Cookie::parse(&[1; 8]).expect("a cookie");
        let secret = [crate::cookie::Secret([2; 16])];
        let cookie = cookie.answer(&secret, [192, 0, 2, 1].into(), 1).map(|(data, _)| data);
        let reply = OptReply {
            udp_payload: 1232,
            dnssec_ok: true,
            nsid: Some(b"me"),
            cookie,
            keepalive_deciseconds: Some(300),
            lease: Some(UpdateLease { record_seconds: 7_200, key_seconds: Some(1_209_600) }),
            padding: None,
        };
        let error = Some(ExtendedError { code: ExtendedError::OTHER, text: "why" });
        for (error_octets_max, extra) in [(0, 0), (6, 6), (8, 6), (9, 9), (100, 9)] {
            let mut octets = Vec::new();
            let mut writer = Writer::new(&mut octets, 1, 512);
            reply.write(&mut writer, Rcode::BADCOOKIE, error, error_octets_max);
            assert_eq!(octets.len(), 12 + reply.octets() + extra, "{error_octets_max}");
            let message = Message::parse(&octets).expect("a message");
            assert_eq!(message.opt.expect("OPT").ttl, 1 << 24 | 0x8000);
        }
    }

    #[test]
    fn a_padded_message_fills_blocks_with_what_follows_it() {
        let error = Some(ExtendedError { code: ExtendedError::OTHER, text: "why" });
        for behind in [0, 1, 61, 441, 442, 443, 467, 468] {
            let mut reply = OptReply { padding: Some(Padding::default()), ..OptReply::default() };
            reply.set_octets_behind(behind);
            let mut octets = Vec::new();
            let mut writer = Writer::new(&mut octets, 1, 2_000);
            reply.write(&mut writer, Rcode::NOERROR, error, 1_000);
            assert_eq!((octets.len() + behind) % PADDING_BLOCK_OCTETS, 0, "{behind}");
            let parsed = Edns::of(&Message::parse(&octets).expect("a message"));
            assert!(parsed.expect("sound").expect("EDNS").padding);
        }
    }

    #[test]
    fn padding_takes_no_more_than_there_is() {
        let reply = OptReply { padding: Some(Padding::default()), ..OptReply::default() };
        let mut octets = Vec::new();
        reply.write(&mut Writer::new(&mut octets, 1, 512), Rcode::NOERROR, None, 7);
        assert_eq!(octets.len(), 12 + reply.octets() + 7);
        let mut plain = OptReply::default();
        plain.set_octets_behind(9);
        assert_eq!(plain.padding, None, "who did not ask for padding gets none");
    }
}
