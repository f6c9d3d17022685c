//! Scripts that the server does not know, ids that are remembered, and what is bounded.

use std::sync::Arc;
use std::time::Duration;

use hemostat_agent::log::{CommitAnswer, EventLog as _, StreamName};
use hemostat_event::EventType;

use crate::given::{
    changed, changes, commit, dealt_with, host, join, key, numbers, redis_and_log, sample, take,
};

#[tokio::test]
async fn scripts_are_loaded_again_within_a_batch() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 100)).await.expect("the log is there");
    let mut entries = take(reader.as_mut(), 100).await;
    log.append(&changes(100, 200)).await.expect("the log is there");
    entries.extend(take(reader.as_mut(), 100).await);
    redis.command::<()>(&["SCRIPT", "FLUSH"]).await.expect("Redis answers");
    // More than one call, in one pipeline.
    let steps: Vec<_> = (0..).zip(&entries).map(|(version, entry)| dealt_with(entry, "a", version)).collect();
    let answers = log.commit(&steps).await.expect("the log is there");
    assert_eq!(answers, (201..=400).map(|number| CommitAnswer::Committed(vec![number])).collect::<Vec<_>>());
}

#[tokio::test]
async fn scripts_that_vanish_all_the_time_hinder_nobody() {
    let (redis, log) = redis_and_log().await;
    let redis = Arc::new(redis);
    let flushing = {
        let redis = Arc::clone(&redis);
        tokio::spawn(async move {
            let mut connection = redis.connection().await.expect("Redis answers");
            loop {
                redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connection).await.expect("Redis answers");
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        })
    };
    let mut reader = join(&log, "a").await;
    for n in 0..100 {
        log.append(&[changed("db", n)]).await.expect("the log is there");
        let entry = take(reader.as_mut(), 1).await.remove(0);
        let answers = commit(&log, &[dealt_with(&entry, "a", n)]).await;
        assert!(matches!(answers.as_slice(), [CommitAnswer::Committed(_)]), "{answers:?}");
    }
    flushing.abort();
    assert_eq!(numbers(&log).await, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn ids_are_kept_for_a_day_and_not_much_longer() {
    let (redis, log) = redis_and_log().await;
    log.append(&changes(0, 3)).await.expect("the log is there");
    let buckets: Vec<String> = redis.command(&["KEYS", &key("seen:*")]).await.expect("Redis answers");
    assert_eq!(buckets.len(), 1, "{buckets:?}");
    let ttl: u64 = redis.command(&["TTL", &buckets[0]]).await.expect("Redis answers");
    assert!((24 * 3_600..=36 * 3_600).contains(&ttl), "{ttl}");
    let count: u64 = redis.command(&["SCARD", &buckets[0]]).await.expect("Redis answers");
    assert_eq!(count, 3);
}

#[tokio::test]
async fn ids_of_the_whole_day_are_looked_for() {
    let (redis, log) = redis_and_log().await;
    log.append(&[changed("db", 1)]).await.expect("the log is there");
    let buckets: Vec<String> = redis.command(&["KEYS", &key("seen:*")]).await.expect("Redis answers");
    let (_, number) = buckets[0].rsplit_once(':').expect("it has a number");
    let mut bucket = number.parse::<u64>().expect("it has a number");
    // As if it had been written half a day earlier, twice; then before that day.
    for expected in [0, 0, 1] {
        let (from, to) = (key(format!("seen:{bucket}")), key(format!("seen:{}", bucket - 1)));
        redis.command::<()>(&["RENAME", &from, &to]).await.expect("Redis answers");
        bucket -= 1;
        assert_eq!(log.append(&[changed("db", 1)]).await.expect("the log is there").len(), expected, "{to}");
    }
}

#[tokio::test]
async fn the_stream_of_samples_is_bounded() {
    let (redis, log) = redis_and_log().await;
    let fill = "for i = 1, 1005000 do redis.call('XADD', KEYS[1], '*', 'a', 'b') end";
    let stream = key(StreamName::Type(EventType::ContainerSample));
    redis.command::<()>(&["EVAL", fill, "1", &stream]).await.expect("Redis answers");
    log.append(&[sample(1)]).await.expect("the log is there");
    let length: u64 = redis.command(&["XLEN", &stream]).await.expect("Redis answers");
    assert!((1_000_000..1_000_200).contains(&length), "{length}");
}

#[tokio::test]
async fn epochs_of_leases_grow_even_after_everything_was_lost() {
    let (redis, log) = redis_and_log().await;
    let minute = Duration::from_secs(60);
    let zombie =
        log.lease("engine:web-1", &host(), "a", minute).await.expect("the log is there").expect("it is free");
    redis.command::<()>(&["FLUSHALL"]).await.expect("Redis answers");
    let heir =
        log.lease("engine:web-1", &host(), "b", minute).await.expect("the log is there").expect("it is free");
    assert!(zombie.epoch < heir.epoch, "{zombie:?} {heir:?}");
}
