use super::*;
use crate::testing::{START_MS, Sealed};
use crate::verify::NoteKind;

/// An hour after everything was written.
fn later() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (now + 2 * ORPHAN_AGE).as_millis() as u64
}

async fn with_orphan() -> Sealed {
    let sealed = Sealed::new().await;
    let path = folder(0).join("s0000000004-0123456789abcdef.seg");
    assert!(sealed.archive.make(&path, b"half".to_vec()).await.unwrap());
    sealed
}

#[tokio::test]
async fn what_no_head_names_goes_when_it_is_an_hour_old() {
    let sealed = with_orphan().await;
    let report = sealed.verify().await;
    assert_eq!(report.notes.iter().map(|note| note.kind).collect::<Vec<_>>(), [NoteKind::Foreign]);
    let now = later() - 2 * ORPHAN_AGE.as_millis() as u64;
    assert_eq!(sealed.archive.sweep(0, now, false).await.unwrap(), []);
    let told = sealed.archive.sweep(0, later(), true).await.unwrap();
    assert_eq!(sealed.objects().await, 4, "a rehearsal removes nothing");
    let swept = sealed.archive.sweep(0, later(), false).await.unwrap();
    assert_eq!(swept, told);
    assert_eq!(swept[0].path, "p00000/s0000000004-0123456789abcdef.seg");
    assert_eq!((swept.len(), swept[0].why, swept[0].bytes), (1, Needless::Orphan, 4));
    sealed.is_clean().await;
    assert_eq!(sealed.records().await.len(), 30);
}

#[tokio::test]
async fn what_a_head_names_stays_however_old_it_is() {
    let sealed = Sealed::new().await;
    assert_eq!(sealed.archive.sweep(0, u64::MAX, false).await.unwrap(), []);
    sealed.is_clean().await;
}

#[tokio::test]
async fn what_was_superseded_stays_while_the_later_one_is_not_whole() {
    let sealed = Sealed::new().await;
    // It dies before it deletes the object that has the body.
    sealed.store.dies_after(2);
    sealed.take_out(15, START_MS).await.unwrap_err();
    sealed.store.dies_after(i64::MAX);
    let name = sealed.head(2).await.statement.object.name;
    let whole = sealed.archive.file(folder(0).join(name.as_str()).as_ref()).await.unwrap().unwrap();
    sealed.archive.delete_object(0, &name).await.unwrap();
    assert_eq!(sealed.archive.sweep(0, later(), false).await.unwrap(), []);
    assert!(sealed.archive.make(&folder(0).join(name.as_str()), whole.to_vec()).await.unwrap());
    let swept = sealed.archive.sweep(0, 0, false).await.unwrap();
    assert_eq!(swept.iter().map(|swept| swept.why).collect::<Vec<_>>(), [Needless::Superseded]);
    sealed.is_clean().await;
}

#[tokio::test]
async fn a_head_that_was_changed_keeps_everything() {
    let sealed = with_orphan().await;
    let path = folder(0).join("s0000000004.r000.json");
    assert!(sealed.archive.make(&path, b"{}".to_vec()).await.unwrap());
    assert!(matches!(sealed.archive.sweep(0, later(), false).await, Err(ArchiveError::Head { .. })));
    assert_eq!(sealed.objects().await, 4);
}
