//! What waits to be written to one connection. Filled by the caller's thread, emptied by the
//! connection's task; bounded by octets.

use crate::{SendError, WAITING_OCTETS_MAX};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a waiting frame counts besides its octets: many small ones take room too.
const FRAME_OVERHEAD_OCTETS: usize = 32;

/// What a frame counts while it waits.
pub(crate) fn octets_counted(frame: &[u8]) -> usize {
    frame.len() + FRAME_OVERHEAD_OCTETS
}

/// Frames that wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    content: Mutex<Content>,
    /// Wakes the task that writes.
    filled: Notify,
}

#[derive(Debug, Default)]
struct Content {
    frames: Vec<Vec<u8>>,
    /// Of the waiting frames and of those that are being written.
    octets: usize,
    closed: bool,
}

impl Queue {
    /// Appends a frame. The task is woken only if it may be asleep.
    pub(crate) fn push(&self, frame: Vec<u8>) -> Result<(), SendError> {
        let mut content = self.lock();
        if content.closed {
            return Err(SendError::Gone);
        }
        let octets = content.octets + octets_counted(&frame);
        if octets > WAITING_OCTETS_MAX {
            return Err(SendError::Full);
        }
        content.octets = octets;
        let was_empty = content.frames.is_empty();
        content.frames.push(frame);
        drop(content);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until there are frames, and takes all of them into `frames`, which is empty.
    pub(crate) async fn take(&self, frames: &mut Vec<Vec<u8>>) {
        loop {
            {
                let mut content = self.lock();
                if !content.frames.is_empty() {
                    std::mem::swap(&mut content.frames, frames);
                    return;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Frames of so many octets have been written.
    pub(crate) fn written(&self, octets: usize) {
        self.lock().octets -= octets;
    }

    /// Takes no more, and forgets what waits.
    pub(crate) fn close(&self) {
        let mut content = self.lock();
        content.closed = true;
        content.frames = Vec::new();
    }

    /// Octets handed over and not yet written.
    pub(crate) fn octets(&self) -> usize {
        self.lock().octets
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_until_it_is_written() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let queue = Queue::default();
        let half = vec![7; WAITING_OCTETS_MAX / 2 - FRAME_OVERHEAD_OCTETS];
        assert_eq!(queue.push(half.clone()), Ok(()));
        assert_eq!(queue.push(half.clone()), Ok(()));
        assert_eq!(queue.push(Vec::new()), Err(SendError::Full));
        let mut frames = Vec::new();
        runtime.block_on(queue.take(&mut frames));
        assert_eq!(frames.len(), 2);
        assert_eq!(queue.push(vec![7]), Err(SendError::Full), "nothing is written yet");
        queue.written(octets_counted(&half));
        assert_eq!(queue.push(vec![7]), Ok(()));
        assert_eq!(queue.octets(), octets_counted(&half) + octets_counted(&[7]));
        queue.close();
        assert_eq!(queue.push(vec![7]), Err(SendError::Gone));
    }
}
