//! Alerts decided again by what another program says of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::rig::{code, out};

/// Answers every alert with an issue that is none, because of its death.
const CALM: &str = r#"sed -un 's/.*"container":\({[^}]*}\).*/{"container":\1,"provider":"calm","model":"none","cause":"unknown","real_issue":false,"stated_confidence":0.9,"cited":["non_zero_exit"],"explanation":"it will pass","prompt_digest":"","latency_ms":1}/p'"#;

#[test]
fn what_another_provider_says_is_weighed_and_what_changes_is_named() {
    let report = json(&test(CALM));
    assert_eq!(report["provider"]["failed"], 0, "{report:#}");
    assert!(0 < report["provider"]["asked"].as_u64().expect("a count"));
    // It cites a death: an answer to an alert that has none rests on nothing, and the rules decide alone. Where it does,
    // rules and model contradict each other, and a person is asked.
    let differences = report["differences"].as_array().expect("a list");
    assert!(!differences.is_empty() && 0 < report["same"].as_u64().expect("a count"), "{report:#}");
    for difference in differences {
        assert_eq!(difference["role"], "analyzer", "{difference:#}");
        assert!(difference["decided"].to_string().contains("it will pass"), "{difference:#}");
    }
}

#[test]
fn without_an_answer_the_rules_decide_alone_and_it_is_a_finding() {
    let failed = test(r#"while read -r alert; do echo '{"error": "no model here"}'; done"#);
    let report = json(&failed);
    assert_eq!((code(&failed), &report["different"]), (1, &Value::from(0)), "{report:#}");
    assert_eq!(report["provider"]["asked"], report["provider"]["failed"]);
    assert_eq!(report["provider"]["first_failure"], "no model here");
}

#[test]
fn a_program_that_ends_or_talks_nonsense_is_named() {
    let ended = json(&test("exit 1"));
    assert_eq!(ended["provider"]["first_failure"], "it has ended");
    let nonsense = json(&test("while read -r alert; do echo 42; done"));
    let why = nonsense["provider"]["first_failure"].as_str().expect("a reason");
    assert!(why.starts_with("its answer is no diagnosis"), "{why}");
}

fn test(provider: &str) -> Output {
    let recordings: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    Command::new(env!("CARGO_BIN_EXE_hemostat-replay"))
        .args(["--file"])
        .arg(recordings)
        .args(["test", "--provider", provider, "-o", "json"])
        .output()
        .expect("it runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&out(output)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
