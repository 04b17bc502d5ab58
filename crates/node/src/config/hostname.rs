//! `[hostname-server]`: where the hostname server of RFC 953 listens, and what it shows.

use super::{Checker, ConfigError};
use einhorn_wire::Name;
use serde::Deserialize;
use std::net::SocketAddr;

/// A hostname server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostnameConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The zones whose hosts it shows; names of the first are written without its own.
    pub zones: Vec<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawHostname {
    listen: SocketAddr,
    zones: Vec<String>,
}

impl Checker<'_> {
    pub(super) fn hostname(&self, raw: RawHostname) -> Result<HostnameConfig, ConfigError> {
        let mut zones: Vec<Name> = Vec::with_capacity(raw.zones.len());
        for text in &raw.zones {
            let zone = self.name("hostname-server.zones", text)?;
            if zones.contains(&zone) {
                let place = format!("hostname-server.zones = \"{text}\"");
                return Err(self.wrong(place, "is given twice"));
            }
            zones.push(zone);
        }
        if zones.is_empty() {
            let reason = "name the zones whose hosts it is to show, such as [\"fleet.example\"]";
            return Err(self.wrong("hostname-server.zones", reason));
        }
        Ok(HostnameConfig { listen: raw.listen, zones })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    fn parse(text: &str) -> Result<Option<HostnameConfig>, String> {
        let text = format!("data = \"data\"\nlisten = [\"127.0.0.1:5300\"]\n{text}");
        let config = Config::parse(Path::new("/etc/einhorn.toml"), &text);
        config.map(|config| config.hostname_server).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_taken_and_mistakes_are_named() {
        assert_eq!(parse(""), Ok(None));
        let text = "[hostname-server]\nlisten = \"127.0.0.1:101\"\nzones = [\"a.example\", \"b.example\"]\n";
        let zones = ["a.example.", "b.example."].map(|zone| zone.parse().expect("a name")).into();
        let listen = SocketAddr::from(([127, 0, 0, 1], 101));
        assert_eq!(parse(text), Ok(Some(HostnameConfig { listen, zones })));
        for (from, to, wanted) in [
            ("\"a.example\", \"b.example\"", "", "name the zones"),
            ("b.example", "A.example.", "is given twice"),
            ("b.example", "b..example", "hostname-server.zones"),
            ("zones", "zone", "did you mean `zones`?"),
            ("127.0.0.1:101", "127.0.0.1", "line 4"),
        ] {
            let said = parse(&text.replace(from, to)).expect_err("a bad config");
            assert!(said.contains(wanted), "no `{wanted}` in: {said}");
        }
    }
}
