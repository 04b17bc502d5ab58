//! The queue against devices that repeat themselves, sites that are silent, and a file that is read
//! again.

use super::*;
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, RecordType};
use proptest::prelude::*;

const ZONE: &str = "fleet.example.";
const WAYS: [Way; 2] = [Way { site: 0, resend_ms: 200 }, Way { site: 1, resend_ms: 200 }];

fn now(mono_ms: u64) -> Now {
    Now { mono_ms, wall_ms: 1_800_000_000_000 + mono_ms }
}

/// Replaces the address of a name; with `if_there` only if it has one.
fn asked(label: &str, value: u8, if_there: bool) -> Asked {
    let zone: Name = ZONE.parse().expect("a name");
    let owner: Name = format!("{label}.{ZONE}").parse().expect("a name");
    let mut octets = Vec::new();
    let mut writer = Writer::new(&mut octets, 0, 512);
    writer.set_request(einhorn_wire::Opcode::UPDATE);
    writer.question(zone.as_wire(), RecordType::SOA, Class::IN).expect("room");
    let mut record = |section, class, ttl, data: &[u8]| {
        writer.record(section, owner.as_wire(), RecordType::A, class, ttl, data).expect("room");
    };
    if if_there {
        record(Section::Answer, Class::ANY, 0, &[]);
    }
    record(Section::Authority, Class::ANY, 0, &[]);
    record(Section::Authority, Class::IN, 60, &[192, 0, 2, value]);
    let mut hash = [0; 32];
    hash[..label.len()].copy_from_slice(label.as_bytes());
    hash[31] = value;
    let footprint = Footprint::of(&Message::parse(&octets).expect("a message")).expect("an update");
    Asked {
        device: "phone.".parse().expect("a name"),
        hash,
        until_seconds: 1_800_000_300,
        lease: None,
        message: octets,
        footprint,
    }
}

/// A desk with what came out of it and what was written down.
struct World {
    desk: Desk<u32>,
    file: Vec<u8>,
    sent: Vec<(usize, Attempt)>,
    told: Vec<(u32, Rcode)>,
    to_sync: Vec<u64>,
}

impl World {
    fn new(accept: bool, queue_max: usize) -> World {
        let settings = Settings { accept, queue_max, deadline_ms: 1_000 };
        let desk = Desk::new(settings, Kept::default(), now(0));
        World { desk, file: Vec::new(), sent: Vec::new(), told: Vec::new(), to_sync: Vec::new() }
    }

    fn perform(&mut self, out: Vec<Output<u32>>) {
        for output in out {
            match output {
                Output::Write(record) => record.write(&mut self.file),
                Output::Sync(sequence) => self.to_sync.push(sequence),
                Output::Send { site, attempt } => self.sent.push((site, attempt)),
                Output::Answer { reply, rcode, .. } => self.told.push((reply, rcode)),
                Output::Dropped { .. } | Output::Lost { .. } => {}
            }
        }
    }

    fn take(&mut self, at_ms: u64, asked: Asked, reply: u32, anyone_there: bool) -> Receipt {
        let mut out = Vec::new();
        let receipt = self.desk.take(now(at_ms), asked, Some(reply), anyone_there, &mut out);
        self.perform(out);
        receipt
    }

    fn send(&mut self, at_ms: u64) -> Vec<(usize, Attempt)> {
        let mut out = Vec::new();
        self.desk.tick(now(at_ms), &mut out);
        self.desk.send_due(now(at_ms), &WAYS, &mut out);
        self.perform(out);
        std::mem::take(&mut self.sent)
    }

    fn answer(&mut self, at_ms: u64, attempt: Attempt, rcode: Rcode) -> Vec<(u32, Rcode)> {
        let mut out = Vec::new();
        self.desk.answered(now(at_ms), attempt, rcode, None, &mut out);
        self.perform(out);
        std::mem::take(&mut self.told)
    }

    fn sync(&mut self) -> Vec<(u32, Rcode)> {
        let mut out = Vec::new();
        for sequence in std::mem::take(&mut self.to_sync) {
            self.desk.synced(sequence, &mut out);
        }
        self.perform(out);
        std::mem::take(&mut self.told)
    }

    fn start_again(&mut self, at_ms: u64) {
        let kept = Kept::read(&self.file).0;
        assert_eq!(kept, self.desk.kept(), "what was written is what is known");
        self.desk = Desk::new(self.desk.settings, kept, now(at_ms));
    }
}

#[test]
fn updates_of_one_name_go_one_by_one_and_others_beside_them() {
    let mut world = World::new(false, 10);
    world.take(0, asked("a", 1, false), 1, true);
    world.take(0, asked("a", 2, false), 2, true);
    world.take(0, asked("b", 3, false), 3, true);
    let sent = world.send(0);
    assert_eq!(sent.len(), 2, "{sent:?}");
    let (first, other) = (sent[0].1, sent[1].1);
    assert_eq!(world.answer(1, first, Rcode::NOERROR), [(1, Rcode::NOERROR)]);
    let second = world.send(1)[0].1;
    assert!(first.sequence < second.sequence && second.sequence < other.sequence);
    assert_eq!(world.answer(2, second, Rcode::REFUSED), [(2, Rcode::REFUSED)]);
    assert_eq!(world.answer(2, other, Rcode::NOERROR), [(3, Rcode::NOERROR)]);
    assert_eq!((world.desk.len(), world.desk.next_ms(true)), (0, None));
}

#[test]
fn copies_are_one_update_and_get_one_answer() {
    let mut world = World::new(false, 10);
    world.take(0, asked("a", 1, false), 1, true);
    world.take(1, asked("a", 1, false), 2, true);
    let sent = world.send(1);
    assert_eq!(sent.len(), 1);
    let told = world.answer(2, sent[0].1, Rcode::NXRRSET);
    assert_eq!(told, [(1, Rcode::NXRRSET), (2, Rcode::NXRRSET)]);
    world.start_again(3);
    world.take(4, asked("a", 1, false), 3, true);
    assert_eq!(std::mem::take(&mut world.told), [(3, Rcode::NXRRSET)]);
    assert_eq!(world.desk.len(), 0);
}

#[test]
fn silence_is_asked_again_and_then_elsewhere_with_the_same_number() {
    let mut world = World::new(false, 10);
    world.take(0, asked("a", 1, false), 1, true);
    let first = world.send(0)[0];
    assert!(world.send(100).is_empty());
    let second = world.send(200)[0];
    let third = world.send(700)[0];
    assert_eq!((first.0, second.0, third.0), (0, 0, 1));
    assert_eq!(first.1.sequence, third.1.sequence);
    // A refusal while other copies are on their way proves nothing.
    assert_eq!(world.answer(710, third.1, Rcode::NXRRSET), []);
    assert_eq!(world.answer(720, first.1, Rcode::NOERROR), [(1, Rcode::NOERROR)]);
}

#[test]
fn a_lost_site_is_left_at_once() {
    let mut world = World::new(false, 10);
    world.take(0, asked("a", 1, false), 1, true);
    world.send(0);
    world.desk.site_lost(now(50), 0);
    let mut out = Vec::new();
    world.desk.send_due(now(50), &WAYS[1..], &mut out);
    world.perform(out);
    assert_eq!(world.sent[0].0, 1);
}

#[test]
fn without_a_site_an_update_is_refused_or_promised_once_it_is_on_the_disk() {
    let mut refusing = World::new(false, 10);
    assert_eq!(refusing.take(0, asked("a", 1, false), 1, false), Receipt::Refused);
    assert_eq!(refusing.told, [(1, Rcode::SERVFAIL)]);
    let mut accepting = World::new(true, 10);
    accepting.take(0, asked("a", 1, false), 1, false);
    assert_eq!(accepting.told, [], "not on the disk yet");
    assert_eq!(accepting.sync(), [(1, Rcode::NOERROR)]);
    // A condition cannot be judged here.
    assert_eq!(accepting.take(0, asked("b", 1, true), 2, false), Receipt::Refused);
    accepting.start_again(10);
    accepting.take(20, asked("a", 1, false), 3, false);
    assert_eq!(accepting.told[1..], [(3, Rcode::NOERROR)]);
    let sent = accepting.send(30);
    assert_eq!(sent.len(), 1);
}

#[test]
fn what_was_sent_stays_until_it_is_known_and_what_was_not_is_given_up() {
    let mut world = World::new(false, 10);
    world.take(0, asked("a", 1, false), 1, true);
    world.take(0, asked("a", 2, false), 2, true);
    world.send(0);
    world.send(1_000);
    let told = std::mem::take(&mut world.told);
    assert_eq!(told, [(1, Rcode::SERVFAIL), (2, Rcode::SERVFAIL)]);
    assert_eq!(world.desk.len(), 1, "the second was never sent");
    world.start_again(1_001);
    let sent = world.send(1_001);
    world.answer(1_002, sent[0].1, Rcode::NOERROR);
    assert_eq!(world.desk.counters.done, 1);
}

#[test]
fn a_refusal_after_a_restart_waits_for_copies_of_the_earlier_run() {
    let mut world = World::new(true, 10);
    world.take(0, asked("a", 1, false), 1, true);
    world.send(0);
    world.start_again(100);
    let sent = world.send(100)[0].1;
    world.answer(110, sent, Rcode::REFUSED);
    assert_eq!(world.desk.len(), 1);
    let again = world.send(7_000)[0].1;
    world.answer(7_010, again, Rcode::REFUSED);
    assert_eq!(world.desk.len(), 0);
}

#[test]
fn a_full_queue_drops_what_a_later_value_replaces_and_nothing_else() {
    let mut world = World::new(true, 3);
    world.take(0, asked("a", 1, false), 1, false);
    world.take(0, asked("a", 2, false), 2, false);
    world.take(0, asked("b", 3, false), 3, false);
    assert_eq!(world.take(0, asked("c", 4, false), 4, false), Receipt::Kept);
    assert_eq!((world.desk.len(), world.desk.counters.dropped), (3, 1));
    assert_eq!(world.take(0, asked("d", 5, false), 5, false), Receipt::Refused);
    assert_eq!(world.told.last(), Some(&(5, Rcode::SERVFAIL)));
    world.start_again(1);
    let sent = world.send(2).len();
    assert_eq!((sent, world.desk.len()), (3, 3));
}

#[test]
fn what_a_condition_depends_on_is_not_dropped() {
    let mut world = World::new(true, 3);
    world.take(0, asked("a", 1, false), 1, true);
    world.take(0, asked("a", 2, true), 2, true);
    world.take(0, asked("a", 3, false), 3, true);
    assert_eq!(world.take(0, asked("b", 4, false), 4, true), Receipt::Refused);
}

proptest! {
    /// Whatever is lost on the way and whenever the program dies: every name gets its values in order,
    /// each number at most one value, and in the end all that was taken.
    #[test]
    fn all_that_was_taken_arrives_once_and_in_order(
        steps in proptest::collection::vec((0u8..8, 0u8..3, any::<bool>()), 1..120),
    ) {
        let mut world = World::new(true, 1_000);
        let mut at_ms = 0;
        let mut value = 0;
        // What a home would have: by number, done once whatever comes again.
        let mut done: BTreeMap<u64, Box<[u8]>> = BTreeMap::new();
        let mut order: Vec<u64> = Vec::new();
        let mut settle = |world: &mut World, at_ms, attempt: Attempt, answers: bool| {
            let message = world.desk.taken(attempt.sequence).map(|taken| taken.message.clone());
            if let Some(message) = message
                && done.insert(attempt.sequence, message).is_none()
            {
                order.push(attempt.sequence);
            }
            if answers {
                world.answer(at_ms, attempt, Rcode::NOERROR);
            }
        };
        for (what, label, answers) in steps {
            at_ms += 150;
            match what {
                0..=3 => {
                    value += 1;
                    let label = ["a", "b", "c"][usize::from(label)];
                    world.take(at_ms, asked(label, value, false), 0, answers);
                }
                4 => world.start_again(at_ms),
                _ => {
                    for (site, attempt) in world.send(at_ms) {
                        match site {
                            // Some never arrive.
                            0 if label == 0 => {}
                            _ => settle(&mut world, at_ms, attempt, answers),
                        }
                    }
                    world.sync();
                }
            }
        }
        for _ in 0..2_000 {
            at_ms += 2_000;
            for (_, attempt) in world.send(at_ms) {
                settle(&mut world, at_ms, attempt, true);
            }
            if world.desk.len() == 0 {
                break;
            }
        }
        prop_assert_eq!(world.desk.len(), 0);
        // Numbers of one name were done in their order.
        let mut last: HashMap<Name, u64> = HashMap::new();
        for sequence in order {
            let footprint = Footprint::of(&Message::parse(&done[&sequence]).expect("a message"));
            for name in footprint.expect("an update").names {
                let before = last.insert(name, sequence);
                prop_assert!(before < Some(sequence));
            }
        }
        let withdrawn = u64::from(value) - world.desk.counters.turned_away;
        prop_assert!(done.len() as u64 <= withdrawn);
    }
}
