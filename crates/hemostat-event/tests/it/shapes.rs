//! Every shape that a stored event can have: all arms of its tagged types, and optional fields there and absent.

use hemostat_event::{
    Action, ActionKind, Actor, Basis, Change, Command, ContainerChanged, ContainerPolicy, ContainerSample,
    Data, Delivery, Event, EventId, EventType, Evidence, FalseAlarm, Health, HealthRecovered, IncidentId,
    Outcome, Recovery, Rejection, RemediationVerified, Role, RunState, Sample, Verdict, Verification,
};

use crate::examples::{
    alert_id, at, caused, complete, container, example, health_alert, notification, observed, order, plan,
    plan_id, restart, started, subject,
};

/// Every shape with its name: the event type, and after a `-` what is special about it.
pub(crate) fn shapes() -> Vec<(String, Event)> {
    let mut shapes: Vec<(String, Event)> =
        EventType::ALL.into_iter().map(|kind| (kind.to_string(), example(kind))).collect();
    let mut add = |shape: &str, event: Event| shapes.push((format!("{}-{shape}", event.event_type()), event));

    add(
        "nothing_known",
        observed(1, ContainerSample { container: bare(), sample: Sample::default(), gap: None }),
    );
    for (shape, change) in changes() {
        add(
            shape,
            observed(2, ContainerChanged { container: container(), change, by: Actor::Operator, at: at(1) }),
        );
    }
    add(
        "bare",
        observed(3, {
            let mut alert = health_alert();
            alert.container = bare();
            alert.engine_event_at = None;
            alert.evidence = Evidence::default();
            alert.policy = ContainerPolicy::default();
            alert
        }),
    );
    for (shape, reason) in [("stopped", Recovery::Stopped), ("removed", Recovery::Removed)] {
        add(
            shape,
            observed(
                4,
                HealthRecovered {
                    container: container(),
                    kinds: vec![],
                    reason,
                    opened_at: at(1),
                    lasted_ms: 0,
                },
            ),
        );
    }
    add("no_action", {
        let mut answer = example(EventType::Diagnosis);
        if let Data::Diagnosis(diagnosis) = &mut answer.data {
            diagnosis.action = None;
        }
        answer
    });
    for (shape, action) in actions() {
        let mut needed = plan();
        needed.plan.action = action;
        add(shape, caused(5, Role::Analyzer, alert_id(), needed));
    }
    let verdict = Verdict {
        basis: Basis::Model { provider: "local".into(), model: "small-8b".into() },
        ..plan().verdict
    };
    add(
        "model",
        caused(6, Role::Analyzer, alert_id(), FalseAlarm { container: container(), kinds: vec![], verdict }),
    );
    let mut first = started();
    (first.kinds, first.run_started_at, first.probe, first.dry_run) = (vec![], None, true, true);
    add("probe", caused(7, Role::Responder, plan_id(), first));
    for (shape, outcome) in outcomes() {
        add(shape, caused(8, Role::Responder, plan_id(), complete(outcome)));
    }
    for (shape, verdict, state) in [
        ("not_fixed", Verification::NotFixed, Some(RunState::Exited)),
        ("unknown", Verification::Unknown, None),
    ] {
        let verified = RemediationVerified {
            container: container(),
            plan: plan_id(),
            action: ActionKind::Restart,
            verdict,
            detail: "as seen".into(),
            state,
            health: None,
            elapsed_ms: 60_000,
        };
        add(shape, caused(9, Role::Responder, plan_id(), verified));
    }
    for (shape, delivery) in deliveries() {
        let mut notification = notification(delivery);
        notification.container = None;
        add(shape, caused(10, Role::Alert, plan_id(), notification));
    }
    for (shape, command) in commands() {
        add(shape, order(command));
    }
    add("of_an_event", {
        let Data::DeadLetter(mut letter) = example(EventType::DeadLetter).data else { unreachable!() };
        let alert = example(EventType::HealthAlert).envelope;
        (letter.event, letter.incident) = (Some(alert.id), alert.incident);
        caused(11, Role::Analyzer, alert_id(), letter)
    });
    shapes
}

fn bare() -> hemostat_event::ContainerRef {
    hemostat_event::ContainerRef { project: None, service: None, ..container() }
}

fn changes() -> Vec<(&'static str, Change)> {
    vec![
        ("discovered", Change::Discovered { state: RunState::Paused }),
        ("started", Change::Started),
        ("stopped", Change::Stopped { exit_code: 143 }),
        ("died", Change::Died { exit_code: -1 }),
        ("health_changed", Change::HealthChanged { health: Health::Unhealthy }),
        ("paused", Change::Paused { paused: true }),
        ("removed", Change::Removed),
    ]
}

fn actions() -> Vec<(&'static str, Action)> {
    vec![
        ("restart", Action::Restart { stop_timeout_secs: None }),
        ("scale", Action::Scale { service: "api".into(), replicas: 3 }),
        ("cleanup", Action::Cleanup),
        ("exec", Action::Exec { command: vec!["kill".into(), "-HUP".into(), "1".into()] }),
        ("escalate", Action::Escalate),
    ]
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    vec![
        ("failed", Outcome::Failed { error: "the engine answered 500".into() }),
        (
            "rejected",
            Outcome::Rejected { rejection: Rejection::CooldownActive, remaining_ms: Some(1_234_567) },
        ),
        ("rejected_for_good", Outcome::Rejected { rejection: Rejection::ModeForbids, remaining_ms: None }),
        ("not_applicable", Outcome::NotApplicable { detail: "the container is gone".into() }),
        ("unknown", Outcome::Unknown { detail: "started at the second of the intent".into() }),
    ]
}

fn deliveries() -> Vec<(&'static str, Delivery)> {
    vec![
        ("deduplicated", Delivery::Deduplicated),
        ("grouped", Delivery::Grouped { into: plan_id() }),
        ("failed", Delivery::Failed { attempt: 5, error: "503 service unavailable".into() }),
    ]
}

fn commands() -> Vec<(&'static str, Command)> {
    let event: EventId = alert_id();
    vec![
        ("approve", Command::Approve { plan: plan_id() }),
        ("deny", Command::Deny { plan: plan_id(), reason: "a deployment is under way".into() }),
        ("pause", Command::Pause { until: None }),
        ("pause_until", Command::Pause { until: Some(at(1_000)) }),
        ("resume", Command::Resume),
        ("redrive", Command::Redrive { event }),
        ("act", Command::Act { target: subject(), action: restart() }),
        (
            "redact",
            Command::Redact { events: vec![event, plan_id()], reason: "an address in a log line".into() },
        ),
        (
            "hold",
            Command::Hold {
                container: Some(subject()),
                incident: None,
                since: Some(at(0)),
                until: Some(at(1_000)),
                reason: "a dispute".into(),
            },
        ),
        (
            "hold_incident",
            Command::Hold {
                container: None,
                incident: Some(IncidentId::opened(&subject(), at(512))),
                since: None,
                until: None,
                reason: "a dispute".into(),
            },
        ),
        ("release", Command::Release { hold: event, reason: "it is settled".into() }),
    ]
}
