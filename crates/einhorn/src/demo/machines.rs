//! The three sites of the demonstration as micro-VMs, which end with it.

use super::fleet::{
    self, Fleet, Member, NAMES, PORTS_EACH, ZONE_FILES, ZoneFiles, free_ports, keys_config,
    zones_config,
};
use super::{KEY_NAME, demo_key, story};
use crate::{Failure, Outcome, print, serve, unicorn};
use einhorn_unicorn::supervisor::{self, Answer, Command as Order};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The cluster's folder in that of the demonstration; the paths of sockets are short.
const CLUSTER: &str = "c";
const DESCRIPTION: &str = "cluster.toml";
/// What all sites say of keys, and what the first one says of zones too.
const CONFIGS: [&str; 2] = ["first.toml", "others.toml"];

/// Runs the sites until it is told to stop.
pub(super) fn run(folder: &Path, port_base: Option<u16>, is_json: bool) -> Outcome {
    let mut signals = serve::Signals::listen()?;
    fs::create_dir_all(folder).map_err(Failure::finding)?;
    let folder = folder.canonicalize().map_err(Failure::finding)?;
    let machines = Machines(folder.join(CLUSTER));
    let (tell, told) = tokio::sync::oneshot::channel();
    // A thread of its own, so that the start can be stopped. Nobody listens any more only when it
    // was.
    std::thread::spawn(move || _ = tell.send(perform(&folder, port_base, is_json)));
    let outcome = match signals.until(told) {
        None => Ok(()),
        Some(Ok(Ok(()))) => {
            signals.until(std::future::pending::<()>());
            Ok(())
        }
        Some(Ok(Err(failure))) => Err(failure),
        Some(Err(_)) => Err(Failure::finding("the demonstration broke off")),
    };
    drop(machines);
    outcome
}

/// The machines in this folder end with it.
struct Machines(PathBuf);

impl Drop for Machines {
    fn drop(&mut self) {
        // Where none were started, none have to end.
        let _ = supervisor::ask(&self.0, &Order::Down);
    }
}

fn perform(folder: &Path, port_base: Option<u16>, is_json: bool) -> Outcome {
    let key = Arc::new(demo_key(&folder.join(ZONE_FILES.keys[0]), KEY_NAME)?);
    let other_key_file = folder.join(ZONE_FILES.keys[1]);
    let other_key = Arc::new(demo_key(&other_key_file, fleet::OTHER_KEY_NAME)?);
    let description = folder.join(DESCRIPTION);
    if !description.is_file() {
        fleet::write_zone_files(folder).map_err(Failure::finding)?;
        describe(folder, port_base)?;
    }
    let image = folder.join("image");
    if !image.is_dir() {
        unicorn::build_quietly(&image)?;
    }
    let cluster = folder.join(CLUSTER);
    let sites = unicorn::start(&cluster, &description)?;
    let members = NAMES.iter().zip(&sites).map(|(name, site)| {
        let data = cluster.join(name);
        Member { name, log: data.join("vm/serial.log"), data, dns: site.dns, http: site.http }
    });
    let key_file = folder.join(ZONE_FILES.keys[0]);
    let fleet = Fleet::of(members.collect(), key, other_key, key_file);
    fleet.await_together()?;
    if is_json {
        return print(story::as_json(&fleet, &pids(&cluster)?)?);
    }
    unicorn::show_status(&cluster)?;
    let (dns, shown) = (sites[0].dns, cluster.display());
    print(format_args!(
        "\nThree sites, each a machine with no other program in it. Try, while this runs:\n  \
         dig @{} -p {} mainframe.fleet.example\n  \
         einhorn unicorn --dir {shown} kill frankfurt\n  \
         einhorn unicorn --dir {shown} restart frankfurt\n  \
         einhorn status --data {shown}/berlin\nCtrl-C ends all of them in order.",
        dns.ip(),
        dns.port()
    ))
}

/// Writes the description of the cluster, and what its sites' configurations end with.
fn describe(folder: &Path, port_base: Option<u16>) -> Outcome {
    let base = port_base.map_or_else(free_ports, Ok)?;
    let keys = [KEY_NAME, fleet::OTHER_KEY_NAME];
    let keys = [0, 1].map(|place| (keys[place], Path::new(ZONE_FILES.keys[place])));
    let keys = keys_config(keys);
    let zones = zones_config(Path::new(ZONE_FILES.full), Path::new(ZONE_FILES.empty));
    let write = |name: &str, text: &str| fs::write(folder.join(name), text);
    write(CONFIGS[0], &format!("{keys}{zones}")).map_err(Failure::finding)?;
    write(CONFIGS[1], &keys).map_err(Failure::finding)?;
    let mut text = "image = \"image\"\n".to_owned();
    for (place, name) in NAMES.iter().enumerate() {
        let port = base.checked_add(place as u16 * PORTS_EACH);
        let port = port.filter(|port| *port > 0 && *port < u16::MAX);
        let port = port.ok_or_else(|| Failure::usage("--port-base: ports are from 1 to 65535"))?;
        let at = |offset| SocketAddr::from((Ipv4Addr::LOCALHOST, port + offset));
        let config = CONFIGS[place.min(1)];
        let ZoneFiles { keys: [key, other], full, empty } = ZONE_FILES;
        text += &format!(
            "[[site]]\nname = \"{name}\"\ndns = \"{}\"\nhttp = \"{}\"\nconfig = \"{config}\"\n\
             files = [\"{key}\", \"{other}\", \"{full}\", \"{empty}\"]\n",
            at(0),
            at(1)
        );
    }
    write(DESCRIPTION, &text).map_err(Failure::finding)
}

/// The processes of the machines, by site.
fn pids(cluster: &Path) -> Result<Vec<u32>, Failure> {
    match supervisor::ask(cluster, &Order::Status).map_err(Failure::finding)? {
        Answer::Status { machines, .. } => {
            Ok(machines.iter().map(|machine| machine.pid.unwrap_or_default()).collect())
        }
        other => Err(Failure::finding(format!("{other:?}"))),
    }
}
