//! What is predicted: the in-flight hazard of a change.
//!
//! A change is under way from when it began to when it was committed. It meets the hazard if a
//! change of the same name by **another actor is under way or committed in that time**, ends
//! included ([`overlap`]): `name_j = name_i`, `actor_j != actor_i`, `start_j <= ts_i` and `ts_j >= start_i`. Both
//! of two such changes meet it, whichever is committed first. So does one that a person had to decide
//! on. `start` is never taken to be after
//! `ts`; author times (`ats`) are not used, being those of the last rewriting. What becomes of a
//! change is known once it and those that overlap it are committed; `Samples` takes the later of
//! the two as the time from which it may be learnt.

use crate::trace::{Change, Trace};

/// From when a change began to when it was committed, in milliseconds since 1970, both included.
pub type Window = (i64, i64);

/// Whether two changes were under way at the same time.
pub fn overlap(one: Window, other: Window) -> bool {
    other.0 <= one.1 && other.1 >= one.0
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Whether it met the hazard.
    pub met: bool,
    /// When that is known from committed changes alone, in milliseconds since 1970.
    pub known_ms: i64,
}

/// The fate of each change of a trace, in its order.
pub fn in_flight(trace: &Trace) -> Vec<Fate> {
    let mut of_name: Vec<Vec<&Change>> = vec![Vec::new(); trace.names.len()];
    for change in &trace.changes {
        of_name[change.name as usize].push(change);
    }
    for changes in &mut of_name {
        changes.sort_by_key(|change| change.committed_ms);
    }
    trace.changes.iter().map(|change| fate(change, &of_name[change.name as usize])).collect()
}

/// `of_name`: all changes of the name, in the order in which they were committed.
fn fate(change: &Change, of_name: &[&Change]) -> Fate {
    let window = |change: &Change| (change.started_ms, change.committed_ms);
    // Those before do not overlap, and there may be very many.
    let first = of_name.partition_point(|other| other.committed_ms < change.started_ms);
    let met = of_name[first..]
        .iter()
        .find(|other| other.actor != change.actor && overlap(window(change), window(other)));
    let known_ms =
        met.map_or(change.committed_ms, |other| other.committed_ms.max(change.committed_ms));
    Fate { met: met.is_some() || change.is_reviewed, known_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_actors_change_at_the_same_time_is_the_hazard() {
        let text = "ts,start,name,rtype,op,actor\n20,10,n,A,add,x\n15,15,n,TXT,add,y\n\
            30,21,n,A,mod,y\n50,10,n,A,mod,y\n50,10,m,A,add,x\n";
        let trace = crate::trace::read(text.as_bytes()).expect("trace");
        let fates = in_flight(&trace);
        let met: Vec<_> = fates.iter().map(|fate| fate.met).collect();
        assert_eq!(met, [true, true, false, true, false]);
        let known: Vec<_> = fates.iter().map(|fate| fate.known_ms).collect();
        assert_eq!(known, [20_000, 20_000, 30_000, 50_000, 50_000]);
    }
}
