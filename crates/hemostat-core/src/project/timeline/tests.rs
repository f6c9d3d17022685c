use hemostat_event::{Delivery, Outcome, Recovery, Role};

use super::*;
use crate::project::Incidents;
use crate::project::tests::fixtures::{
    alert, at, changed, complete, event, incident, needed, notification, recovered, restart, started,
    verified,
};

/// A log in the making: each event a second after the one before.
#[derive(Default)]
struct Log(Vec<(Position, Event)>);

impl Log {
    fn say(&mut self, cause: Option<EventId>, data: impl Into<Data>) -> EventId {
        let number = self.0.len() as u64;
        let mut event = event(number, data.into());
        event.envelope.incident = Some(incident(1));
        event.envelope.cause = cause;
        let id = event.envelope.id;
        self.0.push((Position { partition: 0, seq: number + 1 }, event));
        id
    }

    fn timeline(&self) -> Timeline {
        let mut incidents = Incidents::default();
        for (position, event) in &self.0 {
            incidents.fold(event, *position);
        }
        timeline(incidents.get(incident(1)).expect("the events tell of it"), &self.0)
    }
}

/// Died at 0, noticed at 2, repaired, told between, well again.
fn repaired() -> Log {
    let mut log = Log::default();
    log.say(None, changed(Change::Started));
    log.say(None, changed(Change::Died { exit_code: 1 }));
    let alert = log.say(None, alert(Severity::High, &[AnomalyKind::NonZeroExit]));
    let plan = log.say(Some(alert), needed(restart(), Cause::ApplicationError));
    let begun = log.say(Some(plan), started(plan, false));
    let done = log.say(Some(plan), complete(plan, Outcome::Success, false));
    log.say(Some(done), notification(Delivery::Deduplicated));
    log.say(Some(done), notification(Delivery::Sent { attempt: 1 }));
    log.say(Some(begun), verified(plan, Verification::Verified));
    log.say(None, recovered(Recovery::Cleared));
    log
}

#[test]
fn spans_are_between_recorded_times() {
    let spans = repaired().timeline().spans;
    assert_eq!(
        spans,
        Spans {
            first_symptom_at: Some(at(0)),
            detect_ms: Some(2_000),
            decide_ms: Some(1_000),
            act_ms: Some(2_000),
            repair_ms: Some(6_000),
            recover_ms: Some(7_000),
            notify_ms: Some(5_000),
        }
    );
}

#[test]
fn a_span_without_an_end_is_absent() {
    let mut log = Log::default();
    log.say(None, changed(Change::Died { exit_code: 1 }));
    assert_eq!(log.timeline().spans, Spans::default());
    let alert = log.say(None, alert(Severity::High, &[AnomalyKind::NonZeroExit]));
    let plan = log.say(Some(alert), needed(restart(), Cause::ApplicationError));
    log.say(Some(plan), verified(plan, Verification::NotFixed));
    log.say(Some(plan), notification(Delivery::Failed { attempt: 3, error: "no".into() }));
    let spans = log.timeline().spans;
    assert_eq!((spans.detect_ms, spans.decide_ms), (Some(1_000), Some(1_000)));
    assert_eq!((spans.act_ms, spans.repair_ms, spans.recover_ms, spans.notify_ms), (None, None, None, None));
}

#[test]
fn effects_stand_below_their_causes_in_log_order() {
    let timeline = repaired().timeline();
    let tree: Vec<_> = timeline.tree().iter().map(|step| (step.depth, step.phase)).collect();
    assert_eq!(
        tree,
        [
            (0, Phase::Change),
            (0, Phase::Symptom),
            (0, Phase::Detection),
            (1, Phase::Decision),
            (2, Phase::Attempt),
            (3, Phase::Verification),
            (2, Phase::Outcome),
            (3, Phase::Notification),
            (3, Phase::Notification),
            (0, Phase::Recovery),
        ]
    );
    let told = &timeline.steps[7];
    assert_eq!((told.after_previous_ms, told.after_cause_ms), (1_000, Some(2_000)));
}

#[test]
fn a_cause_that_is_not_there_or_stands_behind_is_no_parent() {
    let mut log = Log::default();
    let far = EventId::derive(incident_event(), Role::Alert, "far", 0);
    log.say(Some(far), alert(Severity::High, &[AnomalyKind::NonZeroExit]));
    // An event that names itself, as only a broken or hostile log does.
    let own = event(1, changed(Change::Started).into()).envelope.id;
    log.say(Some(own), changed(Change::Started));
    let timeline = log.timeline();
    assert!(timeline.steps.iter().all(|step| step.parent.is_none() && step.depth == 0));
    assert_eq!(timeline.steps[0].cause, Some(far));
    assert_eq!(timeline.tree().len(), 2);
}

#[test]
fn an_event_of_another_incident_and_a_repetition_are_passed_over() {
    let mut log = repaired();
    let count = log.timeline().steps.len();
    let (_, again) = log.0[3].clone();
    log.0.push((Position { partition: 0, seq: 90 }, again));
    let mut other = event(91, changed(Change::Started).into());
    other.envelope.incident = Some(incident(2));
    log.0.push((Position { partition: 0, seq: 91 }, other));
    assert_eq!(log.timeline().steps.len(), count);
}

#[test]
fn reasons_and_evidence_are_told_in_full() {
    let mut log = Log::default();
    let mut sick = alert(Severity::High, &[AnomalyKind::NonZeroExit]);
    let long = "line\n".repeat(500);
    sick.evidence.items.push(hemostat_event::EvidenceItem {
        id: "log".into(),
        kind: hemostat_event::EvidenceKind::LogTail,
        text: long.clone(),
    });
    let alert = log.say(None, sick);
    log.say(Some(alert), needed(restart(), Cause::ApplicationError));
    let timeline = log.timeline();
    let names = |step: &Step| step.details.iter().map(|detail| detail.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&timeline.steps[0]), ["symptom", "evidence log"]);
    assert_eq!(timeline.steps[0].details[1].text, long);
    assert_eq!(names(&timeline.steps[1]), ["reason", "confidence", "expires"]);
    assert_eq!(timeline.steps[1].details[1].text, "90 %, rule rule");
}

fn incident_event() -> EventId {
    event(0, changed(Change::Started).into()).envelope.id
}
