//! The connection to etcd's members: the one place with a runtime, which never leaks out.
//!
//! One thread drives a small runtime with one client for each member; callers, on whichever
//! thread, wait for their answers synchronously. A call
//! goes to the member that answered last, and to the next one when that fails or is late. It is
//! sent again as it is until the deadline, so only what may be done twice may be sent here: a
//! read, or a write under a comparison that it makes false itself.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions, Error};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::super::EngineError;
use super::keys::Keys;

/// The most octets of one answer: as many runs as a reader asks for at once, if all are long.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How often an idle connection is probed.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How long to wait once every member has failed a call.
const ROUND_PAUSE: Duration = Duration::from_millis(50);

/// gRPC's status codes that tell that the request itself is wrong: invalid argument, not found,
/// permission denied, failed precondition, out of range, unimplemented, unauthenticated.
const CODES_REFUSED: [i32; 7] = [3, 5, 7, 9, 11, 12, 16];

/// What etcd says when its space quota is used up.
const QUOTA_FULL: &str = "database space exceeded";

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct EtcdLimits {
    /// How long one member may take to answer, before another one is asked.
    pub attempt: Duration,
    /// How long all members together may take, before an operation fails.
    pub deadline: Duration,
    /// How often a follower looks for entries though its watch is silent.
    pub recheck: Duration,
}

impl Default for EtcdLimits {
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(2),
            deadline: Duration::from_secs(10),
            recheck: Duration::from_secs(1),
        }
    }
}

/// Where a site's logs lie in etcd.
#[derive(Clone, Debug)]
pub struct EtcdPlace {
    endpoints: Vec<String>,
    credentials: Option<(String, String)>,
    limits: EtcdLimits,
    pub(super) keys: Keys,
}

impl EtcdPlace {
    /// The logs below `prefix`, such as `einhorn/1`, in the etcd with these client addresses, such
    /// as `http://192.0.2.1:2379`; those of all members, so that each may fail.
    pub fn new<T: Into<String>>(endpoints: impl IntoIterator<Item = T>, prefix: &str) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            credentials: None,
            limits: EtcdLimits::default(),
            keys: Keys::below(prefix),
        }
    }

    /// The same, with a user and a password.
    #[must_use]
    pub fn with_credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The same, with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: EtcdLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How an error names it.
    pub(super) fn name(&self) -> String {
        format!("etcd:{}", self.keys.prefix().trim_end_matches('/'))
    }
}

/// Clients of all members.
pub(super) struct Members {
    clients: Vec<Client>,
    /// Which of them is asked first.
    preferred: AtomicUsize,
    limits: EtcdLimits,
    /// How an error names the place.
    place: String,
}

/// Clients and the thread that drives them. When dropped, the thread has ended.
pub(super) struct Connection {
    pub(super) place: EtcdPlace,
    pub(super) members: Arc<Members>,
    pub(super) handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Connection {
    /// Clients for a place; connects at the first call.
    pub(super) fn open(place: &EtcdPlace) -> Result<Arc<Self>, EngineError> {
        const DOING: &str = "start a client of etcd";
        let failed =
            |cause: String| EngineError::Refused { doing: DOING, place: place.name(), cause };
        if place.endpoints.is_empty() {
            return Err(failed("no endpoints are given".to_owned()));
        }
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let mut options = ConnectOptions::new()
            .with_connect_timeout(place.limits.attempt / 2)
            .with_keep_alive(PROBE_INTERVAL, place.limits.attempt)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some((user, password)) = &place.credentials {
            options = options.with_user(user, password).with_auto_token_refresh(true);
        }
        let mut clients = Vec::new();
        for endpoint in &place.endpoints {
            let client = runtime
                .block_on(Client::connect([endpoint], Some(options.clone())))
                .map_err(|error| failed(format!("{endpoint}: {error}")))?;
            clients.push(client);
        }
        let members = Arc::new(Members {
            clients,
            preferred: AtomicUsize::new(0),
            limits: place.limits,
            place: place.name(),
        });
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("etcd".to_owned())
            // Dropping the sender is what ends it.
            .spawn(move || drop(runtime.block_on(stopped)))
            .map_err(|error| failed(error.to_string()))?;
        Ok(Arc::new(Self {
            place: place.clone(),
            members,
            handle,
            stop: Some(stop),
            thread: Some(thread),
        }))
    }

    /// Calls etcd and waits for the answer.
    pub(super) fn call<T, F>(
        &self,
        doing: &'static str,
        request: impl Fn(Client) -> F + Send + Sync + 'static,
    ) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let members = Arc::clone(&self.members);
        let answer = self.wait(async move { members.call(doing, request).await });
        answer.unwrap_or_else(|| {
            let cause = "the thread of its client has ended".to_owned();
            Err(EngineError::Unavailable { doing, place: self.place.name(), cause })
        })
    }

    /// Runs a future on the connection's thread and waits for what comes out; `None` if that
    /// thread has ended. The caller's thread may belong to another runtime, which a runtime of
    /// its own could not be entered from.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // There is room for it, and nobody is left to tell if nobody waits.
            let _ = sender.send(future.await);
        });
        receiver.recv().ok()
    }

    pub(super) fn limits(&self) -> EtcdLimits {
        self.place.limits
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop.take();
        // A thread that panicked has said so itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Members {
    /// Calls one member after the other, until one answers.
    pub(super) async fn call<T, F>(
        &self,
        doing: &'static str,
        request: impl Fn(Client) -> F,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let begin = Instant::now();
        let mut tried = 0;
        loop {
            let (at, client) = self.preferred();
            let cause = match tokio::time::timeout(self.limits.attempt, request(client)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => match self.judge(doing, &error) {
                    Some(final_error) => return Err(final_error),
                    None => error.to_string(),
                },
                Err(_) => format!("no answer within {:?}", self.limits.attempt),
            };
            self.prefer_next_to(at);
            tracing::debug!(place = %self.place, member = at, %cause, "etcd's member failed: {doing}");
            if begin.elapsed() >= self.limits.deadline {
                return Err(EngineError::Unavailable { doing, place: self.place.clone(), cause });
            }
            tried += 1;
            if tried % self.clients.len() == 0 {
                tokio::time::sleep(ROUND_PAUSE).await;
            }
        }
    }

    /// The member that is asked first, with its number.
    pub(super) fn preferred(&self) -> (usize, Client) {
        let at = self.preferred.load(Ordering::Relaxed);
        (at, self.clients[at].clone())
    }

    /// Asks another one than `at` from now on, unless that is so already.
    pub(super) fn prefer_next_to(&self, at: usize) {
        let next = (at + 1) % self.clients.len();
        // Failing means that somebody else was faster, which is as good.
        let _ = self.preferred.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The error that asking again does not help with, if it is one.
    fn judge(&self, doing: &'static str, error: &Error) -> Option<EngineError> {
        let place = self.place.clone();
        match error {
            Error::GRpcStatus(status) if status.message().contains(QUOTA_FULL) => {
                Some(EngineError::QuotaFull { doing, place })
            }
            Error::GRpcStatus(status) if CODES_REFUSED.contains(&i32::from(status.code())) => {
                let cause = status.message().to_owned();
                Some(EngineError::Refused { doing, place, cause })
            }
            Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::LeaseKeepAliveError(_) => {
                Some(EngineError::Refused { doing, place, cause: error.to_string() })
            }
            _ => None,
        }
    }

    /// A client whose answers may be as long as a reader asks for.
    pub(super) fn reading(client: &Client) -> etcd_client::KvClient {
        client.kv_client().max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").field("place", &self.place).finish_non_exhaustive()
    }
}
