//! What the log says afterwards: every promise, held to every event in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use hemostat_agent::log::{Entry, EntryId, EventLog, StreamName};
use hemostat_core::diagnose::Analyzer;
use hemostat_core::invariant::{Checker, Folds, Scope};
use hemostat_core::notify::Alerter;
use hemostat_core::remediate::Responder;
use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, EventId, EventType, Outcome, Role, Subject};
use serde::de::DeserializeOwned;

use super::channel::Channel;
use super::load::{BUDGET, HOST, Load, WINDOW, hosts};

/// Entries in one request.
const BATCH: usize = 1_000;
/// Violations that are shown.
const SHOWN_MAX: usize = 40;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) violations: Vec<String>,
    /// Events by type.
    events: BTreeMap<EventType, usize>,
    /// Alerts that were decided on.
    pub(super) verdicts: usize,
    /// Actions on real containers.
    pub(super) restarts: usize,
    /// Actions that another process ended than the one that began them.
    taken_over: usize,
    /// Plans that the budget, or what else limits actions, refused.
    refused: usize,
    /// Starts of real containers by the engine, their first ones left out.
    engine_restarts: usize,
    /// Messages that reached the webhook, and those that came more than once.
    pub(super) deliveries: usize,
    repeated: usize,
    /// Longest time in which no agent has decided anything.
    stall: Duration,
    /// Longest wait of an alert for its verdict.
    wait: Duration,
}

/// An event with its place.
struct Placed {
    position: Position,
    id: EntryId,
    event: Option<Event>,
}

impl Verdict {
    /// Reads the whole log and judges it.
    pub(super) async fn read(load: &Load, channel: &Channel, found: impl Iterator<Item = String>) -> Self {
        let mut verdict = Self { violations: found.collect(), ..Self::default() };
        let log = load.log.as_ref();
        let placed = verdict.whole_log(log).await;
        verdict.check_promises(&placed);
        verdict.check_states(log, &placed).await;
        verdict.check_nothing_lost(load, &placed);
        verdict.check_engine(load, &placed);
        verdict.check_channel(channel, &placed);
        verdict.measure(&placed);
        verdict
    }

    /// Every entry of every stream, by partition and number.
    async fn whole_log(&mut self, log: &dyn EventLog) -> Vec<Placed> {
        let mut placed = Vec::new();
        for partition in log.partitions() {
            for stream in log.streams(partition).await.expect("the log answers") {
                let (mut after, mut last) = (EntryId::ZERO, 0);
                loop {
                    let entries = log.range(partition, &stream, after, BATCH).await.expect("the log answers");
                    let Some(end) = entries.last() else { break };
                    after = end.at.id;
                    for Entry { at, seq, event, .. } in entries {
                        let Some(seq) = seq else {
                            self.violations.push(format!("L-2: {stream} {} has no number", at.id));
                            continue;
                        };
                        if seq <= last {
                            self.violations.push(format!("L-2: {stream}: {seq} stands behind {last}"));
                        }
                        last = seq;
                        let position = Position { partition: partition.0, seq };
                        placed.push(Placed { position, id: at.id, event: event.ok() });
                    }
                }
            }
        }
        placed.sort_by_key(|placed| (placed.position.partition, placed.position.seq));
        placed
    }

    fn check_promises(&mut self, placed: &[Placed]) {
        let scope = Scope { budget: Some(BUDGET), window: WINDOW, ..Scope::default() };
        let mut checker = Checker::new(&scope);
        for placed in placed {
            match &placed.event {
                Some(event) => checker.event(placed.position, event),
                None => checker.unreadable(placed.position),
            }
        }
        // Nothing is pending and nothing unread, or it was said before: so all of it is acknowledged.
        for event in placed.iter().filter_map(|placed| placed.event.as_ref()) {
            for role in readers(event) {
                checker.acknowledged(role, event.envelope.id);
            }
        }
        self.violations.extend(checker.finish().iter().map(ToString::to_string));
    }

    async fn check_states(&mut self, log: &dyn EventLog, placed: &[Placed]) {
        self.check_state(log, placed, Role::Monitor, Folds::of_monitor()).await;
        self.check_state(log, placed, Role::Analyzer, Folds::of::<Analyzer>()).await;
        self.check_state(log, placed, Role::Responder, Folds::of::<Responder>()).await;
        self.check_state(log, placed, Role::Alert, Folds::of::<Alerter>()).await;
    }

    async fn check_state<S>(&mut self, log: &dyn EventLog, placed: &[Placed], role: Role, mut folds: Folds<S>)
    where
        S: Default + Clone + PartialEq + DeserializeOwned,
    {
        let mut stored = 0;
        for host in hosts() {
            for (subject, state) in log.load_host(role, &host).await.expect("the log answers") {
                let folded = rmp_serde::from_slice(&state.bytes).expect("a state can be read");
                folds.expect(subject, state.version, folded);
                stored += 1;
            }
        }
        if stored == 0 {
            self.violations.push(format!("L-3: the {role} has no state at all"));
        }
        for placed in placed {
            if let Some(event) = &placed.event {
                folds.event(placed.position, event);
            }
        }
        self.violations.extend(folds.finish().iter().map(ToString::to_string));
    }

    /// What the log said it had written is in it.
    fn check_nothing_lost(&mut self, load: &Load, placed: &[Placed]) {
        let known: BTreeSet<EventId> =
            placed.iter().filter_map(|placed| Some(placed.event.as_ref()?.envelope.id)).collect();
        let lost: Vec<_> = load.injected().into_iter().filter(|id| !known.contains(id)).collect();
        self.violations.extend(lost.iter().map(|id| format!("lost: {id} was appended and is not there")));
        for placed in placed {
            match &placed.event {
                None => self.violations.push(format!("unreadable: {:?}", placed.position)),
                Some(event) => {
                    *self.events.entry(event.event_type()).or_default() += 1;
                    if let Data::RemediationComplete(done) = &event.data {
                        self.refused += usize::from(matches!(done.outcome, Outcome::Rejected { .. }));
                    }
                    if let Data::DeadLetter(letter) = &event.data {
                        let (group, errors) = (letter.group, letter.errors.join(": "));
                        self.violations.push(format!("a dead letter of the {group}: {errors}"));
                    }
                }
            }
        }
    }

    /// The engine has not restarted any container more often than there are intents.
    fn check_engine(&mut self, load: &Load, placed: &[Placed]) {
        let mut intents: BTreeMap<&Subject, usize> = BTreeMap::new();
        let mut begun: BTreeMap<EventId, &str> = BTreeMap::new();
        for event in placed.iter().filter_map(|placed| placed.event.as_ref()) {
            let by = event.envelope.source.instance.as_str();
            match (&event.data, &event.envelope.subject) {
                (Data::RemediationStarted(started), Some(subject)) => {
                    *intents.entry(subject).or_default() += 1;
                    begun.insert(started.plan, by);
                }
                (Data::RemediationComplete(done), _) => {
                    let other = begun.get(&done.plan).is_some_and(|began_by| *began_by != by);
                    self.taken_over += usize::from(other);
                }
                _ => {}
            }
        }
        for (id, name) in &load.sick {
            let subject = Subject::new(&hosts()[0], name).expect("a subject");
            let (started, intended) = (load.starts(id), intents.get(&subject).copied().unwrap_or(0));
            self.engine_restarts += started.saturating_sub(1);
            self.restarts += intended;
            if intended + 1 < started {
                self.violations
                    .push(format!("{name} was started {started} times, and {intended} were intended"));
            }
        }
    }

    /// What the log says was sent has come, and what has come is in the log.
    fn check_channel(&mut self, channel: &Channel, placed: &[Placed]) {
        let deliveries = channel.deliveries();
        let (mut sent, mut told) = (BTreeSet::new(), BTreeSet::new());
        for event in placed.iter().filter_map(|placed| placed.event.as_ref()) {
            let (Data::Notification(notification), Some(cause)) = (&event.data, event.envelope.cause) else {
                continue;
            };
            told.insert(cause.to_string());
            if matches!(notification.delivery, hemostat_event::Delivery::Sent { .. }) {
                sent.insert(cause.to_string());
            }
        }
        for id in sent.iter().filter(|id| !deliveries.contains_key(*id)) {
            self.violations.push(format!("N-1: {id} was sent according to the log, and never came"));
        }
        for id in deliveries.keys().filter(|id| !told.contains(*id)) {
            self.violations.push(format!("N-1: {id} came, and the log does not know of it"));
        }
        self.deliveries = deliveries.values().sum();
        self.repeated = deliveries.values().filter(|count| 1 < **count).count();
    }

    fn measure(&mut self, placed: &[Placed]) {
        let mut times = Vec::new();
        let mut alerts: BTreeMap<EventId, EntryId> = BTreeMap::new();
        for placed in placed {
            let Some(event) = &placed.event else { continue };
            if event.envelope.source.role != Role::Monitor {
                times.push(placed.id.ms);
            }
            match &event.data {
                Data::HealthAlert(_) => {
                    alerts.insert(event.envelope.id, placed.id);
                }
                Data::RemediationNeeded(_) | Data::FalseAlarm(_) => {
                    self.verdicts += 1;
                    let asked = event.envelope.cause.and_then(|cause| alerts.get(&cause));
                    let waited = asked.map_or(0, |asked| placed.id.ms.saturating_sub(asked.ms));
                    self.wait = self.wait.max(Duration::from_millis(waited));
                }
                _ => {}
            }
        }
        times.sort_unstable();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        self.stall = Duration::from_millis(longest);
    }
}

/// The roles whose groups read the stream in which an event stands.
fn readers(event: &Event) -> Vec<Role> {
    match StreamName::of(event) {
        StreamName::Type(EventType::HealthAlert) => vec![Role::Analyzer],
        StreamName::Plans(host) if host.as_str() == HOST => vec![Role::Responder],
        _ => Vec::new(),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_type: Vec<_> = self.events.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "events {} ({})", self.events.values().sum::<usize>(), by_type.join(", "))?;
        writeln!(f, "verdicts on alerts {}", self.verdicts)?;
        writeln!(
            f,
            "restarts intended {}, by the engine {}, ended by another process than began them {}; refused {}",
            self.restarts, self.engine_restarts, self.taken_over, self.refused
        )?;
        writeln!(f, "messages delivered {}, of which more than once {}", self.deliveries, self.repeated)?;
        writeln!(
            f,
            "longest stall {:.1} s, longest wait of an alert {:.1} s",
            self.stall.as_secs_f64(),
            self.wait.as_secs_f64()
        )?;
        writeln!(f, "violations {}", self.violations.len())?;
        for violation in self.violations.iter().take(SHOWN_MAX) {
            writeln!(f, "  {violation}")?;
        }
        Ok(())
    }
}
