//! Devices, as operators and programs see them.

use serde::{Deserialize, Serialize};

/// What can be asked about a device.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "device", rename_all = "kebab-case")]
pub enum DeviceCommand {
    /// What has been seen of it.
    Show {
        /// Its host name.
        name: String,
    },
    /// Its record was frozen, and shall follow it again.
    Release {
        /// Its host name.
        name: String,
    },
}

/// What a node has seen of a device.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceLine {
    /// Its host name.
    pub name: String,
    /// Whether it counts for nobody any more.
    pub is_revoked: bool,
    /// Where it was last, with the time in milliseconds since 1970; the network for IPv6.
    pub seen: Vec<(String, u64)>,
    /// Why its record is frozen, if it is.
    pub alarm: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub alarm_ms: Option<u64>,
}
