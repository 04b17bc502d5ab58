//! How a zone is kept: where it comes from, who may take it, who is told of its changes.
//!
//! Settings are part of the state: they change by ledger entries, like everything else. The
//! configuration file only says what they shall be.

use super::codec::{Malformed, Put, Take};
use einhorn_wire::Name;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// How a zone is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// How far a change must have come before it is acknowledged.
    pub level: Level,
    /// Servers that the zone is followed from, in order of preference; none for a zone that is
    /// changed here.
    pub primaries: Vec<Remote>,
    /// Servers told of each new serial (RFC 1996).
    pub notify: Vec<Remote>,
    /// Who may transfer the zone without a key.
    pub transfer_to: Vec<Prefix>,
    /// Its part in catalogs.
    pub role: Role,
    /// Who keeps the PTR records of its addresses.
    pub reverse: Reverse,
    /// What becomes of a change of a name that somebody else changed not long ago.
    pub contested: Contested,
    /// How long a change of a flapping name may be held, to be joined with the next one, in
    /// milliseconds; 0 for not at all.
    pub coalesce_ms: u16,
}

/// Who keeps the PTR records (RFC 1035 §3.5, RFC 3596 §2.5) of a zone's A and AAAA records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Reverse {
    /// Nobody here.
    #[default]
    Off = 0,
    /// A change of an address changes its PTR record too, in one, where its zone is kept here.
    Auto = 1,
}

/// What becomes of a change of a name that another identity changed not long ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Contested {
    /// It is made: who comes last has the name.
    #[default]
    Latest = 0,
    /// It waits for a person, and the name stays as it is.
    Review = 1,
}

/// How far a change must have come before it is acknowledged. Sites that are registered and not
/// suspended count, the home among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Durable at its home.
    #[default]
    Local = 0,
    /// Durable and visible at more than half of the sites.
    Majority = 1,
    /// Durable and visible at every site.
    All = 2,
}

impl Level {
    /// The level with this number in entries.
    pub fn from_code(code: u8) -> Option<Level> {
        [Level::Local, Level::Majority, Level::All].into_iter().find(|level| *level as u8 == code)
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Level::Local => "local",
            Level::Majority => "majority",
            Level::All => "all",
        })
    }
}

/// Text that is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an acknowledgement level: write local, majority or all")]
pub struct LevelError(String);

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Level, LevelError> {
        let levels = [Level::Local, Level::Majority, Level::All];
        let level = levels.into_iter().find(|level| level.to_string() == text);
        level.ok_or_else(|| LevelError(text.to_owned()))
    }
}

/// A zone's part in catalogs (RFC 9432).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Role {
    /// None.
    #[default]
    Ordinary,
    /// It is listed in this catalog, which is produced here.
    Listed {
        /// Apex of the catalog.
        catalog: Name,
    },
    /// It is a catalog that lists zones of this server.
    Producer,
    /// It is a catalog, followed from a primary, whose members are followed too.
    Consumer,
    /// It is followed because a consumed catalog lists it.
    Member {
        /// Apex of the catalog.
        catalog: Name,
        /// The member node's unique label there; another one means another zone (§5.6).
        unique: Vec<u8>,
    },
}

/// Another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Where it listens.
    pub address: SocketAddr,
    /// The key that messages to it are signed with.
    pub key: Option<Name>,
}

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{} key {key}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// Text that is no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a server: write ADDRESS, ADDRESS:PORT, or one of them and `key NAME`")]
pub struct RemoteError(String);

/// The port of DNS (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

impl FromStr for Remote {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Remote, RemoteError> {
        let error = || RemoteError(text.to_owned());
        let mut words = text.split_whitespace();
        let address = words.next().ok_or_else(error)?;
        let address = match address.parse::<IpAddr>() {
            Ok(address) => SocketAddr::new(address, DNS_PORT),
            Err(_) => address.parse().map_err(|_| error())?,
        };
        let key = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("key"), Some(name), None) => Some(name.parse().map_err(|_| error())?),
            _ => return Err(error()),
        };
        Ok(Remote { address, key })
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

/// Text that is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a range of addresses: write 192.0.2.0/24, 2001:db8::/32 or one address")]
pub struct PrefixError(String);

impl Prefix {
    /// The addresses that share their first `bits` bits with `address`; `None` for more bits
    /// than it has.
    pub fn new(address: IpAddr, bits: u8) -> Option<Prefix> {
        let all = if address.is_ipv4() { 32 } else { 128 };
        (bits <= all).then_some(Prefix { address, bits })
    }

    /// An address in the range, as it was written.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many of its first bits all share.
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether `address` is in the range. An IPv4 address is the same however it is written.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                (ours.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                (ours.to_bits() ^ other.to_bits()).leading_zeros()
            }
            _ => return false,
        };
        differ >= u32::from(self.bits)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let error = || PrefixError(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| error())?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Prefix::new(address, bits).ok_or_else(error)
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Settings {
    /// Whether the zone's content is a primary's, so that it is not changed here.
    pub fn is_followed(&self) -> bool {
        !self.primaries.is_empty()
    }

    /// Whether this address may transfer the zone without a key.
    pub fn may_transfer(&self, address: IpAddr) -> bool {
        self.transfer_to.iter().any(|prefix| prefix.contains(address))
    }

    pub(crate) fn put(&self, put: &mut Put<'_>) {
        put.u8(self.level as u8);
        put.u8(self.reverse as u8);
        put.u8(self.contested as u8);
        put.u16(self.coalesce_ms);
        for remotes in [&self.primaries, &self.notify] {
            put.count(remotes.len());
            for remote in remotes {
                put_address(put, remote.address.ip());
                put.u16(remote.address.port());
                put.u8(u8::from(remote.key.is_some()));
                remote.key.iter().for_each(|key| put.name(key));
            }
        }
        put.count(self.transfer_to.len());
        for prefix in &self.transfer_to {
            put_address(put, prefix.address);
            put.u8(prefix.bits);
        }
        match &self.role {
            Role::Ordinary => put.u8(0),
            Role::Listed { catalog } => {
                put.u8(1);
                put.name(catalog);
            }
            Role::Producer => put.u8(2),
            Role::Consumer => put.u8(3),
            Role::Member { catalog, unique } => {
                put.u8(4);
                put.name(catalog);
                put.count(unique.len());
                put.bytes(unique);
            }
        }
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Settings, Malformed> {
        let level = Level::from_code(take.u8()?).ok_or(Malformed("level in an entry"))?;
        let reverse = if take.flag()? { Reverse::Auto } else { Reverse::Off };
        let contested = if take.flag()? { Contested::Review } else { Contested::Latest };
        let coalesce_ms = take.u16()?;
        let remotes = |take: &mut Take<'_>| -> Result<Vec<Remote>, Malformed> {
            (0..take.count(8)?).map(|_| take_remote(take)).collect()
        };
        let (primaries, notify) = (remotes(take)?, remotes(take)?);
        let prefix = |take: &mut Take<'_>| {
            let address = take_address(take)?;
            Prefix::new(address, take.u8()?).ok_or(Malformed("address range in an entry"))
        };
        let transfer_to = (0..take.count(6)?).map(|_| prefix(take)).collect::<Result<_, _>>()?;
        let role = match take.u8()? {
            0 => Role::Ordinary,
            1 => Role::Listed { catalog: take.name()? },
            2 => Role::Producer,
            3 => Role::Consumer,
            4 => {
                let catalog = take.name()?;
                let length = take.count(1)?;
                Role::Member { catalog, unique: take.bytes(length)?.to_vec() }
            }
            _ => return Err(Malformed("role in an entry")),
        };
        Ok(Settings {
            level,
            primaries,
            notify,
            transfer_to,
            role,
            reverse,
            contested,
            coalesce_ms,
        })
    }
}

/// An address: u8 4 or 6, then its octets.
pub(super) fn put_address(put: &mut Put<'_>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            put.u8(4);
            put.bytes(&address.octets());
        }
        IpAddr::V6(address) => {
            put.u8(6);
            put.bytes(&address.octets());
        }
    }
}

pub(super) fn take_address(take: &mut Take<'_>) -> Result<IpAddr, Malformed> {
    match take.u8()? {
        4 => Ok(IpAddr::V4(Ipv4Addr::from(take.array::<4>()?))),
        6 => Ok(IpAddr::V6(Ipv6Addr::from(take.array::<16>()?))),
        _ => Err(Malformed("address in an entry")),
    }
}

fn take_remote(take: &mut Take<'_>) -> Result<Remote, Malformed> {
    let address = SocketAddr::new(take_address(take)?, take.u16()?);
    let key = match take.u8()? {
        0 => None,
        1 => Some(take.name()?),
        _ => return Err(Malformed("flag in an entry")),
    };
    Ok(Remote { address, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_hold_what_they_say() {
        let prefix = |text: &str| text.parse::<Prefix>().expect("a prefix");
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(prefix("192.0.2.0/24").contains(address("192.0.2.255")));
        assert!(!prefix("192.0.2.0/24").contains(address("192.0.3.0")));
        assert!(prefix("192.0.2.0/24").contains(address("::ffff:192.0.2.1")));
        assert!(prefix("0.0.0.0/0").contains(address("203.0.113.9")));
        assert!(!prefix("0.0.0.0/0").contains(address("2001:db8::1")));
        assert!(prefix("2001:db8::/33").contains(address("2001:db8:7fff::1")));
        assert!(!prefix("2001:db8::/33").contains(address("2001:db8:8000::1")));
        assert!(prefix("::1").contains(address("::1")) && !prefix("::1").contains(address("::2")));
        for bad in ["192.0.2.0/33", "192.0.2/24", "x", "192.0.2.0/", "::/129"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn servers_are_written_as_people_do() {
        let show = |text: &str| text.parse::<Remote>().map(|remote| remote.to_string());
        assert_eq!(show("192.0.2.1"), Ok("192.0.2.1:53".to_owned()));
        assert_eq!(
            show("2001:db8::1 key K.example"),
            Ok("[2001:db8::1]:53 key K.example.".to_owned())
        );
        assert_eq!(show(" 127.0.0.1:5300  key  k. "), Ok("127.0.0.1:5300 key k.".to_owned()));
        for bad in ["", "localhost", "192.0.2.1 k.", "192.0.2.1 key", "192.0.2.1 key a. b."] {
            assert!(show(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_survive_their_binary_form() {
        let remote = |key: Option<&str>| Remote {
            address: "[2001:db8::1]:5300".parse().expect("an address"),
            key: key.map(|key| key.parse().expect("a name")),
        };
        let catalog: Name = "catalog.example.".parse().expect("a name");
        for role in [
            Role::Ordinary,
            Role::Listed { catalog: catalog.clone() },
            Role::Producer,
            Role::Consumer,
            Role::Member { catalog, unique: b"a1".to_vec() },
        ] {
            let settings = Settings {
                level: Level::Majority,
                primaries: vec![remote(Some("k.")), remote(None)],
                notify: vec![remote(None)],
                transfer_to: vec!["10.0.0.0/8".parse().expect("a prefix")],
                role,
                reverse: Reverse::Auto,
                contested: Contested::Review,
                coalesce_ms: 250,
            };
            let mut octets = Vec::new();
            settings.put(&mut Put(&mut octets));
            let mut take = Take { rest: &octets };
            assert_eq!(Settings::take(&mut take).as_ref(), Ok(&settings));
            assert_eq!(take.end(), Ok(()));
            assert!(Settings::take(&mut Take { rest: &octets[..octets.len() - 1] }).is_err());
        }
    }
}
