//! What a change is about, as numbers: the same on every machine, and nobody's name is kept.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// A name, as the agent knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Stands for the name.
    pub name: u64,
    /// Stands for the owner of the name: services of one host share it.
    pub group: u64,
    /// How many labels; 128 more if the first begins with an underscore.
    pub shape: u8,
}

impl Target {
    /// Of a name in presentation form, whatever its letters' case, with or without a dot at the end.
    pub fn of(name: &str) -> Target {
        let name = name.trim_end_matches('.');
        Target { name: number_of(name), group: number_of(owner_of(name)), shape: shape(name) }
    }
}

/// A number that stands for a text, whatever its letters' case. It hides nothing from who knows the
/// text, and two texts with one number do no harm: advice is all that is made of it.
pub fn number_of(text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    text.bytes().for_each(|octet| hasher.write_u8(octet.to_ascii_lowercase()));
    hasher.finish()
}

/// What kind of record type this is, for the features: by its mnemonic.
pub fn kind_of(record_type: &str) -> u8 {
    match record_type {
        "A" | "AAAA" => 1,
        "CNAME" => 2,
        "TXT" => 3,
        "MX" => 4,
        "NS" => 5,
        _ => 0,
    }
}

/// The name without leading service labels, which belong to the owner of what follows.
fn owner_of(name: &str) -> &str {
    let mut rest = name;
    while let Some((first, parent)) = rest.split_once('.') {
        if !first.starts_with('_') && !matches!(first, "*" | "@" | "www") {
            break;
        }
        rest = parent;
    }
    rest
}

fn shape(name: &str) -> u8 {
    let labels = name.split('.').count().min(127) as u8;
    labels + if name.starts_with('_') { 128 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_belong_to_their_host_and_case_is_no_difference() {
        let (host, service) = (Target::of("Anna.fleet."), Target::of("_ipp._tcp.anna.FLEET"));
        assert_eq!(host.group, service.group);
        assert_ne!(host.name, service.name);
        assert_eq!(host, Target::of("anna.fleet"));
        assert_eq!((host.shape, service.shape), (2, 132));
        assert_ne!(host.group, Target::of("bert.fleet").group);
    }
}
