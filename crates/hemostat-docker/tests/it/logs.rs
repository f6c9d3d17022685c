//! Logs of real containers.

use hemostat_agent::containers::Containers as _;
use hemostat_docker::testing::eventually;
use hemostat_event::{ContainerId, RunState};

use crate::laboratory::{Laboratory, WAIT_MAX};

#[tokio::test]
async fn both_outputs_of_a_container_are_read() {
    let laboratory = Laboratory::start().await;
    let id = ended(&laboratory, "echo out; echo err >&2", false).await;
    // The two are pipes of their own: which comes first is not the container's to say.
    let tail = logged(&laboratory, &id, "out").await;
    let mut lines: Vec<_> = tail.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "out"]);
}

#[tokio::test]
async fn the_log_of_a_terminal_is_read() {
    let laboratory = Laboratory::start().await;
    let id = ended(&laboratory, "printf '\\033[31mred\\033[0m\\n'; echo two", true).await;
    assert_eq!(logged(&laboratory, &id, "two").await, "red\ntwo");
}

#[tokio::test]
async fn what_is_no_text_does_no_harm() {
    let laboratory = Laboratory::start().await;
    let id = ended(&laboratory, "printf 'a\\377b\\000c\\n'", false).await;
    assert_eq!(logged(&laboratory, &id, "c").await, "a\u{fffd}bc");
}

#[tokio::test]
async fn a_line_longer_than_the_engine_keeps_in_one_piece_is_one_line() {
    let laboratory = Laboratory::start().await;
    let id = ended(
        &laboratory,
        "echo first; dd if=/dev/zero bs=20000 count=1 2>/dev/null | tr '\\0' x; echo; echo last",
        false,
    )
    .await;
    let tail = logged(&laboratory, &id, "last").await;
    assert_eq!(tail.len(), 16 * 1_024);
    assert_eq!(tail.lines().count(), 2, "the long line's end and the last line");
}

#[tokio::test]
async fn a_container_that_wrote_nothing_has_an_empty_log() {
    let laboratory = Laboratory::start().await;
    let id = ended(&laboratory, "exit 0", false).await;
    assert_eq!(laboratory.docker().log_tail(&id, 10).await.expect("it is there"), "");
}

/// A container that ran `script` and ended.
async fn ended(laboratory: &Laboratory, script: &str, tty: bool) -> ContainerId {
    // Applets that have no link in the image are found through busybox itself.
    let script = format!("tr() {{ busybox tr \"$@\"; }}; {script}");
    let id = laboratory.run(&script, |spec| spec.tty = tty).await;
    laboratory.until(&id, "the end", |inspection| inspection.state == RunState::Exited).await;
    id
}

/// The log once it ends with `end`: the engine may write it after the container has ended.
async fn logged(laboratory: &Laboratory, id: &ContainerId, end: &str) -> String {
    eventually("the end of the log", WAIT_MAX, || async {
        let tail = laboratory.docker().log_tail(id, 20).await.expect("the log is there");
        tail.contains(end).then_some(tail)
    })
    .await
}
