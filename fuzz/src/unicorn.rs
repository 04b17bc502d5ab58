//! What comes to the host of micro-VMs from outside: kernels and modules of others, and what a
//! machine says, whose program may be anybody's by then.

use einhorn_unicorn::control::{Asked, LINE_OCTETS_MAX, Said, read_line, write_line};
use einhorn_unicorn::gateway::{Gateway, MESSAGE_OCTETS_MAX, Outward};
use einhorn_unicorn::switch::Rules;
use einhorn_unicorn::{kernel, modules};
use std::net::SocketAddr;

/// Places in the network of a frame.
const PLACES: usize = 3;

/// A bzImage or an ELF file.
pub(crate) fn kernel(octets: &[u8]) {
    if let Ok(unpacked) = kernel::vmlinux(octets) {
        assert!(unpacked.starts_with(b"\x7fELF"), "no ELF file");
    }
}

/// What a module needs.
pub(crate) fn module(octets: &[u8]) {
    for name in modules::depends(octets) {
        assert!(!name.is_empty() && !name.contains([',', '\0']), "{name:?}");
    }
}

/// Lines on the control port, in both directions.
pub(crate) fn control(octets: &[u8]) {
    if let Ok(Some(said)) = read_line::<Said>(&mut &*octets) {
        let mut line = Vec::new();
        write_line(&mut line, &said).expect("a vector takes everything");
        let again = read_line::<Said>(&mut &*line).expect("what was written");
        assert_eq!(again.map(|again| again.reply), Some(said.reply));
    }
    if let Ok(Some(asked)) = read_line::<Asked>(&mut &*octets) {
        assert!(octets.len() as u64 <= LINE_OCTETS_MAX || octets.contains(&b'\n'));
        let mut line = Vec::new();
        write_line(&mut line, &asked).expect("a vector takes everything");
        let again = read_line::<Asked>(&mut &*line).expect("what was written");
        assert_eq!(again.map(|again| again.request), Some(asked.request));
    }
}

/// A frame that a machine sends, and the gateway's own way back.
pub(crate) fn frame(octets: &[u8]) {
    let client = SocketAddr::from(([127, 0, 0, 1], 5300));
    let mut gateway = Gateway::default();
    let to = SocketAddr::from(([10, 77, 0, 1], 53));
    let inward = gateway.inward(0, client, to, octets);
    assert_eq!(inward.is_some(), octets.len() <= MESSAGE_OCTETS_MAX);
    if let Some(Outward::Message(told, message)) = gateway.outward(0, octets) {
        assert!(told == client && message.len() <= octets.len());
    }
    assert!(!matches!(gateway.outward(1, octets), Some(Outward::Message(..))), "not asked");
    let mut rules = Rules::default();
    rules.part(0, 1);
    let reached = rules.route(0, octets, PLACES, 1);
    assert!(reached.iter().all(|place| *place == 2), "across a cut, or back");
}
