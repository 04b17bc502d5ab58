//! Record data that the library reads: types with a text form of their own, such as those of
//! DNSSEC and SVCB. They are few in a large zone, and may be slow.

use super::scan::{Fault, Found, Scanner, Token, fault};
use crate::record::RecordType;
use domain::base::rdata::ComposeRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Types whose text the library knows, and this crate does not.
const TYPES: [u16; 16] =
    // DS SSHFP IPSECKEY RRSIG NSEC DNSKEY NSEC3 NSEC3PARAM TLSA CDS CDNSKEY OPENPGPKEY ZONEMD
    // SVCB HTTPS CAA
    [43, 44, 45, 46, 47, 48, 50, 51, 52, 59, 60, 61, 63, 64, 65, 257];

/// As [`super::rdata::append_rdata`], where `first` is the first field of the data.
pub(super) fn append_rdata(
    rtype: RecordType,
    first: Option<Token<'_>>,
    scanner: &mut Scanner<'_>,
    origin: &[u8],
    out: &mut Vec<u8>,
) -> Found<()> {
    let first_at = first.map_or(scanner.at(), |token| token.at);
    let mut tokens: Vec<Token<'_>> = Vec::new();
    tokens.extend(first);
    while let Some(token) = scanner.token()? {
        tokens.push(token);
    }
    if !TYPES.contains(&rtype.0) {
        return fault(first_at, format!("write {rtype} record data as \\# LENGTH HEX (RFC 3597)"));
    }
    let end_at = scanner.at();
    let data = match convert(rtype, &tokens, origin) {
        Ok(data) => data,
        Err(reason) => return Err(blame(rtype, &tokens, origin, reason, end_at)),
    };
    match crate::rdata::decode(rtype, &data, 0, data.len()) {
        Ok(data) => out.extend_from_slice(&data),
        Err(error) => return fault(first_at, error.to_string()),
    }
    scanner.end_entry()
}

/// The field at which an error with this reason first shows. The library says where it stopped,
/// which may be a field or a line further.
fn blame(
    rtype: RecordType,
    tokens: &[Token<'_>],
    origin: &[u8],
    reason: String,
    end_at: usize,
) -> Box<Fault> {
    let (mut good, mut bad) = (0, tokens.len());
    let fails =
        |count: usize| convert(rtype, &tokens[..count], origin).err() == Some(reason.clone());
    if tokens.is_empty() || fails(0) {
        return Box::new(Fault { at: end_at, reason: format!("{rtype} record data: {reason}") });
    }
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        if fails(middle) {
            bad = middle;
        } else {
            good = middle;
        }
    }
    let token = tokens[bad - 1];
    let reason = format!("{rtype} record data, at {}: {reason}", token.shown());
    Box::new(Fault { at: token.at, reason })
}

/// Hands fields to the library as one record on one line.
fn convert(rtype: RecordType, tokens: &[Token<'_>], origin: &[u8]) -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    // A vector takes everything.
    let _ = write!(line, ". 0 IN {rtype}");
    for (number, token) in tokens.iter().enumerate() {
        // In `key="value"` the quote belongs to what is before it.
        let joined = !token.is_spaced
            && token.is_quoted
            && number.checked_sub(1).is_some_and(|before| tokens[before].text.ends_with(b"="));
        if !joined {
            line.push(b' ');
        }
        if token.is_quoted {
            line.push(b'"');
        }
        line.extend_from_slice(token.text);
        if token.is_quoted {
            line.push(b'"');
        }
    }
    line.extend_from_slice(b" \n");
    // The library converts in place, and runs over the end of some texts. Nothing of it is used
    // afterwards.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut zonefile = Zonefile::from(&line[..]);
        let origin = domain::base::Name::from_octets(origin.to_vec().into());
        zonefile.set_origin(origin.map_err(|error| error.to_string())?);
        match zonefile.next_entry() {
            Ok(Some(Entry::Record(record))) => {
                let mut data = Vec::new();
                record.data().compose_rdata(&mut data).map_err(|error| error.to_string())?;
                Ok(data)
            }
            Ok(_) => Err("unexpected end of entry".to_owned()),
            Err(error) => Err(without_place(&error.to_string())),
        }
    }));
    outcome.unwrap_or_else(|_| Err("cannot be read".to_owned()))
}

/// The library's `line:column: reason` without the place.
fn without_place(text: &str) -> String {
    text.split_once(": ").map_or(text, |(_, reason)| reason).to_owned()
}
