//! The names of the metrics, and what the facts of the loop count.

use std::collections::BTreeSet;

use super::*;

#[test]
fn all_names_are_distinct_begin_alike_and_counters_end_in_total() {
    let telemetry = Telemetry::new("1.2.3");
    let role = Role::Analyzer;
    telemetry.input_failed(role, &"h/db".parse().unwrap(), &LogError::Unavailable("gone".into()), 1);
    telemetry.log_failed(role, &LogError::Unavailable("gone".into()), 1);
    telemetry.agent_restarted(role, "no reason", Duration::ZERO);
    telemetry.handled(role, Duration::ZERO);
    telemetry.engine_failed("list", &EngineError::NotFound(ContainerId::new("0123456789ab").unwrap()));
    let families = telemetry.registry().gather();
    let names: Vec<_> = families.iter().map(|family| family.name().to_owned()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.iter().all(|name| name.starts_with("hemostat_")), "{names:?}");
    for family in &families {
        assert!(names::ALL.iter().any(|of| of.name == family.name() && of.by != metric::By::Exporter));
        let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(counter, family.name().ends_with("_total"), "{}", family.name());
        assert!(!family.help().is_empty(), "{}", family.name());
    }
}

#[test]
fn what_is_not_known_of_a_group_has_no_series_and_says_so() {
    let telemetry = Telemetry::new("1.2.3");
    let now = Timestamp::from_millis(100_000);
    let known = GroupStatus {
        partition: crate::log::Partition(0),
        stream: StreamName::Type(hemostat_event::EventType::HealthAlert),
        role: Role::Analyzer,
        exists: true,
        pending: 2,
        oldest_pending: Some(Timestamp::from_millis(90_000)),
        oldest_unread: None,
        unread: crate::log::Counted::exactly(0),
        lost: 1,
        oldest_retained: Some(Timestamp::from_millis(40_000)),
        seen: Some(Timestamp::from_millis(99_000)),
    };
    let far_behind = crate::log::Counted { least: 1_001, most: 5_000 };
    let behind = GroupStatus {
        role: Role::Alert,
        oldest_unread: Some(Timestamp::from_millis(70_000)),
        unread: far_behind,
        ..known.clone()
    };
    let lost = GroupStatus { role: Role::Responder, exists: false, pending: 0, ..known.clone() };
    telemetry.groups(&[known, behind, lost], now);
    let told = |of: Metric| -> Vec<(String, f64)> {
        let families = telemetry.registry().gather();
        let family = families.iter().find(|family| family.name() == of.name);
        let metrics = family.map(|family| family.get_metric().to_vec()).unwrap_or_default();
        metrics
            .iter()
            .map(|metric| (metric.get_label()[0].value().to_owned(), metric.get_gauge().get_value()))
            .collect()
    };
    let expect = |pairs: &[(&str, f64)]| -> Vec<(String, f64)> {
        pairs.iter().map(|(group, value)| ((*group).to_owned(), *value)).collect()
    };
    assert_eq!(
        told(names::GROUP_LAG_KNOWN),
        expect(&[("alert", 0.0), ("analyzer", 1.0), ("responder", 0.0)])
    );
    assert_eq!(told(names::GROUP_UNREAD), expect(&[("analyzer", 0.0)]));
    assert_eq!(told(names::GROUP_UNREAD_AGE), expect(&[("alert", 30.0), ("analyzer", 0.0)]));
    assert_eq!(told(names::GROUP_PENDING), expect(&[("alert", 2.0), ("analyzer", 2.0)]));
    assert_eq!(told(names::GROUP_MARGIN)[0], ("alert".to_owned(), 30.0));
    assert_eq!(told(names::GROUP_SILENCE).len(), 3);
    // The log is away: of all groups it is said that nothing is known, and nothing else is.
    telemetry.groups_unknown(&LogError::Unavailable("gone".into()));
    assert!(told(names::GROUP_LAG_KNOWN).iter().all(|(_, known)| *known == 0.0));
    assert_eq!(told(names::GROUP_LAG_KNOWN).len(), 3);
    assert_eq!((told(names::GROUP_PENDING), told(names::GROUP_UNREAD)), (vec![], vec![]));
}

#[test]
fn counters_of_an_agent_begin_with_0() {
    let telemetry = Telemetry::new("1.2.3");
    for role in Role::AGENTS.into_iter().chain([Role::Bridge]) {
        telemetry.begin(role);
    }
    telemetry.archive_behind(crate::log::Partition(0), Duration::ZERO);
    telemetry.begin_cleaning();
    let shown: BTreeSet<_> =
        telemetry.registry().gather().iter().map(|family| family.name().to_owned()).collect();
    let absent: Vec<_> = names::ALL
        .iter()
        .filter(|of| of.by == metric::By::Process && !shown.contains(of.name))
        .map(|of| of.name)
        .collect();
    // What an agent writes and whom it tells is not a list that is known before.
    assert_eq!(absent, [names::EVENTS.name, names::NOTIFICATIONS.name]);
}

#[test]
fn an_error_is_told_with_all_its_sources() {
    let error = LogError::Unavailable("connection refused".into());
    assert_eq!(chain(&error), "the event log is unavailable: connection refused");
}

#[test]
fn a_panic_is_told_by_its_text() {
    assert_eq!(panic_text(&"static"), "static");
    assert_eq!(panic_text(&"made up".to_owned()), "made up");
    assert_eq!(panic_text(&7), "without a text");
}
