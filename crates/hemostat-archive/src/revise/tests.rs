use super::*;
use crate::sweep::ORPHAN_AGE;
use crate::testing::{START_MS, Sealed, record};
use crate::verify::{FindingKind, NoteKind};

const NOW: u64 = START_MS + 100_000;

#[tokio::test]
async fn a_body_that_was_taken_out_is_gone_and_nothing_else_is() {
    let sealed = Sealed::new().await;
    let before = sealed.head(2).await;
    let revised = sealed.take_out(15, NOW).await.unwrap();
    assert_eq!((revised.taken, revised.expired), (1, 0));
    let after = sealed.head(2).await.statement;
    assert_eq!((after.revision, after.supersedes), (1, Some(before.digest)));
    assert_eq!((after.chain_after, after.root), (before.statement.chain_after, before.statement.root));
    assert_eq!((after.sealed_by.as_str(), after.sealed_ms), ("somebody", NOW));
    for read in sealed.records().await {
        let was = record(read.seq);
        assert_eq!(read, if read.seq == 15 { was.without_body() } else { was });
    }
    assert_eq!(sealed.objects().await, 3, "the object with the body is gone");
    sealed.is_clean().await;
}

#[tokio::test]
async fn a_repetition_changes_nothing() {
    let sealed = Sealed::new().await;
    sealed.take_out(15, NOW).await.unwrap();
    let again = sealed.take_out(15, NOW + 1).await.unwrap();
    assert!(!again.is_change());
    assert_eq!(sealed.head(2).await.statement.revision, 1);
    // A second one is a revision of the first, and the order of the first stays.
    sealed.take_out(12, NOW + 2).await.unwrap();
    let said = sealed.head(2).await.statement;
    assert_eq!(said.redactions.iter().map(|redaction| redaction.seq).collect::<Vec<_>>(), [12, 15]);
    sealed.is_clean().await;
}

#[tokio::test]
async fn a_rehearsal_says_the_same_and_writes_nothing() {
    let sealed = Sealed::new().await;
    let head = sealed.head(2).await;
    sealed.store.dies_after(0);
    let revised = sealed.archive.revise(&head, None, &mut |_record| Fate::Leaf).await.unwrap();
    assert_eq!(revised.expired, 10);
    assert!(revised.bytes_after < revised.bytes_before, "{revised:?}");
    assert!(!sealed.store.is_dead());
}

/// Object, head and deletion: it dies before each of them.
#[tokio::test]
async fn whoever_dies_half_way_leaves_a_whole_segment_and_a_repetition_does_the_rest() {
    let mut points = 0;
    loop {
        let sealed = Sealed::new().await;
        sealed.store.dies_after(points);
        let died = sealed.take_out(15, NOW).await.is_err();
        sealed.store.dies_after(i64::MAX);
        let report = sealed.verify().await;
        assert!(report.is_clean(), "point {points}: {:?}", report.findings);
        let notes: Vec<_> = report.notes.iter().map(|note| note.kind).collect();
        let expected: &[NoteKind] = match points {
            1 => &[NoteKind::Foreign],
            2 => &[NoteKind::NotDeleted],
            _ => &[],
        };
        assert_eq!(notes, expected, "point {points}");
        assert_eq!(sealed.records().await.len(), 30);
        // What was begun is ended by the same call, or by a sweep where it is another call that comes.
        sealed.take_out(15, NOW + 1).await.unwrap();
        sealed.is_clean().await;
        assert_eq!(sealed.objects().await, 3, "point {points}");
        if !died {
            break;
        }
        points += 1;
    }
    assert_eq!(points, 3, "object, head, deletion");
}

#[tokio::test]
async fn a_sweep_deletes_what_a_redaction_that_died_left() {
    for point in [1, 2] {
        let sealed = Sealed::new().await;
        sealed.store.dies_after(point);
        sealed.take_out(15, NOW).await.unwrap_err();
        sealed.store.dies_after(i64::MAX);
        let later = u64::MAX - ORPHAN_AGE.as_millis() as u64;
        assert_eq!(sealed.archive.sweep(0, later, false).await.unwrap().len(), 1, "point {point}");
        sealed.is_clean().await;
    }
}

#[tokio::test]
async fn of_two_that_revise_at_once_both_have_their_way() {
    let sealed = Sealed::new().await;
    // The head that the second one knows is the first: the revision that came between is revised.
    let old = sealed.head(2).await;
    sealed.take_out(15, NOW).await.unwrap();
    let judge = &mut |record: &Record| if record.seq == 13 { Fate::Leaf } else { Fate::Stays };
    let revised = sealed.archive.revise(&old, Some(sealed.revision(NOW + 1)), judge).await.unwrap();
    assert_eq!(revised.expired, 1);
    let said = sealed.head(2).await.statement;
    assert_eq!((said.revision, said.redactions.len(), said.expired.values().sum::<u64>()), (2, 1, 1));
    sealed.is_clean().await;
}

#[tokio::test]
async fn whoever_has_the_head_before_reads_the_revision() {
    let sealed = Sealed::new().await;
    let old = sealed.head(2).await;
    sealed.take_out(15, NOW).await.unwrap();
    sealed.take_out(16, NOW + 1).await.unwrap();
    let read = sealed.archive.frames(&old.statement).await.unwrap().all().unwrap();
    assert_eq!(read.iter().filter(|record| matches!(record.body, Body::Taken { .. })).count(), 2);
    // What is gone without a revision is an error as ever.
    let last = sealed.head(3).await.statement;
    sealed.archive.delete_object(0, &last.object.name).await.unwrap();
    assert!(sealed.archive.frames(&last).await.is_err());
}

#[tokio::test]
async fn a_segment_that_was_changed_is_not_revised() {
    let sealed = Sealed::new().await;
    let head = sealed.head(2).await;
    let frames = sealed.archive.frames(&head.statement).await.unwrap();
    let mut writer = Writer::new(head.statement.chain_before);
    for mut record in frames.all().unwrap() {
        record.id.ms += u64::from(record.seq == 17);
        writer.push(&record);
    }
    let (object, _index) = writer.finish();
    let digest = Digest::of(&object);
    let object_ref = ObjectRef { name: object_name(2, digest), bytes: object.len() as u64, digest };
    let head = Head { revision: 1, object: object_ref, supersedes: Some(head.digest), ..head.statement };
    // Somebody who has the real key even.
    let forged = Signed::sign(head, &sealed.key);
    assert!(sealed.archive.publish(object, &forged, &sealed.key).await.unwrap());
    let refused = sealed.take_out(15, NOW).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Changed(_)), "{refused}");
}

#[tokio::test]
async fn a_revision_that_says_something_else_than_it_did_is_named() {
    // A body that went without an order; an order whose body is still there; leaves that nobody counted.
    type Lie = fn(&mut Head);
    let lies: [(Lie, FindingKind); 5] = [
        (|head| head.redactions.clear(), FindingKind::BodyContradicts),
        (
            |head| {
                let more = Redaction { seq: 17, ..head.redactions[0].clone() };
                head.redactions.push(more);
            },
            FindingKind::BodyContradicts,
        ),
        (|head| _ = head.expired.insert(EventType::OperatorCommand, 2), FindingKind::BodyContradicts),
        (|head| head.supersedes = Some(Digest::of(b"another")), FindingKind::RevisionDiffers),
        (|head| head.root = Digest::of(b"another"), FindingKind::RevisionDiffers),
    ];
    for (place, (lie, kind)) in lies.into_iter().enumerate() {
        let sealed = Sealed::new().await;
        let old = sealed.head(2).await;
        let frames = sealed.archive.frames(&old.statement).await.unwrap();
        // An entry expires beside it, which must not hide anything.
        let judge: &mut Judge<'_> = &mut |record| match record.seq {
            15 => Fate::Taken {
                event: crate::testing::event(15).envelope.id,
                order: crate::testing::event(99).envelope.id,
            },
            12 => Fate::Leaf,
            _ => Fate::Stays,
        };
        let written = Written::of(&frames, &old.statement, judge).unwrap();
        let object = written.object.clone();
        let mut head = written.head(&old, sealed.revision(NOW));
        lie(&mut head);
        let head = Signed::sign(head, &sealed.key);
        assert!(sealed.archive.publish(object, &head, &sealed.key).await.unwrap());
        let found = sealed.found().await;
        assert!(found.contains(&kind), "{place}: {found:?}");
    }
}
