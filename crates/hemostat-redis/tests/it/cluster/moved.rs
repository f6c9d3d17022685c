//! Every slot moves and a primary dies, under load.

use std::time::Duration;

use hemostat_redis::testing::TestCluster;
use hemostat_redis::{Durability, DurabilitySettings, RedisLog};
use tokio::time::Instant;

use crate::load::Load;

/// A primary that says nothing for this long is taken for dead.
const NODE_TIMEOUT: Duration = Duration::from_millis(2_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_slots_move_and_a_primary_dies_and_nothing_is_lost_or_doubled() {
    let mut cluster = TestCluster::start(3, 1, NODE_TIMEOUT).await.expect("a throw-away cluster");
    let load = Load::start(safe(&cluster).await, safe(&cluster).await);
    load.appends(500).await;
    load.goes_on_everywhere().await;
    let began = Instant::now();
    cluster.move_all_slots().await.expect("slots can be moved");
    let (moved, before) = (began.elapsed(), load.appended());
    load.goes_on_everywhere().await;
    let killed = cluster.owner("hemostat:{0}:seq").await.expect("a primary has it");
    cluster.kill(killed).await.expect("it dies");
    let began = Instant::now();
    cluster.taken_over(killed).await.expect("its replica takes its place");
    let promoted = began.elapsed();
    // Without a replica of its own the new primary takes nothing that has to be safe. The old one comes back as one.
    cluster.start_again(killed).await.expect("it starts");
    load.goes_on_everywhere().await;
    let recovered = began.elapsed();
    load.appends(500).await;
    let verdicts = load.finish().await;
    eprintln!(
        "all slots moved in {moved:.1?}, and {before} appended by then; every partition again {recovered:.1?} after the \
         death of a primary, whose replica took over after {promoted:.1?}; {verdicts}"
    );
    verdicts.hold();
}

/// A log whose writes count once a replica has them.
async fn safe(cluster: &TestCluster) -> RedisLog {
    let log = cluster.log("hemostat", None).await.expect("the log can be opened");
    let settings = DurabilitySettings {
        observations: Durability::Replica,
        decisions: Durability::Replica,
        timeout: Duration::from_millis(500),
        ..DurabilitySettings::default()
    };
    log.with_durability(settings).await.expect("every primary has a replica")
}
