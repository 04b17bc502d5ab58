//! A BIND that follows one site, then another: the same serial is the same zone everywhere, so it
//! never needs the whole zone again.

use crate::sites::load::Devices;
use crate::sites::support::{BERLIN, FRANKFURT, MUENCHEN, fleet};
use einhorn_harness::{
    Fleet, Kind, Server, ZONE, await_that, free_address, transfer, try_transfer,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Devices at each site.
const DEVICES: usize = 2;
/// Updates between what happens to the secondary.
const BETWEEN: u64 = 300;

fn config(primary: SocketAddr) -> String {
    let port = primary.port();
    format!(
        "options {{ $OPTIONS allow-transfer {{ any; }}; min-refresh-time 1; }};\nzone \"{ZONE}\" {{ type secondary; file \"fleet.db\"; masterfile-format text; primaries {{ 127.0.0.1 port {port} key phone.; }}; }};\n"
    )
}

#[test]
fn a_secondary_changes_its_primary() {
    let fleet = fleet("local");
    let theirs = free_address();
    let folder = fleet.folder();
    let Some(mut bind) = Server::new(Kind::Bind, folder, theirs, &config(fleet.dns(FRANKFURT)))
    else {
        return;
    };
    let file = fleet.config(BERLIN);
    let made = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, made + &format!("notify = [\"{theirs} key phone.\"]\n"))
        .expect("written");
    fleet.operate(BERLIN, &["reload"]).good();
    bind.start();
    await_serial(&fleet, FRANKFURT, theirs);
    let servers: Vec<_> = (0..fleet.count()).map(|site| fleet.dns(site)).collect();
    let mut devices = Devices::new(&fleet, DEVICES);
    let seen = Seen::default();
    devices.run(&servers, |doing| {
        std::thread::scope(|scope| {
            servers.iter().for_each(|server| _ = scope.spawn(|| seen.watch(*server)));
            let stop = StopOnDrop(&seen);
            doing.await_more(BETWEEN);
            bind.configure(&config(fleet.dns(MUENCHEN)));
            bind.reload();
            doing.await_more(BETWEEN);
            drop(stop);
        });
    });
    devices.check(&fleet);
    fleet.check_end();
    await_serial(&fleet, MUENCHEN, theirs);
    assert_eq!(transfer(theirs), transfer(fleet.dns(MUENCHEN)));
    let log = bind.log();
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    let from = |site: usize| format!("from 127.0.0.1#{}", fleet.dns(site).port());
    let by_difference = |site: usize| {
        let wanted = from(site);
        log.lines()
            .filter(|line| line.contains("got incremental response") && line.contains(&wanted))
            .count()
    };
    let (first, second) = (by_difference(FRANKFURT), by_difference(MUENCHEN));
    let whole = count("got nonincremental response");
    let zones = seen.zones.into_inner().expect("zones").len();
    eprintln!(
        "{first} differences from frankfurt, {second} from muenchen, {whole} whole zones; {zones} serials compared"
    );
    assert!(first > 0 && second > 0, "{log}");
    assert_eq!(whole, 1, "only the first transfer is of the whole zone: {log}");
}

fn await_serial(fleet: &Fleet, site: usize, theirs: SocketAddr) {
    await_that("the same serial", || {
        let ours = transfer(fleet.dns(site)).0;
        let got = try_transfer(theirs).map_err(|error| error.to_string())?.0;
        if ours == got { Ok(()) } else { Err(format!("{got} instead of {ours}")) }
    });
}

/// What was transferred at each serial, by whichever site gave it first.
#[derive(Default)]
struct Seen {
    zones: Mutex<BTreeMap<u32, (SocketAddr, Vec<String>)>>,
    stop: AtomicBool,
}

impl Seen {
    /// Compares what a site gives with what others gave at the same serial.
    fn watch(&self, server: SocketAddr) {
        while !self.stop.load(Ordering::Relaxed) {
            let (serial, zone) = transfer(server);
            let mut zones = self.zones.lock().expect("zones");
            let (first, known) = zones.entry(serial).or_insert_with(|| (server, zone.clone()));
            assert!(
                *known == zone,
                "serial {serial} is this at {first}: {known:#?}, and this at {server}: {zone:#?}"
            );
        }
    }
}

struct StopOnDrop<'s>(&'s Seen);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}
