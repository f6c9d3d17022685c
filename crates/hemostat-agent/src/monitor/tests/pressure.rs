//! A log that is nearly full or away: samples give way, alerts do not, and what is missing is told.

use std::time::Duration;

use hemostat_event::{Data, EventType, Gap, Timestamp};
use tokio::time::sleep;

use super::rig::*;
use crate::log::Pressure;
use crate::telemetry::names;

/// Containers, times and gaps of all samples.
async fn samples(stage: &Stage) -> Vec<(String, Timestamp, Option<Gap>)> {
    let samples = stage.events(EventType::ContainerSample).await.into_iter();
    let sample = |event: hemostat_event::Event| match event.data {
        Data::ContainerSample(data) => (data.container.name, event.envelope.time, data.gap),
        other => panic!("{other:?} among the samples"),
    };
    samples.map(sample).collect()
}

#[tokio::test(start_paused = true)]
async fn near_its_limit_alerts_are_written_and_samples_are_not() {
    let stage = Stage::new();
    let (_db, web) = (stage.run(1, "db").await, stage.run(2, "web").await);
    let monitor = stage.watched("a").await;
    assert_eq!(samples(&stage).await.len(), 2);
    stage.log.set_pressure(Pressure { used: 85, limit: Some(100) });
    sleep(3 * INTERVAL).await;
    stage.exit(&web, 1).await;
    stage.until_alerts(1).await;
    assert_eq!(samples(&stage).await.len(), 2);
    let shed = monitor.metric(names::SAMPLES_SHED);
    assert!(6.0 <= shed, "{shed}");
    // Not yet: it would begin to shed again at once.
    stage.log.set_pressure(Pressure { used: 82, limit: Some(100) });
    sleep(INTERVAL).await;
    assert_eq!(samples(&stage).await.len(), 2);
    stage.log.set_pressure(Pressure { used: 70, limit: Some(100) });
    let shed = monitor.metric(names::SAMPLES_SHED);
    sleep(INTERVAL + Duration::from_secs(1)).await;
    let after = samples(&stage).await.split_off(2);
    assert_eq!(after.len(), 2);
    let gaps: Vec<_> = after.iter().map(|(_, _, gap)| gap.expect("it tells what is missing")).collect();
    assert!((gaps.iter().map(|gap| gap.samples as f64).sum::<f64>() - shed).abs() < f64::EPSILON, "{gaps:?}");
    assert!(gaps.iter().all(|gap| gap.since < after[0].1 - 3 * INTERVAL), "{gaps:?}");
    // It is told once.
    sleep(INTERVAL).await;
    assert!(samples(&stage).await.split_off(4).iter().all(|(_, _, gap)| gap.is_none()));
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn samples_that_a_lost_log_did_not_take_are_told_as_missing() {
    let stage = Stage::new();
    let _db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    stage.log.set_down(true);
    sleep(INTERVAL).await;
    stage.log.set_down(false);
    sleep(2 * INTERVAL).await;
    let gaps: Vec<_> = samples(&stage).await.iter().filter_map(|(_, _, gap)| *gap).collect();
    let shed = monitor.metric(names::SAMPLES_SHED);
    assert!((gaps.iter().map(|gap| gap.samples as f64).sum::<f64>() - shed).abs() < f64::EPSILON, "{gaps:?}");
    assert!(1.0 <= shed, "{shed}");
    monitor.stop().await;
}
