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
        let counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(counter, family.name().ends_with("_total"), "{}", family.name());
        assert!(!family.help().is_empty(), "{}", family.name());
    }
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
