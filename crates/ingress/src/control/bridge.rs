//! What the legacy bridge's own process asks of a node about a source.

/// What can be asked. Octets are those of `einhorn_core::exchange`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BridgeCall {
    /// What is known of the source and its zone.
    Look,
    /// Do the next step of it.
    Advance(Vec<u8>),
    /// Put records of it into the review queue.
    Freeze(Vec<u8>),
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BridgeReply {
    /// What is known, as octets.
    View(Vec<u8>),
    /// It was done, but for what was left.
    Done {
        /// The source's revision now.
        revision: u64,
        /// Units, or records, that were not done, by their place from 0, and why.
        left: Vec<(usize, String)>,
    },
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeRefusal {
    /// No such source is configured.
    #[error("no source `{0}` is configured at this node")]
    Unknown(String),
    /// The octets are not what they should be.
    #[error("{0}")]
    Malformed(String),
    /// The source is not as the bridge saw it.
    #[error("{0}")]
    Moved(String),
    /// Something else.
    #[error("{0}")]
    Failed(String),
}
