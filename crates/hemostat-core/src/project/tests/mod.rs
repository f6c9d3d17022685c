//! What people read of an incident.

pub(super) mod fixtures;
mod lines;

use hemostat_event::{
    Action, Change, DeadLetter, Delivery, Envelope, Outcome, Recovery, Rejection, RemediationComplete,
    Verification,
};
use proptest::prelude::*;

use super::*;
use fixtures::*;

/// A log in the making, folded as it grows.
#[derive(Default)]
struct Log {
    incidents: Incidents,
    seq: u64,
}

impl Log {
    /// Appends an event of `incident`, a second after the last, and answers with its id.
    fn say(&mut self, incident: Option<IncidentId>, data: impl Into<Data>) -> EventId {
        self.say_because(incident, None, data)
    }

    fn say_because(
        &mut self,
        incident: Option<IncidentId>,
        cause: Option<EventId>,
        data: impl Into<Data>,
    ) -> EventId {
        let mut event = event(self.seq, data.into());
        event.envelope.incident = incident;
        event.envelope.cause = cause;
        self.fold(&event);
        event.envelope.id
    }

    fn fold(&mut self, event: &Event) {
        self.seq += 1;
        self.incidents.fold(event, Position { partition: 0, seq: self.seq });
    }

    fn status(&self) -> Status {
        self.incidents.iter().last().expect("an incident").status()
    }

    fn only(&self) -> &Incident {
        let all: Vec<_> = self.incidents.iter().collect();
        assert_eq!(all.len(), 1);
        all[0]
    }
}

#[test]
fn an_incident_is_told_from_its_first_symptom_to_its_end() {
    let mut log = Log::default();
    let id = incident(1);
    log.say(None, changed(Change::Started));
    log.say(Some(id), changed(Change::Died { exit_code: 1 }));
    let alert = log.say(Some(id), alert(Severity::High, &[AnomalyKind::NonZeroExit]));
    assert_eq!(log.status(), Status::Open);
    let plan = log.say_because(Some(id), Some(alert), needed(restart(), Cause::ApplicationError));
    assert_eq!(log.status(), Status::Planned);
    log.say_because(Some(id), Some(plan), started(plan, false));
    assert_eq!(log.status(), Status::Acting);
    log.say_because(Some(id), Some(plan), complete(plan, Outcome::Success, false));
    assert_eq!(log.status(), Status::Verifying);
    log.say_because(Some(id), Some(plan), verified(plan, Verification::Verified));
    assert_eq!(log.status(), Status::Verified);
    log.say(Some(id), recovered(Recovery::Cleared));
    assert_eq!(log.status(), Status::Recovered);

    let incident = log.only();
    assert_eq!(
        (incident.id, incident.subject.name(), incident.container.image.as_str()),
        (id, "web", "nginx")
    );
    assert_eq!((incident.opened_at, incident.closed_at), (at(1), Some(at(7))));
    assert_eq!((incident.severity, incident.alerts), (Severity::High, 1));
    assert_eq!(incident.cause(), Some(Cause::ApplicationError));
    assert_eq!(incident.kinds, [AnomalyKind::NonZeroExit].into());
    let kinds: Vec<_> = incident.events.iter().map(|line| line.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "container_changed",
            "health_alert",
            "remediation_needed",
            "remediation_started",
            "remediation_complete",
            "remediation_verified",
            "health_recovered",
        ]
    );
    assert_eq!(incident.events[2].cause, Some(alert));
    assert_eq!(incident.events[0].position, Position { partition: 0, seq: 2 });
    assert_eq!(log.incidents.get(id), Some(incident));
}

#[test]
fn the_end_of_an_action_says_how_far_the_incident_has_come() {
    let rejected = Outcome::Rejected { rejection: Rejection::CooldownActive, remaining_ms: Some(1) };
    for (outcome, dry_run, status) in [
        (Outcome::Success, false, Status::Verifying),
        (Outcome::Success, true, Status::DryRun),
        (Outcome::Failed { error: "no".into() }, false, Status::Failed),
        (rejected, false, Status::Rejected),
        (Outcome::NotApplicable { detail: "it runs again".into() }, false, Status::Dismissed),
        (Outcome::Unknown { detail: "nobody knows".into() }, false, Status::Unknown),
    ] {
        let mut log = opened();
        let plan = log.say(Some(incident(1)), needed(restart(), Cause::Unknown));
        log.say(Some(incident(1)), started(plan, dry_run));
        log.say(Some(incident(1)), complete(plan, outcome.clone(), dry_run));
        assert_eq!(log.status(), status, "{outcome:?}");
    }
}

#[test]
fn the_verdict_of_verification_is_the_status() {
    for (verdict, status) in [
        (Verification::Verified, Status::Verified),
        (Verification::NotFixed, Status::NotFixed),
        (Verification::Unknown, Status::Unknown),
    ] {
        let mut log = acted_on();
        log.say(Some(incident(1)), verified(id(0), verdict));
        assert_eq!(log.status(), status);
    }
}

#[test]
fn the_end_of_an_incident_is_told_by_its_reason() {
    for (reason, status) in [
        (Recovery::Cleared, Status::Recovered),
        (Recovery::Stopped, Status::Stopped),
        (Recovery::Removed, Status::Removed),
    ] {
        let mut log = opened();
        log.say(Some(incident(1)), recovered(reason));
        assert_eq!(log.status(), status);
        assert!(status.is_over());
    }
}

#[test]
fn a_verdict_after_the_end_does_not_open_it_again() {
    let mut log = acted_on();
    log.say(Some(incident(1)), recovered(Recovery::Cleared));
    log.say(Some(incident(1)), verified(id(0), Verification::Unknown));
    assert_eq!(log.status(), Status::Recovered);
    assert_eq!(log.only().events.len(), 6, "it is part of the story all the same");
}

#[test]
fn a_false_alarm_dismisses_and_an_escalation_waits_for_a_person() {
    let mut log = opened();
    log.say(Some(incident(1)), false_alarm(Cause::TransientSpike));
    assert_eq!((log.status(), log.only().cause()), (Status::Dismissed, Some(Cause::TransientSpike)));
    log.say(Some(incident(1)), alert(Severity::High, &[AnomalyKind::HighCpu]));
    assert_eq!(log.status(), Status::Open, "a new alert is not yet decided on");
    let plan = log.say(Some(incident(1)), needed(Action::Escalate, Cause::CrashLoop));
    assert_eq!((log.status(), log.only().cause()), (Status::Escalated, Some(Cause::CrashLoop)));
    let handed_over = RemediationComplete {
        action: Action::Escalate,
        ..complete(plan, Outcome::NotApplicable { detail: "a person's".into() }, false)
    };
    log.say(Some(incident(1)), handed_over);
    assert_eq!(log.status(), Status::Escalated);
}

#[test]
fn a_false_alarm_does_not_take_back_what_a_plan_was_made_for() {
    let mut log = acted_on();
    log.say(Some(incident(1)), false_alarm(Cause::TransientSpike));
    assert_eq!(log.only().cause(), Some(Cause::ApplicationError));
}

#[test]
fn while_an_action_is_under_way_nothing_about_another_plan_counts() {
    let mut log = opened();
    let plan = log.say(Some(incident(1)), needed(restart(), Cause::Unknown));
    log.say(Some(incident(1)), started(plan, false));
    log.say(Some(incident(1)), alert(Severity::Critical, &[AnomalyKind::OomKilled]));
    let second = log.say(Some(incident(1)), needed(restart(), Cause::Unknown));
    let busy = Outcome::Rejected { rejection: Rejection::ActionInProgress, remaining_ms: None };
    log.say(Some(incident(1)), complete(second, busy, false));
    assert_eq!(log.status(), Status::Acting);
    log.say(Some(incident(1)), complete(plan, Outcome::Success, false));
    assert_eq!(log.status(), Status::Verifying);
    log.say(Some(incident(1)), false_alarm(Cause::Unknown));
    assert_eq!(log.status(), Status::Verifying);
    log.say(Some(incident(1)), verified(plan, Verification::NotFixed));
    assert_eq!(log.status(), Status::NotFixed);
    log.say(Some(incident(1)), alert(Severity::High, &[AnomalyKind::NonZeroExit]));
    assert_eq!(log.status(), Status::Open);
}

#[test]
fn the_worst_severity_and_every_symptom_are_kept() {
    let mut log = opened();
    log.say(Some(incident(1)), alert(Severity::Critical, &[AnomalyKind::OomKilled]));
    log.say(Some(incident(1)), alert(Severity::Warning, &[AnomalyKind::HighCpu]));
    let incident = log.only();
    assert_eq!((incident.severity, incident.alerts), (Severity::Critical, 3));
    assert_eq!(
        incident.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        ["high_cpu", "non_zero_exit", "oom_killed"]
    );
}

#[test]
fn an_event_that_names_no_incident_belongs_to_that_of_its_cause_or_plan() {
    let mut log = opened();
    let plan = log.say(Some(incident(1)), needed(restart(), Cause::Unknown));
    let told = log.say_because(None, Some(plan), notification(Delivery::Deduplicated));
    log.say(None, order(Command::Approve { plan }));
    log.say(None, order(Command::Deny { plan, reason: "not now".into() }));
    log.say(None, order(Command::Redrive { event: told }));
    log.say(None, DeadLetter { event: Some(plan), ..letter() });
    log.say(None, DeadLetter { incident: Some(incident(1)), ..letter() });
    assert_eq!(log.only().events.len(), 8);
    log.say(None, order(Command::Pause { until: None }));
    log.say(None, letter());
    log.say(None, notification(Delivery::Deduplicated));
    assert_eq!(log.only().events.len(), 8, "these are about no incident");
}

#[test]
fn an_event_that_is_folded_twice_counts_once() {
    let mut log = opened();
    let again = event(0, alert(Severity::High, &[AnomalyKind::NonZeroExit]).into());
    let first = log.only().events[0].id;
    assert_eq!(again.envelope.id, first);
    log.fold(&Event {
        envelope: Envelope { incident: Some(incident(1)), ..again.envelope },
        data: again.data,
    });
    assert_eq!((log.only().alerts, log.only().events.len()), (1, 1));
}

#[test]
fn a_log_whose_beginning_is_gone_tells_the_rest() {
    let mut log = Log::default();
    log.say(Some(incident(1)), DeadLetter { incident: Some(incident(1)), ..letter() });
    assert_eq!(log.incidents.iter().count(), 0, "nothing says which container it is about");
    log.say(Some(incident(1)), verified(id(99), Verification::Verified));
    assert_eq!((log.status(), log.only().opened_at, log.only().alerts), (Status::Verified, at(1), 0));
    log.say(Some(incident(1)), recovered(Recovery::Cleared));
    assert_eq!((log.status(), log.only().opened_at), (Status::Recovered, at(1)));
    assert_eq!(log.only().kinds, [AnomalyKind::NonZeroExit].into());
}

#[test]
fn incidents_come_in_the_order_in_which_they_opened() {
    let mut log = Log::default();
    for number in [5, 3, 9] {
        log.say(Some(incident(number)), alert(Severity::High, &[AnomalyKind::HighCpu]));
    }
    log.say(Some(incident(3)), recovered(Recovery::Cleared));
    let ids: Vec<_> = log.incidents.iter().map(|incident| incident.id).collect();
    assert_eq!(ids, [incident(5), incident(3), incident(9)]);
}

proptest! {
    #[test]
    fn any_order_of_events_is_taken_in(picks in proptest::collection::vec((0usize..8, 0u64..3), 0..40)) {
        let mut log = Log::default();
        for (pick, number) in &picks {
            let plan = id(*number);
            let data: Data = match pick {
                0 => alert(Severity::High, &[AnomalyKind::HighCpu]).into(),
                1 => needed(restart(), Cause::Unknown).into(),
                2 => false_alarm(Cause::Unknown).into(),
                3 => started(plan, false).into(),
                4 => complete(plan, Outcome::Success, false).into(),
                5 => verified(plan, Verification::Verified).into(),
                6 => recovered(Recovery::Cleared).into(),
                _ => notification(Delivery::Deduplicated).into(),
            };
            log.say(Some(incident(*number)), data);
        }
        let told: usize = log.incidents.iter().map(|incident| incident.events.len()).sum();
        prop_assert_eq!(told, picks.len());
        for incident in log.incidents.iter() {
            prop_assert_eq!(incident.closed_at.is_some(), incident.status().is_over());
            prop_assert!(incident.events.windows(2).all(|pair| pair[0].position < pair[1].position));
        }
    }
}

/// A log with one open incident.
fn opened() -> Log {
    let mut log = Log::default();
    log.say(Some(incident(1)), alert(Severity::High, &[AnomalyKind::NonZeroExit]));
    log
}

/// A log with one incident that was acted on under the plan `id(0)`.
fn acted_on() -> Log {
    let mut log = opened();
    log.say(Some(incident(1)), needed(restart(), Cause::ApplicationError));
    log.say(Some(incident(1)), started(id(0), false));
    log.say(Some(incident(1)), complete(id(0), Outcome::Success, false));
    log
}
