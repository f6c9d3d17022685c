//! The replicas that run: each with its line, its name, and the real agent behind it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hemostat_agent::clock::LogClock;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::log::{EventLog, LogError, StreamName};
use hemostat_agent::monitor::{self, Monitor};
use hemostat_agent::notifier::Notifier;
use hemostat_agent::perform::{Acting, Consulting, Telling};
use hemostat_agent::run::{self, Agent, Perform};
use hemostat_agent::telemetry::Telemetry;
use hemostat_core::diagnose::Analyzer;
use hemostat_core::labels::PolicyDefaults;
use hemostat_core::notify::{self, Alerter};
use hemostat_core::remediate::Responder;
use hemostat_core::role::Decide;
use hemostat_event::{EventType, HostName, Role};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::hands::{Engine, Pager};
use super::network::{Client, Line};
use super::random::Random;
use super::stage::Stage;

/// What a replica does, and on which host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) role: Role,
    pub(super) host: usize,
}

/// A running replica.
pub(super) struct Replica {
    pub(super) part: Part,
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) line: Arc<Line>,
    task: JoinHandle<Result<(), LogError>>,
    stop: CancellationToken,
}

/// Streams of the alert agent.
pub(super) const NEWS: [EventType; 4] = [
    EventType::RemediationComplete,
    EventType::RemediationVerified,
    EventType::HealthRecovered,
    EventType::DeadLetter,
];

/// What operators would see; nobody looks.
static TELEMETRY: LazyLock<Arc<Telemetry>> = LazyLock::new(|| Arc::new(Telemetry::new("simulation")));

/// How long the lease of an engine lasts: as in the binary.
pub(super) const MONITOR_LEASE: Duration = Duration::from_secs(9);

impl Replica {
    /// Starts a replica.
    pub(super) fn start(stage: &Arc<Stage>, part: Part, name: String, number: u32, random: Random) -> Self {
        let line = Line::new(stage, number, random);
        let stop = CancellationToken::new();
        let log: Arc<dyn EventLog> = Arc::new(Client(Arc::clone(&line)));
        let shared =
            Shared { clock: Arc::new(LogClock::new(Arc::clone(&log))), log, line: &line, name: &name };
        let host = stage.scenario.hosts[part.host].clone();
        let task = match part.role {
            Role::Monitor => tokio::spawn(shared.monitor(part.host, host).run(stop.clone())),
            Role::Analyzer => {
                let role = Analyzer { settings: stage.scenario.analyzer.clone() };
                let streams = vec![StreamName::Type(EventType::HealthAlert)];
                let agent = shared.agent(role, Consulting { diagnostician: None }, host, streams);
                tokio::spawn(agent.run(stop.clone()))
            }
            Role::Responder => {
                let role = Responder { policy: stage.scenario.policy.clone() };
                let engine = Arc::new(Engine { line: Arc::clone(&line), host: part.host });
                let performer = Acting { engine, telemetry: Arc::clone(&TELEMETRY) };
                let streams = vec![StreamName::Plans(host.clone())];
                tokio::spawn(shared.agent(role, performer, host, streams).run(stop.clone()))
            }
            Role::Alert => {
                let performer = Telling::new(stage.scenario.channels.iter().map(|channel| {
                    let pager = Pager { line: Arc::clone(&line), channel: *channel };
                    Arc::new(pager) as Arc<dyn Notifier>
                }));
                let channels = performer.channels();
                let role = Alerter { settings: notify::Settings { channels, dedup_window: DEDUP } };
                let agent = shared.agent(role, performer, host, NEWS.map(StreamName::Type).to_vec());
                tokio::spawn(agent.run(stop.clone()))
            }
            Role::Operator | Role::Archiver | Role::Bridge => unreachable!("nobody plays them"),
        };
        Self { part, name, number, line, task, stop }
    }

    /// Ends it where it is, as when its process is killed; what came of it when it had ended before.
    pub(super) async fn kill(self) -> Option<String> {
        self.task.abort();
        match self.task.await {
            Err(error) if error.is_cancelled() => None,
            Err(error) => Some(format!("{} panicked: {error}", self.name)),
            Ok(end) => Some(format!("{} ended by itself: {end:?}", self.name)),
        }
    }

    /// Asks it to stop and waits for its end; what is wrong with that.
    pub(super) async fn stop(self) -> Option<String> {
        self.stop.cancel();
        match timeout(STOPS_WITHIN, self.task).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(format!("{} ended with an error: {error}", self.name)),
            Ok(Err(error)) => Some(format!("{} panicked: {error}", self.name)),
            Err(_elapsed) => Some(format!("{} did not stop within {STOPS_WITHIN:?}", self.name)),
        }
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

/// Longest time a stop may take, whatever hangs: the promise to operators, and what cuts off.
const STOPS_WITHIN: Duration = Duration::from_secs(3);
/// Time within which the same news is told once.
const DEDUP: Duration = Duration::from_secs(30);

/// What an agent is made of.
struct Shared<'a> {
    log: Arc<dyn EventLog>,
    clock: Arc<LogClock>,
    line: &'a Arc<Line>,
    name: &'a str,
}

impl Shared<'_> {
    fn monitor(self, number: usize, host: HostName) -> Monitor {
        let scenario = &self.line.stage.scenario;
        Monitor {
            engine: Arc::new(Engine { line: Arc::clone(self.line), host: number }),
            log: self.log,
            clock: self.clock,
            settings: monitor::Settings {
                instance: self.name.to_owned(),
                host,
                interval: scenario.poll,
                disk_every: 10,
                concurrency: 4,
                detect: scenario.detect.clone(),
                labels: PolicyDefaults::default(),
                exclude: Vec::new(),
                only: Vec::new(),
                own_container: None,
                lease: MONITOR_LEASE,
            },
            telemetry: Arc::clone(&TELEMETRY),
            tick: HealthBoard::new().part("monitor", scenario.poll),
        }
    }

    fn agent<D, P>(self, role: D, performer: P, host: HostName, streams: Vec<StreamName>) -> Agent<D, P>
    where
        D: Decide + Send + Sync + 'static,
        P: Perform<D> + 'static,
    {
        let scenario = &self.line.stage.scenario;
        Agent {
            role,
            performer,
            log: self.log,
            clock: self.clock,
            settings: run::Settings {
                claim_after: scenario.claim_after,
                attempts_max: scenario.attempts_max,
                // Looking more often finds a deadline sooner and costs simulated time.
                timer_interval: Duration::from_secs(4),
                ..run::Settings::new(self.name, host, streams)
            },
            telemetry: Arc::clone(&TELEMETRY),
            tick: HealthBoard::new().part(D::ROLE.as_str(), Duration::from_secs(5)),
        }
    }
}
