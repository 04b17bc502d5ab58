//! The review queue: shows what waits, and turns decisions into ordinary changes.

use crate::inquiry::Inquiry;
use crate::operate::{Operator, operator_request, submit};
use einhorn_core::commit::ReviewReport;
use einhorn_core::model::entry::NameChange;
use einhorn_core::model::review::Choice;
use einhorn_core::model::source::LegacyRecord;
use einhorn_core::model::{NameRecord, RrSet};
use einhorn_ingress::control::{Answer, LegacyLine, ReviewCommand, ReviewLine, ReviewName};

impl Operator {
    pub(crate) fn review(&self, command: ReviewCommand) -> Result<Answer, String> {
        match command {
            ReviewCommand::List => {
                let reviews = self.reviews()?.iter().map(line).collect();
                Ok(Answer::Reviews { reviews })
            }
            ReviewCommand::Show { id } => {
                Ok(Answer::Reviews { reviews: vec![line(&self.open_review(&id)?)] })
            }
            ReviewCommand::Resolve { id, choice } => self.resolve_review(&id, &choice),
        }
    }

    fn reviews(&self) -> Result<Vec<ReviewReport>, String> {
        self.inquire(Inquiry::Reviews)
    }

    fn open_review(&self, id: &str) -> Result<ReviewReport, String> {
        let found = self.reviews()?.into_iter().find(|review| review.at.to_string() == id);
        found.ok_or_else(|| {
            format!("no review `{id}` is open; `einhorn review list` shows those that are")
        })
    }

    fn resolve_review(&self, id: &str, choice: &str) -> Result<Answer, String> {
        let choice: Choice = choice.parse().map_err(|error| format!("{error}"))?;
        let review = self.open_review(id)?;
        let zone = review.open.review.change.zone.clone();
        let request = operator_request(&self.ingress, zone, review.resolution(choice))?;
        let index = submit(&self.ingress, request)?;
        let text = format!("review {id} is closed: {choice}");
        Ok(Answer::Done { text, index: Some(index) })
    }
}

fn line(review: &ReviewReport) -> ReviewLine {
    let change = &review.open.review.change;
    let name = |(name, now): (&NameChange, &Option<NameRecord>)| {
        let current = now.as_ref().map_or_else(Vec::new, NameRecord::owned_rrsets);
        let outcome =
            |choice: Choice| (choice.to_string(), records(&choice.outcome(&current, &name.after)));
        ReviewName {
            name: name.owner.to_string(),
            base: records(&name.all_before()),
            current: records(&current),
            proposed: records(&name.after),
            outcomes: Choice::ALL.into_iter().map(outcome).collect(),
        }
    };
    ReviewLine {
        id: review.at.to_string(),
        opened_ms: review.open.time_ms,
        zone: change.zone.to_string(),
        who: change.who.to_string(),
        site: change.entered_site,
        reason: review.open.review.reason.to_string(),
        names: change.names.iter().zip(&review.now).map(name).collect(),
        legacy: review.open.review.legacy.as_ref().map(legacy),
    }
}

fn legacy(record: &LegacyRecord) -> LegacyLine {
    let LegacyRecord { source, conflict, place, text, raw, .. } = record;
    LegacyLine {
        source: source.clone(),
        conflict: conflict.clone(),
        place: place.clone(),
        record: text.clone(),
        raw: raw.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

fn records(sets: &[RrSet]) -> Vec<String> {
    sets.iter().flat_map(RrSet::lines).collect()
}
