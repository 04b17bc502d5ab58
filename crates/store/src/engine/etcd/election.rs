//! Which node of a site leads: one key under a lease, whose create revision is the epoch.
//!
//! Revisions of etcd only grow, so each leader's epoch is higher than that of all before. A node
//! that leads must never take that for certain between two looks at etcd: what it writes is
//! compared with the key there (see [`super::fence`]), and what it says without writing is its
//! caller's risk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::{
    Client, Compare, CompareOp, EventType, KeyValue, PutOptions, Txn, TxnOp, WatchOptions,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::EngineError;
use super::connection::{Connection, EtcdPlace, Members};
use super::fence::values_in;

/// How long a leader's key outlives its last sign of life: the least that etcd grants with its
/// default timing. etcd looks for leases that have run out twice a second.
const LEASE_SECONDS: i64 = 2;

/// How often a leader gives a sign of life.
const SIGN_INTERVAL: Duration = Duration::from_millis(400);

/// How long a member may take to take a sign of life, before another one is tried.
const SIGN_PATIENCE: Duration = Duration::from_millis(700);

/// How often a candidate looks whether anybody leads though its watch is silent.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdLeader {
    /// The name that it campaigned with.
    pub name: String,
    /// Its epoch.
    pub epoch: u64,
}

/// A node's part in the election of its site.
pub struct EtcdElection {
    connection: Arc<Connection>,
    name: String,
}

impl EtcdElection {
    /// Takes part as `name`, which the other nodes are told: such as an address that they can
    /// forward to.
    ///
    /// # Errors
    /// [`EngineError::Refused`] if the place's endpoints make no sense.
    pub fn open(place: &EtcdPlace, name: &str) -> Result<Self, EngineError> {
        Ok(Self { connection: Connection::open(place)?, name: name.to_owned() })
    }

    /// Who leads at the moment.
    ///
    /// # Errors
    /// As from etcd.
    pub fn leader(&self) -> Result<Option<EtcdLeader>, EngineError> {
        let key = self.connection.place.keys.leader();
        let response = self.connection.call("ask who leads", move |mut client| {
            let key = key.clone();
            async move { client.get(key, None).await }
        })?;
        Ok(response.kvs().first().map(leader_of))
    }

    /// Settles for ever what all nodes must have in common: what the first of them says of `name`
    /// stands. Returns what stands.
    ///
    /// # Errors
    /// As from etcd.
    pub fn settle(&self, name: &str, value: &str) -> Result<String, EngineError> {
        let key = self.connection.place.keys.settled(name);
        let transaction = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then([TxnOp::put(key.clone(), value, None), TxnOp::get(key.clone(), None)])
            .or_else([TxnOp::get(key, None)]);
        let response = self.connection.call("agree with the other nodes", move |mut client| {
            let transaction = transaction.clone();
            async move { client.txn(transaction).await }
        })?;
        let values = values_in(&response).pop().unwrap_or_default();
        let stands = values.first().map(|value| String::from_utf8_lossy(value.value()));
        Ok(stands.unwrap_or_default().into_owned())
    }

    /// Waits up to `patience` to lead; `None` if another node leads until then.
    ///
    /// # Errors
    /// As from etcd.
    pub fn campaign(&self, patience: Duration) -> Result<Option<EtcdLeadership>, EngineError> {
        let end = Instant::now() + patience;
        loop {
            let (leader, revision) = self.look()?;
            if leader.is_none()
                && let Some(leadership) = self.try_to_lead()?
            {
                return Ok(Some(leadership));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            if leader.is_some() {
                self.await_vacancy(revision, left.min(LOOK_INTERVAL));
            }
        }
    }

    /// The leader, and the revision at which that was so.
    fn look(&self) -> Result<(Option<EtcdLeader>, i64), EngineError> {
        let key = self.connection.place.keys.leader();
        let response = self.connection.call("ask who leads", move |mut client| {
            let key = key.clone();
            async move { client.get(key, None).await }
        })?;
        let revision = response.header().map_or(0, |header| header.revision());
        Ok((response.kvs().first().map(leader_of), revision))
    }

    /// Leads, unless somebody does.
    fn try_to_lead(&self) -> Result<Option<EtcdLeadership>, EngineError> {
        const DOING: &str = "become the leader";
        let granted = self.connection.call(DOING, move |mut client| async move {
            client.lease_grant(LEASE_SECONDS, None).await
        })?;
        let (lease, key) = (granted.id(), self.connection.place.keys.leader());
        let options = PutOptions::new().with_lease(lease);
        let transaction = Txn::new()
            .when([Compare::create_revision(key.clone(), CompareOp::Equal, 0)])
            .and_then([
                TxnOp::put(key.clone(), self.name.clone(), Some(options)),
                TxnOp::get(key.clone(), None),
            ])
            .or_else([TxnOp::get(key.clone(), None)]);
        let response = self.connection.call(DOING, move |mut client| {
            let transaction = transaction.clone();
            async move { client.txn(transaction).await }
        })?;
        let values = values_in(&response).pop().unwrap_or_default();
        // The lease tells: an attempt that was not answered may have done it.
        match values.first().filter(|value| value.lease() == lease) {
            Some(value) => {
                let epoch = value.create_revision().cast_unsigned();
                Ok(Some(EtcdLeadership::keep(Arc::clone(&self.connection), lease, epoch)))
            }
            None => {
                revoke(&self.connection, lease);
                Ok(None)
            }
        }
    }

    /// Waits until the leader's key goes, or for `patience`. A watch that breaks is made anew by the
    /// next look.
    fn await_vacancy(&self, revision: i64, patience: Duration) {
        let (at, client) = self.connection.members.preferred();
        let key = self.connection.place.keys.leader();
        let waited = self.connection.wait(async move {
            tokio::time::timeout(patience, vacancy(client, key, revision + 1)).await
        });
        if matches!(waited, Some(Ok(Err(_)))) {
            self.connection.members.prefer_next_to(at);
        }
    }
}

/// Waits until a key is deleted at or after a revision.
async fn vacancy(mut client: Client, key: String, from: i64) -> Result<(), etcd_client::Error> {
    let options = WatchOptions::new().with_start_revision(from);
    let mut stream = client.watch(key, Some(options)).await?;
    while let Some(message) = stream.message().await? {
        let is_gone = |event: &etcd_client::Event| event.event_type() == EventType::Delete;
        if message.canceled() || message.events().iter().any(is_gone) {
            break;
        }
    }
    Ok(())
}

fn leader_of(value: &KeyValue) -> EtcdLeader {
    EtcdLeader {
        name: String::from_utf8_lossy(value.value()).into_owned(),
        epoch: value.create_revision().cast_unsigned(),
    }
}

/// Gives a lease back. If that fails it runs out by itself.
fn revoke(connection: &Connection, lease: i64) {
    let result = connection.call("give a lease back", move |mut client| async move {
        client.lease_revoke(lease).await
    });
    if let Err(error) = result {
        tracing::debug!(%error, "a lease runs out by itself");
    }
}

/// Being the leader. Dropped, it gives no more signs of life, and ends when its lease runs out.
#[derive(Debug)]
pub struct EtcdLeadership {
    connection: Arc<Connection>,
    lease: i64,
    epoch: u64,
    over: Arc<watch::Sender<bool>>,
    signs: JoinHandle<()>,
}

impl EtcdLeadership {
    fn keep(connection: Arc<Connection>, lease: i64, epoch: u64) -> Self {
        let over = Arc::new(watch::Sender::new(false));
        let tell = Arc::clone(&over);
        let (members, key) = (Arc::clone(&connection.members), connection.place.keys.leader());
        let signs = connection.handle.spawn(async move {
            give_signs(&members, &key, lease, epoch).await;
            tell.send_replace(true);
        });
        Self { connection, lease, epoch, over, signs }
    }

    /// Where an engine tells that it can write no more: a leader that cannot write is none.
    pub(super) fn over(&self) -> Arc<watch::Sender<bool>> {
        Arc::clone(&self.over)
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// The epoch: higher than that of all leaders before.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether it is known to be over: etcd has said so, or the engine of this leader can write no
    /// more. While etcd is silent it may be over already.
    pub fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Waits up to `patience` until it is over; says whether it is.
    pub fn await_end(&self, patience: Duration) -> bool {
        let mut is_over = self.over.subscribe();
        let waited = self.connection.wait(async move {
            tokio::time::timeout(patience, is_over.wait_for(|is_over| *is_over)).await.is_ok()
        });
        waited.unwrap_or(true)
    }

    /// Ends it at once, so that another node need not wait.
    pub fn resign(&self) {
        self.signs.abort();
        revoke(&self.connection, self.lease);
    }
}

impl Drop for EtcdLeadership {
    fn drop(&mut self) {
        self.signs.abort();
    }
}

/// Keeps the lease alive until the leader's key is another's, or gone.
async fn give_signs(members: &Members, key: &str, lease: i64, epoch: u64) {
    let mut interval = tokio::time::interval(SIGN_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (at, mut client) = members.preferred();
        let sign = tokio::time::timeout(SIGN_PATIENCE, client.lease_keep_alive(lease)).await;
        match sign {
            Ok(Ok(_)) => {}
            // Either etcd does not know the lease, or this member could not say.
            Ok(Err(_)) | Err(_) => {
                members.prefer_next_to(at);
                interval.reset_immediately();
                let looked = members
                    .call("ask who leads", |mut client| async move { client.get(key, None).await })
                    .await;
                let is_over = looked.is_ok_and(|response| {
                    let leads_since = response.kvs().first().map(KeyValue::create_revision);
                    leads_since != Some(epoch.cast_signed())
                });
                if is_over {
                    return;
                }
            }
        }
    }
}
