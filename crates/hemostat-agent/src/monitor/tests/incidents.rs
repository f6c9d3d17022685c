//! From what the engine tells and shows to alerts and recoveries, in order.

use std::time::Duration;

use hemostat_core::engine::{Counters, EngineEventKind};
use hemostat_event::{EventType, EvidenceKind, Health};
use tokio::time::{Instant, sleep};

use super::rig::*;
use crate::log::EventLog;

#[tokio::test(start_paused = true)]
async fn a_death_is_an_alert_at_once_and_ends_when_the_container_has_run_well_for_long_enough() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    let died = Instant::now();
    let at = stage.exit(&db, 3).await;
    stage.until_alerts(1).await;
    assert!(died.elapsed() <= Duration::from_millis(10), "{:?}", died.elapsed());
    sleep(Duration::from_secs(1)).await;
    stage.start(&db).await;
    until("the recovery", || async { !stage.events(EventType::HealthRecovered).await.is_empty() }).await;
    assert_eq!(
        stage.story().await,
        ["db discovered", "db died 3", "db ALERT non_zero_exit", "db started", "db RECOVERED Cleared"]
    );
    let alerts = stage.alerts().await;
    assert_eq!(alerts[0].1.engine_event_at, Some(at));
    let incident = alerts[0].0.envelope.incident;
    assert!(incident.is_some());
    assert_eq!(stage.events(EventType::HealthRecovered).await[0].envelope.incident, incident);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_for_memory_is_told_apart_from_other_deaths() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    stage.happen(&db, EngineEventKind::Oom).await;
    stage.engine.update(&db, |inspection| inspection.oom_killed = true);
    stage.exit(&db, 137).await;
    stage.until_alerts(1).await;
    assert_eq!(stage.story().await, ["db discovered", "db oom", "db died 137", "db ALERT oom_killed"]);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_health_check_is_an_alert_and_a_passing_one_ends_it() {
    let stage = Stage::new();
    let web = stage.run(1, "web").await;
    stage.engine.update(&web, |inspection| inspection.health = Health::Healthy);
    let monitor = stage.watched("a").await;
    for (health, output) in [(Health::Unhealthy, "connection refused"), (Health::Healthy, "ok")] {
        stage.engine.update(&web, |inspection| {
            inspection.health = health;
            inspection.health_output = Some(output.to_owned());
        });
        stage.happen(&web, EngineEventKind::Health(health)).await;
        sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(
        stage.story().await,
        [
            "web discovered",
            "web healthy",
            "web unhealthy",
            "web ALERT unhealthy_status",
            "web healthy",
            "web RECOVERED Cleared"
        ]
    );
    let evidence = &stage.alerts().await[0].1.evidence.items;
    let health = evidence.iter().find(|item| item.kind == EvidenceKind::HealthOutput).unwrap();
    assert_eq!(health.text, "connection refused");
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_person_stops_is_no_incident() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    stage.happen(&db, EngineEventKind::Kill { signal: 15 }).await;
    sleep(Duration::from_secs(3)).await;
    stage.exit(&db, 143).await;
    stage.happen(&db, EngineEventKind::Stop).await;
    sleep(INTERVAL * 5).await;
    assert_eq!(stage.story().await, ["db discovered", "db stopped 143"]);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_removed_takes_its_incident_with_it_with_and_without_the_event() {
    for with_event in [true, false] {
        let stage = Stage::new();
        let db = stage.run(1, "db").await;
        let monitor = stage.watched("a").await;
        stage.exit(&db, 1).await;
        stage.until_alerts(1).await;
        stage.engine.remove(&db);
        if with_event {
            stage.happen(&db, EngineEventKind::Destroy).await;
            sleep(Duration::from_secs(1)).await;
        } else {
            sleep(INTERVAL).await;
        }
        let expected =
            ["db discovered", "db died 1", "db ALERT non_zero_exit", "db RECOVERED Removed", "db removed"];
        assert_eq!(stage.story().await, expected);
        sleep(INTERVAL * 3).await;
        assert_eq!(stage.story().await, expected);
        monitor.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_figure_that_stays_high_is_an_alert_with_its_trend() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    for _poll in 0..4 {
        let engine = stage.engine().await;
        let counters = Counters {
            read_at: engine.now(),
            memory_bytes: Some(980),
            memory_limit_bytes: Some(1_000),
            ..Counters::default()
        };
        engine.set_counters(&db, counters);
        sleep(INTERVAL).await;
    }
    assert_eq!(stage.story().await, ["db discovered", "db ALERT high_memory"]);
    let alert = &stage.alerts().await[0].1;
    assert!(!alert.evidence.trend.is_empty());
    assert_eq!(alert.sample.memory_bytes, Some(980));
    assert_eq!(stage.events(EventType::ContainerSample).await.len(), 5);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn evidence_has_the_end_of_the_log_and_what_changed_and_no_secrets() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let mut lines: Vec<_> = (0..50).map(|n| format!("line {n}")).collect();
    lines.push("connecting with password=hunter2 to postgres://app:hunter2@db/app".to_owned());
    stage.engine.set_log(&db, lines);
    stage.engine.update(&db, |inspection| {
        inspection.health_output = Some("token: hunter2".to_owned());
        inspection.error = Some("env SECRET_KEY=hunter2 is bad".to_owned());
    });
    let monitor = stage.watched("a").await;
    stage.happen(&db, EngineEventKind::Kill { signal: 1 }).await;
    stage.exit(&db, 1).await;
    stage.until_alerts(1).await;
    let (event, alert) = stage.alerts().await.remove(0);
    let stored = hemostat_event::codec::encode(&event);
    assert!(!String::from_utf8_lossy(&stored).contains("hunter2"));
    assert!(4 <= alert.evidence.redactions, "{}", alert.evidence.redactions);
    let text = |kind| {
        let of_kind = alert.evidence.items.iter().filter(move |item| item.kind == kind);
        of_kind.map(|item| item.text.clone()).collect::<Vec<_>>().join("\n")
    };
    assert!(text(EvidenceKind::LogTail).starts_with("line 21\n"), "{}", text(EvidenceKind::LogTail));
    assert!(text(EvidenceKind::Inspection).contains("image: db:1"));
    let changes = text(EvidenceKind::RecentChange);
    assert!(changes.contains("was sent signal 1") && changes.contains("exit code 1"), "{changes}");
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_dies_again_and_again_is_a_restart_loop() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    for _death in 0..3 {
        stage.exit(&db, 1).await;
        sleep(Duration::from_secs(2)).await;
        stage.start(&db).await;
        sleep(Duration::from_secs(2)).await;
    }
    let story = stage.story().await;
    assert!(story.contains(&"db ALERT non_zero_exit,restart_loop".to_owned()), "{story:?}");
    assert_eq!(story.iter().filter(|event| *event == "db died 1").count(), 3);
    let incidents: std::collections::BTreeSet<_> =
        stage.alerts().await.iter().map(|(event, _)| event.envelope.incident).collect();
    assert_eq!(incidents.len(), 1);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_stored_state_is_the_fold_of_the_events() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    stage.exit(&db, 1).await;
    sleep(Duration::from_secs(2)).await;
    stage.start(&db).await;
    sleep(INTERVAL * 10).await;
    let mut folded = hemostat_core::detect::State::default();
    let mut events = stage.events(EventType::ContainerChanged).await;
    events.extend(stage.events(EventType::HealthAlert).await);
    events.extend(stage.events(EventType::HealthRecovered).await);
    // In the order of the log: stable, and of one moment the change comes before the alert.
    events.sort_by_key(|event| event.envelope.time);
    events.iter().for_each(|event| hemostat_core::detect::fold(&mut folded, event));
    let states = stage.log.load_host(hemostat_event::Role::Monitor, &host()).await.unwrap();
    let [(subject, stored)] = states.as_slice() else { panic!("one state: {states:?}") };
    assert_eq!((subject.name(), stored.version), ("db", events.len() as u64));
    assert_eq!(rmp_serde::from_slice::<hemostat_core::detect::State>(&stored.bytes).unwrap(), folded);
    monitor.stop().await;
}
