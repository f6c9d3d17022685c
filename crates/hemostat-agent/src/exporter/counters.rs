//! What was counted since the day began.
//!
//! What has a closed list of labels is shown with zeros: a counter that is absent until something happens hides the first
//! time from `rate`, and the first repair of a day is often the only one. What names a container is not, because there are
//! too many; the counters of its host stand in for it.

use std::collections::BTreeSet;

use hemostat_core::project::metrics::{Counts, Day, OUTCOMES, SLOW, Spread, verdict_word};
use hemostat_event::{
    ActionKind, AnomalyKind, Channel, EventType, HostName, Rejection, Severity, Verification,
};

use super::levels::seconds;
use super::{Part, View};
use crate::telemetry::names;

pub(super) const PARTS: &[Part] = &[
    (names::COUNTING_SINCE, |view, family| family.add(&[], seconds(Day::shown_at(view.now).begin()))),
    (names::GROUP_DEAD_LETTERS, |view, family| {
        let counts = counts(view);
        let key = |group: &crate::log::GroupStatus| (group.role, group.stream.to_string(), group.partition.0);
        // Also those that buried nothing: a counter that is absent until something happens hides the first.
        let mut keys: BTreeSet<_> = view.look.groups.iter().map(key).collect();
        keys.extend(counts.dead_letters.keys().cloned());
        for key in keys {
            let count = counts.dead_letters.get(&key).copied().unwrap_or(0);
            family.count(&[key.0.as_str(), &key.1, &key.2.to_string()], count);
        }
    }),
    (names::LOG_EVENTS, |view, family| {
        for kind in EventType::ALL.into_iter().filter(|kind| *kind != EventType::ContainerSample) {
            family.count(&[kind.as_str()], counts(view).events.get(&kind).copied().unwrap_or(0));
        }
    }),
    (names::LOG_UNREADABLE, |view, family| family.count(&[], counts(view).unreadable)),
    (names::CONTAINERS_FULL, |view, family| family.flag(&[], view.figures.is_full())),
    (names::HOPS, |view, family| {
        for ((role, kind), spread) in &counts(view).hops {
            family.spread(&[role.as_str(), kind.as_str()], spread);
        }
    }),
    (names::HOST_ALERTS, |view, family| {
        let counts = counts(view);
        let counted = counts.alerts.keys().map(|(host, _)| host);
        for host in hosts(view, counted) {
            for severity in Severity::ALL {
                let count = counts.alerts.get(&(host.clone(), severity));
                family.count(&[host.as_str(), severity.as_str()], count.copied().unwrap_or(0));
            }
        }
    }),
    (names::HOST_ACTIONS, |view, family| {
        let counts = counts(view);
        let counted = counts.outcomes.keys().map(|(host, ..)| host);
        for host in hosts(view, counted) {
            for (action, outcome) in
                ActionKind::ALL.into_iter().flat_map(|kind| OUTCOMES.map(|word| (kind, word)))
            {
                let count = counts.outcomes.get(&(host.clone(), action, outcome));
                let labels = [host.as_str(), action.as_str(), outcome];
                family.count(&labels, count.copied().unwrap_or(0));
            }
        }
    }),
    (names::HEALTH_ALERTS, |view, family| {
        for (subject, of) in view.figures.counted_of_containers(view.now, view.silence) {
            for (severity, count) in &of.alerts {
                family.count(&[subject.host().as_str(), subject.name(), severity.as_str()], *count);
            }
        }
    }),
    (names::ANOMALIES_DETECTED, |view, family| {
        for (subject, of) in view.figures.counted_of_containers(view.now, view.silence) {
            for (kind, count) in &of.anomalies {
                family.count(&[subject.host().as_str(), subject.name(), kind.as_str()], *count);
            }
        }
    }),
    (names::ANALYSIS_REQUESTS, |view, family| {
        let counts = counts(view);
        family.count(&[PLAN], counts.plans.count);
        family.count(&[FALSE_ALARM], counts.false_alarms.count);
    }),
    (names::ANALYSIS_SECONDS, |view, family| family.spread(&[], &counts(view).analysis)),
    (names::ANALYSIS_CONFIDENCE, |view, family| {
        let counts = counts(view);
        family.spread(&[PLAN], &counts.plans.confidence);
        family.spread(&[FALSE_ALARM], &counts.false_alarms.confidence);
    }),
    (names::FALSE_ALARMS, |view, family| {
        for kind in AnomalyKind::ALL {
            family.count(&[kind.as_str()], counts(view).false_alarm_kinds.get(&kind).copied().unwrap_or(0));
        }
    }),
    (names::ATTEMPTS, |view, family| {
        for (subject, of) in view.figures.counted_of_containers(view.now, view.silence) {
            for ((action, status), count) in &of.attempts {
                let host = subject.host();
                family.count(&[host.as_str(), subject.name(), action.as_str(), status], *count);
            }
        }
    }),
    (names::REMEDIATION_SECONDS, |view, family| {
        let nothing = Spread::new(&SLOW);
        for action in ActionKind::ALL {
            family.spread(&[action.as_str()], counts(view).actions.get(&action).unwrap_or(&nothing));
        }
    }),
    (names::REJECTIONS, |view, family| {
        for reason in Rejection::ALL {
            family.count(&[reason.as_str()], counts(view).rejections.get(&reason).copied().unwrap_or(0));
        }
    }),
    (names::VERIFICATIONS, |view, family| {
        let counts = counts(view);
        for (action, verdict) in
            ActionKind::ALL.into_iter().flat_map(|kind| Verification::ALL.map(|of| (kind, verdict_word(of))))
        {
            let count = counts.verdicts.get(&(action, verdict)).copied().unwrap_or(0);
            family.count(&[action.as_str(), verdict], count);
        }
    }),
    (names::ALERTS_SENT, |view, family| {
        let counts = counts(view);
        let told = |channel: Channel, word: &str| {
            let of = counts.notifications.iter().filter(|((c, _, w), _)| *c == channel && *w == word);
            of.map(|(_, count)| count).sum::<u64>()
        };
        for channel in Channel::ALL {
            family.count(&[channel.as_str(), "success"], told(channel, "sent"));
            family.count(&[channel.as_str(), "failed"], told(channel, "failed"));
        }
    }),
    (names::ALERTS_DEDUPED, |view, family| {
        let counts = counts(view);
        let of = counts.notifications.iter().filter(|((_, _, word), _)| *word == "deduplicated");
        family.count(&[], of.map(|(_, count)| count).sum());
    }),
    (names::TOLD, |view, family| {
        for ((channel, kind, outcome), count) in &counts(view).notifications {
            family.count(&[channel.as_str(), kind.as_str(), outcome], *count);
        }
    }),
    (names::TIME_TO_DETECTION, |view, family| family.spread(&[], &counts(view).detection)),
    (names::TIME_TO_REMEDIATION, |view, family| family.spread(&[], &counts(view).repair)),
    (names::INCIDENT_SECONDS, |view, family| family.spread(&[], &counts(view).incidents)),
];

const PLAN: &str = "remediation_needed";
const FALSE_ALARM: &str = "false_alarm";

/// The hosts that are there, and those about which something was counted.
fn hosts<'a>(view: &'a View<'_>, counted: impl Iterator<Item = &'a HostName>) -> BTreeSet<&'a HostName> {
    view.figures.hosts(view.now, view.silence).map(|(host, _)| host).chain(counted).collect()
}

/// What was counted; a day on which nothing has happened has counted nothing.
fn counts<'a>(view: &'a View<'_>) -> std::borrow::Cow<'a, Counts> {
    match view.figures.counted(view.now) {
        Some(counts) => std::borrow::Cow::Borrowed(counts),
        None => std::borrow::Cow::Owned(Counts::default()),
    }
}
