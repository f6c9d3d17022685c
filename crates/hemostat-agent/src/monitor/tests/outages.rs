//! The engine or the log goes away, hangs, or is slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use hemostat_core::engine::EngineEventKind;
use hemostat_event::{Data, EventType, RunState};
use tokio::time::{Instant, sleep};

use super::rig::*;
use crate::interposed::Interposed;
use crate::log::EventLog;
use crate::memory::containers::Call;
use crate::telemetry::names;

const PROMISE: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn a_broken_event_stream_is_opened_where_it_broke_and_the_containers_are_listed() {
    let stage = Stage::new();
    let (db, web) = (stage.run(1, "db").await, stage.run(2, "web").await);
    let monitor = stage.watched("a").await;
    let seen = stage.exit(&web, 1).await;
    stage.until_alerts(1).await;
    stage.engine.forget_calls();
    stage.engine.break_events();
    stage.exit(&db, 2).await;
    stage.until_alerts(2).await;
    let reopened = |call: &Call| *call == Call::Events { since: seen };
    assert!(stage.engine.calls().iter().any(reopened), "{:?}", stage.engine.calls());
    until("a listing", || async { stage.engine.calls().contains(&Call::List) }).await;
    sleep(Duration::from_secs(10)).await;
    let story = stage.story().await;
    assert_eq!(story.iter().filter(|event| *event == "web died 1").count(), 1);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_forgot_during_a_break_is_found_by_listing() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    stage.engine.break_events();
    stage.engine.update(&db, |inspection| {
        inspection.state = RunState::Exited;
        inspection.exit_code = Some(1);
    });
    let web = stage.run(2, "web").await;
    sleep(INTERVAL + Duration::from_secs(1)).await;
    let story = stage.story().await;
    assert_eq!(story, ["db discovered", "web discovered", "db died 1", "db ALERT non_zero_exit"]);
    stage.exit(&web, 1).await;
    stage.until_alerts(2).await;
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_is_waited_for_at_the_start_and_later() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    stage.engine.set_down(true);
    let monitor = stage.monitor("a");
    sleep(Duration::from_secs(300)).await;
    assert_eq!(monitor.report().detail, "the container engine is away");
    assert!(monitor.report().live);
    let lease = stage.log.lease("engine:web-1", &host(), "other", Duration::from_secs(1)).await.unwrap();
    assert!(lease.is_some(), "a monitor that cannot watch must not keep others from it");
    sleep(Duration::from_secs(1)).await;
    stage.engine.set_down(false);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(monitor.report().detail, "1 containers");
    stage.engine.set_down(true);
    sleep(INTERVAL * 4).await;
    assert!(monitor.report().live && !monitor.report().ready, "{:?}", monitor.report());
    stage.engine.set_down(false);
    // Not as late as the next poll: the stream is opened again, and with it the containers are listed.
    sleep(Duration::from_secs(6)).await;
    assert!(monitor.report().ready, "{:?}", monitor.report());
    stage.exit(&db, 1).await;
    stage.until_alerts(1).await;
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_log_is_away_samples_are_shed_and_events_wait() {
    let stage = Stage::new();
    let (db, web) = (stage.run(1, "db").await, stage.run(2, "web").await);
    let monitor = stage.watched("a").await;
    let before = stage.events(EventType::ContainerSample).await.len();
    let died = {
        let engine = stage.engine().await;
        stage.log.set_down(true);
        sleep(Duration::from_secs(100)).await;
        engine.advance(Duration::from_secs(100));
        let died = engine.exit(&db, 137);
        sleep(Duration::from_secs(50)).await;
        // Waits behind the first death, which waits for the log.
        engine.advance(Duration::from_secs(50));
        engine.happen(&db, EngineEventKind::Start);
        engine.exit(&db, 3);
        sleep(Duration::from_secs(50)).await;
        died
    };
    assert_eq!(monitor.report().detail, "the event log is away");
    assert!(monitor.report().live);
    assert!(8.0 <= monitor.metric(names::SAMPLES_SHED), "{}", monitor.metric(names::SAMPLES_SHED));
    stage.log.set_down(false);
    sleep(Duration::from_secs(4)).await;
    // The lease had ended; nobody took it, and the monitor has followed the engine all the time.
    let story = stage.story().await;
    let expected =
        ["db died 137", "db ALERT non_zero_exit", "db started", "db died 3", "db ALERT non_zero_exit"];
    assert_eq!(story[2..], expected, "{story:?}");
    for event in stage.events(EventType::ContainerChanged).await {
        let Data::ContainerChanged(changed) = &event.data else { panic!("{event:?}") };
        let apart = event.envelope.time.since(changed.at);
        assert!(
            apart < Duration::from_secs(1),
            "log time is when it happened, not when it was written: {apart:?}"
        );
    }
    let (event, alert) = stage.alerts().await.remove(0);
    assert_eq!(alert.engine_event_at, Some(died));
    assert!(event.envelope.time.since(died) < Duration::from_secs(1), "{} {died}", event.envelope.time);
    assert!(monitor.report().ready, "{:?}", monitor.report());
    sleep(INTERVAL * 2).await;
    assert!(before < stage.events(EventType::ContainerSample).await.len());
    stage.exit(&web, 1).await;
    stage.until_alerts(3).await;
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn answers_of_the_log_that_are_lost_write_nothing_twice() {
    let stage = Stage::new();
    let db = stage.run(1, "db").await;
    let monitor = stage.watched("a").await;
    for n in 0..5 {
        stage.log.lose_answers(2);
        stage.exit(&db, 1).await;
        sleep(Duration::from_secs(3)).await;
        stage.start(&db).await;
        sleep(Duration::from_secs(3)).await;
        let story = stage.story().await;
        assert_eq!(story.iter().filter(|event| *event == "db died 1").count(), n + 1, "{story:?}");
    }
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_monitor_ends_in_time_whether_the_log_is_there_or_away_or_hangs() {
    for trouble in ["none", "away", "hangs"] {
        let stage = Stage::new();
        let db = stage.run(1, "db").await;
        let hangs = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&hangs);
        let log = Interposed::over(&stage.log, move |_| {
            let hangs = gate.load(Ordering::Relaxed);
            async move {
                if hangs {
                    sleep(Duration::from_secs(600)).await;
                }
                Ok(())
            }
            .boxed()
        });
        let monitor = Watching::start(Arc::new(stage.engine.clone()), log, "a", |_| {});
        until("the first poll", || async { monitor.report().ready }).await;
        hangs.store(trouble == "hangs", Ordering::Relaxed);
        stage.log.set_down(trouble == "away");
        stage.engine.exit(&db, 1);
        sleep(Duration::from_secs(40)).await;
        let took = monitor.stop().await;
        assert!(took < PROMISE, "{trouble}: {took:?}");
        if trouble == "none" {
            assert!(took < Duration::from_millis(100), "{took:?}");
            let lease = stage.log.lease("engine:web-1", &host(), "next", LEASE).await.unwrap();
            assert!(lease.is_some(), "the lease was given back");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_engine_delays_neither_other_containers_nor_the_lease() {
    let stage = Stage::new();
    let (db, slow) = (stage.run(1, "db").await, stage.run(2, "slow").await);
    let stuck = slow.clone();
    let engine = Hooked::over(&stage.engine, move |request, id| {
        let takes = match request {
            "disk_usage" => Duration::from_secs(600),
            "list" => Duration::from_secs(20),
            "counters" if id == Some(&stuck) => Duration::from_secs(600),
            "log_tail" => Duration::from_secs(30),
            _ => Duration::ZERO,
        };
        sleep(takes).boxed()
    });
    let monitor =
        Watching::start(engine, Arc::new(stage.log.clone()), "a", |settings| settings.disk_every = 1);
    sleep(Duration::from_secs(65)).await;
    let died = Instant::now();
    stage.exit(&db, 1).await;
    stage.until_alerts(1).await;
    // No longer than an alert waits for its log lines.
    assert!(died.elapsed() <= Duration::from_millis(160), "{:?}", died.elapsed());
    assert!(stage.log.lease("engine:web-1", &host(), "other", LEASE).await.unwrap().is_none());
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_waits_to_be_measured_has_its_events_handled_meanwhile() {
    let stage = Stage::new();
    let mut containers = Vec::new();
    for n in 0..20 {
        containers.push(stage.run(n, &format!("c{n}")).await);
    }
    let engine = Hooked::over(&stage.engine, |request, _| {
        sleep(if request == "counters" { Duration::from_secs(1) } else { Duration::ZERO }).boxed()
    });
    let monitor =
        Watching::start(engine, Arc::new(stage.log.clone()), "a", |settings| settings.concurrency = 1);
    sleep(INTERVAL + Duration::from_secs(1)).await;
    // In the middle of the second poll, which takes twenty seconds.
    let died = Instant::now();
    stage.exit(&containers[19], 1).await;
    stage.until_alerts(1).await;
    assert!(died.elapsed() <= Duration::from_millis(10), "{:?}", died.elapsed());
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_handling_panics_costs_nobody_else_its_watch() {
    let stage = Stage::new();
    let (db, broken) = (stage.run(1, "db").await, stage.run(2, "broken").await);
    let engine = Hooked::over(&stage.engine, move |request, id| {
        assert!(!(request == "inspect" && id == Some(&broken)), "a defect");
        async {}.boxed()
    });
    let monitor = Watching::start(engine, Arc::new(stage.log.clone()), "a", |_| {});
    sleep(INTERVAL * 2 + Duration::from_secs(1)).await;
    stage.exit(&db, 1).await;
    stage.until_alerts(1).await;
    // Once per poll.
    assert_eq!(monitor.metric(names::INPUT_FAILURES), 3.0);
    monitor.stop().await;
}
