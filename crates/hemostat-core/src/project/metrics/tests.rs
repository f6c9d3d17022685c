//! What the figures of a log come to.

use hemostat_event::{
    AnomalyKind, Cause, ContainerChanged, ContainerSample, DeadLetter, Delivery, Outcome, Rejection, Sample,
    Severity, Verification,
};
use proptest::prelude::*;

use super::*;
use crate::project::tests::fixtures::*;

const SILENCE: Duration = Duration::from_secs(300);

/// 2023-11-14 22:13:20 UTC is `at(0)`: the day ends 6,400 s later.
const DAY_ENDS: u64 = 6_400;

/// A log in the making.
#[derive(Default, Clone)]
struct Log {
    events: Vec<(Event, Placed)>,
}

impl Log {
    fn say(&mut self, seconds: u64, data: impl Into<Data>) -> EventId {
        self.because(seconds, None, Role::Monitor, data)
    }

    fn because(
        &mut self,
        seconds: u64,
        cause: Option<EventId>,
        role: Role,
        data: impl Into<Data>,
    ) -> EventId {
        let mut event = event(1_000_000 + self.events.len() as u64, data.into());
        event.envelope.time = at(seconds);
        event.envelope.cause = cause;
        event.envelope.source.role = role;
        event.envelope.incident = Some(incident(1));
        let id = event.envelope.id;
        self.events.push((event, Placed { at: at(seconds), partition: 3 }));
        id
    }

    fn figures(&self) -> Figures {
        fold(&self.events)
    }
}

fn fold(events: &[(Event, Placed)]) -> Figures {
    let mut figures = Figures::default();
    for (event, placed) in events {
        figures.fold(event, *placed);
    }
    figures
}

fn sample(percent: f64) -> ContainerSample {
    let sample = Sample { cpu_percent: Some(percent), ..Sample::default() };
    ContainerSample { container: container(), sample, gap: None }
}

fn names(figures: &Figures, seconds: u64) -> Vec<&str> {
    figures.present(at(seconds), SILENCE).map(|(subject, _)| subject.name()).collect()
}

#[test]
fn a_container_is_there_until_it_is_removed_or_silent() {
    let mut log = Log::default();
    log.say(10, sample(1.0));
    assert_eq!(names(&log.figures(), 309), ["web"]);
    assert_eq!(names(&log.figures(), 310), [""; 0], "silent for five minutes");
    log.say(20, changed(Change::Removed));
    assert_eq!(names(&log.figures(), 21), [""; 0]);
    // Taken before the removal, appended after it.
    log.say(22, sample(2.0));
    assert_eq!(names(&log.figures(), 23), [""; 0]);
    let mut next = sample(3.0);
    next.container.id = ContainerId::new("cd".repeat(32)).unwrap();
    log.say(24, next);
    let figures = log.figures();
    let (_, watched) = figures.present(at(25), SILENCE).next().expect("another container of that name");
    assert_eq!(watched.sample(at(25), SILENCE).unwrap().cpu_percent, Some(3.0));
}

#[test]
fn what_was_counted_about_a_container_is_hidden_while_it_is_silent_and_goes_on_afterwards() {
    let mut log = Log::default();
    log.say(1, alert(Severity::High, &[AnomalyKind::HighCpu]));
    log.say(2, changed(Change::Removed));
    let counted = |log: &Log, seconds| {
        let figures = log.figures();
        let of = figures.counted_of_containers(at(seconds), SILENCE).next().map(|(_, of)| of.clone());
        of.map(|of| of.alerts[&Severity::High])
    };
    assert_eq!(counted(&log, 100), Some(1), "a scrape after the removal still sees it");
    assert_eq!(counted(&log, 302), None);
    log.say(400, sample(1.0));
    log.say(401, alert(Severity::High, &[AnomalyKind::HighCpu]));
    assert_eq!(counted(&log, 402), Some(2));
}

#[test]
fn a_day_is_shown_for_a_minute_after_its_end_and_the_next_from_its_beginning() {
    let mut log = Log::default();
    log.say(10, false_alarm(Cause::TransientSpike));
    log.say(DAY_ENDS - 1, false_alarm(Cause::TransientSpike));
    log.say(DAY_ENDS, false_alarm(Cause::TransientSpike));
    let count = |seconds| log.figures().counted(at(seconds)).map_or(0, |counts| counts.false_alarms.count);
    assert_eq!(count(DAY_ENDS + 59), 2, "what the day came to");
    assert_eq!(count(DAY_ENDS + 60), 1, "the next one, from its beginning");
    assert_eq!(count(DAY_ENDS + 90_000), 0);
}

#[test]
fn answers_are_timed_from_their_cause() {
    let mut log = Log::default();
    let cause = log.say(100, alert(Severity::High, &[AnomalyKind::NonZeroExit]));
    let plan = log.because(102, Some(cause), Role::Analyzer, needed(restart(), Cause::ApplicationError));
    log.because(105, Some(plan), Role::Responder, complete(plan, Outcome::Success, false));
    log.because(170, Some(plan), Role::Responder, verified(plan, Verification::Verified));
    let figures = log.figures();
    let counts = figures.counted(at(200)).expect("something happened");
    assert_eq!((counts.analysis.count(), counts.analysis.sum()), (1, 2.0));
    assert_eq!(counts.hops[&(Role::Responder, EventType::RemediationComplete)].sum(), 3.0);
    assert_eq!(counts.hops.len(), 2, "a verdict waits for its window: {:?}", counts.hops.keys());
    assert_eq!(counts.verdicts.values().sum::<u64>(), 1);
    assert_eq!(counts.actions.values().map(Spread::sum).sum::<f64>(), 0.412);
    // The incident of the fixture opened at second 1; its first repair was at 105.
    assert_eq!((counts.repair.count(), counts.repair.sum()), (1, 104.0));
}

#[test]
fn what_is_done_to_a_container_is_counted_by_host_and_its_last_action_has_a_time() {
    let mut log = Log::default();
    log.say(1, sample(1.0));
    log.say(2, alert(Severity::High, &[AnomalyKind::HighCpu, AnomalyKind::HighMemory]));
    log.because(3, None, Role::Responder, complete(id(1), Outcome::Success, false));
    let rejected = Outcome::Rejected { rejection: Rejection::CooldownActive, remaining_ms: None };
    log.because(4, None, Role::Responder, complete(id(2), rejected, false));
    log.because(5, None, Role::Responder, complete(id(3), Outcome::Success, true));
    let acted = |log: &Log, seconds| {
        let figures = log.figures();
        let (_, watched) = figures.present(at(seconds), SILENCE).next().expect("a container");
        watched.acted(at(seconds))
    };
    let counts = log.figures().counted(at(6)).cloned().expect("something happened");
    assert_eq!(
        counts.alerts.values().copied().collect::<Vec<_>>(),
        [1],
        "an alert is one, whatever it has seen"
    );
    let outcomes: Vec<_> = counts.outcomes.iter().map(|((_, _, word), count)| (*word, *count)).collect();
    assert_eq!(outcomes, [("rejected", 1), ("success", 2)]);
    // Neither a refusal nor a dry run does anything.
    let last = Acted { at: at(3), action: hemostat_event::ActionKind::Restart, outcome: "success" };
    assert_eq!(acted(&log, 6), Some(last));
    // Another container of that name was not acted on.
    let mut next = sample(3.0);
    next.container.id = ContainerId::new("cd".repeat(32)).unwrap();
    log.say(7, next);
    assert_eq!(acted(&log, 8), None);
}

#[test]
fn only_the_first_alert_of_an_incident_says_how_long_detection_took() {
    let mut log = Log::default();
    let mut first = alert(Severity::High, &[AnomalyKind::NonZeroExit]);
    (first.opened_at, first.engine_event_at) = (at(100), Some(at(98)));
    log.say(100, first.clone());
    log.say(700, first);
    let figures = log.figures();
    let detection = &figures.counted(at(701)).expect("something happened").detection;
    assert_eq!((detection.count(), detection.sum()), (1, 2.0));
}

#[test]
fn what_a_letter_or_a_refusal_says_is_counted_under_words_of_ours_only() {
    let mut log = Log::default();
    let letter = |stream: &str| DeadLetter {
        stream: stream.into(),
        entry: "1-1".into(),
        group: Role::Analyzer,
        event: None,
        incident: None,
        errors: vec![],
        attempts: 5,
        original: BTreeMap::new(),
    };
    log.say(1, letter("health_alert"));
    log.say(2, letter("made\nup"));
    let rejected = Outcome::Rejected { rejection: Rejection::CooldownActive, remaining_ms: None };
    log.say(3, complete(id(1), rejected, false));
    log.say(4, notification(Delivery::Deduplicated));
    let figures = log.figures();
    let counts = figures.counted(at(5)).expect("something happened");
    let words: Vec<_> = counts.dead_letters.keys().map(|(_, stream, p)| (stream.as_str(), *p)).collect();
    assert_eq!(words, [("health_alert", 3), ("other", 3)]);
    assert_eq!(counts.rejections[&Rejection::CooldownActive], 1);
    assert_eq!(counts.notifications.keys().map(|(_, _, word)| *word).collect::<Vec<_>>(), ["deduplicated"]);
}

#[test]
fn a_spread_counts_up_to_its_bounds_and_sums_in_any_order() {
    let values = [0.0, 0.000_4, 0.001, 0.3, 500.0, f64::NAN, -1.0];
    let mut spread = Spread::new(&FAST);
    let mut reversed = Spread::new(&FAST);
    values.iter().for_each(|value| spread.add(*value));
    values.iter().rev().for_each(|value| reversed.add(*value));
    assert_eq!(spread, reversed);
    assert_eq!(spread.count(), 7);
    assert_eq!(spread.up_to().next(), Some((0.001, 5)));
    assert_eq!(spread.up_to().last(), Some((120.0, 6)));
}

/// Any event of a life, by a number. A removed container does not come back; the next one has another id.
fn any_event(log: &mut Log, number: u8, seconds: u64, cause: Option<EventId>, life: &mut u32) -> EventId {
    let mut container = container();
    container.id = ContainerId::new(format!("{life:064x}")).unwrap();
    let mut opened = alert(Severity::Critical, &[AnomalyKind::OomKilled]);
    (opened.opened_at, opened.container) = (at(seconds), container.clone());
    match number {
        0..=2 => log.say(seconds, ContainerSample { container, ..sample(f64::from(number)) }),
        3 => {
            let id = log.say(seconds, opened);
            let (event, _) = log.events.last_mut().expect("it was just said");
            event.envelope.incident = Some(incident(seconds));
            id
        }
        4 => {
            *life += 1;
            log.say(seconds, ContainerChanged { container, ..changed(Change::Removed) })
        }
        5 => log.because(seconds, cause, Role::Analyzer, needed(restart(), Cause::MemoryLimit)),
        6 => log.because(seconds, cause, Role::Analyzer, false_alarm(Cause::Unknown)),
        7 => log.because(seconds, cause, Role::Responder, complete(id(1), Outcome::Success, false)),
        8 => log.because(seconds, cause, Role::Alert, notification(Delivery::Sent { attempt: 1 })),
        _ => log.say(seconds, ContainerChanged { container, ..changed(Change::Started) }),
    }
}

proptest! {
    /// F-1: one reader folds from the very beginning and forgets as it goes, another begins where it has to.
    #[test]
    fn whoever_began_when_shows_the_same(steps in prop::collection::vec((0_u8..10, 0_u64..9_000), 1..120)) {
        let (mut log, mut seconds, mut cause, mut life) = (Log::default(), 0, None, 0);
        // An alert about a sick container is repeated, and a monitor samples: the fixture says both often enough.
        for (number, pause) in steps {
            seconds += pause;
            cause = Some(any_event(&mut log, number, seconds, cause, &mut life));
        }
        let now = at(seconds + 1);
        let mut old = Figures::default();
        for (event, placed) in &log.events {
            old.fold(event, *placed);
            old.forget(placed.at, SILENCE);
        }
        let from = Day::read_from(now);
        let fresh = fold(&log.events.iter().filter(|(event, placed)| {
            let sample = event.event_type() == EventType::ContainerSample;
            if sample { now - SILENCE <= placed.at } else { from <= placed.at }
        }).cloned().collect::<Vec<_>>());
        let of = |figures: &Figures| {
            let containers: Vec<_> = figures
                .present(now, SILENCE)
                .map(|(subject, w)| (subject.clone(), w.container.clone(), w.sample(now, SILENCE).cloned(), w.sick_since(now), w.acted(now)))
                .collect();
            let counted: Vec<_> = figures
                .counted_of_containers(now, SILENCE)
                .map(|(subject, of)| (subject.clone(), of.clone()))
                .collect();
            (containers, counted)
        };
        prop_assert_eq!(of(&old), of(&fresh));
        let counts = |figures: &Figures| figures.counted(now).cloned().unwrap_or_default();
        prop_assert_eq!(counts(&old), counts(&fresh));
    }
}
