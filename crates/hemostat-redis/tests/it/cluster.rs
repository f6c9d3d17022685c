//! A cluster: how it is found, and slots that move.

mod moved;

use std::time::Duration;

use hemostat_agent::log::{EventLog as _, LogError};
use hemostat_redis::testing::TestCluster;
use hemostat_redis::{RedisLog, RedisSettings};

use crate::given::{INPUT, all, changed, changes, numbers, take};

/// Long: no node dies in these cases.
const NODE_TIMEOUT: Duration = Duration::from_secs(15);
/// The slot of partition 0.
const SLOT: usize = 13_907;

#[tokio::test]
async fn a_node_of_a_cluster_leads_to_all_of_it() {
    let cluster = TestCluster::start(3, 0, NODE_TIMEOUT).await.expect("a throw-away cluster");
    for place in 0..3 {
        let settings =
            RedisSettings { url: cluster.url_of(place), namespace: "hemostat".to_owned(), partitions: None };
        let log = RedisLog::connect(settings).await.expect("the log can be opened");
        assert_eq!(log.partitions().len(), 16);
        assert!(log.found().contains("a cluster of 3 primaries"), "{}", log.found());
        for partition in log.partitions() {
            assert!(log.streams(partition).await.expect("every partition is reached").is_empty());
        }
    }
}

#[tokio::test]
async fn a_move_is_waited_for_and_no_script_runs_half_of_it() {
    let cluster = TestCluster::start(2, 0, NODE_TIMEOUT).await.expect("a throw-away cluster");
    let log = cluster.log("hemostat", Some(1)).await.expect("the log can be opened");
    let mut reader = crate::given::join(&log, "a").await;
    log.append(&changes(0, 20)).await.expect("the log is there");
    assert_eq!(take(reader.as_mut(), 20).await.len(), 20);
    let from = cluster.owner("hemostat:{0}:seq").await.expect("a primary has it");
    let to = 1 - from;
    cluster.begin_move(SLOT, from, to).await.expect("a move begins");
    let (mut moved, mut n) = (0, 20);
    loop {
        // A stream that was never written to, so that a script has to make keys whatever is moved already.
        let recovered = crate::given::recovered("db", n);
        n += 1;
        match log.append(&[changed("db", n), recovered]).await {
            // As long as nothing has left, or nothing is left.
            Err(LogError::Unavailable(_)) => {}
            other => panic!("nothing is begun while the slot is on its way: {other:?}"),
        }
        let some = cluster.move_keys(SLOT, from, to, 1).await.expect("keys can be moved");
        moved += some;
        if some == 0 {
            break;
        }
    }
    assert!(2 < moved, "{moved}");
    cluster.end_move(SLOT, from, to).await.expect("a move ends");
    log.append(&[changed("db", n)]).await.expect("it has arrived");
    assert_eq!(take(reader.as_mut(), 1).await[0].seq, Some(21));
    assert_eq!(numbers(&log).await, (1..=21).collect::<Vec<_>>());
    assert_eq!(all(&log, &INPUT).await.len(), 21);
}
