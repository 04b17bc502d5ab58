//! Sites that follow a log from here: each is sent what it does not have yet, in order, from memory
//! while it keeps up and from the disk when it does not.

use super::{Append, Batch, Commit, Output};
use crate::link::{ENTRIES_OCTETS, entries_frame};
use crate::model::Origin;
use std::collections::BTreeMap;

/// Entries that a site may be sent before it says that it has them.
const WINDOW_ENTRIES: u64 = 65_536;

/// How far a site is with a log that it follows from here.
struct Cursor {
    /// The next entry to send.
    next: u64,
    /// What it said it has.
    has: u64,
    /// Entries are being read from the disk for it.
    is_streaming: bool,
    /// Where to go on after that, if it has asked anew meanwhile.
    restart: Option<u64>,
}

/// Every site that follows a log from here.
#[derive(Default)]
pub(super) struct Followers {
    cursors: BTreeMap<(u16, Origin), Cursor>,
}

impl Followers {
    /// Forgets a site that is not connected any more.
    pub(super) fn forget(&mut self, site: u16) {
        self.cursors.retain(|(follower, _), _| *follower != site);
    }
}

impl<R> Commit<R> {
    /// A site wants a log's entries from here on.
    pub(super) fn follow(
        &mut self,
        site: u16,
        origin: Origin,
        from: u64,
        out: &mut Vec<Output<R>>,
    ) {
        let is_streaming = false;
        let fresh = Cursor { next: from, has: from, is_streaming, restart: None };
        let cursor = self.followers.cursors.entry((site, origin)).or_insert(fresh);
        (cursor.next, cursor.has) = (from, from);
        cursor.restart = cursor.is_streaming.then_some(from);
        self.send_on(site, origin, out);
    }

    /// A site says what it has of a log.
    pub(super) fn acknowledged(
        &mut self,
        site: u16,
        origin: Origin,
        has: u64,
        out: &mut Vec<Output<R>>,
    ) {
        if let Some(cursor) = self.followers.cursors.get_mut(&(site, origin)) {
            cursor.has = cursor.has.max(has);
            self.send_on(site, origin, out);
        }
        self.release_levels(out);
    }

    /// Entries of a log up to `next` were read and sent, as [`Output::Stream`] asked for.
    pub fn streamed(&mut self, site: u16, origin: Origin, next: u64, out: &mut Vec<Output<R>>) {
        if let Some(cursor) = self.followers.cursors.get_mut(&(site, origin)) {
            cursor.next = cursor.restart.take().unwrap_or(cursor.next.max(next));
            cursor.is_streaming = false;
            self.send_on(site, origin, out);
        }
    }

    /// Has entries read for a site that lacks some, unless it has enough to do.
    fn send_on(&mut self, site: u16, origin: Origin, out: &mut Vec<Output<R>>) {
        let held = self.held_durably(origin);
        let Some(cursor) = self.followers.cursors.get_mut(&(site, origin)) else { return };
        let has_room = cursor.next < cursor.has + WINDOW_ENTRIES;
        if !cursor.is_streaming && cursor.next < held && has_room {
            cursor.is_streaming = true;
            out.push(Output::Stream { to: site, origin, from: cursor.next });
        }
    }

    /// Stored entries of a log that are on this site's disk.
    pub(super) fn held_durably(&self, origin: Origin) -> u64 {
        if origin == self.state.origin { self.durable } else { self.copies.durable(origin) }
    }

    /// Sends what has become durable to those who wait for it.
    pub(super) fn send_to_followers(&mut self, append: &Append, out: &mut Vec<Output<R>>) {
        let own = (append.origin, &append.own);
        let copies = append.copies.iter().map(|(origin, batch)| (*origin, batch));
        for (origin, batch) in std::iter::once(own).chain(copies) {
            if !batch.is_empty() {
                self.send_batch(origin, batch, out);
            }
        }
    }

    fn send_batch(&mut self, origin: Origin, batch: &Batch, out: &mut Vec<Output<R>>) {
        let followers: Vec<u16> = (self.followers.cursors.keys())
            .filter(|(_, log)| *log == origin)
            .map(|(site, _)| *site)
            .collect();
        let mut frame = None;
        for site in followers {
            let Some(cursor) = self.followers.cursors.get_mut(&(site, origin)) else { continue };
            let keeps_up = !cursor.is_streaming
                && cursor.next == batch.first_index
                && cursor.next < cursor.has + WINDOW_ENTRIES;
            if keeps_up && batch.octets() <= ENTRIES_OCTETS {
                cursor.next = batch.end();
                let frame = frame.get_or_insert_with(|| {
                    let entries = batch.entries().map(|(entry, _)| entry);
                    entries_frame(origin, batch.first_index, entries)
                });
                out.push(Output::Send(site, frame.clone()));
            } else {
                self.send_on(site, origin, out);
            }
        }
    }
}
