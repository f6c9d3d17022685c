//! Each event in its line, whatever others have written into it.

use hemostat_event::{
    Actor, ContainerChanged, ContainerSample, Health, OperatorCommand, RemediationStarted, RunState, Sample,
};

use super::*;

#[test]
fn each_event_has_its_line() {
    let plan = id(7);
    let rejected = Outcome::Rejected { rejection: Rejection::CooldownActive, remaining_ms: Some(3_540_000) };
    let short = plan.short();
    for (data, line) in [
        (
            Data::from(ContainerSample {
                container: container(),
                sample: Sample {
                    state: RunState::Running,
                    cpu_percent: Some(12.4),
                    memory_bytes: Some(21 << 20),
                    memory_percent: Some(33.6),
                    pids: Some(4),
                    health: Health::Healthy,
                    ..Sample::default()
                },
                gap: None,
            }),
            "running, CPU 12 %, memory 21 MiB (34 %), 4 processes, healthy".to_owned(),
        ),
        (changed(Change::Discovered { state: RunState::Exited }).into(), "first seen, exited".to_owned()),
        (changed(Change::Died { exit_code: 3 }).into(), "died, exit code 3".to_owned()),
        (changed(Change::Died { exit_code: 0 }).into(), "ended, exit code 0".to_owned()),
        (
            ContainerChanged { by: Actor::Operator, ..changed(Change::Stopped { exit_code: 143 }) }.into(),
            "stopped, exit code 143, through the engine".to_owned(),
        ),
        (
            changed(Change::HealthChanged { health: Health::Unhealthy }).into(),
            "health check: unhealthy".to_owned(),
        ),
        (
            alert(Severity::High, &[AnomalyKind::NonZeroExit, AnomalyKind::RestartLoop]).into(),
            "high: about non_zero_exit; about restart_loop".to_owned(),
        ),
        (recovered(Recovery::Cleared).into(), "well again after 1m 3s (non_zero_exit)".to_owned()),
        (
            recovered(Recovery::Stopped).into(),
            "over after 1m 3s: a person stopped it (non_zero_exit)".to_owned(),
        ),
        (diagnosis("it leaks").into(), "openai gpt says memory leak, restart: it leaks".to_owned()),
        (
            needed(restart(), Cause::ApplicationError).into(),
            "restart: application error (90 % sure): because".to_owned(),
        ),
        (
            needed(Action::Escalate, Cause::CrashLoop).into(),
            "a person has to look: crash loop (90 % sure): because".to_owned(),
        ),
        (
            false_alarm(Cause::TransientSpike).into(),
            "no action: transient spike (90 % sure): because".to_owned(),
        ),
        (started(plan, true).into(), "restart, action 1 of 3 in the window (dry run)".to_owned()),
        (complete(plan, Outcome::Success, false).into(), "restart done in 412ms".to_owned()),
        (
            complete(plan, rejected, false).into(),
            "restart not allowed (cooldown_active), again possible in 59m 0s".to_owned(),
        ),
        (
            complete(plan, Outcome::Failed { error: "no such\nnetwork".into() }, false).into(),
            "restart failed in 412ms: no such network".to_owned(),
        ),
        (
            verified(plan, Verification::NotFixed).into(),
            "restart did not help, seen after 10.2s: it ended again".to_owned(),
        ),
        (notification(Delivery::Sent { attempt: 1 }).into(), "remediated sent to slack".to_owned()),
        (
            notification(Delivery::Failed { attempt: 4, error: "410 Gone".into() }).into(),
            "remediated not taken by slack after 4 tries: 410 Gone".to_owned(),
        ),
        (order(Command::Approve { plan }).into(), format!("ada: approve plan [{short}]")),
        (order(Command::Pause { until: None }).into(), "ada: act on nothing".to_owned()),
        (
            order(Command::Redact { events: vec![plan], reason: "an address".into() }).into(),
            format!("ada: take out the body of [{short}]: an address"),
        ),
        (
            order(Command::Redact { events: vec![plan, plan], reason: "an address".into() }).into(),
            "ada: take out the bodies of 2 events: an address".to_owned(),
        ),
        (order(hold("a dispute")).into(), "ada: hold what is about web/front: a dispute".to_owned()),
        (
            order(Command::Release { hold: plan, reason: "settled".into() }).into(),
            format!("ada: end the hold [{short}]: settled"),
        ),
        (letter().into(), "the analyzer gave up on health_alert 17-0 after 5 tries: not an event".to_owned()),
    ] {
        assert_eq!(summary(&event(0, data)), line);
    }
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let text = "ü".repeat(1_000);
    let line = summary(&event(0, diagnosis(&text).into()));
    assert!(line.ends_with('…'), "{line}");
    assert!(line.chars().count() < 250, "{line}");
}

proptest! {
    #[test]
    fn no_text_of_others_moves_a_cursor_or_a_line(text in "(\\PC|[\u{0}-\u{1f}\u{7f}-\u{9f}\u{202e}\u{200b}\u{2028}\u{2029}]){0,600}") {
        let error = || text.clone();
        for data in [
            Data::from(diagnosis(&text)),
            complete(id(1), Outcome::Failed { error: error() }, false).into(),
            DeadLetter { errors: vec![error()], stream: error(), ..letter() }.into(),
            notification(Delivery::Failed { attempt: 1, error: error() }).into(),
            OperatorCommand { command: Command::Deny { plan: id(1), reason: error() }, by: error() }.into(),
            OperatorCommand { command: hold(&text), by: error() }.into(),
            RemediationStarted { action: Action::Exec { command: vec![error()] }, ..started(id(1), false) }.into(),
        ] {
            let line = summary(&event(0, data));
            prop_assert!(line.chars().count() <= 320, "{}", line);
            let safe = |c: char| !c.is_control() && !crate::redact::is_hidden(c) && !matches!(c, '\u{2028}' | '\u{2029}');
            prop_assert!(line.chars().all(safe), "{:?}", line);
        }
    }
}

#[test]
fn spans_read_well_at_every_scale() {
    for (millis, text) in [
        (0, "0ms"),
        (999, "999ms"),
        (1_200, "1.2s"),
        (59_940, "59.9s"),
        (200_000, "3m 20s"),
        (7_500_000, "2h 5m"),
        (90_000_000, "1d 1h"),
    ] {
        assert_eq!(crate::project::span(std::time::Duration::from_millis(millis)), text);
    }
}

fn hold(reason: &str) -> Command {
    let container = Some("web/front".parse().expect("a host and a name"));
    Command::Hold { container, incident: None, since: None, until: None, reason: reason.into() }
}
