//! Acting on containers, and on an engine that is not there.

use hemostat_agent::containers::{Containers as _, EngineError};
use hemostat_docker::testing::IDLE;
use hemostat_docker::workload::WorkloadSpec;
use hemostat_docker::{DockerEngine, EngineSettings, help};
use hemostat_event::RunState;
use tempfile::TempDir;

use crate::laboratory::Laboratory;

#[tokio::test]
async fn without_an_engine_it_is_said_what_to_do() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("none.sock");
    let host = Some(format!("unix://{}", path.display()));
    let engine =
        DockerEngine::connect(EngineSettings { host, ..EngineSettings::default() }).expect("an address");
    for answer in [engine.info().await.map(drop), engine.list().await.map(drop)] {
        let error = answer.expect_err("there is no engine");
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        assert!(help(&error).is_some_and(|help| help.contains("systemctl start docker")), "{error}");
    }
}

#[tokio::test]
async fn a_container_that_does_not_listen_is_killed_after_its_stop_timeout() {
    let laboratory = Laboratory::start().await;
    let id = laboratory.run("trap '' TERM; while :; do sleep 1; done", |_| {}).await;
    let before = laboratory.docker().inspect(&id).await.expect("it is there");
    laboratory.docker().restart(&id, Some(1)).await.expect("it can be restarted");
    let after = laboratory.docker().inspect(&id).await.expect("it is there");
    assert_eq!(after.state, RunState::Running);
    let ran = after.finished_at.zip(before.started_at).map(|(end, start)| end.since(start));
    assert!(ran.is_some_and(|ran| 1 <= ran.as_secs()), "it had a second to end: {ran:?}");
}

#[tokio::test]
async fn a_stopped_container_stays_stopped_and_one_that_does_not_run_cannot_be_signalled() {
    let laboratory = Laboratory::start().await;
    let engine = laboratory.docker();
    // A shell that has not set its trap yet would not hear the request.
    let id = laboratory
        .run("trap 'exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done", |_| {})
        .await;
    laboratory.until_logged(&id, "ready").await;
    engine.stop(&id, Some(20)).await.expect("it can be stopped");
    let stopped = engine.inspect(&id).await.expect("it is there");
    assert_eq!((stopped.state, stopped.exit_code), (RunState::Exited, Some(0)));
    assert!(matches!(engine.kill(&id, "SIGTERM").await, Err(EngineError::Refused { .. })));
    engine.stop(&id, None).await.expect("stopping it again does nothing");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_leaves_no_container() {
    let laboratory = Laboratory::start().await;
    let engine = laboratory.docker();
    let known = laboratory.run(IDLE, |_| {}).await;
    let image = engine.inspect(&known).await.expect("it is there").image;
    let label = format!("hemostat.test={image}");
    let (key, value) = label.split_once('=').expect("a key and a value");
    let spec = WorkloadSpec {
        name: image.replace(':', "-"),
        image: image.clone(),
        cmd: vec!["/there-is-no-such-program".to_owned()],
        labels: [(key.to_owned(), value.to_owned())].into(),
        ..WorkloadSpec::default()
    };
    let error = engine.create_and_start(&spec).await.expect_err("it cannot be started");
    assert!(error.to_string().contains("there-is-no-such-program"), "{error}");
    assert_eq!(engine.list_by_label(&label).await.expect("a list"), []);
}
