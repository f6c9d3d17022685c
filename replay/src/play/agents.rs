//! The agents that decide anew in a shadow: the real rules in the real run loop, with [`hands`](super::hands) that do
//! nothing. A monitor is not among them: what was seen is taken from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hemostat_agent::clock::LogClock;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::log::{EventLog, LogError, StreamName};
use hemostat_agent::perform::Consulting;
use hemostat_agent::run::{Agent, Perform, Settings};
use hemostat_agent::tail::Tail;
use hemostat_agent::telemetry::Telemetry;
use hemostat_core::replay::Rules;
use hemostat_core::role::Decide;
use hemostat_event::{Channel, Data, Event, EventId, EventType, HostName, Role};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::hands::{Acting, Hands, Telling};
use super::player::decides;

/// Longest wait for the agents to deal with what was played.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// Time between two looks at how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The agents of a shadow.
pub(super) struct Agents {
    log: Arc<dyn EventLog>,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), LogError>>,
    /// The streams that they read.
    reads: BTreeSet<(Role, StreamName)>,
}

/// What they have decided, beside what was recorded.
#[derive(Debug, Serialize)]
pub(super) struct Decided {
    /// By type.
    pub events: BTreeMap<EventType, Beside>,
    /// What they asked of the world, all of it answered from the recording.
    pub asked: BTreeMap<&'static str, u64>,
    /// Inputs that they had not dealt with in the end.
    pub unfinished: u64,
}

/// How many there are, and were.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Beside {
    /// In what was played.
    pub recorded: u64,
    /// In the shadow.
    pub decided: u64,
    /// Under the same id: an answer to the same input, whatever it says.
    pub same_input: u64,
}

impl Agents {
    /// Starts one of each role, and a responder for each host.
    pub(super) fn start(
        log: Arc<dyn EventLog>,
        mut rules: Rules,
        recorded: &[Event],
        hosts: BTreeSet<HostName>,
        hands: &Arc<Hands>,
    ) -> Self {
        if rules.alerter.settings.channels.is_empty() {
            rules.alerter.settings.channels = channels(recorded);
        }
        let mut agents =
            Self { log, stop: CancellationToken::new(), tasks: JoinSet::new(), reads: BTreeSet::new() };
        let Some(any) = hosts.first().cloned() else { return agents };
        let of = |kinds: &[EventType]| kinds.iter().copied().map(StreamName::Type).collect();
        let alerts = of(&[EventType::HealthAlert]);
        agents.spawn(rules.analyzer, Consulting { diagnostician: None }, any.clone(), alerts);
        for host in hosts {
            let plans = vec![StreamName::Plans(host.clone())];
            agents.spawn(rules.responder.clone(), Acting(Arc::clone(hands)), host, plans);
        }
        let news = of(&[
            EventType::RemediationComplete,
            EventType::RemediationVerified,
            EventType::HealthRecovered,
            EventType::DeadLetter,
        ]);
        agents.spawn(rules.alerter, Telling(Arc::clone(hands)), any, news);
        agents
    }

    fn spawn<D, P>(&mut self, role: D, performer: P, host: HostName, streams: Vec<StreamName>)
    where
        D: Decide + Send + Sync + 'static,
        P: Perform<D> + 'static,
    {
        let instance = format!("{}-shadow", D::ROLE);
        self.reads.extend(streams.iter().map(|stream| (D::ROLE, stream.clone())));
        let mut settings = Settings::new(instance.as_str(), host, streams);
        // Deadlines come by as fast as the log is played.
        settings.timer_interval = Duration::from_millis(20);
        let agent = Agent {
            role,
            performer,
            clock: Arc::new(LogClock::exact(Arc::clone(&self.log))),
            log: Arc::clone(&self.log),
            settings,
            telemetry: Arc::new(Telemetry::new(env!("CARGO_PKG_VERSION"))),
            tick: HealthBoard::new().part(instance, Duration::from_secs(5)),
        };
        self.tasks.spawn(agent.run(self.stop.clone()));
    }

    /// Waits until all of them listen.
    ///
    /// # Errors
    /// Those of the shadow, and when they do not in time.
    pub(super) async fn listen(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let groups = self.log.groups().await.context("failed to ask whether the agents listen")?;
            let found =
                groups.into_iter().filter(|group| group.exists).map(|group| (group.role, group.stream));
            if self.reads.is_subset(&found.collect()) {
                return Ok(());
            }
            if SETTLE_MAX <= began.elapsed() {
                bail!("the agents do not listen to the shadow");
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Ends them.
    ///
    /// # Errors
    /// When one of them ended before because the shadow refused it.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("an agent fell")?.context("an agent ended")?;
        }
        Ok(())
    }
}

/// Whether agents have something to do about an event that is played.
pub(super) fn is_input(kind: EventType) -> bool {
    matches!(kind, EventType::HealthAlert | EventType::HealthRecovered)
}

/// Waits until the groups of `shadow` have dealt with what is in it, within a limit, and answers with what is left.
///
/// # Errors
/// Those of the shadow.
pub(super) async fn settled(shadow: &dyn EventLog) -> anyhow::Result<u64> {
    let began = Instant::now();
    loop {
        let groups = shadow.groups().await.context("failed to ask how far the agents are")?;
        let left: u64 = groups.iter().map(|group| group.pending + group.unread.most).sum();
        if left == 0 || SETTLE_MAX <= began.elapsed() {
            return Ok(left);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What was decided in `shadow`, beside `recorded`.
///
/// # Errors
/// Those of the shadow.
pub(super) async fn decided(
    shadow: Arc<dyn EventLog>,
    recorded: &[Event],
    hands: &Hands,
    unfinished: u64,
) -> anyhow::Result<Decided> {
    let mut events: BTreeMap<EventType, Beside> = BTreeMap::new();
    let mut ids: BTreeSet<EventId> = BTreeSet::new();
    for event in recorded {
        events.entry(event.event_type()).or_default().recorded += 1;
        ids.insert(event.envelope.id);
    }
    let mut tail = Tail::new(shadow, None, vec![EventType::ContainerSample]);
    loop {
        let entries = tail.next().await.context("failed to read the shadow")?;
        if entries.is_empty() {
            break;
        }
        for event in entries.into_iter().filter_map(|entry| entry.event.ok()) {
            if decides(event.envelope.source.role) {
                let beside = events.entry(event.event_type()).or_default();
                beside.decided += 1;
                beside.same_input += u64::from(ids.contains(&event.envelope.id));
            }
        }
    }
    Ok(Decided { events, asked: hands.counts().into(), unfinished })
}

/// The channels that the log tells of.
fn channels(recorded: &[Event]) -> Vec<Channel> {
    let channels = recorded.iter().filter_map(|event| match &event.data {
        Data::Notification(notification) => Some(notification.channel),
        _ => None,
    });
    let channels: BTreeSet<_> = channels.collect();
    if channels.is_empty() { vec![Channel::Terminal] } else { channels.into_iter().collect() }
}

impl Decided {
    /// The figures in words.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .events
            .iter()
            .map(|(kind, beside)| {
                let Beside { recorded, decided, same_input } = beside;
                format!(
                    "{kind}: {decided} decided, {recorded} recorded, {same_input} in answer to the same input"
                )
            })
            .collect();
        let asked: Vec<_> = self.asked.iter().map(|(what, count)| format!("{count} {what}")).collect();
        lines.push(format!("answered from the recording: {}", asked.join(", ")));
        if 0 < self.unfinished {
            lines.push(format!("{} inputs were not dealt with in time", self.unfinished));
        }
        lines
    }
}
