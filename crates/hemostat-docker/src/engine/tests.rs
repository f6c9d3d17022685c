use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use hemostat_core::engine::EngineEventKind;
use hemostat_event::RunState;

use super::*;
use crate::connect::help;
use crate::fake::{self, FakeEngine, LIMIT, Reply, ok};

const ID: &str = "9c73ac2d2f8bf1eb36ddc187c5c6ab73d941f770b7579f6b3888b5a229e5c980";
const OTHER: &str = "1995e6daefc7319fa90b23fa362755ceef325203f1a840b4cb2186a62bf16e98";

#[tokio::test]
async fn every_question_carries_the_agreed_version() {
    let engine = answering(|_| ok("{}"));
    let client = engine.client();
    client.inspect(&id()).await.expect("an answer");
    client.restart(&id(), Some(3)).await.expect("an answer");
    assert_eq!(
        engine.asked(),
        [
            "/version".to_owned(),
            format!("/v1.41/containers/{ID}/json"),
            format!("/v1.41/containers/{ID}/restart?t=3")
        ]
    );
}

#[tokio::test]
async fn a_container_in_a_state_of_the_future_hides_no_other() {
    let list = format!(
        r#"[{{"Id":"{ID}","State":"configured","Names":null}},{{"State":"x"}},{{"Id":"{OTHER}","SizeRw":7,"State":"running"}}]"#
    );
    let engine = answering(move |_| ok(list.clone()));
    let (one, two) = (id(), ContainerId::new(OTHER).expect("an id"));
    assert_eq!(engine.client().list().await.expect("a list"), [one.clone(), two.clone()]);
    assert_eq!(engine.client().disk_usage().await.expect("sizes"), [(one, 0), (two, 7)]);
}

#[tokio::test]
async fn counters_are_asked_for_once_and_are_absent_when_the_container_ended() {
    for answer in [ok(""), ok("\n"), ok("{}"), Reply::Pieces(Vec::new())] {
        let engine = answering(move |_| answer.clone());
        let counters = engine.client().counters(&id()).await;
        assert!(matches!(&counters, Err(EngineError::NotFound(of)) if *of == id()), "{counters:?}");
        assert_eq!(engine.asked()[1], format!("/v1.41/containers/{ID}/stats?stream=false&one-shot=true"));
    }
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let engine = answering(|path| match path {
        path if path.ends_with("/json") => Reply::Whole(404, r#"{"message":"No such container"}"#.to_owned()),
        path if path.contains("/logs") => Reply::Whole(
            501,
            r#"{"message":"configured logging driver does not support reading"}"#.to_owned(),
        ),
        _ => ok("not JSON"),
    });
    let client = engine.client();
    assert!(matches!(client.inspect(&id()).await, Err(EngineError::NotFound(_))));
    let log = client.log_tail(&id(), 5).await.expect_err("it cannot be read");
    assert_eq!(
        log.to_string(),
        "the container engine refused to read a log: configured logging driver does not support reading"
    );
    let counters = client.counters(&id()).await.expect_err("it is no answer");
    assert!(
        matches!(&counters, EngineError::Refused { message, .. } if message.contains("no usable answer")),
        "{counters}"
    );
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_not_waited_for() {
    let engine = answering(|_| Reply::Silence);
    let answer = engine.client().inspect(&id()).await;
    assert!(matches!(answer, Err(EngineError::Timeout { limit: LIMIT, .. })), "{answer:?}");
    let engine = FakeEngine::start(|_| Reply::Silence);
    let answer = engine.client().info().await;
    assert!(matches!(answer, Err(EngineError::Timeout { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_restart_may_take_as_long_as_the_container_has_to_end() {
    let engine = answering(|_| ok(r#"{"Config":{"StopTimeout":25}}"#));
    let client = engine.client();
    for (asked, limit) in [
        (None, Duration::from_secs(25) + STOP_MARGIN),
        (Some(3), Duration::from_secs(3) + STOP_MARGIN),
        (Some(u32::MAX), Duration::from_secs(STOP_TIMEOUT_MAX_SECS) + STOP_MARGIN),
    ] {
        assert_eq!(client.stop_limit(&id(), asked).await.expect("a limit"), limit, "{asked:?}");
    }
}

#[tokio::test]
async fn an_engine_that_comes_back_updated_is_negotiated_with_anew() {
    let updated = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&updated);
    let engine = FakeEngine::start(move |path| match (now.load(Ordering::SeqCst), path) {
        (false, "/version") => fake::version("1.41", "1.12"),
        (true, "/version") => fake::version("1.48", "1.44"),
        (true, path) if path.starts_with("/v1.41/") => Reply::Whole(
            400,
            r#"{"message":"client version 1.41 is too old. Minimum supported API version is 1.44"}"#
                .to_owned(),
        ),
        _ => ok("[]"),
    });
    let client = engine.client();
    client.list().await.expect("the old engine answers");
    updated.store(true, Ordering::SeqCst);
    assert!(matches!(client.list().await, Err(EngineError::Refused { .. })));
    client.list().await.expect("the new engine answers");
    assert_eq!(engine.asked().last().map(String::as_str), Some("/v1.48/containers/json?all=true"));
}

#[tokio::test]
async fn an_engine_that_is_gone_is_unreachable_with_advice_and_found_when_it_is_back() {
    let engine = answering(|_| ok("[]"));
    let client = engine.client();
    client.list().await.expect("it is there");
    let socket = engine.socket();
    let aside = socket.with_extension("aside");
    std::fs::rename(&socket, &aside).expect("the socket can be moved");
    let error = client.list().await.expect_err("it is away");
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    assert!(help(&error).is_some_and(|help| help.contains("systemctl start docker")), "{error:?}");
    std::fs::rename(&aside, &socket).expect("the socket can be moved");
    client.list().await.expect("it is back");
}

#[tokio::test]
async fn the_places_that_were_looked_at_are_named_when_there_is_no_engine() {
    let engine = answering(|_| ok("[]"));
    let client = engine.client();
    let socket = engine.socket();
    drop(engine);
    let error = client.info().await.expect_err("it is away");
    assert!(error.to_string().contains(&socket.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_log_is_put_together_from_the_pieces_of_an_answer() {
    let mut log = vec![1, 0, 0, 0, 0, 0, 0, 6];
    log.extend(b"first\n");
    log.extend([2, 0, 0, 0, 0, 0, 0, 7]);
    log.extend(b"secon\xff\n");
    for size in [1, 3, 8, log.len()] {
        let pieces: Vec<_> = log.chunks(size).map(<[u8]>::to_vec).collect();
        let engine = answering(move |_| Reply::Pieces(pieces.clone()));
        let tail = engine.client().log_tail(&id(), 10).await.expect("a log");
        assert_eq!(tail, "first\nsecon\u{fffd}", "pieces of {size}");
        assert!(engine.asked()[1].ends_with("/logs?stdout=true&stderr=true&tail=10"), "{:?}", engine.asked());
    }
}

#[tokio::test]
async fn no_more_lines_are_asked_for_than_can_be_shown() {
    let engine = answering(|_| ok(""));
    engine.client().log_tail(&id(), usize::MAX).await.expect("a log");
    assert!(engine.asked()[1].ends_with(&format!("tail={LINES_MAX}")), "{:?}", engine.asked());
}

#[tokio::test]
async fn events_come_whole_from_whatever_pieces_until_the_stream_breaks() {
    let text =
        [line("start", 1), "garbage\n".to_owned(), line("exec_die", 2), line("oom", 3), line("die", 4)]
            .concat();
    let (said, cut) = text.as_bytes().split_at(text.len() - 5);
    assert!(!cut.is_empty());
    for size in [1, 7, 1_000] {
        let pieces: Vec<_> = said.chunks(size).map(<[u8]>::to_vec).collect();
        let engine = answering(move |_| Reply::Broken(pieces.clone()));
        let mut events = engine.client().events(Timestamp::from_micros(5));
        for kind in [EngineEventKind::Start, EngineEventKind::Oom] {
            let event = events.next().await.expect("an event").expect("the stream holds");
            assert_eq!((event.kind, event.id), (kind, id()));
        }
        // The death was cut off: the next stream tells it again.
        assert!(matches!(events.next().await, Some(Err(EngineError::Unreachable { .. }))));
        assert!(events.next().await.is_none());
        let asked = engine.asked();
        assert!(
            asked[1].starts_with("/v1.41/events?filters=%7B") && asked[1].ends_with("&since=0.000005000"),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_that_the_engine_ends_is_broken_and_the_engine_asked_anew() {
    let engine = answering(|_| Reply::Pieces(vec![line("start", 1).into_bytes()]));
    let client = engine.client();
    for streams in 1..=2 {
        let mut events = client.events(Timestamp::EPOCH);
        assert!(matches!(events.next().await, Some(Ok(event)) if event.kind == EngineEventKind::Start));
        assert!(matches!(events.next().await, Some(Err(EngineError::Unreachable { .. }))));
        assert!(events.next().await.is_none());
        let negotiated = engine.asked().iter().filter(|path| *path == "/version").count();
        assert_eq!(negotiated, streams);
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_says_so_and_ends() {
    let engine = answering(|_| Reply::Whole(500, r#"{"message":"no journal"}"#.to_owned()));
    let mut events = engine.client().events(Timestamp::EPOCH);
    assert!(matches!(events.next().await, Some(Err(EngineError::Refused { .. }))));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn what_podman_says_of_its_host_is_read() {
    let info = r#"{"ServerVersion":"5.4.0","Name":"box","NCPU":4,"MemTotal":8000,"CgroupVersion":"2","Swarm":null,
        "CgroupDriver":"somewhat new","Isolation":"new as well","MemoryLimit":true}"#;
    let engine = FakeEngine::start(move |path| match path {
        "/version" => {
            ok(r#"{"ApiVersion":"1.44","MinAPIVersion":"1.24","Components":[{"Name":"Podman Engine"}]}"#)
        }
        _ => ok(info),
    });
    assert_eq!(
        engine.client().info().await.expect("it describes itself"),
        EngineInfo {
            version: "podman 5.4.0".to_owned(),
            api_version: "1.44".to_owned(),
            host: "box".to_owned(),
            cpus: 4,
            memory_bytes: 8_000,
            cgroup_version: 2,
        }
    );
}

#[tokio::test]
async fn an_inspection_with_words_of_the_future_is_read_as_far_as_it_is_known() {
    let answer = r#"{"Id":"9c73ac2d2f8b","State":{"Status":"hibernating","Health":{"Status":"reset"}},
        "HostConfig":{"RestartPolicy":{"Name":"maybe"},"CgroupnsMode":"other","Isolation":"new"}}"#;
    let engine = answering(move |_| ok(answer));
    let inspection = engine.client().inspect(&id()).await.expect("it is read");
    assert_eq!(inspection.state, RunState::Unknown);
}

/// An engine of API 1.41 that gives one kind of answer to all but the question for its version.
fn answering(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> FakeEngine {
    FakeEngine::start(
        move |path| if path == "/version" { fake::version("1.41", "1.12") } else { reply(path) },
    )
}

fn line(action: &str, second: u32) -> String {
    format!(
        r#"{{"Action":"{action}","time":{second},"Actor":{{"ID":"{ID}","Attributes":{{"name":"web"}}}}}}"#
    ) + "\n"
}

fn id() -> ContainerId {
    ContainerId::new(ID).expect("an id")
}
