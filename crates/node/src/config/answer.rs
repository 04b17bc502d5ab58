//! The tables `[answer]` and `[limits]`: what answers say, and how much anyone may ask.

use super::{Checker, ConfigError};
use einhorn_ingress::Settings;
use einhorn_ingress::rate_limit::LimitSettings;
use einhorn_serve::answer::{AnswerSettings, CHAOS_OCTETS_MAX, NSID_OCTETS_MAX};
use einhorn_wire::cookie::{SECRET_OCTETS, Secret};
use serde::Deserialize;

/// Answers of every server fit 512 octets; longer datagrams than 4096 never arrive whole.
const UDP_PAYLOAD_OCTETS: std::ops::RangeInclusive<u16> = 512..=4096;

/// Where server cookies come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cookies {
    Off,
    /// A secret that is new at every start.
    Random,
    /// Secrets that several servers of one address share.
    Shared(Vec<Secret>),
}

/// What the two tables say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerConfig {
    /// All but the cookies' secrets.
    settings: Settings,
    cookies: Cookies,
}

impl Default for AnswerConfig {
    fn default() -> AnswerConfig {
        AnswerConfig { settings: Settings::default(), cookies: Cookies::Random }
    }
}

impl AnswerConfig {
    /// What is in force, with `random` where no secret is configured.
    pub(super) fn settings(&self, random: Secret) -> Settings {
        let mut settings = self.settings.clone();
        settings.answer.cookie_secrets = match &self.cookies {
            Cookies::Off => Vec::new(),
            Cookies::Random => vec![random],
            Cookies::Shared(secrets) => secrets.clone(),
        };
        settings
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAnswer {
    udp_payload_octets_max: Option<u16>,
    nsid: Option<String>,
    version: Option<String>,
    identity: Option<String>,
    authors: Option<String>,
    cookies: Option<bool>,
    #[serde(default)]
    cookie_secrets: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLimits {
    responses_per_second: Option<u32>,
    slip: Option<u32>,
    updates_per_second: Option<u32>,
    exempt: Option<Vec<String>>,
    tcp_connections_max: Option<usize>,
    tcp_connections_per_source_max: Option<usize>,
    tcp_idle_seconds: Option<u16>,
    tcp_message_seconds: Option<u16>,
    tls_connections_max: Option<usize>,
    tls_handshakes_max: Option<usize>,
    tls_handshake_seconds: Option<u16>,
    https_streams_max: Option<u32>,
}

impl Checker<'_> {
    pub(super) fn answer_and_limits(
        &self,
        answer: RawAnswer,
        limits: RawLimits,
    ) -> Result<AnswerConfig, ConfigError> {
        let cookies = self.cookies(&answer)?;
        let limits = self.limits(limits)?;
        let mut answer = self.answer(answer)?;
        answer.tcp_idle_seconds = limits.tcp_idle_seconds;
        Ok(AnswerConfig { settings: Settings { answer, limits }, cookies })
    }

    fn answer(&self, raw: RawAnswer) -> Result<AnswerSettings, ConfigError> {
        let default = AnswerSettings::default();
        let payload = raw.udp_payload_octets_max.unwrap_or(default.udp_payload_octets_max);
        if !UDP_PAYLOAD_OCTETS.contains(&payload) {
            let place = format!("answer.udp-payload-octets-max = {payload}");
            return Err(self.wrong(place, "use 512 to 4096; 1232 passes nearly everywhere"));
        }
        let text = |key: &str, text: Option<String>, octets_max: usize| match text {
            Some(text) if text.len() > octets_max => {
                Err(self.wrong(format!("answer.{key}"), format!("at most {octets_max} octets")))
            }
            text => Ok(text),
        };
        // The empty text is nothing to tell.
        let chaos = |key: &str, given: Option<String>| -> Result<Option<String>, ConfigError> {
            Ok(text(key, given, CHAOS_OCTETS_MAX)?.filter(|text| !text.is_empty()))
        };
        Ok(AnswerSettings {
            udp_payload_octets_max: payload,
            nsid: text("nsid", raw.nsid, NSID_OCTETS_MAX)?.map(String::into_bytes),
            version: chaos("version", raw.version.or(default.version))?,
            identity: chaos("identity", raw.identity)?,
            authors: chaos("authors", raw.authors)?,
            cookie_secrets: Vec::new(),
            tcp_idle_seconds: default.tcp_idle_seconds,
            designated: None,
        })
    }

    fn cookies(&self, raw: &RawAnswer) -> Result<Cookies, ConfigError> {
        let secret = |text: &String| {
            let octets = (0..text.len() / 2)
                .map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok())
                .collect::<Option<Vec<u8>>>();
            let good = octets.filter(|_| text.len() == 2 * SECRET_OCTETS && !text.contains('+'));
            good.and_then(|octets| octets.try_into().ok()).map(Secret).ok_or_else(|| {
                self.wrong(
                    "answer.cookie-secrets",
                    "write each as 32 hexadecimal digits; `openssl rand -hex 16` makes one",
                )
            })
        };
        match (raw.cookies.unwrap_or(true), &*raw.cookie_secrets) {
            (true, []) => Ok(Cookies::Random),
            (true, secrets) => {
                Ok(Cookies::Shared(secrets.iter().map(secret).collect::<Result<_, _>>()?))
            }
            (false, []) => Ok(Cookies::Off),
            (false, _) => {
                Err(self.wrong("answer.cookie-secrets", "are of no use with cookies = false"))
            }
        }
    }

    fn limits(&self, raw: RawLimits) -> Result<LimitSettings, ConfigError> {
        let default = LimitSettings::default();
        let exempt = match raw.exempt {
            None => default.exempt,
            Some(texts) => texts
                .iter()
                .map(|text| text.parse().map_err(|error| self.wrong("limits.exempt", error)))
                .collect::<Result<_, _>>()?,
        };
        let limits = LimitSettings {
            responses_per_second: raw.responses_per_second.unwrap_or(default.responses_per_second),
            slip: raw.slip.unwrap_or(default.slip),
            updates_per_second: raw.updates_per_second.unwrap_or(default.updates_per_second),
            exempt,
            tcp_connections_max: raw.tcp_connections_max.unwrap_or(default.tcp_connections_max),
            tcp_connections_per_source_max: raw
                .tcp_connections_per_source_max
                .unwrap_or(default.tcp_connections_per_source_max),
            tcp_idle_seconds: raw.tcp_idle_seconds.unwrap_or(default.tcp_idle_seconds),
            tcp_message_seconds: raw.tcp_message_seconds.unwrap_or(default.tcp_message_seconds),
            tls_connections_max: raw.tls_connections_max.unwrap_or(default.tls_connections_max),
            tls_handshakes_max: raw.tls_handshakes_max.unwrap_or(default.tls_handshakes_max),
            tls_handshake_seconds: raw
                .tls_handshake_seconds
                .unwrap_or(default.tls_handshake_seconds),
            https_streams_max: raw.https_streams_max.unwrap_or(default.https_streams_max),
        };
        for (key, value) in [
            ("tcp-connections-max", limits.tcp_connections_max),
            ("tcp-connections-per-source-max", limits.tcp_connections_per_source_max),
            ("tcp-idle-seconds", limits.tcp_idle_seconds.into()),
            ("tcp-message-seconds", limits.tcp_message_seconds.into()),
            ("tls-connections-max", limits.tls_connections_max),
            ("tls-handshakes-max", limits.tls_handshakes_max),
            ("tls-handshake-seconds", limits.tls_handshake_seconds.into()),
            ("https-streams-max", limits.https_streams_max as usize),
        ] {
            if value == 0 {
                return Err(
                    self.wrong(format!("limits.{key} = 0"), "nobody could connect; use 1 or more")
                );
            }
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;

    const HEAD: &str = "data = \"data\"\nlisten = [\"127.0.0.1:5300\"]\n";

    fn parse(text: &str) -> Result<Settings, String> {
        let config = Config::parse(Path::new("/etc/einhorn.toml"), &format!("{HEAD}{text}"));
        config.map(|config| config.settings(Secret([1; 16]))).map_err(|error| error.to_string())
    }

    fn error(text: &str) -> String {
        parse(text).expect_err("a bad config")
    }

    #[test]
    fn without_tables_the_defaults_hold() {
        let settings = parse("").expect("a good config");
        assert_eq!(settings.limits, LimitSettings::default());
        let cookie_secrets = vec![Secret([1; 16])];
        assert_eq!(settings.answer, AnswerSettings { cookie_secrets, ..AnswerSettings::default() });
        assert_eq!(settings.answer.version.as_deref(), Some("einhorn"));
    }

    #[test]
    fn what_is_written_is_taken() {
        let settings = parse(
            "[answer]\nudp-payload-octets-max = 1400\nnsid = \"fra1\"\nversion = \"\"\n\
             identity = \"fra1\"\nauthors = \"us\"\n\
             cookie-secrets = [\"e5e973e5a6b2a43f48e7dc849e37bfcf\", \"00000000000000000000000000000000\"]\n\
             [limits]\nresponses-per-second = 0\nslip = 3\nupdates-per-second = 7\n\
             exempt = [\"10.0.0.0/8\", \"2001:db8::1\"]\ntcp-connections-max = 5\n\
             tcp-connections-per-source-max = 2\ntcp-idle-seconds = 9\ntcp-message-seconds = 4\n\
             tls-connections-max = 11\ntls-handshakes-max = 12\ntls-handshake-seconds = 13\n\
             https-streams-max = 14\n",
        )
        .expect("a good config");
        let (answer, limits) = (settings.answer, settings.limits);
        assert_eq!((answer.udp_payload_octets_max, answer.tcp_idle_seconds), (1400, 9));
        assert_eq!(answer.nsid.as_deref(), Some(&b"fra1"[..]));
        assert_eq!((answer.version, answer.identity.as_deref()), (None, Some("fra1")));
        assert_eq!(answer.cookie_secrets[0].0[..2], [0xe5, 0xe9]);
        assert_eq!(answer.cookie_secrets.len(), 2);
        assert_eq!(
            (limits.responses_per_second, limits.slip, limits.updates_per_second),
            (0, 3, 7)
        );
        assert!(limits.is_exempt([10, 9, 8, 7].into()) && !limits.is_exempt([127, 0, 0, 1].into()));
        assert_eq!((limits.tcp_connections_max, limits.tcp_connections_per_source_max), (5, 2));
        assert_eq!(limits.tcp_message_seconds, 4);
        let tls = (limits.tls_connections_max, limits.tls_handshakes_max);
        assert_eq!((tls, limits.tls_handshake_seconds), ((11, 12), 13));
        assert_eq!(limits.https_streams_max, 14);
        assert!(
            parse("[answer]\ncookies = false\n").expect("good").answer.cookie_secrets.is_empty()
        );
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        assert!(error("[answer]\nnside = \"x\"\n").ends_with("did you mean `nsid`?"));
        assert!(error("[limits]\nslipp = 1\n").ends_with("did you mean `slip`?"));
        assert!(error("[limit]\n").ends_with("did you mean `limits`?"));
        for (text, part) in [
            ("[answer]\nudp-payload-octets-max = 511\n", "512 to 4096"),
            ("[answer]\ncookie-secrets = [\"abc\"]\n", "32 hexadecimal digits"),
            (
                "[answer]\ncookie-secrets = [\"+5e973e5a6b2a43f48e7dc849e37bfcf\"]\n",
                "32 hexadecimal",
            ),
            ("[answer]\ncookies = false\ncookie-secrets = [\"a\"]\n", "of no use"),
            ("[limits]\nexempt = [\"10.0.0.1/8\"]\n", "10.0.0.1/8"),
            ("[limits]\ntcp-connections-max = 0\n", "use 1 or more"),
            ("[limits]\nhttps-streams-max = 0\n", "use 1 or more"),
        ] {
            assert!(error(text).contains(part), "{text}: {}", error(text));
        }
        let long = format!("[answer]\nnsid = \"{}\"\n", "x".repeat(129));
        assert!(error(&long).contains("at most 128 octets"), "{}", error(&long));
    }
}
