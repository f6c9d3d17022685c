//! A dead letter can be read whatever the entry held.

use std::collections::BTreeMap;

use hemostat_event::codec::{EVENT_BYTES_MAX, decode, encode};
use hemostat_event::{Data, DeadLetter, EventType, Role};

use crate::examples::{alert_id, caused, example};

#[test]
fn a_letter_of_usual_size_is_not_cut() {
    let letter = letter();
    assert_eq!(letter.clone().cut(), letter);
}

#[test]
fn a_letter_about_an_entry_of_any_size_fits_into_an_event() {
    let mut letter = letter();
    letter.errors = vec!["é".repeat(EVENT_BYTES_MAX / 8); 20];
    letter.original = (0..4).map(|n| (format!("field-{n}"), "ab".repeat(EVENT_BYTES_MAX))).collect();
    let event = caused(1, Role::Analyzer, alert_id(), letter.cut());
    let bytes = encode(&event);
    assert!(bytes.len() < EVENT_BYTES_MAX / 2);
    assert_eq!(decode(&bytes).expect("an event"), event);
}

#[test]
fn what_was_cut_is_said() {
    let mut letter = letter();
    letter.errors = vec!["é".repeat(1_000)];
    letter.original = BTreeMap::from([
        ("a".to_owned(), "x".repeat(300_000)),
        ("b".to_owned(), "y".to_owned()),
        ("c".repeat(300_000), "z".to_owned()),
    ]);
    let cut = letter.cut();
    assert_eq!(cut.errors[0], format!("{}… (976 bytes more)", "é".repeat(512)));
    assert_eq!(cut.errors[1], "2 more fields of the entry are left out");
    assert_eq!(cut.original.keys().collect::<Vec<_>>(), ["a"]);
    assert!(cut.original["a"].ends_with("x… (37857 bytes more)"));
}

fn letter() -> DeadLetter {
    let Data::DeadLetter(letter) = example(EventType::DeadLetter).data else { unreachable!() };
    letter
}
