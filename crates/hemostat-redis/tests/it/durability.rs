//! What was answered stays, whatever happens to the server; and what was not answered can be repeated.

use std::sync::Arc;
use std::time::Duration;

use hemostat_agent::log::{Commit, CommitAnswer, EventLog as _, LogError};
use hemostat_redis::testing::TestRedis;
use tokio::task::JoinSet;

use crate::given::{
    INPUT, OUTPUT, PARTITION, ROLE, all, changed, changes, changes_apart, commit, commit_one, dealt_with,
    eventually, join, numbers, pending, redis_and_log, stateless, subject, take,
};

#[tokio::test]
async fn a_restart_in_order_loses_nothing() {
    let mut redis = TestRedis::start_with(&[("appendonly", "yes")]).await.expect("a throw-away Redis");
    let log = redis.log().await.expect("the log can be opened");
    restart_between_steps(&mut redis, &log, false).await;
}

#[tokio::test]
async fn a_killed_server_loses_nothing_it_answered() {
    let mut redis = TestRedis::start_durable().await.expect("a throw-away Redis");
    let log = redis.log().await.expect("the log can be opened");
    restart_between_steps(&mut redis, &log, true).await;
}

/// Appends, reads and commits with the same log and the same reader, while the server goes and comes back.
async fn restart_between_steps(redis: &mut TestRedis, log: &hemostat_redis::RedisLog, kill: bool) {
    let mut reader = join(log, "a").await;
    assert_eq!(log.append(&changes(0, 10)).await.expect("the log is there").len(), 10);
    let mut entries = take(reader.as_mut(), 10).await;
    for (version, entry) in (0..4).zip(&entries) {
        assert!(matches!(commit_one(log, dealt_with(entry, "a", version)).await, CommitAnswer::Committed(_)));
    }
    for round in 0..2_u64 {
        if kill {
            redis.kill().await.expect("it ends");
            redis.start_again().await.expect("it starts");
        } else {
            redis.restart().await.expect("it starts again");
        }
        let first = 10 + round;
        eventually("the log takes an append", || async { log.append(&[changed("db", first)]).await.ok() })
            .await;
        entries.extend(take(reader.as_mut(), 1).await);
        let version = 4 + round;
        let step = dealt_with(&entries[version as usize], "a", version);
        assert!(matches!(commit_one(log, step).await, CommitAnswer::Committed(_)));
    }
    assert_eq!(numbers(log).await, (1..=18).collect::<Vec<_>>());
    assert_eq!((pending(log).await, all(log, &OUTPUT).await.len()), (6, 6));
    let state = log.load(ROLE, &[subject("db")]).await.expect("the log is there").remove(0);
    assert_eq!((state.version, state.bytes.as_slice()), (6, b"after 5".as_slice()));
}

#[tokio::test]
async fn commits_go_on_while_the_server_is_killed_again_and_again() {
    const ENTRIES: u64 = 300;
    let mut redis = TestRedis::start_durable().await.expect("a throw-away Redis");
    let log = Arc::new(redis.log().await.expect("the log can be opened"));
    log.append(&changes(0, ENTRIES)).await.expect("the log is there");
    let mut consumers = JoinSet::new();
    for name in ["a", "b"] {
        let log = Arc::clone(&log);
        consumers.spawn(async move {
            // A consumer that joins anew after every failure, as the run loop does.
            while numbers_of_outputs(&log).await < ENTRIES as usize {
                let Ok(mut reader) = log
                    .join(hemostat_agent::log::Membership { batch: 7, ..crate::given::member(name) })
                    .await
                else {
                    continue;
                };
                while let Ok(entries) = reader.read().await {
                    if entries.is_empty() {
                        break;
                    }
                    let steps: Vec<_> = entries.iter().map(|entry| stateless(entry, name)).collect();
                    commit(&log, &steps).await;
                }
            }
        });
    }
    for kills in 1..=5 {
        let enough = kills * ENTRIES as usize / 6;
        eventually("some are done", || async { (enough <= numbers_of_outputs(&log).await).then_some(()) })
            .await;
        redis.kill().await.expect("it ends");
        redis.start_again().await.expect("it starts");
    }
    consumers.join_all().await;
    let mut causes: Vec<_> = all(&log, &OUTPUT)
        .await
        .iter()
        .map(|entry| entry.event.as_ref().expect("an event").envelope.id)
        .collect();
    assert_eq!(causes.len(), ENTRIES as usize);
    causes.sort_unstable();
    causes.dedup();
    assert_eq!(causes.len(), ENTRIES as usize, "every input has one set of outputs");
    assert_eq!(numbers(&log).await, (1..=2 * ENTRIES).collect::<Vec<_>>());
    assert_eq!(pending(&log).await, 0);
}

async fn numbers_of_outputs(log: &hemostat_redis::RedisLog) -> usize {
    log.range(PARTITION, &OUTPUT, hemostat_agent::log::EntryId::ZERO, 100_000)
        .await
        .map_or(0, |entries| entries.len())
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_indefinite_and_its_repetition_a_duplicate() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 2)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 2).await;
    // From now on the server knows the script, and one request is enough.
    commit_one(&log, dealt_with(&entries[0], "a", 0)).await;
    let step = dealt_with(&entries[1], "a", 1);
    redis.pause();
    let error = log.commit(std::slice::from_ref(&step)).await.expect_err("nobody answers");
    assert!(matches!(error, LogError::Indefinite(_)), "{error:?}");
    redis.resume();
    // It stood in the server's buffer; the repetition comes after it.
    assert_eq!(commit_one(&log, step).await, CommitAnswer::Duplicate);
    assert_eq!((all(&log, &OUTPUT).await.len(), pending(&log).await), (2, 0));
}

#[tokio::test]
async fn requests_fail_at_once_while_the_server_is_gone_and_work_when_it_is_back() {
    let (mut redis, log) = redis_and_log().await;
    redis.stop().await.expect("it ends");
    // The first may meet the broken connection, the others meet no server.
    let _first = log.append(&[changed("db", 1)]).await;
    let began = std::time::Instant::now();
    for _try in 0..20 {
        let error = log.append(&[changed("db", 1)]).await.expect_err("there is no server");
        assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
        let error = log.now().await.expect_err("there is no server");
        assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    redis.start_again().await.expect("it starts");
    let appended =
        eventually("the log is back", || async { log.append(&[changed("db", 1)]).await.ok() }).await;
    assert_eq!(appended, [1]);
}

#[tokio::test]
async fn of_two_clients_that_decide_on_the_same_state_one_commits() {
    const ROUNDS: u64 = 50;
    let (redis, log) = redis_and_log().await;
    let logs = [Arc::new(log), Arc::new(redis.log().await.expect("the log can be opened"))];
    let mut reader = join(&logs[0], "a").await;
    logs[0].append(&changes_apart(0, 2 * ROUNDS)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 2 * ROUNDS as usize).await;
    for (version, pair) in (0..).zip(entries.chunks(2)) {
        let on_one_state = |entry| Commit { subject: subject("db"), ..dealt_with(entry, "a", version) };
        let steps = [on_one_state(&pair[0]), on_one_state(&pair[1])];
        let (one, other) = tokio::join!(commit(&logs[0], &steps[..1]), commit(&logs[1], &steps[1..]));
        let mut answers = [one, other].concat();
        answers.sort_by_key(|answer| matches!(answer, CommitAnswer::Conflict));
        assert!(
            matches!(answers.as_slice(), [CommitAnswer::Committed(_), CommitAnswer::Conflict]),
            "{answers:?}"
        );
    }
    assert_eq!((all(&logs[0], &OUTPUT).await.len(), all(&logs[0], &INPUT).await.len()), (50, 100));
    assert_eq!(numbers(&logs[0]).await, (1..=150).collect::<Vec<_>>());
}
