//! Between the nodes of a site: the connection from each follower to the node that leads, over
//! which requests go there and outcomes come back. It must never decide about either.

use crate::forward::{Forwarding, Output};
use crossbeam_channel::{Receiver, Sender, TrySendError, never, select, unbounded};
use einhorn_core::link::Message;
use einhorn_core::model::Origin;
use einhorn_core::model::request::Outcome;
use einhorn_ingress::reply::Reply;
use einhorn_ingress::{Ingress, Outbox, Submission, now_ms};
use einhorn_links::nodes::Nodes;
use einhorn_store::engine::etcd::EtcdLeadership;
use einhorn_wire::message::Rcode;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long to wait before the node that leads is connected to again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long the thread sleeps before it looks whether to stop.
const STOP_LATENCY: Duration = Duration::from_millis(100);
/// Requests taken in before what they bring about is sent.
const TAKEN_TOGETHER_MAX: usize = 1_024;

/// Which node leads: its epoch, and where it takes requests.
pub(crate) type Leader = Option<(u64, SocketAddr)>;

/// Lets the other nodes send requests here, which leads.
pub(crate) fn listen(
    nodes: Nodes,
    listener: std::net::TcpListener,
    ingress: Arc<Ingress>,
    leadership: Arc<EtcdLeadership>,
    runtime: &tokio::runtime::Handle,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    drop(inside);
    runtime.spawn(async move {
        loop {
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept another node");
                    tokio::time::sleep(RETRY_PAUSE).await;
                    continue;
                }
            };
            let (nodes, ingress) = (nodes.clone(), Arc::clone(&ingress));
            let leadership = Arc::clone(&leadership);
            tokio::spawn(async move {
                let link = match nodes.accept(stream).await {
                    Ok(link) => link,
                    Err(error) => {
                        tracing::warn!(%address, %error, "refused who is no node of this site: has it this site's ledger key?");
                        return;
                    }
                };
                let (answers, mut outgoing) = mpsc::unbounded_channel();
                let hear = |octets: &[u8]| take(octets, &ingress, &answers, &leadership);
                let reason = link.run(&mut outgoing, hear).await;
                tracing::info!(%address, reason, "a node is not connected any more");
            });
        }
    });
    Ok(())
}

/// Gives a request of another node to the commit.
fn take(
    octets: &[u8],
    ingress: &Ingress,
    answers: &mpsc::UnboundedSender<Vec<u8>>,
    leadership: &Arc<EtcdLeadership>,
) {
    let (ticket, request) = match Message::decode(octets) {
        Ok(Message::Forward { ticket, request, .. }) => (ticket, request),
        other => {
            tracing::error!(?other, "another node says something that makes no sense");
            return;
        }
    };
    let (id, answers, leadership) = (request.id, answers.clone(), Arc::clone(leadership));
    let tell = move |outcome: Outcome| {
        let is_undecided =
            matches!(&outcome, Outcome::Refused { rcode, .. } if *rcode == Rcode::SERVFAIL);
        // The next node that leads decides then: that one is asked again.
        if is_undecided && leadership.is_over() {
            return;
        }
        // A node that is gone asks again, if it still wants to know.
        let _ = answers.send(Message::Answer { ticket, request: id, outcome }.encode());
    };
    let submission = Submission { request: *request, reply: Reply::Local(Box::new(tell)) };
    // Where nobody takes requests any more, another node will.
    if let Err(TrySendError::Full(refused)) = ingress.submissions.try_send(submission)
        && let Reply::Local(tell) = refused.reply
    {
        tell(Outcome::servfail("too many updates wait at the node that leads; try again later"));
    }
}

/// What the connection to the node that leads brings.
enum Event {
    /// It is there, and takes frames.
    Up(mpsc::UnboundedSender<Vec<u8>>),
    /// It says something.
    Said(Message),
    /// It is gone.
    Down,
}

/// The thread that sends on what is asked of a follower.
pub(crate) struct Forwarder {
    forwarding: Forwarding<Reply>,
    submissions: Receiver<Submission>,
    events: Receiver<Event>,
    folded: Receiver<BTreeMap<Origin, u64>>,
    leader: Option<mpsc::UnboundedSender<Vec<u8>>>,
    stop: Arc<AtomicBool>,
}

/// What a [`Forwarder`] is told of.
pub(crate) struct Sources {
    pub(crate) submissions: Receiver<Submission>,
    /// What is folded and published at the start, and later.
    pub(crate) folded_first: BTreeMap<Origin, u64>,
    pub(crate) folded: Receiver<BTreeMap<Origin, u64>>,
    pub(crate) leader: watch::Receiver<Leader>,
}

impl Forwarder {
    /// Starts the thread, and the task that keeps the connection.
    pub(crate) fn start(
        nodes: Nodes,
        sources: Sources,
        stop: Arc<AtomicBool>,
        runtime: &tokio::runtime::Handle,
    ) -> io::Result<JoinHandle<()>> {
        let (tell, events) = unbounded();
        runtime.spawn(keep_connected(nodes, sources.leader, tell));
        let forwarder = Forwarder {
            forwarding: Forwarding::new(sources.folded_first),
            submissions: sources.submissions,
            events,
            folded: sources.folded,
            leader: None,
            stop,
        };
        thread::Builder::new().name("forward".to_owned()).spawn(move || forwarder.run())
    }

    fn run(mut self) {
        let (mut out, mut outbox) = (Vec::new(), Outbox::default());
        loop {
            let due = self.forwarding.next_deadline_ms();
            let patience = due.map_or(STOP_LATENCY, |at| {
                Duration::from_millis(at.saturating_sub(now_ms())).min(STOP_LATENCY)
            });
            select! {
                recv(self.submissions) -> submission => match submission {
                    Ok(submission) => self.take(submission, &mut out),
                    Err(_) => break,
                },
                recv(self.events) -> event => match event {
                    Ok(event) => self.hear(event, &mut out),
                    Err(_) => self.events = never(),
                },
                recv(self.folded) -> folded => match folded {
                    Ok(folded) => self.forwarding.folded(folded, &mut out),
                    Err(_) => self.folded = never(),
                },
                default(patience) => {
                    if self.stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            }
            self.forwarding.tick(now_ms(), &mut out);
            self.act(&mut out, &mut outbox);
        }
        self.take_waiting(&mut out);
        let reason = "this node starts again; it may have been done, and a retry finds out";
        self.forwarding.refuse_all(reason, &mut out);
        self.act(&mut out, &mut outbox);
    }

    fn take(&mut self, first: Submission, out: &mut Vec<Output<Reply>>) {
        self.forwarding.request(now_ms(), first.request, first.reply, out);
        self.take_waiting(out);
    }

    fn take_waiting(&mut self, out: &mut Vec<Output<Reply>>) {
        let waiting = self.submissions.clone();
        for Submission { request, reply } in waiting.try_iter().take(TAKEN_TOGETHER_MAX) {
            self.forwarding.request(now_ms(), request, reply, out);
        }
    }

    fn hear(&mut self, event: Event, out: &mut Vec<Output<Reply>>) {
        match event {
            Event::Up(leader) => {
                self.leader = Some(leader);
                self.forwarding.connected(now_ms(), out);
            }
            Event::Said(Message::Answer { ticket, request, outcome }) => {
                self.forwarding.answered(ticket, request, outcome, out);
            }
            Event::Said(other) => {
                tracing::error!(?other, "the node that leads says something that makes no sense");
            }
            Event::Down => {
                self.leader = None;
                self.forwarding.disconnected();
            }
        }
    }

    fn act(&self, out: &mut Vec<Output<Reply>>, outbox: &mut Outbox) {
        let now_seconds = now_ms() / 1000;
        for output in out.drain(..) {
            match output {
                Output::Send(frame) => {
                    // What is lost with a connection is sent again over the next one.
                    let _ = self.leader.as_ref().map(|leader| leader.send(frame));
                }
                Output::Answer(reply, outcome) => reply.send(outcome, now_seconds, outbox),
            }
        }
        outbox.flush();
    }
}

/// Keeps a connection to whichever node leads.
async fn keep_connected(nodes: Nodes, mut leader: watch::Receiver<Leader>, tell: Sender<Event>) {
    loop {
        let known = *leader.borrow_and_update();
        let over = async {
            match known {
                Some((_, address)) => {
                    let reason = converse(&nodes, address, &tell).await;
                    tracing::debug!(%address, reason, "the node that leads is not connected");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                None => std::future::pending().await,
            }
        };
        let is_told = tokio::select! {
            () = over => true,
            changed = leader.changed() => changed.is_ok(),
        };
        // Where there was no connection it does no harm.
        if tell.send(Event::Down).is_err() || !is_told {
            return;
        }
    }
}

/// One connection, until it ends; returns why.
async fn converse(nodes: &Nodes, address: SocketAddr, tell: &Sender<Event>) -> String {
    let link = match nodes.connect(address).await {
        Ok(link) => link,
        Err(error) => return error.to_string(),
    };
    let (send, mut outgoing) = mpsc::unbounded_channel();
    if tell.send(Event::Up(send)).is_err() {
        return "this node is stopping".to_owned();
    }
    let hear = |octets: &[u8]| match Message::decode(octets) {
        // Nobody listens any more only when the node has ended.
        Ok(message) => drop(tell.send(Event::Said(message))),
        Err(error) => {
            tracing::error!(%error, "the node that leads says something that makes no sense")
        }
    };
    link.run(&mut outgoing, hear).await
}
