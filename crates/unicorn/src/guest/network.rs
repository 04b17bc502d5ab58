//! Gives a machine's interfaces their addresses, by messages to the kernel (rtnetlink(7)).
//!
//! It never asks anybody for an address: the kernel's command line says them all, as
//! `unicorn.net=MAC,ADDRESS/LENGTH`, once for each interface.

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

/// What names an interface's address on the command line.
pub(crate) const PARAMETER: &str = "unicorn.net=";
const SET_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
const CREATE: u16 = 0x400;
const ERROR: u16 = 2;
const INTERFACE_UP: u32 = 1;
const LOCAL: u16 = 2;
const ADDRESS: u16 = 1;
/// Number of the loopback interface, in every Linux.
const LOOPBACK: u32 = 1;

/// One interface's address.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    mac: String,
    address: Ipv4Addr,
    length: u8,
}

/// Brings up loopback and what the command line names.
pub(super) fn set_up(command_line: &str) -> io::Result<()> {
    let kernel = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    up(&kernel, LOOPBACK)?;
    for wanted in parse(command_line)? {
        let index = interface_with(&wanted.mac)?;
        up(&kernel, index)?;
        give(&kernel, index, &wanted)?;
    }
    Ok(())
}

fn parse(command_line: &str) -> io::Result<Vec<Wanted>> {
    let words = command_line.split_whitespace().filter_map(|word| word.strip_prefix(PARAMETER));
    words
        .map(|word| {
            let wanted = || {
                let (mac, network) = word.split_once(',')?;
                let (address, length) = network.split_once('/')?;
                let length = length.parse().ok().filter(|length| *length <= 32)?;
                Some(Wanted { mac: mac.to_owned(), address: address.parse().ok()?, length })
            };
            wanted().ok_or_else(|| io::Error::other(format!("`{PARAMETER}{word}` is no address")))
        })
        .collect()
}

fn interface_with(mac: &str) -> io::Result<u32> {
    for entry in fs::read_dir("/sys/class/net")? {
        let folder = entry?.path();
        let found = fs::read_to_string(folder.join("address"))?;
        if found.trim() == mac {
            let index = fs::read_to_string(folder.join("ifindex"))?;
            return index.trim().parse().map_err(io::Error::other);
        }
    }
    Err(io::Error::other(format!("no interface has the address {mac}")))
}

fn up(kernel: &OwnedFd, index: u32) -> io::Result<()> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    // The flags, and which of them change.
    body.extend(INTERFACE_UP.to_ne_bytes());
    body.extend(INTERFACE_UP.to_ne_bytes());
    tell(kernel, SET_LINK, 0, &body)
}

fn give(kernel: &OwnedFd, index: u32, wanted: &Wanted) -> io::Result<()> {
    let family = AddressFamily::INET.as_raw() as u8;
    let mut body = vec![family, wanted.length, 0, 0];
    body.extend(index.to_ne_bytes());
    for kind in [LOCAL, ADDRESS] {
        body.extend(8u16.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(wanted.address.octets());
    }
    tell(kernel, NEW_ADDRESS, CREATE, &body)
}

/// Sends one message and reads the acknowledgement.
fn tell(kernel: &OwnedFd, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let mut message = Vec::new();
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST_AND_ACKNOWLEDGE | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    send(kernel, &message, SendFlags::empty())?;
    let mut reply = [0; 1024];
    let (length, _) = recv(kernel, &mut reply[..], RecvFlags::empty())?;
    let short = || io::Error::other("a short reply of the kernel");
    let reply = reply.get(..length).ok_or_else(short)?;
    let answered = reply.get(4..6).and_then(|octets| octets.try_into().ok()).ok_or_else(short)?;
    let code = reply.get(16..20).and_then(|octets| octets.try_into().ok()).ok_or_else(short)?;
    match (u16::from_ne_bytes(answered), i32::from_ne_bytes(code)) {
        (ERROR, 0) => Ok(()),
        (ERROR, code) => Err(io::Error::from_raw_os_error(-code)),
        (kind, _) => Err(io::Error::other(format!("the kernel answered with message {kind}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_from_the_command_line() {
        let line = "console=ttyS0 unicorn.net=02:00:00:00:01:01,10.77.0.1/24 quiet";
        let address = Ipv4Addr::new(10, 77, 0, 1);
        let wanted = Wanted { mac: "02:00:00:00:01:01".to_owned(), address, length: 24 };
        assert_eq!(parse(line).unwrap(), [wanted]);
        for wrong in ["x", "m,10.0.0.1", "m,10.0.0/24", "m,10.0.0.1/33"] {
            assert!(parse(&format!("{PARAMETER}{wrong}")).is_err());
        }
    }
}
