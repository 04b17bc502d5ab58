//! Witnesses: the one that this node is for other logs, and those that it asks for its own.

use crate::config::Config;
use crate::files;
use crate::start::StartError;
use crossbeam_channel::{Receiver, TrySendError};
use einhorn_core::ledger::{Checkpoint, SignedCheckpoint, VerifierKey};
use einhorn_ingress::http::AddCheckpoint;
use einhorn_ingress::now_ms;
use einhorn_ingress::witness::{Cosigned, Prove, Witnesses};
use einhorn_store::ledger::{Files, OsFiles, Sealer, Witness, WitnessError, prove_consistency};
use std::io;
use std::sync::Arc;

/// Folder of what was cosigned for other logs, in the data folder.
const WITNESS_FOLDER: &str = "witness";
/// Cosignatures that wait to be stored; each witness is asked once a second at most.
const COSIGNATURES_WAITING_MAX: usize = 64;

/// The witness for the configured logs, if there are any. More are added with
/// [`Witness::follow`].
pub(crate) fn witness(config: &Config) -> Result<Option<Arc<Witness>>, StartError> {
    if config.witnessed_logs.is_empty() {
        return Ok(None);
    }
    let name = format!("{}/witness", config.ledger_name);
    let signer = files::witness_signer(&config.data, &name)?;
    let folder = OsFiles::open(config.data.join(WITNESS_FOLDER))?;
    let witness = Witness::new(Arc::new(folder), signer)
        .map_err(|error: WitnessError| io::Error::other(error.to_string()))?;
    for log in &config.witnessed_logs {
        let of_origin = config.witnessed_logs.iter().filter(|other| other.origin == log.origin);
        witness.follow(&log.origin, of_origin.map(|log| log.key.clone()).collect());
    }
    Ok(Some(Arc::new(witness)))
}

/// Its answers, at the time of day.
pub(crate) fn answers(witness: Arc<Witness>) -> AddCheckpoint {
    Arc::new(move |body| witness.add_checkpoint(body, now_ms() / 1000).map_err(io::Error::other))
}

/// The outside witnesses of our log, for the thread that seals it.
pub(crate) struct Asked {
    witnesses: Option<Witnesses>,
    /// Their keys.
    pub(crate) keys: Vec<VerifierKey>,
    cosigned: Receiver<(Checkpoint, String)>,
}

impl Asked {
    /// Nobody is asked.
    pub(crate) fn none() -> Asked {
        Asked { witnesses: None, keys: Vec::new(), cosigned: crossbeam_channel::never() }
    }

    /// Starts asking the configured witnesses.
    pub(crate) fn start(
        config: &Config,
        ledger: Arc<dyn Files>,
        sealer: &Sealer,
    ) -> Result<Asked, StartError> {
        if config.witnesses.is_empty() {
            return Ok(Asked::none());
        }
        let (sender, cosigned) = crossbeam_channel::bounded(COSIGNATURES_WAITING_MAX);
        let keys = config.witnesses.iter().map(|witness| witness.key.clone()).collect();
        let prove: Prove = Arc::new(move |old_size, size| {
            prove_consistency(&*ledger, old_size, size).map_err(io::Error::other)
        });
        let take: Cosigned = Arc::new(move |checkpoint, line| {
            // One that finds no room comes again with the next checkpoint.
            if let Err(TrySendError::Full(_)) = sender.try_send((checkpoint.clone(), line)) {
                tracing::warn!("a cosignature was not stored: too many wait");
            }
        });
        let witnesses = Witnesses::start(config.witnesses.clone(), prove, take)?;
        let asked = Asked { witnesses: Some(witnesses), keys, cosigned };
        asked.offer(sealer.signed());
        Ok(asked)
    }

    /// Leaves a checkpoint for the witnesses. Takes no time.
    pub(crate) fn offer(&self, signed: Option<&SignedCheckpoint>) {
        if let (Some(witnesses), Some(signed)) = (&self.witnesses, signed) {
            witnesses.offer(signed.clone());
        }
    }

    /// Stores what the witnesses have answered since. What fails is no reason to stop: the next
    /// checkpoint brings it again.
    pub(crate) fn store(&self, sealer: &mut Sealer) {
        for (checkpoint, line) in self.cosigned.try_iter() {
            if let Err(error) = sealer.add_cosignatures(&checkpoint, &line) {
                tracing::warn!(%error, "a cosignature was not stored");
            }
        }
    }
}
