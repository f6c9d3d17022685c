//! Shadows: what is made one, what is not, and what goes when one is emptied.

use hemostat_agent::log::EventLog as _;
use hemostat_redis::testing::TestRedis;
use hemostat_redis::{ConnectError, RedisLog, RedisSettings};

use crate::given::{changes, key, numbers};

fn named(redis: &TestRedis, namespace: &str, partitions: Option<u16>) -> RedisSettings {
    RedisSettings { url: redis.url(), namespace: namespace.to_owned(), partitions }
}

async fn keys(redis: &TestRedis, pattern: &str) -> Vec<String> {
    let mut keys: Vec<String> = redis.command(&["KEYS", pattern]).await.expect("Redis answers");
    keys.sort();
    keys
}

#[tokio::test]
async fn a_log_that_was_there_is_not_made_a_shadow() {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    let log = redis.log().await.expect("a log");
    log.append(&changes(1, 3)).await.expect("they are written");
    let refused = RedisLog::shadow(named(&redis, "hemostat", None)).await.err().expect("it is refused");
    assert!(matches!(&refused, ConnectError::NoShadow(name) if name == "hemostat"), "{refused:?}");
    assert!(!log.is_shadow().await.expect("it answers"));
    assert!(log.clear_shadow().await.is_err(), "nothing is taken out of it");
    assert_eq!(numbers(&log).await, [1, 2]);

    // Also where what says that there is a log was lost.
    redis.command::<i64>(&["DEL", &key("meta")]).await.expect("Redis answers");
    assert!(RedisLog::shadow(named(&redis, "hemostat", None)).await.is_err());
    assert!(!keys(&redis, "*").await.contains(&key("meta")), "nothing was written by that");
}

#[tokio::test]
async fn a_shadow_is_emptied_and_nothing_beside_it() {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    let beside = redis.log().await.expect("a log");
    beside.append(&changes(1, 4)).await.expect("they are written");
    let shadow = RedisLog::shadow(named(&redis, "hemostat-shadow", Some(2))).await.expect("it is new");
    assert!(shadow.is_shadow().await.expect("it answers"));
    shadow.append(&changes(1, 600)).await.expect("they are written");
    let again = RedisLog::shadow(named(&redis, "hemostat-shadow", None)).await.expect("it is a shadow");
    assert_eq!(again.partitions().len(), 2);

    assert_ne!(again.clear_shadow().await.expect("it is emptied"), 0);
    assert_eq!(keys(&redis, "hemostat-shadow:*").await, ["hemostat-shadow:{0}:meta"]);
    assert_eq!(numbers(&beside).await, [1, 2, 3]);
    // What was written before is new to it, and has the same numbers.
    assert_eq!(again.append(&changes(1, 3)).await.expect("they are written"), [1, 2]);
}
