use std::collections::BTreeMap;

use super::*;
use crate::keys::PrivateKey;
use crate::seal::Sealer;
use crate::testing::{record, subject};

/// An archive of `count` entries in segments of 100.
async fn archive(folder: &std::path::Path, count: u64) -> (Archive, PrivateKey) {
    let archive = Archive::open(&crate::Place::Folder(folder.to_owned())).unwrap();
    let key = PrivateKey::generate();
    let mut sealer = Sealer::new(0, None);
    for seq in 1..=count {
        sealer.push(&record(seq));
        if seq % 100 == 0 || seq == count {
            let sealed = sealer.seal(&key, BTreeMap::new(), 0, "test").unwrap();
            assert!(archive.publish(sealed.object, &sealed.head, &key).await.unwrap());
            sealer.published(sealed.head);
        }
    }
    (archive, key)
}

async fn read(archive: &Archive, selection: Selection) -> Vec<u64> {
    let mut reader = Reader::new(archive, 0, selection).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(records) = reader.next().await.unwrap() {
        numbers.extend(records.iter().map(|record| record.seq));
    }
    numbers
}

#[tokio::test]
async fn everything_is_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, _key) = archive(folder.path(), 250).await;
    assert_eq!(archive.partitions().await.unwrap(), [0]);
    assert_eq!(read(&archive, Selection::default()).await, (1..=250).collect::<Vec<_>>());
    assert_eq!(archive.last(0).await.unwrap().unwrap().statement.last_seq, 250);
    assert_eq!(archive.tip(0).await.unwrap().unwrap().statement.last_seq, 250);
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, _key) = archive(folder.path(), 300).await;
    let since = Selection { since: Some(record(150).id.time()), ..Selection::default() };
    assert_eq!(read(&archive, since).await.first(), Some(&101));
    let until = Selection { until: Some(record(150).id.time()), ..Selection::default() };
    assert_eq!(read(&archive, until).await.last(), Some(&200));
    let after = Selection { after_seq: 200, ..Selection::default() };
    assert_eq!(read(&archive, after).await.first(), Some(&201));
    let other: Subject = "host/other".parse().unwrap();
    assert!(read(&archive, Selection { container: Some(other), ..Selection::default() }).await.is_empty());
    let wanted = Selection { container: Some(subject(1)), ..Selection::default() };
    assert_eq!(read(&archive, wanted).await.len(), 300);
    let types = [EventType::HealthAlert].into();
    assert!(read(&archive, Selection { types, ..Selection::default() }).await.is_empty());
}

#[tokio::test]
async fn of_two_archivers_one_makes_the_segment() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, key) = archive(folder.path(), 100).await;
    let last = archive.last(0).await.unwrap();
    let made = |numbers: std::ops::RangeInclusive<u64>| {
        let mut sealer = Sealer::new(0, last.clone());
        numbers.for_each(|seq| sealer.push(&record(seq)));
        sealer.seal(&key, BTreeMap::new(), 0, "test").unwrap()
    };
    let (one, other) = (made(101..=150), made(101..=160));
    assert!(archive.publish(one.object.clone(), &one.head, &key).await.unwrap());
    assert!(!archive.publish(other.object, &other.head, &key).await.unwrap());
    assert!(archive.publish(one.object, &one.head, &key).await.unwrap(), "a repetition is no other segment");
    assert_eq!(read(&archive, Selection::default()).await.len(), 150);
}

#[tokio::test]
async fn an_object_that_was_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, _key) = archive(folder.path(), 100).await;
    let head = archive.last(0).await.unwrap().unwrap();
    let path = folder.path().join("p00000").join(&head.statement.object.name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = archive.frames(&head.statement).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Changed(_)), "{refused}");
}

#[tokio::test]
async fn an_object_without_a_head_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, _key) = archive(folder.path(), 100).await;
    std::fs::write(folder.path().join("p00000/s0000000002-0123456789abcdef.seg"), b"half").unwrap();
    assert_eq!(read(&archive, Selection::default()).await.len(), 100);
}
