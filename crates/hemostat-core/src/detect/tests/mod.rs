//! What detection promises, one behaviour a test.

mod ends;
mod evidence;
mod figures;
mod incidents;
mod memory_kills;
mod missed;
mod property;

use std::time::Duration;

use hemostat_event::{
    AnomalyKind, Change, ContainerId, ContainerPolicy, ContainerRef, Data, Envelope, Event, EventId, Health,
    HealthAlert, HostName, Mode, Recovery, Role, RunState, Sample, Severity, Source, Subject, Timestamp,
};

use super::*;
use crate::engine::{EngineEventKind, Inspection, RestartPolicy};
use crate::role::Emit;

const POLL: u64 = 10;

/// One container with its watch and its state; time passes by the second.
struct Bench {
    settings: Settings,
    watch: Watch,
    state: State,
    inspection: Inspection,
    policy: ContainerPolicy,
    now: Timestamp,
    /// How far the engine's clock is ahead of the log's.
    engine_ahead: Duration,
    engine_behind: Duration,
}

impl Bench {
    /// A container that runs since long, and was seen once.
    fn running() -> Self {
        let mut bench = Self::new();
        bench.see(&Observed::Sample(sample()));
        bench
    }

    /// A container that runs since long, and was never seen.
    fn new() -> Self {
        Self {
            settings: Settings::default(),
            watch: Watch::new(),
            state: State::default(),
            inspection: Inspection {
                name: "web".into(),
                state: RunState::Running,
                started_at: Some(at(1)),
                ..Inspection::default()
            },
            policy: ContainerPolicy { mode: Mode::Auto, ..ContainerPolicy::default() },
            now: at(1),
            engine_ahead: Duration::ZERO,
            engine_behind: Duration::ZERO,
        }
    }

    fn with_policy(mut self, policy: RestartPolicy) -> Self {
        self.inspection.restart_policy = policy;
        self
    }

    /// Lets `seconds` pass.
    fn pass(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now + Duration::from_secs(seconds);
        self
    }

    /// Now, by the engine's clock.
    fn engine_now(&self) -> Timestamp {
        self.now + self.engine_ahead - self.engine_behind
    }

    fn see(&mut self, observed: &Observed) -> Vec<Data> {
        let engine_at = matches!(observed, Observed::Engine(_)).then(|| self.engine_now());
        self.watch.take_in(&self.settings, observed, engine_at.unwrap_or(self.now));
        let emits = self.decide(observed);
        for emit in &emits {
            fold(&mut self.state, &event(emit, self.now));
        }
        emits.into_iter().map(|emit| emit.data).collect()
    }

    fn decide(&self, observed: &Observed) -> Vec<Emit> {
        let observation = Observation {
            container: &container(),
            inspection: &self.inspection,
            policy: &self.policy,
            observed,
            at: self.now,
            engine_event_at: matches!(observed, Observed::Engine(_)).then(|| self.engine_now()),
        };
        decide(&self.settings, &subject(), &self.state, &self.watch, &observation)
    }

    /// Something the engine tells, with what the inspection shows then.
    fn engine(&mut self, kind: EngineEventKind) -> Vec<Data> {
        match &kind {
            EngineEventKind::Start => {
                self.inspection.state = RunState::Running;
                self.inspection.oom_killed = false;
                self.inspection.exit_code = None;
                self.inspection.started_at = Some(self.engine_now());
                if self.inspection.health != Health::None {
                    self.inspection.health = Health::Starting;
                }
            }
            EngineEventKind::Die { exit_code } => {
                self.inspection.state = RunState::Exited;
                self.inspection.exit_code = Some(*exit_code);
                self.inspection.finished_at = Some(self.engine_now());
            }
            EngineEventKind::Health(health) => self.inspection.health = *health,
            EngineEventKind::Pause => self.inspection.state = RunState::Paused,
            EngineEventKind::Unpause => self.inspection.state = RunState::Running,
            _ => {}
        }
        self.tell(kind)
    }

    /// Something the engine tells, while the inspection shows what it showed before.
    fn tell(&mut self, kind: EngineEventKind) -> Vec<Data> {
        self.see(&Observed::Engine(kind))
    }

    fn kill(&mut self, signal: i64) -> Vec<Data> {
        self.engine(EngineEventKind::Kill { signal })
    }

    fn die(&mut self, exit_code: i64) -> Vec<Data> {
        self.engine(EngineEventKind::Die { exit_code })
    }

    fn start(&mut self) -> Vec<Data> {
        self.engine(EngineEventKind::Start)
    }

    fn health(&mut self, health: Health) -> Vec<Data> {
        self.engine(EngineEventKind::Health(health))
    }

    /// What an engine tells when somebody asks it to restart a running container.
    fn restart(&mut self) -> Vec<Data> {
        let mut said = self.kill(15);
        said.extend(self.pass(1).die(143));
        said.extend(self.engine(EngineEventKind::Stop));
        said.extend(self.start());
        said.extend(self.engine(EngineEventKind::Restart));
        said
    }

    /// The next poll.
    fn poll(&mut self, change: impl Fn(&mut Sample)) -> Vec<Data> {
        self.pass(POLL).look(change)
    }

    /// A poll right now.
    fn look(&mut self, change: impl Fn(&mut Sample)) -> Vec<Data> {
        let inspection = &self.inspection;
        let ended = watch::has_ended(inspection.state);
        let mut sample = Sample {
            state: inspection.state,
            health: inspection.health,
            exit_code: inspection.exit_code.filter(|_| ended),
            oom_killed: inspection.oom_killed,
            started_at: inspection.started_at,
            finished_at: inspection.finished_at.filter(|_| ended),
            restart_count: inspection.restart_count,
            ..sample()
        };
        change(&mut sample);
        self.see(&Observed::Sample(sample))
    }

    /// `count` polls with nothing to see.
    fn polls(&mut self, count: u32) -> Vec<Data> {
        (0..count).flat_map(|_| self.poll(|_| {})).collect()
    }

    fn cpu(&mut self, percent: f64) -> Vec<Data> {
        self.poll(|sample| sample.cpu_percent = Some(percent))
    }

    fn cpus(&mut self, percents: &[f64]) -> Vec<Data> {
        percents.iter().flat_map(|percent| self.cpu(*percent)).collect()
    }

    fn is_open(&self) -> bool {
        self.state.open_incident().is_some()
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
}

fn subject() -> Subject {
    Subject::new(&HostName::new("h1").unwrap(), "web").unwrap()
}

fn container() -> ContainerRef {
    ContainerRef {
        id: ContainerId::new("ab".repeat(32)).unwrap(),
        name: "web".into(),
        image: "nginx:1.27".into(),
        project: None,
        service: None,
    }
}

fn sample() -> Sample {
    Sample {
        state: RunState::Running,
        cpu_percent: Some(1.0),
        memory_percent: Some(1.0),
        started_at: Some(at(1)),
        ..Sample::default()
    }
}

fn event(emit: &Emit, time: Timestamp) -> Event {
    Event {
        envelope: Envelope {
            id: EventId::observed(&subject(), Role::Monitor, time, 0),
            source: Source { role: Role::Monitor, instance: "m1".into() },
            time,
            host: HostName::new("h1").unwrap(),
            subject: Some(subject()),
            incident: emit.incident,
            cause: None,
            traceparent: None,
        },
        data: emit.data.clone(),
    }
}

fn alert(said: &[Data]) -> Option<&HealthAlert> {
    said.iter().find_map(|data| if let Data::HealthAlert(alert) = data { Some(alert) } else { None })
}

/// The kinds of the alert among `said`; none where there is no alert.
fn kinds(said: &[Data]) -> Vec<AnomalyKind> {
    alert(said).map_or_else(Vec::new, |alert| alert.anomalies.iter().map(|anomaly| anomaly.kind).collect())
}

fn severity(said: &[Data]) -> Option<Severity> {
    alert(said).map(|alert| alert.severity)
}

fn recoveries(said: &[Data]) -> Vec<Recovery> {
    let reason =
        |data: &Data| if let Data::HealthRecovered(recovered) = data { Some(recovered.reason) } else { None };
    said.iter().filter_map(reason).collect()
}

fn changes(said: &[Data]) -> Vec<Change> {
    let change = |data: &Data| {
        if let Data::ContainerChanged(changed) = data { Some(changed.change.clone()) } else { None }
    };
    said.iter().filter_map(change).collect()
}

const DIED: fn(i64) -> Change = |exit_code| Change::Died { exit_code };
const STOPPED: fn(i64) -> Change = |exit_code| Change::Stopped { exit_code };
