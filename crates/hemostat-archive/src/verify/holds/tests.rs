use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ, StreamName};
use hemostat_event::{OperatorCommand, Timestamp, codec};
use object_store::ObjectStoreExt as _;

use super::*;
use crate::hold::Covers;
use crate::keys::PrivateKey;
use crate::revise::Fate;
use crate::testing::{START_MS, Sealed, event, record, subject};
use FindingKind::{HoldBroken, HoldEdited, HoldMissing, HoldNotBelieved};

const PLACED: u64 = START_MS + 10_000;

async fn state(sealed: &Sealed, seq: u64, covers: Covers, key: &PrivateKey) -> EventId {
    let hold = event(seq).envelope.id;
    let (what, at) = (HoldOrder::Placed { hold, covers }, Timestamp::from_millis(PLACED));
    sealed.archive.state(what, "a dispute", "ada", at, key).await.unwrap();
    hold
}

fn of(container: u64) -> Covers {
    Covers { container: Some(subject(container)), ..Covers::default() }
}

#[tokio::test]
async fn a_body_that_was_taken_out_in_spite_of_a_hold_is_named() {
    for (now, held, expected) in [
        (PLACED + 1, 15, &[HoldBroken][..]),
        (PLACED + 1, 16, &[]),
        // Before it was held everybody might.
        (PLACED - 1, 15, &[]),
    ] {
        let sealed = Sealed::new().await;
        state(&sealed, 50, of(held), &sealed.key).await;
        sealed.take_out(15, now).await.unwrap();
        let report = sealed.verify().await;
        assert_eq!(sealed.found().await, expected, "{now}, {held}");
        assert_eq!(report.holds, 1);
        let place = report.findings.first().map(|finding| finding.at.to_string());
        assert!(place.is_none_or(|place| place.contains("segment 2, entry 15")), "{report:?}");
    }
}

#[tokio::test]
async fn what_was_taken_out_after_a_release_is_in_order() {
    let sealed = Sealed::new().await;
    let hold = state(&sealed, 50, of(15), &sealed.key).await;
    let released = HoldOrder::Released { hold, order: event(51).envelope.id };
    let at = Timestamp::from_millis(PLACED + 10);
    sealed.archive.state(released, "it is settled", "ada", at, &sealed.key).await.unwrap();
    sealed.take_out(15, PLACED + 20).await.unwrap();
    sealed.is_clean().await;
}

#[tokio::test]
async fn what_was_let_go_in_spite_of_a_hold_over_its_time_is_named() {
    for (covers, expected) in [
        (Covers { since_ms: Some(record(15).id.ms), ..Covers::default() }, &[HoldBroken][..]),
        (Covers { since_ms: Some(record(16).id.ms), ..Covers::default() }, &[]),
        // Nobody knows any more which container it was.
        (of(15), &[]),
    ] {
        let sealed = Sealed::new().await;
        state(&sealed, 50, covers.clone(), &sealed.key).await;
        let judge = &mut |record: &Record| if record.seq == 15 { Fate::Leaf } else { Fate::Stays };
        let revision = sealed.revision(PLACED + 1);
        sealed.archive.revise(&sealed.head(2).await, Some(revision), judge).await.unwrap();
        assert_eq!(sealed.found().await, expected, "{covers:?}");
    }
}

#[tokio::test]
async fn a_statement_that_was_changed_deleted_or_made_by_a_stranger_is_named() {
    for (what, expected) in
        [("edit", HoldEdited), ("delete", HoldMissing), ("swap", HoldMissing), ("rename", HoldMissing)]
    {
        let sealed = Sealed::new().await;
        for seq in 50..53 {
            state(&sealed, seq, of(seq), &sealed.key).await;
        }
        sealed.is_clean().await;
        let [first, second] = [1, 2].map(hold_path);
        let bytes = sealed.archive.file(first.as_ref()).await.unwrap().unwrap();
        let other = sealed.archive.file(second.as_ref()).await.unwrap().unwrap();
        sealed.store.delete(&first).await.unwrap();
        match what {
            "edit" => {
                let text = String::from_utf8(bytes.to_vec()).unwrap().replace("a dispute", "nothing");
                assert!(sealed.archive.make(&first, text.into_bytes()).await.unwrap());
            }
            "swap" => assert!(sealed.archive.make(&first, other.to_vec()).await.unwrap()),
            "rename" => assert!(sealed.archive.make(&hold_path(9), bytes.to_vec()).await.unwrap()),
            _ => {}
        }
        let found = sealed.found().await;
        assert!(found.contains(&expected), "{what}: {found:?}");
    }
    let sealed = Sealed::new().await;
    state(&sealed, 50, of(15), &PrivateKey::generate()).await;
    assert_eq!(sealed.found().await, [HoldNotBelieved]);
}

/// The last statement has no successor that would miss it: the order in the log does.
#[tokio::test]
async fn a_hold_that_was_ordered_and_is_stated_nowhere_was_deleted() {
    let sealed = Sealed::new().await;
    let mut order = event(31);
    let (container, reason) = (Some(subject(15)), "a dispute".to_owned());
    let command = Command::Hold { container, incident: None, since: None, until: None, reason };
    order.data = OperatorCommand { command, by: "ada".to_owned() }.into();
    let fields = [(FIELD_SEQ, b"31".to_vec()), (FIELD_EVENT, codec::encode(&order))];
    let id = EntryId { ms: START_MS + 310, n: 0 };
    let record = Record::read(StreamName::of(&order), id, &fields, [1; 16]).unwrap();
    sealed.seal(&[record]).await;
    assert_eq!(sealed.found().await, [HoldMissing]);
    state(&sealed, 31, of(15), &sealed.key).await;
    sealed.is_clean().await;
}
