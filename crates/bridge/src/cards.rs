//! Decks of 80-column cards: changes to a master file, one card for each.
//!
//! A card adds a host (`A`), changes it (`C`) or deletes it (`D`). A blank field is no change, `-`
//! clears it. A field that is a list is one field: the elements that a card gives are the new
//! list. What a card says beside the fields of a host stands in the sidecar of its record, so that
//! [`crate::codec::Format::Cards`] reads and writes it like any record.

use crate::copybook::host::{Host, sidecar};
use crate::record::{Field, FieldName, Fields, Key, Record};
use crate::text::Text;

/// What a card does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A new host.
    Add,
    /// Other fields for a host.
    Change,
    /// The host is no more.
    Delete,
}

impl Action {
    /// The letter on the card.
    pub fn letter(self) -> &'static str {
        match self {
            Action::Add => "A",
            Action::Change => "C",
            Action::Delete => "D",
        }
    }

    fn from_letter(letter: &str) -> Option<Action> {
        [Action::Add, Action::Change, Action::Delete]
            .into_iter()
            .find(|action| action.letter() == letter)
    }
}

/// A card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// What it does.
    pub action: Action,
    /// The host.
    pub key: Key,
    /// Fields that get a value; all others are not set.
    pub fields: Fields,
    /// Fields that get none.
    pub cleared: Vec<FieldName>,
    /// The revision of the host's record that the card was made from.
    pub base_revision: Option<u64>,
}

/// Why a card cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A card adds a host that there is.
    #[error("the card adds a host that is there already")]
    Exists,
    /// A card changes or deletes a host that there is not.
    #[error("the card is for a host that is not there")]
    Missing,
    /// The host's record has changed since the card was made.
    #[error("the card was made from revision {base}, but the record has revision {now}")]
    Stale {
        /// What the card was made from.
        base: u64,
        /// What the record has now.
        now: u64,
    },
}

impl Card {
    /// The card that a record of a deck is; `None` for records that are of no deck.
    pub fn of(record: &Record) -> Option<Card> {
        let side = |name| Host::side(&record.sidecar, name);
        let cleared = side(sidecar::CLEAR).unwrap_or_default();
        let named = |name: &str| FieldName::ALL.into_iter().find(|field| field.name() == name);
        Some(Card {
            action: Action::from_letter(&side(sidecar::ACTION)?)?,
            key: record.key.clone(),
            fields: record.fields().clone(),
            cleared: cleared.split(',').filter_map(named).collect(),
            base_revision: side(sidecar::BASE_REVISION).and_then(|text| text.parse().ok()),
        })
    }

    /// The record of a deck that says this.
    pub fn into_record(self, id: crate::record::HostId) -> Record {
        let mut record = Record::new(id, self.key, self.fields);
        let entry = |name: &str, value: String| (Text::from(name), Text::from(value));
        record.sidecar.push(entry(sidecar::ACTION, self.action.letter().to_owned()));
        if let Some(revision) = self.base_revision {
            record.sidecar.push(entry(sidecar::BASE_REVISION, revision.to_string()));
        }
        if !self.cleared.is_empty() {
            let names: Vec<&str> = self.cleared.iter().map(|field| field.name()).collect();
            record.sidecar.push(entry(sidecar::CLEAR, names.join(",")));
        }
        record
    }

    /// The card that makes `ours` of `base`, of the fields that `written` allows; `None` if they
    /// are the same. Both are of one name: another name is another host to a deck.
    pub fn between(
        base: Option<&Record>,
        ours: Option<&Record>,
        written: impl Fn(FieldName) -> bool,
    ) -> Option<Card> {
        let base_revision = base.and_then(revision);
        let (action, record) = match (base, ours) {
            (None, None) => return None,
            (Some(base), None) => (Action::Delete, base),
            (None, Some(ours)) => (Action::Add, ours),
            (Some(_), Some(ours)) => (Action::Change, ours),
        };
        let mut card = Card {
            action,
            key: record.key.clone(),
            fields: Fields::default(),
            cleared: Vec::new(),
            base_revision,
        };
        let Some(ours) = ours else { return Some(card) };
        let none = Fields::default();
        let before = base.map_or(&none, Record::fields);
        for field in FieldName::ALL.into_iter().filter(|field| written(*field)) {
            match change(field, before, ours.fields(), &mut card.fields) {
                Changed::No | Changed::To => {}
                Changed::ToNothing => card.cleared.push(field),
            }
        }
        let empty = card.cleared.is_empty() && card.fields == none;
        (action == Action::Add || !empty).then_some(card)
    }

    /// What the host's record is after the card; `None` if it is no more.
    ///
    /// # Errors
    /// [`Conflict`], when the card was not made from this record.
    pub fn apply(&self, base: Option<&Record>) -> Result<Option<Fields>, Conflict> {
        let mut fields = match (self.action, base) {
            (Action::Add, Some(_)) => return Err(Conflict::Exists),
            (Action::Add, None) => Fields::default(),
            (_, None) => return Err(Conflict::Missing),
            (_, Some(base)) => {
                if let (Some(base), Some(now)) = (self.base_revision, revision(base))
                    && base != now
                {
                    return Err(Conflict::Stale { base, now });
                }
                base.fields().clone()
            }
        };
        if self.action == Action::Delete {
            return Ok(None);
        }
        let none = Fields::default();
        for field in FieldName::ALL {
            if self.cleared.contains(&field) {
                set(field, &none, &mut fields);
            } else {
                change(field, &none, &self.fields, &mut fields);
            }
        }
        Ok(Some(fields))
    }
}

/// The revision of a record of a master.
fn revision(record: &Record) -> Option<u64> {
    Host::side(&record.sidecar, sidecar::REVISION)?.parse().ok()
}

enum Changed {
    No,
    To,
    ToNothing,
}

/// One field of `after`, copied to `to` if it differs from that of `before`.
fn change(field: FieldName, before: &Fields, after: &Fields, to: &mut Fields) -> Changed {
    fn part<T: Clone + PartialEq>(
        before: &Field<T>,
        after: &Field<T>,
        to: &mut Field<T>,
    ) -> Changed {
        if before == after {
            return Changed::No;
        }
        if after.value().is_none() {
            return Changed::ToNothing;
        }
        *to = after.clone();
        Changed::To
    }
    macro_rules! parts {
        ($($name:ident $part:ident),*) => {
            match field {
                $(FieldName::$name => part(&before.$part, &after.$part, &mut to.$part),)*
                FieldName::Name | FieldName::Sidecar => Changed::No,
            }
        };
    }
    parts!(
        Addresses addresses, Nicknames nicknames, Protocols protocols, Machine machine,
        System system, Status status, Hardware hardware, Ttl ttl_seconds, Changed changed,
        Expires expires, Remark remark, Others others
    )
}

/// One field of `from`, copied to `to`.
fn set(field: FieldName, from: &Fields, to: &mut Fields) {
    macro_rules! parts {
        ($($name:ident $part:ident),*) => {
            match field {
                $(FieldName::$name => to.$part = from.$part.clone(),)*
                FieldName::Name | FieldName::Sidecar => {}
            }
        };
    }
    parts!(
        Addresses addresses, Nicknames nicknames, Protocols protocols, Machine machine,
        System system, Status status, Hardware hardware, Ttl ttl_seconds, Changed changed,
        Expires expires, Remark remark, Others others
    );
}
