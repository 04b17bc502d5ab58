//! Writing under the root's comparison: whoever is no longer the writer changes nothing.
//!
//! It must never let a request through that would be right twice, or after another writer came.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::super::EngineError;
use super::connection::Connection;
use super::root::Root;

/// The root as it is in etcd.
pub(super) struct Found {
    pub(super) root: Root,
    /// When it was written last; 0 if never.
    pub(super) revision: i64,
    /// When it was looked at.
    pub(super) at: i64,
}

/// Who writes, and the root that it wrote last.
pub(super) struct Writer {
    /// Drawn at opening.
    number: u64,
    /// The epoch of the leadership that it depends on.
    leader: Option<u64>,
    pub(super) root: Root,
    revision: i64,
}

/// The root in the answer of a transaction that reads it first.
pub(super) fn root_in(
    connection: &Connection,
    response: &TxnResponse,
) -> Result<Found, EngineError> {
    let values = values_in(response);
    let root = values.first().and_then(|values| values.first());
    let at = response.header().map_or(0, |header| header.revision());
    decode(connection, root, at)
}

/// Reads the root.
pub(super) fn read_root(connection: &Connection) -> Result<Found, EngineError> {
    let key = connection.place.keys.root();
    let response = connection.call("read where the logs end", move |mut client| {
        let key = key.clone();
        async move { client.get(key, None).await }
    })?;
    let at = response.header().map_or(0, |header| header.revision());
    decode(connection, response.kvs().first(), at)
}

fn decode(connection: &Connection, root: Option<&KeyValue>, at: i64) -> Result<Found, EngineError> {
    let Some(value) = root else { return Ok(Found { root: Root::default(), revision: 0, at }) };
    let decoded = Root::decode(value.value());
    let root = decoded.map_err(|why| why.error(&connection.place.name()))?;
    Ok(Found { root, revision: value.mod_revision(), at })
}

/// The values that each reading operation of a transaction gave.
pub(super) fn values_in(response: &TxnResponse) -> Vec<Vec<KeyValue>> {
    let gets = response.op_responses().into_iter().filter_map(|operation| match operation {
        TxnOpResponse::Get(mut get) => Some(get.take_kvs()),
        _ => None,
    });
    gets.collect()
}

impl Writer {
    /// Becomes the writer, by replacing the root: whatever an earlier one still sends comes too
    /// late.
    pub(super) fn open(
        connection: &Arc<Connection>,
        leader: Option<u64>,
    ) -> Result<Self, EngineError> {
        const DOING: &str = "open the logs";
        let number = draw(connection)?;
        loop {
            let Found { root, revision, .. } = read_root(connection)?;
            let epoch = leader.unwrap_or(root.epoch);
            if epoch < root.epoch {
                return Err(EngineError::Fenced { offered: epoch, stored: root.epoch });
            }
            let mut writer = Self { number, leader, root, revision };
            let root = Root { epoch, ..writer.root.clone() };
            match writer.commit(connection, DOING, root, Vec::new()) {
                Ok(()) => return Ok(writer),
                // Two open at the same time: the later one stays.
                Err(EngineError::Superseded { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// Does the operations and replaces the root, or does nothing.
    pub(super) fn commit(
        &mut self,
        connection: &Connection,
        doing: &'static str,
        root: Root,
        mut operations: Vec<TxnOp>,
    ) -> Result<(), EngineError> {
        let sequence = self.root.sequence + 1;
        let root = Root { writer: self.number, sequence, ..root };
        operations.push(TxnOp::put(connection.place.keys.root(), root.encode(), None));
        let response = self.send(connection, doing, operations)?;
        let revision = if response.succeeded() {
            response.header().map_or(0, |header| header.revision())
        } else {
            let found = root_in(connection, &response)?;
            let is_own = found.root.writer == self.number && found.root.sequence == sequence;
            if !is_own {
                return Err(self.lost(connection, &found, &response));
            }
            // An earlier attempt, which was not answered, had done it.
            found.revision
        };
        (self.root, self.revision) = (root, revision);
        Ok(())
    }

    /// Does the operations, or nothing, and leaves the root as it is. They must be such that
    /// doing them again changes nothing.
    pub(super) fn stage(
        &self,
        connection: &Connection,
        doing: &'static str,
        operations: Vec<TxnOp>,
    ) -> Result<(), EngineError> {
        let response = self.send(connection, doing, operations)?;
        if response.succeeded() {
            return Ok(());
        }
        let found = root_in(connection, &response)?;
        Err(self.lost(connection, &found, &response))
    }

    fn send(
        &self,
        connection: &Connection,
        doing: &'static str,
        operations: Vec<TxnOp>,
    ) -> Result<TxnResponse, EngineError> {
        let keys = &connection.place.keys;
        let mut compares =
            vec![Compare::mod_revision(keys.root(), CompareOp::Equal, self.revision)];
        if let Some(epoch) = self.leader {
            let epoch = epoch.cast_signed();
            compares.push(Compare::create_revision(keys.leader(), CompareOp::Equal, epoch));
        }
        let look = [TxnOp::get(keys.root(), None), TxnOp::get(keys.leader(), None)];
        let transaction = Txn::new().when(compares).and_then(operations).or_else(look);
        connection.call(doing, move |mut client| {
            let transaction = transaction.clone();
            async move { client.txn(transaction).await }
        })
    }

    /// Why the comparison failed.
    fn lost(&self, connection: &Connection, found: &Found, response: &TxnResponse) -> EngineError {
        let offered = self.leader.unwrap_or(self.root.epoch);
        let leader = values_in(response).pop().unwrap_or_default();
        let leads_since = leader.first().map(|value| value.create_revision().cast_unsigned());
        if found.root.epoch > offered {
            return EngineError::Fenced { offered, stored: found.root.epoch };
        }
        if self.leader.is_some() && leads_since != self.leader {
            // If nobody leads now, whoever comes will have an epoch above the present revision.
            let stored = leads_since.unwrap_or(found.at.cast_unsigned() + 1);
            return EngineError::Fenced { offered, stored };
        }
        EngineError::Superseded { place: connection.place.name() }
    }
}

/// A number that no other writer has.
fn draw(connection: &Connection) -> Result<u64, EngineError> {
    let mut octets = [0; 8];
    let drawn = rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty());
    match drawn {
        Ok(count) if count == octets.len() => Ok(u64::from_le_bytes(octets)),
        other => Err(EngineError::Refused {
            doing: "draw a writer's number",
            place: connection.place.name(),
            cause: format!("the system gave no random octets: {other:?}"),
        }),
    }
}
