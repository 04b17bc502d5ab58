//! Words of a copybook → its entries: level, name and clauses (ISO/IEC 1989:2014, 13.18).
//!
//! What would change where fields lie is understood or refused; what cannot (values, keys of
//! tables, names of values) is passed over.

use super::error::{Complaint, Place};
use super::lexer::{Placed, Token};
use super::picture::{self, Picture};

/// Levels of groups and fields.
const LEVELS: std::ops::RangeInclusive<u8> = 1..=49;

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Display,
    Packed,
    Binary,
    /// COMP-5: all values of its octets, in the machine's order.
    Native,
}

/// `SIGN` clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) leading: bool,
    pub(super) separate: bool,
}

/// `OCCURS` clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occurs {
    pub(super) max: usize,
    /// The smallest count and the field that holds it.
    pub(super) depending: Option<(usize, String)>,
    pub(super) place: Place,
}

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) level: u8,
    /// `None` is FILLER.
    pub(super) name: Option<String>,
    pub(super) picture: Option<Picture>,
    pub(super) usage: Option<Usage>,
    pub(super) sign: Option<Sign>,
    pub(super) occurs: Option<Occurs>,
    pub(super) redefines: Option<(String, Place)>,
    pub(super) place: Place,
}

/// All entries that describe fields.
pub(super) fn entries(words: &[Placed]) -> Result<Vec<Entry>, Complaint> {
    let mut entries = Vec::new();
    let mut reader = Reader { words, at: 0, last: Place { line: 1, column: 1 } };
    while reader.at < words.len() {
        entries.extend(reader.entry()?);
    }
    Ok(entries)
}

struct Reader<'a> {
    words: &'a [Placed],
    at: usize,
    last: Place,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.words.get(self.at).map(|placed| &placed.token)
    }

    fn word(&self) -> Option<&'a str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn place(&self) -> Place {
        self.words.get(self.at).map_or(self.last, |placed| placed.place)
    }

    fn advance(&mut self) {
        self.last = self.place();
        self.at += 1;
    }

    /// Passes over the next word if it is one of these.
    fn skip(&mut self, words: &[&str]) -> bool {
        let there = self.word().is_some_and(|word| words.contains(&word));
        if there {
            self.advance();
        }
        there
    }

    fn complain<T>(&self, message: impl Into<String>) -> Result<T, Complaint> {
        Err(Complaint::new(self.place(), message))
    }

    fn name(&mut self, what: &str) -> Result<String, Complaint> {
        match self.word() {
            Some(word) if is_name(word) => {
                self.advance();
                Ok(word.to_owned())
            }
            Some(word) => self.complain(format!("expected {what}, found {word}")),
            None => self.complain(format!("expected {what}")),
        }
    }

    fn count(&mut self, what: &str) -> Result<usize, Complaint> {
        match self.word().and_then(|word| word.parse().ok()) {
            Some(count) if count <= picture::LENGTH_MAX => {
                self.advance();
                Ok(count)
            }
            _ => self.complain(format!("expected {what}, at most {}", picture::LENGTH_MAX)),
        }
    }

    /// One entry up to its period; `None` for names of values (level 88).
    fn entry(&mut self) -> Result<Option<Entry>, Complaint> {
        let place = self.place();
        let level = match self.word().map(|word| (word, word.parse::<u8>())) {
            Some((_, Ok(88))) => {
                while !matches!(self.peek(), Some(Token::Period) | None) {
                    self.advance();
                }
                self.end()?;
                return Ok(None);
            }
            Some((_, Ok(level))) if LEVELS.contains(&level) => level,
            Some((_, Ok(66))) => return self.complain("level 66 (RENAMES) is not supported"),
            Some(("COPY", _)) => {
                return self.complain("COPY is not followed: give the expanded copybook");
            }
            Some((word, _)) => {
                return self
                    .complain(format!("expected a level from 01 to 49 or 88, found {word}"));
            }
            None => return self.complain("expected a level number"),
        };
        self.advance();
        let mut entry = Entry {
            level,
            name: None,
            picture: None,
            usage: None,
            sign: None,
            occurs: None,
            redefines: None,
            place,
        };
        if !self.skip(&["FILLER"]) && self.word().is_some_and(|word| !is_clause(word)) {
            entry.name = Some(self.name("the name of a field")?);
        }
        while !matches!(self.peek(), Some(Token::Period) | None) {
            self.clause(&mut entry)?;
        }
        self.end()?;
        Ok(Some(entry))
    }

    fn end(&mut self) -> Result<(), Complaint> {
        match self.peek() {
            Some(Token::Period) => {
                self.advance();
                Ok(())
            }
            _ => self.complain("the copybook ends within this entry: a period is missing"),
        }
    }

    fn clause(&mut self, entry: &mut Entry) -> Result<(), Complaint> {
        let place = self.place();
        let Some(word) = self.word() else {
            return self.complain("a literal may only follow VALUE");
        };
        if let Some(usage) = usage(word) {
            self.advance();
            entry.usage = Some(usage);
            return Ok(());
        }
        if !matches!(word, "LEADING" | "TRAILING") {
            self.advance();
        }
        match word {
            "PIC" | "PICTURE" => entry.picture = Some(self.picture()?),
            "USAGE" => {
                self.skip(&["IS"]);
                match self.word().and_then(usage) {
                    Some(usage) => entry.usage = Some(usage),
                    None => {
                        let what = self.word().unwrap_or_default();
                        return self.complain(format!("USAGE {what} is not supported"));
                    }
                }
                self.advance();
            }
            "SIGN" | "LEADING" | "TRAILING" => entry.sign = Some(self.sign()?),
            "OCCURS" => entry.occurs = Some(self.occurs(place)?),
            "REDEFINES" => {
                let place = self.place();
                entry.redefines = Some((self.name("the redefined field")?, place));
            }
            "VALUE" | "VALUES" => self.values(),
            "EXTERNAL" | "GLOBAL" => {
                self.skip(&["IS"]);
            }
            "IS" if matches!(self.word(), Some("EXTERNAL" | "GLOBAL")) => {}
            _ => return Err(Complaint::new(place, refusal(word))),
        }
        Ok(())
    }

    fn picture(&mut self) -> Result<Picture, Complaint> {
        self.skip(&["IS"]);
        let place = self.place();
        let Some(text) = self.word() else {
            return self.complain("expected a picture");
        };
        let picture = picture::parse(text).map_err(|(at, message)| {
            let column = place.column + at;
            Complaint::new(Place { column, ..place }, format!("picture {text}: {message}"))
        })?;
        self.advance();
        Ok(picture)
    }

    fn sign(&mut self) -> Result<Sign, Complaint> {
        self.skip(&["IS"]);
        let leading = match self.word() {
            Some("LEADING") => true,
            Some("TRAILING") => false,
            _ => return self.complain("expected LEADING or TRAILING"),
        };
        self.advance();
        let separate = self.skip(&["SEPARATE"]);
        if separate {
            self.skip(&["CHARACTER"]);
        }
        Ok(Sign { leading, separate })
    }

    fn occurs(&mut self, place: Place) -> Result<Occurs, Complaint> {
        let first = self.count("how often it occurs")?;
        let max = if self.skip(&["TO"]) { Some(self.count("the largest count")?) } else { None };
        self.skip(&["TIMES"]);
        let mut depending = None;
        if self.skip(&["DEPENDING"]) {
            self.skip(&["ON"]);
            depending = Some((if max.is_some() { first } else { 0 }, self.name("a count field")?));
        } else if max.is_some() {
            return self.complain("a count from … to … needs DEPENDING ON");
        }
        let max = max.unwrap_or(first);
        if max == 0 || depending.as_ref().is_some_and(|(min, _)| *min > max) {
            return Err(Complaint::new(place, "OCCURS needs a count of 1 or more"));
        }
        while self.skip(&["ASCENDING", "DESCENDING", "INDEXED"]) {
            self.skip(&["KEY"]);
            self.skip(&["IS", "BY"]);
            while self.word().is_some_and(|word| is_name(word) && !is_clause(word)) {
                self.advance();
            }
        }
        Ok(Occurs { max, depending, place })
    }

    /// Passes over values: literals, numbers and figurative constants.
    fn values(&mut self) {
        self.skip(&["IS", "ARE"]);
        loop {
            match self.peek() {
                Some(Token::Literal) => self.advance(),
                Some(Token::Word(word)) if !is_clause(word) => self.advance(),
                _ => return,
            }
        }
    }
}

fn usage(word: &str) -> Option<Usage> {
    match word {
        "DISPLAY" => Some(Usage::Display),
        "COMP-3" | "COMPUTATIONAL-3" | "PACKED-DECIMAL" => Some(Usage::Packed),
        "COMP" | "COMPUTATIONAL" | "BINARY" | "COMP-4" | "COMPUTATIONAL-4" => Some(Usage::Binary),
        "COMP-5" | "COMPUTATIONAL-5" => Some(Usage::Native),
        _ => None,
    }
}

fn is_name(word: &str) -> bool {
    word.chars().all(|character| character.is_alphanumeric() || matches!(character, '-' | '_'))
        && word.chars().any(char::is_alphabetic)
}

/// Whether a word begins a clause.
fn is_clause(word: &str) -> bool {
    const CLAUSES: [&str; 22] = [
        "PIC",
        "PICTURE",
        "USAGE",
        "SIGN",
        "LEADING",
        "TRAILING",
        "OCCURS",
        "REDEFINES",
        "VALUE",
        "VALUES",
        "EXTERNAL",
        "GLOBAL",
        "SYNC",
        "SYNCHRONIZED",
        "JUST",
        "JUSTIFIED",
        "BLANK",
        "RENAMES",
        "COMP-1",
        "COMP-2",
        "POINTER",
        "INDEX",
    ];
    usage(word).is_some()
        || CLAUSES.contains(&word)
        || matches!(word, "ASCENDING" | "DESCENDING" | "INDEXED")
}

/// Why a word is not accepted as a clause.
fn refusal(word: &str) -> String {
    match word {
        "SYNC" | "SYNCHRONIZED" => {
            "SYNCHRONIZED moves fields in ways that differ between compilers: write the slack as \
             FILLER and remove it"
                .to_owned()
        }
        "JUST" | "JUSTIFIED" | "BLANK" => format!("{word} is not supported"),
        "COMP-1" | "COMP-2" | "COMPUTATIONAL-1" | "COMPUTATIONAL-2" => {
            format!("{word} is a floating-point number, which is not supported")
        }
        "POINTER" | "INDEX" | "NATIONAL" | "DISPLAY-1" => format!("USAGE {word} is not supported"),
        "SEPARATE" => "SEPARATE follows LEADING or TRAILING".to_owned(),
        _ if word.starts_with(':') => {
            format!("{word} is to be replaced by COPY REPLACING: give the expanded copybook")
        }
        _ => format!("{word} is no clause: is a period missing before it?"),
    }
}
