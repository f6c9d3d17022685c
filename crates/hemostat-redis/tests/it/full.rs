//! A server that refuses to write: nothing is half done, and nothing is missing afterwards.

use hemostat_agent::log::{CommitAnswer, EventLog as _, LogError};
use hemostat_core::role::Timer;
use hemostat_event::Timestamp;
use hemostat_redis::testing::TestRedis;

use crate::given::{
    INPUT, OUTPUT, ROLE, all, changed, changes, commit_one, dealt_with, join, key, numbers, pending,
    redis_and_log, stateless, subject, take,
};

#[tokio::test]
async fn at_maxmemory_nothing_is_written_and_afterwards_everything_can_be() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 3)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 3).await;
    let mut step = dealt_with(&entries[0], "a", 0);
    step.emit.push(changed("web", 7));
    step.timers.push(Timer {
        subject: subject("db"),
        name: "verify".to_owned(),
        cause: step.key,
        due: Timestamp::EPOCH,
    });
    // Acknowledges without an event: as a first write it would open the way for what must be refused.
    let mut quiet = stateless(&entries[1], "a");
    quiet.emit.clear();
    let before = dump(&redis).await;
    set_maxmemory(&redis, "1").await;
    let batches = [vec![step.clone()], vec![quiet.clone(), step.clone()], vec![quiet.clone()]];
    for batch in batches {
        let error = log.commit(&batch).await.expect_err("Redis is full");
        let LogError::Unavailable(source) = error else { panic!("it passes: {error:?}") };
        assert!(source.to_string().contains("maxmemory"), "{source}");
    }
    log.append(&[changed("db", 9)]).await.expect_err("Redis is full");
    assert_eq!(dump(&redis).await, before, "nothing is half done");
    set_maxmemory(&redis, "0").await;
    assert_eq!(commit_one(&log, step).await, CommitAnswer::Committed(vec![4, 5]));
    assert_eq!(commit_one(&log, quiet).await, CommitAnswer::Committed(vec![]));
    assert_eq!(log.append(&[changed("db", 9)]).await.expect("there is room"), [6]);
    assert_eq!(numbers(&log).await, (1..=6).collect::<Vec<_>>());
    assert_eq!(pending(&log).await, 1);
}

#[tokio::test]
async fn what_takes_no_room_goes_on_at_maxmemory() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 1)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 1).await;
    let minute = std::time::Duration::from_secs(60);
    let host = crate::given::host();
    let lease = log.lease("engine:web-1", &host, "a", minute).await.expect("the log is there");
    set_maxmemory(&redis, "1").await;
    assert_eq!(log.lease("engine:web-1", &host, "a", minute).await.expect("it is renewed"), lease);
    reader.renew(&[entries[0].at.clone()]).await.expect("it is renewed");
    assert_eq!(log.take_due(ROLE, None, "a", minute, 10).await.expect("there are none"), []);
    assert_eq!(pending(&log).await, 1);
}

#[tokio::test]
async fn an_event_that_is_refused_takes_back_those_before_it() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 3)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 3).await;
    // A stream that has used up its last possible id takes no entry any more.
    let alerts = key("health_recovered");
    let last = format!("{}-{}", u64::MAX, u64::MAX);
    redis.command::<String>(&["XADD", &alerts, &last, "a", "b"]).await.expect("Redis answers");
    let mut step = dealt_with(&entries[1], "a", 0);
    step.emit.insert(0, changed("web", 7));
    let mut fine = stateless(&entries[0], "a");
    fine.emit = vec![changed("web", 8)];
    fine.key = fine.emit[0].envelope.id;
    let error = log.commit(&[fine.clone(), step.clone()]).await.expect_err("the second is refused");
    assert!(matches!(error, LogError::Refused { .. }), "{error:?}");
    // The first stands, as a repetition shows; of the second there is nothing.
    assert_eq!(commit_one(&log, fine).await, CommitAnswer::Duplicate);
    let state = log.load(ROLE, &[subject("db")]).await.expect("the log is there").remove(0);
    assert_eq!((state.version, pending(&log).await), (0, 2));
    assert_eq!(
        all(&log, &INPUT).await.iter().filter_map(|entry| entry.seq).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    redis.command::<i64>(&["DEL", &alerts]).await.expect("Redis answers");
    assert_eq!(commit_one(&log, step).await, CommitAnswer::Committed(vec![5, 6]));
    assert_eq!(numbers(&log).await, (1..=6).collect::<Vec<_>>());
    assert_eq!(all(&log, &OUTPUT).await.len(), 1);
}

async fn set_maxmemory(redis: &TestRedis, bytes: &str) {
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", bytes]).await.expect("Redis answers");
}

/// Every key with its content.
async fn dump(redis: &TestRedis) -> Vec<(String, Vec<u8>)> {
    let mut keys: Vec<String> = redis.command(&["KEYS", "*"]).await.expect("Redis answers");
    keys.sort();
    let mut dump = Vec::new();
    for key in keys {
        // The form of a stream has the idle times of its groups in it; what matters is told by these.
        let kind: String = redis.command(&["TYPE", &key]).await.expect("Redis answers");
        let content = if kind == "stream" {
            let entries: redis::Value =
                redis.command(&["XRANGE", &key, "-", "+"]).await.expect("Redis answers");
            let groups: redis::Value =
                redis.command(&["XINFO", "GROUPS", &key]).await.expect("Redis answers");
            format!("{entries:?} {groups:?}").into_bytes()
        } else {
            redis.command(&["DUMP", &key]).await.expect("Redis answers")
        };
        dump.push((key, content));
    }
    dump
}

#[tokio::test]
async fn a_full_log_can_be_opened_and_looked_at() {
    let (redis, log) = redis_and_log().await;
    log.append(&changes(0, 3)).await.expect("the log is there");
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await.expect("Redis answers");
    log.append(&changes(3, 4)).await.expect_err("Redis is full");
    let other = redis.log().await.expect("a log that is full can be opened");
    assert_eq!(all(&other, &INPUT).await.len(), 3);
    assert_eq!(other.groups().await.expect("the log answers"), []);
}
