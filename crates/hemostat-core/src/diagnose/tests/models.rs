//! A language model beside the rules.

use super::*;

fn answer(cause: Cause, real_issue: bool, action: Option<ActionKind>, cited: &[&str]) -> Diagnosis {
    Diagnosis {
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
    }
}

#[test]
fn a_model_is_asked_first_and_its_failure_leaves_the_rules() {
    let analyzer = Analyzer { settings: Settings { consult: true, ..Settings::default() } };
    let event = event(died(1));
    let first = analyzer.decide(&subject(), &State::default(), Input::Event(&event), at(60));
    assert!(first.emit.is_empty());
    assert!(matches!(first.then, Then::Perform(Effect::Consult(_))));
    let failed =
        Input::Outcome { first: First::Event(&event), attempt: 1, outcome: Err("timeout".to_owned()) };
    let decision = analyzer.decide(&subject(), &State::default(), failed, at(60));
    assert!(matches!(&decision.emit[..], [Emit { data: Data::RemediationNeeded(_), .. }]));
}

#[test]
fn an_answer_is_in_the_log_before_what_is_decided_on_it() {
    let analyzer = Analyzer { settings: Settings { consult: true, ..Settings::default() } };
    let event = event(died(1));
    let outcome = Ok(answer(Cause::Dependency, true, Some(ActionKind::Restart), &["non_zero_exit"]));
    let input = Input::Outcome { first: First::Event(&event), attempt: 1, outcome };
    let decision = analyzer.decide(&subject(), &State::default(), input, at(60));
    let [first, second] = &decision.emit[..] else { panic!("{decision:?}") };
    assert!(matches!(first.data, Data::Diagnosis(_)));
    let Data::RemediationNeeded(needed) = &second.data else { panic!("{second:?}") };
    assert_eq!(needed.verdict.basis, Basis::Model { provider: "p".into(), model: "m".into() });
    assert_eq!(needed.verdict.cause, Cause::Dependency);
}

#[test]
fn a_model_can_only_do_less_than_the_rules_allow() {
    let cite = &["non_zero_exit"][..];
    let restart = Some(ActionKind::Restart);
    for (diagnosis, action, sure) in [
        (answer(Cause::ApplicationError, true, restart, cite), restart, 0.9),
        (answer(Cause::Dependency, true, restart, cite), restart, 0.45),
        (
            answer(Cause::ApplicationError, true, Some(ActionKind::Exec), cite),
            Some(ActionKind::Escalate),
            0.9,
        ),
        (answer(Cause::ApplicationError, false, None, cite), Some(ActionKind::Escalate), 0.9),
        // It rests on nothing that was sent: the rules' finding stands.
        (answer(Cause::Unknown, false, None, &["invented"]), restart, 0.9),
    ] {
        let finding = weigh(&died(1), find(&died(1), 0, 3), &diagnosis);
        assert_eq!(kind(&finding), action, "{diagnosis:?}");
        assert!((finding.verdict.confidence - sure).abs() < 1e-9, "{diagnosis:?}");
    }
}

#[test]
fn only_what_was_sent_is_cited() {
    let diagnosis = answer(
        Cause::ApplicationError,
        true,
        Some(ActionKind::Restart),
        &["log", "made-up", "non_zero_exit"],
    );
    let mut alert = died(1);
    alert.evidence.items = vec![item("log", EvidenceKind::LogTail, "boom")];
    let finding = weigh(&alert, find(&alert, 0, 3), &diagnosis);
    assert_eq!(finding.verdict.cited, ["log", "non_zero_exit"]);
}

fn any_action() -> impl Strategy<Value = Option<ActionKind>> {
    prop_oneof![
        Just(None),
        Just(Some(ActionKind::Restart)),
        Just(Some(ActionKind::Scale)),
        Just(Some(ActionKind::Cleanup)),
        Just(Some(ActionKind::Exec)),
        Just(Some(ActionKind::Escalate)),
    ]
}

proptest! {
    #[test]
    fn no_answer_brings_an_action_that_the_rules_do_not_allow(
        alert in any_alert(), action in any_action(), real: bool, agrees: bool, stated in proptest::num::f64::ANY,
        cites: bool,
    ) {
        let rules = find(&alert, 0, 3);
        let cause = if agrees { rules.verdict.cause } else { Cause::Dependency };
        let cited: Vec<_> =
            if cites { alert.anomalies.iter().map(|anomaly| anomaly.kind.as_str()).collect() } else { Vec::new() };
        let diagnosis = Diagnosis { stated_confidence: stated, ..answer(cause, real, action, &cited) };
        let finding = weigh(&alert, rules.clone(), &diagnosis);
        let less = finding.action == rules.action || finding.action == Some(Action::Escalate);
        prop_assert!(less, "{:?} out of {:?}", finding.action, rules.action);
        prop_assert!(finding.verdict.confidence <= rules.verdict.confidence);
    }
}
