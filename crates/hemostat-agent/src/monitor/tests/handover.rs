//! From one monitor to the next: nothing twice, nothing lost, nothing misread.

use std::time::Duration;

use hemostat_core::engine::EngineEventKind;
use hemostat_event::EventType;
use tokio::time::sleep;

use super::rig::*;
use crate::log::EventLog;

#[tokio::test(start_paused = true)]
async fn the_next_monitor_goes_on_with_the_incident_and_writes_nothing_a_second_time() {
    for graceful in [true, false] {
        let stage = Stage::new();
        let db = stage.run(1, "db").await;
        let first = stage.watched("a").await;
        stage.exit(&db, 1).await;
        stage.until_alerts(1).await;
        if graceful {
            first.stop().await;
        } else {
            first.kill().await;
        }
        let second = stage.watched("b").await;
        sleep(INTERVAL * 2).await;
        let expected = ["db discovered", "db died 1", "db ALERT non_zero_exit"];
        assert_eq!(stage.story().await, expected, "graceful: {graceful}");
        stage.start(&db).await;
        sleep(INTERVAL * 4).await;
        let story = stage.story().await;
        assert_eq!(story[3..], ["db started", "db RECOVERED Cleared"], "graceful: {graceful}");
        let opened = stage.alerts().await[0].0.envelope.incident;
        assert_eq!(stage.events(EventType::HealthRecovered).await[0].envelope.incident, opened);
        second.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_happens_between_two_monitors_is_told_by_the_second_as_the_first_would_have() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let web = stage.run(2, "web").await;
    let first = stage.watched("a").await;
    first.kill().await;
    sleep(Duration::from_secs(3)).await;
    stage.exit(&db, 137).await;
    let died = stage.exit(&web, 2).await;
    stage.start(&web).await;
    sleep(Duration::from_secs(6)).await;
    let second = stage.watched("b").await;
    let story = stage.story().await;
    // Without the event, 137 would pass for a stop, and the short death of `web` for nothing at all.
    for expected in
        ["db died 137", "db ALERT non_zero_exit", "web died 2", "web ALERT non_zero_exit", "web started"]
    {
        assert!(story.iter().any(|event| event == expected), "{expected}: {story:?}");
    }
    let alerts = stage.alerts().await;
    assert!(alerts.iter().any(|(_, alert)| alert.engine_event_at == Some(died)));
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_was_asked_for_before_the_monitor_came_is_no_death() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    stage.happen(&db, EngineEventKind::Kill { signal: 15 }).await;
    sleep(Duration::from_secs(30)).await;
    let monitor = stage.watched("a").await;
    stage.exit(&db, 137).await;
    sleep(INTERVAL * 3).await;
    assert_eq!(stage.story().await, ["db discovered", "db stopped 137"]);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_person_stopped_while_nobody_watched_is_no_death_and_what_died_then_is() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let web = stage.run(2, "web").await;
    stage.watched("a").await.kill().await;
    sleep(Duration::from_secs(300)).await;
    // A program that ends with a code of its own when it is asked to.
    stage.happen(&db, EngineEventKind::Kill { signal: 15 }).await;
    stage.exit(&db, 1).await;
    stage.exit(&web, 1).await;
    sleep(Duration::from_secs(1_800)).await;
    let second = stage.watched("b").await;
    stage.until_alerts(1).await;
    sleep(INTERVAL * 3).await;
    let story = stage.story().await;
    assert!(story.contains(&"db stopped 1".to_owned()), "{story:?}");
    assert!(story.contains(&"web died 1".to_owned()), "{story:?}");
    assert_eq!(stage.alerts().await.len(), 1, "{story:?}");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_happened_long_before_the_monitor_came_is_not_told() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    stage.exit(&db, 1).await;
    sleep(Duration::from_secs(40)).await;
    let monitor = stage.watched("a").await;
    sleep(INTERVAL * 3).await;
    assert_eq!(stage.story().await, ["db discovered"]);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_removed_while_nobody_watched_has_its_incident_closed() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let _web = stage.run(2, "web").await;
    let first = stage.watched("a").await;
    stage.exit(&db, 1).await;
    stage.until_alerts(1).await;
    first.kill().await;
    stage.engine.remove(&db);
    sleep(Duration::from_secs(120)).await;
    let second = stage.watched("b").await;
    sleep(INTERVAL * 3).await;
    let story = stage.story().await;
    assert_eq!(story[4..], ["db RECOVERED Removed", "db removed"], "{story:?}");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_monitors_one_watches_and_the_other_takes_over_at_once_when_it_stops() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let first = stage.watched("a").await;
    let second = stage.monitor("b");
    sleep(Duration::from_secs(60)).await;
    let standby = second.report();
    assert!(standby.ready && standby.detail.starts_with("standby"), "{standby:?}");
    first.stop().await;
    sleep(LEASE / 3 + Duration::from_millis(100)).await;
    assert_eq!(second.report().detail, "1 containers");
    stage.exit(&db, 1).await;
    stage.until_alerts(1).await;
    let alert = &stage.alerts().await[0].0;
    assert_eq!(alert.envelope.source.instance, "b");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_dies_is_replaced_when_its_lease_ends() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let first = stage.watched("a").await;
    let second = stage.monitor("b");
    sleep(Duration::from_secs(60)).await;
    first.kill().await;
    stage.exit(&db, 1).await;
    sleep(LEASE + LEASE / 3 + Duration::from_millis(100)).await;
    assert_eq!(stage.story().await, ["db discovered", "db died 1", "db ALERT non_zero_exit"]);
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_monitor_whose_lease_somebody_else_has_writes_nothing_more() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let _web = stage.run(2, "web").await;
    // Measures so often that it does before it learns that its lease is gone.
    let monitor = stage.monitor_with("a", |settings| settings.interval = Duration::from_millis(100));
    until("samples", || async { !stage.events(EventType::ContainerSample).await.is_empty() }).await;
    stage.log.set_down(true);
    sleep(LEASE * 2).await;
    // Waits to be written.
    stage.engine.exit(&db, 1);
    sleep(Duration::from_secs(1)).await;
    stage.log.set_down(false);
    let taken = stage.log.lease("engine:web-1", &host(), "other", Duration::from_secs(3_600)).await.unwrap();
    assert!(taken.is_some());
    let samples = stage.events(EventType::ContainerSample).await.len();
    sleep(INTERVAL * 3).await;
    assert_eq!(stage.story().await, ["db discovered", "web discovered"]);
    assert_eq!(stage.events(EventType::ContainerSample).await.len(), samples);
    assert!(monitor.report().detail.starts_with("standby"), "{:?}", monitor.report());
    monitor.stop().await;
}
