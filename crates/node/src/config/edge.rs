//! `[[edge]]`: keys of daemons beside devices, and for which devices they speak.

use super::{Checker, ConfigError};
use einhorn_core::rules::policy::NamePattern;
use einhorn_wire::Name;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawEdge {
    key: String,
    #[serde(default = "all")]
    devices: Vec<String>,
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Checker<'_> {
    pub(super) fn edge(&self, raw: &RawEdge) -> Result<(Name, Vec<NamePattern>), ConfigError> {
        let key = self.name("edge.key", &raw.key)?.to_lowercase();
        let pattern = |text: &String| {
            text.parse::<NamePattern>()
                .map_err(|error| self.wrong(format!("edge.devices: \"{text}\""), error))
        };
        Ok((key, raw.devices.iter().map(pattern).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use std::path::Path;

    fn parse(text: &str) -> Result<Config, String> {
        let text = format!(
            "data = \"data\"\nlisten = [\"127.0.0.1:5300\"]\n[[key]]\nname = \"edge.\"\nsecret = \"c2VjcmV0\"\n{text}"
        );
        Config::parse(Path::new("/etc/einhorn.toml"), &text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_edge_has_a_key_and_devices() {
        let name = |text: &str| text.parse().expect("a name");
        let all = parse("[[edge]]\nkey = \"Edge.\"").expect("a config").access().policy;
        assert!(all.is_edge(&name("edge.")) && all.speaks_for(&name("edge."), &name("a.")).is_ok());
        let some = parse("[[edge]]\nkey = \"edge.\"\ndevices = [\"*.lab.\"]").expect("a config");
        let some = some.access().policy;
        assert!(some.speaks_for(&name("edge."), &name("a.lab.")).is_ok());
        assert!(some.speaks_for(&name("edge."), &name("a.")).is_err());
        for (text, wanted) in [
            ("[[edge]]\nkey = \"other.\"", "no such [[key]]"),
            ("[[edge]]\nkey = \"edge.\"\ndevices = [\"a..b\"]", "edge.devices"),
        ] {
            let said = parse(text).expect_err("a bad config");
            assert!(said.contains(wanted), "no `{wanted}` in: {said}");
        }
    }
}
