use serde_json::{Value, json};

use super::*;

const ID: &str = "481e3e6af5ddd2a55773663b8bf0c7feaed13773551d20827cbc3bd6e47a128a";

#[test]
fn docker_20_10_with_limits_after_an_oom_kill() {
    let read = read(json!({
        "Id": ID, "Created": "2026-11-24T20:38:57.778273754Z", "Name": "/shop-db-1", "Platform": "linux",
        "Image": "sha256:3df9748db2af1b8df57a5700767a57d8f661025f22353229081854ec4eecd834",
        "RestartCount": 2, "ExecIDs": null,
        "State": {
            "Status": "exited", "Running": false, "OOMKilled": true, "Dead": false, "Pid": 0, "ExitCode": 137,
            "Error": "", "StartedAt": "2026-11-24T20:38:57.960688424Z", "FinishedAt": "2026-11-24T20:38:58.983236261Z",
        },
        "Config": { "Image": "postgres:16", "Labels": { "com.docker.compose.project": "shop" },
            "StopSignal": "SIGQUIT", "StopTimeout": 3 },
        "HostConfig": {
            "Memory": 16_777_216, "NanoCpus": 250_000_000, "CpuQuota": 0, "CpuPeriod": 0, "CpusetCpus": "",
            "PidsLimit": 50, "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 3 },
        },
    }));
    assert_eq!(
        read,
        Inspection {
            id: ContainerId::new(ID).ok(),
            name: "shop-db-1".to_owned(),
            image: "postgres:16".to_owned(),
            labels: [("com.docker.compose.project".to_owned(), "shop".to_owned())].into(),
            state: RunState::Exited,
            health: Health::None,
            health_failing_streak: 0,
            health_output: None,
            exit_code: Some(137),
            oom_killed: true,
            error: None,
            started_at: read_time("2026-11-24T20:38:57.960688Z"),
            finished_at: read_time("2026-11-24T20:38:58.983236Z"),
            restart_count: 2,
            restart_policy: RestartPolicy::OnFailure { max: 3 },
            cpu_limit_cores: Some(0.25),
            memory_limit_bytes: Some(16 << 20),
            pids_limit: Some(50),
            stop_signal: Some(3),
            stop_timeout_secs: Some(3),
        }
    );
}

#[test]
fn a_running_container_has_no_exit_code_and_no_end() {
    let read = read(json!({
        "Id": ID,
        "State": { "Status": "running", "ExitCode": 0, "StartedAt": "2026-11-24T20:38:58.141999353Z",
            "FinishedAt": "0001-01-01T00:00:00Z", "Health": null },
        "HostConfig": { "Memory": 0, "NanoCpus": 0, "PidsLimit": null, "RestartPolicy": { "Name": "no" } },
    }));
    assert_eq!((read.exit_code, read.finished_at, read.health), (None, None, Health::None));
    assert_eq!((read.cpu_limit_cores, read.memory_limit_bytes, read.pids_limit), (None, None, None));
    assert_eq!(read.restart_policy, RestartPolicy::No);
}

#[test]
fn the_output_of_the_last_health_check_is_kept() {
    let read = read(json!({ "State": { "Status": "running", "Health": {
        "Status": "unhealthy", "FailingStreak": 4,
        "Log": [
            { "Start": "2026-11-24T20:39:01Z", "End": "2026-11-24T20:39:01Z", "ExitCode": 1, "Output": "older" },
            { "ExitCode": 1, "Output": "\u{1b}[31mpool exhausted\u{1b}[0m\n" },
        ],
    } } }));
    assert_eq!((read.health, read.health_failing_streak), (Health::Unhealthy, 4));
    assert_eq!(read.health_output.as_deref(), Some("pool exhausted"));
}

#[test]
fn an_endless_health_output_is_cut() {
    let output = "ü".repeat(HEALTH_OUTPUT_MAX);
    let read =
        read(json!({ "State": { "Health": { "Status": "unhealthy", "Log": [{ "Output": output }] } } }));
    assert_eq!(read.health_output.map(|output| output.len()), Some(HEALTH_OUTPUT_MAX));
}

#[test]
fn podman_names_health_differently_and_leaves_it_empty_at_first() {
    for (state, health) in [
        (
            json!({ "Healthcheck": { "Status": "unhealthy", "FailingStreak": 1, "Log": null } }),
            Health::Unhealthy,
        ),
        (json!({ "Health": { "Status": "healthy" }, "Healthcheck": { "Status": "" } }), Health::Healthy),
        (json!({ "Health": { "Status": "", "FailingStreak": 0, "Log": null } }), Health::Starting),
        // A word of a later version neither opens an incident nor ends one.
        (json!({ "Health": { "Status": "reset" } }), Health::Starting),
        (json!({ "Health": { "Status": "none" } }), Health::None),
        (json!({ "Health": null }), Health::None),
        (json!({}), Health::None),
    ] {
        assert_eq!(read(json!({ "State": state })).health, health, "{state}");
    }
}

#[test]
fn every_word_for_a_state_is_known_and_an_unknown_one_is_no_error() {
    for (word, state) in [
        ("created", RunState::Created),
        ("configured", RunState::Created),
        ("initialized", RunState::Created),
        ("running", RunState::Running),
        ("stopping", RunState::Running),
        ("paused", RunState::Paused),
        ("restarting", RunState::Restarting),
        ("removing", RunState::Removing),
        ("exited", RunState::Exited),
        ("stopped", RunState::Exited),
        ("dead", RunState::Dead),
        ("", RunState::Unknown),
        ("dreaming", RunState::Unknown),
    ] {
        assert_eq!(read(json!({ "State": { "Status": word } })).state, state, "{word}");
    }
}

#[test]
fn the_exit_code_counts_only_once_a_run_has_ended() {
    for (word, code) in [
        ("exited", Some(3)),
        ("restarting", Some(3)),
        ("dead", Some(3)),
        ("running", None),
        ("created", None),
    ] {
        assert_eq!(read(json!({ "State": { "Status": word, "ExitCode": 3 } })).exit_code, code, "{word}");
    }
}

#[test]
fn restart_policies_are_read() {
    for (policy, expected) in [
        (json!(null), RestartPolicy::No),
        (json!({ "Name": "" }), RestartPolicy::No),
        (json!({ "Name": "no", "MaximumRetryCount": 0 }), RestartPolicy::No),
        (json!({ "Name": "always" }), RestartPolicy::Always),
        (json!({ "Name": "unless-stopped" }), RestartPolicy::UnlessStopped),
        (json!({ "Name": "on-failure", "MaximumRetryCount": 5 }), RestartPolicy::OnFailure { max: 5 }),
        (json!({ "Name": "on-failure", "MaximumRetryCount": null }), RestartPolicy::OnFailure { max: 0 }),
        (json!({ "Name": "on-tuesdays" }), RestartPolicy::No),
    ] {
        let read = read(json!({ "HostConfig": { "RestartPolicy": policy } }));
        assert_eq!(read.restart_policy, expected, "{policy}");
    }
}

#[test]
fn the_tightest_cpu_limit_counts() {
    for (host, cores) in [
        (json!({}), None),
        (json!({ "NanoCpus": 1_500_000_000 }), Some(1.5)),
        (json!({ "CpuQuota": 50_000, "CpuPeriod": 200_000 }), Some(0.25)),
        (json!({ "CpuQuota": 50_000 }), Some(0.5)),
        (json!({ "CpuQuota": -1 }), None),
        (json!({ "CpusetCpus": "0-2,5" }), Some(4.0)),
        (json!({ "CpusetCpus": "1", "NanoCpus": 2_000_000_000 }), Some(1.0)),
        (json!({ "CpusetCpus": "0-3", "NanoCpus": 500_000_000 }), Some(0.5)),
        (json!({ "CpusetCpus": "what" }), None),
        (json!({ "CpusetCpus": "3-1" }), None),
    ] {
        assert_eq!(read(json!({ "HostConfig": host })).cpu_limit_cores, cores, "{host}");
    }
}

#[test]
fn an_empty_answer_is_a_container_of_which_nothing_is_known() {
    assert_eq!(read(json!({})), Inspection { state: RunState::Unknown, ..Inspection::default() });
    let nulls =
        json!({ "Id": null, "Name": null, "Config": { "Labels": null }, "State": null, "HostConfig": null });
    assert_eq!(read(nulls), Inspection { state: RunState::Unknown, ..Inspection::default() });
}

#[test]
fn the_stop_timeout_is_the_containers_own() {
    for (config, secs) in [
        (json!({ "StopTimeout": 3 }), Some(3)),
        (json!({ "StopTimeout": -1 }), Some(u64::MAX)),
        (json!({}), None),
    ] {
        assert_eq!(read(json!({ "Config": config })).stop_timeout_secs, secs, "{config}");
    }
}

#[test]
fn a_process_that_ends_at_once_does_not_end_before_it_starts() {
    let (early, late) = ("2026-11-24T20:00:00.000001Z", "2026-11-24T20:00:00.000002Z");
    let state =
        |status: &str| json!({ "State": { "Status": status, "StartedAt": late, "FinishedAt": early } });
    assert_eq!(read(state("exited")).finished_at, read_time(late));
    assert_eq!(read(state("running")).finished_at, read_time(early), "the end of the run before");
}

#[test]
fn the_oom_flag_is_of_a_run_that_has_ended() {
    for (status, killed) in [("exited", true), ("restarting", true), ("running", false), ("created", false)] {
        let read = read(json!({ "State": { "Status": status, "OOMKilled": true } }));
        assert_eq!(read.oom_killed, killed, "{status}");
    }
}

fn read(answer: Value) -> Inspection {
    inspection(serde_json::from_value(answer).expect("an answer can have any of these forms"))
}
