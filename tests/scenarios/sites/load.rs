//! Devices that change their addresses all the time, through whichever site answers.

use crate::sites::support::{INSIST_PAUSE, await_value, send, set, value};
use einhorn_harness::Fleet;
use einhorn_wire::message::Rcode;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a load may take to come as far as a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// One device and its name. One update is under way at most, and values grow.
struct Device {
    label: String,
    /// The site that it asks first.
    site: usize,
    acknowledged: u32,
    /// The update under way, which may or may not be done.
    under_way: Option<(u32, Vec<u8>)>,
}

/// Devices at all sites.
pub(crate) struct Devices {
    devices: Vec<Device>,
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

/// What the devices do, for whoever waits for it.
pub(crate) struct Doing<'d> {
    acknowledged: &'d AtomicU64,
    stop: &'d AtomicBool,
}

impl Devices {
    /// So many devices at each of the sites of a fleet.
    pub(crate) fn new(fleet: &Fleet, each: usize) -> Devices {
        let device = |number: usize| Device {
            label: format!("load{number}"),
            site: number % fleet.count(),
            acknowledged: 0,
            under_way: None,
        };
        let devices = (0..each * fleet.count()).map(device).collect();
        Devices { devices, acknowledged: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    /// Runs all of them beside `during`; each asks the next site when one gives no answer, with
    /// the same octets.
    pub(crate) fn run<T>(
        &mut self,
        servers: &[SocketAddr],
        during: impl FnOnce(&Doing<'_>) -> T,
    ) -> T {
        self.stop.store(false, Ordering::Relaxed);
        let Devices { devices, acknowledged, stop } = self;
        let (acknowledged, stop) = (&*acknowledged, &*stop);
        std::thread::scope(|scope| {
            for device in devices {
                scope.spawn(move || device.run(servers, acknowledged, stop));
            }
            let doing = Doing { acknowledged, stop };
            // A failed test must not leave its devices running.
            let result = during(&doing);
            drop(doing);
            result
        })
    }

    /// Every site has of each name what was acknowledged last, or what was under way.
    pub(crate) fn check(&mut self, fleet: &Fleet) {
        for device in &mut self.devices {
            if let Some((value, octets)) = device.under_way.take() {
                // A retry finds out; it may be done now.
                let rcode = send(fleet.dns(device.site), &octets);
                assert_eq!(rcode, Some(Rcode::NOERROR), "{}", device.label);
                device.acknowledged = value;
            }
            let expected = (device.acknowledged > 0).then_some(device.acknowledged);
            await_value(fleet, &device.label, expected);
        }
    }
}

impl Device {
    fn run(&mut self, servers: &[SocketAddr], acknowledged: &AtomicU64, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let (value, octets) = self.under_way.get_or_insert_with(|| {
                let value = value();
                (value, set(&self.label, value))
            });
            match send(servers[self.site], octets) {
                Some(Rcode::NOERROR) => {
                    self.acknowledged = *value;
                    self.under_way = None;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Some(Rcode::SERVFAIL) => std::thread::park_timeout(INSIST_PAUSE),
                // It is gone: another one knows what became of this, or does it.
                None => {
                    self.site = (self.site + 1) % servers.len();
                    std::thread::park_timeout(INSIST_PAUSE);
                }
                Some(other) => panic!("{}: {other}", self.label),
            }
        }
    }
}

impl Doing<'_> {
    /// Waits until so many more updates were acknowledged.
    pub(crate) fn await_more(&self, count: u64) {
        let begun = Instant::now();
        let wanted = self.acknowledged.load(Ordering::Relaxed) + count;
        while self.acknowledged.load(Ordering::Relaxed) < wanted {
            let acknowledged = self.acknowledged.load(Ordering::Relaxed);
            assert!(begun.elapsed() < WAIT_MAX, "{acknowledged} of {wanted} updates acknowledged");
            std::thread::park_timeout(INSIST_PAUSE);
        }
    }
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
