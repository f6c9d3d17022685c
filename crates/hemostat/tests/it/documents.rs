//! What the documents say of the program is so.

mod blocks;
mod markdown;
mod names;

use serde_json::Value;

use crate::rig::{hemostat, run};
use markdown::root;

#[test]
fn the_reference_of_the_settings_is_that_of_the_code() {
    // Whatever the configuration says, also where it is wrong.
    let answer = run(&mut hemostat(&["check-config", "--reference", "--set", "responder.budget=0"]));
    assert_eq!(answer.code, 0, "{}", answer.err);
    let file = root().join("docs/configuration.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&file, &answer.out).expect("the file can be written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == answer.out,
        "docs/configuration.md: UPDATE_GOLDEN=1 cargo test -p hemostat reference"
    );
    // What the values are shown of, and nothing else.
    let shown = run(&mut hemostat(&["check-config", "-o", "json"])).out;
    let settings: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for setting in &settings {
        let variable = setting["variable"].as_str().expect("a variable");
        assert!(committed.contains(&format!("`{variable}`")), "{variable}");
    }
    assert_eq!(committed.lines().filter(|line| line.starts_with("| `")).count(), settings.len());
}
