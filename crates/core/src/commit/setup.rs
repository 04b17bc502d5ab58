//! What a commit is told when it starts.

use super::{Begin, CopyStart, Keys, Signatures};
use crate::agent::Advisor;
use crate::ledger::SignedCheckpoint;
use crate::ledger::note::SignerKey;
use crate::model::Origin;
use std::collections::BTreeMap;

/// What a site is told when it starts, beside its state.
pub struct Setup {
    /// Checks what other sites sign.
    pub signatures: Box<dyn Signatures>,
    /// Signs what this site holds of other logs; none for a site that is alone for good.
    pub mirror: Option<SignerKey>,
    /// What is durable of other logs.
    pub copies: BTreeMap<Origin, CopyStart>,
    /// The newest checkpoint of the own log.
    pub checkpoint: Option<SignedCheckpoint>,
    /// What is known of who holds how much.
    pub cosigned: Vec<(Origin, u16, u64)>,
    /// How long a request may wait, in milliseconds.
    pub deadline_ms: u64,
    /// How long other things wait.
    pub waits: Waits,
    /// Whether the data may be an old copy, so that the other sites must be asked first.
    pub must_prove: bool,
    /// The site's log before the one that it begins now, if that is not closed yet.
    pub take_over: Option<Origin>,
    /// The agent that looks at what enters here.
    pub advisor: Option<Box<Advisor>>,
    /// The log to begin, once it is proven that there is nothing of it.
    pub begin: Option<Begin>,
}

/// How long things wait that take hours, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// What devices get after an outage to renew their leases.
    pub lease_grace_ms: u64,
    /// How long a deleted name stays at its home: a device that comes back meanwhile finds it.
    pub tombstone_ms: u64,
    /// How often all names are looked at for that.
    pub sweep_ms: u64,
}

impl Default for Waits {
    fn default() -> Waits {
        let minute_ms = 60_000;
        Waits {
            lease_grace_ms: 10 * minute_ms,
            tombstone_ms: 24 * 60 * minute_ms,
            sweep_ms: 10 * minute_ms,
        }
    }
}

/// How long a request may wait if nothing else is said, in milliseconds.
pub const DEADLINE_MS: u64 = 3_000;

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            signatures: Box::new(Keys::default()),
            mirror: None,
            copies: BTreeMap::new(),
            checkpoint: None,
            cosigned: Vec::new(),
            deadline_ms: DEADLINE_MS,
            waits: Waits::default(),
            must_prove: false,
            take_over: None,
            advisor: None,
            begin: None,
        }
    }
}
