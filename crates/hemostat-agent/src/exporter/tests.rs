//! The tables are whole.

use std::collections::BTreeSet;

use super::*;
use crate::telemetry::metric::{By, Kind};

#[test]
fn every_metric_of_the_exporter_has_a_value_and_no_other_has() {
    let parts = || levels::PARTS.iter().chain(containers::PARTS).chain(counters::PARTS);
    let shown: BTreeSet<_> = parts().map(|part| part.0.name).collect();
    let declared: BTreeSet<_> =
        names::ALL.iter().filter(|of| of.by == By::Exporter).map(|of| of.name).collect();
    assert_eq!(shown, declared);
    assert_eq!(parts().count(), declared.len(), "each once");
}

#[test]
fn names_end_as_their_kind_and_unit_say() {
    let all: BTreeSet<_> = names::ALL.iter().map(|of| of.name).collect();
    assert_eq!(all.len(), names::ALL.len());
    for of in names::ALL {
        assert!(of.name.starts_with("hemostat_") && of.help.ends_with('.'), "{}", of.name);
        assert_eq!(of.kind == Kind::Counter, of.name.ends_with("_total"), "{}", of.name);
        let bare = of.name.strip_suffix("_total").unwrap_or(of.name);
        // Two names are other people's.
        let given = ["hemostat_container_last_seen", "hemostat_analysis_confidence"].contains(&of.name);
        assert!(given || of.unit.is_empty() || bare.ends_with(of.unit), "{} in {}", of.name, of.unit);
    }
}
