//! A role that does what its inputs say, and what is needed to watch it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hemostat_core::role::{Decide, Decision, Input, Then, Timer};
use hemostat_event::{
    Actor, Change, Command, ContainerChanged, ContainerId, ContainerRef, Data, DeadLetter, Envelope, Event,
    EventId, EventType, HealthRecovered, HostName, OperatorCommand, Recovery, Role, Source, Subject,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::clock::LogClock;
use crate::health::{HealthBoard, HealthSource};
use crate::log::{Entry, EntryId, EventLog, LogError, StreamName};
use crate::memory::log::MemoryLog;
use crate::run::{Agent, Perform, Settings};
use crate::telemetry::Telemetry;

/// Does what the text of an order says:
/// - `say`: one output.
/// - `nothing`: acknowledges.
/// - `act`: an intent, the action, then the output. Whoever finds the intent open looks first.
/// - `ask`: a question without an intent, then the output.
/// - `again`: another try, for ever.
/// - `third`: a question; the output with the third try.
/// - `panic`: panics.
/// - `greet`: asks the world to greet, unless the state says that this container was greeted.
/// - `wait <name>`: sets the timer of that name in a minute, and does the rest of the name when it is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scripted;

/// What the role remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The inputs whose intents are open.
    pub(super) open: BTreeSet<EventId>,
    /// The inputs that have an output, in order.
    pub(super) told: Vec<EventId>,
}

/// What the role asks of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Act,
    Look,
    Ask,
    Greet,
}

impl Decide for Scripted {
    const ROLE: Role = Role::Analyzer;
    type State = State;
    type Effect = Effect;
    type Outcome = Effect;

    fn decide(
        &self,
        subject: &Subject,
        state: &State,
        input: Input<'_, Effect>,
        now: Timestamp,
    ) -> Decision<Effect> {
        let retry = Decision { emit: Vec::new(), timers: Vec::new(), then: Then::Retry(None) };
        match input {
            Input::Event(event) => match text(event) {
                "say" => Decision::emit(output(subject), None),
                "nothing" => Decision::nothing(),
                "act" if state.open.contains(&event.envelope.id) => Decision::perform(Effect::Look),
                "act" => Decision::emit(intent(subject), None).then(Effect::Act),
                "ask" | "third" => Decision::perform(Effect::Ask),
                "again" => retry,
                "panic" => panic!("the input says so"),
                "greet" if state.told.is_empty() => Decision::perform(Effect::Greet),
                "greet" => Decision::nothing(),
                other => {
                    let name = other.strip_prefix("wait ").expect("the text is one of the script");
                    let due = now + Duration::from_secs(60);
                    let cause = event.envelope.id;
                    Decision::nothing().with_timer(Timer {
                        subject: subject.clone(),
                        name: name.to_owned(),
                        cause,
                        due,
                    })
                }
            },
            Input::Outcome { first: hemostat_core::role::First::Event(event), attempt, .. }
                if text(event) == "third" && attempt < 3 =>
            {
                retry
            }
            Input::Timer(timer) => match timer.name.as_str() {
                "say" => Decision::emit(output(subject), None),
                "again" => retry,
                "panic" => panic!("the timer says so"),
                // Sets itself anew twice: told of by the hour it is due.
                "thrice" if state.told.len() < 2 => {
                    let due = now + Duration::from_secs(60);
                    Decision::emit(output(subject), None).with_timer(Timer { due, ..timer.clone() })
                }
                _ => Decision::emit(output(subject), None),
            },
            Input::Outcome { .. } => Decision::emit(output(subject), None),
        }
    }

    fn fold(state: &mut State, event: &Event) {
        match &event.data {
            Data::ContainerChanged(_) => state.open.extend(event.envelope.cause),
            Data::HealthRecovered(_) => {
                state.open.retain(|open| Some(*open) != event.envelope.cause);
                state.told.extend(event.envelope.cause);
            }
            _ => {}
        }
    }
}

/// The hands: remember what they were asked, in order, and check that an intent is in the log before they act.
pub(super) struct Hands {
    log: MemoryLog,
    /// Time every effect takes.
    takes: Duration,
    pub(super) asked: Mutex<Vec<(Subject, Effect)>>,
    running: AtomicUsize,
    /// Most effects at a time.
    pub(super) most: AtomicUsize,
}

impl Hands {
    pub(super) fn new(log: &MemoryLog, takes: Duration) -> Arc<Self> {
        let (asked, running, most) = Default::default();
        Arc::new(Self { log: log.clone(), takes, asked, running, most })
    }

    pub(super) fn count(&self, effect: Effect) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|(_, asked)| *asked == effect).count()
    }
}

#[async_trait]
impl Perform<Scripted> for Arc<Hands> {
    async fn perform(&self, subject: &Subject, effect: Effect) -> Effect {
        if effect == Effect::Act {
            let intents = events(&self.log, EventType::ContainerChanged).await;
            assert!(
                intents.iter().any(|intent| intent.envelope.subject.as_ref() == Some(subject)),
                "acting on {subject} without an intent in the log"
            );
        }
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push((subject.clone(), effect));
        let now = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        sleep(self.takes).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        effect
    }
}

/// A running replica.
pub(super) struct Replica {
    pub(super) task: JoinHandle<Result<(), LogError>>,
    pub(super) stop: CancellationToken,
    pub(super) board: HealthBoard,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Replica {
    /// A replica `name` with settings that [`settings`] has changed.
    pub(super) fn start(
        log: Arc<dyn EventLog>,
        hands: &Arc<Hands>,
        name: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings::new(name, host(), vec![StreamName::Type(EventType::OperatorCommand)]);
        change(&mut settings);
        let (stop, board, telemetry) =
            (CancellationToken::new(), HealthBoard::new(), Arc::new(Telemetry::new("test")));
        let agent = Agent {
            role: Scripted,
            performer: Arc::clone(hands),
            clock: Arc::new(LogClock::new(Arc::clone(&log))),
            log,
            settings,
            telemetry: Arc::clone(&telemetry),
            tick: board.part("analyzer", Duration::from_secs(5)),
        };
        Self { task: tokio::spawn(agent.run(stop.clone())), stop, board, telemetry }
    }

    /// Whether the replica says that it can do its work.
    pub(super) fn is_ready(&self) -> bool {
        self.board.report().ready
    }

    /// Stops it and waits for its end; the time that took.
    pub(super) async fn stop(self) -> Duration {
        let began = Instant::now();
        self.stop.cancel();
        self.task.await.expect("the replica does not panic").expect("the log does not refuse");
        began.elapsed()
    }

    /// Ends it where it is, as when its process is killed.
    pub(super) async fn kill(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "the replica was still running");
    }
}

/// A log whose time goes with tokio's clock.
pub(super) fn log() -> MemoryLog {
    MemoryLog::new(1, Timestamp::from_millis(1_700_000_000_000))
}

pub(super) fn shared(log: &MemoryLog) -> Arc<dyn EventLog> {
    Arc::new(log.clone())
}

pub(super) fn host() -> HostName {
    HostName::new("web-1").expect("a word is a host name")
}

/// The order `n` about a container.
pub(super) fn order(container: &str, n: u64, text: &str) -> Event {
    let subject = Subject::new(&host(), container).expect("a word is a container name");
    Event {
        envelope: Envelope {
            id: EventId::observed(&subject, Role::Operator, Timestamp::from_millis(n), 0),
            source: Source { role: Role::Operator, instance: "cli".to_owned() },
            time: Timestamp::from_millis(n),
            host: host(),
            subject: Some(subject),
            incident: None,
            cause: None,
            traceparent: None,
        },
        data: Data::OperatorCommand(OperatorCommand { command: Command::Resume, by: text.to_owned() }),
    }
}

/// Appends orders; their ids.
pub(super) async fn give(log: &MemoryLog, orders: &[Event]) -> Vec<EventId> {
    log.append(orders).await.expect("the log is there");
    orders.iter().map(|order| order.envelope.id).collect()
}

/// The inputs that have an output, one for each output, in the order of the log.
pub(super) async fn told(log: &MemoryLog) -> Vec<EventId> {
    let outputs = events(log, EventType::HealthRecovered).await;
    outputs.iter().map(|output| output.envelope.cause.expect("an output names its input")).collect()
}

/// How many outputs every input has.
pub(super) async fn counts(log: &MemoryLog) -> BTreeMap<EventId, usize> {
    let mut counts = BTreeMap::new();
    for input in told(log).await {
        *counts.entry(input).or_default() += 1;
    }
    counts
}

/// The dead letters.
pub(super) async fn letters(log: &MemoryLog) -> Vec<DeadLetter> {
    let letter = |event: Event| match event.data {
        Data::DeadLetter(letter) => letter,
        other => panic!("{other:?} among the dead letters"),
    };
    events(log, EventType::DeadLetter).await.into_iter().map(letter).collect()
}

/// All events of a type.
pub(super) async fn events(log: &MemoryLog, kind: EventType) -> Vec<Event> {
    let read = |entry: Entry| entry.event.expect("it is an event");
    entries(log, kind).await.into_iter().map(read).collect()
}

pub(super) async fn entries(log: &MemoryLog, kind: EventType) -> Vec<Entry> {
    let (partition, stream) = (log.partition_of(&host()), StreamName::Type(kind));
    log.range(partition, &stream, EntryId::ZERO, 10_000).await.expect("the log is there")
}

/// Entries that were delivered and are not acknowledged.
pub(super) async fn pending(log: &MemoryLog) -> u64 {
    log.groups().await.expect("the log is there").iter().map(|group| group.pending).sum()
}

/// Waits, in the time of the stopped clock, until `seen` is.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, seen: impl Fn() -> F) {
    let began = Instant::now();
    while !seen().await {
        assert!(began.elapsed() < Duration::from_secs(3_600), "{what}: not seen within an hour");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until every input is dealt with: nothing unread, nothing pending.
pub(super) async fn until_done(log: &MemoryLog) {
    until("all inputs dealt with", || async {
        let groups = log.groups().await.expect("the log is there");
        !groups.is_empty() && groups.iter().all(|group| group.pending == 0 && group.unread.exact() == Some(0))
    })
    .await;
}

fn text(event: &Event) -> &str {
    match &event.data {
        Data::OperatorCommand(order) => &order.by,
        other => panic!("{other:?} is no order"),
    }
}

fn intent(subject: &Subject) -> ContainerChanged {
    let (change, by, at) = (Change::Started, Actor::Hemostat, Timestamp::EPOCH);
    ContainerChanged { container: container(subject), change, by, at }
}

fn output(subject: &Subject) -> HealthRecovered {
    HealthRecovered {
        container: container(subject),
        kinds: Vec::new(),
        reason: Recovery::Cleared,
        opened_at: Timestamp::EPOCH,
        lasted_ms: 0,
    }
}

fn container(subject: &Subject) -> ContainerRef {
    let id = ContainerId::new("0123456789ab").expect("twelve digits are an id");
    ContainerRef {
        id,
        name: subject.name().to_owned(),
        image: "web:1".to_owned(),
        project: None,
        service: None,
    }
}
