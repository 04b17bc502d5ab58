//! The updates under way: which are waiting for an answer, since when, and what came of them.
//!
//! One [`Flight`] belongs to one phase. It knows messages, not sockets: a transport asks it for
//! octets to send and hands it what came back. It never measures a clock of its own.

use crate::workload::Workload;
use einhorn_wire::tsig::PendingResponse;
use einhorn_wire::{Header, Message, Opcode, Rcode};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Of so many responses, the signature of one is checked: checking all would cost the generator
/// more than it can spare.
const SIGNATURE_SAMPLE: u32 = 100;
/// Octets of the length prefix of messages over TCP.
pub(crate) const PREFIX_OCTETS: usize = 2;
/// How often an update is sent, at most, before it is given up.
const SENDS_MAX: u32 = 4;

/// One place for an update under way.
struct Slot {
    busy: bool,
    sequence: u32,
    /// The message with its length prefix.
    octets: Vec<u8>,
    /// Present where the response's signature is to be checked.
    check: Option<PendingResponse>,
    first_sent: Instant,
    last_sent: Instant,
    sends: u32,
}

/// What went well and what did not, over a whole phase.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) acknowledged: u64,
    /// Responses other than NOERROR.
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Sent again because no answer came in time.
    pub(crate) lost: u64,
    /// Never answered, however often sent.
    pub(crate) given_up: u64,
    /// Answers that nobody waits for, such as to both copies of an update sent twice.
    pub(crate) stray: u64,
    /// Answers whose signature does not hold.
    pub(crate) forged: u64,
    /// Connections that the server closed.
    pub(crate) closed: u64,
}

impl Tally {
    /// Adds another phase's counts.
    pub(crate) fn add(&mut self, other: &Tally) {
        self.acknowledged += other.acknowledged;
        for (rcode, count) in &other.refused {
            *self.refused.entry(*rcode).or_default() += count;
        }
        self.lost += other.lost;
        self.given_up += other.given_up;
        self.stray += other.stray;
        self.forged += other.forged;
        self.closed += other.closed;
    }
}

/// The updates under way.
pub(crate) struct Flight<'w> {
    workload: &'w mut Workload,
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// By message identifier: the slot that waits for it.
    slot_of_id: Vec<Option<u16>>,
    /// Whether sampled signatures are checked: the echo responder cannot sign.
    check_signatures: bool,
    pub(crate) tally: Tally,
}

impl<'w> Flight<'w> {
    /// Room for `in_flight` updates.
    pub(crate) fn new(
        workload: &'w mut Workload,
        in_flight: u16,
        check_signatures: bool,
    ) -> Flight<'w> {
        let now = Instant::now();
        let slot = |_| Slot {
            busy: false,
            sequence: 0,
            octets: Vec::new(),
            check: None,
            first_sent: now,
            last_sent: now,
            sends: 0,
        };
        Flight {
            workload,
            slots: (0..in_flight).map(slot).collect(),
            free: (0..in_flight).collect(),
            slot_of_id: vec![None; 1 + usize::from(u16::MAX)],
            check_signatures,
            tally: Tally::default(),
        }
    }

    /// Whether no update waits for an answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// Slots, busy or not.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Signs the next update into a free slot; `None` when all are busy.
    pub(crate) fn prepare(&mut self, unix_seconds: u64) -> Result<Option<u16>, String> {
        let Some(&index) = self.free.last() else { return Ok(None) };
        // An update that was lost may still hold the identifier of one 65,536 later.
        while self.slot_of_id[usize::from(self.workload.next_id())].is_some() {
            self.workload.skip();
        }
        let id = self.workload.next_id();
        let slot = &mut self.slots[usize::from(index)];
        slot.octets.clear();
        slot.octets.extend_from_slice(&[0; PREFIX_OCTETS]);
        let (sequence, pending) =
            self.workload.next_update(&mut slot.octets, unix_seconds).map_err(|_| {
                "an update of the workload does not fit its buffer: raise UPDATE_OCTETS_MAX"
                    .to_owned()
            })?;
        let length = (slot.octets.len() - PREFIX_OCTETS) as u16;
        slot.octets[..PREFIX_OCTETS].copy_from_slice(&length.to_be_bytes());
        slot.check = (self.check_signatures && sequence % SIGNATURE_SAMPLE == 0).then_some(pending);
        (slot.busy, slot.sequence, slot.sends) = (true, sequence, 0);
        self.slot_of_id[usize::from(id)] = Some(index);
        self.free.pop();
        Ok(Some(index))
    }

    /// The message in a slot with its length prefix; `None` when it has been answered since.
    pub(crate) fn framed(&self, index: u16) -> Option<&[u8]> {
        let slot = &self.slots[usize::from(index)];
        slot.busy.then_some(&slot.octets[..])
    }

    /// Notes that a slot's message goes out now.
    pub(crate) fn mark_sent(&mut self, index: u16, now: Instant) {
        let slot = &mut self.slots[usize::from(index)];
        slot.sends += 1;
        slot.last_sent = now;
        if slot.sends == 1 {
            slot.first_sent = now;
        }
    }

    /// Notes that the kernel did not take the message after all.
    pub(crate) fn unmark_sent(&mut self, index: u16) {
        let slot = &mut self.slots[usize::from(index)];
        slot.sends = slot.sends.saturating_sub(1);
    }

    /// Takes in a response. `Some` with the time from the first sending for an acknowledged
    /// update.
    pub(crate) fn complete(&mut self, octets: &[u8], now: Instant) -> Option<Duration> {
        let waiting = Header::parse(octets)
            .filter(|header| header.is_response() && header.opcode() == Opcode::UPDATE)
            .and_then(|header| Some((header, self.slot_of_id[usize::from(header.id)]?)));
        let Some((header, index)) = waiting else {
            self.tally.stray += 1;
            return None;
        };
        let slot = &mut self.slots[usize::from(index)];
        let forged = slot.check.take().is_some_and(|mut pending| {
            !Message::parse(octets).is_ok_and(|message| pending.verify(&message).is_ok())
        });
        let (sequence, latency) = (slot.sequence, now - slot.first_sent);
        let sent_once = slot.sends == 1;
        self.release(index);
        if forged {
            self.tally.forged += 1;
            self.workload.doubt(sequence);
            return None;
        }
        if header.rcode() != Rcode::NOERROR {
            *self.tally.refused.entry(header.rcode().0).or_default() += 1;
            return None;
        }
        self.tally.acknowledged += 1;
        if sent_once {
            self.workload.acknowledge(sequence);
        }
        Some(latency)
    }

    /// Slots whose message went out longer than `patience` ago, to be sent again; those sent
    /// often enough are given up.
    pub(crate) fn overdue(&mut self, now: Instant, patience: Duration) -> Vec<u16> {
        let late = |slot: &Slot| slot.busy && slot.sends > 0 && now - slot.last_sent >= patience;
        let overdue: Vec<u16> = (0..self.slots.len() as u16)
            .filter(|index| late(&self.slots[usize::from(*index)]))
            .collect();
        overdue.into_iter().filter(|index| self.lose(*index)).collect()
    }

    /// Notes that the answer to a slot's message will not come; whether to send it again.
    pub(crate) fn lose(&mut self, index: u16) -> bool {
        let slot = &self.slots[usize::from(index)];
        if !slot.busy || slot.sends == 0 {
            return false;
        }
        self.workload.doubt(slot.sequence);
        let again = slot.sends < SENDS_MAX;
        if again {
            self.tally.lost += 1;
        } else {
            self.tally.given_up += 1;
            self.release(index);
        }
        again
    }

    /// Ends the flight: whatever still waits is given up.
    pub(crate) fn finish(mut self) -> Tally {
        for index in 0..self.slots.len() as u16 {
            if self.slots[usize::from(index)].busy {
                self.workload.doubt(self.slots[usize::from(index)].sequence);
                self.tally.given_up += 1;
                self.release(index);
            }
        }
        self.tally
    }

    fn release(&mut self, index: u16) {
        let slot = &mut self.slots[usize::from(index)];
        slot.busy = false;
        self.slot_of_id[usize::from(slot.sequence as u16)] = None;
        self.free.push(index);
    }
}
