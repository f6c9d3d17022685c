//! Opening a log: what is refused, and with which words.

use hemostat_agent::log::{EventLog as _, LogError};
use hemostat_redis::testing::TestRedis;
use hemostat_redis::{ConnectError, RedisLog, RedisSettings};

use crate::given::{changed, key};

#[tokio::test]
async fn a_redis_that_evicts_is_refused_until_it_does_not() {
    let redis =
        TestRedis::start_with(&[("maxmemory-policy", "allkeys-lru")]).await.expect("a throw-away Redis");
    let error = refused(redis.log().await);
    assert!(matches!(&error, ConnectError::Evicts(policy) if policy == "allkeys-lru"), "{error:?}");
    assert!(error.to_string().contains("set `maxmemory-policy noeviction`"), "{error}");
    let keys: Vec<String> = redis.command(&["KEYS", "*"]).await.expect("Redis answers");
    assert!(keys.is_empty(), "nothing is written to a Redis that is refused: {keys:?}");
    redis.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await.expect("Redis answers");
    assert!(redis.log().await.is_ok());
}

#[tokio::test]
async fn the_number_of_partitions_is_fixed_when_the_log_is_made() {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    let open = |namespace: &str, partitions| {
        let settings = RedisSettings { url: redis.url(), namespace: namespace.to_owned(), partitions };
        RedisLog::connect(settings)
    };
    assert_eq!(open("a", Some(4)).await.expect("it is new").partitions().len(), 4);
    assert_eq!(open("a", None).await.expect("it has 4").partitions().len(), 4);
    assert_eq!(open("b", None).await.expect("it is new").partitions().len(), 1);
    for configured in [1, 8] {
        let error = refused(open("a", Some(configured)).await);
        assert!(error.to_string().contains("made with 4 partition(s)"), "{error}");
        assert!(error.to_string().contains(&format!("opened with {configured}")), "{error}");
    }
    assert!(matches!(refused(open("c", Some(0)).await), ConnectError::NoPartitions));
    assert!(matches!(refused(open("{c}", None).await), ConnectError::Namespace(_)));
}

#[tokio::test]
async fn a_log_of_a_later_layout_is_refused() {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    redis
        .command::<i64>(&["HSET", &key("meta"), "layout", "2", "partitions", "1"])
        .await
        .expect("Redis answers");
    let error = refused(redis.log().await);
    assert!(matches!(&error, ConnectError::Layout { layout, .. } if layout == "2"), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_an_absent_redis_is_unavailable() {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    redis.command::<()>(&["CONFIG", "SET", "requirepass", "secret"]).await.expect("Redis answers");
    let open = |url: String| {
        RedisLog::connect(RedisSettings { url, namespace: "hemostat".to_owned(), partitions: None })
    };
    for url in [redis.url(), format!("{}?pass=wrong", redis.url())] {
        let error = refused(open(url).await);
        assert!(
            matches!(&error, ConnectError::Log(LogError::Refused { reason, .. }) if reason.contains("password")),
            "{error:?}"
        );
    }
    assert!(open(format!("{}?pass=secret", redis.url())).await.is_ok());
    let absent = refused(open("unix:///nowhere/redis.sock".to_owned()).await);
    assert!(matches!(absent, ConnectError::Log(LogError::Unavailable(_))), "{absent:?}");
    let nonsense = refused(open("ftp://somewhere".to_owned()).await);
    assert!(matches!(nonsense, ConnectError::Url(_)), "{nonsense:?}");
}

#[tokio::test]
async fn a_redis_that_forgets_is_warned_of() {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    let warnings = redis.log().await.expect("the log can be opened").warnings().to_vec();
    assert!(warnings.len() == 1 && warnings[0].contains("the whole log"), "{warnings:?}");
    redis.command::<()>(&["CONFIG", "SET", "save", "900 1"]).await.expect("Redis answers");
    let warnings = redis.log().await.expect("the log can be opened").warnings().to_vec();
    assert!(warnings.len() == 1 && warnings[0].contains("since its last snapshot"), "{warnings:?}");
    let durable = TestRedis::start_durable().await.expect("a throw-away Redis");
    assert!(durable.log().await.expect("the log can be opened").warnings().is_empty());
}

#[tokio::test]
async fn a_replica_is_unavailable_until_it_is_a_primary() {
    let primary = TestRedis::start().await.expect("a throw-away Redis");
    let log = primary.log().await.expect("the log can be opened");
    // A primary that is nowhere: enough to refuse writes.
    primary.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await.expect("Redis answers");
    let error = log.append(&[changed("db", 1)]).await.expect_err("a replica takes no writes");
    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
    primary.command::<()>(&["REPLICAOF", "NO", "ONE"]).await.expect("Redis answers");
    assert_eq!(log.append(&[changed("db", 1)]).await.expect("it is a primary"), [1]);
}

fn refused(opened: Result<RedisLog, ConnectError>) -> ConnectError {
    match opened {
        Ok(_) => panic!("it should be refused"),
        Err(error) => error,
    }
}
