//! The `[etcd]` table: the etcd that holds the site's log, so that several nodes form the site.

use super::{Checker, ConfigError};
use serde::Deserialize;
use std::net::SocketAddr;

/// The etcd that holds the site's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// Its members' client addresses, each `http://HOST:PORT`.
    pub endpoints: Vec<String>,
    /// What the site's keys begin with; the same on all nodes of a site, and another for each site.
    pub prefix: String,
    /// Where this node takes what other nodes of the site are asked, while it leads. They connect to
    /// this very address.
    pub listen: SocketAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawEtcd {
    endpoints: Vec<String>,
    prefix: Option<String>,
    listen: SocketAddr,
}

impl Checker<'_> {
    pub(super) fn etcd(&self, raw: RawEtcd, site: &str) -> Result<EtcdConfig, ConfigError> {
        if !cfg!(feature = "etcd") {
            return Err(self.wrong(
                "etcd",
                "this einhorn was built without it; build it with `--features etcd`",
            ));
        }
        if raw.endpoints.is_empty() {
            return Err(self.wrong("etcd.endpoints", "name the members of etcd"));
        }
        if let Some(other) = raw.endpoints.iter().find(|url| !url.starts_with("http://")) {
            return Err(self.wrong(
                format!("etcd.endpoints = \"{other}\""),
                "write http://HOST:PORT; TLS is not supported yet",
            ));
        }
        if raw.listen.ip().is_unspecified() || raw.listen.port() == 0 {
            return Err(self.wrong(
                format!("etcd.listen = \"{}\"", raw.listen),
                "write the ADDRESS:PORT at which the other nodes of the site reach this one",
            ));
        }
        let prefix = raw.prefix.unwrap_or_else(|| format!("einhorn/{site}"));
        Ok(EtcdConfig { endpoints: raw.endpoints, prefix, listen: raw.listen })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use std::path::Path;

    #[test]
    fn it_is_taken_where_it_is_built_in_and_mistakes_are_named() {
        let head = "site = \"berlin\"\ndata = \"data\"\nlisten = [\"127.0.0.1:5300\"]\n[etcd]\n";
        let parse = |text: &str| {
            let config = Config::parse(Path::new("/etc/einhorn.toml"), &format!("{head}{text}"));
            config.map(|config| config.etcd).map_err(|error| error.to_string())
        };
        let listen = "listen = \"192.0.2.1:5390\"\n";
        let good = parse(&format!("endpoints = [\"http://192.0.2.1:2379\"]\n{listen}"));
        if !cfg!(feature = "etcd") {
            assert!(good.as_ref().is_err_and(|said| said.contains("--features etcd")), "{good:?}");
            return;
        }
        let good = good.expect("a good config").expect("an etcd");
        assert_eq!(good.prefix, "einhorn/berlin");
        for (text, wanted) in [
            ("endpoints = []\n", "name the members"),
            ("endpoints = [\"https://192.0.2.1:2379\"]\n", "TLS is not supported"),
            ("endpoint = []\n", "did you mean `endpoints`?"),
        ] {
            let said = parse(&format!("{text}{listen}")).expect_err("a bad config");
            assert!(said.contains(wanted), "no `{wanted}` in: {said}");
        }
        let said = parse("endpoints = [\"http://192.0.2.1:2379\"]\nlisten = \"[::]:5390\"\n");
        let said = said.expect_err("nobody can connect to that");
        assert!(said.contains("reach this one"), "{said}");
    }
}
