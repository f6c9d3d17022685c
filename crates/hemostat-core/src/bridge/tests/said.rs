//! From events to messages.

use super::*;

#[test]
fn what_is_made_of_a_message_is_said_in_the_same_words() {
    for (name, _) in files::all() {
        let (channel, message) = fixture(name);
        let mut inbound = inbound();
        // The monitor is heard before the others, so the id is known and the figures are.
        let alert = hear_with(&mut inbound, "health_alert_exited").expect("an alert");
        let mut event = hear_with(&mut inbound, name).expect("a message");
        let mut outbound = outbound();
        outbound.say(&by(alert, Role::Monitor), &Before::new(), now());
        match &mut event.data {
            Data::RemediationNeeded(needed) => needed.plan.policy.mode = Mode::Auto,
            // `scale_up` comes in as a matter for a person.
            Data::RemediationComplete(done) if done.action == Action::Escalate => {
                done.action = Action::Scale { service: "web".to_owned(), replicas: 2 };
            }
            _ => {}
        }
        let role = match channel {
            OldChannel::HealthAlert => Role::Monitor,
            OldChannel::RemediationNeeded | OldChannel::FalseAlarm => Role::Analyzer,
            OldChannel::RemediationComplete => Role::Responder,
        };
        let before = Before::from([(
            "hemostat:state:circuit_breaker:web".to_owned(),
            json!({ "failure_count": 2, "retry_count": 2, "is_open": true }).to_string(),
        )]);
        // The plan is read when it is still valid.
        let saying = outbound.say(&by(event.clone(), role), &before, event.envelope.time);
        let said =
            saying.and_then(|saying| saying.message).unwrap_or_else(|| panic!("{name}: nothing is said"));
        assert_eq!(said.channel, channel, "{name}");
        let said: Value = serde_json::from_str(&said.body).expect("it is JSON");
        assert_eq!(said, message, "{name}");
    }
}

#[test]
fn envelopes_are_in_the_order_of_the_old_agents_and_times_are_those_of_python() {
    let alert = by(hear("health_alert_exited").expect("an alert"), Role::Monitor);
    let message = say(&alert, &Before::new()).message.expect("a message");
    assert!(
        message.body.starts_with(r#"{"event_type":"container_unhealthy","timestamp":"2026-"#),
        "{}",
        message.body
    );
    assert_eq!(isoformat(Timestamp::from_micros(1_000_000)), "1970-01-01T00:00:01+00:00");
    assert_eq!(isoformat(Timestamp::from_micros(1_000_020)), "1970-01-01T00:00:01.000020+00:00");
}

#[test]
fn an_id_is_that_of_whoever_hears_it() {
    let alert = by(hear("health_alert_exited").expect("an alert"), Role::Monitor);
    let message = say(&alert, &Before::new()).message.expect("a message");
    let heard = inbound().hear(message.channel, message.body.as_bytes(), now()).expect("our own is readable");
    assert_eq!(message.id(), heard.envelope.id);
    let other = Message { channel: OldChannel::FalseAlarm, ..message.clone() };
    assert_ne!(message.id(), other.id());
}

#[test]
fn nothing_that_came_in_goes_out() {
    for (name, _) in files::all() {
        let event = hear(name).expect("a message");
        assert_eq!(outbound().say(&event, &Before::new(), event.envelope.time), None, "{name}");
    }
}

#[test]
fn a_request_goes_out_only_while_it_may_be_carried_out() {
    let planned = |mode, action| {
        let mut event = by(hear("remediation_needed").expect("a request"), Role::Analyzer);
        let Data::RemediationNeeded(needed) = &mut event.data else { panic!("a request") };
        (needed.plan.policy.mode, needed.plan.action) = (mode, action);
        event
    };
    let restart = || Action::Restart { stop_timeout_secs: None };
    let is_said = |event: &Event, now| {
        outbound().say(event, &Before::new(), now).is_some_and(|saying| saying.message.is_some())
    };
    let auto = planned(Mode::Auto, restart());
    let time = auto.envelope.time;
    assert!(is_said(&auto, time));
    assert!(!is_said(&auto, time + Duration::from_secs(300)), "it has expired");
    for mode in [Mode::Observe, Mode::Suggest, Mode::Approve] {
        assert!(!is_said(&planned(mode, restart()), time), "{mode:?}");
    }
    let scale = Action::Scale { service: "web".to_owned(), replicas: 1 };
    for action in [Action::Escalate, Action::Exec { command: vec!["ps".to_owned()] }, scale] {
        assert!(!is_said(&planned(Mode::Auto, action.clone()), time), "{action:?}");
    }
}

#[test]
fn plans_that_were_never_requests_have_no_end_on_the_channel() {
    for rejection in [Rejection::ModeForbids, Rejection::ConfidenceTooLow, Rejection::PlanExpired] {
        let event = ended(Outcome::Rejected { rejection, remaining_ms: None });
        assert_eq!(outbound().say(&event, &Before::new(), event.envelope.time), None, "{rejection:?}");
    }
    let event = ended(Outcome::Rejected { rejection: Rejection::BudgetSpent, remaining_ms: None });
    let said = body(&say(&event, &Before::new()));
    assert_eq!(
        said["data"]["result"],
        json!({ "status": "rejected", "reason": "circuit_breaker_open", "retry_count": 3 })
    );
}

#[test]
fn no_field_that_is_compared_or_sliced_is_null() {
    let outcomes = [
        Outcome::Success,
        Outcome::Failed { error: String::new() },
        Outcome::NotApplicable { detail: String::new() },
        Outcome::Unknown { detail: String::new() },
        Outcome::Rejected { rejection: Rejection::CooldownActive, remaining_ms: None },
        Outcome::Rejected { rejection: Rejection::CircuitBreakerOpen, remaining_ms: None },
    ];
    for outcome in outcomes {
        let mut event = ended(outcome);
        let Data::RemediationComplete(done) = &mut event.data else { panic!("an outcome") };
        done.confidence = f64::NAN;
        let said = body(&say(&event, &Before::new()));
        assert!(!said.to_string().contains("null"), "{said}");
        assert!(said["data"]["confidence"].is_f64(), "{said}");
    }
}
