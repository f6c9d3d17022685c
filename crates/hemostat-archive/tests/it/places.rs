//! What an archive promises, in a folder and in a bucket; with `HEMOSTAT_TEST_BUCKET=s3://bucket/empty-folder` and the
//! credentials of its provider also in that one.

use std::collections::BTreeMap;

use hemostat_agent::log::{EntryId, StreamName};
use hemostat_archive::{
    Archive, KeyRing, Place, PrivateKey, Reader, Record, Sealed, Sealer, Selection, verify,
};
use hemostat_event::Timestamp;
use tempfile::TempDir;

use crate::bucket::Bucket;

/// Log time of entry 0, in milliseconds.
const START_MS: u64 = 1_700_000_000_000;

/// An archive somewhere, and what it is in.
struct Somewhere {
    archive: Archive,
    _folder: Option<TempDir>,
    bucket: Option<Bucket>,
}

/// The same promise, in every kind of place.
async fn everywhere(promise: impl AsyncFn(Somewhere)) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::Folder(folder.path().join("archive"));
    let archive = Archive::open(&place).expect("it opens");
    promise(Somewhere { archive, _folder: Some(folder), bucket: None }).await;
    let bucket = Bucket::start().await;
    promise(Somewhere { archive: bucket.open("a/folder"), _folder: None, bucket: Some(bucket) }).await;
    if let Ok(url) = std::env::var("HEMOSTAT_TEST_BUCKET") {
        // Every promise in a folder of its own.
        let own = PrivateKey::generate().public().id();
        let place: Place = format!("{url}/{own}").parse().expect("a bucket");
        let archive = Archive::open(&place).expect("it opens");
        promise(Somewhere { archive, _folder: None, bucket: None }).await;
    }
}

#[tokio::test]
async fn what_is_published_is_read_in_order() {
    everywhere(async |there| {
        let key = PrivateKey::generate();
        let heads = publish(&there.archive, &key, 0, 95).await;
        publish(&there.archive, &key, 7, 10).await;
        assert_eq!(there.archive.partitions().await.unwrap(), [0, 7]);
        assert_eq!(there.archive.heads(0).await.unwrap().len(), heads);
        let last = there.archive.last(0).await.unwrap().unwrap();
        assert_eq!(last.statement.last_seq, 95);
        let tip = there.archive.tip(0).await.unwrap().unwrap();
        assert_eq!((tip.statement.head, tip.statement.last_seq), (last.digest, 95));
        assert_eq!(read(&there.archive, Selection::default()).await, (1..=95).collect::<Vec<_>>());
        if let Some(bucket) = &there.bucket {
            assert!(bucket.names().iter().all(|name| name.starts_with("a/folder/")), "{:?}", bucket.names());
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_archivers_one_makes_the_segment() {
    everywhere(async |there| {
        let key = PrivateKey::generate();
        publish(&there.archive, &key, 0, 10).await;
        let last = there.archive.last(0).await.unwrap();
        let made = |to: u64| {
            let mut sealer = Sealer::new(0, last.clone());
            (11..=to).for_each(|seq| sealer.push(&record(0, seq)));
            sealer.seal(&key, BTreeMap::new(), 0, "test").unwrap()
        };
        let (one, other) = (made(15), made(16));
        let publish = async |sealed: &Sealed| {
            there.archive.publish(sealed.object.clone(), &sealed.head, &key).await.unwrap()
        };
        let (first, second) = tokio::join!(publish(&one), publish(&other));
        assert!(first != second, "exactly one of them");
        let winner = if first { &one } else { &other };
        assert!(publish(winner).await, "a repetition is no other segment");
        assert_eq!(there.archive.last(0).await.unwrap().unwrap().digest, winner.head.digest);
    })
    .await;
}

#[tokio::test]
async fn an_archive_verifies_and_a_change_is_named() {
    everywhere(async |there| {
        let key = PrivateKey::generate();
        publish(&there.archive, &key, 0, 60).await;
        let successor = PrivateKey::generate();
        there.archive.succeed(successor.public(), &key).await.unwrap();
        let ring = || KeyRing::of(key.public());
        let report = verify(&there.archive, ring(), None, &mut |_| {}).await.unwrap();
        assert!(report.is_clean(), "{report:#?}");
        let head = there.archive.heads(0).await.unwrap().remove(2).statement;
        there.archive.delete_object(0, &head.object.name).await.unwrap();
        let report = verify(&there.archive, ring(), None, &mut |_| {}).await.unwrap();
        assert!(!report.is_clean());
    })
    .await;
}

#[tokio::test]
async fn of_a_long_archive_only_the_heads_of_the_time_are_fetched() {
    everywhere(async |there| {
        let key = PrivateKey::generate();
        // A hundred segments of ten entries, ten milliseconds apart.
        publish(&there.archive, &key, 0, 1_000).await;
        if let Some(bucket) = &there.bucket {
            bucket.requests();
        }
        let since = Timestamp::from_millis(START_MS + 955 * 10);
        let heads = there.archive.heads_since(0, since).await.unwrap();
        let first = heads.iter().find(|head| since.millis() <= head.statement.last_ms).unwrap();
        assert!(first.statement.first_seq <= 955 && 955 <= first.statement.last_seq);
        assert_eq!(heads.last().unwrap().statement.last_seq, 1_000);
        assert!(heads.is_sorted_by_key(|head| head.statement.number), "in order");
        if let Some(bucket) = &there.bucket {
            let fetched = bucket.requests().iter().filter(|request| request.ends_with(".json")).count();
            assert_eq!(fetched, 16, "one round of fetches");
        }
        let later = there.archive.heads_after(0, 98).await.unwrap();
        assert_eq!(later.iter().map(|head| head.statement.number).collect::<Vec<_>>(), [99, 100]);
        assert!(there.archive.heads_after(0, 100).await.unwrap().is_empty());
        let never = Timestamp::from_millis(START_MS + 1_000_000);
        assert_eq!(there.archive.heads_since(0, never).await.unwrap().last(), heads.last());
    })
    .await;
}

/// Publishes `count` entries in segments of ten; the number of segments.
async fn publish(archive: &Archive, key: &PrivateKey, partition: u16, count: u64) -> usize {
    let mut sealer = Sealer::new(partition, None);
    let mut segments = 0;
    for seq in 1..=count {
        sealer.push(&record(partition, seq));
        if seq % 10 == 0 || seq == count {
            let sealed = sealer.seal(key, BTreeMap::new(), 0, "test").unwrap();
            assert!(archive.publish(sealed.object, &sealed.head, key).await.unwrap());
            sealer.published(sealed.head);
            segments += 1;
        }
    }
    segments
}

async fn read(archive: &Archive, selection: Selection) -> Vec<u64> {
    let mut reader = Reader::new(archive, 0, selection).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(records) = reader.next().await.unwrap() {
        numbers.extend(records.iter().map(|record| record.seq));
    }
    numbers
}

fn record(partition: u16, seq: u64) -> Record {
    let stream: StreamName = "health_alert".parse().unwrap();
    let fields = [("seq", seq.to_string()), ("event", format!("bytes {partition} {seq}"))];
    Record::read(stream, EntryId { ms: START_MS + seq * 10, n: 0 }, &fields, [7; 16]).unwrap()
}
