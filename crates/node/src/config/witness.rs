//! `[[witness]]`: who cosigns our log; `[[witness-for]]`: whose logs we cosign.

use super::{Checker, ConfigError};
use einhorn_core::ledger::{Algorithm, VerifierKey};
use einhorn_ingress::witness::OutsideWitness;
use serde::Deserialize;

/// A log that we witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessedLog {
    /// Its identity in its checkpoints.
    pub origin: String,
    /// The key that signs them.
    pub key: VerifierKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWitness {
    url: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWitnessedLog {
    key: String,
    origin: Option<String>,
}

impl Checker<'_> {
    pub(super) fn witness(&self, raw: &RawWitness) -> Result<OutsideWitness, ConfigError> {
        let place = format!("witness.url = \"{}\"", raw.url);
        if !raw.url.starts_with("https://") && !raw.url.starts_with("http://") {
            return Err(self.wrong(place, "begin with https:// or http://"));
        }
        let key = self.vkey("witness.key", &raw.key, Algorithm::CosignatureV1)?;
        Ok(OutsideWitness { url: raw.url.clone(), key })
    }

    pub(super) fn witnessed_log(&self, raw: &RawWitnessedLog) -> Result<WitnessedLog, ConfigError> {
        let key = self.vkey("witness-for.key", &raw.key, Algorithm::Ed25519)?;
        let origin = raw.origin.clone().unwrap_or_else(|| key.name().to_owned());
        if origin.is_empty() || origin.contains(char::is_control) {
            return Err(self.wrong("witness-for.origin", "write one line that is not empty"));
        }
        Ok(WitnessedLog { origin, key })
    }

    fn vkey(&self, place: &str, text: &str, wanted: Algorithm) -> Result<VerifierKey, ConfigError> {
        let place = || format!("{place} = \"{text}\"");
        let key = VerifierKey::parse(text).map_err(|error| self.wrong(place(), error))?;
        match (key.algorithm() == wanted, wanted) {
            (true, _) => Ok(key),
            (false, Algorithm::Ed25519) => {
                Err(self.wrong(place(), "this is the key of a witness, not of a log"))
            }
            (false, Algorithm::CosignatureV1) => {
                Err(self.wrong(place(), "this is the key of a log, not of a witness"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use einhorn_core::ledger::SignerKey;
    use std::path::Path;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        let text = format!("data = \"data\"\nlisten = [\"127.0.0.1:5300\"]\n{text}");
        Config::parse(Path::new("/etc/einhorn.toml"), &text)
    }

    fn vkey(name: &str, algorithm: Algorithm) -> String {
        SignerKey::from_seed(name, algorithm, &[1; 32]).expect("a name").verifier().to_string()
    }

    #[test]
    fn witnesses_are_read() {
        let witness = vkey("w", Algorithm::CosignatureV1);
        let log = vkey("einhorn/paris", Algorithm::Ed25519);
        let config = parse(&format!(
            "[[witness]]\nurl = \"https://w.example/\"\nkey = \"{witness}\"\n\
             [[witness-for]]\nkey = \"{log}\"\n\
             [[witness-for]]\nkey = \"{log}\"\norigin = \"another\"\n"
        ))
        .expect("a good config");
        assert_eq!(config.witnesses[0].key.to_string(), witness);
        let origins: Vec<&str> =
            config.witnessed_logs.iter().map(|log| log.origin.as_str()).collect();
        assert_eq!(origins, ["einhorn/paris", "another"]);
        for (text, expected) in [
            (format!("[[witness]]\nurl = \"w.example\"\nkey = \"{witness}\""), "https://"),
            (format!("[[witness]]\nurl = \"http://w\"\nkey = \"{log}\""), "of a log"),
            (format!("[[witness-for]]\nkey = \"{witness}\""), "of a witness"),
            (format!("[[witness-for]]\nkey = \"{log}x\""), "witness-for.key"),
            (format!("[[witness-for]]\nkey = \"{log}\"\norigin = \"\""), "one line"),
        ] {
            let error = parse(&text).expect_err(&text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
