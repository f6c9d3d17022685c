//! A primary behind sentinels: it dies, a replica takes its place, and the same process goes on.

use std::time::Duration;

use hemostat_agent::log::{CommitAnswer, EventLog as _};
use hemostat_redis::testing::TestSentinel;
use hemostat_redis::{ConnectError, Durability, DurabilitySettings, RedisLog, RedisSettings};
use tokio::time::Instant;

use crate::given::{changed, changes, commit_one, eventually, join, numbers, stateless, take};
use crate::load::Load;

/// A primary that says nothing for this long is taken for dead.
const DOWN_AFTER: Duration = Duration::from_millis(1_000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_dies_and_the_same_process_goes_on_with_the_next() {
    let mut sentinel = TestSentinel::start(DOWN_AFTER).await.expect("throw-away sentinels");
    let load = Load::start(safe(&sentinel).await, safe(&sentinel).await);
    load.appends(100).await;
    sentinel.kill(0).await.expect("it dies");
    let began = Instant::now();
    load.goes_on_everywhere().await;
    let recovered = began.elapsed();
    load.appends(100).await;
    let verdicts = load.finish().await;
    eprintln!("the log was there again {recovered:.1?} after the death of its primary; {verdicts}");
    verdicts.hold();
}

#[tokio::test]
async fn a_promotion_by_hand_is_followed_by_all_connections() {
    let sentinel = TestSentinel::start(DOWN_AFTER).await.expect("throw-away sentinels");
    let log = sentinel.log().await.expect("the log can be opened");
    assert!(log.found().contains("sentinels"), "{}", log.found());
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 2)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 2).await;
    assert!(matches!(commit_one(&log, stateless(&entries[0], "a")).await, CommitAnswer::Committed(_)));
    sentinel.fail_over().await.expect("the sentinels change the primary");
    // The new one knows no script, and the old one is a replica that refuses writes.
    eventually("the log takes an append", || async { log.append(&[changed("db", 2)]).await.ok() }).await;
    assert!(matches!(commit_one(&log, stateless(&entries[1], "a")).await, CommitAnswer::Committed(_)));
    let last = take(reader.as_mut(), 1).await;
    assert_eq!(last[0].seq, Some(4));
    assert_eq!(numbers(&log).await, [1, 2, 3, 4, 5]);
    let found: String = sentinel.servers()[0].command(&["INFO", "replication"]).await.expect("it answers");
    assert!(found.contains("role:slave"), "{found}");
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_told() {
    let sentinel = TestSentinel::start(DOWN_AFTER).await.expect("throw-away sentinels");
    let url = format!("{}-other", sentinel.url());
    let settings = RedisSettings { url, namespace: "hemostat".to_owned(), partitions: None };
    let Err(ConnectError::Log(error)) = RedisLog::connect(settings).await else { panic!("there is none") };
    let told = hemostat_agent::telemetry::chain(&error);
    assert!(told.contains("knows no primary of this name"), "{told}");
}

/// A log whose writes count once a replica has them.
async fn safe(sentinel: &TestSentinel) -> RedisLog {
    let settings = DurabilitySettings {
        observations: Durability::Replica,
        decisions: Durability::Replica,
        // With both replicas, whichever is promoted has what was acknowledged; with one dead and one promoted, one is
        // left.
        replicas: 1,
        timeout: Duration::from_millis(500),
        ..DurabilitySettings::default()
    };
    let log = sentinel.log().await.expect("the log can be opened");
    log.with_durability(settings).await.expect("the primary has replicas")
}
