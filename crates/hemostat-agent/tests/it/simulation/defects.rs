//! A test of the test: a log that breaks one promise is found, by the predicate that is meant to find it.

use std::collections::BTreeSet;

use hemostat_agent::memory::log::Defect;

use super::drive;

/// Most seeds until a defect is found.
const SEEDS: u64 = 400;

#[test]
fn outputs_that_come_after_the_acknowledgement_are_missed() {
    assert_found(Defect::AcknowledgesFirst, "L-1");
}

#[test]
fn commits_of_those_whose_turn_is_over_are_noticed() {
    assert_found(Defect::FencesNobody, "fencing");
}

#[test]
fn states_that_overwrite_each_other_are_noticed() {
    assert_found(Defect::ChecksNoVersion, "L-3");
}

#[test]
fn answers_out_of_order_are_noticed() {
    assert_found(Defect::KeepsNoOrder, "O-1");
}

#[test]
fn steps_that_are_made_twice_are_noticed() {
    assert_found(Defect::KnowsNoKeys, "L-1");
}

/// Runs seeds until one of them shows that `promise` is broken.
fn assert_found(defect: Defect, promise: &'static str) {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let promises = drive::run(seed, Some(defect)).promises();
        if promises.contains(promise) {
            println!("{defect:?} is found by {promise} with seed {seed}");
            return;
        }
        found.extend(promises);
    }
    panic!("{defect:?} breaks {promise} in none of {SEEDS} seeds, only {found:?}");
}
