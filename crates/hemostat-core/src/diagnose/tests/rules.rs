//! Every rule, with what it is for. Each of these fails when the rule it names is taken out.

use super::*;

/// Cause, action, confidence and the name of the rule.
fn verdict(alert: &HealthAlert) -> (Cause, Option<ActionKind>, f64, String) {
    let finding = find(alert, 0, 3);
    (finding.verdict.cause, kind(&finding), finding.verdict.confidence, rule(&finding))
}

fn rule(finding: &Finding) -> String {
    match &finding.verdict.basis {
        Basis::Rule { rule } => rule.clone(),
        Basis::Model { .. } => panic!("the rules decide"),
    }
}

const RESTART: Option<ActionKind> = Some(ActionKind::Restart);
const ESCALATE: Option<ActionKind> = Some(ActionKind::Escalate);

// --- Deaths ---

#[test]
fn every_exit_code_has_its_cause() {
    for (code, cause, action, confidence, name) in [
        (1, Cause::ApplicationError, RESTART, 0.9, "application_exit"),
        (2, Cause::ApplicationError, RESTART, 0.9, "application_exit"),
        (255, Cause::ApplicationError, RESTART, 0.9, "application_exit"),
        (126, Cause::BadCommand, ESCALATE, 0.95, "bad_command"),
        (127, Cause::BadCommand, ESCALATE, 0.95, "bad_command"),
        (132, Cause::NativeCrash, RESTART, 0.9, "native_crash"),
        (134, Cause::NativeCrash, RESTART, 0.9, "native_crash"),
        (135, Cause::NativeCrash, RESTART, 0.9, "native_crash"),
        (139, Cause::NativeCrash, RESTART, 0.9, "native_crash"),
        (130, Cause::KilledFromOutside, RESTART, 0.7, "killed_from_outside"),
        (137, Cause::KilledFromOutside, RESTART, 0.7, "killed_from_outside"),
        (143, Cause::KilledFromOutside, RESTART, 0.7, "killed_from_outside"),
        (0, Cause::IntendedStop, None, 0.95, "ended_well"),
        (-1, Cause::Unknown, ESCALATE, 0.5, "application_exit"),
    ] {
        assert_eq!(verdict(&died(code)), (cause, action, confidence, name.to_owned()), "exit code {code}");
    }
}

#[test]
fn the_exit_code_is_the_symptoms_where_the_sample_has_none() {
    let mut alert = died(139);
    alert.sample.exit_code = None;
    assert_eq!(verdict(&alert).0, Cause::NativeCrash);
}

#[test]
fn a_command_that_ran_for_long_was_none_that_cannot_be_run() {
    let mut alert = died(127);
    alert.sample.started_at = Some(at(0));
    alert.sample.finished_at = Some(at(59));
    assert_eq!(verdict(&alert).0, Cause::BadCommand);
    alert.sample.finished_at = Some(at(60));
    assert_eq!((verdict(&alert).0, verdict(&alert).1), (Cause::ApplicationError, RESTART));
}

#[test]
fn an_oom_kill_is_the_limit_or_with_a_rise_before_it_a_leak() {
    let mut alert = alert(&[AnomalyKind::OomKilled]);
    alert.sample.state = RunState::Exited;
    alert.sample.exit_code = Some(137);
    alert.sample.memory_limit_bytes = Some(64 << 20);
    let limit = (Cause::MemoryLimit, RESTART, 0.97, "oom_kill".to_owned());
    assert_eq!(verdict(&alert), limit);
    alert.evidence.trend = rising(10, 6 << 20);
    assert_eq!(verdict(&alert), (Cause::MemoryLeak, RESTART, 0.9, "oom_kill".to_owned()));
    alert.engine_restarts = true;
    assert_eq!(verdict(&alert).1, None, "the engine starts it again");
}

#[test]
fn a_kill_without_a_word_near_the_limit_is_likely_the_limits() {
    let mut alert = died(137);
    alert.sample.memory_limit_bytes = Some(64 << 20);
    alert.evidence.trend = (0..4).map(|i| point(i, 1.0, 58 << 20)).collect();
    assert_eq!(verdict(&alert), (Cause::MemoryLimit, RESTART, 0.75, "killed_near_limit".to_owned()));
    alert.evidence.trend = rising(13, 5 << 20);
    assert_eq!(verdict(&alert), (Cause::MemoryLeak, RESTART, 0.9, "killed_near_limit".to_owned()));
    alert.evidence.trend = (0..4).map(|i| point(i, 1.0, 50 << 20)).collect();
    assert_eq!(verdict(&alert).3, "killed_from_outside");
    alert.sample.exit_code = Some(1);
    alert.evidence.trend = (0..4).map(|i| point(i, 1.0, 63 << 20)).collect();
    assert_eq!(verdict(&alert).3, "application_exit");
}

#[test]
fn a_container_that_the_engine_restarts_is_left_to_it() {
    let mut alert = died(1);
    alert.engine_restarts = true;
    let left = (Cause::ApplicationError, None, 0.8, "engine_restarts_it".to_owned());
    assert_eq!(verdict(&alert), left);
    alert.sample.state = RunState::Restarting;
    assert_eq!(verdict(&alert), left);
}

#[test]
fn a_container_that_runs_again_is_left_alone() {
    for kind in [AnomalyKind::NonZeroExit, AnomalyKind::OomKilled] {
        let mut alert = alert(&[kind]);
        alert.anomalies[0].actual = Some(137.0);
        assert_eq!((verdict(&alert).1, verdict(&alert).3), (None, "runs_again".to_owned()), "{kind:?}");
        alert.evidence.items = vec![item("inspection", EvidenceKind::Inspection, "state: running")];
        assert_eq!(find(&alert, 0, 3).verdict.cited, [kind.as_str(), "inspection"]);
    }
    // Unless it has something else.
    let mut alert = alert(&[AnomalyKind::NonZeroExit, AnomalyKind::UnhealthyStatus]);
    alert.anomalies[0].actual = Some(1.0);
    assert_eq!((verdict(&alert).1, verdict(&alert).3), (RESTART, "failed_health_check".to_owned()));
}

#[test]
fn a_restart_loop_is_a_persons() {
    for state in [RunState::Running, RunState::Restarting, RunState::Exited] {
        let mut alert = alert(&[AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]);
        alert.sample.state = state;
        alert.sample.exit_code = Some(1);
        alert.sample.restart_count = 500;
        alert.engine_restarts = true;
        assert_eq!(
            verdict(&alert),
            (Cause::CrashLoop, ESCALATE, 0.95, "restart_loop".to_owned()),
            "{state:?}"
        );
    }
    let mut killed = alert(&[AnomalyKind::OomKilled, AnomalyKind::RestartLoop]);
    killed.sample.state = RunState::Exited;
    killed.sample.exit_code = Some(137);
    assert_eq!(verdict(&killed).3, "restart_loop");
}

#[test]
fn an_engine_that_has_given_up_is_helped_once() {
    let mut alert = alert(&[AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]);
    alert.sample.state = RunState::Exited;
    alert.sample.exit_code = Some(1);
    alert.sample.restart_count = 3;
    assert_eq!(verdict(&alert), (Cause::ApplicationError, RESTART, 0.75, "engine_gave_up".to_owned()));
    assert_eq!(kind(&find(&alert, 1, 3)), ESCALATE, "it did not help");
    alert.sample.restart_count = 0;
    assert_eq!(verdict(&alert).1, ESCALATE, "the restarts were ours: they do not help");
}

#[test]
fn after_three_plans_within_an_incident_a_person_has_to_look() {
    assert_eq!(kind(&find(&died(1), 2, 3)), RESTART);
    let finding = find(&died(1), 3, 3);
    assert_eq!((kind(&finding), rule(&finding)), (ESCALATE, "restarts_did_not_help".to_owned()));
    assert_eq!(finding.verdict.cause, Cause::ApplicationError, "what ails it stays the same");
    // What needs no action needs no person either.
    let mut spike = high_cpu(&[1.0, 99.0, 99.0, 1.0]);
    spike.sample.cpu_percent = Some(1.0);
    assert_eq!(kind(&find(&spike, 3, 3)), None);
}

#[test]
fn a_second_death_right_after_the_start_lowers_the_confidence() {
    let mut alert = died(1);
    alert.deaths_recent = 2;
    assert_eq!(verdict(&alert).2, 0.9, "nobody knows how long it ran");
    alert.sample.started_at = Some(at(0));
    for (ran, deaths, confidence) in [(3, 1, 0.9), (3, 2, 0.75), (9, 2, 0.75), (10, 2, 0.9), (30, 2, 0.9)] {
        alert.sample.finished_at = Some(at(ran));
        alert.deaths_recent = deaths;
        assert_eq!(verdict(&alert).2, confidence, "after {ran} s, {deaths} deaths");
    }
}

// --- It lives ---

#[test]
fn a_paused_container_is_left_alone() {
    for kinds in [&[AnomalyKind::UnhealthyStatus][..], &[AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]]
    {
        let mut alert = alert(kinds);
        alert.sample.state = RunState::Paused;
        assert_eq!(verdict(&alert), (Cause::IntendedStop, None, 0.95, "paused".to_owned()));
    }
}

#[test]
fn a_container_that_is_still_starting_is_left_alone() {
    for kind in [AnomalyKind::UnhealthyStatus, AnomalyKind::HighCpu, AnomalyKind::HighMemory] {
        let mut alert = alert(&[kind]);
        alert.sample.health = Health::Starting;
        assert_eq!((verdict(&alert).1, verdict(&alert).3), (None, "still_starting".to_owned()), "{kind:?}");
    }
    // The health that a dead container had says nothing.
    let mut dead = died(1);
    dead.sample.health = Health::Starting;
    assert_eq!(verdict(&dead).1, RESTART);
}

#[test]
fn a_failed_health_check_is_a_restart_and_cites_its_output() {
    let mut alert = alert(&[AnomalyKind::UnhealthyStatus]);
    alert.evidence.items = vec![item("health", EvidenceKind::HealthOutput, "503")];
    assert_eq!(verdict(&alert), (Cause::Unresponsive, RESTART, 0.8, "failed_health_check".to_owned()));
    assert_eq!(find(&alert, 0, 3).verdict.cited, ["unhealthy_status", "health"]);
}

#[test]
fn rising_memory_is_a_leak_and_level_memory_a_persons() {
    let mut alert = alert(&[AnomalyKind::HighMemory]);
    alert.sample.memory_limit_bytes = Some(64 << 20);
    alert.evidence.trend = rising(10, 5 << 20);
    assert_eq!(verdict(&alert), (Cause::MemoryLeak, RESTART, 0.85, "memory_leak".to_owned()));
    alert.evidence.trend = (0..10).map(|i| point(i, 90.0, (55 << 20) + (i % 2) * 4_096)).collect();
    assert_eq!(verdict(&alert), (Cause::MemoryLimit, ESCALATE, 0.6, "memory_near_limit".to_owned()));
    alert.sample.memory_limit_bytes = None;
    alert.evidence.trend = rising(10, 5 << 20);
    assert_eq!(verdict(&alert).1, ESCALATE, "towards no limit nothing leaks");
}

#[test]
fn a_child_killed_for_memory_is_a_persons_unless_the_container_cannot_do_without() {
    let mut killed = alert(&[AnomalyKind::OomKilled]);
    assert_eq!(verdict(&killed), (Cause::MemoryLimit, ESCALATE, 0.97, "child_killed_for_memory".to_owned()));
    killed = alert(&[AnomalyKind::UnhealthyStatus, AnomalyKind::OomKilled]);
    assert_eq!(verdict(&killed).1, RESTART);
}

#[test]
fn sustained_cpu_is_a_restart_and_less_is_a_spike() {
    let sustained = (Cause::CpuSaturation, RESTART, 0.75, "sustained_cpu".to_owned());
    for lasting in
        [&[99.0; 5][..], &[99.0, 1.0, 99.0, 99.0, 99.0], &[1.0, 1.0, 85.0, 98.0, 99.0, 99.0], &[90.0; 4]]
    {
        assert_eq!(verdict(&high_cpu(lasting)), sustained, "{lasting:?}");
    }
    for spike in
        [&[][..], &[99.0], &[99.0, 99.0], &[99.0, 99.0, 99.0], &[99.0, 1.0, 1.0, 1.0, 99.0], &[84.9; 5]]
    {
        let (cause, action, confidence, _) = verdict(&high_cpu(spike));
        assert_eq!((cause, action), (Cause::TransientSpike, None), "{spike:?}");
        assert!(confidence < 0.7);
    }
    // Old load that is over does not count.
    let mut long_ago = vec![99.0; 20];
    long_ago.extend([1.0, 1.0, 99.0, 99.0]);
    assert_eq!(verdict(&high_cpu(&long_ago)).1, None);
    // Points without the figure neither help nor hurt.
    let mut alert = high_cpu(&[99.0; 4]);
    alert.evidence.trend.insert(2, TrendPoint { cpu_percent: None, ..point(2, 0.0, 0) });
    assert_eq!(verdict(&alert), sustained);
}

#[test]
fn a_spike_that_has_passed_is_a_false_alarm() {
    let mut alert = high_cpu(&[99.0; 5]);
    alert.sample.cpu_percent = Some(3.0);
    assert_eq!(verdict(&alert), (Cause::TransientSpike, None, 0.65, "transient_spike".to_owned()));
}

#[test]
fn processes_at_their_limit_are_a_restart_and_near_it_a_persons() {
    let mut alert = alert(&[AnomalyKind::HighPids]);
    assert_eq!(verdict(&alert), (Cause::ProcessLeak, ESCALATE, 0.6, "process_leak".to_owned()));
    alert.anomalies[0].severity = Severity::Critical;
    assert_eq!(verdict(&alert), (Cause::ProcessLeak, RESTART, 0.7, "process_leak".to_owned()));
}

#[test]
fn a_full_disk_is_a_persons() {
    let alert = alert(&[AnomalyKind::HighDisk]);
    assert_eq!(verdict(&alert), (Cause::DiskFull, ESCALATE, 0.9, "disk_full".to_owned()));
}

#[test]
fn what_no_rule_knows_is_unknown_and_a_persons() {
    assert_eq!(verdict(&alert(&[])), (Cause::Unknown, ESCALATE, 0.5, "no_rule".to_owned()));
}

// --- Lines in a log ---

#[test]
fn a_log_line_changes_the_cause_and_is_cited_but_not_the_action() {
    for (line, cause) in [
        ("dial tcp db:5432: Connection refused", Cause::Dependency),
        ("getaddrinfo: Name or service not known", Cause::Dependency),
        ("lookup db: no such host", Cause::Dependency),
        ("Temporary failure in name resolution", Cause::Dependency),
        ("write /tmp/x: No space left on device", Cause::DiskFull),
    ] {
        let mut alert = died(1);
        alert.evidence.items = vec![item("log", EvidenceKind::LogTail, line)];
        let finding = find(&alert, 0, 3);
        assert_eq!((finding.verdict.cause, kind(&finding)), (cause, RESTART), "{line}");
        assert_eq!(finding.verdict.cited, ["non_zero_exit", "log"]);
        assert_eq!(finding.verdict.confidence, 0.75, "a restart does not touch it");
    }
}

#[test]
fn a_living_container_that_waits_for_another_is_not_surely_restarted() {
    let mut alert = alert(&[AnomalyKind::UnhealthyStatus]);
    alert.evidence.items = vec![item("log", EvidenceKind::LogTail, "connection refused: db:5432")];
    assert_eq!(verdict(&alert), (Cause::Dependency, RESTART, 0.65, "failed_health_check".to_owned()));
}

#[test]
fn a_log_line_does_not_explain_away_a_fact() {
    let mut alert = alert(&[AnomalyKind::OomKilled]);
    alert.sample.state = RunState::Exited;
    alert.evidence.items = vec![item("log", EvidenceKind::LogTail, "connection refused")];
    assert_eq!((verdict(&alert).0, verdict(&alert).2), (Cause::MemoryLimit, 0.97));
}

/// High CPU with this trend; the last point is the sample's.
fn high_cpu(trend: &[f64]) -> HealthAlert {
    let mut alert = alert(&[AnomalyKind::HighCpu]);
    alert.anomalies[0].threshold = Some(85.0);
    alert.sample.cpu_percent = Some(99.0);
    alert.evidence.trend = trend.iter().zip(0..).map(|(cpu, i)| point(i, *cpu, 0)).collect();
    alert
}
