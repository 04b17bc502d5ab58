//! The `[link]` table: how this site and others reach each other.

use super::{Checker, ConfigError};
use einhorn_links::card::{ADDRESSES_MAX, check_address};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How this site and others reach each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// Address for the connections of other sites.
    pub listen: SocketAddr,
    /// Where others reach that, each `host:port`, for the card.
    pub advertise: Vec<String>,
    /// The card of a site whose cluster this one joins.
    pub join: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLink {
    listen: SocketAddr,
    advertise: Option<Vec<String>>,
    join: Option<PathBuf>,
}

impl Checker<'_> {
    pub(super) fn link(&self, raw: RawLink) -> Result<LinkConfig, ConfigError> {
        let advertise = match raw.advertise {
            Some(addresses) => addresses,
            None if raw.listen.ip().is_unspecified() || raw.listen.port() == 0 => {
                return Err(self.wrong(
                    format!("link.listen = \"{}\"", raw.listen),
                    "say with `advertise = [\"HOST:PORT\"]` where others reach this site",
                ));
            }
            None => vec![raw.listen.to_string()],
        };
        if advertise.len() > ADDRESSES_MAX {
            return Err(self.wrong("link.advertise", format!("more than {ADDRESSES_MAX}")));
        }
        for address in &advertise {
            check_address(address).map_err(|reason| self.wrong("link.advertise", reason))?;
        }
        let join = raw.join.map(|card| self.folder.join(card));
        Ok(LinkConfig { listen: raw.listen, advertise, join })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    const HEAD: &str = "data = \"data\"\nlisten = [\"127.0.0.1:5300\"]\n";

    fn parse(text: &str) -> Result<Option<LinkConfig>, String> {
        let config = Config::parse(Path::new("/etc/einhorn.toml"), &format!("{HEAD}{text}"));
        config.map(|config| config.link).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_taken() {
        assert_eq!(parse(""), Ok(None));
        let listen = SocketAddr::from(([127, 0, 0, 1], 5301));
        let short = LinkConfig { listen, advertise: vec![listen.to_string()], join: None };
        assert_eq!(parse("[link]\nlisten = \"127.0.0.1:5301\"\n"), Ok(Some(short.clone())));
        let text = "[link]\nlisten = \"127.0.0.1:5301\"\nadvertise = [\"a.example:1\", \"[::1]:2\"]\n\
                    join = \"berlin.site\"\n";
        let advertise = vec!["a.example:1".to_owned(), "[::1]:2".to_owned()];
        let join = Some(PathBuf::from("/etc/berlin.site"));
        assert_eq!(parse(text), Ok(Some(LinkConfig { advertise, join, ..short })));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, wanted) in [
            ("[link]\n", "missing field `listen`"),
            ("[link]\nlisten = \"x\"\n", "line 4"),
            ("[link]\nlisten = \"[::]:1\"\n", "link.listen = \"[::]:1\": say with `advertise"),
            ("[link]\nlisten = \"127.0.0.1:0\"\n", "where others reach this site"),
            ("[link]\nlisten = \"[::]:1\"\nadvertise = [\"a\"]\n", "link.advertise: `a`: write"),
            ("[link]\nlisten = \"[::]:1\"\nadvertice = []\n", "did you mean `advertise`?"),
            ("[lnik]\n", "did you mean `link`?"),
        ] {
            let said = parse(text).expect_err("a bad config");
            assert!(said.contains(wanted), "no `{wanted}` in: {said}");
        }
    }
}
