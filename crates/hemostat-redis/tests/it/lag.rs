//! Where the server's own lag is nil or wrong and ours is right: both numbers side by side. Some of its numbers were
//! mended after 7.0.

use hemostat_agent::log::{Counted, EventLog, GroupStatus};
use hemostat_redis::testing::TestRedis;
use redis::Value;

use crate::given::{
    INPUT, PARTITION, ROLE, all, changes, commit_one, join, key, member, redis_and_log, sample, stateless,
    take,
};
use crate::pair::Pair;

#[tokio::test]
async fn after_a_trim_past_the_group() {
    let (redis, log) = redis_and_log().await;
    deal_with(&log, 5, 2).await;
    redis.command::<i64>(&["XTRIM", &key(INPUT), "MAXLEN", "0"]).await.expect("Redis answers");
    if is_7_0(&redis).await {
        assert_eq!(lag_of_the_server(&redis).await, Value::Int(3));
    }
    let told = told(&log).await;
    assert_eq!((told.lag_known(), told.unread, told.oldest_unread), (true, Counted::exactly(0), None));
}

#[tokio::test]
async fn after_a_deletion_ahead_of_the_group() {
    let (redis, log) = redis_and_log().await;
    deal_with(&log, 5, 2).await;
    let entries = all(&log, &INPUT).await;
    let ahead = entries[3].at.id.to_string();
    redis.command::<i64>(&["XDEL", &key(INPUT), &ahead]).await.expect("Redis answers");
    assert_eq!(lag_of_the_server(&redis).await, Value::Nil);
    let told = told(&log).await;
    assert_eq!((told.lag_known(), told.unread), (true, Counted::exactly(2)));
    assert_eq!(told.oldest_unread, Some(entries[2].at.id.time()));
}

#[tokio::test]
async fn after_the_group_was_made_anew_in_the_middle() {
    let (redis, log) = redis_and_log().await;
    deal_with(&log, 5, 2).await;
    redis.command::<i64>(&["XGROUP", "DESTROY", &key(INPUT), ROLE.as_str()]).await.expect("Redis answers");
    // While it is lost, the server knows of no group at all.
    assert_eq!(groups_of_the_server(&redis).await, 0);
    let lost = told(&log).await;
    assert_eq!((lost.lag_known(), lost.exists, lost.unread), (false, false, Counted::exactly(3)));
    let _reader = join(&log, "b").await;
    assert_eq!(lag_of_the_server(&redis).await, Value::Nil);
    let told = told(&log).await;
    assert_eq!((told.lag_known(), told.unread), (true, Counted::exactly(3)));
}

#[tokio::test]
async fn after_a_failover_to_a_replica() {
    let pair = Pair::start().await;
    let log = pair.primary.log().await.expect("the log can be opened");
    deal_with(&log, 5, 3).await;
    let before = told(&log).await;
    assert_eq!(lag_of_the_server(&pair.primary).await, Value::Int(2));
    pair.in_step().await;
    pair.promote().await;
    let log = pair.replica.log().await.expect("the log can be opened");
    if is_7_0(&pair.replica).await {
        let lag = lag_of_the_server(&pair.replica).await;
        assert_ne!(lag, Value::Int(2), "the server's number did not move over");
    }
    let after = told(&log).await;
    assert_eq!((after.lag_known(), after.unread), (true, Counted::exactly(2)));
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_vanished_while_it_was_pending_is_told_at_once() {
    let (redis, log) = redis_and_log().await;
    let mut reader = join(&log, "a").await;
    log.append(&changes(0, 5)).await.expect("the log is there");
    let entries = take(reader.as_mut(), 5).await;
    let first = entries[2].at.id.to_string();
    redis.command::<i64>(&["XTRIM", &key(INPUT), "MINID", &first]).await.expect("Redis answers");
    let deleted = entries[3].at.id.to_string();
    redis.command::<i64>(&["XDEL", &key(INPUT), &deleted]).await.expect("Redis answers");
    let told = told(&log).await;
    assert_eq!((told.pending, told.lost), (5, 3));
}

#[tokio::test]
async fn what_is_too_much_to_be_counted_is_bounded_and_not_known() {
    let (_redis, log) = redis_and_log().await;
    let mut reader = log.join(hemostat_agent::log::Membership { batch: 1_500, ..member("a") }).await;
    let reader = reader.as_mut().expect("the group can be joined").as_mut();
    for first in [0, 1_500] {
        // Other streams take numbers of the sequence too.
        let samples: Vec<_> = (first..first + 100).map(sample).collect();
        log.append(&samples).await.expect("the log is there");
        log.append(&changes(first, first + 1_500)).await.expect("the log is there");
    }
    // Nothing read: what is before the group is counted instead.
    let fresh = told(&log).await;
    assert_eq!((fresh.lag_known(), fresh.unread), (true, Counted::exactly(3_000)));
    take(reader, 1_500).await;
    let told = told(&log).await;
    assert!(!told.lag_known(), "{told:?}");
    let Counted { least, most } = told.unread;
    assert!(1_000 < least && least <= 1_500 && (1_500..=1_600).contains(&most), "{told:?}");
}

/// Appends `count` inputs, of which the group reads and acknowledges the first `done`.
async fn deal_with(log: &hemostat_redis::RedisLog, count: u64, done: usize) {
    let membership = hemostat_agent::log::Membership { batch: done, ..member("a") };
    let mut reader = log.join(membership).await.expect("the group can be joined");
    log.append(&changes(0, count)).await.expect("the log is there");
    for entry in take(reader.as_mut(), done).await {
        commit_one(log, stateless(&entry, "a")).await;
    }
}

async fn told(log: &dyn EventLog) -> GroupStatus {
    let groups = log.groups().await.expect("the log is there");
    let mut groups: Vec<_> = groups
        .into_iter()
        .filter(|group| (group.partition, group.role, &group.stream) == (PARTITION, ROLE, &INPUT))
        .collect();
    assert_eq!(groups.len(), 1, "{groups:?}");
    groups.remove(0)
}

async fn is_7_0(redis: &TestRedis) -> bool {
    let info: String = redis.command(&["INFO", "server"]).await.expect("Redis answers");
    info.contains("redis_version:7.0.")
}

/// What `XINFO GROUPS` says.
async fn lag_of_the_server(redis: &TestRedis) -> Value {
    let groups: Vec<std::collections::BTreeMap<String, Value>> =
        redis.command(&["XINFO", "GROUPS", &key(INPUT)]).await.expect("Redis answers");
    assert_eq!(groups.len(), 1);
    groups[0]["lag"].clone()
}

async fn groups_of_the_server(redis: &TestRedis) -> usize {
    let groups: Vec<Value> = redis.command(&["XINFO", "GROUPS", &key(INPUT)]).await.expect("Redis answers");
    groups.len()
}
