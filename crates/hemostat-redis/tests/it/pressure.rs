//! A Redis near its `maxmemory`: alerts and decisions go on while samples are shed, and sampling resumes.

use std::sync::Arc;
use std::time::Duration;

use hemostat_agent::clock::LogClock;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::log::{EventLog, Pressure, StreamName};
use hemostat_agent::memory::containers::MemoryContainers;
use hemostat_agent::monitor::{self, Monitor};
use hemostat_agent::perform::Consulting;
use hemostat_agent::run::{self, Agent};
use hemostat_agent::telemetry::Telemetry;
use hemostat_core::detect;
use hemostat_core::diagnose::{self, Analyzer};
use hemostat_core::labels::PolicyDefaults;
use hemostat_event::{ContainerId, Data, EventType, Gap, Mode};
use hemostat_redis::testing::TestRedis;
use tokio_util::sync::CancellationToken;

use crate::given::{PARTITION, eventually, host};

const INTERVAL: Duration = Duration::from_millis(100);
/// Fills the server, so that what connections take is little beside it.
const BALLAST: &str = "40000000";

#[tokio::test]
async fn alerts_and_plans_go_on_while_samples_are_shed_and_sampling_resumes() {
    let redis = TestRedis::start().await.expect("a throw-away Redis");
    redis.command::<i64>(&["SETRANGE", "ballast", BALLAST, "x"]).await.expect("Redis answers");
    let log: Arc<dyn EventLog> = Arc::new(redis.log().await.expect("the log can be opened"));
    let engine = MemoryContainers::new(log.now().await.expect("the log answers"));
    let web = engine.run(1, "web");
    let db = engine.run(2, "db");
    let (stop, telemetry) = (CancellationToken::new(), Arc::new(Telemetry::new("test")));
    let monitor = tokio::spawn(monitor(&log, &engine, &telemetry).run(stop.clone()));
    let analyzer = tokio::spawn(analyzer(&log, &telemetry).run(stop.clone()));
    eventually("the first samples", || async { (!samples(&log).await.is_empty()).then_some(()) }).await;

    limit(&redis, &log, 0.9).await;
    eventually("samples are shed", || async { (shed(&telemetry) >= 4.0).then_some(()) }).await;
    let before = samples(&log).await.len();
    alert_and_plan(&log, &engine, &web, 1).await;
    let more = shed(&telemetry);
    eventually("more are shed", || async { (shed(&telemetry) > more + 4.0).then_some(()) }).await;
    assert_eq!(samples(&log).await.len(), before, "no sample was written meanwhile");

    // Full to the brim: decisions wait for room, and none is lost.
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1000"]).await.expect("Redis answers");
    let at = engine.exit(&db, 1);
    let errors = log_errors(&telemetry);
    eventually("the alert is refused", || async { (log_errors(&telemetry) > errors).then_some(()) }).await;
    assert!(engine.now() <= at + Duration::from_secs(1));
    assert_eq!(count(&log, EventType::HealthAlert).await, 1);

    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await.expect("Redis answers");
    eventually("the alert is there", || async {
        (count(&log, EventType::HealthAlert).await == 2).then_some(())
    })
    .await;
    let gaps = eventually("samples tell what is missing", || async {
        let gaps: Vec<Gap> = samples(&log).await.into_iter().flatten().collect();
        (gaps.len() == 2).then_some(gaps)
    })
    .await;
    assert!(gaps.iter().all(|gap| gap.samples >= 2), "{gaps:?}");
    stop.cancel();
    monitor.await.expect("it ends").expect("the log did not refuse");
    analyzer.await.expect("it ends").expect("the log did not refuse");
    let told: u64 = gaps.iter().map(|gap| gap.samples).sum();
    assert!(told as f64 <= shed(&telemetry), "{gaps:?}");
}

/// Lets a container die and waits for what follows.
async fn alert_and_plan(log: &Arc<dyn EventLog>, engine: &MemoryContainers, id: &ContainerId, alerts: usize) {
    engine.exit(id, 1);
    eventually("alert and plan", || async {
        let there = count(log, EventType::HealthAlert).await == alerts
            && !all(log, &StreamName::Plans(host())).await.is_empty();
        there.then_some(())
    })
    .await;
}

/// Sets `maxmemory` so that this share of it is in use.
async fn limit(redis: &TestRedis, log: &Arc<dyn EventLog>, share: f64) {
    let used = log.pressure(PARTITION).await.expect("the log answers").used;
    let limit = (used as f64 / share).round().to_string();
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", &limit]).await.expect("Redis answers");
    let now = log.pressure(PARTITION).await.expect("the log answers").share();
    assert!((Pressure::HIGH..0.95).contains(&now), "{now}");
}

async fn all(log: &Arc<dyn EventLog>, stream: &StreamName) -> Vec<Data> {
    let after = hemostat_agent::log::EntryId::ZERO;
    let entries = log.range(PARTITION, stream, after, 10_000).await.expect("the log answers");
    entries.into_iter().map(|entry| entry.event.expect("it is an event").data).collect()
}

async fn count(log: &Arc<dyn EventLog>, kind: EventType) -> usize {
    all(log, &StreamName::Type(kind)).await.len()
}

/// What each sample says of those before it.
async fn samples(log: &Arc<dyn EventLog>) -> Vec<Option<Gap>> {
    let samples = all(log, &StreamName::Type(EventType::ContainerSample)).await.into_iter();
    let gap = |data| match data {
        Data::ContainerSample(sample) => sample.gap,
        other => panic!("{other:?} among the samples"),
    };
    samples.map(gap).collect()
}

fn metric(telemetry: &Telemetry, name: &str) -> f64 {
    let families = telemetry.registry().gather();
    let found = families.iter().find(|family| family.name() == name);
    found.map_or(0.0, |family| family.get_metric().iter().map(|m| m.get_counter().get_value()).sum())
}

fn shed(telemetry: &Telemetry) -> f64 {
    metric(telemetry, "hemostat_samples_shed_total")
}

fn log_errors(telemetry: &Telemetry) -> f64 {
    metric(telemetry, "hemostat_log_errors_total")
}

fn monitor(log: &Arc<dyn EventLog>, engine: &MemoryContainers, telemetry: &Arc<Telemetry>) -> Monitor {
    Monitor {
        engine: Arc::new(engine.clone()),
        log: Arc::clone(log),
        clock: Arc::new(LogClock::new(Arc::clone(log))),
        settings: monitor::Settings {
            instance: "m-1".to_owned(),
            host: host(),
            interval: INTERVAL,
            disk_every: 10,
            concurrency: 4,
            detect: detect::Settings::default(),
            labels: PolicyDefaults { mode: Mode::Auto },
            exclude: Vec::new(),
            only: Vec::new(),
            own_container: None,
            lease: Duration::from_secs(9),
        },
        telemetry: Arc::clone(telemetry),
        tick: HealthBoard::new().part("monitor", INTERVAL),
    }
}

fn analyzer(log: &Arc<dyn EventLog>, telemetry: &Arc<Telemetry>) -> Agent<Analyzer, Consulting> {
    Agent {
        role: Analyzer { settings: diagnose::Settings::default() },
        performer: Consulting { diagnostician: None },
        log: Arc::clone(log),
        clock: Arc::new(LogClock::new(Arc::clone(log))),
        settings: run::Settings::new("a-1", host(), vec![StreamName::Type(EventType::HealthAlert)]),
        telemetry: Arc::clone(telemetry),
        tick: HealthBoard::new().part("analyzer", Duration::from_secs(5)),
    }
}
