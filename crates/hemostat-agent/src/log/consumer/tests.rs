//! Names and what is none.

use super::*;

#[test]
fn a_name_is_read_as_it_is_written() {
    let name = ConsumerName { role: Role::Analyzer, slot: 3, epoch: 1_764_109_562_000_000 };
    assert_eq!(name.to_string(), "analyzer-3.1764109562000000");
    assert_eq!(name.to_string().parse::<ConsumerName>().ok(), Some(name));
}

#[test]
fn other_texts_are_no_names() {
    for text in ["", "analyzer", "analyzer-1", "analyzer-web-1-77", "analyzer-1.", "analyzer-+1.2", "x-1.2"] {
        assert!(text.parse::<ConsumerName>().is_err(), "{text}");
    }
}

#[test]
fn an_epoch_succeeds_those_before_it_in_its_slot_only() {
    let name = |role, slot, epoch| ConsumerName { role, slot, epoch };
    let heir = name(Role::Analyzer, 1, 5);
    for (other, succeeds) in [
        (name(Role::Analyzer, 1, 4), true),
        (name(Role::Analyzer, 1, 5), false),
        (name(Role::Analyzer, 1, 6), false),
        (name(Role::Analyzer, 0, 4), false),
        (name(Role::Alert, 1, 4), false),
    ] {
        assert_eq!(heir.succeeds(&other), succeeds, "{other}");
    }
}
