//! The measurements run, say what they promise to say, and leave nothing behind.

use std::process::Command;

use hemostat_event::Role;
use hemostat_redis::testing::TestRedis;
use serde_json::Value;

use crate::rig::{Process, Rig, hemostat, run};
use crate::rights::{decision, event};

/// Runs a measurement in a folder of its own; its rows.
fn rows(args: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = run(hemostat(args).env("TMPDIR", folder.path()));
    assert_eq!(answer.code, 0, "{}", answer.err);
    let left: Vec<_> = folder.path().read_dir().expect("the folder is there").collect();
    assert!(left.is_empty(), "{left:?}");
    answer.out.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("no number `{name}` in {row}"))
}

#[test]
fn hops_are_measured_beside_the_raw_server_with_and_without_an_append_only_file() {
    let rows = rows(&[
        "bench",
        "hop",
        "-o",
        "json",
        "--replicas",
        "2",
        "--events",
        "2000",
        "--containers",
        "50",
        "--rate",
        "200",
        "--for",
        "1s",
    ]);
    assert_eq!(rows.iter().map(|row| row["aof"].clone()).collect::<Vec<_>>(), [false, true]);
    for row in &rows {
        assert_eq!(row["replicas"], 2);
        assert_eq!(row["missing"], 0, "every alert was answered: {row}");
        for name in ["hops_per_second", "raw_per_second", "p50_ms", "p99_ms"] {
            assert!(0.0 < number(row, name), "{name} in {row}");
        }
        let share = number(row, "hops_per_second") / number(row, "raw_per_second");
        assert!((number(row, "share") - share).abs() < 0.001, "{row}");
        assert!(number(row, "p50_ms") <= number(row, "p99_ms"), "{row}");
    }
}

#[test]
fn appends_are_measured_beside_plain_ones() {
    let rows = rows(&["bench", "append", "-o", "json", "--events", "5000", "--aof", "on"]);
    let [row] = rows.as_slice() else { panic!("one run: {rows:?}") };
    assert_eq!(row["aof"], true);
    assert!(0.0 < number(row, "appends_per_second") && 0.0 < number(row, "raw_per_second"), "{row}");
}

#[test]
fn a_run_of_nothing_is_refused() {
    for args in [
        ["hop", "--replicas", "0"],
        ["hop", "--events", "1"],
        ["append", "--events", "0"],
        ["metrics", "--containers", "0"],
        ["load", "--events", "0"],
    ] {
        let answer = run(&mut hemostat(&[&["bench"], &args[..]].concat()));
        assert_eq!(answer.code, 2, "{args:?}: {}", answer.err);
    }
}

#[test]
fn scrapes_of_many_containers_are_measured() {
    let rows = rows(&["bench", "metrics", "-o", "json", "--containers", "200", "--scrapes", "3"]);
    let [row] = rows.as_slice() else { panic!("one run: {rows:?}") };
    assert!(200.0 * 25.0 < number(row, "series"), "{row}");
    assert!(0.0 < number(row, "scrape_p50_ms") && 0.0 < number(row, "peak_mib"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_answered_by_the_analyzers_of_the_log_each_alert_once() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let with = |command: &mut Command| {
        command.env("HEMOSTAT_REDIS_URL", redis.url()).env("HEMOSTAT_REDIS_PARTITIONS", "4");
    };
    let load = |more: &[&str]| {
        let mut command = hemostat(
            &[&["bench", "load", "-o", "json", "--events", "3000", "--containers", "90"], more].concat(),
        );
        with(&mut command);
        run(&mut command)
    };
    let answer = load(&["--wait", "0s"]);
    assert!(answer.code == 3 && answer.err.contains("0 analyzers"), "{}", answer.err);
    let mut analyzer = hemostat(&["analyzer"]);
    with(&mut analyzer);
    let _analyzers = [Process::start(&mut analyzer), Process::start(&mut analyzer)];
    // The second run is on a log that has the events of the first.
    for _ in 0..2 {
        let answer = load(&["--replicas", "2"]);
        assert_eq!(answer.code, 0, "{}", answer.err);
        let row: Value = serde_json::from_str(&answer.out).expect("a JSON object");
        assert_eq!(
            (&row["replicas"], &row["partitions"], &row["alerts"]),
            (&2.into(), &4.into(), &3000.into())
        );
        assert!(
            0.0 < number(&row, "answers_per_second") && 0.0 < number(&row, "written_per_second"),
            "{row}"
        );
        assert!(number(&row, "backlog") <= 3_000.0 && 0.0 < number(&row, "seconds"), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_load_is_put_among_the_events_of_others() {
    let rig = Rig::start().await;
    rig.log.append(&[event(Role::Analyzer, decision())]).await.expect("the log is there");
    let answer = run(&mut rig.command(&["bench", "load"]));
    assert!(answer.code == 2 && answer.err.contains("false_alarm"), "{}", answer.err);
    let events = rig.events().await;
    assert_eq!(events.len(), 1, "nothing was written");
}
