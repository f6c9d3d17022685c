//! A log made anew from its archive, and what is not made.

use std::sync::Arc;

use hemostat_agent::log::{EntryId, EventLog as _, Partition, StreamName};
use hemostat_event::{Data, Event, EventType, Outcome, Role};
use hemostat_redis::testing::TestRedis;
use hemostat_redis::{RedisLog, RedisSettings};

use crate::rig::{Rig, code, err, json, out};
use crate::story::Story;

#[tokio::test]
async fn an_unfinished_plan_is_ended_and_everything_else_is_as_it_was() {
    let redis = TestRedis::start().await.expect("a redis-server");
    // The archive ends with the plan: whether somebody began it is not told.
    let rig = given(|| Story::told().up_to_the_plan()).await;
    let report = json(&rig.archive(&restore(&redis, &["-o", "json"])));
    let partition = &report["partitions"][0];
    assert_eq!((partition["plans_ended"].as_u64(), partition["seq"].as_u64()), (Some(1), Some(25)));
    let log = redis.log().await.expect("the log is there");
    let ended = events(&log, EventType::RemediationComplete).await;
    let [Event { envelope, data: Data::RemediationComplete(done) }] = &ended[..] else {
        panic!("{ended:#?}")
    };
    assert_eq!(envelope.cause.map(|cause| cause.to_string()), Some(rig.story.plan()));
    assert!(
        matches!(&done.outcome, Outcome::NotApplicable { detail } if detail.contains("restored")),
        "{:?}",
        done.outcome
    );
    assert_eq!(events(&log, EventType::HealthAlert).await.len(), 1);
    assert_eq!(events(&log, EventType::ContainerSample).await.len(), 21);
    // The next event has the next number, and one that was there before is known.
    let again = ended[0].clone();
    assert!(log.append(&[again]).await.expect("the log is there").is_empty());
    let folder = rig.folder.path().join("archive");
    let check = crate::rig::replay(
        &[&["rebuild", "--check", "--archive", folder.to_str().unwrap()], &["--redis", &redis.url()][..]]
            .concat(),
    );
    assert_eq!(code(&check), 0, "{}{}", out(&check), err(&check));
}

#[tokio::test]
async fn a_plan_whose_intent_is_told_is_left_to_the_responder() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(|| Story::told().up_to_the_intent()).await;
    let report = json(&rig.archive(&restore(&redis, &["-o", "json"])));
    assert_eq!(report["partitions"][0]["plans_ended"], 0, "it looks at the container first");
    let log = redis.log().await.expect("the log is there");
    assert!(events(&log, EventType::RemediationComplete).await.is_empty());
}

#[tokio::test]
async fn an_action_that_was_done_is_verified_by_those_who_come_after() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(|| Story::told().up_to_the_action()).await;
    let report = json(&rig.archive(&restore(&redis, &["-o", "json"])));
    assert_eq!(report["partitions"][0]["deadlines"], 1);
    let log = redis.log().await.expect("the log is there");
    let span = std::time::Duration::from_secs(60);
    let due = log.take_due(Role::Responder, None, "a", span, 10).await.expect("the log is there");
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!((due[0].name.as_str(), due[0].cause.to_string()), ("verify", rig.story.plan()));
}

#[tokio::test]
async fn nothing_is_written_where_it_must_not_be() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(Story::told).await;
    let dry = rig.archive(&restore(&redis, &["--dry-run"]));
    assert_eq!(code(&dry), 0, "{}", err(&dry));
    assert!(out(&dry).contains("Nothing was written"), "{}", out(&dry));
    assert_eq!(keys(&redis).await, 0, "not even a mark");

    let other = RedisLog::connect(RedisSettings {
        url: redis.url(),
        namespace: "hemostat".to_owned(),
        partitions: None,
    });
    let log = Arc::new(other.await.expect("the log is there"));
    log.append(&[rig.story.events()[0].clone()]).await.expect("the log is there");
    let before = keys(&redis).await;
    let refused = rig.archive(&restore(&redis, &[]));
    assert_eq!(code(&refused), 3);
    assert!(err(&refused).contains("has a log already"), "{}", err(&refused));
    assert_eq!(events(&log, EventType::ContainerSample).await.len(), 1);
    assert_eq!(keys(&redis).await, before, "what was made beside it is gone");
}

#[tokio::test]
async fn groups_and_streams_go_on_where_they_were() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(Story::told).await;
    // Nothing is young enough to be put back but what a group has not dealt with.
    let young = ["restore", "--keep", "1s", "--keep-samples", "1s", "--redis", &redis.url()];
    let restored = rig.archive(&young);
    assert_eq!(code(&restored), 0, "{}", err(&restored));
    let log = redis.log().await.expect("the log is there");
    let cursors = log.cursors(Partition(0)).await.expect("the log is there");
    let done = rig.story.place_of(EventType::RemediationComplete);
    let group = (Role::Alert, StreamName::Type(EventType::RemediationComplete));
    assert_eq!((cursors.seq, cursors.positions), (rig.story.len() as u64, [(group, done)].into()));
    for kind in [EventType::RemediationComplete, EventType::HealthAlert, EventType::ContainerSample] {
        assert!(events(&log, kind).await.is_empty(), "{kind}");
        let info: String = redis
            .command(&[
                "EVAL",
                "return redis.call('XINFO', 'STREAM', KEYS[1])[8]",
                "1",
                &format!("hemostat:{{0}}:{kind}"),
            ])
            .await
            .expect("the stream is there");
        let last = rig.story.events().iter().enumerate().rfind(|(_, event)| event.event_type() == kind);
        let (place, event) = last.expect("the story has it");
        assert_eq!(info, format!("{}-{}", event.envelope.time.millis(), place + 1), "{kind}");
    }
}

#[tokio::test]
async fn states_that_know_more_than_the_archive_are_left_alone() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(|| Story::told().without_body_of(24)).await;
    let restored = rig.archive(&restore(&redis, &[]));
    assert!(out(&restored).contains("1 entries have no body any more"), "{}", out(&restored));
    let state = "hemostat:{0}:state:analyzer";
    redis.command::<i64>(&["HSET", state, "h1/web", "1 \u{80}"]).await.expect("Redis answers");
    let rebuild = rig.archive(&["rebuild", "--redis", &redis.url()]);
    assert_eq!(code(&rebuild), 3, "{}", out(&rebuild));
    assert!(err(&rebuild).contains("left as they are"), "{}", err(&rebuild));
    let left: String = redis.command(&["HGET", state, "h1/web"]).await.expect("Redis answers");
    assert_eq!(left, "1 \u{80}");
}

#[tokio::test]
async fn only_the_last_life_of_a_log_is_restored_and_judged() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(|| Story::told().begun_anew(30)).await;
    let restored = rig.archive(&restore(&redis, &["-o", "json"]));
    assert!(err(&restored).contains("began anew"), "{}", err(&restored));
    let partition = &json(&restored)["partitions"][0];
    assert_eq!((partition["seq"].as_u64(), partition["states"].as_u64()), (Some(30), Some(0)));
    let check = rig.archive(&["rebuild", "--check", "--redis", &redis.url()]);
    assert_eq!(code(&check), 0, "{}{}", out(&check), err(&check));
}

#[tokio::test]
async fn an_archive_that_lacks_something_is_refused() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(Story::told).await;
    let partition = rig.folder.path().join("archive/p00000");
    let files = || -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(&partition).expect("it is there");
        let mut files: Vec<_> = files.map(|file| file.expect("it can be listed").path()).collect();
        files.sort();
        files
    };
    let nothing = rig.archive(&restore(&redis, &["--partition", "9"]));
    assert_eq!(code(&nothing), 3);
    assert!(err(&nothing).contains("no partition 9"), "{}", err(&nothing));
    // The last segment goes, and the tip stays.
    let last: Vec<_> =
        files().into_iter().filter(|file| file.to_string_lossy().contains("s0000000003")).collect();
    assert_eq!(last.len(), 2, "{last:?}");
    last.iter().for_each(|file| std::fs::remove_file(file).expect("it can be removed"));
    let cut = rig.archive(&restore(&redis, &[]));
    assert_eq!(code(&cut), 3);
    assert!(err(&cut).contains("its tip says 3") && err(&cut).contains("--with-gaps"), "{}", err(&cut));
    assert_eq!(keys(&redis).await, 0, "nothing is left behind");
    let all_the_same = rig.archive(&restore(&redis, &["--with-gaps"]));
    assert_eq!(code(&all_the_same), 0, "{}", err(&all_the_same));

    let other = TestRedis::start().await.expect("a redis-server");
    let rig = given(Story::told).await;
    let folder = rig.folder.path().join("archive/p00000");
    for file in std::fs::read_dir(&folder).expect("it is there") {
        let file = file.expect("it can be listed").path();
        if file.to_string_lossy().contains("s0000000002") {
            std::fs::remove_file(file).expect("it can be removed");
        }
    }
    let gap = rig.archive(&restore(&other, &[]));
    assert_eq!(code(&gap), 3, "{}", out(&gap));
    assert!(err(&gap).contains("1 of its segments do not follow"), "{}", err(&gap));

    let elsewhere = rig.folder.path().join("nowhere");
    let missing =
        crate::rig::replay(&["--archive", crate::rig::text(&elsewhere), "restore", "--redis", &redis.url()]);
    assert_eq!(code(&missing), 3);
    assert!(err(&missing).contains("there is no archive") && !elsewhere.exists(), "{}", err(&missing));
}

#[tokio::test]
async fn a_check_of_an_empty_redis_is_no_check() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(Story::told).await;
    let check = rig.archive(&["rebuild", "--check", "--redis", &redis.url()]);
    assert_eq!(code(&check), 3, "{}", out(&check));
    assert!(err(&check).contains("the log in Redis ends with number 0"), "{}", err(&check));
}

#[tokio::test]
async fn a_wrong_number_of_partitions_is_found_out() {
    let redis = TestRedis::start().await.expect("a redis-server");
    let rig = given(Story::told).await;
    let refused = rig.archive(&restore(&redis, &["--partitions", "7"]));
    let said = err(&refused);
    // The host of the story is in another of seven.
    assert_eq!(code(&refused), 3, "{said}");
    assert!(said.contains("did not have 7 partitions") && said.contains("--partitions"), "{said}");
}

/// The archive of a story, which is made by a runtime of its own.
async fn given(story: impl FnOnce() -> Story + Send + 'static) -> Rig {
    tokio::task::spawn_blocking(|| Rig::of(story())).await.expect("it is made")
}

fn restore<'a>(redis: &TestRedis, more: &[&'a str]) -> Vec<&'a str> {
    let url: &'static str = Box::leak(redis.url().into_boxed_str());
    // The story is of another day: what it tells of is old, and not to be forgotten here.
    let fixed = ["restore", "--keep", "10000d", "--keep-samples", "10000d", "--redis", url];
    [&fixed[..], more].concat()
}

async fn events(log: &RedisLog, kind: EventType) -> Vec<Event> {
    let entries = log.range(Partition(0), &StreamName::Type(kind), EntryId::ZERO, 1_000).await;
    entries.expect("the log is there").into_iter().map(|entry| entry.event.expect("an event")).collect()
}

async fn keys(redis: &TestRedis) -> u64 {
    redis.command(&["DBSIZE"]).await.expect("Redis answers")
}
