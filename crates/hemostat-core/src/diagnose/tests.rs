//! What the rules promise.

use hemostat_event::{
    Anomaly, AnomalyKind, Cause, ContainerId, ContainerPolicy, ContainerRef, Envelope, EventId, Evidence,
    EvidenceItem, EvidenceKind, HostName, Mode, Sample, Severity, Source, TrendPoint,
};
use proptest::prelude::*;

use super::*;

#[test]
fn every_exit_code_has_its_cause() {
    for (code, cause, action) in [
        (1, Cause::ApplicationError, ActionKind::Restart),
        (255, Cause::ApplicationError, ActionKind::Restart),
        (126, Cause::BadCommand, ActionKind::Escalate),
        (127, Cause::BadCommand, ActionKind::Escalate),
        (132, Cause::NativeCrash, ActionKind::Restart),
        (134, Cause::NativeCrash, ActionKind::Restart),
        (135, Cause::NativeCrash, ActionKind::Restart),
        (139, Cause::NativeCrash, ActionKind::Restart),
        (137, Cause::KilledFromOutside, ActionKind::Restart),
    ] {
        let finding = find(&died(code), 0, 3);
        assert_eq!((finding.verdict.cause, kind(&finding)), (cause, Some(action)), "exit code {code}");
    }
}

#[test]
fn an_oom_kill_is_the_limit_or_with_a_rise_before_it_a_leak() {
    let mut alert = alert(&[AnomalyKind::OomKilled]);
    alert.sample.memory_limit_bytes = Some(64 << 20);
    assert_eq!(find(&alert, 0, 3).verdict.cause, Cause::MemoryLimit);
    alert.evidence.trend = rising(10, 6 << 20);
    assert_eq!(find(&alert, 0, 3).verdict.cause, Cause::MemoryLeak);
    assert_eq!(kind(&find(&alert, 0, 3)), Some(ActionKind::Restart));
}

#[test]
fn a_container_that_the_engine_restarts_is_left_to_it() {
    let mut alert = died(1);
    alert.engine_restarts = true;
    assert_eq!(find(&alert, 0, 3).action, None);
}

#[test]
fn a_restart_loop_is_a_persons_unless_the_engine_has_given_up() {
    let mut alert = alert(&[AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]);
    alert.sample.exit_code = Some(1);
    alert.sample.restart_count = 3;
    alert.engine_restarts = true;
    let finding = find(&alert, 0, 3);
    assert_eq!((finding.verdict.cause, kind(&finding)), (Cause::CrashLoop, Some(ActionKind::Escalate)));
    alert.engine_restarts = false;
    assert_eq!(kind(&find(&alert, 0, 3)), Some(ActionKind::Restart));
    alert.sample.restart_count = 0;
    assert_eq!(kind(&find(&alert, 0, 3)), Some(ActionKind::Escalate), "the restarts were ours: they do not help");
}

#[test]
fn after_three_plans_within_an_incident_a_person_has_to_look() {
    assert_eq!(kind(&find(&died(1), 2, 3)), Some(ActionKind::Restart));
    assert_eq!(kind(&find(&died(1), 3, 3)), Some(ActionKind::Escalate));
}

#[test]
fn a_second_death_right_after_the_start_lowers_the_confidence() {
    let mut alert = died(1);
    alert.sample.started_at = Some(at(0));
    alert.sample.finished_at = Some(at(3));
    alert.deaths_recent = 1;
    assert!(0.85 < find(&alert, 0, 3).verdict.confidence);
    alert.deaths_recent = 2;
    assert!(find(&alert, 0, 3).verdict.confidence < 0.85);
}

#[test]
fn a_failed_health_check_is_a_restart_and_cites_its_output() {
    let mut alert = alert(&[AnomalyKind::UnhealthyStatus]);
    alert.evidence.items = vec![item("health", EvidenceKind::HealthOutput, "503")];
    let finding = find(&alert, 0, 3);
    assert_eq!((finding.verdict.cause, kind(&finding)), (Cause::Unresponsive, Some(ActionKind::Restart)));
    assert_eq!(finding.verdict.cited, ["unhealthy_status", "health"]);
}

#[test]
fn rising_memory_is_a_leak_and_level_memory_a_persons() {
    let mut alert = alert(&[AnomalyKind::HighMemory]);
    alert.sample.memory_limit_bytes = Some(64 << 20);
    alert.evidence.trend = rising(10, 5 << 20);
    let finding = find(&alert, 0, 3);
    assert_eq!((finding.verdict.cause, kind(&finding)), (Cause::MemoryLeak, Some(ActionKind::Restart)));
    alert.evidence.trend = (0..10).map(|i| point(i, 90.0, (55 << 20) + (i % 2) * 4_096)).collect();
    let finding = find(&alert, 0, 3);
    assert_eq!((finding.verdict.cause, kind(&finding)), (Cause::MemoryLimit, Some(ActionKind::Escalate)));
}

#[test]
fn sustained_cpu_is_a_restart_and_a_spike_a_false_alarm() {
    let mut alert = alert(&[AnomalyKind::HighCpu]);
    alert.anomalies[0].threshold = Some(85.0);
    alert.sample.cpu_percent = Some(99.0);
    alert.evidence.trend = [1.0, 99.0, 98.0, 99.0].iter().zip(0..).map(|(cpu, i)| point(i, *cpu, 0)).collect();
    assert_eq!(kind(&find(&alert, 0, 3)), Some(ActionKind::Restart));
    alert.sample.cpu_percent = Some(3.0);
    let finding = find(&alert, 0, 3);
    assert_eq!((finding.verdict.cause, finding.action), (Cause::TransientSpike, None));
    alert.sample.cpu_percent = Some(99.0);
    alert.evidence.trend = [99.0, 1.0, 1.0, 1.0, 99.0].iter().zip(0..).map(|(cpu, i)| point(i, *cpu, 0)).collect();
    assert_eq!(find(&alert, 0, 3).action, None);
}

#[test]
fn what_a_restart_cannot_mend_is_a_persons() {
    assert_eq!(kind(&find(&alert(&[AnomalyKind::HighDisk]), 0, 3)), Some(ActionKind::Escalate));
    assert_eq!(kind(&find(&alert(&[]), 0, 3)), Some(ActionKind::Escalate));
    assert_eq!(kind(&find(&alert(&[AnomalyKind::HighPids]), 0, 3)), Some(ActionKind::Restart));
}

#[test]
fn a_log_line_changes_the_cause_and_is_cited_but_not_the_action() {
    let mut alert = died(1);
    alert.evidence.items = vec![item("log", EvidenceKind::LogTail, "dial tcp db:5432: Connection refused")];
    let finding = find(&alert, 0, 3);
    assert_eq!((finding.verdict.cause, kind(&finding)), (Cause::Dependency, Some(ActionKind::Restart)));
    assert!(finding.verdict.cited.contains(&"log".to_owned()));
}

#[test]
fn a_leak_needs_points_a_fit_and_a_rise() {
    let limit = 64 << 20;
    assert!(leak(&rising(10, 5 << 20), limit).is_some());
    assert!(leak(&rising(4, 5 << 20), limit).is_none(), "too few points");
    assert!(leak(&rising(10, 10_000), limit).is_none(), "no rise to speak of");
    let falling: Vec<_> = (0..10).map(|i| point(i, 1.0, (60 - i * 2) << 20)).collect();
    assert!(leak(&falling, limit).is_none());
    let noise: Vec<_> = (0..12).map(|i| point(i, 1.0, (20 + (i * 7 % 5) * 8) << 20)).collect();
    assert!(leak(&noise, limit).is_none(), "no line");
    let found = leak(&rising(10, 5 << 20), limit).expect("a leak");
    assert!((found.slope - f64::from(5 << 20) / 10.0).abs() < 1.0);
    assert_eq!(found.to_limit.as_secs(), (64 - 45) * 2);
}

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
        let emitted = Event { envelope: event.envelope.clone(), data: decision.emit[0].data.clone() };
        Analyzer::fold(&mut state, &emitted);
    }
    assert_eq!(state.plans(event(died(1)).envelope.incident), 3, "telling a person is no plan");
}

#[test]
fn a_model_is_asked_first_and_its_failure_leaves_the_rules() {
    let analyzer = Analyzer { settings: Settings { consult: true, ..Settings::default() } };
    let event = event(died(1));
    let first = analyzer.decide(&subject(), &State::default(), Input::Event(&event), at(60));
    assert!(matches!(first.then, Then::Perform(Effect::Consult(_))));
    let failed = Input::Outcome { first: First::Event(&event), attempt: 1, outcome: Err("timeout".to_owned()) };
    let decision = analyzer.decide(&subject(), &State::default(), failed, at(60));
    assert!(matches!(&decision.emit[..], [Emit { data: Data::RemediationNeeded(_), .. }]));
}

#[test]
fn a_model_can_only_do_less_than_the_rules_allow() {
    let answer = |cause, real_issue, action, cited: &[&str]| Diagnosis {
        container: container(),
        provider: "p".into(),
        model: "m".into(),
        cause,
        real_issue,
        action,
        stated_confidence: 1.0,
        cited: cited.iter().map(ToString::to_string).collect(),
        explanation: "because".into(),
        prompt_digest: String::new(),
        latency_ms: 1,
    };
    let cite = &["non_zero_exit"][..];
    let restart = Some(ActionKind::Restart);
    for (diagnosis, action, sure) in [
        (answer(Cause::ApplicationError, true, restart, cite), restart, 0.9),
        (answer(Cause::Dependency, true, restart, cite), restart, 0.45),
        (answer(Cause::ApplicationError, true, Some(ActionKind::Exec), cite), Some(ActionKind::Escalate), 0.9),
        (answer(Cause::ApplicationError, false, None, cite), Some(ActionKind::Escalate), 0.9),
        // It rests on nothing that was sent: the rules' finding stands.
        (answer(Cause::Unknown, false, None, &["invented"]), restart, 0.9),
    ] {
        let finding = weigh(&died(1), find(&died(1), 0, 3), &diagnosis);
        assert_eq!(kind(&finding), action, "{diagnosis:?}");
        assert!((finding.verdict.confidence - sure).abs() < 1e-9, "{diagnosis:?}");
    }
}

proptest! {
    #[test]
    fn any_alert_has_one_decision_that_rests_on_what_it_has(
        kinds in proptest::sample::subsequence(AnomalyKind::ALL.to_vec(), 0..=8),
        code in proptest::option::of(-1i64..260), cpu in proptest::option::of(0.0..200.0f64),
        engine_restarts: bool, restart_count in 0u64..5, deaths in 0u32..6, plans in 0u32..5,
        memory in proptest::collection::vec(0u64..100 << 20, 0..20), log in ".{0,60}",
    ) {
        let mut alert = alert(&kinds);
        alert.sample.exit_code = code;
        alert.sample.cpu_percent = cpu;
        alert.sample.restart_count = restart_count;
        alert.sample.memory_limit_bytes = Some(64 << 20);
        alert.engine_restarts = engine_restarts;
        alert.deaths_recent = deaths;
        alert.evidence.trend = memory.iter().zip(0..).map(|(bytes, i)| point(i, 50.0, *bytes)).collect();
        alert.evidence.items = vec![item("log", EvidenceKind::LogTail, &log)];
        let finding = find(&alert, plans, 3);
        prop_assert!((0.0..=1.0).contains(&finding.verdict.confidence));
        for cited in &finding.verdict.cited {
            let known = cited == "log" || kinds.iter().any(|kind| kind.as_str() == cited);
            prop_assert!(known, "cites `{}`, which the alert does not have", cited);
        }
        prop_assert!(kinds.is_empty() || !finding.verdict.cited.is_empty());
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
        sample: Sample::default(),
        opened_at: at(0),
        engine_event_at: None,
        deaths_recent: 1,
        engine_restarts: false,
        evidence: Evidence::default(),
        policy: ContainerPolicy { mode: Mode::Auto, ..ContainerPolicy::default() },
    }
}

fn died(code: i64) -> HealthAlert {
    let mut alert = alert(&[AnomalyKind::NonZeroExit]);
    alert.sample.exit_code = Some(code);
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
