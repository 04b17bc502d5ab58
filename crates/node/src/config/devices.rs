//! `[devices]`: the file of devices, where they are enrolled, and which proxies are believed.

use super::{Checker, ConfigError};
use crate::device_file::{self, DeviceFileError};
use einhorn_core::model::device::{Device, Devices};
use einhorn_core::model::settings::Prefix;
use einhorn_core::rules::implicit::Never;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// The devices, and what is about them alone.
#[derive(Debug, Clone, Default)]
pub struct DevicesConfig {
    /// The file that they are kept in; none: there are no devices.
    pub file: Option<PathBuf>,
    /// Those in the file; read with the rest of the configuration.
    pub all: Devices,
    /// Addresses that are no device's, beside those that never are.
    pub never: Never,
    /// How devices reach this site's HTTP to be enrolled, such as `https://dns.fleet.example`.
    pub url: Option<String>,
    /// Proxies in front of this site's HTTP, whose word about who asks is taken.
    pub proxies: Vec<Prefix>,
    /// The certificate that signs profiles, with those that lead to its authority, and its key; none:
    /// one is made in the data folder.
    pub signer: Option<SignerFiles>,
}

/// Where the certificate that signs profiles lies, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerFiles {
    /// The certificate, and behind it those that lead to its authority.
    pub certificate: PathBuf,
    /// Its key: ECDSA on P-256, PKCS #8.
    pub key: PathBuf,
}

impl DevicesConfig {
    /// The devices that count.
    pub(crate) fn enrolled(&self) -> impl Iterator<Item = &Device> + Clone {
        let all: Vec<&Device> = self.all.iter().filter(|device| !device.is_revoked()).collect();
        all.into_iter()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawDevices {
    file: PathBuf,
    url: Option<String>,
    never_file: Option<PathBuf>,
    #[serde(default)]
    proxies: Vec<String>,
    sign_certificate: Option<PathBuf>,
    sign_key: Option<PathBuf>,
}

impl Checker<'_> {
    pub(super) fn devices(&self, raw: RawDevices) -> Result<DevicesConfig, ConfigError> {
        let path = self.folder.join(raw.file);
        let all = read(&path)
            .map_err(|error| self.wrong(format!("devices.file {}", path.display()), error))?;
        let proxy = |text: &String| {
            text.parse().map_err(|error| self.wrong(format!("devices.proxies \"{text}\""), error))
        };
        if let Some(url) = raw.url.as_ref().filter(|url| !is_base_url(url)) {
            let reason = "write https://HOST or https://HOST:PORT, without a path";
            return Err(self.wrong(format!("devices.url = \"{url}\""), reason));
        }
        let signer = match (raw.sign_certificate, raw.sign_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(SignerFiles {
                certificate: self.folder.join(certificate),
                key: self.folder.join(key),
            }),
            _ => return Err(self.wrong("devices", "give both `sign-certificate` and `sign-key`")),
        };
        Ok(DevicesConfig {
            file: Some(path),
            all,
            never: raw.never_file.map(|file| self.never(&file)).transpose()?.unwrap_or_default(),
            url: raw.url.map(|url| url.trim_end_matches('/').to_owned()),
            proxies: raw.proxies.iter().map(proxy).collect::<Result<_, _>>()?,
            signer,
        })
    }
}

impl Checker<'_> {
    /// Ranges of addresses, the first word of each line: so Apple publishes the egress addresses of
    /// its relays, with commas behind.
    fn never(&self, file: &Path) -> Result<Never, ConfigError> {
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path)
            .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let ranges = text.lines().enumerate().filter_map(|(at, line)| {
            let range = line.split([',', '#']).next().map(str::trim).filter(|it| !it.is_empty())?;
            Some(range.parse::<Prefix>().map_err(|error| {
                self.wrong(format!("devices.never-file {}:{}", path.display(), at + 1), error)
            }))
        });
        Ok(Never::new(ranges.collect::<Result<Vec<_>, _>>()?))
    }
}

/// The devices of a file; none while it is not there, which is so until the first one is added.
fn read(path: &Path) -> Result<Devices, DeviceFileError> {
    let devices = device_file::read(path)?;
    Devices::new(devices).map_err(DeviceFileError::from)
}

fn is_base_url(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-:[]".contains(letter);
    host.map(|host| host.trim_end_matches('/'))
        .is_some_and(|host| !host.is_empty() && host.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const ONE: &str = "[[device]]\nname = \"anna.fleet.example.\"\nzone = \"fleet.example.\"\n\
        token-sha256 = \"0000000000000000000000000000000000000000000000000000000000000001\"\n\
        secret = \"c2VjcmV0IG9mIHRoZSBwaG9uZQ==\"\nenrolled-seconds = 1\n";

    fn load(folder: &Path, config: &str, devices: Option<(&str, u32)>) -> Result<Config, String> {
        if let Some((text, mode)) = devices {
            let path = folder.join("devices.toml");
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let text = format!(
            "data = \"data\"\nlisten = [\"127.0.0.1:5300\"]\n\
             [devices]\nfile = \"devices.toml\"\n{config}"
        );
        let path = folder.join("einhorn.toml");
        fs::write(&path, text).expect("written");
        Config::load(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn devices_are_keys_that_may_set_their_addresses() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = load(folder.path(), "", None).expect("no devices yet");
        assert_eq!(config.devices.all.iter().count(), 0);
        let config = load(folder.path(), "", Some((ONE, 0o600))).expect("a device");
        let (access, name) = (config.access(), "anna.fleet.example.".parse().expect("a name"));
        assert!(access.keys.get(&name).is_some());
        let zone = "fleet.example.".parse().expect("a name");
        assert!(access.policy.check(&name, &zone, &[]).is_ok());
        let revoked = format!("{ONE}revoked-seconds = 2\n");
        let config = load(folder.path(), "", Some((&revoked, 0o600))).expect("a device");
        let access = config.access();
        assert!(access.keys.get(&name).is_none());
        assert!(access.policy.check(&name, &zone, &[]).is_err());
    }

    #[test]
    fn ranges_that_are_never_a_devices_are_read_as_they_are_published() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "# egress\n172.224.226.0/27,GB,GB-EN,London,\n\n2a02:26f7::/64,\n";
        fs::write(folder.path().join("relays.csv"), text).expect("written");
        let config = load(folder.path(), "never-file = \"relays.csv\"", None).expect("a config");
        let never = |address: &str| config.devices.never.contains(address.parse().expect("one"));
        assert!(never("172.224.226.1") && never("2a02:26f7::1") && !never("172.224.227.1"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = "[[key]]\nname = \"anna.fleet.example.\"\nsecret = \"c2VjcmV0\"\n";
        for (config, text, mode, expected) in [
            ("", ONE, 0o644, "chmod 600"),
            ("", &ONE.replace("0001\"", "01\""), 0o600, "64 hexadecimal digits"),
            ("", &format!("{ONE}{ONE}"), 0o600, "is there twice"),
            ("", &ONE.replace("fleet.example.\"\ntoken", "x.\"\ntoken"), 0o600, "not in its zone"),
            ("", &ONE.replace("enrolled", "enroled"), 0o600, "enroled-seconds"),
            (key, ONE, 0o600, "is also a device's"),
            ("url = \"dns.example\"", ONE, 0o600, "https://HOST"),
            ("proxies = [\"192.0.2.0/33\"]", ONE, 0o600, "range of addresses"),
            ("sign-key = \"x\"", ONE, 0o600, "both"),
            ("never-file = \"einhorn.toml\"", ONE, 0o600, "einhorn.toml:1"),
        ] {
            let error = load(folder.path(), config, Some((text, mode))).expect_err(expected);
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("c2VjcmV0"), "no secret is shown: {error}");
        }
    }
}
