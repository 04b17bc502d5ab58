//! Entries of zone files: records and directives, with what one entry leaves for the next.

use super::generate::{Generate, Template};
use super::name::{append_name, is_at_or_below};
use super::rdata::{append_rdata, ttl};
use super::scan::{Fault, Found, Scanner, TTL_SECONDS_MAX, Token, fault, place};
use super::{GENERATED_RECORDS_MAX, INCLUDE_DEPTH_MAX, RecordRef, ZoneFileError};
use crate::message::HEADER_OCTETS;
use crate::name::Name;
use crate::rdata::soa_numbers;
use crate::record::{Class, RecordType};
use std::io;
use std::path::{Path, PathBuf};

/// Octets of a record beside its owner and data (RFC 1035 §3.2.1).
const FIXED_OCTETS: usize = 10;
const UTF8_BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What goes on from file to file.
pub(super) struct Loader<'l> {
    zone: &'l Name,
    read: &'l mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
    take: &'l mut dyn FnMut(RecordRef<'_>) -> Result<(), String>,
    /// Of `$TTL`, or of the SOA when it had none itself.
    ttl_default: Option<u32>,
    /// The last one that a record had itself.
    ttl_last: Option<u32>,
    /// Records that `$GENERATE` has made.
    generated: u64,
    /// The last owner in wire form; empty before the first.
    owner: Vec<u8>,
    /// Whether `owner` is not the one handed out last.
    owner_is_fresh: bool,
    rdata: Vec<u8>,
}

/// A file that is being read.
struct File<'t> {
    scanner: Scanner<'t>,
    origin: Name,
    /// Whether names completed with the origin are in the zone.
    origin_is_inside: bool,
    /// How the last owner was written, if the same text means the same name still.
    owner_text: Option<&'t [u8]>,
}

/// What comes after an entry.
enum Next {
    Entry,
    End,
    Include { at: usize, path: PathBuf, origin: Name },
}

/// What stands between a record's owner and its data.
struct Head {
    ttl: Option<u32>,
    rtype: RecordType,
    /// Where the type is.
    at: usize,
}

impl<'l> Loader<'l> {
    pub(super) fn new(
        zone: &'l Name,
        read: &'l mut dyn FnMut(&Path) -> io::Result<Vec<u8>>,
        take: &'l mut dyn FnMut(RecordRef<'_>) -> Result<(), String>,
    ) -> Loader<'l> {
        Loader {
            zone,
            read,
            take,
            ttl_default: None,
            ttl_last: None,
            generated: 0,
            owner: Vec::new(),
            owner_is_fresh: true,
            rdata: Vec::new(),
        }
    }

    pub(super) fn start(mut self, path: &Path) -> Result<(), ZoneFileError> {
        let text = (self.read)(path)
            .map_err(|source| ZoneFileError::Read { path: path.into(), source })?;
        self.file(path, &text, self.zone.clone(), 0)
    }

    fn file(
        &mut self,
        path: &Path,
        text: &[u8],
        origin: Name,
        depth: usize,
    ) -> Result<(), ZoneFileError> {
        let text = text.strip_prefix(UTF8_BYTE_ORDER_MARK).unwrap_or(text);
        let origin_is_inside = origin.is_at_or_below(self.zone);
        let mut file =
            File { scanner: Scanner::new(text), origin, origin_is_inside, owner_text: None };
        let located = |fault: Box<Fault>| {
            let (line, column) = place(text, fault.at);
            ZoneFileError::Content { path: path.into(), line, column, reason: fault.reason }
        };
        loop {
            match self.entry(&mut file).map_err(located)? {
                Next::Entry => {}
                Next::End => return Ok(()),
                Next::Include { at, path: included, origin } => {
                    if depth == INCLUDE_DEPTH_MAX {
                        let reason =
                            format!("$INCLUDE is nested deeper than {INCLUDE_DEPTH_MAX} files");
                        return Err(located(Box::new(Fault { at, reason })));
                    }
                    let included = path.parent().unwrap_or(Path::new(".")).join(included);
                    let text = (self.read)(&included).map_err(|error| {
                        let reason = format!("cannot read {}: {error}", included.display());
                        located(Box::new(Fault { at, reason }))
                    })?;
                    // RFC 1035 §5.1: what the file does to the origin ends with it. So does, as
                    // in BIND, its last owner.
                    let owner = self.owner.clone();
                    self.file(&included, &text, origin, depth + 1)?;
                    self.owner = owner;
                    self.owner_is_fresh = true;
                }
            }
        }
    }

    /// Reads one entry, which may be an empty line.
    fn entry(&mut self, file: &mut File<'_>) -> Found<Next> {
        let Some(octet) = file.scanner.peek() else { return Ok(Next::End) };
        let Some(first) = file.scanner.token()? else {
            file.scanner.end_entry()?;
            return Ok(Next::Entry);
        };
        let is_directive = !first.is_quoted && first.text.first() == Some(&b'$');
        if matches!(octet, b' ' | b'\t') {
            if is_directive {
                return fault(first.at, "a directive begins in the first column");
            }
            if self.owner.is_empty() {
                let reason = "no record with an owner comes before, so this one needs its own";
                return fault(first.at, format!("{reason}, in the first column"));
            }
            return self.record(file, first.at, Some(first)).map(|()| Next::Entry);
        }
        if is_directive {
            return self.directive(file, &first);
        }
        if first.is_quoted || file.owner_text != Some(first.text) {
            self.owner.clear();
            self.owner_is_fresh = true;
            let is_absolute = append_name(&first, file.origin.as_wire(), &mut self.owner)?;
            if is_absolute || !file.origin_is_inside {
                self.require_inside(&self.owner, first.at)?;
            }
            file.owner_text = Some(first.text);
        }
        let field = file.scanner.token()?;
        self.record(file, first.at, field).map(|()| Next::Entry)
    }

    fn require_inside(&self, owner: &[u8], at: usize) -> Found<()> {
        if is_at_or_below(owner, self.zone.as_wire()) {
            return Ok(());
        }
        fault(at, format!("{} is not in the zone {}", Name::from_valid_wire(owner), self.zone))
    }

    /// Reads a record behind its owner, beginning with `field`.
    fn record<'t>(
        &mut self,
        file: &mut File<'t>,
        at: usize,
        field: Option<Token<'t>>,
    ) -> Found<()> {
        let head = head(&mut file.scanner, field)?;
        self.rdata.clear();
        append_rdata(head.rtype, &mut file.scanner, file.origin.as_wire(), &mut self.rdata)?;
        let ttl = self.ttl_of(&head)?;
        let repeats = !self.owner_is_fresh;
        self.owner_is_fresh = false;
        hand_over(self.take, at, &self.owner, repeats, head.rtype, ttl, &self.rdata)
    }

    /// The TTL of a record, whose data has been read: its own, or that of `$TTL` (RFC 2308 §4),
    /// or that of the record before (RFC 1035 §5.1), or for an SOA its last number, as in BIND.
    fn ttl_of(&mut self, head: &Head) -> Found<u32> {
        if let Some(ttl) = head.ttl {
            self.ttl_last = Some(ttl);
            return Ok(ttl);
        }
        if let Some(ttl) = self.ttl_default.or(self.ttl_last) {
            return Ok(ttl);
        }
        let soa = if head.rtype == RecordType::SOA { soa_numbers(&self.rdata) } else { None };
        match soa {
            Some(soa) if u64::from(soa.minimum) <= TTL_SECONDS_MAX => {
                self.ttl_default = Some(soa.minimum);
                Ok(soa.minimum)
            }
            _ => fault(
                head.at,
                "no TTL: neither the record, nor a $TTL, nor a record before has one",
            ),
        }
    }

    fn directive(&mut self, file: &mut File<'_>, directive: &Token<'_>) -> Found<Next> {
        if directive.is_word(b"$ORIGIN") {
            let token = file.scanner.require("a domain name")?;
            file.origin = name(&token, &file.origin)?;
            file.origin_is_inside = file.origin.is_at_or_below(self.zone);
            file.owner_text = None;
            file.scanner.end_entry()?;
        } else if directive.is_word(b"$TTL") {
            let token = file.scanner.require("a TTL")?;
            self.ttl_default = Some(ttl(&token)?);
            file.scanner.end_entry()?;
        } else if directive.is_word(b"$INCLUDE") {
            let token = file.scanner.require("a file name")?;
            let mut path = Vec::new();
            token.append_octets(&mut path);
            let Ok(path) = String::from_utf8(path) else {
                return fault(token.at, "the file name is not UTF-8");
            };
            let origin = match file.scanner.token()? {
                Some(origin) => name(&origin, &file.origin)?,
                None => file.origin.clone(),
            };
            file.scanner.end_entry()?;
            return Ok(Next::Include { at: token.at, path: path.into(), origin });
        } else if directive.is_word(b"$GENERATE") {
            self.generate(file)?;
        } else {
            let known = "$ORIGIN, $TTL, $INCLUDE and $GENERATE";
            let reason = format!("{} is no directive: there are {known}", directive.shown());
            return fault(directive.at, reason);
        }
        Ok(Next::Entry)
    }

    /// Reads a `$GENERATE` behind its name, and makes its records. The owner of the entry before
    /// stays the last one.
    fn generate(&mut self, file: &mut File<'_>) -> Found<()> {
        let range_token = file.scanner.require("a range such as 1-254")?;
        let range = Generate::range(&range_token)?;
        let owner_token = file.scanner.require("an owner such as host-$")?;
        let mut owner_template = Template::new(&owner_token)?;
        let field = file.scanner.token()?;
        let head = head(&mut file.scanner, field)?;
        let data_token = file.scanner.require("record data such as 192.0.2.$")?;
        let mut data_template = Template::new(&data_token)?;
        file.scanner.end_entry()?;
        self.generated += range.count();
        if self.generated > GENERATED_RECORDS_MAX {
            let reason = format!("$GENERATE makes more than {GENERATED_RECORDS_MAX} records");
            return fault(range_token.at, reason);
        }
        let origin = file.origin.as_wire();
        let mut owner = Vec::new();
        let mut ttl = None;
        for value in range.values() {
            owner.clear();
            owner_template.expand(value, &mut |scanner| {
                let token = scanner.require("a domain name")?;
                append_name(&token, origin, &mut owner)?;
                scanner.end_entry()
            })?;
            self.require_inside(&owner, owner_token.at)?;
            self.rdata.clear();
            data_template.expand(value, &mut |scanner| {
                append_rdata(head.rtype, scanner, origin, &mut self.rdata)
            })?;
            let ttl = match ttl {
                Some(ttl) => ttl,
                None => *ttl.insert(self.ttl_of(&head)?),
            };
            let at = owner_token.at;
            hand_over(self.take, at, &owner, false, head.rtype, ttl, &self.rdata)?;
        }
        self.owner_is_fresh = true;
        Ok(())
    }
}

fn hand_over(
    take: &mut dyn FnMut(RecordRef<'_>) -> Result<(), String>,
    at: usize,
    owner: &[u8],
    owner_repeats: bool,
    rtype: RecordType,
    ttl: u32,
    rdata: &[u8],
) -> Found<()> {
    // A record that fits no message could never be answered.
    if HEADER_OCTETS + owner.len() + FIXED_OCTETS + rdata.len() > usize::from(u16::MAX) {
        let reason = format!("{rtype} record data of {} octets fits no message", rdata.len());
        return fault(at, reason);
    }
    match take(RecordRef { owner, owner_repeats, rtype, ttl, rdata }) {
        Ok(()) => Ok(()),
        Err(reason) => fault(at, reason),
    }
}

fn name(token: &Token<'_>, origin: &Name) -> Found<Name> {
    let mut wire = Vec::new();
    append_name(token, origin.as_wire(), &mut wire)?;
    Ok(Name::from_valid_wire(&wire))
}

/// Reads TTL and class, each of which may be missing, in either order, and the type (RFC 1035
/// §5.1), beginning with `field`.
fn head<'a>(scanner: &mut Scanner<'a>, mut field: Option<Token<'a>>) -> Found<Head> {
    let (mut own_ttl, mut has_class) = (None, false);
    loop {
        let wanted = || match (own_ttl, has_class) {
            (None, false) => "expected a TTL, a class or a record type",
            (None, true) => "expected a TTL or a record type",
            (Some(_), false) => "expected a class or a record type",
            (Some(_), true) => "expected a record type",
        };
        let Some(token) = field else {
            return fault(scanner.at(), format!("{}, found the end of the entry", wanted()));
        };
        let Some(text) = token.plain() else {
            return fault(token.at, format!("{}, found {}", wanted(), token.shown()));
        };
        if own_ttl.is_none() && text.first().is_some_and(u8::is_ascii_digit) {
            own_ttl = Some(ttl(&token)?);
        } else if let Some(rtype) = rtype_of(text) {
            if rtype.is_meta() {
                return fault(token.at, format!("{rtype} records cannot be in a zone"));
            }
            return Ok(Head { ttl: own_ttl, rtype, at: token.at });
        } else {
            match class_of(text) {
                Some(Class::IN) if !has_class => has_class = true,
                Some(class) if class != Class::IN => {
                    return fault(token.at, format!("class {class}: only IN is served"));
                }
                _ => return fault(token.at, format!("{}, found {}", wanted(), token.shown())),
            }
        }
        field = scanner.token()?;
    }
}

fn class_of(text: &[u8]) -> Option<Class> {
    if text.eq_ignore_ascii_case(b"IN") {
        return Some(Class::IN);
    }
    let class: Result<domain::base::iana::Class, _> = std::str::from_utf8(text).ok()?.parse();
    class.ok().map(|class| Class(class.to_int()))
}

fn rtype_of(text: &[u8]) -> Option<RecordType> {
    // What fills large zones, before a look through all names of types.
    match text {
        b"A" => return Some(RecordType::A),
        b"AAAA" => return Some(RecordType::AAAA),
        b"NS" => return Some(RecordType::NS),
        b"CNAME" => return Some(RecordType::CNAME),
        b"PTR" => return Some(RecordType::PTR),
        b"MX" => return Some(RecordType::MX),
        b"TXT" => return Some(RecordType::TXT),
        b"IN" => return None,
        _ => {}
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}
