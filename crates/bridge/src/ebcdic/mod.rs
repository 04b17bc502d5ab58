//! EBCDIC: text in the code pages of mainframes, octet by octet, and the order they sort in.
//!
//! Only character fields may come here. Zoned and packed numbers are octets, not text: what a
//! code page makes of them is lost, so [`crate::copybook`] reads them as they are.

mod tables;

use crate::text::Text;
use std::cmp::Ordering;

/// Stands in tables for a character that has no octet.
const NO_OCTET: u16 = 0x100;

/// A coded character set of one octet per character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodePage {
    /// CCSID 037: United States, Canada, Netherlands, Portugal, Brazil.
    Ccsid037,
    /// CCSID 273: Germany, Austria.
    Ccsid273,
    /// CCSID 500: international.
    Ccsid500,
    /// CCSID 1047: open systems (z/OS Unix).
    Ccsid1047,
    /// CCSID 1140: 037 with the euro sign.
    Ccsid1140,
    /// CCSID 1141: 273 with the euro sign.
    Ccsid1141,
    /// CCSID 819: ISO 8859-1, of which ASCII is a part. Not EBCDIC: what COBOL on other
    /// machines writes.
    Latin1,
}

/// A character that a code page does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("code page {page} has no {character:?} (U+{code:04X})", page = page.name(), code = u32::from(*character))]
pub struct Unmappable {
    /// The character.
    pub character: char,
    /// The code page.
    pub page: CodePage,
}

impl CodePage {
    /// All of them.
    pub const ALL: [CodePage; 7] = [
        CodePage::Ccsid037,
        CodePage::Ccsid273,
        CodePage::Ccsid500,
        CodePage::Ccsid1047,
        CodePage::Ccsid1140,
        CodePage::Ccsid1141,
        CodePage::Latin1,
    ];

    /// Its number in IBM's registry, as written in layouts: `037`, `273`, … `819`.
    pub const fn name(self) -> &'static str {
        match self {
            CodePage::Ccsid037 => "037",
            CodePage::Ccsid273 => "273",
            CodePage::Ccsid500 => "500",
            CodePage::Ccsid1047 => "1047",
            CodePage::Ccsid1140 => "1140",
            CodePage::Ccsid1141 => "1141",
            CodePage::Latin1 => "819",
        }
    }

    /// The code page of a number; `37` is `037`.
    pub fn from_name(name: &str) -> Option<CodePage> {
        let name = if name == "37" { "037" } else { name };
        CodePage::ALL.into_iter().find(|page| page.name() == name)
    }

    /// Whether digits are `F0` to `F9`, and zones and signs as in EBCDIC.
    pub const fn is_ebcdic(self) -> bool {
        !matches!(self, CodePage::Latin1)
    }

    /// The octet that fills character fields.
    pub const fn space(self) -> u8 {
        if self.is_ebcdic() { 0x40 } else { 0x20 }
    }

    /// The octet of digit zero; the others follow.
    pub const fn zero(self) -> u8 {
        if self.is_ebcdic() { 0xf0 } else { 0x30 }
    }

    /// The character of an octet.
    pub fn character(self, octet: u8) -> char {
        let code = self.decoding()[usize::from(octet)];
        char::from_u32(u32::from(code)).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// The octet of a character.
    ///
    /// # Errors
    /// If this page does not have it.
    pub fn octet(self, character: char) -> Result<u8, Unmappable> {
        let unmappable = Unmappable { character, page: self };
        let (table, euro) = self.encoding();
        match u32::from(character) {
            0x20ac => euro.ok_or(unmappable),
            code @ 0..=0xff => u8::try_from(table[code as usize]).map_err(|_| unmappable),
            _ => Err(unmappable),
        }
    }

    /// The text of octets.
    pub fn decode(self, octets: &[u8]) -> String {
        let table = self.decoding();
        octets
            .iter()
            .map(|octet| {
                char::from_u32(u32::from(table[usize::from(*octet)]))
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
            })
            .collect()
    }

    /// The text of octets, for fields of records, most of which take no memory on the way.
    pub(crate) fn text(self, octets: &[u8]) -> Text {
        let short = Text::of_ascii(octets, self.decoding());
        short.unwrap_or_else(|| self.decode(octets).into())
    }

    /// Puts a text into a field and fills it up, if all of the text is ASCII and there is room;
    /// false if it is not, with anything in the field.
    pub(crate) fn put_ascii(self, text: &[u8], field: &mut [u8]) -> bool {
        let Some((place, filling)) = field.split_at_mut_checked(text.len()) else { return false };
        let (table, _) = self.encoding();
        let mut all = 0;
        for (place, octet) in place.iter_mut().zip(text) {
            let code = table[usize::from(*octet)];
            all |= code | u16::from(octet & 0x80) << 8;
            *place = code as u8;
        }
        filling.fill(self.space());
        all < NO_OCTET
    }

    /// The octets of a text.
    ///
    /// # Errors
    /// With the first character that this page does not have.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, Unmappable> {
        text.chars().map(|character| self.octet(character)).collect()
    }

    /// How two texts sort on a machine of this code page: in EBCDIC lower case comes before upper
    /// case, and both before digits. A character that the page does not have comes last.
    pub fn collate(self, one: &str, other: &str) -> Ordering {
        let weight = |character| {
            self.octet(character).map_or((true, u32::from(character)), |o| (false, u32::from(o)))
        };
        one.chars().map(weight).cmp(other.chars().map(weight))
    }

    fn decoding(self) -> &'static [u16; 256] {
        match self {
            CodePage::Ccsid037 => &tables::CCSID_037,
            CodePage::Ccsid273 => &tables::CCSID_273,
            CodePage::Ccsid500 => &tables::CCSID_500,
            CodePage::Ccsid1047 => &tables::CCSID_1047,
            CodePage::Ccsid1140 => &tables::CCSID_1140,
            CodePage::Ccsid1141 => &tables::CCSID_1141,
            CodePage::Latin1 => &LATIN_1,
        }
    }

    /// The octets of U+0000 to U+00FF, and of the euro sign.
    fn encoding(self) -> (&'static [u16; 256], Option<u8>) {
        static FROM_037: [u16; 256] = inverse(&tables::CCSID_037);
        static FROM_273: [u16; 256] = inverse(&tables::CCSID_273);
        static FROM_500: [u16; 256] = inverse(&tables::CCSID_500);
        static FROM_1047: [u16; 256] = inverse(&tables::CCSID_1047);
        static FROM_1140: [u16; 256] = inverse(&tables::CCSID_1140);
        static FROM_1141: [u16; 256] = inverse(&tables::CCSID_1141);
        match self {
            CodePage::Ccsid037 => (&FROM_037, None),
            CodePage::Ccsid273 => (&FROM_273, None),
            CodePage::Ccsid500 => (&FROM_500, None),
            CodePage::Ccsid1047 => (&FROM_1047, None),
            CodePage::Ccsid1140 => (&FROM_1140, Some(tables::EURO_OCTET)),
            CodePage::Ccsid1141 => (&FROM_1141, Some(tables::EURO_OCTET)),
            CodePage::Latin1 => (&LATIN_1, None),
        }
    }
}

static LATIN_1: [u16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = code as u16;
        code += 1;
    }
    table
};

/// The octet of every character up to U+00FF, or [`NO_OCTET`].
const fn inverse(table: &[u16; 256]) -> [u16; 256] {
    let mut inverse = [NO_OCTET; 256];
    let mut octet = 0;
    while octet < 256 {
        let code = table[octet] as usize;
        if code < 256 {
            inverse[code] = octet as u16;
        }
        octet += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write as _};
    use std::process::{Command, Stdio};

    /// What iconv makes of all octets, and `None` where there is no iconv.
    fn iconv(from: &str, to: &str, input: &[u8]) -> Option<Vec<u8>> {
        let spawned = Command::new("iconv")
            .args(["-f", from, "-t", to])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match spawned {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            spawned => spawned.expect("iconv starts"),
        };
        child.stdin.take().expect("piped").write_all(input).expect("iconv reads");
        let output = child.wait_with_output().expect("iconv ends");
        assert!(output.status.success(), "iconv -f {from} -t {to}: {}", output.status);
        Some(output.stdout)
    }

    #[test]
    fn tables_are_those_of_iconv_both_ways() {
        let octets: Vec<u8> = (0..=255).collect();
        for page in CodePage::ALL {
            let theirs = if page == CodePage::Latin1 {
                "ISO-8859-1".to_owned()
            } else {
                format!("IBM{}", page.name())
            };
            let Some(text) = iconv(&theirs, "UTF-8", &octets) else {
                eprintln!("SKIPPED: there is no iconv to compare code page {theirs} with");
                return;
            };
            let text = String::from_utf8(text).expect("UTF-8");
            assert_eq!(page.decode(&octets), text, "decoding {theirs}");
            let back = iconv("UTF-8", &theirs, text.as_bytes()).expect("iconv is there");
            assert_eq!(page.encode(&text).as_deref(), Ok(&back[..]), "encoding {theirs}");
        }
    }

    #[test]
    fn every_octet_comes_back() {
        for page in CodePage::ALL {
            for octet in 0..=255 {
                assert_eq!(page.octet(page.character(octet)), Ok(octet), "{page:?} {octet:02x}");
            }
            assert_eq!(CodePage::from_name(page.name()), Some(page));
            assert_eq!(page.character(page.zero() + 7), '7');
            assert_eq!(page.character(page.space()), ' ');
        }
    }

    #[test]
    fn german_letters_are_where_american_brackets_are() {
        let umlauts = CodePage::Ccsid273.encode("ÄÖÜäöüß").expect("all there");
        assert_eq!(umlauts, [0x4a, 0xe0, 0x5a, 0xc0, 0x6a, 0xd0, 0xa1]);
        assert_eq!(CodePage::Ccsid037.decode(&umlauts), "¢\\!{¦}~");
        let missing = CodePage::Ccsid273.octet('€').expect_err("no euro sign in 273");
        assert_eq!(missing.to_string(), "code page 273 has no '€' (U+20AC)");
        assert_eq!(CodePage::Ccsid1141.octet('€'), Ok(0x9f));
        assert!(CodePage::Ccsid1141.octet('¤').is_err(), "the euro sign has its place");
    }

    #[test]
    fn names_sort_lower_case_then_upper_case_then_digits() {
        let mut names = ["B1", "A9", "AB", "a", "A", "9", "A-B"];
        names.sort_by(|one, other| CodePage::Ccsid273.collate(one, other));
        assert_eq!(names, ["a", "A", "A-B", "AB", "A9", "B1", "9"]);
        names.sort_by(|one, other| CodePage::Latin1.collate(one, other));
        assert_eq!(names, ["9", "A", "A-B", "A9", "AB", "B1", "a"]);
    }
}
