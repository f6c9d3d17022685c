//! Golden files: made after review, held against, and what they accept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::made::{complained, replay, said};

/// Later than every plan of the recordings: each is another one then.
const SEED: &str = "analyzer.plan_ttl=1m";

/// A folder with two recordings and no golden file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["disk-full", "killed"] {
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("recordings/{name}.hsrec"));
        fs::copy(from, folder.path().join(format!("{name}.hsrec"))).expect("it is there");
    }
    folder
}

fn test(folder: &Path, args: &[&str]) -> Output {
    replay(&[&["test", "--file", folder.to_str().expect("a path")], args].concat())
}

fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", said(output), complained(output));
}

fn golden(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("disk-full.golden.json")).expect("it is there"))
        .expect("JSON")
}

#[test]
fn nothing_is_accepted_without_a_reason() {
    let folder = folder();
    let shown = test(folder.path(), &["--accept"]);
    assert_code(&shown, 1);
    assert!(said(&shown).contains("  counts: nothing, now {"), "{}", said(&shown));
    assert!(said(&shown).contains("--reason"), "{}", said(&shown));
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is written");
    assert_code(&test(folder.path(), &["--accept", "--reason", ""]), 2);
    assert_code(&test(folder.path(), &["--reason", "seen"]), 2);
    let without = replay(&["test", "--redis", "redis://127.0.0.1:1", "--accept", "--reason", "seen"]);
    assert_code(&without, 2);
}

#[test]
fn what_was_accepted_is_no_finding_and_everything_else_is() {
    let folder = folder();
    assert_code(&test(folder.path(), &["--accept", "--reason", "as it was"]), 0);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 4, "no half file is left");
    let first = golden(folder.path());
    assert_eq!((&first["reason"], &first["accepted"]), (&"as it was".into(), &Value::Array(vec![])));
    assert_eq!(first["exercised"]["analyzer/disk_full"], 1);
    assert_code(&test(folder.path(), &[]), 0);
    // Nothing to accept: the reason there was stays.
    assert_code(&test(folder.path(), &["--accept", "--reason", "another"]), 0);
    assert_eq!(golden(folder.path()), first);

    assert_code(&test(folder.path(), &["--set", SEED]), 1);
    let shown = test(folder.path(), &["--set", SEED, "--accept"]);
    assert_code(&shown, 1);
    assert!(said(&shown).contains("at   [0].remediation_needed.plan.expires_at"), "{}", said(&shown));
    assert_eq!(golden(folder.path()), first);
    assert_code(&test(folder.path(), &["--set", SEED, "--accept", "--reason", "plans live shorter"]), 0);
    let second = golden(folder.path());
    assert_eq!(second["accepted"][0]["reason"], "plans live shorter");
    assert_eq!(second["accepted"][0]["first"]["path"], "[0].remediation_needed.plan.expires_at");

    // The settings stand in the golden file: who tests need not know them.
    let output = test(folder.path(), &["-o", "json"]);
    assert_code(&output, 0);
    let report: Value = serde_json::from_str(&said(&output)).expect("JSON");
    assert_eq!((&report["different"], &report["accepted"]), (&0.into(), &2.into()));
    // Accepted was this difference, not any.
    assert_code(&test(folder.path(), &["--set", "analyzer.plan_ttl=2m"]), 1);
    // That it is gone is not what was accepted, either.
    let back = test(folder.path(), &["--set", "analyzer.plan_ttl=5m"]);
    assert_code(&back, 1);
    assert!(said(&back).contains("disk-full.hsrec: came out otherwise"), "{}", said(&back));
}

#[test]
fn a_golden_file_is_of_one_recording() {
    let folder = folder();
    assert_code(&test(folder.path(), &["--accept", "--reason", "as it was"]), 0);
    fs::copy(folder.path().join("killed.hsrec"), folder.path().join("disk-full.hsrec")).expect("a file");
    let output = test(folder.path(), &[]);
    assert_code(&output, 1);
    assert!(said(&output).contains("  recording: "), "{}", said(&output));
    fs::write(folder.path().join("killed.golden.json"), "{}").expect("a file");
    assert_code(&test(folder.path(), &[]), 3);
    assert_code(&test(&folder.path().join("elsewhere"), &[]), 3);
    assert_code(&test(tempfile::tempdir().expect("a folder").path(), &[]), 3);
}
