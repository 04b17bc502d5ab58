//! What the site where a change enters can know at that moment, as a row of small integers.
//!
//! Everything comes from changes that were **committed before this one began**, and from intents in
//! view: that somebody began a change of a name (never what, or when it will be done) is known
//! everywhere [`VISIBLE_AFTER_MS`] later, until it is committed. What stood there when this change
//! was committed is not used, nor how long it took.
//! `base`, where a history has it, is not used: of a branch that was brought up to date later it
//! tells how long the change will take.

mod observer;
mod quantise;
mod target;

pub use observer::{Intent, Observer};
pub use quantise::{amount_of_level, level};
pub use target::{Target, kind_of, number_of};

use crate::trace::{Change, Trace};
use sha2::{Digest, Sha256};

/// How many features there are.
pub const COUNT: usize = 38;

/// One row: each feature in 0..=255.
pub type Features = [u8; COUNT];

/// The name of each feature and what it counts. Times are ages in milliseconds, on the scale of [`level`]; 255
/// says never.
pub const SCHEMA: [(&str, &str); COUNT] = [
    ("name_age", "since the name's last change"),
    ("other_age", "since another identity's last change of the name"),
    ("own_age", "since this identity's last change of the name"),
    ("name_changes", "changes of the name so far"),
    ("name_writers", "identities that changed the name so far"),
    ("other_changes", "changes of the name by other identities"),
    ("last_writer", "the last change was by: 0 nobody, 1 this identity, 2 another one"),
    ("first_writer", "the name was first made by: 0 nobody, 1 this identity, 2 another one"),
    ("name_rate_day", "changes of the name, fading by half in a day"),
    ("name_rate_month", "changes of the name, fading by half in 30 days"),
    ("name_types", "record types that the name has"),
    ("type_exists", "the name has records of this type"),
    ("name_hazards", "changes of the name that met the hazard"),
    ("name_duration", "how long the name's last change took"),
    ("group_other_age", "since another identity changed a name of the same owner"),
    ("group_changes", "changes of names of the same owner"),
    ("group_rate_day", "changes of names of the same owner, fading by half in a day"),
    ("actor_changes", "changes by this identity so far"),
    ("actor_age", "since this identity's last change of anything"),
    ("actor_names", "names that this identity changed"),
    ("actor_duration", "how long this identity's changes took, fading average"),
    ("actor_hazards", "changes by this identity that met the hazard"),
    ("last_writer_names", "names that the name's last writer changed"),
    ("site_rate_hour", "changes of all names, fading by half in an hour"),
    ("site_rate_day", "changes of all names, fading by half in a day"),
    ("site_duration", "how long changes took lately, fading average"),
    ("bulk_age", "since a batch of many names"),
    ("bulk_other_age", "since a batch of another identity that held the name"),
    ("request_changes", "changes in the same request"),
    ("record_type", "0 other, 1 A or AAAA, 2 CNAME, 3 TXT, 4 MX, 5 NS"),
    ("deletes", "removes records"),
    ("name_depth", "labels of the name; 128 more if the first begins with an underscore"),
    ("open_others", "intents of other identities for the name in view"),
    ("open_others_age", "since the youngest of them began"),
    ("open_others_oldest", "since the oldest of them began"),
    ("open_own", "intents of this identity for the name in view"),
    ("group_open_others", "intents of other identities in view for names of the same owner"),
    ("site_open", "intents in view for all names"),
];

/// In a history an intent is taken to be known everywhere so long after it began, in milliseconds.
pub const VISIBLE_AFTER_MS: i64 = 60_000;

/// Names the features, their order and their scale: the first octets of a SHA-256.
pub fn schema_hash() -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(b"einhorn features 2\n");
    for (name, meaning) in SCHEMA {
        hash.update(format!("{name}\t{meaning}\n"));
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    first
}

/// The features of every change of a trace, in its order, each as it was when the change began.
pub fn of_trace(trace: &Trace) -> Vec<Features> {
    let changes = &trace.changes;
    let intents = intents(trace);
    let mut by_start: Vec<_> = (0..changes.len()).collect();
    by_start.sort_by_key(|at| changes[*at].started_ms);
    let mut by_commit = by_start.clone();
    by_commit.sort_by_key(|at| changes[*at].committed_ms);
    // Nothing is forgotten of a history.
    let mut observer = Observer::new(changes.len());
    let mut rows = vec![[0; COUNT]; changes.len()];
    let mut committed = by_commit.into_iter().peekable();
    // What is committed before anybody hears of it never comes into view.
    let seen_ms = |change: &Change| change.started_ms + VISIBLE_AFTER_MS;
    let is_seen = |at: &usize| changes[*at].committed_ms >= seen_ms(&changes[*at]);
    let mut begun = by_start.clone().into_iter().filter(is_seen).peekable();
    for at in by_start {
        let now_ms = changes[at].started_ms;
        // A change enters the view before it leaves it: hence beginnings first.
        while let Some(seen) = begun.next_if(|seen| seen_ms(&changes[*seen]) < now_ms) {
            observer.begun(&intents[seen]);
        }
        while let Some(done) = committed.next_if(|done| changes[*done].committed_ms < now_ms) {
            observer.committed(&intents[done], changes[done].committed_ms);
        }
        rows[at] = observer.features(&intents[at]);
    }
    rows
}

/// Each change as it began.
fn intents(trace: &Trace) -> Vec<Intent> {
    let targets: Vec<_> = trace.names.iter().map(|name| Target::of(name)).collect();
    let kinds: Vec<_> = trace.record_types.iter().map(|kind| kind_of(kind)).collect();
    let sizes = request_sizes(trace);
    let intent = |change: &Change| Intent {
        started_ms: change.started_ms,
        target: targets[change.name as usize],
        record_type: change.record_type,
        kind: kinds[change.record_type as usize],
        actor: u64::from(change.actor),
        deletes: change.deletes,
        request_changes: sizes[change.request as usize],
    };
    trace.changes.iter().map(intent).collect()
}

/// How many changes each request has.
fn request_sizes(trace: &Trace) -> Vec<u32> {
    let requests = trace.changes.iter().map(|change| change.request as usize + 1).max();
    let mut sizes = vec![0; requests.unwrap_or(0)];
    for change in &trace.changes {
        sizes[change.request as usize] += 1;
    }
    sizes
}

/// The rule of one line that a model has to beat: a change meets the hazard if another identity's
/// intent for the name is in view. Larger is likelier.
pub fn one_line_rule(features: &Features) -> u8 {
    u8::from(features[OPEN_OTHERS] > 0)
}

/// Since another identity's last change of the name.
pub const OTHER_AGE: usize = 1;
/// Changes by this identity so far.
pub const ACTOR_CHANGES: usize = 17;
/// Intents of other identities for the name in view.
pub const OPEN_OTHERS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_committed_yet_is_not_seen() {
        let head = "ts,start,name,rtype,op,actor,commit\n20,10,n,A,add,x,1\n";
        let with = |more: &str| {
            let text = format!("{head}{more}1000,500,n,A,mod,y,9\n");
            let trace = crate::trace::read(text.as_bytes()).expect("trace");
            of_trace(&trace).pop().expect("a row")
        };
        let plain = with("");
        assert_eq!(plain[OTHER_AGE], level(480_000));
        // Begun a moment ago, in the same second, or later: none of it may show.
        for unseen in ["600,450,n,A,mod,z,2\n", "500,500,n,A,mod,z,2\n", "2000,2000,n,A,del,x,2\n"]
        {
            assert_eq!(with(unseen), plain, "{unseen}");
        }
        assert_ne!(with("499,400,n,A,mod,z,2\n"), plain);
        // Committed at once: not even much later is it taken to be under way.
        let over = "300,300,m,A,add,z,2\n330,330,o,A,add,z,3\n";
        assert_eq!(with(over)[OPEN_OTHERS + 5], 0);
        let open = with("900,400,n,A,mod,z,2\n");
        assert_eq!((open[OPEN_OTHERS], open[OPEN_OTHERS + 1]), (1, level(100_000)));
        // That it is open may be known, but not until when.
        assert_eq!(with("99999,400,n,A,mod,z,2\n"), open);
    }

    #[test]
    fn the_schema_has_a_name() {
        assert_eq!(schema_hash(), schema_hash());
        assert_eq!(SCHEMA[OTHER_AGE].0, "other_age");
        assert_eq!(SCHEMA[OPEN_OTHERS].0, "open_others");
        assert_eq!(SCHEMA[ACTOR_CHANGES].0, "actor_changes");
    }
}
