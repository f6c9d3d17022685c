//! What the engine counts, and what our arithmetic makes of it.

use std::time::Duration;

use hemostat_agent::containers::Containers as _;
use hemostat_core::detect::Watch;
use hemostat_core::engine::Counters;
use hemostat_docker::testing::{IDLE, eventually};
use hemostat_event::{ContainerId, Sample};

use crate::laboratory::{Laboratory, WAIT_MAX};

/// CPU time between two readings that makes a window.
const WINDOW: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_burner_with_a_quarter_of_a_processor_is_at_100_percent_of_its_quota() {
    let laboratory = Laboratory::start().await;
    let id = laboratory.run("while :; do :; done", |spec| spec.cpu_cores = Some(0.25)).await;
    let mut watch = Watch::new();
    let mut before = sample(&laboratory, &mut watch, &id).await;
    assert_eq!((before.cpu_percent, before.cpu_limit_cores), (None, Some(0.25)), "one reading is no rate");
    // A machine under load may take some windows away; none can have more than the quota, apart from what the
    // scheduler gives ahead.
    let full = async {
        loop {
            let used = before.cpu_usage_ns.expect("it is counted") + WINDOW.as_nanos() as u64;
            eventually("CPU time", WAIT_MAX, || async {
                let counters = laboratory.docker().counters(&id).await.expect("it runs");
                counters.cpu_usage_ns.filter(|usage| used <= *usage)
            })
            .await;
            let now = sample(&laboratory, &mut watch, &id).await;
            let percent = now.cpu_percent.expect("two readings are a rate");
            assert!(percent < 130.0, "{percent} % from {before:?} to {now:?}");
            if (90.0..110.0).contains(&percent) {
                return now;
            }
            before = now;
        }
    };
    let full = tokio::time::timeout(WAIT_MAX, full).await.expect("a window at the quota");
    assert!(full.cpu_throttled_percent.is_some_and(|percent| 50.0 < percent), "{full:?}");
}

#[tokio::test]
async fn an_idle_container_uses_next_to_nothing() {
    let laboratory = Laboratory::start().await;
    let id = laboratory.run(&format!("echo ready; {IDLE}"), |spec| spec.cpu_cores = Some(1.0)).await;
    laboratory.until_logged(&id, "ready").await;
    let mut watch = Watch::new();
    let first = read(&laboratory, &id).await;
    sample(&laboratory, &mut watch, &id).await;
    // Time has to pass, and the engine's own clock tells that it did.
    let passed = |counters: Counters| {
        Some(()).filter(|()| Duration::from_millis(500) < counters.read_at.since(first.read_at))
    };
    eventually("half a second", WAIT_MAX, || async { passed(read(&laboratory, &id).await) }).await;
    let idle = sample(&laboratory, &mut watch, &id).await;
    assert!(idle.cpu_percent.is_some_and(|percent| percent < 10.0), "{idle:?}");
}

#[tokio::test]
async fn the_working_set_has_what_is_held_and_not_what_is_cached() {
    let laboratory = Laboratory::start().await;
    let script = format!(
        "dd if=/dev/zero of=/held/x bs=1M count=24 && dd if=/dev/zero of=/cached bs=1M count=48 && echo ready; {IDLE}"
    );
    let id = laboratory
        .run(&script, |spec| {
            spec.memory_limit_bytes = Some(128 * MIB);
            spec.tmpfs = vec!["/held".to_owned()];
        })
        .await;
    laboratory.until_logged(&id, "ready").await;
    let sample = sample(&laboratory, &mut Watch::new(), &id).await;
    assert_eq!(sample.memory_limit_bytes, Some(128 * MIB));
    let held = sample.memory_bytes.expect("it is counted");
    assert!((24 * MIB..40 * MIB).contains(&held), "{} MiB", held / MIB);
    let percent = sample.memory_percent.expect("there is a limit");
    assert!((percent - held as f64 / (128 * MIB) as f64 * 100.0).abs() < 0.01, "{percent} % of {held}");
    assert!(sample.pids.is_some_and(|pids| 0 < pids), "{sample:?}");
}

#[tokio::test]
async fn a_container_without_a_network_has_no_figures_of_one() {
    let laboratory = Laboratory::start().await;
    let id = laboratory.run(IDLE, |_| {}).await;
    let counters = read(&laboratory, &id).await;
    assert_eq!((counters.network_rx_bytes, counters.network_tx_bytes), (None, None));
}

#[tokio::test]
async fn a_container_without_limits_has_those_of_the_host() {
    let laboratory = Laboratory::start().await;
    let id = laboratory.run(IDLE, |_| {}).await;
    let host = laboratory.docker().info().await.expect("the engine is there");
    let sample = sample(&laboratory, &mut Watch::new(), &id).await;
    assert_eq!(sample.memory_limit_bytes, Some(host.memory_bytes));
    assert_eq!(sample.cpu_limit_cores, Some(host.cpus as f64));
}

#[tokio::test]
async fn the_writable_layer_has_the_size_of_what_was_written() {
    let laboratory = Laboratory::start().await;
    let id = laboratory
        .run(&format!("dd if=/dev/zero of=/written bs=1M count=3 && echo ready; {IDLE}"), |_| {})
        .await;
    let empty = laboratory.run(IDLE, |_| {}).await;
    laboratory.until_logged(&id, "ready").await;
    let sizes = laboratory.docker().disk_usage().await.expect("it can be measured");
    let size = |id: &ContainerId| sizes.iter().find(|(of, _)| of == id).map(|(_, bytes)| *bytes);
    assert!(size(&id).is_some_and(|bytes| (3 * MIB..4 * MIB).contains(&bytes)), "{:?}", size(&id));
    assert!(size(&empty).is_some_and(|bytes| bytes < MIB), "{:?}", size(&empty));
}

const MIB: u64 = 1 << 20;

async fn read(laboratory: &Laboratory, id: &ContainerId) -> Counters {
    laboratory.docker().counters(id).await.expect("it runs")
}

async fn sample(laboratory: &Laboratory, watch: &mut Watch, id: &ContainerId) -> Sample {
    let engine = laboratory.docker();
    let host = engine.info().await.expect("the engine is there");
    let inspection = engine.inspect(id).await.expect("it is there");
    let counters = read(laboratory, id).await;
    watch.sample(&inspection, Some(&counters), None, &host)
}
