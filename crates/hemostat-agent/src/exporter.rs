//! Reads the log along and shows what it comes to, as metrics.
//!
//! The exporter has no group and no state: it begins where [`Day::read_from`] says and reads to the end before it shows
//! anything, so two of them show the same, and one that was started again goes on where it was. Samples are read from
//! a few minutes back: of them only the latest counts.
//!
//! Invariants:
//! - E-1: what is shown is what [`Figures`] come to in log time; nothing depends on when the exporter started.
//! - E-2: before the end of the log was reached once, nothing of it is shown, and `hemostat_log_up` is 0. While the
//!   log is away, what was last known is shown until it is too old.
//! - E-3: a scrape holds the state for one metric at a time and never waits with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hemostat_core::project::metrics::{Day, Figures, Placed};
use hemostat_core::remediate::{Policy, State as Remediations};
use hemostat_event::{EventType, HostName, Role, Subject, Timestamp};
use prometheus::proto::MetricFamily;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::health::Tick;
use crate::log::{
    AgentPresence, Entry, EntryId, EventLog, GroupStatus, LogError, Operations, Partition, Pressure,
    StreamName,
};
use crate::tail::{PAGE, Tail};
use crate::telemetry::metric::Metric;
use crate::telemetry::{chain, names};

use self::family::Family;

mod containers;
mod counters;
mod family;
mod levels;
#[cfg(test)]
mod tests;

/// Time between two readings, when there is nothing more to read.
const POLL: Duration = Duration::from_secs(1);
/// Time between two looks at what is no event: agents, groups, memory.
const LOOK: Duration = Duration::from_secs(15);

/// What an exporter has to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Silence after which a container is not shown any more.
    pub silence: Duration,
    /// The responder's policy, which says until when cooldowns and breakers hold.
    pub policy: Policy,
}

/// Reads the log along and shows what it comes to.
pub struct Exporter {
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    figures: Figures,
    look: Look,
    /// Whether the end of the log was reached once.
    caught_up: bool,
    /// Whether the last request to the log was answered.
    up: bool,
    /// Log time of the last answer, and when that was.
    read: Option<(Timestamp, Instant)>,
}

/// What is asked of the log beside its events.
#[derive(Default)]
struct Look {
    agents: Vec<AgentPresence>,
    groups: Vec<GroupStatus>,
    pressures: Vec<(Partition, Pressure)>,
    operations: Operations,
    /// What the responder remembers of the containers it has acted on.
    remediations: BTreeMap<Subject, Remediations>,
}

impl Exporter {
    /// One that has read nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: Mutex::default() }
    }

    /// Reads until `stop` is cancelled. A log that is away is waited for.
    pub async fn run(&self, log: Arc<dyn EventLog>, tick: Tick, stop: CancellationToken) {
        let mut reading = Reading { tail: None, looked: None };
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            tick.tick();
            let step = stop.run_until_cancelled(self.step(&log, &mut reading)).await;
            match step {
                None => return,
                Some(Ok(more)) => {
                    if 0 < failures {
                        info!("the event log is back");
                    }
                    failures = 0;
                    if more {
                        continue;
                    }
                    tick.ready(true, "reading the log");
                }
                Some(Err(error)) => {
                    self.lock().up = false;
                    failures = failures.saturating_add(1);
                    tick.ready(false, "the event log is away");
                    if failures == 1 {
                        warn!(error = chain(&error), "the event log is away; waiting for it");
                    } else {
                        debug!(error = chain(&error), failures, "the event log is still away");
                    }
                }
            }
            let _stopped = timeout(POLL, stop.cancelled()).await;
        }
    }

    /// Reads once; whether there is more to read.
    async fn step(&self, log: &Arc<dyn EventLog>, reading: &mut Reading) -> Result<bool, LogError> {
        let now = log.now().await?;
        let tail = reading.tail.get_or_insert_with(|| self.begin(log, now));
        let entries = tail.next().await?;
        // Where many containers are sampled there is always something; fewer than a page is the end.
        let more = PAGE <= entries.len();
        {
            let mut state = self.lock();
            entries.iter().for_each(|entry| take_in(&mut state.figures, entry));
            state.read = Some((now, Instant::now()));
        }
        if !more && reading.looked.is_none_or(|looked| LOOK <= looked.elapsed()) {
            let look = self.look(log.as_ref(), now).await?;
            reading.looked = Some(Instant::now());
            let mut state = self.lock();
            state.look = look;
            state.figures.forget(now, self.settings.silence);
            if !state.caught_up {
                info!(counting_since = %Day::shown_at(now).begin(), "the log is read to its end");
            }
            state.caught_up = true;
        }
        self.lock().up = true;
        Ok(more)
    }

    fn begin(&self, log: &Arc<dyn EventLog>, now: Timestamp) -> Tail {
        let mut tail = Tail::new(Arc::clone(log), Some(Day::read_from(now)), Vec::new());
        let samples = EntryId { ms: (now - self.settings.silence).millis(), n: 0 };
        for partition in log.partitions() {
            tail.resume(partition, [(StreamName::Type(EventType::ContainerSample), samples)]);
        }
        tail
    }

    async fn look(&self, log: &dyn EventLog, now: Timestamp) -> Result<Look, LogError> {
        let mut look = Look {
            agents: log.agents().await?,
            groups: log.groups().await?,
            operations: log.operations().await?,
            ..Look::default()
        };
        for partition in log.partitions() {
            look.pressures.push((partition, log.pressure(partition).await?));
        }
        let hosts: BTreeSet<HostName> = {
            let state = self.lock();
            state.figures.present(now, self.settings.silence).map(|(subject, _)| subject.host()).collect()
        };
        for host in hosts {
            for (subject, versioned) in log.load_host(Role::Responder, &host).await? {
                // A state that a later version wrote in another form says nothing here.
                if let Ok(state) = rmp_serde::from_slice(&versioned.bytes) {
                    look.remediations.insert(subject, state);
                }
            }
        }
        Ok(look)
    }

    /// Hands out every metric that has a value, one after the other, until `put` wants no more.
    pub fn each(&self, put: &mut dyn FnMut(MetricFamily) -> bool) {
        let now = Instant::now();
        for part in levels::PARTS.iter().chain(containers::PARTS).chain(counters::PARTS) {
            let mut family = Family::new(part.0);
            {
                let state = self.lock();
                let view = state.view(now, &self.settings);
                // E-2: until then only what says so.
                if state.caught_up || part.0 == names::LOG_UP {
                    (part.1)(&view, &mut family);
                }
            }
            if let Some(family) = family.close()
                && !put(family)
            {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far the exporter has come.
struct Reading {
    tail: Option<Tail>,
    looked: Option<Instant>,
}

/// A metric, and how it comes to its values.
type Part = (Metric, fn(&View<'_>, &mut Family));

/// What is known at a moment.
struct View<'a> {
    now: Timestamp,
    read: Timestamp,
    up: bool,
    silence: Duration,
    policy: &'a Policy,
    figures: &'a Figures,
    look: &'a Look,
}

impl State {
    fn view<'a>(&'a self, at: Instant, settings: &'a Settings) -> View<'a> {
        let (read, since) = self.read.map_or((Timestamp::default(), Duration::ZERO), |(time, answered)| {
            (time, at.saturating_duration_since(answered))
        });
        View {
            now: read + since,
            read,
            up: self.up && self.caught_up,
            silence: settings.silence,
            policy: &settings.policy,
            figures: &self.figures,
            look: &self.look,
        }
    }
}

fn take_in(figures: &mut Figures, entry: &Entry) {
    let placed = Placed { at: entry.at.id.time(), partition: entry.at.partition.0 };
    match &entry.event {
        // An event that is handed to a group once more is the same event.
        Ok(_) if entry.redrive.is_some() => {}
        Ok(event) => figures.fold(event, placed),
        // Of samples only the latest are read.
        Err(_) if entry.at.stream.event_type() == EventType::ContainerSample => {}
        Err(_) => figures.unreadable(placed),
    }
}
