//! A reader and its connection: given up, broken, late.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use hemostat_agent::log::{CommitAnswer, EventLog as _, LogError, Membership};
use tokio::time::{Instant, timeout};

use crate::given::{
    INPUT, all, changed, changes, commit_one, dealt_with, eventually, join, key, member, redis_and_log, take,
};

#[tokio::test]
async fn a_read_that_is_given_up_is_finished_by_the_next() {
    let (_redis, log) = redis_and_log().await;
    let membership = Membership { block: Duration::from_secs(2), ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    for n in 0..20 {
        let given_up = timeout(Duration::from_millis(20), reader.read()).await;
        assert!(given_up.is_err(), "{given_up:?}");
        log.append(&[changed("db", n)]).await.expect("the log is there");
        let entry = take(reader.as_mut(), 1).await.remove(0);
        assert_eq!((entry.attempts, entry.seq), (1, Some(2 * n + 1)));
        assert!(matches!(commit_one(&log, dealt_with(&entry, "a", n)).await, CommitAnswer::Committed(_)));
    }
}

#[tokio::test]
async fn a_reader_does_not_hold_up_other_requests() {
    let (_redis, log) = redis_and_log().await;
    let membership = Membership { block: Duration::from_secs(2), ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    let asking = async {
        let began = Instant::now();
        for _ask in 0..50 {
            log.now().await.expect("the log is there");
        }
        began.elapsed()
    };
    let (read, took) = tokio::join!(reader.read(), asking);
    assert!(read.expect("the log is there").is_empty());
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_reader_that_is_left_alone_while_it_connects_holds_nobody_up() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    assert!(reader.read().await.expect("the log is there").is_empty());
    for _round in 0..5 {
        // The reader finds its group gone and its shared connection too, and makes both anew.
        redis.command::<i64>(&["XGROUP", "DESTROY", &key(INPUT), "analyzer"]).await.expect("Redis answers");
        redis.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await.expect("Redis answers");
        for polls in 1..30 {
            let mut read = reader.read();
            for _poll in 0..polls {
                let polled = poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await;
                if polled.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(read);
            let asked = timeout(Duration::from_secs(2), log.now()).await;
            assert!(asked.is_ok(), "a reader that nobody polls holds up everybody");
        }
    }
}

#[tokio::test]
async fn a_wait_is_cut_to_two_seconds() {
    let (_redis, log) = redis_and_log().await;
    let membership = Membership { block: Duration::from_secs(60), ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    let began = Instant::now();
    assert!(reader.read().await.expect("the log is there").is_empty());
    assert!((1_900..4_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_broken_connection_loses_nothing_and_repeats_nothing_that_is_in_flight() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 3)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 3).await;
    // The server gives an entry to the consumer in an answer that never comes.
    let stream = key(INPUT);
    log.append(&[changed("db", 3)]).await.expect("the log is there");
    let words = ["XREADGROUP", "GROUP", "analyzer", "a", "COUNT", "1", "STREAMS", stream.as_str(), ">"];
    redis.command::<redis::Value>(&words).await.expect("Redis answers");
    redis.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await.expect("Redis answers");
    let error = reader.read().await.expect_err("the connection is broken");
    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
    let missed = take(reader.as_mut(), 1).await.remove(0);
    // The shared connection was broken too.
    eventually("the log is back", || async { log.now().await.ok() }).await;
    assert_eq!(missed.at, all(&log, &INPUT).await.remove(3).at);
    assert!(reader.read().await.expect("the log is there").is_empty());
    for (version, entry) in (0..).zip(entries.iter().chain([&missed])) {
        assert!(matches!(
            commit_one(&log, dealt_with(entry, "a", version)).await,
            CommitAnswer::Committed(_)
        ));
    }
}

#[tokio::test]
async fn entries_trimmed_while_they_were_pending_are_counted_and_gone() {
    let (redis, log) = redis_and_log().await;
    log.append(&changes(0, 6)).await.expect("the log is there");
    take(join(&log, "a").await.as_mut(), 6).await;
    redis.command::<i64>(&["XTRIM", &key(INPUT), "MAXLEN", "4"]).await.expect("Redis answers");
    // The same consumer again: what is left of its own.
    let left = take(join(&log, "a").await.as_mut(), 4).await;
    assert_eq!(left[0].seq, Some(3));
    assert_eq!((log.lost_while_pending(), crate::given::pending(&log).await), (2, 4));
    redis.command::<i64>(&["XTRIM", &key(INPUT), "MAXLEN", "1"]).await.expect("Redis answers");
    // Another that takes over.
    let membership = Membership { claim_after: Duration::from_millis(1), ..member("b") };
    let mut heir = log.join(membership).await.expect("the group can be joined");
    let left = take(heir.as_mut(), 1).await;
    assert_eq!(left[0].seq, Some(6));
    assert_eq!((log.lost_while_pending(), crate::given::pending(&log).await), (5, 1));
}

#[tokio::test]
async fn a_large_backlog_of_a_dead_consumer_is_taken_over_to_its_end() {
    const BACKLOG: usize = 1_500;
    let (_redis, log) = redis_and_log().await;
    log.append(&changes(0, BACKLOG as u64)).await.expect("the log is there");
    {
        let mut dead =
            log.join(Membership { batch: BACKLOG, ..member("dead") }).await.expect("the group can be joined");
        take(dead.as_mut(), BACKLOG).await;
    }
    let membership = Membership { batch: 10, claim_after: Duration::from_secs(1), ..member("heir") };
    let mut heir = log.join(membership).await.expect("the group can be joined");
    let mut seen = std::collections::BTreeSet::new();
    let began = Instant::now();
    while seen.len() < BACKLOG {
        let entries = heir.read().await.expect("the log is there");
        assert!(entries.len() <= 10);
        seen.extend(entries.into_iter().map(|entry| entry.at.id));
        assert!(began.elapsed() < Duration::from_secs(30), "{} taken over", seen.len());
    }
}
