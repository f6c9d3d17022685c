//! The measurement measures what it says, and leaves nothing behind.

use std::process::Command;

use serde_json::Value;

#[test]
fn every_figure_is_that_of_a_run_that_ended_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hemostat-replay"));
    command.args(["bench", "--samples", "3000", "--incidents", "50", "-o", "json"]);
    let output =
        command.env("TMPDIR", folder.path()).env_remove("HEMOSTAT_ARCHIVE_URL").output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let of = |what: &str, of: &str| {
        let row = rows.iter().find(|row| row["what"] == what && row["of"] == of);
        row.unwrap_or_else(|| panic!("no {what} of {of}: {rows:#?}"))
    };
    for what in ["read", "read and fold", "verify"] {
        assert_eq!(of(what, "samples")["count"], 3_000);
        assert_eq!(of(what, "decisions")["count"], 350);
    }
    // Six for each incident: `test` found all of them as they were, or it would have ended with 1.
    assert_eq!(of("test", "decisions")["count"], 300);
    for row in &rows {
        assert!(0.0 < row["per_second"].as_f64().expect("a number"), "{row}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
