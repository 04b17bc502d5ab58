//! What is added up over the records of a file, and compared with its trailer.

use super::cell::Cell;
use super::layout::Counts;
use super::plan::{Plan, Totals};

/// Sums over a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Records of hosts.
    pub(super) details: u64,
    /// Sum of the hashed field, or why there is none.
    hash: i128,
    unknown: Option<String>,
    last_key: Option<Vec<u8>>,
    last_sequence: Option<i128>,
}

impl Tally {
    /// Adds a detail; the error says how it is out of order.
    pub(super) fn add(&mut self, plan: &Plan, body: &[u8]) -> Result<(), String> {
        self.details += 1;
        if let Some((_, of)) = plan.trailer.as_ref().and_then(|trailer| trailer.hash.as_ref()) {
            match of.number(body) {
                Ok(number) => self.hash = self.hash.wrapping_add(number),
                Err(fault) => {
                    let details = self.details;
                    self.unknown.get_or_insert_with(|| {
                        format!("{} of detail {details}: {}", fault.field, fault.reason)
                    });
                }
            }
        }
        if let Some(cell) = &plan.sorted_by {
            let key = cell.octets(body).unwrap_or_default();
            if self.last_key.as_deref().is_some_and(|last| last > key) {
                return Err(format!(
                    "{} sorts before that of the record before it: {:?} is out of order",
                    cell.name,
                    cell.text(body).unwrap_or_default().to_string()
                ));
            }
            let last = self.last_key.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
        }
        if let Some((cell, _)) = &plan.sequence {
            let fault = |fault: super::cell::Fault| format!("{}: {}", fault.field, fault.reason);
            let number = cell.number(body).map_err(fault)?;
            if let Some(last) = self.last_sequence.filter(|last| *last >= number) {
                return Err(format!("{} is {number} after {last}: out of sequence", cell.name));
            }
            self.last_sequence = Some(number);
        }
        Ok(())
    }

    /// What a trailer should say as its count.
    pub(super) fn count(&self, plan: &Plan, counts: Counts) -> i128 {
        let others = match counts {
            Counts::Details => 0,
            Counts::All => 1 + u64::from(plan.header.is_some()),
        };
        i128::from(self.details + others)
    }

    /// What a trailer should say as its hash total: as many digits of the sum as there is room for.
    pub(super) fn hash(&self, total: &Cell) -> Result<i128, String> {
        match &self.unknown {
            Some(reason) => Err(format!("the hash total cannot be known: {reason}")),
            None => Ok(self.hash % 10_i128.pow(total.digits() as u32)),
        }
    }

    /// What is wrong with a trailer, if anything is.
    pub(super) fn compare(
        &self,
        plan: &Plan,
        totals: &Totals,
        body: &[u8],
        generation: Option<i128>,
    ) -> Result<(), String> {
        let number = |cell: &Cell| {
            cell.number(body).map_err(|fault| format!("{}: {}", fault.field, fault.reason))
        };
        let same = |what: &str, said: i128, found: i128| {
            if said == found {
                return Ok(());
            }
            Err(format!("the trailer says {what} {said}, but the file has {found}"))
        };
        if let Some((cell, counts)) = &totals.count {
            same("count", number(cell)?, self.count(plan, *counts))?;
        }
        if let Some((total, _)) = &totals.hash {
            same("hash total", number(total)?, self.hash(total)?)?;
        }
        if let (Some(cell), Some(generation)) = (&totals.part.generation, generation) {
            same("generation", number(cell)?, generation)?;
        }
        Ok(())
    }
}
