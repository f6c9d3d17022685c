//! The rules of what happened: from what was observed to `container_changed`.
//!
//! Engine events come in order, but a sample reads the present, so it may be ahead of events that still wait, and
//! an event may be about a past that the inspection no longer shows. And events get lost: while the monitor is away,
//! while the stream is broken, in the engine itself. So what a sample shows without an event counts only when a
//! second sample shows it too, or when nothing follows from it that could do harm.

use std::time::Duration;

use hemostat_event::{
    Actor, Change, ContainerChanged, EvidenceItem, EvidenceKind, Health, Recovery, RunState, Sample,
    Timestamp,
};

use super::Observed;
use super::decide::Case;
use super::watch::{Asked, has_ended};
use crate::engine::EngineEventKind;
use crate::role::Emit;

/// Exit codes of a container that did what it was asked: done, SIGINT, SIGKILL, SIGTERM. Used only where the
/// request itself cannot have been seen.
const INTENDED_CODES: [i64; 4] = [0, 130, 137, 143];
/// Exit code of a process that was killed: 128 + SIGKILL.
pub(super) const KILLED: i64 = 137;
/// Signals by which a process is asked to end, besides the container's own stop signal: SIGINT, SIGQUIT, SIGKILL,
/// SIGTERM, and the 0 of an engine that does not say. SIGHUP is not one: many daemons reload on it.
const ENDING_SIGNALS: [i64; 5] = [0, 2, 3, 9, 15];
/// After a stop request the engine gives a container its stop time-out (10 s unless told otherwise) and kills it.
const STOP_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The rest is for a busy host.
const STOP_SLACK: Duration = Duration::from_secs(30);
/// The engine notes a start a moment before it tells of it.
const START_GRACE: Duration = Duration::from_secs(5);
/// An engine that tells of the end before it tells of the stop does so within this time.
const STOP_TOLD_WITHIN: Duration = Duration::from_secs(5);
/// The kernel's kill and the end it causes are told by different parts of the engine, in either order.
pub(super) const OOM_APART: Duration = Duration::from_secs(10);
/// Samples that have to show an end before it counts without its event: a sample may overtake the event, and with it
/// the request that made it a stop.
const ENDED_SAMPLES: u32 = 2;
/// Changes that go into the evidence.
const RECENT_MAX: usize = 8;

impl Case<'_> {
    pub(super) fn changes(&mut self) {
        if !self.state.seen && !self.is_gone() {
            self.discover();
        }
        match self.observation.observed {
            Observed::Engine(kind) => self.told(kind),
            Observed::Sample(sample) => self.catch_up(sample),
            Observed::Gone => self.removed(),
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self.observation.observed, Observed::Gone | Observed::Engine(EngineEventKind::Destroy))
    }

    /// What the log says has happened.
    pub(super) fn happened(&mut self, changed: &ContainerChanged) {
        match changed.change {
            Change::Removed => self.end_with_container(),
            Change::Died { exit_code } => self.oom_death = self.was_killed_for_memory(exit_code),
            _ => {}
        }
        self.say(Emit { data: changed.clone().into(), incident: self.state.open_incident() });
    }

    /// It is gone, and its incident with it.
    fn removed(&mut self) {
        self.end_with_container();
        if self.state.seen {
            self.change(Change::Removed, Actor::Operator);
        }
    }

    fn end_with_container(&mut self) {
        if let Some(open) = self.state.incident.clone() {
            let recovered = self.recovered(&open, Recovery::Removed);
            self.say(Emit { data: recovered.into(), incident: Some(open.id) });
        }
    }

    fn discover(&mut self) {
        // An engine event tells what happens now; before it, the container was in the state that it left.
        let run = match self.observation.observed {
            Observed::Engine(EngineEventKind::Die { .. } | EngineEventKind::Pause) => RunState::Running,
            Observed::Engine(EngineEventKind::Unpause) => RunState::Paused,
            Observed::Engine(EngineEventKind::Start) => RunState::Created,
            _ => self.observation.inspection.state,
        };
        self.change(Change::Discovered { state: run }, Actor::Engine);
        if self.observation.inspection.health != Health::None
            && matches!(self.observation.observed, Observed::Sample(_))
        {
            self.change(Change::HealthChanged { health: self.observation.inspection.health }, Actor::Engine);
        }
    }

    // --- What the engine tells ---

    fn told(&mut self, kind: &EngineEventKind) {
        match kind {
            EngineEventKind::Start if !self.start_is_known() => self.change(Change::Started, Actor::Engine),
            EngineEventKind::Die { exit_code } => self.ended(*exit_code),
            EngineEventKind::Oom => self.change(Change::OomKilled, Actor::Engine),
            EngineEventKind::Health(health) => self.health_told(*health),
            EngineEventKind::Pause if self.state.run != RunState::Paused => {
                self.change(Change::Paused { paused: true }, Actor::Operator);
            }
            EngineEventKind::Unpause if self.state.run == RunState::Paused => {
                self.change(Change::Paused { paused: false }, Actor::Operator);
            }
            EngineEventKind::Stop => self.stop_told(),
            EngineEventKind::Destroy => self.removed(),
            EngineEventKind::Start
            | EngineEventKind::Pause
            | EngineEventKind::Unpause
            | EngineEventKind::Create
            | EngineEventKind::Kill { .. }
            | EngineEventKind::Restart
            | EngineEventKind::Rename => {}
        }
    }

    /// Whether a sample has shown this start before its event came.
    fn start_is_known(&self) -> bool {
        let known = self.state.started_at.filter(|_| self.state.run == RunState::Running);
        known.is_some_and(|started| apart(self.engine_time(), started) <= START_GRACE)
    }

    /// An answer that the inspection, which is younger, no longer shows is of the past. What follows from the present
    /// one comes with the next event or sample.
    fn health_told(&mut self, health: Health) {
        if health != self.state.health && health == self.observation.inspection.health {
            self.change(Change::HealthChanged { health }, Actor::Engine);
        }
    }

    fn ended(&mut self, told: i64) {
        // Not every engine gives the code with the event.
        let known =
            self.observation.inspection.exit_code.filter(|_| has_ended(self.observation.inspection.state));
        let exit_code = if told < 0 { known.unwrap_or(told) } else { told };
        let request = self.request_to_end(exit_code, self.engine_time());
        self.oom_death = match request {
            // Somebody wanted it ended, and yet the kernel did it.
            Some(asked_at) => {
                exit_code == KILLED && self.state.oom.is_some_and(|oom| asked_at <= oom.engine_at)
            }
            None => self.was_killed_for_memory(exit_code),
        };
        if request.is_some() && !self.oom_death {
            self.change(Change::Stopped { exit_code }, Actor::Operator);
        } else {
            self.change(Change::Died { exit_code }, Actor::Engine);
        }
    }

    /// Whether the end that is told of now is the kernel's doing. The engine's own flag stays for the whole run, so it
    /// counts only as long as no kill was told of before.
    fn was_killed_for_memory(&self, exit_code: i64) -> bool {
        match self.state.oom {
            Some(oom) => apart(self.engine_time(), oom.engine_at) <= OOM_APART,
            None => exit_code == KILLED && self.observation.inspection.oom_killed,
        }
    }

    /// When somebody asked for the end that came at `ended_at` with `exit_code`, by the engine's clock.
    fn request_to_end(&self, exit_code: i64, ended_at: Timestamp) -> Option<Timestamp> {
        let policy = self.observation.policy.stop_timeout_secs.map(u64::from);
        let timeouts = [policy, self.observation.inspection.stop_timeout_secs].into_iter().flatten();
        let timeout = timeouts.map(Duration::from_secs).fold(STOP_TIMEOUT_DEFAULT, Duration::max);
        let within = timeout.saturating_add(STOP_SLACK);
        let asks = |what: Asked| match what {
            Asked::Stop => true,
            Asked::Signal(signal) => {
                ENDING_SIGNALS.contains(&signal) || self.observation.inspection.stop_signal == Some(signal)
            }
            Asked::Restart | Asked::Rename => false,
        };
        let explains = |what: Asked, at: Timestamp| {
            // Ended by the very signal, however long it took.
            let by_signal = matches!(what, Asked::Signal(signal) if 0 < signal && exit_code == 128 + signal);
            // A clock that stepped back between the two must not turn a stop into a death.
            by_signal || apart(ended_at, at) <= within
        };
        self.watch
            .requests_of_run()
            .filter(|request| asks(request.what) && explains(request.what, request.at))
            .map(|request| request.at)
            .next()
    }

    /// Some engines tell of the stop only after the end. The end was asked for, then.
    fn stop_told(&mut self) {
        let Some(end) = self.state.last_end else { return };
        let taken_for_death = self.state.run == RunState::Exited && self.state.stopped_at.is_none();
        if taken_for_death
            && end.exit_code != 0
            && apart(self.engine_time(), end.engine_at) <= STOP_TOLD_WITHIN
        {
            self.change(Change::Stopped { exit_code: end.exit_code }, Actor::Operator);
        }
    }

    // --- What a sample shows that no event told ---

    fn catch_up(&mut self, sample: &Sample) {
        let run = self.state.run;
        match sample.state {
            RunState::Exited | RunState::Dead | RunState::Restarting
                if may_run(run) && ENDED_SAMPLES <= self.watch.ended_row() =>
            {
                self.found_ended(sample);
            }
            RunState::Paused if run == RunState::Running => {
                self.change(Change::Paused { paused: true }, Actor::Operator);
            }
            RunState::Running if run == RunState::Paused => {
                self.change(Change::Paused { paused: false }, Actor::Operator);
            }
            RunState::Running if run == RunState::Running => self.found_restarted(sample),
            // Out of the way of harm, so one sample is enough. `Discovered` says `Restarting`, no later change does.
            RunState::Running => self.change(Change::Started, Actor::Engine),
            _ => {}
        }
        if sample.state == RunState::Running && sample.health != self.state.health {
            self.change(Change::HealthChanged { health: sample.health }, Actor::Engine);
        }
    }

    fn found_ended(&mut self, sample: &Sample) {
        // Without a code there is nothing that speaks against a stop.
        let exit_code = sample.exit_code.unwrap_or(-1);
        // It may have ended long before anybody looked.
        let ended_at = sample.finished_at.unwrap_or_else(|| self.engine_time());
        let by_request = self.request_to_end(exit_code, ended_at).is_some();
        // Nobody saw whether it was asked for: the usual codes of a stop get the benefit of the doubt. But an engine
        // that is about to start it again knows of no stop.
        let as_if_asked = sample.state != RunState::Restarting
            && (INTENDED_CODES.contains(&exit_code) || sample.exit_code.is_none());
        self.oom_death = exit_code == KILLED && sample.oom_killed && !by_request;
        if !self.oom_death && exit_code != 0 && (by_request || as_if_asked) {
            self.change(Change::Stopped { exit_code }, Actor::Operator);
        } else {
            self.change(Change::Died { exit_code }, Actor::Engine);
        }
    }

    /// It runs as before, but is it the same run?
    fn found_restarted(&mut self, sample: &Sample) {
        let is_news = |started: Timestamp| {
            self.state.started_at.is_none_or(|known| known < started && START_GRACE < apart(started, known))
        };
        if let Some(missed) = self.watch.missed_run() {
            if is_news(missed.started_at) {
                if missed.by_policy {
                    self.change(Change::Died { exit_code: -1 }, Actor::Engine);
                }
                self.change(Change::Started, Actor::Engine);
            }
        } else if self.watch.is_fresh()
            && self.state.started_at.is_some()
            && sample.started_at.is_some_and(is_news)
        {
            self.change(Change::Started, Actor::Engine);
        }
    }

    fn change(&mut self, change: Change, by: Actor) {
        let at = match (&change, self.observation.observed) {
            // The start and the end of the run count, not the moment somebody looked.
            (Change::Started, Observed::Sample(sample)) => sample.started_at,
            (Change::Died { .. } | Change::Stopped { .. }, Observed::Sample(sample)) => sample.finished_at,
            _ => None,
        };
        let at = at.unwrap_or_else(|| self.engine_time());
        let changed = ContainerChanged { container: self.observation.container.clone(), change, by, at };
        self.say(Emit { data: changed.into(), incident: self.state.open_incident() });
    }

    // --- What changed recently ---

    /// The last changes and requests with their times, oldest first, as evidence.
    pub(super) fn recent_changes(&self) -> Vec<EvidenceItem> {
        let changes =
            self.state.changes.iter().map(|past| (past.at, change_words(&past.change, &past.image)));
        let requests = self.watch.requests().map(|request| (request.at, request_words(request.what)));
        let mut all: Vec<_> = changes.chain(requests).collect();
        all.sort_by_key(|(at, _)| *at);
        let old = all.len().saturating_sub(RECENT_MAX);
        let item = |(index, (at, words)): (usize, &(Timestamp, String))| EvidenceItem {
            id: format!("change-{}", index + 1),
            kind: EvidenceKind::RecentChange,
            text: format!("{at} {words}"),
        };
        all[old..].iter().enumerate().map(item).collect()
    }
}

/// Whether a container that was last said to be doing this may have a running process.
fn may_run(run: RunState) -> bool {
    matches!(run, RunState::Running | RunState::Paused | RunState::Restarting | RunState::Unknown)
}

/// The time between two moments, whichever came first.
pub(super) fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}

fn change_words(change: &Change, image: &str) -> String {
    match change {
        Change::Discovered { state } => {
            format!("first seen, {}, image {image}", format!("{state:?}").to_lowercase())
        }
        Change::Started => "started".to_owned(),
        Change::Stopped { exit_code } => format!("stopped on request, exit code {exit_code}"),
        Change::Died { exit_code: -1 } => "ended by itself, exit code unknown".to_owned(),
        Change::Died { exit_code } => format!("ended by itself, exit code {exit_code}"),
        Change::OomKilled => "had a process killed by the kernel for memory".to_owned(),
        Change::HealthChanged { health } => format!("health check: {}", format!("{health:?}").to_lowercase()),
        Change::Paused { paused: true } => "paused".to_owned(),
        Change::Paused { paused: false } => "resumed".to_owned(),
        Change::Removed => "removed".to_owned(),
    }
}

fn request_words(what: Asked) -> String {
    match what {
        Asked::Signal(0) => "was sent a signal through the engine".to_owned(),
        Asked::Signal(signal) => format!("was sent signal {signal} through the engine"),
        Asked::Stop => "was stopped through the engine".to_owned(),
        Asked::Restart => "was restarted through the engine".to_owned(),
        Asked::Rename => "was renamed".to_owned(),
    }
}
