//! How often a source may be answered, and how often it may send updates.
//!
//! Over UDP anyone can write anyone's address, and each answer then hits whom it names. So each
//! prefix of addresses gets only so many answers of a class per second; beyond that answers are
//! dropped, but for every few an empty truncated one, by which a real client learns to come by
//! TCP. A client with a cookie or a signature has shown where it is and is never limited.
//!
//! A pure state machine with fixed memory: time is passed in, nothing is locked or allocated.
//! Every UDP thread has its own. The kernel spreads clients over the threads by address *and*
//! port, so each thread allows its share of the responses, the rate divided by the threads,
//! rounded up. Updates are not shared out: a device sends from one port, hence to one thread;
//! someone who uses many ports gets the rate once per thread.

use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::atomic::AtomicU64;

/// Bits of an IPv4 address that count for responses: the smallest network routed on its own.
const RESPONSE_BITS_V4: u8 = 24;
/// The same for IPv6: what one site has.
const RESPONSE_BITS_V6: u8 = 56;
/// Bits of an IPv4 address that count for updates and connections: all.
const SOURCE_BITS_V4: u8 = 32;
/// The same for IPv6: a host chooses the lower half as it likes.
const SOURCE_BITS_V6: u8 = 64;
/// Sets of slots per table; with the slots of 16 octets in each that makes a mebibyte.
const SETS: usize = 1 << 14;
/// Slots that a key may be in: 64 octets, one line of the processor's cache.
const SLOTS_PER_SET: usize = 4;

/// A block of addresses, such as `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    network: IpAddr,
    bits: u8,
}

/// Text that is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no block of addresses: write 192.0.2.0/24, 2001:db8::/32 or one address")]
pub struct PrefixError(String);

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let error = || PrefixError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| error())?)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| error())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        // Bits beyond the prefix would be a mistake in one or the other.
        if bits > most || masked(network, bits, bits) != network {
            return Err(error());
        }
        Ok(Prefix { network, bits })
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

impl Prefix {
    /// Whether `address` is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4()
            && masked(address, self.bits, self.bits) == self.network
    }
}

/// The address with only its first bits, so many of IPv4 and so many of IPv6.
fn masked(address: IpAddr, bits_v4: u8, bits_v6: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits_v4)).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & mask).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits_v6)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

/// What counts as one source of updates or connections: an IPv4 address, or the /64 of an IPv6
/// address.
pub fn source_of(address: IpAddr) -> IpAddr {
    masked(address, SOURCE_BITS_V4, SOURCE_BITS_V6)
}

/// What an operator allows; replaced as a whole on reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Responses over UDP per second to one prefix (/24 or /56) and class; 0: no limit.
    pub responses_per_second: u32,
    /// Of the responses over the limit, every so-many-th is sent truncated; 0: none is.
    pub slip: u32,
    /// UPDATE messages per second from one source; 0: no limit.
    pub updates_per_second: u32,
    /// Sources that are never limited.
    pub exempt: Vec<Prefix>,
    /// TCP connections open at once.
    pub tcp_connections_max: usize,
    /// TCP connections open at once from one source.
    pub tcp_connections_per_source_max: usize,
    /// Seconds that a TCP connection may stay without a message (RFC 7766 §6.2.3).
    pub tcp_idle_seconds: u16,
    /// Seconds that one message may take to arrive over TCP once it has begun.
    pub tcp_message_seconds: u16,
    /// Connections of an encrypted listener that may be open at once.
    pub tls_connections_max: usize,
    /// Connections of an encrypted listener that may shake hands at once.
    pub tls_handshakes_max: usize,
    /// Seconds that shaking hands may take.
    pub tls_handshake_seconds: u16,
    /// Requests that one HTTP/2 connection may have under way.
    pub https_streams_max: u32,
}

impl Default for LimitSettings {
    fn default() -> LimitSettings {
        let loopback = |network, bits| Prefix { network, bits };
        LimitSettings {
            // 200 answers of 1,232 octets are 2 Mbit/s: less than what a reflected attack needs,
            // more than a network of clients without a resolver of its own asks.
            responses_per_second: 200,
            // A real client gets through with its second try, on average.
            slip: 2,
            // Checking a signature costs 10 to 100 µs: at most a twentieth of a core.
            updates_per_second: 500,
            exempt: vec![
                loopback(Ipv4Addr::new(127, 0, 0, 0).into(), 8),
                loopback(Ipv6Addr::LOCALHOST.into(), 128),
            ],
            // Each costs a file descriptor and some kilobytes.
            tcp_connections_max: 10_000,
            // A hundredth of them, and enough for many devices behind one address.
            tcp_connections_per_source_max: 100,
            tcp_idle_seconds: 30,
            tcp_message_seconds: 10,
            tls_connections_max: 10_000,
            // Who shakes hands over the slowest links needs some tenths of a second: with a thousand
            // places, thousands of others may come in that time.
            tls_handshakes_max: 1_000,
            tls_handshake_seconds: 5,
            https_streams_max: 100,
        }
    }
}

impl LimitSettings {
    /// Whether `address` is never limited.
    pub fn is_exempt(&self, address: IpAddr) -> bool {
        self.exempt.iter().any(|prefix| prefix.contains(address))
    }
}

/// What was limited since the start, for an operator to see.
#[derive(Debug, Default)]
pub struct LimitCounters {
    /// Responses not sent at all.
    pub responses_dropped: AtomicU64,
    /// Responses sent truncated, or as BADCOOKIE.
    pub responses_slipped: AtomicU64,
    /// Updates refused unread.
    pub updates_refused: AtomicU64,
    /// TCP connections closed or refused for others.
    pub connections_closed: AtomicU64,
}

/// The class of a response. An attack makes many of one class; a client that asks for names that
/// do not exist should still get answers for those that do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseClass {
    /// Records.
    Answer,
    /// The name exists without such records.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// A delegation.
    Referral,
    /// Anything else.
    Error,
}

impl ResponseClass {
    /// The class of the response whose octets these are, header first.
    pub fn of(response: &[u8]) -> ResponseClass {
        let &[_, _, high, low, _, _, answers_high, answers_low, ..] = response else {
            return ResponseClass::Error;
        };
        match (low & 15, answers_high | answers_low, high & 0x04) {
            (0, 0, 0) => ResponseClass::Referral,
            (0, 0, _) => ResponseClass::NoData,
            (0, ..) => ResponseClass::Answer,
            (3, ..) => ResponseClass::NxDomain,
            _ => ResponseClass::Error,
        }
    }
}

/// What to do with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send it.
    Send,
    /// Send an empty truncated one instead.
    Slip,
    /// Send nothing.
    Drop,
}

/// What one key has left. Sixteen octets.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// Part of the key's hash; another key with the same shares the budget.
    tag: u32,
    /// When it was last filled, in seconds.
    second: u32,
    /// What is left until then.
    left: u32,
    /// What was over the limit since it last was not.
    over: u32,
}

/// The table of one thread.
pub struct RateLimit {
    /// Secret, so that nobody can choose addresses that share a slot.
    seed: [u8; 16],
    /// Tables that share the traffic.
    shares: u32,
    sets: Box<[[Slot; SLOTS_PER_SET]]>,
}

impl RateLimit {
    /// A table of one of `shares` threads.
    pub fn new(seed: [u8; 16], shares: usize) -> RateLimit {
        let shares = u32::try_from(shares.max(1)).unwrap_or(u32::MAX);
        RateLimit { seed, shares, sets: vec![[Slot::default(); SLOTS_PER_SET]; SETS].into() }
    }

    /// Counts a response and says what to do with it.
    pub fn response(
        &mut self,
        settings: &LimitSettings,
        peer: IpAddr,
        class: ResponseClass,
        now_seconds: u64,
    ) -> Verdict {
        if settings.responses_per_second == 0 || settings.is_exempt(peer) {
            return Verdict::Send;
        }
        let rate = settings.responses_per_second.div_ceil(self.shares);
        let network = masked(peer, RESPONSE_BITS_V4, RESPONSE_BITS_V6);
        let over = self.take(1 + class as u8, network, rate, now_seconds);
        match (over, settings.slip) {
            (0, _) => Verdict::Send,
            (over, slip @ 1..) if over.is_multiple_of(slip) => Verdict::Slip,
            _ => Verdict::Drop,
        }
    }

    /// Counts an UPDATE and says whether to look at it.
    pub fn update(&mut self, settings: &LimitSettings, peer: IpAddr, now_seconds: u64) -> bool {
        let rate = settings.updates_per_second;
        rate == 0
            || settings.is_exempt(peer)
            || self.take(0, source_of(peer), rate, now_seconds) == 0
    }

    /// Takes one from the key's budget, which fills up with each second: 0, or the how-many-th
    /// this is over it.
    fn take(&mut self, kind: u8, network: IpAddr, rate: u32, now_seconds: u64) -> u32 {
        let mut hash = SipHasher13::new_with_key(&self.seed);
        match network {
            IpAddr::V4(network) => hash.write(&network.octets()),
            IpAddr::V6(network) => hash.write(&network.octets()),
        }
        hash.write_u8(kind);
        let hash = hash.finish();
        // 0 is an empty slot's.
        let tag = (hash >> 32) as u32 | 1;
        let now = now_seconds as u32;
        let set = &mut self.sets[hash as usize % SETS];
        let at = set.iter().position(|slot| slot.tag == tag);
        let slot = match at {
            Some(at) => &mut set[at],
            None => {
                // The one that was quiet for longest makes room.
                let oldest = (0..SLOTS_PER_SET).max_by_key(|at| now.wrapping_sub(set[*at].second));
                let slot = &mut set[oldest.unwrap_or(0)];
                *slot = Slot { tag, second: now, left: rate, over: 0 };
                slot
            }
        };
        if slot.second != now {
            (slot.second, slot.left) = (now, rate);
        }
        // A lower rate after a reload counts at once.
        slot.left = slot.left.min(rate);
        if slot.left == 0 {
            slot.over = slot.over.wrapping_add(1).max(1);
            return slot.over;
        }
        slot.left -= 1;
        0
    }
}

#[cfg(test)]
#[path = "rate_limit_tests.rs"]
mod tests;
