//! Reads three-way cases: one JSON object a line, with `merge` and `keys`; each key has `name`,
//! `type`, `base`, `ours`, `theirs`, and for both sides `_actors` and `_time` (Unix seconds).

use super::{Key, Side, Values};
use serde_json::Value;
use thiserror::Error;

/// One merge that was not possible textually.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What the history calls it.
    pub id: String,
    /// The keys that at least one side changed.
    pub keys: Vec<Key>,
}

/// Why a file of cases cannot be read.
#[derive(Debug, Error)]
pub enum CaseError {
    /// A line is not JSON.
    #[error("line {line}: not a JSON object: {source}")]
    Json {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A field is missing or of the wrong kind.
    #[error("line {line}, `{field}`: expected {expected}")]
    Field {
        /// Counted from 1.
        line: usize,
        /// Which field.
        field: &'static str,
        /// What should stand there.
        expected: &'static str,
    },
}

/// Reads all cases of a text; empty lines are passed over.
pub fn read_cases(text: &str) -> Result<Vec<Case>, CaseError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| read_case(at + 1, line)).collect()
}

fn read_case(line: usize, text: &str) -> Result<Case, CaseError> {
    let value: Value =
        serde_json::from_str(text).map_err(|source| CaseError::Json { line, source })?;
    let wrong = |field, expected| CaseError::Field { line, field, expected };
    let id = match &value["merge"] {
        Value::Null => format!("line {line}"),
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    let keys = value["keys"].as_array().ok_or(wrong("keys", "a list of keys"))?;
    let keys = keys.iter().map(|key| read_key(line, key)).collect::<Result<_, _>>()?;
    Ok(Case { id, keys })
}

fn read_key(line: usize, value: &Value) -> Result<Key, CaseError> {
    let text = |field: &'static str| {
        let wrong = CaseError::Field { line, field, expected: "text" };
        value[field].as_str().map(|text| text.trim().to_owned()).ok_or(wrong)
    };
    let side = |version, authors, sequence| {
        Ok(Side {
            values: read_values(line, version, &value[version])?,
            authors: read_values(line, authors, &value[authors])?,
            sequence: read_sequence(line, sequence, &value[sequence])?,
        })
    };
    Ok(Key {
        name: text("name")?,
        record_type: text("type")?.to_ascii_uppercase(),
        base: read_values(line, "base", &value["base"])?,
        ours: side("ours", "ours_actors", "ours_time")?,
        theirs: side("theirs", "theirs_actors", "theirs_time")?,
    })
}

/// A list, a single value, or nothing. What is not text keeps its JSON form.
fn read_values(line: usize, field: &'static str, value: &Value) -> Result<Values, CaseError> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        Value::Null => Ok(Values::new()),
        Value::Array(values) => Ok(values.iter().map(text).collect()),
        Value::String(_) | Value::Object(_) => Ok([text(value)].into()),
        _ => Err(CaseError::Field { line, field, expected: "a list of texts, or null" }),
    }
}

fn read_sequence(
    line: usize,
    field: &'static str,
    value: &Value,
) -> Result<Option<i64>, CaseError> {
    let whole = |number: f64| (number.abs() < 9e15).then_some(number as i64);
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(whole))
            .map(Some)
            .ok_or(CaseError::Field { line, field, expected: "seconds since 1970" }),
        _ => Err(CaseError::Field { line, field, expected: "seconds since 1970" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_and_errors_say_where() {
        let text = r#"{"merge": "m", "keys": [{"name": "n", "type": "txt", "base": null,
            "ours": ["b", "a"], "theirs": "c", "ours_actors": ["x"], "ours_time": 5.0}]}"#
            .replace('\n', " ");
        let cases = read_cases(&format!("\n{text}\n")).expect("cases");
        let key = &cases[0].keys[0];
        assert_eq!((key.record_type.as_str(), key.ours.sequence), ("TXT", Some(5)));
        assert_eq!((key.ours.values.len(), key.theirs.values.len(), key.base.len()), (2, 1, 0));
        let error = read_cases("{}\n").expect_err("no keys");
        assert_eq!(error.to_string(), "line 1, `keys`: expected a list of keys");
        assert!(read_cases("{\n").expect_err("no JSON").to_string().starts_with("line 1: "));
    }
}
