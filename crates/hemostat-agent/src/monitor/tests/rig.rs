//! An engine, a log and monitors, and what is needed to read what they wrote.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use hemostat_core::detect;
use hemostat_core::engine::{Counters, EngineEvent, EngineEventKind, EngineInfo, Inspection};
use hemostat_core::labels::PolicyDefaults;
use hemostat_event::{
    AnomalyKind, Change, ContainerId, Data, Event, EventType, HealthAlert, HostName, RunState, Timestamp,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::clock::LogClock;
use crate::containers::{Containers, EngineError};
use crate::health::{HealthBoard, HealthSource, PartReport};
use crate::log::{EntryId, EventLog, LogError, StreamName};
use crate::memory::containers::MemoryContainers;
use crate::memory::log::MemoryLog;
use crate::monitor::{Monitor, Settings};
use crate::tail::Tail;
use crate::telemetry::Telemetry;

pub(super) const INTERVAL: Duration = Duration::from_secs(30);
pub(super) const LEASE: Duration = Duration::from_secs(9);

/// An engine and a log whose clocks go together.
pub(super) struct Stage {
    pub(super) engine: MemoryContainers,
    pub(super) log: MemoryLog,
}

impl Stage {
    pub(super) fn new() -> Self {
        let start = Timestamp::from_millis(1_700_000_000_000);
        Self { engine: MemoryContainers::new(start), log: MemoryLog::new(1, start) }
    }

    /// The engine, its clock set to log time.
    pub(super) async fn engine(&self) -> &MemoryContainers {
        let now = self.log.now().await.expect("the log is there");
        self.engine.advance(now.since(self.engine.now()));
        &self.engine
    }

    /// A container that runs, without an event.
    pub(super) async fn run(&self, n: u64, name: &str) -> ContainerId {
        self.engine().await.run(n, name)
    }

    pub(super) async fn exit(&self, id: &ContainerId, code: i64) -> Timestamp {
        self.engine().await.exit(id, code)
    }

    pub(super) async fn happen(&self, id: &ContainerId, kind: EngineEventKind) -> Timestamp {
        self.engine().await.happen(id, kind)
    }

    /// Starts a container that has ended, with its event.
    pub(super) async fn start(&self, id: &ContainerId) {
        let at = self.happen(id, EngineEventKind::Start).await;
        self.engine.update(id, |inspection| {
            inspection.state = RunState::Running;
            inspection.started_at = Some(at);
            inspection.exit_code = None;
        });
    }

    /// A monitor on the stage's engine and log.
    pub(super) fn monitor(&self, name: &str) -> Watching {
        self.monitor_with(name, |_| {})
    }

    pub(super) fn monitor_with(&self, name: &str, change: impl FnOnce(&mut Settings)) -> Watching {
        Watching::start(Arc::new(self.engine.clone()), Arc::new(self.log.clone()), name, change)
    }

    /// A monitor that has done its first poll.
    pub(super) async fn watched(&self, name: &str) -> Watching {
        let monitor = self.monitor(name);
        until("the first poll", || async { monitor.report().ready }).await;
        sleep(Duration::from_millis(100)).await;
        monitor
    }

    /// All decision events in the order of the log, in words.
    pub(super) async fn story(&self) -> Vec<String> {
        let mut tail = Tail::new(Arc::new(self.log.clone()), None, vec![EventType::ContainerSample]);
        let entries = tail.next().await.expect("the log is there");
        entries.into_iter().map(|entry| words(&entry.event.expect("it is an event"))).collect()
    }

    pub(super) async fn alerts(&self) -> Vec<(Event, HealthAlert)> {
        let events = self.events(EventType::HealthAlert).await.into_iter();
        let alert = |event: Event| match &event.data {
            Data::HealthAlert(alert) => (event.clone(), alert.clone()),
            other => panic!("{other:?} among the alerts"),
        };
        events.map(alert).collect()
    }

    pub(super) async fn events(&self, kind: EventType) -> Vec<Event> {
        let (partition, stream) = (self.log.partition_of(&host()), StreamName::Type(kind));
        let entries =
            self.log.range(partition, &stream, EntryId::ZERO, 10_000).await.expect("the log is there");
        entries.into_iter().map(|entry| entry.event.expect("it is an event")).collect()
    }

    pub(super) async fn until_alerts(&self, count: usize) {
        until("the alerts", || async { self.alerts().await.len() == count }).await;
    }
}

/// A running monitor.
pub(super) struct Watching {
    task: JoinHandle<Result<(), LogError>>,
    pub(super) stop: CancellationToken,
    board: HealthBoard,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Watching {
    pub(super) fn start(
        engine: Arc<dyn Containers>,
        log: Arc<dyn EventLog>,
        name: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let (stop, board, telemetry) =
            (CancellationToken::new(), HealthBoard::new(), Arc::new(Telemetry::new("test")));
        let mut settings = Settings {
            instance: name.to_owned(),
            host: host(),
            interval: INTERVAL,
            disk_every: 10,
            concurrency: 4,
            detect: detect::Settings::default(),
            labels: PolicyDefaults::default(),
            exclude: Vec::new(),
            only: Vec::new(),
            own_container: None,
            lease: LEASE,
        };
        change(&mut settings);
        let monitor = Monitor {
            engine,
            clock: Arc::new(LogClock::new(Arc::clone(&log))),
            log,
            settings,
            telemetry: Arc::clone(&telemetry),
            tick: board.part("monitor", INTERVAL),
        };
        Self { task: tokio::spawn(monitor.run(stop.clone())), stop, board, telemetry }
    }

    pub(super) fn report(&self) -> PartReport {
        self.board.report().parts.remove(0)
    }

    /// Stops it and waits for its end; the time that took.
    pub(super) async fn stop(self) -> Duration {
        let began = Instant::now();
        self.stop.cancel();
        self.task.await.expect("the monitor does not panic").expect("the log does not refuse");
        began.elapsed()
    }

    /// Ends it where it is, as when its process is killed.
    pub(super) async fn kill(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "the monitor was still running");
    }

    /// The sum of a metric over its labels.
    pub(super) fn metric(&self, of: crate::telemetry::metric::Metric) -> f64 {
        let families = self.telemetry.registry().gather();
        let family = families.iter().find(|family| family.name() == of.name).expect("the metric was counted");
        family.get_metric().iter().map(|metric| metric.get_counter().get_value()).sum()
    }
}

/// What is done before a request to the engine: gets its name and the container.
type Before = dyn Fn(&'static str, Option<&ContainerId>) -> BoxFuture<'static, ()> + Send + Sync;

/// An engine that does something before a request.
pub(super) struct Hooked {
    engine: MemoryContainers,
    before: Box<Before>,
}

impl Hooked {
    pub(super) fn over<F>(engine: &MemoryContainers, before: F) -> Arc<dyn Containers>
    where
        F: Fn(&'static str, Option<&ContainerId>) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        Arc::new(Self { engine: engine.clone(), before: Box::new(before) })
    }
}

#[async_trait]
impl Containers for Hooked {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        (self.before)("info", None).await;
        self.engine.info().await
    }

    async fn list(&self) -> Result<Vec<ContainerId>, EngineError> {
        // What is listed is what there was when the engine was asked, however late it answers.
        let listed = self.engine.list().await;
        (self.before)("list", None).await;
        listed
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspection, EngineError> {
        (self.before)("inspect", Some(id)).await;
        self.engine.inspect(id).await
    }

    async fn counters(&self, id: &ContainerId) -> Result<Counters, EngineError> {
        (self.before)("counters", Some(id)).await;
        self.engine.counters(id).await
    }

    async fn disk_usage(&self) -> Result<Vec<(ContainerId, u64)>, EngineError> {
        (self.before)("disk_usage", None).await;
        self.engine.disk_usage().await
    }

    async fn log_tail(&self, id: &ContainerId, lines: usize) -> Result<String, EngineError> {
        (self.before)("log_tail", Some(id)).await;
        self.engine.log_tail(id, lines).await
    }

    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        self.engine.events(since)
    }

    async fn restart(&self, id: &ContainerId, stop_timeout_secs: Option<u32>) -> Result<(), EngineError> {
        self.engine.restart(id, stop_timeout_secs).await
    }
}

/// Requests to the engine that were counted, by name.
pub(super) type Journal = Arc<Mutex<Vec<(&'static str, Option<ContainerId>)>>>;

pub(super) fn host() -> HostName {
    HostName::new("web-1").expect("a word is a host name")
}

/// Waits, in the time of the stopped clock, until `seen` is.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, seen: impl Fn() -> F) {
    let began = Instant::now();
    while !seen().await {
        assert!(began.elapsed() < Duration::from_secs(900), "{what}: not seen within a quarter of an hour");
        sleep(Duration::from_millis(5)).await;
    }
}

/// An event in a few words: the container and what happened.
fn words(event: &Event) -> String {
    let name = event.envelope.subject.as_ref().map_or("-", |subject| subject.name());
    let what = match &event.data {
        Data::ContainerChanged(changed) => match &changed.change {
            Change::Discovered { .. } => "discovered".to_owned(),
            Change::Started => "started".to_owned(),
            Change::Stopped { exit_code } => format!("stopped {exit_code}"),
            Change::Died { exit_code } => format!("died {exit_code}"),
            Change::OomKilled => "oom".to_owned(),
            Change::HealthChanged { health } => format!("{health:?}").to_lowercase(),
            Change::Paused { paused } => format!("paused {paused}"),
            Change::Removed => "removed".to_owned(),
        },
        Data::HealthAlert(alert) => {
            let kinds: Vec<_> =
                alert.anomalies.iter().map(|anomaly| anomaly.kind).map(AnomalyKind::as_str).collect();
            format!("ALERT {}", kinds.join(","))
        }
        Data::HealthRecovered(recovered) => format!("RECOVERED {:?}", recovered.reason).replace('"', ""),
        other => format!("{}", other.event_type()),
    };
    format!("{name} {what}")
}
