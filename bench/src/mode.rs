//! How many updates travel at once, and how.

use crate::phase::Transport;

/// Every update in flight needs an identifier of its own, and these have 16 bits.
pub(crate) const IN_FLIGHT_MAX: u16 = 4096;
const CONNECTIONS_MAX: u16 = 1024;

/// How many updates travel at once, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) transport: Transport,
    pub(crate) in_flight: u16,
}

impl Mode {
    /// In datagrams.
    pub(crate) const fn udp(in_flight: u16) -> Mode {
        Mode { transport: Transport::Udp, in_flight }
    }

    /// Pipelined over connections.
    pub(crate) const fn tcp(in_flight: u16, connections: u16) -> Mode {
        Mode { transport: Transport::Tcp { connections }, in_flight }
    }

    /// How a person calls it.
    pub(crate) fn title(self) -> String {
        match self.transport {
            Transport::Udp => format!("UDP, {} in flight", self.in_flight),
            Transport::Tcp { connections: 1 } => {
                format!("TCP, {} in flight over 1 connection", self.in_flight)
            }
            Transport::Tcp { connections } => {
                format!("TCP, {} in flight over {connections} connections", self.in_flight)
            }
        }
    }

    /// `udp:IN_FLIGHT` or `tcp:IN_FLIGHT:CONNECTIONS`; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Mode> {
        let number = |text: &str, most: u16| text.parse().ok().filter(|n| (1..=most).contains(n));
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["udp", in_flight] => Some(Mode::udp(number(in_flight, IN_FLIGHT_MAX)?)),
            ["tcp", in_flight, connections] => Some(Mode::tcp(
                number(in_flight, IN_FLIGHT_MAX)?,
                number(connections, CONNECTIONS_MAX)?,
            )),
            _ => None,
        }
    }
}

/// The mode whose latency is compared.
pub(crate) const ONE_AT_A_TIME: Mode = Mode::udp(1);
/// The mode whose throughput is compared with the best peer's.
pub(crate) const MANY_DATAGRAMS: Mode = Mode::udp(256);
/// The mode in which Knot does best.
pub(crate) const MANY_PIPELINED: Mode = Mode::tcp(1024, 8);

/// The modes that are measured unless others are chosen.
pub(crate) const DEFAULT: [Mode; 5] =
    [ONE_AT_A_TIME, Mode::udp(64), MANY_DATAGRAMS, Mode::udp(1024), MANY_PIPELINED];

/// Those that the targets are about, for a quick run.
pub(crate) const QUICK: [Mode; 3] = [ONE_AT_A_TIME, MANY_DATAGRAMS, MANY_PIPELINED];
