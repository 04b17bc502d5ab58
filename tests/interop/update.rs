//! RFC 2136 with `nsupdate` and `knsupdate`.

use einhorn_harness::{KEY, Start, ZONE, output, peer, scratch};
use std::process::Command;

#[test]
fn nsupdate_changes_what_dig_sees() {
    let (Some(nsupdate), Some(dig)) = (peer("nsupdate"), peer("dig")) else { return };
    let folder = scratch();
    let site = Start { program: env!("CARGO_BIN_EXE_einhorn"), folder: folder.path() }
        .start()
        .expect("ready");
    let input = format!(
        "server {} {}\nzone {ZONE}\nupdate add anna.{ZONE} 60 A 192.0.2.7\nsend\n",
        site.dns.ip(),
        site.dns.port()
    );
    let (code, text) = output(Command::new(nsupdate).args(["-y", KEY]), &input);
    assert_eq!(code, Some(0), "{text}");
    let ask =
        [format!("@{}", site.dns.ip()), "-p".into(), site.dns.port().to_string(), "+short".into()];
    let (_, text) = output(Command::new(dig).args(ask).args(["anna.fleet.example.", "A"]), "");
    assert_eq!(text, "192.0.2.7\n");
    assert_eq!(site.stop(), Some(0));
}
