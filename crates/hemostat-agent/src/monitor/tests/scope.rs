//! Which containers are watched, and under which name.

use std::time::Duration;

use futures_util::FutureExt;
use hemostat_core::engine::EngineEventKind;
use hemostat_event::EventType;
use tokio::time::sleep;

use super::rig::*;

#[tokio::test(start_paused = true)]
async fn excluded_containers_and_its_own_are_left_alone() {
    let stage = Stage::new();
    let own = stage.run(1, "hemostat").await;
    let other = stage.run(2, "scratch-7").await;
    let db = stage.run(3, "db").await;
    let journal = Journal::default();
    let calls = Journal::clone(&journal);
    let engine = Hooked::over(&stage.engine, move |request, id| {
        calls.lock().unwrap().push((request, id.cloned()));
        async {}.boxed()
    });
    let log = std::sync::Arc::new(stage.log.clone());
    let monitor = Watching::start(engine, log, "a", |settings| {
        settings.own_container = Some(own.clone());
        settings.exclude = vec!["scratch-*".to_owned()];
    });
    sleep(INTERVAL * 3).await;
    for id in [&own, &other, &db] {
        stage.exit(id, 1).await;
    }
    sleep(INTERVAL * 3).await;
    assert_eq!(stage.story().await, ["db discovered", "db died 1", "db ALERT non_zero_exit"]);
    let samples = stage.events(EventType::ContainerSample).await;
    assert!(samples.iter().all(|sample| sample.envelope.subject.as_ref().unwrap().name() == "db"));
    let asked = |id| journal.lock().unwrap().iter().filter(|(_, about)| about.as_ref() == Some(id)).count();
    assert_eq!((asked(&own), asked(&other)), (0, 1), "one look tells the name");
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn where_some_are_named_no_others_are_watched() {
    let stage = Stage::new();
    let (demo, db) = (stage.run(1, "demo-1").await, stage.run(2, "db").await);
    let log = std::sync::Arc::new(stage.log.clone());
    let engine = std::sync::Arc::new(stage.engine.clone());
    let monitor = Watching::start(engine, log, "a", |settings| settings.only = vec!["demo-*".to_owned()]);
    sleep(INTERVAL * 3).await;
    for id in [&demo, &db] {
        stage.exit(id, 1).await;
    }
    sleep(INTERVAL * 3).await;
    assert_eq!(stage.story().await, ["demo-1 discovered", "demo-1 died 1", "demo-1 ALERT non_zero_exit"]);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_renamed_container_is_another_subject_and_the_incident_of_the_old_one_is_closed() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    stage.exit(&db, 1).await;
    stage.until_alerts(1).await;
    stage.engine.update(&db, |inspection| inspection.name = "db-old".to_owned());
    stage.happen(&db, EngineEventKind::Rename).await;
    sleep(Duration::from_secs(1)).await;
    let story = stage.story().await;
    assert_eq!(story[3..], ["db RECOVERED Removed", "db removed", "db-old discovered"], "{story:?}");
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_made_anew_under_its_name_goes_on_as_the_same_subject() {
    let stage = Stage::new();
    let old = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    stage.exit(&old, 0).await;
    stage.engine.remove(&old);
    stage.happen(&old, EngineEventKind::Destroy).await;
    let new = stage.run(2, "db").await;
    stage.start(&new).await;
    sleep(INTERVAL * 2).await;
    stage.exit(&new, 1).await;
    stage.until_alerts(1).await;
    assert_eq!(stage.alerts().await[0].1.container.id, new);
    let story = stage.story().await;
    assert!(!story.iter().any(|event| event.contains("RECOVERED")), "{story:?}");
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_comes_while_the_engine_lists_is_not_taken_for_gone() {
    let stage = Stage::new();
    let engine = Hooked::over(&stage.engine, |request, _| {
        sleep(if request == "list" { Duration::from_secs(5) } else { Duration::ZERO }).boxed()
    });
    let log = std::sync::Arc::new(stage.log.clone());
    let monitor = Watching::start(engine, log, "a", |_| {});
    sleep(INTERVAL + Duration::from_secs(2)).await;
    let db = stage.run(1, "db").await;
    stage.start(&db).await;
    sleep(INTERVAL * 2).await;
    assert_eq!(stage.story().await, ["db discovered", "db started"]);
    monitor.stop().await;
}
