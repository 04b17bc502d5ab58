//! The engine on a real etcd, whose members these tests start, kill and fill up.

mod conformance;
mod election;
mod failures;
mod follow;
mod quota;
mod speed;

use std::time::Duration;

use einhorn_harness::{Etcd, scratch};
use einhorn_store::engine::etcd::EtcdPlace;

/// What a test waits for at most, where it waits for something that comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An etcd in a folder that goes with it.
struct Cluster {
    etcd: Etcd,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Three members; `None`, said loudly, where etcd is not installed.
    fn start() -> Option<Self> {
        Self::start_with(3, &[])
    }

    fn start_with(members: usize, arguments: &[&str]) -> Option<Self> {
        let folder = scratch();
        let etcd = Etcd::start(folder.path(), members, arguments)?;
        Some(Self { etcd, _folder: folder })
    }

    fn place(&self) -> EtcdPlace {
        EtcdPlace::new(self.etcd.endpoints(), "einhorn/1")
    }
}

/// etcd's own values, seen and put by somebody else than the engine.
impl Cluster {
    fn ask(&self, path: &str, body: serde_json::Value) -> Result<serde_json::Value, String> {
        self.etcd.post(0, path, &body)
    }

    fn put(&self, key: &str, value: &str) {
        let body = serde_json::json!({ "key": base64(key), "value": base64(value) });
        self.ask("/v3/kv/put", body).unwrap();
    }

    /// How many keys there are in all.
    fn keys(&self) -> u64 {
        let all = serde_json::json!({ "key": "AA==", "range_end": "AA==", "count_only": true });
        let answer = self.ask("/v3/kv/range", all).unwrap();
        answer["count"].as_str().and_then(|count| count.parse().ok()).unwrap_or_default()
    }

    /// The values below a prefix at a revision.
    fn get_at(&self, prefix: &str, revision: i64) -> Result<serde_json::Value, String> {
        let end = format!("{prefix}~");
        self.ask(
            "/v3/kv/range",
            serde_json::json!({
                "key": base64(prefix), "range_end": base64(&end), "revision": revision.to_string(),
            }),
        )
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
