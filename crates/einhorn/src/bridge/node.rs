//! The node that a source belongs to, over HTTP.

use crate::Failure;
use einhorn_bridge::live::apply::{Done, Node, Problem};
use einhorn_core::exchange::{self, View};
use einhorn_core::model::request::SourceStep;
use einhorn_node::config::Config;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a node may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Octets of an answer at most.
const ANSWER_OCTETS_MAX: u64 = 4 << 30;
/// How often a node that does not answer is asked again, and how long the first pause is; it doubles.
const ATTEMPTS_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// A node, asked about one source.
pub(crate) struct HttpNode {
    url: String,
    token: String,
    agent: ureq::Agent,
}

impl HttpNode {
    /// The node of this configuration, or the one at `url`.
    pub(crate) fn new(
        config: &Config,
        url: Option<&str>,
        source: &str,
    ) -> Result<HttpNode, Failure> {
        let token = config.operator_token.clone().ok_or_else(|| {
            Failure::usage("the configuration has no `operator-token-file`: the node would refuse")
        })?;
        let base = match (url, config.http) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(http)) => format!("http://{}", reachable(http)),
            (None, None) => {
                let reason = "the configuration has no `http`: say with --node where the node is";
                return Err(Failure::usage(reason));
            }
        };
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .build();
        let url = format!("{base}/bridge/{source}");
        Ok(HttpNode { url, token, agent: ureq::Agent::new_with_config(agent) })
    }

    /// Sends a request, again if nobody answers: each has an id of its own, and is not done twice.
    fn send(&self, path: &str, body: Option<&[u8]>) -> Result<(u16, Vec<u8>), Problem> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            match self.send_once(path, body) {
                Ok(answer) => return Ok(answer),
                Err(error) if attempt == ATTEMPTS_MAX => {
                    return Err(Problem::Node(format!("{}{path}: {error}", self.url)));
                }
                Err(_) => std::thread::sleep(pause),
            }
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    fn send_once(&self, path: &str, body: Option<&[u8]>) -> Result<(u16, Vec<u8>), ureq::Error> {
        let url = format!("{}{path}", self.url);
        let token = format!("Bearer {}", self.token);
        let mut response = match body {
            None => self.agent.get(&url).header("authorization", token).call()?,
            Some(body) => self.agent.post(&url).header("authorization", token).send(body)?,
        };
        let body = response.body_mut().with_config().limit(ANSWER_OCTETS_MAX).read_to_vec()?;
        Ok((response.status().as_u16(), body))
    }

    fn ask(&self, path: &str, body: Option<&[u8]>) -> Result<Vec<u8>, Problem> {
        let (status, octets) = self.send(path, body)?;
        if status == 200 {
            return Ok(octets);
        }
        let json: Option<serde_json::Value> = serde_json::from_slice(&octets).ok();
        let reason = json.as_ref().and_then(|json| json["error"].as_str()).unwrap_or_default();
        Err(match status {
            409 => Problem::Moved(reason.to_owned()),
            401 => Problem::Node(format!("{}: the node does not know this token", self.url)),
            _ => Problem::Node(format!("{}: HTTP status {status}: {reason}", self.url)),
        })
    }

    fn done(&self, path: &str, body: &[u8]) -> Result<Done, Problem> {
        let octets = self.ask(path, Some(body))?;
        let odd = || Problem::Node(format!("{}{path}: the answer makes no sense", self.url));
        let json: serde_json::Value = serde_json::from_slice(&octets).map_err(|_| odd())?;
        let left = json["left"].as_array().ok_or_else(odd)?.iter().map(|left| {
            let at = left["at"].as_u64().and_then(|at| usize::try_from(at).ok())?;
            Some((at, left["reason"].as_str()?.to_owned()))
        });
        let revision = json["revision"].as_u64().ok_or_else(odd)?;
        Ok(Done { revision, left: left.collect::<Option<_>>().ok_or_else(odd)? })
    }
}

/// Where to reach what listens everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip().is_unspecified() {
        true if listen.is_ipv6() => SocketAddr::new([0, 0, 0, 0, 0, 0, 0, 1].into(), listen.port()),
        true => SocketAddr::new([127, 0, 0, 1].into(), listen.port()),
        false => listen,
    }
}

impl Node for HttpNode {
    fn look(&mut self) -> Result<View, Problem> {
        let octets = self.ask("", None)?;
        exchange::decode_view(&octets)
            .map_err(|error| Problem::Node(format!("{}: {error}", self.url)))
    }

    fn advance(&mut self, step: &SourceStep) -> Result<Done, Problem> {
        self.done("/apply", &exchange::encode_step(step))
    }

    fn freeze(&mut self, frozen: &exchange::Frozen) -> Result<Done, Problem> {
        self.done("/freeze", &exchange::encode_frozen(frozen))
    }
}
