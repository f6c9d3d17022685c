//! What the analyzer promises.

mod models;
mod rules;

use hemostat_event::{
    Anomaly, AnomalyKind, Cause, ContainerId, ContainerPolicy, ContainerRef, Envelope, EventId, Evidence,
    EvidenceItem, EvidenceKind, Health, HostName, Mode, RunState, Sample, Severity, Source, TrendPoint,
};
use proptest::prelude::*;

use super::*;

#[test]
fn one_alert_is_one_decision_and_the_state_counts_plans() {
    let analyzer = Analyzer { settings: Settings::default() };
    let mut state = State::default();
    for expected in [ActionKind::Restart, ActionKind::Restart, ActionKind::Restart, ActionKind::Escalate] {
        let event = event(died(1));
        let decision = analyzer.decide(&subject(), &state, Input::Event(&event), at(60));
        assert_eq!(decision.emit.len(), 1);
        let Data::RemediationNeeded(needed) = &decision.emit[0].data else { panic!("expected a plan") };
        assert_eq!(needed.plan.action.kind(), expected);
        assert_eq!(needed.plan.expires_at, at(360));
        assert_eq!(needed.kinds, [AnomalyKind::NonZeroExit]);
        assert_eq!(decision.emit[0].incident, event.envelope.incident);
        let emitted = Event { envelope: event.envelope.clone(), data: decision.emit[0].data.clone() };
        Analyzer::fold(&mut state, &emitted);
    }
    assert_eq!(state.plans(event(died(1)).envelope.incident), 3, "telling a person is no plan");
}

#[test]
fn plans_of_another_incident_do_not_count() {
    let mut state = State::default();
    let analyzer = Analyzer { settings: Settings::default() };
    for number in 0..20 {
        let mut event = event(died(1));
        event.envelope.incident = Some(IncidentId::opened(&subject(), at(number)));
        let decision = analyzer.decide(&subject(), &state, Input::Event(&event), at(60));
        let Data::RemediationNeeded(needed) = &decision.emit[0].data else { panic!("expected a plan") };
        assert_eq!(needed.plan.action.kind(), ActionKind::Restart);
        event.data = decision.emit[0].data.clone();
        Analyzer::fold(&mut state, &event);
    }
    assert!(state.incidents.len() <= INCIDENTS_MAX);
}

#[test]
fn what_is_no_alert_is_no_input() {
    let analyzer = Analyzer { settings: Settings::default() };
    let mut event = event(died(1));
    event.data =
        FalseAlarm { container: container(), kinds: Vec::new(), verdict: find(&died(1), 0, 3).verdict }
            .into();
    assert_eq!(
        analyzer.decide(&subject(), &State::default(), Input::Event(&event), at(60)),
        Decision::nothing()
    );
}

#[test]
fn a_plan_carries_what_the_labels_allow() {
    let mut alert = died(1);
    alert.policy = ContainerPolicy { mode: Mode::Suggest, stop_timeout_secs: Some(42), ..alert.policy };
    let analyzer = Analyzer { settings: Settings::default() };
    let decision =
        analyzer.decide(&subject(), &State::default(), Input::Event(&event(alert.clone())), at(60));
    let Data::RemediationNeeded(needed) = &decision.emit[0].data else { panic!("expected a plan") };
    assert_eq!(needed.plan.policy, alert.policy);
    assert_eq!(needed.plan.action, Action::Restart { stop_timeout_secs: Some(42) });
    assert_eq!(needed.plan.target, container().id);
}

// --- Leaks ---

#[test]
fn a_leak_needs_points_a_fit_and_a_rise() {
    let limit = 64 << 20;
    assert!(leak(&rising(10, 5 << 20), limit).is_some());
    assert!(leak(&rising(6, 5 << 20), limit).is_some());
    assert!(leak(&rising(5, 5 << 20), limit).is_none(), "too few points");
    assert!(leak(&rising(7, 640 << 10), limit).is_some(), "6 % of the limit");
    assert!(leak(&rising(7, 500 << 10), limit).is_none(), "less than 5 %");
    assert!(leak(&rising(10, 10_000), limit).is_none(), "no rise to speak of");
    assert!(leak(&[], limit).is_none());
    let falling: Vec<_> = (0..10).map(|i| point(i, 1.0, (60 - i * 2) << 20)).collect();
    assert!(leak(&falling, limit).is_none());
    let noise: Vec<_> = (0..12).map(|i| point(i, 1.0, (20 + (i * 7 % 5) * 8) << 20)).collect();
    assert!(leak(&noise, limit).is_none(), "no line");
    let level: Vec<_> = (0..12).map(|i| point(i, 1.0, 60 << 20)).collect();
    assert!(leak(&level, limit).is_none(), "level to the byte");
    let at_once: Vec<_> = (0..12).map(|i| TrendPoint { at: at(0), ..point(i, 1.0, i << 20) }).collect();
    assert!(leak(&at_once, limit).is_none(), "no time has passed");
    let found = leak(&rising(10, 5 << 20), limit).expect("a leak");
    assert!((found.slope - f64::from(5 << 20) / 10.0).abs() < 1.0);
    assert!(0.999 < found.fit);
    assert_eq!(found.to_limit.as_secs(), (64 - 45) * 2);
}

#[test]
fn points_without_the_figure_are_passed_over() {
    let mut trend = rising(10, 5 << 20);
    trend.insert(4, TrendPoint { memory_bytes: None, ..point(3, 1.0, 0) });
    assert!(leak(&trend, 64 << 20).is_some());
}

#[test]
fn a_cache_that_warms_up_is_no_leak() {
    // An exponential approach to 55 of 64 MiB; a leak that just began looks the same until it flattens.
    let warming = |points: u64, tau: f64| -> Vec<_> {
        (0..points)
            .map(|i| point(i, 1.0, ((1.0 - (-(i as f64) / tau).exp()) * f64::from(55 << 20)) as u64))
            .collect()
    };
    for tau in [2.0, 5.0, 10.0, 20.0, 30.0] {
        assert!(leak(&warming(60, tau), 64 << 20).is_none(), "time constant {tau}");
    }
    // A leak with saw teeth goes on as it began.
    let saw: Vec<_> = (0..40).map(|i| point(i, 1.0, (10 + i + (i % 4) * 2) << 20)).collect();
    assert!(leak(&saw, 64 << 20).is_some());
    // One that was stopped just below the limit by its own doing is still one while most of the rise is in sight.
    let stalled: Vec<_> =
        [0, 12, 24, 36, 48, 57, 57].iter().zip(0..).map(|(mib, i)| point(i, 1.0, mib << 20)).collect();
    assert!(leak(&stalled, 64 << 20).is_some());
}

// --- Everything at once ---

/// An alert with anything in it.
fn any_alert() -> impl Strategy<Value = HealthAlert> {
    let kinds = proptest::sample::subsequence(AnomalyKind::ALL.to_vec(), 0..=8);
    let codes = prop_oneof![
        Just(None),
        prop_oneof![Just(0i64), Just(1), Just(126), Just(127), Just(137), Just(139), Just(143)]
            .prop_map(Some),
        (-1i64..260).prop_map(Some),
    ];
    let state = prop_oneof![
        Just(RunState::Running),
        Just(RunState::Exited),
        Just(RunState::Restarting),
        Just(RunState::Paused),
        Just(RunState::Unknown),
    ];
    let health = prop_oneof![
        Just(Health::None),
        Just(Health::Starting),
        Just(Health::Healthy),
        Just(Health::Unhealthy)
    ];
    let severity = prop_oneof![Just(Severity::Warning), Just(Severity::High), Just(Severity::Critical)];
    let trend = proptest::collection::vec((0u64..100 << 20, proptest::option::of(0.0..120.0f64)), 0..20);
    let log = prop_oneof![Just("connection refused".to_owned()), ".{0,60}"];
    let facts = (codes, state, health, severity, any::<bool>(), 0u64..5, 0u32..6);
    (kinds, facts, proptest::option::of(0.0..200.0f64), trend, log).prop_map(
        |(
            kinds,
            (code, state, health, severity, engine_restarts, restart_count, deaths),
            cpu,
            trend,
            log,
        )| {
            let mut alert = alert(&kinds);
            for anomaly in &mut alert.anomalies {
                anomaly.severity = severity;
                anomaly.threshold = Some(85.0);
                anomaly.actual = code.map(|code| code as f64);
            }
            alert.severity = severity;
            alert.sample = Sample {
                state,
                health,
                exit_code: code,
                cpu_percent: cpu,
                restart_count,
                memory_limit_bytes: Some(64 << 20),
                ..Sample::default()
            };
            alert.engine_restarts = engine_restarts;
            alert.deaths_recent = deaths;
            alert.evidence.trend = trend
                .into_iter()
                .zip(0..)
                .map(|((bytes, cpu), i)| TrendPoint { cpu_percent: cpu, ..point(i, 0.0, bytes) })
                .collect();
            alert.evidence.items = vec![
                item("log", EvidenceKind::LogTail, &log),
                item("change-1", EvidenceKind::RecentChange, "x"),
            ];
            alert
        },
    )
}

/// Whether the alert has a hard fact or a symptom that lasts: what a sure restart must rest on.
fn has_a_reason_to_act(alert: &HealthAlert) -> bool {
    let has = |kind| alert.anomalies.iter().any(|anomaly| anomaly.kind == kind);
    let lies = alert.sample.state != RunState::Running;
    let died = lies && (has(AnomalyKind::NonZeroExit) || has(AnomalyKind::OomKilled));
    let full = alert
        .anomalies
        .iter()
        .any(|anomaly| anomaly.kind == AnomalyKind::HighPids && anomaly.severity == Severity::Critical);
    let cpu: Vec<_> =
        alert.evidence.trend.iter().rev().filter_map(|point| point.cpu_percent).take(5).collect();
    let lasting_cpu = 4 <= cpu.iter().filter(|percent| 85.0 <= **percent).count();
    died || has(AnomalyKind::UnhealthyStatus)
        || full
        || has(AnomalyKind::HighCpu) && lasting_cpu
        || has(AnomalyKind::HighMemory) && leak(&alert.evidence.trend, 64 << 20).is_some()
}

proptest! {
    #[test]
    fn any_alert_has_one_verdict_that_rests_on_what_it_has(alert in any_alert(), plans in 0u32..5) {
        let finding = find(&alert, plans, 3);
        prop_assert!((0.0..=1.0).contains(&finding.verdict.confidence));
        prop_assert!(!finding.verdict.reason.is_empty());
        for cited in &finding.verdict.cited {
            let known = alert.evidence.items.iter().any(|item| item.id == *cited)
                || alert.anomalies.iter().any(|anomaly| anomaly.kind.as_str() == cited);
            prop_assert!(known, "cites `{}`, which the alert does not have", cited);
        }
        prop_assert!(alert.anomalies.is_empty() || !finding.verdict.cited.is_empty());
        let mut unique = finding.verdict.cited.clone();
        unique.sort();
        unique.dedup();
        prop_assert_eq!(unique.len(), finding.verdict.cited.len(), "cites twice");

        let analyzer = Analyzer { settings: Settings::default() };
        let decision = analyzer.decide(&subject(), &State::default(), Input::Event(&event(alert)), at(60));
        let verdicts = decision.emit.iter().filter(|emit| {
            matches!(emit.data, Data::RemediationNeeded(_) | Data::FalseAlarm(_))
        });
        prop_assert_eq!((verdicts.count(), decision.emit.len()), (1, 1));
        prop_assert_eq!(decision.then, Then::Acknowledge);
    }

    #[test]
    fn a_sure_restart_rests_on_a_hard_fact_or_a_lasting_symptom(alert in any_alert(), plans in 0u32..5) {
        let finding = find(&alert, plans, 3);
        let restarts = matches!(finding.action, Some(Action::Restart { .. }));
        prop_assert!(restarts || matches!(finding.action, None | Some(Action::Escalate)));
        if restarts && 0.7 <= finding.verdict.confidence {
            prop_assert!(has_a_reason_to_act(&alert), "{:?}", finding);
        }
        if restarts {
            prop_assert!(alert.sample.state != RunState::Paused, "paused");
            let starting = alert.sample.state == RunState::Running && alert.sample.health == Health::Starting;
            prop_assert!(!starting, "still starting");
            prop_assert!(plans < 3, "planned often enough");
            let looping = alert.anomalies.iter().any(|anomaly| anomaly.kind == AnomalyKind::RestartLoop);
            prop_assert!(!looping || plans == 0, "a loop is restarted once at most");
        }
    }

    #[test]
    fn a_line_is_a_leak_at_any_pace_and_noise_about_a_level_is_none(
        step in 1u64..64, noise in proptest::collection::vec(0u64..(1 << 20), 12..40), level in 10u64..50,
    ) {
        let limit = 64 << 20;
        let line: Vec<_> = (0..12).map(|i| point(i * step, 1.0, (i * 4) << 20)).collect();
        prop_assert!(leak(&line, limit).is_some());
        let flat: Vec<_> = noise.iter().zip(0..).map(|(bytes, i)| point(i, 1.0, (level << 20) + bytes)).collect();
        prop_assert!(leak(&flat, limit).is_none());
    }
}

fn kind(finding: &Finding) -> Option<ActionKind> {
    finding.action.as_ref().map(Action::kind)
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
}

fn point(index: u64, cpu: f64, memory: u64) -> TrendPoint {
    TrendPoint { at: at(index * 10), cpu_percent: Some(cpu), memory_bytes: Some(memory) }
}

fn rising(points: u64, step: u64) -> Vec<TrendPoint> {
    (0..points).map(|index| point(index, 1.0, index * step)).collect()
}

fn item(id: &str, kind: EvidenceKind, text: &str) -> EvidenceItem {
    EvidenceItem { id: id.to_owned(), kind, text: text.to_owned() }
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

fn alert(kinds: &[AnomalyKind]) -> HealthAlert {
    let anomaly = |kind: &AnomalyKind| Anomaly {
        kind: *kind,
        severity: Severity::High,
        actual: None,
        threshold: None,
        since: at(0),
        detail: kind.as_str().to_owned(),
    };
    HealthAlert {
        container: container(),
        severity: Severity::High,
        anomalies: kinds.iter().map(anomaly).collect(),
        sample: Sample { state: RunState::Running, ..Sample::default() },
        opened_at: at(0),
        engine_event_at: None,
        deaths_recent: 1,
        engine_restarts: false,
        evidence: Evidence::default(),
        policy: ContainerPolicy { mode: Mode::Auto, ..ContainerPolicy::default() },
    }
}

/// A container that lies dead, with this exit code.
fn died(code: i64) -> HealthAlert {
    let mut alert = alert(&[AnomalyKind::NonZeroExit]);
    alert.sample.state = RunState::Exited;
    alert.sample.exit_code = Some(code);
    alert.anomalies[0].actual = Some(code as f64);
    alert
}

fn event(alert: HealthAlert) -> Event {
    Event {
        envelope: Envelope {
            id: EventId::observed(&subject(), Role::Monitor, at(0), 0),
            source: Source { role: Role::Monitor, instance: "m1".into() },
            time: at(0),
            host: HostName::new("h1").unwrap(),
            subject: Some(subject()),
            incident: Some(IncidentId::opened(&subject(), at(0))),
            cause: None,
            traceparent: None,
        },
        data: alert.into(),
    }
}
