//! Who wants what and when: phones that roam, the machines that write the same names, administrators,
//! nightly batches, and people who claim what is not theirs.
//!
//! A script is the same for every policy that is compared on it: nobody's wishes depend on what became
//! of earlier ones. Collisions are rare and not evenly spread, as in real histories (0.3 to 2.6 % of
//! changes meet another writer within the hour): a few phones are *managed*, and the machine that
//! manages their network writes their names at the same moment as they do.

use crate::random::Random;

/// Midnight in Berlin on the Monday on which scripts begin (2026-10-12), in milliseconds since 1970.
pub const BEGIN_MS: u64 = 1_791_756_000_000;
/// When Berlin's clocks go back an hour (2026-10-25 01:00 UTC).
pub const CLOCKS_GO_BACK_MS: u64 = 1_792_890_000_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Phones.
pub const PHONES: u16 = 120;
/// The first phones are managed: so many that about as many changes meet another's under way (0.7 %) as
/// in the largest real history that the agent was trained on.
pub const MANAGED: u16 = 1;
/// Hosts that only batches and administrators write.
pub const HOSTS: u16 = 60;
/// The first hosts are written by two batches that begin in the same minute.
const SHARED_HOSTS: u16 = 3;
/// Changes of network of a phone, a day.
const ROAMS_A_DAY: u64 = 8;
/// The local hour at which the batches begin.
const BATCH_HOUR: u64 = 2;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// A phone, for its own name.
    Phone(u16),
    /// The machine that manages a phone's network: a DHCP server, say.
    Manager,
    /// A person who edits names.
    Administrator(u16),
    /// The batch that writes the table of hosts.
    Batch,
    /// The batch that writes what an inventory knows.
    Inventory,
    /// A phone that claims another one's name, under a key that was granted too much.
    Claimant(u16),
}

impl Who {
    /// The name of its key.
    pub fn key(self) -> String {
        match self {
            Who::Phone(number) => format!("phone{number}."),
            Who::Manager => "manager.".to_owned(),
            Who::Administrator(number) => format!("admin{number}."),
            Who::Batch => "batch.".to_owned(),
            Who::Inventory => "inventory.".to_owned(),
            Who::Claimant(number) => format!("claimant{number}."),
        }
    }
}

/// What somebody wants a name to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// This address alone, in A.
    Address(u32),
    /// No address, in A.
    NoAddress,
    /// This network's address, in AAAA: the last 32 bits of it.
    Network(u32),
    /// This word, in TXT: where the phone is, say.
    Note(u32),
}

/// One wish, or one for each of several names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The site that is asked, from 1.
    pub site: u16,
    /// Who asks.
    pub who: Who,
    /// Names and what each is to have.
    pub wanted: Vec<(u16, Wish)>,
}

/// What is to be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// All follows from this.
    pub seed: u64,
    /// Sites, 2 to 8.
    pub sites: u16,
    /// Days, the second Sunday of which has 25 hours.
    pub days: u32,
    /// The night, from 0, from which on batches begin three hours later.
    pub moved_night: Option<u32>,
}

/// What everybody wants, in order, and how many wishes had no grant: those never reach a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Wishes by time.
    pub acts: Vec<Act>,
    /// Those that were refused where they came in.
    pub without_grant: u64,
}

/// The moment at which it is so late in Berlin, on a day counted from the first.
pub fn berlin_ms(day: u32, hour: u64) -> u64 {
    let summer_ms = BEGIN_MS + u64::from(day) * DAY_MS + hour * HOUR_MS;
    if summer_ms < CLOCKS_GO_BACK_MS { summer_ms } else { summer_ms + HOUR_MS }
}

/// Number of the name of a host.
pub fn host(number: u16) -> u16 {
    PHONES + number
}

/// Everything that is wanted.
pub fn script(plan: &Plan) -> Script {
    let mut random = Random::new(plan.seed);
    let mut script = Script { acts: Vec::new(), without_grant: 0 };
    for phone in 0..PHONES {
        roam(plan, phone, &mut random, &mut script);
    }
    for day in 0..plan.days {
        batches(plan, day, &mut random, &mut script);
        administrators(plan, day, &mut random, &mut script);
        claimants(plan, day, &mut random, &mut script);
    }
    script.acts.sort_by_key(|act| act.at_ms);
    script
}

/// A phone's days: at work and at home by Wi-Fi, between them by cellular, now and then flapping.
fn roam(plan: &Plan, phone: u16, random: &mut Random, script: &mut Script) {
    let home = random.between(1, plan.sites.into()) as u16;
    let mut site = home;
    for day in 0..plan.days {
        for _ in 0..ROAMS_A_DAY {
            // Nearly all of it between seven and eleven at night.
            let hour = if random.happens(30) { random.below(24) } else { random.between(7, 22) };
            let at_ms = berlin_ms(day, hour) + random.below(HOUR_MS);
            if random.happens(300) {
                site = random.between(1, plan.sites.into()) as u16;
            } else if random.happens(500) {
                site = home;
            }
            let address = random.next() as u32;
            let act = Act {
                at_ms,
                site,
                who: Who::Phone(phone),
                wanted: vec![(phone, Wish::Address(address))],
            };
            script.acts.push(act.clone());
            if phone < MANAGED {
                managed(plan, &act, random, script);
            }
            if random.happens(40) {
                flap(&act, random, script);
            }
        }
    }
}

/// The network that a managed phone leaves or joins writes its name too, mostly at the same moment:
/// the address of the other family, where the phone is, what it gave out; now and then it ends a lease.
fn managed(plan: &Plan, act: &Act, random: &mut Random, script: &mut Script) {
    let after_ms = match random.below(100) {
        0..50 => random.between(0, 120),
        50..60 => random.between(2_000, 20_000),
        _ => return,
    };
    let early_ms = 60;
    let value = random.next() as u32;
    // Rules can settle the first two: less than they settle of what really collided in histories.
    let wish = match random.below(100) {
        0..40 => Wish::Network(value),
        40..65 => Wish::Note(value),
        65..90 => Wish::Address(value),
        _ => Wish::NoAddress,
    };
    script.acts.push(Act {
        at_ms: (act.at_ms + after_ms).saturating_sub(early_ms),
        site: 1 + (act.site + random.below(2) as u16) % plan.sites,
        who: Who::Manager,
        wanted: act.wanted.iter().map(|(name, _)| (*name, wish)).collect(),
    });
}

/// In and out of a Wi-Fi's reach.
fn flap(act: &Act, random: &mut Random, script: &mut Script) {
    let mut at_ms = act.at_ms;
    for _ in 0..random.between(2, 5) {
        at_ms += random.between(300, 3_000);
        let wanted =
            act.wanted.iter().map(|(name, _)| (*name, Wish::Address(random.next() as u32)));
        script.acts.push(Act { at_ms, wanted: wanted.collect(), ..act.clone() });
    }
}

/// Both batches begin at the same local hour.
fn batches(plan: &Plan, day: u32, random: &mut Random, script: &mut Script) {
    let is_moved = plan.moved_night.is_some_and(|night| day >= night);
    let begin_ms = berlin_ms(day, BATCH_HOUR + if is_moved { 3 } else { 0 });
    let mut at_ms = begin_ms + random.below(500);
    for number in 0..HOSTS {
        at_ms += random.between(15, 40);
        // Nine hosts in ten are as they were.
        if number < SHARED_HOSTS || random.happens(100) {
            let wanted = vec![(host(number), Wish::Address(random.next() as u32))];
            script.acts.push(Act { at_ms, site: 1, who: Who::Batch, wanted });
        }
        if number < SHARED_HOSTS {
            let at_ms = at_ms + random.below(60);
            let wanted = vec![(host(number), Wish::Address(random.next() as u32))];
            script.acts.push(Act { at_ms, site: plan.sites, who: Who::Inventory, wanted });
        }
    }
}

/// A handful of edits a day, of some names each.
fn administrators(plan: &Plan, day: u32, random: &mut Random, script: &mut Script) {
    for _ in 0..6 {
        let at_ms = berlin_ms(day, random.between(9, 16)) + random.below(HOUR_MS);
        let count = random.between(1, 3);
        let mut names: Vec<u16> =
            (0..count).map(|_| host(random.below(HOSTS.into()) as u16)).collect();
        names.sort_unstable();
        names.dedup();
        let site = random.between(1, plan.sites.into()) as u16;
        let who = Who::Administrator(random.below(2) as u16);
        let wanted =
            names.into_iter().map(|name| (name, Wish::Address(random.next() as u32))).collect();
        script.acts.push(Act { at_ms, site, who, wanted });
    }
}

/// Most who claim what is not theirs have no grant for it.
fn claimants(plan: &Plan, day: u32, random: &mut Random, script: &mut Script) {
    for _ in 0..4 {
        if !random.happens(250) {
            script.without_grant += 1;
            continue;
        }
        let at_ms = berlin_ms(day, random.below(24)) + random.below(HOUR_MS);
        let site = random.between(1, plan.sites.into()) as u16;
        let (who, victim) = (random.below(5) as u16, random.below(PHONES.into()) as u16);
        let wanted = vec![(victim, Wish::Address(random.next() as u32))];
        script.acts.push(Act { at_ms, site, who: Who::Claimant(who), wanted });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { seed: 3, sites: 3, days: 14, moved_night: Some(7) };

    #[test]
    fn a_seed_says_everything() {
        assert_eq!(script(&PLAN), script(&PLAN));
        assert_ne!(script(&PLAN), script(&Plan { seed: 4, ..PLAN }));
    }

    #[test]
    fn everybody_does_what_they_should() {
        let script = script(&PLAN);
        assert!(script.acts.is_sorted_by_key(|act| act.at_ms));
        assert!(script.without_grant > 0);
        for act in &script.acts {
            assert!((1..=PLAN.sites).contains(&act.site) && !act.wanted.is_empty(), "{act:?}");
            let is_own = |name: u16| matches!(act.who, Who::Phone(phone) if phone == name);
            let is_hosts = |name: u16| (PHONES..PHONES + HOSTS).contains(&name);
            for (name, _) in &act.wanted {
                match act.who {
                    Who::Phone(_) => assert!(is_own(*name)),
                    Who::Manager => assert!(*name < MANAGED),
                    Who::Claimant(_) => assert!(*name < PHONES),
                    Who::Batch | Who::Inventory | Who::Administrator(_) => assert!(is_hosts(*name)),
                }
            }
        }
    }

    #[test]
    fn batches_go_by_local_time_and_move_when_they_are_told_to() {
        let begins = |day| {
            let script = script(&PLAN);
            let (from, to) = (berlin_ms(day, 0), berlin_ms(day, 12));
            let mut batch = script.acts.iter().filter(|act| act.who == Who::Batch);
            let first = batch.find(|act| (from..to).contains(&act.at_ms));
            (first.expect("a night").at_ms - from) / HOUR_MS
        };
        assert_eq!([0, 6, 7, 13].map(begins), [2, 2, 5, 6]);
        // The night in which clocks go back: five in the morning is six hours after midnight.
        assert_eq!(berlin_ms(13, 5) - berlin_ms(13, 0), 6 * HOUR_MS);
    }
}
