//! A container engine in memory, scripted by the test: settable inspections, counters, logs and events, a journal
//! of what was asked, and faults.
//!
//! It has a clock of its own that moves by a microsecond with every event, so that events of one script have
//! distinct times and a run is the same every time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use hemostat_core::engine::{Counters, EngineEvent, EngineEventKind, EngineInfo, Inspection};
use hemostat_event::{ContainerId, RunState, Timestamp};
use tokio::sync::Notify;

use crate::containers::{Containers, EngineError};

#[cfg(test)]
mod tests;

/// A request, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`Containers::info`].
    Info,
    /// [`Containers::list`].
    List,
    /// [`Containers::inspect`].
    Inspect(ContainerId),
    /// [`Containers::counters`].
    Counters(ContainerId),
    /// [`Containers::disk_usage`].
    DiskUsage,
    /// [`Containers::log_tail`].
    LogTail {
        /// Whose log.
        id: ContainerId,
        /// How many lines.
        lines: usize,
    },
    /// [`Containers::events`].
    Events {
        /// Since when.
        since: Timestamp,
    },
    /// [`Containers::restart`].
    Restart {
        /// Which container.
        id: ContainerId,
        /// What it was given to end.
        stop_timeout_secs: Option<u32>,
    },
}

/// What comes of a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RestartAnswer {
    /// It is done, with the events a real engine emits, and `started_at` moves.
    #[default]
    Done,
    /// The engine refuses and does nothing.
    Refused(String),
    /// The engine gives no answer in time.
    Timeout {
        /// Whether it did it all the same.
        done: bool,
    },
}

/// What the engine knows of one container.
#[derive(Debug, Clone, Default)]
struct Known {
    inspection: Inspection,
    counters: Counters,
    log: Vec<String>,
    disk_bytes: u64,
    restart: RestartAnswer,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    info: EngineInfo,
    down: bool,
    containers: BTreeMap<ContainerId, Known>,
    events: Vec<EngineEvent>,
    calls: Vec<Call>,
    /// Counts the breaks of the event streams: a stream ends when it is not the one it was opened in.
    epoch: u64,
}

/// The engine. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct MemoryContainers {
    state: Arc<Mutex<State>>,
    /// Wakes the event streams, in the order in which they began to wait: a `watch` wakes them in a random one.
    changed: Arc<Notify>,
}

/// Most bytes of a log tail: the port's promise.
const TAIL_MAX: usize = 16 * 1_024;

impl MemoryContainers {
    /// An engine without containers whose clock stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let info = EngineInfo {
            version: "memory 1".to_owned(),
            api_version: "1.41".to_owned(),
            host: "memory".to_owned(),
            cpus: 2,
            memory_bytes: 8 << 30,
            cgroup_version: 2,
        };
        let state = State {
            now,
            info,
            down: false,
            containers: BTreeMap::new(),
            events: Vec::new(),
            calls: Vec::new(),
            epoch: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// The engine's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// Moves the engine's clock.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.now = state.now + by;
    }

    /// Sets what the engine says of itself.
    pub fn set_info(&self, info: EngineInfo) {
        self.lock().info = info;
    }

    /// Makes every request fail as unreachable, or stops doing so. Open event streams break when it goes down.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
        if down {
            self.break_events();
        }
    }

    /// Ends all open event streams with an error.
    pub fn break_events(&self) {
        self.lock().epoch += 1;
        self.wake();
    }

    /// Adds a container or replaces what is known of it, without an event. The inspection's id is set to `id`.
    pub fn put(&self, id: &ContainerId, inspection: Inspection) {
        let mut state = self.lock();
        let known = state.containers.entry(id.clone()).or_default();
        known.inspection = Inspection { id: Some(id.clone()), ..inspection };
    }

    /// Adds a container that has run for ten minutes, without an event; number `n` is in its id.
    #[must_use]
    pub fn run(&self, n: u64, name: &str) -> ContainerId {
        let id = ContainerId::new(format!("{n:064x}")).expect("64 digits are an id");
        let now = self.now();
        let inspection = Inspection {
            name: name.to_owned(),
            image: format!("{name}:1"),
            state: RunState::Running,
            started_at: Some(now - Duration::from_secs(600)),
            ..Inspection::default()
        };
        self.put(&id, inspection);
        self.set_counters(&id, Counters { read_at: now, pids: Some(1), ..Counters::default() });
        id
    }

    /// What an inspection would say, without one in the journal; `None` when there is no such container.
    #[must_use]
    pub fn inspection(&self, id: &ContainerId) -> Option<Inspection> {
        self.lock().containers.get(id).map(|known| known.inspection.clone())
    }

    /// Changes what an inspection says.
    ///
    /// # Panics
    /// When there is no such container: the test is wrong.
    pub fn update(&self, id: &ContainerId, change: impl FnOnce(&mut Inspection)) {
        self.known(id, |known| change(&mut known.inspection));
    }

    /// Sets the counters of a container; they are given while it runs.
    ///
    /// # Panics
    /// When there is no such container: the test is wrong.
    pub fn set_counters(&self, id: &ContainerId, counters: Counters) {
        self.known(id, |known| known.counters = counters);
    }

    /// Sets what a container wrote, one line per item.
    ///
    /// # Panics
    /// When there is no such container: the test is wrong.
    pub fn set_log(&self, id: &ContainerId, lines: impl IntoIterator<Item = impl Into<String>>) {
        let lines = lines.into_iter().map(Into::into).collect();
        self.known(id, |known| known.log = lines);
    }

    /// Sets the size of a container's writable layer in bytes.
    ///
    /// # Panics
    /// When there is no such container: the test is wrong.
    pub fn set_disk_usage(&self, id: &ContainerId, bytes: u64) {
        self.known(id, |known| known.disk_bytes = bytes);
    }

    /// Sets what comes of every restart of a container from now on.
    ///
    /// # Panics
    /// When there is no such container: the test is wrong.
    pub fn on_restart(&self, id: &ContainerId, answer: RestartAnswer) {
        self.known(id, |known| known.restart = answer);
    }

    /// Takes a container away without an event, as when the event was lost.
    pub fn remove(&self, id: &ContainerId) {
        self.lock().containers.remove(id);
    }

    /// Emits an event as it stands. What the inspection says stays as it is.
    pub fn emit(&self, event: EngineEvent) {
        let mut state = self.lock();
        state.now = state.now.max(event.at);
        state.events.push(event);
        drop(state);
        self.wake();
    }

    /// Emits an event of a container, a microsecond after the last, and answers with its time.
    pub fn happen(&self, id: &ContainerId, kind: EngineEventKind) -> Timestamp {
        let mut state = self.lock();
        let at = state.happen(id, kind);
        drop(state);
        self.wake();
        at
    }

    /// Ends the run of a container with `exit_code`: its state and a die event.
    ///
    /// # Panics
    /// When there is no such container: the test is wrong.
    pub fn exit(&self, id: &ContainerId, exit_code: i64) -> Timestamp {
        let at = self.happen(id, EngineEventKind::Die { exit_code });
        self.update(id, |inspection| {
            inspection.state = RunState::Exited;
            inspection.exit_code = Some(exit_code);
            inspection.finished_at = Some(at);
        });
        at
    }

    /// Every request so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The containers that were asked to be restarted, in order.
    #[must_use]
    pub fn restarts(&self) -> Vec<ContainerId> {
        let restarted = |call: &Call| match call {
            Call::Restart { id, .. } => Some(id.clone()),
            _ => None,
        };
        self.lock().calls.iter().filter_map(restarted).collect()
    }

    /// Empties the journal.
    pub fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.changed.notify_waiters();
    }

    fn known<T>(&self, id: &ContainerId, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut state = self.lock();
        change(state.containers.get_mut(id).expect("the test has put this container"))
    }

    /// Writes a request into the journal and lets it through unless the engine is down.
    fn asked(&self, call: Call) -> Result<MutexGuard<'_, State>, EngineError> {
        let mut state = self.lock();
        state.calls.push(call);
        if state.down { Err(down()) } else { Ok(state) }
    }
}

impl State {
    fn happen(&mut self, id: &ContainerId, kind: EngineEventKind) -> Timestamp {
        self.now = self.now + Duration::from_micros(1);
        let name = self.containers.get(id).map(|known| known.inspection.name.clone());
        self.events.push(EngineEvent { id: id.clone(), at: self.now, kind, name });
        self.now
    }

    /// Restarts as Docker does, with its events in its order.
    fn restart(&mut self, id: &ContainerId) {
        let running =
            self.containers.get(id).is_some_and(|known| known.inspection.state == RunState::Running);
        if running {
            self.happen(id, EngineEventKind::Kill { signal: 15 });
            self.happen(id, EngineEventKind::Die { exit_code: 143 });
            self.happen(id, EngineEventKind::Stop);
        }
        let finished = running.then_some(self.now);
        let started = self.happen(id, EngineEventKind::Start);
        self.happen(id, EngineEventKind::Restart);
        if let Some(known) = self.containers.get_mut(id) {
            let inspection = &mut known.inspection;
            inspection.finished_at = finished.or(inspection.finished_at);
            inspection.started_at = Some(started);
            inspection.state = RunState::Running;
            inspection.exit_code = None;
            inspection.oom_killed = false;
            inspection.error = None;
        }
    }
}

#[async_trait]
impl Containers for MemoryContainers {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        Ok(self.asked(Call::Info)?.info.clone())
    }

    async fn list(&self) -> Result<Vec<ContainerId>, EngineError> {
        Ok(self.asked(Call::List)?.containers.keys().cloned().collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspection, EngineError> {
        let state = self.asked(Call::Inspect(id.clone()))?;
        let known = state.containers.get(id).ok_or_else(|| EngineError::NotFound(id.clone()))?;
        Ok(known.inspection.clone())
    }

    async fn counters(&self, id: &ContainerId) -> Result<Counters, EngineError> {
        let state = self.asked(Call::Counters(id.clone()))?;
        let runs = |known: &&Known| matches!(known.inspection.state, RunState::Running | RunState::Paused);
        let known = state.containers.get(id).filter(runs).ok_or_else(|| EngineError::NotFound(id.clone()))?;
        Ok(known.counters.clone())
    }

    async fn disk_usage(&self) -> Result<Vec<(ContainerId, u64)>, EngineError> {
        let state = self.asked(Call::DiskUsage)?;
        Ok(state.containers.iter().map(|(id, known)| (id.clone(), known.disk_bytes)).collect())
    }

    async fn log_tail(&self, id: &ContainerId, lines: usize) -> Result<String, EngineError> {
        let state = self.asked(Call::LogTail { id: id.clone(), lines })?;
        let known = state.containers.get(id).ok_or_else(|| EngineError::NotFound(id.clone()))?;
        let text = known.log[known.log.len().saturating_sub(lines)..].join("\n");
        let from = (text.len().saturating_sub(TAIL_MAX)..=text.len()).find(|at| text.is_char_boundary(*at));
        Ok(text[from.expect("the end of a text is a boundary")..].to_owned())
    }

    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        let opened = self.asked(Call::Events { since }).map(|state| {
            // From the first event that is not older; events are kept in the order they were emitted.
            let from = if since == Timestamp::EPOCH {
                state.events.len()
            } else {
                state.events.iter().position(|event| since <= event.at).unwrap_or(state.events.len())
            };
            (from, state.epoch)
        });
        match opened {
            Err(error) => stream::once(async { Err(error) }).boxed(),
            Ok((from, epoch)) => follow(self.clone(), from, epoch),
        }
    }

    async fn restart(&self, id: &ContainerId, stop_timeout_secs: Option<u32>) -> Result<(), EngineError> {
        const OPERATION: &str = "restart a container";
        let mut state = self.asked(Call::Restart { id: id.clone(), stop_timeout_secs })?;
        let known = state.containers.get(id).ok_or_else(|| EngineError::NotFound(id.clone()))?;
        let answer = known.restart.clone();
        if matches!(answer, RestartAnswer::Done | RestartAnswer::Timeout { done: true }) {
            state.restart(id);
        }
        drop(state);
        self.wake();
        match answer {
            RestartAnswer::Done => Ok(()),
            RestartAnswer::Refused(message) => Err(EngineError::Refused { operation: OPERATION, message }),
            RestartAnswer::Timeout { .. } => {
                let limit = Duration::from_secs(stop_timeout_secs.unwrap_or(10).into());
                Err(EngineError::Timeout { operation: OPERATION, limit })
            }
        }
    }
}

/// The events from number `from` on, until the stream is broken.
fn follow(
    engine: MemoryContainers,
    from: usize,
    epoch: u64,
) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
    stream::unfold(Some((engine, from)), move |open| async move {
        let (engine, next) = open?;
        let changes = Arc::clone(&engine.changed);
        loop {
            // Made before looking, so that a change in between ends the wait below.
            let changed = changes.notified();
            let (event, broken) = {
                let state = engine.lock();
                (state.events.get(next).cloned(), state.epoch != epoch)
            };
            if broken {
                return Some((Err(down()), None));
            }
            if let Some(event) = event {
                return Some((Ok(event), Some((engine, next + 1))));
            }
            changed.await;
        }
    })
    .boxed()
}

fn down() -> EngineError {
    EngineError::Unreachable { endpoint: "memory".to_owned(), source: "the engine is down".into() }
}
