//! A log and a served witness, for tests.

use super::Prove;
use einhorn_core::ledger::witness::Request;
use einhorn_core::ledger::{Algorithm, SignedCheckpoint, SignerKey, VerifierKey};
use einhorn_store::ledger::{OsFiles, Sealer, prove_consistency};
use std::sync::{Arc, Mutex};

/// A log in a folder of its own.
pub(crate) struct Log {
    files: Arc<OsFiles>,
    sealer: Mutex<Sealer>,
    key: VerifierKey,
    _folder: tempfile::TempDir,
}

pub(crate) fn cosigner(name: &str, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, Algorithm::CosignatureV1, &[seed; 32]).expect("a name")
}

impl Log {
    pub(crate) fn new(origin: &str) -> Log {
        Log::with_seed(origin, 5)
    }

    pub(crate) fn with_seed(origin: &str, seed: u8) -> Log {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Arc::new(OsFiles::open(folder.path()).expect("a folder"));
        let signer = SignerKey::from_seed(origin, Algorithm::Ed25519, &[seed; 32]).expect("a name");
        let key = signer.verifier().clone();
        let sealer = Sealer::open(Arc::clone(&files) as _, signer).expect("a log");
        Log { files, sealer: Mutex::new(sealer), key, _folder: folder }
    }

    pub(crate) fn key(&self) -> VerifierKey {
        self.key.clone()
    }

    /// The checkpoint of this size, which is larger than those before.
    pub(crate) fn grow_to(&self, size: u64) -> SignedCheckpoint {
        let mut sealer = self.sealer.lock().expect("no panic");
        let next = sealer.sealed();
        let entries: Vec<[u8; 8]> = (next..size).map(u64::to_be_bytes).collect();
        sealer.seal(next, &entries).expect("to seal").expect("a checkpoint")
    }

    pub(crate) fn prove(&self) -> Prove {
        let files = Arc::clone(&self.files);
        Arc::new(move |old, size| {
            prove_consistency(&*files, old, size).map_err(std::io::Error::other)
        })
    }

    pub(crate) fn request(&self, old_size: u64, signed: &SignedCheckpoint) -> String {
        let proof = self.prove()(old_size, signed.checkpoint.size).expect("a proof");
        Request { old_size, proof, note: &signed.note }.encode()
    }
}

pub(crate) mod serve_witness {
    use crate::http::{self, AddCheckpoint};
    use einhorn_store::ledger::Witness;
    use std::sync::Arc;

    pub(crate) const NOW_SECONDS: u64 = 1_800_000_000;

    /// Ends with its value.
    pub(crate) struct Server {
        pub(crate) url: String,
        _runtime: tokio::runtime::Runtime,
    }

    pub(crate) fn start(witness: Arc<Witness>) -> Server {
        let listener = http::bind("127.0.0.1:0".parse().expect("an address")).expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let add: AddCheckpoint = Arc::new(move |body| {
            witness.add_checkpoint(body, NOW_SECONDS).map_err(std::io::Error::other)
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            http::serve(listener, Arc::new(|_: &str, _: &str| Ok(None)), Some(add), None, None)
                .await
        });
        Server { url, _runtime: runtime }
    }
}
