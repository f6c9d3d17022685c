//! From messages to events.

use super::*;

#[test]
fn every_message_of_the_python_agents_is_taken() {
    for (name, _) in files::all() {
        let (channel, message) = fixture(name);
        let event = hear(name).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert_eq!(event.event_type().as_str(), channel.as_str(), "{name}");
        assert_eq!(event.envelope.source.role, Role::Bridge);
        assert_eq!(isoformat(event.envelope.time), message["timestamp"], "{name}");
        let said = &message["data"];
        let named = said.get("container").or_else(|| said.get("container_name")).expect("a name");
        let subject = event.envelope.subject.expect("it is about a container");
        assert_eq!(subject.as_str(), format!("python/{}", named.as_str().expect("a text")));
    }
}

#[test]
fn exec_is_refused_wherever_it_stands() {
    let (_, message) = fixture("remediation_needed");
    let changes: [fn(&mut Value); 4] = [
        |message| message["data"]["action"] = json!("exec"),
        |message| message["data"]["action"] = json!(" EXEC "),
        |message| message["data"]["command"] = json!("cat /etc/shadow"),
        // Nothing that is wrong beside it hides it.
        |message| {
            message["event_type"] = json!("nothing");
            message["data"] = json!({ "action": "exec" });
        },
    ];
    for change in changes {
        let mut message = message.clone();
        change(&mut message);
        for channel in OldChannel::ALL {
            let body = message.to_string();
            let heard = inbound().hear(channel, body.as_bytes(), now());
            assert_eq!(heard, Err(Refusal::Exec), "{body}");
            let letter = inbound().letter(channel, body.as_bytes(), &Refusal::Exec, now());
            let Data::DeadLetter(letter) = letter.data else { panic!("a letter") };
            assert_eq!(letter.original["message"], body);
            assert!(letter.errors[0].contains("exec"), "{:?}", letter.errors);
        }
    }
}

#[test]
fn alerts_and_requests_from_outside_are_suggestions() {
    let Data::RemediationNeeded(needed) = hear("remediation_needed").expect("a request").data else {
        panic!("a request")
    };
    assert_eq!(needed.plan.policy.mode, Mode::Suggest);
    assert_eq!(needed.plan.target.as_str(), inbound::UNKNOWN_ID, "nobody has said which container that is");
    let Data::HealthAlert(alert) = hear("health_alert_exited").expect("an alert").data else {
        panic!("an alert")
    };
    assert_eq!(alert.policy.mode, Mode::Suggest);
    assert_eq!((alert.sample.state, alert.sample.exit_code), (RunState::Exited, Some(3)));
}

#[test]
fn what_is_no_message_becomes_a_letter_and_nothing_else() {
    let broken = |pointer: &str, value: Value| {
        let (_, mut message) = fixture("remediation_needed");
        *message.pointer_mut(pointer).expect("a place") = value;
        message.to_string().into_bytes()
    };
    let bodies = [
        Vec::new(),
        b"{".to_vec(),
        b"[]".to_vec(),
        vec![0xff; 64],
        b"{\"event_type\":\"remediation_needed\"}".to_vec(),
        "[".repeat(100_000).into_bytes(),
        vec![b' '; MESSAGE_BYTES_MAX + 1],
        broken("/event_type", json!("false_alarm")),
        broken("/timestamp", json!("yesterday")),
        broken("/data", json!("web")),
        broken("/data/container", json!("")),
        broken("/data/container", json!("a\nb")),
        broken("/data/action", json!("rm -rf")),
        // The model's own word, which broke the old analyzer.
        broken("/data/confidence", json!("high")),
        broken("/data/confidence", json!(7)),
        broken("/data/confidence", Value::Null),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let refusal = inbound().hear(OldChannel::RemediationNeeded, &body, now()).expect_err(&shown);
        assert_eq!(refusal.as_str(), "malformed", "{shown}");
        let letter = inbound().letter(OldChannel::RemediationNeeded, &body, &refusal, now());
        assert!(hemostat_event::codec::encode(&letter).len() < hemostat_event::codec::EVENT_BYTES_MAX);
    }
}

#[test]
fn what_another_bridge_of_ours_leaves_to_a_person_is_taken() {
    let (channel, mut message) = fixture("remediation_complete_not_applicable");
    message["data"]["action"] = json!("none");
    message["data"]["result"]["action"] = json!("none");
    let event = inbound().hear(channel, message.to_string().as_bytes(), now()).expect("a message");
    let Data::RemediationComplete(done) = event.data else { panic!("an outcome") };
    assert_eq!(done.action, Action::Escalate);
    assert!(matches!(done.outcome, Outcome::NotApplicable { .. }), "{:?}", done.outcome);
}

#[test]
fn a_message_of_the_future_was_heard_now() {
    let (channel, mut message) = fixture("false_alarm");
    message["timestamp"] = json!("2999-01-01T00:00:00+00:00");
    let event = inbound().hear(channel, message.to_string().as_bytes(), now()).expect("a message");
    assert_eq!(event.envelope.time, now());
    // As its documents write it: without an offset.
    message["timestamp"] = json!("2025-11-03T10:30:48.456789");
    let event = inbound().hear(channel, message.to_string().as_bytes(), now()).expect("a message");
    assert_eq!(event.envelope.time.to_string(), "2025-11-03T10:30:48.456789Z");
}

#[test]
fn the_promises_about_our_decisions_are_no_promises_of_theirs() {
    let mut inbound = inbound();
    let (channel, mut alert) = fixture("health_alert_exited");
    let mut log = vec![hear_with(&mut inbound, "health_alert_exited").expect("an alert")];
    // Two hours later it is another incident, and nobody has told the end of the first.
    alert["timestamp"] = json!("2026-11-26T22:59:00+00:00");
    log.push(inbound.hear(channel, alert.to_string().as_bytes(), now()).expect("an alert"));
    // An outcome without a plan or an intent.
    log.push(hear_with(&mut inbound, "remediation_complete_success").expect("an outcome"));
    log.push(hear_with(&mut inbound, "remediation_needed").expect("a request"));
    let at = |seq| hemostat_event::cloudevents::Position { partition: 0, seq };
    let check = |log: &[Event]| {
        let placed = (1..).map(at).zip(log);
        crate::invariant::check(&crate::invariant::Scope::default(), placed, [])
    };
    assert_eq!(check(&log), []);
    let ours: Vec<_> = log.into_iter().map(|event| by(event, Role::Monitor)).collect();
    assert_ne!(check(&ours), [], "the same from one of ours would break some");
}
