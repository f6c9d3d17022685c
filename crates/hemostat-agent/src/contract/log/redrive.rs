//! Dead letters are handed to their group once more, and nothing else moves.

use std::sync::Arc;

use hemostat_event::{Command, Data, Role, Source};

use super::commit::{one_pending, pending, pending_entries};
use super::events::{begun, changed, dealt_with, host};
use super::letters::{bury, letters, put_and_take};
use super::{Harness, INPUT, ROLE, SPAN, all, commit, join, made, member, read, take_one};
use crate::log::{
    CommitAnswer, Entry, EventLog, FIELD_EVENT, Membership, Redriven, Shelter, StreamName, Trim, last_key,
};

/// Case: the same event under a new number, behind the order that says who wanted it.
pub async fn a_redriven_entry_has_the_same_event_and_a_number_of_its_own(harness: &dyn Harness) {
    let (log, entry) = one_buried(harness).await;
    let letter = letters(&log).await.remove(0);
    assert_eq!(redrive(&log, &letter).await, Redriven::Handed { order: 3, entry: 4 });
    let orders = all(&log, &StreamName::Type(hemostat_event::EventType::OperatorCommand)).await;
    let [order] = orders.as_slice() else { panic!("one order: {orders:?}") };
    let order = (order.seq, order.event.as_ref().expect("an order is an event"));
    let (event, letter) =
        (entry.event.as_ref().expect("it is an event"), letter.event.as_ref().expect("a letter"));
    let Data::OperatorCommand(said) = &order.1.data else { panic!("{order:?}") };
    assert_eq!((order.0, said.by.as_str()), (Some(3), "ada@desk"));
    assert_eq!(said.command, Command::Redrive { event: event.envelope.id });
    assert_eq!((order.1.envelope.cause, &order.1.envelope.source), (Some(letter.envelope.id), &operator()));
    let again = all(&log, &INPUT).await.remove(1);
    assert_eq!(
        (again.seq, again.prev, again.redrive),
        (Some(4), Some(entry.at.id), Some(letter.envelope.id))
    );
    assert_eq!(again.event.as_ref().expect("it is an event"), event);
}

/// Case: the group decides what it could not handle before.
pub async fn a_redriven_entry_is_decided_by_its_group(harness: &dyn Harness) {
    let (log, _entry) = one_buried(harness).await;
    assert!(handed(&redrive(&log, &letters(&log).await[0]).await));
    let mut reader = join(&log, "b").await;
    let again = take_one(harness, reader.as_mut()).await;
    assert_eq!(again.attempts, 1);
    assert!(made(&commit(&log, dealt_with(&again, "b", 0)).await));
    assert_eq!(pending(&log).await, 0);
}

/// Case: other groups have dealt with the event when it came first.
pub async fn other_groups_do_not_see_a_redriven_entry(harness: &dyn Harness) {
    let (log, entry) = one_buried(harness).await;
    let mut other =
        log.join(Membership { role: Role::Alert, ..member("x") }).await.expect("it can be joined");
    assert_eq!(take_one(harness, other.as_mut()).await.at, entry.at);
    assert!(handed(&redrive(&log, &letters(&log).await[0]).await));
    log.append(&[changed("web", 7)]).await.expect("the log is there");
    let next = take_one(harness, other.as_mut()).await;
    assert_eq!((next.seq, next.redrive), (Some(5), None));
    assert!(read(harness, other.as_mut()).await.is_empty());
    let groups = log.groups().await.expect("the log is there");
    let here = log.partition_of(&host());
    let of = |role| {
        let of = groups.iter().find(|group| group.role == role && group.partition == here);
        of.expect("the group is there")
    };
    assert_eq!((of(Role::Alert).pending, of(ROLE).unread.exact()), (2, Some(2)));
}

/// Case: asked twice, by mistake or after an unknown outcome.
pub async fn a_letter_is_redriven_once(harness: &dyn Harness) {
    let (log, _entry) = one_buried(harness).await;
    let letter = letters(&log).await.remove(0);
    assert!(handed(&redrive(&log, &letter).await));
    assert_eq!(redrive(&harness.second().await, &letter).await, Redriven::Before);
    assert_eq!(
        (all(&log, &INPUT).await.len(), log.append(&[changed("web", 7)]).await.expect("there")),
        (2, vec![5])
    );
}

/// Case: it dies again, and has a letter of its own, which can be redriven.
pub async fn what_dies_again_has_a_new_letter_that_can_be_redriven(harness: &dyn Harness) {
    let (log, _entry) = one_buried(harness).await;
    assert!(handed(&redrive(&log, &letters(&log).await[0]).await));
    let mut reader = join(&log, "a").await;
    let again = take_one(harness, reader.as_mut()).await;
    assert!(made(&bury(&log, &again, "a").await));
    let letters = letters(&log).await;
    assert_eq!(letters.len(), 2);
    assert_eq!(redrive(&log, &letters[0]).await, Redriven::Before);
    assert!(handed(&redrive(&log, &letters[1]).await));
    let third = take_one(harness, reader.as_mut()).await;
    assert_eq!(third.prev, Some(again.at.id));
    assert!(made(&commit(&log, dealt_with(&third, "a", 0)).await));
}

/// Case: the letter was filed although the group has acknowledged the event: it would be a repetition.
pub async fn what_the_group_has_dealt_with_is_not_redriven(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    let mut step = dealt_with(&entries[0], "a", 0);
    step.key = last_key(entries[0].event.as_ref().expect("it is an event").envelope.id, ROLE);
    assert!(made(&commit(&log, step).await));
    harness.lose_groups().await;
    let mut reader = join(&log, "a").await;
    let second = take_one(harness, reader.as_mut()).await;
    assert!(made(&bury(&log, &second, "a").await));
    // A letter that names the other entry.
    let mut letter = letters(&log).await.remove(0).event.expect("a letter is an event");
    let Data::DeadLetter(data) = &mut letter.data else { panic!("{letter:?}") };
    data.entry = entries[0].at.id.to_string();
    letter.envelope.id = hemostat_event::EventId::derive(letter.envelope.id, ROLE, "another", 0);
    log.append(&[letter]).await.expect("the log is there");
    assert_eq!(redrive(&log, &letters(&log).await[1]).await, Redriven::DealtWith);
    assert_eq!(all(&log, &INPUT).await.len(), 2);
}

/// Case: the entry is gone; the letter has all of it.
pub async fn what_was_trimmed_is_redriven_from_its_letter(harness: &dyn Harness) {
    let (log, entry) = one_buried(harness).await;
    harness.advance(SPAN / 10).await;
    log.append(&[changed("web", 7)]).await.expect("the log is there");
    let (partition, shelter) = (log.partition_of(&host()), Shelter::None);
    let step = Trim { partition, stream: INPUT, keep: SPAN / 100, shelter, most: 1 };
    assert_eq!(log.trim(&step).await.expect("the log is there").removed, 1);
    assert!(handed(&redrive(&log, &letters(&log).await[0]).await));
    let again = all(&log, &INPUT).await.remove(1);
    assert_eq!(again.event.expect("it is an event"), entry.event.expect("it is an event"));
}

/// Case: what this version cannot read, another one may.
pub async fn an_event_of_an_unknown_version_is_redriven_as_it_stands(harness: &dyn Harness) {
    let entry = put_and_take(harness, &[(FIELD_EVENT, &[0xff, 0x01])]).await;
    let log = harness.log();
    assert!(made(&bury(&log, &entry, "a").await));
    assert!(handed(&redrive(&log, &letters(&log).await[0]).await));
    let mut reader = join(&log, "a").await;
    let again = take_one(harness, reader.as_mut()).await;
    assert_eq!(again.raw.get(FIELD_EVENT), entry.raw.get(FIELD_EVENT));
    assert!(made(&bury(&log, &again, "a").await));
    assert_eq!(letters(&log).await.len(), 2);
}

/// Case: there is nothing that could be handed out.
pub async fn an_entry_without_an_event_is_not_redriven(harness: &dyn Harness) {
    let entry = put_and_take(harness, &[("message", b"hello")]).await;
    let log = harness.log();
    assert!(made(&bury(&log, &entry, "a").await));
    let letter = letters(&log).await.remove(0);
    assert!(matches!(redrive(&log, &letter).await, Redriven::Nothing(_)));
    // And what is no letter at all.
    assert!(matches!(redrive(&log, &entry).await, Redriven::Nothing(_)));
    assert_eq!(log.append(&[changed("db", 1)]).await.expect("the log is there"), [2]);
}

/// Case: order is that of the stream: the redriven entry comes behind what came meanwhile.
pub async fn a_redriven_entry_waits_for_what_came_before_it(harness: &dyn Harness) {
    let (log, entries) = pending_entries(harness, 2).await;
    assert!(made(&bury(&log, &entries[0], "a").await));
    assert!(handed(&redrive(&log, &letters(&log).await[0]).await));
    let mut reader = join(&log, "b").await;
    let again = take_one(harness, reader.as_mut()).await;
    assert_eq!(commit(&log, begun(&again, "b", 0)).await, CommitAnswer::Early);
    assert!(made(&commit(&log, dealt_with(&entries[1], "a", 0)).await));
    assert!(made(&commit(&log, dealt_with(&again, "b", 1)).await));
}

/// Case: the group is lost after it has dealt with the redriven entry.
pub async fn a_redriven_entry_that_was_dealt_with_does_not_come_again(harness: &dyn Harness) {
    let (log, _entry) = one_buried(harness).await;
    assert!(handed(&redrive(&log, &letters(&log).await[0]).await));
    let mut reader = join(&log, "b").await;
    let again = take_one(harness, reader.as_mut()).await;
    assert!(made(&commit(&log, dealt_with(&again, "b", 0)).await));
    harness.lose_groups().await;
    let mut reader = join(&log, "c").await;
    assert!(read(harness, reader.as_mut()).await.is_empty());
}

/// An entry that `a` has buried.
async fn one_buried(harness: &dyn Harness) -> (Arc<dyn EventLog>, Entry) {
    let (log, entry) = one_pending(harness).await;
    assert!(made(&bury(&log, &entry, "a").await));
    (log, entry)
}

async fn redrive(log: &Arc<dyn EventLog>, letter: &Entry) -> Redriven {
    log.redrive(&letter.at, "ada@desk", &operator()).await.expect("the log is there")
}

fn operator() -> Source {
    Source { role: Role::Operator, instance: "ada@desk".to_owned() }
}

fn handed(answer: &Redriven) -> bool {
    matches!(answer, Redriven::Handed { .. })
}
