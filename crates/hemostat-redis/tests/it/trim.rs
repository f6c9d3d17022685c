//! Trimming on a server as it is configured by default: whole nodes at a time, behind the slowest group.

use std::time::Duration;

use hemostat_agent::log::{EventLog as _, HeldBy, Membership, Shelter, Trim};
use hemostat_event::Role;

use crate::given::{
    INPUT, PARTITION, ROLE, all, changes, changes_apart, commit, eventually, key, member, redis_and_log,
    stateless, take,
};

/// Entries in one node of a stream, as Redis has it by default.
const NODE: u64 = 100;

#[tokio::test]
async fn a_slow_group_keeps_thousands_of_entries_until_it_is_done() {
    let (_redis, log) = redis_and_log().await;
    let join = async |role| {
        let membership = Membership { role, batch: 5_000, ..member("a") };
        log.join(membership).await.expect("the group can be joined")
    };
    let (mut fast, mut slow) = (join(ROLE).await, join(Role::Alert).await);
    log.append(&changes_apart(0, 5_000)).await.expect("the log is there");
    let steps: Vec<_> = take(fast.as_mut(), 5_000).await.iter().map(|e| stateless(e, "a")).collect();
    commit(&log, &steps).await;
    let mut entries = take(slow.as_mut(), 5_000).await;
    // The slow group has dealt with all but the first entry of the second half.
    let unfinished = entries.remove(2_500);
    let mut steps: Vec<_> = entries.iter().map(|e| stateless(e, "a")).collect();
    steps.iter_mut().for_each(|step| step.role = Role::Alert);
    for step in &mut steps {
        step.key = hemostat_event::EventId::derive(step.key, Role::Alert, "done", 0);
        step.emit.clear();
    }
    commit(&log, &steps).await;
    let (removed, held_by) = trim_all(&log).await;
    assert_eq!(held_by, HeldBy::Group("alert".to_owned()));
    assert!((2_500 - NODE..=2_500).contains(&removed), "{removed}");
    let left = all(&log, &INPUT).await;
    assert!(left.iter().any(|entry| entry.at == unfinished.at));
    let mut last = stateless(&unfinished, "a");
    (last.role, last.key) = (Role::Alert, hemostat_event::EventId::derive(last.key, Role::Alert, "done", 0));
    last.emit.clear();
    commit(&log, &[last]).await;
    let (removed, _) = trim_all(&log).await;
    assert!(2_500 - NODE < removed, "{removed}");
}

#[tokio::test]
async fn a_group_that_a_person_made_keeps_entries_too_and_is_not_reaped_at_first_sight() {
    let (redis, log) = redis_and_log().await;
    log.append(&changes(0, 1_000)).await.expect("the log is there");
    redis.command::<()>(&["XGROUP", "CREATE", &key(INPUT), "by-hand", "0"]).await.expect("Redis answers");
    assert_eq!(trim_all(&log).await, (0, HeldBy::Group("by-hand".to_owned())));
    assert_eq!(log.reap(PARTITION, Duration::ZERO).await.expect("the log is there"), []);
    let reaped = eventually("the group is reaped", || async {
        let reaped = log.reap(PARTITION, Duration::from_millis(1)).await.expect("the log is there");
        (!reaped.is_empty()).then_some(reaped)
    })
    .await;
    assert_eq!((reaped[0].group.as_str(), &reaped[0].stream), ("by-hand", &INPUT));
    assert!(1_000 - NODE <= trim_all(&log).await.0);
}

#[tokio::test]
async fn containers_that_are_gone_are_forgotten_and_those_that_live_are_not() {
    let (redis, log) = redis_and_log().await;
    log.append(&changes_apart(0, 5_000)).await.expect("the log is there");
    let known = async || {
        let count: u64 =
            redis.command(&["HLEN", &key(format!("last:{INPUT}"))]).await.expect("Redis answers");
        count
    };
    assert_eq!(known().await, 5_000);
    assert_eq!(trim_all(&log).await.0, 5_000);
    // The stream is empty, and nothing has to be known of anybody.
    assert!(known().await < 500, "{}", known().await);
    log.append(&changes_apart(5_000, 5_100)).await.expect("the log is there");
    trim_all(&log).await;
    let fresh: Vec<_> = log.append(&changes_apart(5_100, 5_101)).await.expect("the log is there");
    assert_eq!(fresh.len(), 1);
    let live = redis.command::<u64>(&["HEXISTS", &key(format!("last:{INPUT}")), "web-1/c5100"]).await;
    assert_eq!(live.expect("Redis answers"), 1);
}

#[tokio::test]
async fn at_maxmemory_trimming_goes_on() {
    let (redis, log) = redis_and_log().await;
    log.append(&changes(0, 1_000)).await.expect("the log is there");
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await.expect("Redis answers");
    log.append(&changes(1_000, 1_001)).await.expect_err("Redis is full");
    assert!(1_000 - NODE <= trim_all(&log).await.0);
}

/// Trims in steps until nothing goes any more: how many went, and what keeps the rest.
async fn trim_all(log: &hemostat_redis::RedisLog) -> (u64, HeldBy) {
    let shelter = Shelter::Groups { archived: None };
    let step = Trim { partition: PARTITION, stream: INPUT, keep: Duration::ZERO, shelter, most: 1_000 };
    let began = log.now().await.expect("the log answers");
    eventually("a millisecond passes", || async {
        let now = log.now().await.expect("the log answers");
        (Duration::from_millis(2) <= now.since(began)).then_some(())
    })
    .await;
    let mut removed = 0;
    loop {
        let trimmed = log.trim(&step).await.expect("the log is there");
        assert!(trimmed.removed <= 1_000, "{trimmed:?}");
        if trimmed.removed == 0 {
            return (removed, trimmed.held_by);
        }
        removed += trimmed.removed;
    }
}
