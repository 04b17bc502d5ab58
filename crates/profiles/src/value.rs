//! Values as property lists and declarations have them, and their text: XML and JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Truth(bool),
    /// Octets.
    Data(Vec<u8>),
    /// Values in order.
    List(Vec<Value>),
    /// Values by key, in the order in which they are written.
    Dictionary(Vec<(&'static str, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl FromIterator<String> for Value {
    fn from_iter<I: IntoIterator<Item = String>>(texts: I) -> Value {
        Value::List(texts.into_iter().map(Value::Text).collect())
    }
}

impl Value {
    /// The value as a property list.
    pub fn to_plist(&self) -> String {
        let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
            <plist version=\"1.0\">\n"
            .to_owned();
        self.write_xml(0, &mut out);
        out += "</plist>\n";
        out
    }

    fn write_xml(&self, depth: usize, out: &mut String) {
        let indent = "\t".repeat(depth);
        // Writing to a string cannot fail.
        _ = match self {
            Value::Text(text) => writeln!(out, "{indent}<string>{}</string>", escaped(text)),
            Value::Number(number) => writeln!(out, "{indent}<integer>{number}</integer>"),
            Value::Truth(truth) => writeln!(out, "{indent}<{truth}/>"),
            Value::Data(octets) => {
                writeln!(out, "{indent}<data>{}</data>", STANDARD.encode(octets))
            }
            Value::List(values) => {
                _ = writeln!(out, "{indent}<array>");
                values.iter().for_each(|value| value.write_xml(depth + 1, out));
                writeln!(out, "{indent}</array>")
            }
            Value::Dictionary(pairs) => {
                _ = writeln!(out, "{indent}<dict>");
                for (key, value) in pairs {
                    _ = writeln!(out, "{indent}\t<key>{}</key>", escaped(key));
                    value.write_xml(depth + 1, out);
                }
                writeln!(out, "{indent}</dict>")
            }
        };
    }

    /// The value as JSON; octets become base64.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::Number(number) => (*number).into(),
            Value::Truth(truth) => (*truth).into(),
            Value::Data(octets) => STANDARD.encode(octets).into(),
            Value::List(values) => values.iter().map(Value::to_json).collect(),
            Value::Dictionary(pairs) => {
                pairs.iter().map(|(key, value)| ((*key).to_owned(), value.to_json())).collect()
            }
        }
    }
}

/// Text as it may stand in XML (XML 1.0 §2.2, §2.4): what no document may hold becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '\t' | '\n' => out.push(letter),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_property_lists() {
        let value = Value::Dictionary(vec![
            ("A", "x < y & \"z\"\u{1}".into()),
            (
                "B",
                Value::List(vec![Value::Number(-1), Value::Truth(true), Value::Data(vec![0, 255])]),
            ),
        ]);
        let text = value.to_plist();
        let body = text.split_once("<plist version=\"1.0\">\n").expect("a plist").1;
        assert_eq!(
            body,
            "<dict>\n\t<key>A</key>\n\t<string>x &lt; y &amp; \"z\"\u{fffd}</string>\n\t<key>B</key>\n\
             \t<array>\n\t\t<integer>-1</integer>\n\t\t<true/>\n\t\t<data>AP8=</data>\n\t</array>\n</dict>\n</plist>\n"
        );
        let json = value.to_json().to_string();
        assert_eq!(json, "{\"A\":\"x < y & \\\"z\\\"\\u0001\",\"B\":[-1,true,\"AP8=\"]}");
    }
}
