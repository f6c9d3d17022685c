//! L-4 on small stories, kept and broken.

use hemostat_event::Role;
use hemostat_event::cloudevents::Position;

use crate::invariant::{Invariant, Retention};

fn at(seq: u64) -> Position {
    Position { partition: 0, seq }
}

#[test]
fn what_every_group_has_acknowledged_may_go() {
    let mut log = Retention::new(false);
    log.registered(Role::Analyzer);
    log.registered(Role::Alert);
    log.appended(at(1));
    log.acknowledged(Role::Alert, at(1));
    log.acknowledged(Role::Analyzer, at(1));
    assert_eq!(log.trimmed(at(1)), []);
}

#[test]
fn a_group_that_has_not_acknowledged_breaks_the_promise() {
    let mut log = Retention::new(false);
    log.registered(Role::Analyzer);
    log.appended(at(1));
    log.registered(Role::Alert);
    log.acknowledged(Role::Analyzer, at(1));
    let found = log.trimmed(at(1));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].invariant, found[0].at.as_slice()),
        (Invariant::AcknowledgedFirst, [at(1)].as_slice())
    );
    assert_eq!(found[0].to_string(), "L-4 at 0/1: an entry was trimmed before `alert` had acknowledged it");
}

#[test]
fn a_group_that_was_reaped_keeps_nothing() {
    let mut log = Retention::new(false);
    log.registered(Role::Alert);
    log.appended(at(1));
    log.reaped(Role::Alert);
    assert_eq!(log.trimmed(at(1)), []);
}

#[test]
fn where_there_is_an_archive_it_comes_first() {
    let mut log = Retention::new(true);
    log.appended(at(1));
    log.appended(at(2));
    log.archived(at(1));
    assert_eq!(log.trimmed(at(1)), []);
    assert_eq!(log.trimmed(at(2)).len(), 1);
}
