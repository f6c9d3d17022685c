//! Streams, groups and everything vanish while readers wait: beyond what the contract of the port asks.

use std::time::Duration;

use hemostat_agent::log::{CommitAnswer, EntryId, EventLog as _, Membership};
use hemostat_redis::{RedisLog, RedisSettings};
use tokio::time::{Instant, timeout};

use crate::given::{
    INPUT, ROLE, all, changed, changes, changes_apart, commit_one, dealt_with, eventually, join, key, member,
    redis_and_log, take,
};

/// A wait of a reader that is far longer than anything else here takes.
const LONG_BLOCK: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_reader_that_waits_on_a_deleted_stream_gets_the_next_entry_at_once() {
    let (redis, log) = redis_and_log().await;
    let mut reader =
        log.join(Membership { block: LONG_BLOCK, ..member("a") }).await.expect("the group can be joined");
    let losing = async {
        wait_until_blocked(&redis).await;
        redis.command::<i64>(&["DEL", &key(INPUT)]).await.expect("Redis answers");
        wait_until_blocked(&redis).await;
        log.append(&changes(0, 1)).await.expect("the log is there");
        Instant::now()
    };
    let (read, appended) = tokio::join!(reader.read(), losing);
    assert_eq!(read.expect("a deleted stream is no error").len(), 1);
    assert!(appended.elapsed() < LONG_BLOCK / 2, "{:?}", appended.elapsed());
}

#[tokio::test]
async fn a_reader_that_waits_survives_flushall() {
    let (redis, log) = redis_and_log().await;
    let mut reader =
        log.join(Membership { block: LONG_BLOCK, ..member("a") }).await.expect("the group can be joined");
    log.append(&changes(0, 3)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 3).await;
    assert!(matches!(commit_one(&log, dealt_with(&entries[0], "a", 0)).await, CommitAnswer::Committed(_)));
    let losing = async {
        wait_until_blocked(&redis).await;
        redis.command::<()>(&["FLUSHALL"]).await.expect("Redis answers");
        wait_until_blocked(&redis).await;
        log.append(&changes(0, 2)).await.expect("the log is there")
    };
    let (read, appended) = tokio::join!(reader.read(), losing);
    assert_eq!((read.expect("lost data is no error").len(), appended), (2, vec![1, 2]));
}

#[tokio::test]
async fn a_server_that_comes_back_empty_is_a_new_log() {
    let (mut redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 3)).await.expect("the log is there");
    take(reader.as_mut(), 3).await;
    redis.kill().await.expect("it ends");
    redis.start_again().await.expect("it starts");
    let appended = eventually("the log is back", || async { log.append(&changes(0, 2)).await.ok() }).await;
    assert_eq!(appended, [1, 2]);
    assert_eq!(take(reader.as_mut(), 2).await.len(), 2);
}

#[tokio::test]
async fn what_was_acknowledged_out_of_order_does_not_come_again_once_nothing_is_pending() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes_apart(0, 4)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 4).await;
    for place in [3, 0, 2, 1] {
        let answer = commit_one(&log, dealt_with(&entries[place], "a", 0)).await;
        assert!(matches!(answer, CommitAnswer::Committed(_)), "{answer:?}");
    }
    redis.command::<i64>(&["XGROUP", "DESTROY", &key(INPUT), ROLE.as_str()]).await.expect("Redis answers");
    log.append(&[changed("db", 4)]).await.expect("the log is there");
    assert_eq!(take(reader.as_mut(), 1).await[0].seq, Some(9));
}

#[tokio::test]
async fn the_number_of_partitions_is_recorded_again_by_those_who_know_it() {
    let (redis, _log) = redis_and_log().await;
    let open = |partitions| {
        let settings = RedisSettings { url: redis.url(), namespace: "many".to_owned(), partitions };
        RedisLog::connect(settings)
    };
    let log = open(Some(5)).await.expect("it is new");
    let mut reader = log.join(member("a")).await.expect("the group can be joined");
    redis.command::<()>(&["FLUSHALL"]).await.expect("Redis answers");
    reader.read().await.expect("lost data is no error");
    assert_eq!(open(None).await.expect("it is there").partitions().len(), 5);
}

#[tokio::test]
async fn a_stream_that_began_anew_under_an_earlier_clock_is_read_from_its_start() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 2)).await.expect("the log is there");
    for (version, entry) in (0..).zip(take(reader.as_mut(), 2).await) {
        assert!(matches!(
            commit_one(&log, dealt_with(&entry, "a", version)).await,
            CommitAnswer::Committed(_)
        ));
    }
    // Deleted, and written to by a producer whose server's clock was set back: far before the cursor.
    redis.command::<i64>(&["DEL", &key(INPUT)]).await.expect("Redis answers");
    redis.command::<String>(&["XADD", &key(INPUT), "5-1", "a", "b"]).await.expect("Redis answers");
    assert_eq!(take(reader.as_mut(), 1).await[0].at.id, EntryId { ms: 5, n: 1 });
}

#[tokio::test]
async fn a_stream_that_is_made_anew_numbers_its_entries_from_the_cursor_on() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    // An entry of a server whose clock was far ahead.
    redis.command::<i64>(&["DEL", &key(INPUT)]).await.expect("Redis answers");
    let ahead = EntryId { ms: 1 << 45, n: 0 };
    redis
        .command::<String>(&["XADD", &key(INPUT), &ahead.to_string(), "a", "b"])
        .await
        .expect("Redis answers");
    log.append(&[changed("db", 1)]).await.expect("the log is there");
    let entries = take(reader.as_mut(), 2).await;
    assert!(matches!(commit_one(&log, dealt_with(&entries[1], "a", 0)).await, CommitAnswer::Committed(_)));
    let letter = hemostat_event::DeadLetter {
        stream: INPUT.to_string(),
        entry: ahead.to_string(),
        group: ROLE,
        event: None,
        incident: None,
        errors: Vec::new(),
        attempts: 1,
        original: std::collections::BTreeMap::new(),
    };
    let source = hemostat_event::Source { role: ROLE, instance: "a".to_owned() };
    log.bury(&entries[0].at, "a", &crate::given::host(), &source, letter).await.expect("the log is there");
    redis.command::<i64>(&["DEL", &key(INPUT)]).await.expect("Redis answers");
    assert!(reader.read().await.expect("a deleted stream is no error").is_empty());
    log.append(&[changed("db", 2)]).await.expect("the log is there");
    let new = take(reader.as_mut(), 1).await.remove(0);
    assert!(ahead < new.at.id, "{}", new.at.id);
    assert_eq!(all(&log, &INPUT).await.len(), 1);
}

/// Waits until the server has a client that waits on it.
async fn wait_until_blocked(redis: &hemostat_redis::testing::TestRedis) {
    let blocked = eventually("a waiting reader", || async {
        let clients: String = redis.command(&["INFO", "clients"]).await.expect("Redis answers");
        clients.contains("blocked_clients:1\r\n").then_some(())
    });
    timeout(Duration::from_secs(10), blocked).await.expect("the reader waits");
}
