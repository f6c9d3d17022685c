//! Every predicate passes a correct log and finds what is planted into it.
//!
//! The correct logs are of two kinds: a short one written out, into which each kind of damage is planted, and long
//! ones that the real roles write ([`roles`]).

mod retention;
mod roles;
mod story;

use hemostat_event::{Data, IncidentId, Outcome, Recovery, Rejection, Verification};

use super::*;
use story::{Story, at, subject};

#[test]
fn a_correct_log_is_not_called_broken() {
    let story = Story::told();
    assert_eq!(story.broken(), []);
    let acknowledged = [(Role::Analyzer, story.id("alert")), (Role::Responder, story.id("needed"))];
    assert_eq!(check(&Scope::default(), story.log(), acknowledged), []);
    assert_eq!(story.broken_with(&Scope { remember: 3, ..Scope::default() }), []);
}

#[test]
fn a_correct_log_without_its_beginning_is_not_called_broken() {
    let story = Story::told();
    let trimmed = Scope { from_start: false, ..Scope::default() };
    for from in 0..story.len() {
        let found = check(&trimmed, story.log().skip(from), []);
        assert_eq!(found, [], "from event {from} on");
    }
}

#[test]
fn a_correct_log_without_its_samples_has_gaps_and_nothing_else() {
    let story = Story::told();
    let without = || story.log().filter(|(_, event)| !matches!(event.data, Data::ContainerSample(_)));
    let decisions = Scope { every_event: false, ..Scope::default() };
    assert_eq!(check(&decisions, without(), []), []);
    let found = check(&Scope::default(), without(), []);
    assert!(!found.is_empty());
    assert!(found.iter().all(|violation| violation.invariant == Invariant::GapFree));
}

// --- L-2 ---

#[test]
fn a_lost_event_leaves_a_gap_that_is_named() {
    let story = Story::told();
    let lost = story.position("sample");
    let found = check(&Scope::default(), story.log().filter(|(position, _)| *position != lost), []);
    assert_eq!(names(&found), [Invariant::GapFree]);
    assert!(found[0].detail.contains(&format!("number {} is missing", lost.seq)), "{}", found[0]);
}

#[test]
fn a_log_that_lacks_its_first_event_is_broken_when_it_should_be_whole() {
    let story = Story::told();
    let found = check(&Scope::default(), story.log().skip(1), []);
    assert_eq!(names(&found), [Invariant::GapFree]);
}

#[test]
fn a_number_that_comes_twice_is_found() {
    let mut story = Story::told();
    let number = story.position("sample").seq;
    story.renumber("recovered", number);
    assert_eq!(names(&story.broken()), [Invariant::GapFree]);
}

#[test]
fn each_partition_has_its_own_sequence() {
    let mut checker = Checker::new(&Scope::default());
    for (partition, seq) in [(0, 1), (1, 1), (0, 2), (1, 2), (1, 3), (0, 3)] {
        checker.unreadable(Position { partition, seq });
    }
    assert_eq!(checker.found(), []);
    checker.unreadable(Position { partition: 1, seq: 5 });
    assert_eq!(names(checker.found()), [Invariant::GapFree]);
}

// --- L-1, A-1, E-1 ---

#[test]
fn an_acknowledged_input_without_an_answer_is_found() {
    for (role, input, answer) in [
        (Role::Analyzer, "alert", "needed"),
        (Role::Analyzer, "alert 2", "alarm"),
        (Role::Responder, "needed", "done"),
    ] {
        let story = Story::told();
        let (input, answer) = (story.id(input), story.id(answer));
        // Later events of the chain are left out with it, so that nothing else is broken.
        let log = story.log().take_while(|(_, event)| event.envelope.id != answer);
        let found = check(&Scope::default(), log, [(role, input)]);
        assert_eq!(names(&found), [Invariant::OutputsOnce], "{role}");
    }
}

#[test]
fn a_dead_letter_is_an_answer() {
    let mut story = Story::told();
    let dead = story.id("needed");
    story.cut_before("started");
    story.bury("letter", Role::Responder, dead);
    assert_eq!(check(&Scope::default(), story.log(), [(Role::Responder, dead)]), []);
    // One of another group says nothing about this one.
    let mut story = Story::told();
    story.cut_before("started");
    story.bury("letter", Role::Alert, dead);
    assert_eq!(
        names(&check(&Scope::default(), story.log(), [(Role::Responder, dead)])),
        [Invariant::OutputsOnce]
    );
}

#[test]
fn a_second_set_of_outputs_is_found_although_its_id_differs() {
    for output in ["told slack", "diagnosis"] {
        let mut story = Story::told();
        story.repeat_under_next_index(output);
        assert_eq!(names(&story.broken()), [Invariant::OutputsOnce], "{output}");
    }
}

#[test]
fn an_output_that_names_no_input_is_found() {
    for output in ["needed", "done", "told slack"] {
        let mut story = Story::told();
        story.change(output, |event| event.envelope.cause = None);
        assert_eq!(names(&story.broken()), [Invariant::OutputsOnce], "{output}");
    }
}

#[test]
fn a_second_verdict_of_another_kind_is_found() {
    let mut story = Story::told();
    story.alarm("again", "alert");
    assert_eq!(names(&story.broken()), [Invariant::OneVerdict]);
}

#[test]
fn an_id_that_does_not_follow_from_its_cause_is_found() {
    let mut story = Story::told();
    story.change("told slack", |event| {
        event.envelope.id = EventId::observed(&subject(), Role::Alert, at(1), 99);
    });
    assert_eq!(names(&story.broken()), [Invariant::DerivedId]);
}

#[test]
fn the_id_of_a_verdict_holds_more_than_the_log_knows() {
    let mut story = Story::told();
    let plan = story.id("needed");
    story.change("verified", |event| {
        event.envelope.id = EventId::derive(plan, Role::Responder, "remediation_verified@verify/17", 0);
    });
    assert_eq!(story.broken(), []);
}

// --- O-1 ---

#[test]
fn an_answer_after_the_answer_to_a_later_event_is_found() {
    let mut story = Story::told();
    for name in ["first", "second", "third"] {
        story.alert_in(name, story.incident("alert"));
    }
    for name in ["first", "second", "third"] {
        story.alarm(&format!("{name} answer"), name);
    }
    let order = |violations: &[Violation]| names(violations).contains(&Invariant::InOrder);
    assert!(!order(&story.broken()));
    story.swap("first answer", "third answer");
    assert!(order(&story.broken()));
}

#[test]
fn a_dead_letter_is_an_answer_in_its_place() {
    let letter_of = |swapped: bool| {
        let mut story = Story::told();
        for name in ["first", "second"] {
            story.alert_in(name, story.incident("alert"));
        }
        let dead = story.id("first");
        story.bury("letter", Role::Analyzer, dead);
        story.alarm("answer", "second");
        if swapped {
            story.swap("letter", "answer");
        }
        names(&story.broken()).contains(&Invariant::InOrder)
    };
    assert_eq!((letter_of(false), letter_of(true)), (false, true));
}

// --- Identity and causation ---

#[test]
fn an_event_that_stands_in_the_log_twice_is_found() {
    let mut story = Story::told();
    story.repeat("changed");
    assert_eq!(names(&story.broken()), [Invariant::UniqueId]);
}

#[test]
fn a_redriven_event_may_stand_in_the_log_again_and_only_right_behind_its_order() {
    let redriven = |dead: &str, again: &str| {
        let mut story = Story::told();
        story.bury("letter", Role::Alert, story.id(dead));
        story.redrive("order", "letter", dead);
        story.repeat(again);
        story
    };
    for dead in ["done", "alert", "needed 2", "recovered 2"] {
        assert_eq!(redriven(dead, dead).broken(), [], "{dead}");
        // Once more is once more than was ordered.
        let mut story = redriven(dead, dead);
        story.repeat(dead);
        assert!(names(&story.broken()).contains(&Invariant::UniqueId), "{dead}");
    }
    assert!(names(&redriven("done", "alert").broken()).contains(&Invariant::UniqueId));
    let mut story = Story::told();
    story.bury("letter", Role::Alert, story.id("done"));
    story.redrive("order", "letter", "done");
    story.sample("sample 3");
    story.repeat("done");
    assert!(names(&story.broken()).contains(&Invariant::UniqueId));
}

#[test]
fn a_redriven_event_is_not_folded_again() {
    let mut folds = Folds::of::<crate::diagnose::Analyzer>();
    let mut story = Story::told();
    story.bury("letter", Role::Responder, story.id("needed"));
    story.redrive("order", "letter", "needed");
    story.repeat("needed");
    let mut once = Folds::of::<crate::diagnose::Analyzer>();
    Story::told().log().for_each(|(position, event)| once.event(position, event));
    story.log().for_each(|(position, event)| folds.event(position, event));
    assert_eq!(folds.state(&subject()), once.state(&subject()));
}

#[test]
fn a_sample_may_stand_in_the_log_twice() {
    let mut story = Story::told();
    story.repeat("sample");
    assert_eq!(story.broken(), []);
}

#[test]
fn an_effect_before_its_cause_is_found() {
    let mut story = Story::told();
    story.swap("told terminal", "sample 2");
    assert_eq!(story.broken(), [], "these two do not depend on each other");
    let mut story = Story::told();
    story.swap("done", "told slack");
    assert_eq!(names(&story.broken()), [Invariant::CauseFirst]);
}

#[test]
fn a_cause_that_stands_nowhere_is_found() {
    let mut story = Story::told();
    story.cut_before("told slack");
    story.notify("told slack", EventId::observed(&subject(), Role::Alert, at(1), 7));
    assert_eq!(names(&story.broken()), [Invariant::CauseFirst]);
    assert_eq!(story.broken_with(&Scope { from_start: false, ..Scope::default() }), []);
}

#[test]
fn a_cause_in_another_partition_is_found() {
    let mut checker = Checker::new(&Scope::default());
    let story = Story::told();
    for (position, event) in story.log() {
        let strays = event.envelope.id == story.id("told slack");
        let position = if strays { Position { partition: 1, seq: 1 } } else { position };
        checker.event(position, event);
    }
    let found = checker.finish();
    assert!(names(&found).contains(&Invariant::CauseFirst), "{found:?}");
}

// --- Intents ---

#[test]
fn an_action_without_an_intent_is_found() {
    let mut story = Story::told();
    story.remove("started");
    assert_eq!(names(&story.broken()), [Invariant::IntentFirst]);
}

#[test]
fn a_refusal_needs_no_intent() {
    for outcome in [
        Outcome::Rejected { rejection: Rejection::BudgetSpent, remaining_ms: None },
        Outcome::NotApplicable { detail: "gone".into() },
        Outcome::Failed { error: "the engine could not be asked".into() },
    ] {
        let mut story = Story::told();
        story.remove("started");
        story.remove("verified");
        story.change("done", |event| {
            let Data::RemediationComplete(done) = &mut event.data else { panic!("{event:?}") };
            done.outcome = outcome.clone();
        });
        assert_eq!(story.broken(), [], "{outcome:?}");
    }
    let mut story = Story::told();
    story.remove("started");
    story.remove("verified");
    story.change("done", |event| {
        let Data::RemediationComplete(done) = &mut event.data else { panic!("{event:?}") };
        done.outcome = Outcome::Unknown { detail: "nobody knows".into() };
    });
    assert_eq!(names(&story.broken()), [Invariant::IntentFirst], "what is unknown had begun");
}

#[test]
fn a_second_intent_outcome_or_verdict_is_found() {
    for event in ["started", "done", "verified"] {
        let mut story = Story::told();
        story.repeat_under_next_index(event);
        let found = names(&story.broken());
        assert!(found.contains(&Invariant::IntentFirst), "{event}: {found:?}");
    }
}

#[test]
fn an_intent_behind_its_outcome_is_found() {
    let mut story = Story::told();
    story.swap("started", "done");
    let found = names(&story.broken());
    assert!(!found.is_empty() && found.iter().all(|name| *name == Invariant::IntentFirst), "{found:?}");
}

#[test]
fn an_intent_for_what_was_never_planned_is_found() {
    let mut story = Story::told();
    let stray = EventId::observed(&subject(), Role::Operator, at(0), 5);
    story.remove("told slack");
    story.remove("told terminal");
    for event in ["started", "done", "verified"] {
        story.change_derived(event, |event| match &mut event.data {
            Data::RemediationStarted(started) => started.plan = stray,
            Data::RemediationComplete(done) => done.plan = stray,
            Data::RemediationVerified(verified) => verified.plan = stray,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(names(&story.broken()), [Invariant::IntentFirst, Invariant::IntentFirst]);
}

#[test]
fn a_verdict_on_what_was_not_done_is_found() {
    let mut story = Story::told();
    story.change("done", |event| {
        let Data::RemediationComplete(done) = &mut event.data else { panic!("{event:?}") };
        done.outcome = Outcome::Failed { error: "no".into() };
    });
    assert_eq!(names(&story.broken()), [Invariant::IntentFirst]);
    let mut story = Story::told();
    for event in ["done", "told slack", "told terminal"] {
        story.remove(event);
    }
    assert_eq!(names(&story.broken()), [Invariant::IntentFirst]);
}

#[test]
fn a_dry_run_that_says_it_was_real_is_found() {
    let mut story = Story::told();
    story.change("started", |event| {
        let Data::RemediationStarted(started) = &mut event.data else { panic!("{event:?}") };
        started.dry_run = true;
    });
    assert_eq!(names(&story.broken()), [Invariant::IntentFirst]);
}

// --- L-5 ---

#[test]
fn more_actions_than_the_budget_are_found_within_the_window_only() {
    let window =
        |seconds| Scope { budget: Some(1), window: Duration::from_secs(seconds), ..Scope::default() };
    let story = Story::told();
    let apart = story.time("started 2").since(story.time("started")).as_secs();
    let found = story.broken_with(&window(apart + 1));
    assert_eq!(names(&found), [Invariant::Budget]);
    assert_eq!(found[0].at, [story.position("started"), story.position("started 2")]);
    // Exactly a window apart, the first has left it.
    assert_eq!(story.broken_with(&window(apart)), []);
}

#[test]
fn without_a_given_budget_the_intents_own_counts() {
    let mut story = Story::told();
    story.change("started 2", |event| {
        let Data::RemediationStarted(started) = &mut event.data else { panic!("{event:?}") };
        started.budget = 1;
    });
    assert_eq!(names(&story.broken()), [Invariant::Budget]);
}

#[test]
fn dry_runs_and_other_containers_have_budgets_of_their_own() {
    let scope = Scope { budget: Some(1), ..Scope::default() };
    let dry = |event: &mut Event| match &mut event.data {
        Data::RemediationStarted(started) => started.dry_run = true,
        Data::RemediationComplete(done) => done.dry_run = true,
        other => panic!("{other:?}"),
    };
    let mut story = Story::told();
    story.change("started 2", dry);
    story.change("done 2", dry);
    assert_eq!(story.broken_with(&scope), []);
    let mut story = Story::told();
    for event in ["alert 3", "needed 2", "started 2", "done 2", "recovered 3"] {
        story.change(event, |event| {
            event.envelope.subject = Some("h1/other".parse().unwrap());
        });
    }
    assert_eq!(story.broken_with(&scope), []);
}

// --- D-1 ---

#[test]
fn a_second_incident_while_one_is_open_is_found() {
    let mut story = Story::told();
    story.remove("recovered");
    assert_eq!(names(&story.broken()), [Invariant::OneIncident]);
}

#[test]
fn an_alert_or_a_recovery_of_an_incident_that_is_over_is_found() {
    let mut story = Story::told();
    story.recover("once more", "alert 3", Recovery::Cleared);
    assert_eq!(names(&story.broken()), [Invariant::OneIncident]);
    let mut story = Story::told();
    let over = story.incident("alert 3");
    story.alert_in("late", over);
    assert_eq!(names(&story.broken()), [Invariant::OneIncident]);
}

#[test]
fn a_recovery_of_another_incident_is_found() {
    let mut story = Story::told();
    let other = IncidentId::opened(&subject(), at(12_345));
    story.change("recovered", |event| event.envelope.incident = Some(other));
    let found = names(&story.broken());
    assert_eq!(found, [Invariant::OneIncident]);
}

#[test]
fn an_alert_of_no_incident_is_found() {
    let mut story = Story::told();
    story.change("alert 2", |event| event.envelope.incident = None);
    let found = names(&story.broken());
    assert!(!found.is_empty() && found.iter().all(|name| *name == Invariant::OneIncident), "{found:?}");
}

#[test]
fn a_violation_reads_as_a_sentence_with_its_places() {
    let at = [Position { partition: 0, seq: 4 }, Position { partition: 0, seq: 9 }];
    let violation = Violation::new(Invariant::Budget, at, "too many".to_owned());
    assert_eq!(violation.to_string(), "L-5 at 0/4, 0/9: too many");
    assert_eq!(Violation::new(Invariant::StateIsFold, [], "no".to_owned()).to_string(), "L-3: no");
}

#[test]
fn what_is_forgotten_is_not_held_against_the_log() {
    let story = Story::told();
    for remember in 1..12 {
        let scope = Scope { remember, ..Scope::default() };
        let acknowledged = [(Role::Analyzer, story.id("alert")), (Role::Responder, story.id("needed"))];
        assert_eq!(check(&scope, story.log(), acknowledged), [], "remembering {remember}");
    }
}

fn names(found: &[Violation]) -> Vec<Invariant> {
    found.iter().map(|violation| violation.invariant).collect()
}

#[test]
fn verdicts_of_every_kind_may_end_an_action() {
    for verdict in [Verification::Verified, Verification::NotFixed, Verification::Unknown] {
        let mut story = Story::told();
        story.change("verified", |event| {
            let Data::RemediationVerified(verified) = &mut event.data else { panic!("{event:?}") };
            verified.verdict = verdict;
        });
        assert_eq!(story.broken(), []);
    }
}
