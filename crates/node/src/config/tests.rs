//! Good configurations are taken; mistakes are named with their place.

use super::*;

const GOOD: &str = r#"
site = "berlin"
data = "data"
listen = ["127.0.0.1:5300"]
[[zone]]
name = "fleet.example"
file = "fleet.zone"
[[key]]
name = "phone."
secret = "c2VjcmV0"
[[grant]]
key = "phone."
zone = "fleet.example"
names = ["self", "*.lab.fleet.example."]
types = ["A", "AAAA", "TYPE65280"]
"#;

fn error(text: &str) -> String {
    Config::parse(Path::new("/etc/einhorn.toml"), text).expect_err("a bad config").to_string()
}

#[test]
fn a_good_one_is_taken() {
    let config = Config::parse(Path::new("/etc/einhorn.toml"), GOOD).expect("a good config");
    assert_eq!(config.data, Path::new("/etc/data"));
    assert_eq!(config.ledger_name, "einhorn/berlin");
    assert_eq!(config.grants[0].names.len(), 2);
    assert!(config.access().keys.get(&"PHONE.".parse().expect("name")).is_some());
}

#[test]
fn mistakes_are_named_with_their_place() {
    let misspelt = error(&GOOD.replace("listen", "lisen"));
    assert!(
        misspelt.contains("line 4") && misspelt.ends_with("did you mean `listen`?"),
        "{misspelt}"
    );
    assert!(error(&GOOD.replace("types", "typos")).ends_with("did you mean `types`?"));
    assert!(!error(&GOOD.replace("types", "quux")).contains("did you mean"));
    assert!(error(&GOOD.replace("127.0.0.1:5300", "localhost")).contains("line 4"));
    assert!(
        error(&GOOD.replace("key = \"phone.\"", "key = \"fone.\""))
            .contains("there is no such [[key]]")
    );
    assert!(error(&GOOD.replace("c2VjcmV0", "%")).contains("key number 1"));
    assert!(error(&GOOD.replace("\"AAAA\"", "\"AAAAA\"")).contains("`AAAAA` is not a record type"));
    assert!(error(&GOOD.replace("berlin", "Berlin!")).contains("a-z"));
    assert!(error(&GOOD.replace("secret = ", "file = \"x\"\nsecret = ")).contains("either `file`"));
}
