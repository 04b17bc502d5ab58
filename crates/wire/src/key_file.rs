//! TSIG keys as files: the key clause of BIND, which `tsig-keygen` prints.

use crate::tsig::{Algorithm, Key, KeyError};

/// Why a key file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The text is not a sequence of key clauses.
    #[error("line {line}: expected {expected}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What should have stood there.
        expected: &'static str,
    },
    /// A clause is well-formed but its key is not usable.
    #[error("line {line}: {error}")]
    Key {
        /// Line where the clause begins, from 1.
        line: usize,
        /// What is wrong with the key.
        error: KeyError,
    },
    /// The file holds no key.
    #[error("no key clause in the file: expected `key \"NAME\" {{ algorithm …; secret \"…\"; }};`")]
    Empty,
}

/// Parses all `key "NAME" { algorithm A; secret "B"; };` clauses of `text`.
///
/// # Errors
/// [`KeyFileError`] with the line.
pub fn parse(text: &str) -> Result<Vec<Key>, KeyFileError> {
    let mut tokens = Tokens { rest: text, line: 1 };
    let mut keys = Vec::new();
    while let Some(word) = tokens.next()? {
        let line = tokens.line;
        if word != "key" {
            return Err(tokens.expected("`key`"));
        }
        let name = tokens.word("the key's name")?;
        tokens.exactly("{")?;
        let (mut algorithm, mut secret) = (None, None);
        loop {
            match tokens.word("`algorithm`, `secret` or `}`")? {
                "algorithm" => algorithm = Some(tokens.word("an algorithm such as hmac-sha256")?),
                "secret" => secret = Some(tokens.word("the secret in base64")?),
                "}" => break,
                _ => return Err(tokens.expected("`algorithm`, `secret` or `}`")),
            }
            tokens.exactly(";")?;
        }
        tokens.exactly(";")?;
        let algorithm = algorithm
            .ok_or(KeyFileError::Syntax { line, expected: "an `algorithm` in this clause" })?;
        let secret =
            secret.ok_or(KeyFileError::Syntax { line, expected: "a `secret` in this clause" })?;
        let key = algorithm
            .parse::<Algorithm>()
            // BIND cuts the MAC where the clause says so, but names the whole algorithm on the
            // wire; the whole one takes MACs of half its length too.
            .and_then(|algorithm| Key::from_text(name, algorithm.whole(), secret))
            .map_err(|error| KeyFileError::Key { line, error })?;
        keys.push(key);
    }
    if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(keys) }
}

struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Tokens<'a> {
    fn expected(&self, expected: &'static str) -> KeyFileError {
        KeyFileError::Syntax { line: self.line, expected }
    }

    fn word(&mut self, expected: &'static str) -> Result<&'a str, KeyFileError> {
        self.next()?.ok_or_else(|| self.expected(expected))
    }

    fn exactly(&mut self, token: &'static str) -> Result<(), KeyFileError> {
        if self.next()? == Some(token) {
            Ok(())
        } else {
            Err(self.expected(if token == "{" { "`{`" } else { "`;`" }))
        }
    }

    fn advance(&mut self, octets: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(octets);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// The next word, quoted string or punctuation; comments are skipped.
    fn next(&mut self) -> Result<Option<&'a str>, KeyFileError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            let comment = if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.rest.find('\n').unwrap_or(self.rest.len())
            } else if self.rest.starts_with("/*") {
                self.rest.find("*/").ok_or_else(|| self.expected("`*/` before the end"))? + 2
            } else {
                break;
            };
            self.advance(comment);
        }
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        if first == '"' {
            let end = self.rest[1..].find('"').ok_or_else(|| self.expected("a closing quote"))?;
            let quoted = self.advance(end + 2);
            return Ok(Some(&quoted[1..=end]));
        }
        let length = match first {
            '{' | '}' | ';' => 1,
            _ => self
                .rest
                .find(|c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"'))
                .unwrap_or(self.rest.len()),
        };
        Ok(Some(self.advance(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_tsig_keygen_prints() {
        let keys = parse(
            "# made by hand\nkey \"phone.\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0IHNlY3JldCE=\";\n};\n/* two */ key b { secret YQ==; algorithm HMAC-MD5; };",
        )
        .expect("keys");
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0].name().to_string(), "phone.");
        assert_eq!(keys[1].algorithm(), Algorithm::HmacMd5);
    }

    #[test]
    fn says_which_line_is_wrong() {
        let line = |text| match parse(text) {
            Err(KeyFileError::Syntax { line, .. } | KeyFileError::Key { line, .. }) => Some(line),
            _ => None,
        };
        assert_eq!(line("key a {\n algorithm hmac-sha256\n secret x; };"), Some(3));
        assert_eq!(line("\nkey a { algorithm hmac-sha3; secret YQ==; };"), Some(2));
        assert_eq!(line("key a { algorithm hmac-sha256; secret \"%\"; };"), Some(1));
        assert_eq!(line("key a { algorithm hmac-sha256; };"), Some(1));
        assert_eq!(line("zone a { };"), Some(1));
        assert!(matches!(parse("// nothing\n"), Err(KeyFileError::Empty)));
    }
}
