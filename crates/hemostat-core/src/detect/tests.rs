//! What detection promises, one behaviour a test.

use std::time::Duration;

use hemostat_event::{
    AnomalyKind, Change, ContainerId, ContainerPolicy, ContainerRef, Data, Envelope, Event, EventId, Health,
    HostName, Mode, Recovery, Role, RunState, Sample, Severity, Source, Subject, Timestamp,
};
use proptest::prelude::*;

use super::*;
use crate::engine::{Counters, EngineInfo, RestartPolicy};
use crate::role::Emit;

const POLL: u64 = 10;

/// One container with its watch and its state; time passes by the second.
struct Bench {
    settings: Settings,
    watch: Watch,
    state: State,
    inspection: Inspection,
    now: Timestamp,
}

impl Bench {
    fn running() -> Self {
        let mut bench = Self {
            settings: Settings::default(),
            watch: Watch::new(),
            state: State::default(),
            inspection: Inspection {
                name: "web".into(),
                state: RunState::Running,
                started_at: Some(at(1)),
                ..Inspection::default()
            },
            now: at(1),
        };
        bench.see(Observed::Sample(sample()));
        bench
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

    fn see(&mut self, observed: Observed) -> Vec<Data> {
        self.watch.take_in(&self.settings, &observed, self.now);
        let emits = self.decide(&observed);
        for emit in &emits {
            fold(&mut self.state, &event(emit, self.now));
        }
        emits.into_iter().map(|emit| emit.data).collect()
    }

    fn decide(&self, observed: &Observed) -> Vec<Emit> {
        let observation = Observation {
            container: &container(),
            inspection: &self.inspection,
            policy: &ContainerPolicy { mode: Mode::Auto, ..ContainerPolicy::default() },
            observed,
            at: self.now,
            engine_event_at: None,
        };
        decide(&self.settings, &subject(), &self.state, &self.watch, &observation)
    }

    fn engine(&mut self, kind: EngineEventKind) -> Vec<Data> {
        match &kind {
            EngineEventKind::Start => {
                self.inspection.state = RunState::Running;
                self.inspection.oom_killed = false;
                self.inspection.started_at = Some(self.now);
            }
            EngineEventKind::Die { exit_code } => {
                self.inspection.state = RunState::Exited;
                self.inspection.exit_code = Some(*exit_code);
            }
            EngineEventKind::Health(health) => self.inspection.health = *health,
            _ => {}
        }
        self.see(Observed::Engine(kind))
    }

    fn die(&mut self, exit_code: i64) -> Vec<Data> {
        self.engine(EngineEventKind::Die { exit_code })
    }

    /// The next poll.
    fn poll(&mut self, change: impl Fn(&mut Sample)) -> Vec<Data> {
        self.pass(POLL);
        let mut sample = Sample {
            state: self.inspection.state,
            health: self.inspection.health,
            exit_code: self.inspection.exit_code.filter(|_| self.inspection.state == RunState::Exited),
            oom_killed: self.inspection.oom_killed,
            started_at: self.inspection.started_at,
            ..sample()
        };
        change(&mut sample);
        self.see(Observed::Sample(sample))
    }

    fn cpu(&mut self, percent: f64) -> Vec<Data> {
        self.poll(|sample| sample.cpu_percent = Some(percent))
    }
}

#[test]
fn the_first_look_discovers_and_says_nothing_bad() {
    let mut bench = Bench::running();
    assert!(bench.state.seen);
    assert_eq!(bench.poll(|_| {}), vec![]);
}

#[test]
fn a_death_nobody_asked_for_is_an_alert_at_once() {
    let mut bench = Bench::running();
    let said = bench.die(1);
    assert!(matches!(&said[0], Data::ContainerChanged(changed) if changed.change == Change::Died { exit_code: 1 }));
    assert_eq!(kinds(&said), [AnomalyKind::NonZeroExit]);
    assert!(bench.state.open_incident().is_some());
}

#[test]
fn what_a_person_stopped_is_no_symptom() {
    for (signal, exit_code) in [(15, 143), (15, 1), (9, 137), (2, 130), (15, 0)] {
        let mut bench = Bench::running();
        bench.engine(EngineEventKind::Kill { signal });
        let said = bench.pass(9).die(exit_code);
        assert!(matches!(&said[0], Data::ContainerChanged(changed) if changed.change == Change::Stopped { exit_code }));
        assert_eq!(said.len(), 1);
        assert_eq!(bench.engine(EngineEventKind::Stop), vec![]);
        assert_eq!(bench.poll(|_| {}), vec![]);
    }
}

#[test]
fn a_signal_that_asks_for_no_end_excuses_none() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Kill { signal: 1 });
    assert_eq!(kinds(&bench.die(1)), [AnomalyKind::NonZeroExit]);
}

#[test]
fn a_stop_request_excuses_only_the_end_that_follows_it() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Kill { signal: 15 });
    assert_eq!(kinds(&bench.pass(120).die(1)), [AnomalyKind::NonZeroExit]);
}

#[test]
fn a_job_that_ends_with_0_is_done() {
    let said = Bench::running().die(0);
    assert_eq!(said.len(), 1);
    assert!(matches!(&said[0], Data::ContainerChanged(changed) if changed.change == Change::Died { exit_code: 0 }));
}

#[test]
fn an_oom_kill_is_one_alert_although_the_engine_tells_it_twice() {
    let mut bench = Bench::running();
    assert_eq!(kinds(&bench.engine(EngineEventKind::Oom)), []);
    bench.inspection.oom_killed = true;
    let said = bench.die(137);
    assert_eq!(kinds(&said), [AnomalyKind::OomKilled]);
    assert_eq!(alert(&said).expect("an alert").severity, Severity::Critical);
    assert_eq!(bench.poll(|_| {}), vec![]);
}

#[test]
fn an_oom_kill_counts_although_somebody_had_asked_for_the_end() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Kill { signal: 15 });
    bench.engine(EngineEventKind::Oom);
    assert_eq!(kinds(&bench.die(137)), [AnomalyKind::OomKilled]);
}

#[test]
fn a_child_killed_for_memory_is_an_alert_with_the_next_sample() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Oom);
    assert_eq!(kinds(&bench.poll(|_| {})), [AnomalyKind::OomKilled]);
    let quiet: Vec<_> = (0..5).flat_map(|_| bench.poll(|_| {})).collect();
    assert_eq!(quiet, vec![]);
    assert_eq!(recoveries(&bench.poll(|_| {})), [Recovery::Cleared]);
    assert_eq!(bench.poll(|_| {}), vec![]);
}

#[test]
fn three_deaths_in_ten_minutes_are_a_restart_loop() {
    let mut bench = Bench::running().with_policy(RestartPolicy::Always);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(kinds(&bench.die(1)));
        bench.pass(1).engine(EngineEventKind::Start);
        bench.pass(1);
    }
    assert_eq!(seen[0], [AnomalyKind::NonZeroExit]);
    assert_eq!(seen[1], [AnomalyKind::NonZeroExit]);
    assert_eq!(seen[2], [AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]);
    assert_eq!(seen[3], [], "the loop is known; only the cool-down repeats it");
    assert_eq!(seen[4], []);
}

#[test]
fn deaths_far_apart_are_no_loop() {
    let mut bench = Bench::running();
    for _ in 0..6 {
        bench.pass(400).die(1);
        bench.pass(1).engine(EngineEventKind::Start);
    }
    let open = bench.state.incident.as_ref().expect("an incident");
    assert!(!open.symptoms.contains_key(&AnomalyKind::RestartLoop));
}

#[test]
fn the_moment_the_engine_gives_up_is_news() {
    let mut bench = Bench::running().with_policy(RestartPolicy::OnFailure { max: 3 });
    let mut restarts = Vec::new();
    for count in 0..=3 {
        bench.inspection.restart_count = count;
        let said = bench.die(1);
        restarts.push(alert(&said).map(|alert| alert.engine_restarts));
        if count < 3 {
            bench.pass(1).engine(EngineEventKind::Start);
        }
        bench.pass(1);
    }
    assert_eq!(restarts, [Some(true), Some(true), Some(true), Some(false)]);
}

#[test]
fn a_symptom_of_death_ends_when_it_has_run_long_enough() {
    let mut bench = Bench::running();
    bench.die(1);
    bench.pass(1).engine(EngineEventKind::Start);
    let early: Vec<_> = (0..5).flat_map(|_| bench.poll(|_| {})).collect();
    assert_eq!(early, vec![]);
    bench.poll(|_| {});
    assert_eq!(bench.state.open_incident(), None);
}

#[test]
fn a_dead_container_stays_an_incident_and_is_repeated_after_the_cool_down_doubling() {
    let mut bench = Bench::running();
    bench.die(1);
    let mut repeated_at = Vec::new();
    for poll in 1..=400u64 {
        if alert(&bench.poll(|_| {})).is_some() {
            repeated_at.push(poll * POLL);
        }
    }
    assert_eq!(repeated_at, [600, 1_800]);
}

#[test]
fn unhealthy_is_an_alert_and_healthy_ends_it() {
    let mut bench = Bench::running();
    assert_eq!(kinds(&bench.engine(EngineEventKind::Health(Health::Starting))), []);
    assert_eq!(kinds(&bench.engine(EngineEventKind::Health(Health::Unhealthy))), [AnomalyKind::UnhealthyStatus]);
    assert_eq!(bench.poll(|_| {}), vec![]);
    assert_eq!(recoveries(&bench.engine(EngineEventKind::Health(Health::Healthy))), [Recovery::Cleared]);
}

#[test]
fn unhealthy_is_found_by_a_sample_when_the_event_was_missed() {
    let mut bench = Bench::running();
    bench.inspection.health = Health::Unhealthy;
    assert_eq!(kinds(&bench.poll(|_| {})), [AnomalyKind::UnhealthyStatus]);
}

#[test]
fn a_figure_fires_in_two_of_three_samples_and_clears_after_five_below_the_lower_level() {
    let mut bench = Bench::running();
    assert_eq!(bench.cpu(90.0), vec![]);
    assert_eq!(bench.cpu(10.0), vec![]);
    assert_eq!(kinds(&bench.cpu(90.0)), [AnomalyKind::HighCpu]);
    // Between the levels it neither fires nor clears.
    let between: Vec<_> = (0..10).flat_map(|_| bench.cpu(80.0)).collect();
    assert_eq!(between, vec![]);
    let falling: Vec<_> = (0..4).flat_map(|_| bench.cpu(5.0)).collect();
    assert_eq!(falling, vec![]);
    assert_eq!(recoveries(&bench.cpu(5.0)), [Recovery::Cleared]);
}

#[test]
fn a_single_spike_says_nothing() {
    let mut bench = Bench::running();
    let said: Vec<_> = [99.0, 1.0, 1.0, 99.0, 1.0, 1.0, 99.0].into_iter().flat_map(|cpu| bench.cpu(cpu)).collect();
    assert_eq!(said, vec![]);
}

#[test]
fn a_missing_figure_neither_fires_nor_clears() {
    let mut bench = Bench::running();
    bench.cpu(90.0);
    bench.cpu(90.0);
    assert!(bench.state.open_incident().is_some());
    let silent: Vec<_> = (0..20).flat_map(|_| bench.poll(|sample| sample.cpu_percent = None)).collect();
    assert_eq!(silent, vec![]);
}

#[test]
fn a_second_symptom_joins_the_open_incident() {
    let mut bench = Bench::running();
    bench.cpu(90.0);
    bench.cpu(90.0);
    let first = bench.state.open_incident();
    let said = bench.engine(EngineEventKind::Health(Health::Unhealthy));
    assert_eq!(kinds(&said), [AnomalyKind::HighCpu, AnomalyKind::UnhealthyStatus]);
    assert_eq!(bench.state.open_incident(), first);
}

#[test]
fn a_restart_through_the_engine_does_not_end_the_incident() {
    let mut bench = Bench::running();
    bench.engine(EngineEventKind::Health(Health::Unhealthy));
    bench.engine(EngineEventKind::Kill { signal: 15 });
    bench.pass(1).die(143);
    bench.engine(EngineEventKind::Stop);
    bench.inspection.health = Health::Starting;
    let said = bench.engine(EngineEventKind::Start);
    bench.engine(EngineEventKind::Restart);
    assert_eq!(recoveries(&said), [], "a new run is not yet a recovery");
    assert_eq!(recoveries(&bench.poll(|_| {})), [], "nor is a health check that has only started");
    assert_eq!(recoveries(&bench.engine(EngineEventKind::Health(Health::Healthy))), [Recovery::Cleared]);
}

#[test]
fn a_restart_ends_a_figure_only_after_enough_good_samples_of_the_new_run() {
    let mut bench = Bench::running();
    bench.cpu(99.0);
    bench.cpu(99.0);
    bench.engine(EngineEventKind::Kill { signal: 15 });
    let mut said = bench.die(143);
    said.extend(bench.engine(EngineEventKind::Start));
    said.extend((0..4).flat_map(|_| bench.cpu(1.0)));
    assert_eq!(recoveries(&said), []);
    assert_eq!(recoveries(&bench.cpu(1.0)), [Recovery::Cleared]);
}

#[test]
fn a_stop_by_hand_ends_the_incident_with_the_next_sample() {
    let mut bench = Bench::running();
    bench.cpu(90.0);
    bench.cpu(90.0);
    bench.engine(EngineEventKind::Kill { signal: 15 });
    bench.pass(1).die(143);
    assert_eq!(recoveries(&bench.poll(|sample| sample.cpu_percent = None)), [Recovery::Stopped]);
}

#[test]
fn a_removal_ends_the_incident_and_the_next_of_that_name_begins_anew() {
    let mut bench = Bench::running();
    bench.die(1);
    let said = bench.engine(EngineEventKind::Destroy);
    assert_eq!(recoveries(&said), [Recovery::Removed]);
    assert!(matches!(said.last(), Some(Data::ContainerChanged(changed)) if changed.change == Change::Removed));
    assert_eq!(bench.see(Observed::Gone), vec![]);
    bench.inspection.state = RunState::Running;
    assert!(matches!(&bench.poll(|_| {})[0], Data::ContainerChanged(changed)
        if changed.change == Change::Discovered { state: RunState::Running }));
}

#[test]
fn a_container_found_ended_is_left_alone_whatever_its_code() {
    let mut bench = Bench::running();
    bench.state = State::default();
    bench.inspection.state = RunState::Exited;
    bench.inspection.exit_code = Some(1);
    let said: Vec<_> = (0..5).flat_map(|_| bench.poll(|_| {})).collect();
    assert_eq!(said.len(), 1, "discovered, nothing more: {said:?}");
}

#[test]
fn a_death_during_the_monitors_absence_is_found_by_the_second_sample() {
    for (exit_code, oom, kind) in
        [(1, false, Some(AnomalyKind::NonZeroExit)), (137, true, Some(AnomalyKind::OomKilled)), (143, false, None)]
    {
        let mut bench = Bench::running();
        bench.watch = Watch::new();
        bench.inspection.state = RunState::Exited;
        bench.inspection.exit_code = Some(exit_code);
        bench.inspection.oom_killed = oom;
        assert_eq!(bench.poll(|_| {}), vec![], "the event may still come");
        assert_eq!(kinds(&bench.poll(|_| {})).first().copied(), kind, "exit code {exit_code}");
    }
}

#[test]
fn an_ended_container_has_no_high_cpu() {
    let mut bench = Bench::running();
    bench.cpu(90.0);
    bench.engine(EngineEventKind::Kill { signal: 15 });
    bench.die(0);
    assert_eq!(kinds(&bench.cpu(99.0)), []);
}

#[test]
fn cpu_is_of_what_the_container_may_use() {
    let host = EngineInfo {
        version: String::new(),
        api_version: String::new(),
        host: "h".into(),
        cpus: 8,
        memory_bytes: 1 << 30,
        cgroup_version: 1,
    };
    let reading = |seconds: u64, used_seconds: u64| Counters {
        read_at: at(seconds),
        cpu_usage_ns: Some(used_seconds * 1_000_000_000),
        memory_bytes: Some(1 << 28),
        // What cgroup v1 writes for "no limit".
        memory_limit_bytes: Some(9_223_372_036_854_771_712),
        ..Counters::default()
    };
    let of = |limit: Option<f64>, second: &Counters| {
        let mut watch = Watch::new();
        let inspection = Inspection { state: RunState::Running, cpu_limit_cores: limit, ..Inspection::default() };
        assert_eq!(watch.sample(&inspection, Some(&reading(10, 5)), None, &host).cpu_percent, None);
        watch.sample(&inspection, Some(second), None, &host)
    };
    // One busy core of eight is 12.5 %, not 100.
    assert_eq!(of(None, &reading(20, 15)).cpu_percent, Some(12.5));
    assert_eq!(of(Some(2.0), &reading(20, 15)).cpu_percent, Some(50.0));
    assert_eq!(of(Some(0.5), &reading(20, 10)).cpu_percent, Some(100.0));
    assert_eq!(of(None, &reading(20, 4)).cpu_percent, None, "a counter that went back says nothing");
    assert_eq!(of(None, &reading(10, 15)).cpu_percent, None, "no time has passed");
    let sample = of(None, &reading(20, 15));
    assert_eq!((sample.memory_percent, sample.memory_limit_bytes), (Some(25.0), Some(1 << 30)));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    assert_eq!(Settings::default().validate(), Vec::<String>::new());
    let wrong = Settings {
        cpu: Levels { fire: 50.0, clear: 60.0, critical: 90.0 },
        fire: NOfM { needed: 4, of: 3 },
        clear_after: 0,
        ..Settings::default()
    };
    assert_eq!(wrong.validate().len(), 3);
}

fn any_observation() -> impl Strategy<Value = (u64, Observed)> {
    let engine = prop_oneof![
        Just(EngineEventKind::Start),
        prop_oneof![Just(0), Just(1), Just(137), Just(143)].prop_map(|exit_code| EngineEventKind::Die { exit_code }),
        Just(EngineEventKind::Kill { signal: 15 }),
        Just(EngineEventKind::Stop),
        Just(EngineEventKind::Oom),
        Just(EngineEventKind::Health(Health::Healthy)),
        Just(EngineEventKind::Health(Health::Unhealthy)),
        Just(EngineEventKind::Pause),
        Just(EngineEventKind::Unpause),
        Just(EngineEventKind::Destroy),
    ];
    let state = prop_oneof![Just(RunState::Running), Just(RunState::Exited), Just(RunState::Paused)];
    let sample = (state, proptest::option::of(0.0..120.0f64)).prop_map(|(state, cpu_percent)| {
        Observed::Sample(Sample { state, cpu_percent, exit_code: Some(1), ..Sample::default() })
    });
    (0u64..200, prop_oneof![3 => engine.prop_map(Observed::Engine), 5 => sample, 1 => Just(Observed::Gone)])
}

proptest! {
    #[test]
    fn incidents_open_and_close_in_turn_and_nothing_is_said_twice(
        seen in proptest::collection::vec(any_observation(), 1..60)
    ) {
        let mut bench = Bench::running();
        let mut open = None;
        for (seconds, observed) in seen {
            bench.pass(seconds + 1);
            bench.watch.take_in(&bench.settings, &observed, bench.now);
            let emits = bench.decide(&observed);
            for emit in &emits {
                match &emit.data {
                    Data::HealthAlert(alert) => {
                        prop_assert!(open.is_none() || open == emit.incident, "two incidents at a time");
                        prop_assert!(!alert.anomalies.is_empty());
                        open = emit.incident;
                    }
                    Data::HealthRecovered(_) => {
                        prop_assert!(open.is_some() && open == emit.incident, "a recovery without an incident");
                        open = None;
                    }
                    _ => {}
                }
                fold(&mut bench.state, &event(emit, bench.now));
            }
            prop_assert_eq!(bench.state.open_incident(), open);
        }
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
        image: "nginx".into(),
        project: None,
        service: None,
    }
}

fn sample() -> Sample {
    Sample { state: RunState::Running, cpu_percent: Some(1.0), memory_percent: Some(1.0), ..Sample::default() }
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

fn alert(said: &[Data]) -> Option<&hemostat_event::HealthAlert> {
    said.iter().find_map(|data| if let Data::HealthAlert(alert) = data { Some(alert) } else { None })
}

/// The kinds of the alert among `said`; none where there is no alert.
fn kinds(said: &[Data]) -> Vec<AnomalyKind> {
    alert(said).map_or_else(Vec::new, |alert| alert.anomalies.iter().map(|anomaly| anomaly.kind).collect())
}

fn recoveries(said: &[Data]) -> Vec<Recovery> {
    let reason = |data: &Data| if let Data::HealthRecovered(recovered) = data { Some(recovered.reason) } else { None };
    said.iter().filter_map(reason).collect()
}
