//! The few names of the CHAOS class by which servers describe themselves (RFC 4892).

use super::Outcome;
use super::settings::{AnswerSettings, CHAOS_OCTETS_MAX};
use einhorn_wire::edns::ExtendedError;
use einhorn_wire::message::{QuestionRef, Rcode};
use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Class, RecordType};

/// Answers a question of the CHAOS class; what is not configured is refused.
pub(super) fn answer(
    settings: &AnswerSettings,
    question: &QuestionRef<'_>,
    writer: &mut Writer<'_>,
) -> Result<Outcome, NoRoom> {
    let name = question.name;
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let (known, text) = if is(b"\x07version\x04bind\0") || is(b"\x07version\x06server\0") {
        (true, &settings.version)
    } else if is(b"\x08hostname\x04bind\0") || is(b"\x02id\x06server\0") {
        (true, &settings.identity)
    } else if is(b"\x07authors\x04bind\0") {
        (true, &settings.authors)
    } else {
        (false, &None)
    };
    let Some(text) = text else {
        let code = if known { ExtendedError::PROHIBITED } else { ExtendedError::NOT_AUTHORITATIVE };
        return Ok(Outcome::error(Rcode::REFUSED, code));
    };
    writer.set_authoritative();
    if matches!(question.rtype, RecordType::TXT | RecordType::ANY) {
        let text = &text.as_bytes()[..text.len().min(CHAOS_OCTETS_MAX)];
        let mut rdata = [0; 1 + CHAOS_OCTETS_MAX];
        rdata[0] = text.len() as u8;
        rdata[1..=text.len()].copy_from_slice(text);
        let rdata = &rdata[..=text.len()];
        writer.record(Section::Answer, name, RecordType::TXT, Class::CH, 0, rdata)?;
    }
    Ok(Outcome::of(Rcode::NOERROR))
}
