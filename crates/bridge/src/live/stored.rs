//! The octets in which the ledger keeps a source's records, and the keys at which they lie.
//!
//! # Form
//! Key: u8 kind (`0` NET, `1` GATEWAY, `2` HOST, `3` DOMAIN), then the name in upper case. Record: u8 `1`,
//! its version; u8 kind; 16 octets id; text name; list of pairs of texts, the sidecar; then each field in
//! the order of [`Fields`]: u8 `0` unset, `1` and its value, `2` and a text, the code of what cannot be
//! held. Numbers are big-endian, texts and lists have a u32 in front; an address is u8 `4` or `6` and its
//! octets, or `0` and two texts; a time is i64 seconds since 1970, or the least i64 for never.

use crate::codes::LossCode;
use crate::merge::{Entry, Shared};
use crate::record::{Address, Field, Fields, HostId, Key, Kind, Moment};
use crate::text::Text;

const VERSION: u8 = 1;
const NEVER: i64 = i64::MIN;

/// Parts of an entry that only its own format knows: name and value.
pub type Sidecar = Vec<(Text, Text)>;

/// Octets that are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ledger has a record of this source that cannot be read; was it written by a newer version?"
)]
pub struct BadRecord;

/// The key of a record; the same for names that differ in case alone.
pub fn key(key: &Key) -> Box<[u8]> {
    let mut octets = vec![key.kind as u8];
    octets.extend(key.name.octets().iter().map(u8::to_ascii_uppercase));
    octets.into()
}

/// The octets of a record.
pub fn encode(entry: &Entry, sidecar: &Sidecar) -> Box<[u8]> {
    let mut put = Put(vec![VERSION, entry.key.kind as u8]);
    put.0.extend_from_slice(&entry.id.0.to_be_bytes());
    put.text(&entry.key.name);
    put.list(sidecar, |put, (name, value)| {
        put.text(name);
        put.text(value);
    });
    let fields = &entry.fields;
    let texts = |put: &mut Put, texts: &Vec<Text>| put.list(texts, Put::text);
    put.field(&fields.addresses, |put, all| put.list(all, Put::address));
    put.field(&fields.nicknames, texts);
    put.field(&fields.protocols, texts);
    put.field(&fields.machine, Put::text);
    put.field(&fields.system, Put::text);
    put.field(&fields.status, Put::text);
    put.field(&fields.hardware, Put::text);
    put.field(&fields.ttl_seconds, |put, ttl| put.0.extend_from_slice(&ttl.to_be_bytes()));
    put.field(&fields.changed, Put::moment);
    put.field(&fields.expires, Put::moment);
    put.field(&fields.remark, Put::text);
    put.field(&fields.others, texts);
    put.0.into()
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`BadRecord`] for anything else.
pub fn decode(octets: &[u8]) -> Result<(Shared, Sidecar), BadRecord> {
    let mut take = Take(octets);
    if take.u8()? != VERSION {
        return Err(BadRecord);
    }
    let kind = usize::from(take.u8()?);
    let kind = Kind::ALL.into_iter().find(|one| *one as usize == kind).ok_or(BadRecord)?;
    let id = HostId(u128::from_be_bytes(take.array()?));
    let key = Key { kind, name: take.text()? };
    let sidecar = take.list(|take| Ok((take.text()?, take.text()?)))?;
    let texts = |take: &mut Take<'_>| take.list(Take::text);
    let fields = Fields {
        addresses: take.field(|take| take.list(Take::address))?,
        nicknames: take.field(texts)?,
        protocols: take.field(texts)?,
        machine: take.field(Take::text)?,
        system: take.field(Take::text)?,
        status: take.field(Take::text)?,
        hardware: take.field(Take::text)?,
        ttl_seconds: take.field(Take::u32)?,
        changed: take.field(Take::moment)?,
        expires: take.field(Take::moment)?,
        remark: take.field(Take::text)?,
        others: take.field(texts)?,
    };
    if !take.0.is_empty() {
        return Err(BadRecord);
    }
    Ok((Shared::new(Entry { id, key, fields }), sidecar))
}

struct Put(Vec<u8>);

impl Put {
    fn count(&mut self, count: usize) {
        // Records come from files of which each entry fits into memory many times over.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&count.to_be_bytes());
    }

    fn text(&mut self, text: &Text) {
        self.count(text.octets().len());
        self.0.extend_from_slice(text.octets());
    }

    fn list<T>(&mut self, all: &[T], mut put: impl FnMut(&mut Put, &T)) {
        self.count(all.len());
        all.iter().for_each(|one| put(self, one));
    }

    fn field<T>(&mut self, field: &Field<T>, put: impl FnOnce(&mut Put, &T)) {
        match field {
            Field::Unset => self.0.push(0),
            Field::Value(value) => {
                self.0.push(1);
                put(self, value);
            }
            Field::Unrepresentable(code) => {
                self.0.push(2);
                self.text(&code.code().into());
            }
        }
    }

    fn address(&mut self, address: &Address) {
        match address {
            Address::V4(address) => {
                self.0.push(4);
                self.0.extend_from_slice(&address.octets());
            }
            Address::V6(address) => {
                self.0.push(6);
                self.0.extend_from_slice(&address.octets());
            }
            Address::Foreign(foreign) => {
                self.0.push(0);
                self.text(&foreign.network);
                self.text(&foreign.address);
            }
        }
    }

    fn moment(&mut self, moment: &Moment) {
        let seconds = match moment {
            Moment::Never => NEVER,
            Moment::At(seconds) => *seconds,
        };
        self.0.extend_from_slice(&seconds.to_be_bytes());
    }
}

struct Take<'o>(&'o [u8]);

impl Take<'_> {
    fn bytes(&mut self, count: usize) -> Result<&[u8], BadRecord> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BadRecord)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadRecord> {
        self.bytes(N)?.try_into().map_err(|_| BadRecord)
    }

    fn u8(&mut self) -> Result<u8, BadRecord> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, BadRecord> {
        self.array().map(u32::from_be_bytes)
    }

    fn text(&mut self) -> Result<Text, BadRecord> {
        let count = self.u32()? as usize;
        self.bytes(count).map(Text::from)
    }

    fn list<T>(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Result<T, BadRecord>,
    ) -> Result<Vec<T>, BadRecord> {
        let count = self.u32()? as usize;
        // Each element has an octet at least: a made-up count cannot make us allocate.
        if count > self.0.len() {
            return Err(BadRecord);
        }
        (0..count).map(|_| take(self)).collect()
    }

    fn field<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<T, BadRecord>,
    ) -> Result<Field<T>, BadRecord> {
        match self.u8()? {
            0 => Ok(Field::Unset),
            1 => take(self).map(Field::Value),
            2 => {
                let code = self.text()?;
                let code = std::str::from_utf8(code.octets()).ok().and_then(LossCode::from_code);
                code.map(Field::Unrepresentable).ok_or(BadRecord)
            }
            _ => Err(BadRecord),
        }
    }

    fn address(&mut self) -> Result<Address, BadRecord> {
        match self.u8()? {
            4 => self.array::<4>().map(|octets| Address::V4(octets.into())),
            6 => self.array::<16>().map(|octets| Address::V6(octets.into())),
            0 => {
                let (network, address) = (self.text()?, self.text()?);
                Ok(Address::foreign(network.octets(), address.octets()))
            }
            _ => Err(BadRecord),
        }
    }

    fn moment(&mut self) -> Result<Moment, BadRecord> {
        let seconds = i64::from_be_bytes(self.array()?);
        Ok(if seconds == NEVER { Moment::Never } else { Moment::At(seconds) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Text> {
        proptest::collection::vec(any::<u8>(), 0..6).prop_map(Text::from)
    }

    fn field<T: std::fmt::Debug + Clone + 'static>(
        value: impl Strategy<Value = T> + 'static,
    ) -> impl Strategy<Value = Field<T>> {
        prop_oneof![
            Just(Field::Unset),
            value.prop_map(Field::Value),
            Just(Field::Unrepresentable(LossCode::ValueNotHeld)),
        ]
    }

    fn address() -> impl Strategy<Value = Address> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|octets| Address::V4(octets.into())),
            any::<[u8; 16]>().prop_map(|octets| Address::V6(octets.into())),
            (text(), text()).prop_map(|(a, b)| Address::foreign(a.octets(), b.octets())),
        ]
    }

    fn moment() -> impl Strategy<Value = Moment> {
        prop_oneof![Just(Moment::Never), (-9i64..9).prop_map(Moment::At)]
    }

    fn texts() -> impl Strategy<Value = Vec<Text>> {
        proptest::collection::vec(text(), 0..3)
    }

    fn fields() -> impl Strategy<Value = Fields> {
        (
            field(proptest::collection::vec(address(), 0..3)),
            (field(texts()), field(texts()), field(texts())),
            (field(text()), field(text()), field(text()), field(text()), field(text())),
            (field(any::<u32>()), field(moment()), field(moment())),
        )
            .prop_map(|(addresses, lists, texts, numbers)| Fields {
                addresses,
                nicknames: lists.0,
                protocols: lists.1,
                others: lists.2,
                machine: texts.0,
                system: texts.1,
                status: texts.2,
                hardware: texts.3,
                remark: texts.4,
                ttl_seconds: numbers.0,
                changed: numbers.1,
                expires: numbers.2,
            })
    }

    proptest! {
        #[test]
        fn gives_back_what_was_put_in(
            fields in fields(),
            name in text(),
            kind in 0usize..4,
            sidecar in proptest::collection::vec((text(), text()), 0..3),
            cut in any::<u16>(),
        ) {
            let key = Key { kind: Kind::ALL[kind], name };
            let entry = Entry { id: HostId::first_seen("nic", &key), key, fields };
            let octets = encode(&entry, &sidecar);
            let (read, read_sidecar) = decode(&octets).expect("a record");
            prop_assert_eq!(&*read, &entry);
            prop_assert_eq!(read_sidecar, sidecar);
            prop_assert_eq!(decode(&octets[..usize::from(cut) % octets.len()]), Err(BadRecord));
        }

        #[test]
        fn octets_that_are_no_record_are_refused(
            octets in proptest::collection::vec(0u8..5, 0..80),
        ) {
            if let Ok((entry, sidecar)) = decode(&octets) {
                prop_assert_eq!(&encode(&entry, &sidecar)[..], &octets[..]);
            }
        }
    }

    #[test]
    fn keys_know_no_case() {
        let named = |name: &str| key(&Key { kind: Kind::Host, name: name.into() });
        assert_eq!(named("Sri-Nic"), named("SRI-NIC"));
    }
}
