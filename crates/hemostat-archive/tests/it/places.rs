//! What an archive promises, in a folder and in a bucket; with `HEMOSTAT_TEST_BUCKET=s3://bucket/empty-folder` and the
//! credentials of its provider also in that one.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hemostat_agent::log::{EntryId, StreamName};
use hemostat_archive::{
    Archive, Body, Covers, Expired, Fate, HoldOrder, Keep, KeyRing, Needless, ORPHAN_AGE, Place, PrivateKey,
    Reader, Record, Report, Revision, Sealed, Sealer, Selection, due, expire, verify,
};
use hemostat_event::{EventId, Timestamp};
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
async fn what_is_held_stays_and_what_is_taken_out_expires_or_is_half_made_goes() {
    everywhere(async |there| {
        let (archive, key) = (&there.archive, PrivateKey::generate());
        publish(archive, &key, 0, 30).await;
        // Of two that seal the next segment the second leaves an object without a head.
        let last = archive.last(0).await.unwrap();
        for (to, is_made) in [(35, true), (36, false)] {
            let mut sealer = Sealer::new(0, last.clone());
            (31..=to).for_each(|seq| sealer.push(&record(0, seq)));
            let sealed = sealer.seal(&key, BTreeMap::new(), 0, "test").unwrap();
            assert_eq!(archive.publish(sealed.object, &sealed.head, &key).await.unwrap(), is_made);
        }

        let (hold, order) = (EventId::from_bytes([1; 16]), EventId::from_bytes([2; 16]));
        let at = |seq: u64| Timestamp::from_millis(START_MS + seq * 10);
        let covers =
            Covers { since_ms: Some(at(11).millis()), until_ms: Some(at(15).millis()), ..Covers::default() };
        let placed = HoldOrder::Placed { hold, covers };
        archive.state(placed, "claim 12", "somebody", at(1_000), &key).await.unwrap();

        let heads = archive.heads(0).await.unwrap();
        let with = Revision { key: &key, by: "somebody", now_ms: at(2_000).millis() };
        let judge = &mut |record: &Record| match record.seq {
            5 => Fate::Taken { event: EventId::from_bytes([5; 16]), order },
            _ => Fate::Stays,
        };
        assert_eq!(archive.revise(&heads[0], Some(with), judge).await.unwrap().taken, 1);
        // Who has the head of before reads what is there now.
        let frames = archive.frames(&heads[0].statement).await.unwrap();
        let records = frames.index.frames.iter().flat_map(|entry| frames.frame(entry).unwrap());
        let taken = records.filter(|record| matches!(record.body, Body::Taken { .. }));
        assert_eq!(taken.map(|record| record.seq).collect::<Vec<_>>(), [5]);

        let expired = expire_all(archive, &key, at(3_000)).await;
        assert_eq!((expired.revised.expired, expired.held), (30, 5));
        assert_eq!(whole(archive).await, [11, 12, 13, 14, 15]);
        let report = clean(archive, &key).await;
        assert_eq!((report.holds, report.partitions[0].expired), (1, 30));
        let released = HoldOrder::Released { hold, order };
        archive.state(released, "settled", "somebody", at(4_000), &key).await.unwrap();
        assert_eq!(expire_all(archive, &key, at(5_000)).await.revised.expired, 5);
        assert_eq!(clean(archive, &key).await.holds, 0);
        assert_eq!(read(archive, Selection::default()).await, (1..=35).collect::<Vec<_>>());

        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap();
        assert_eq!(archive.sweep(0, ms(now), false).await.unwrap(), []);
        let later = ms(now + 2 * ORPHAN_AGE);
        let told = archive.sweep(0, later, true).await.unwrap();
        assert_eq!(told.iter().map(|swept| swept.why).collect::<Vec<_>>(), [Needless::Orphan]);
        assert_eq!(objects(archive).await, 5);
        assert_eq!(archive.sweep(0, later, false).await.unwrap(), told);
        assert_eq!(archive.sweep(0, later, false).await.unwrap(), []);
        assert_eq!(objects(archive).await, 4, "one for each segment");
        assert_eq!(clean(archive, &key).await.notes, []);
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

/// Lets everything go whose time is over, by a second.
async fn expire_all(archive: &Archive, key: &PrivateKey, now: Timestamp) -> Expired {
    let second = Some(Duration::from_secs(1));
    let keep = Keep { samples: second, observations: second, decisions: second };
    let (holds, now_ms) = (archive.holds().await.unwrap(), now.millis());
    let mut sum = Expired::default();
    for due in due(archive, 0, &keep, &holds, now_ms).await.unwrap() {
        let with = Some(Revision { key, by: "somebody", now_ms });
        let expired = expire(archive, &due, &keep, &holds, now_ms, with).await.unwrap();
        sum.revised.expired += expired.revised.expired;
        sum.held += expired.held;
    }
    sum
}

/// Holds that nothing is wrong.
async fn clean(archive: &Archive, key: &PrivateKey) -> Report {
    let report = verify(archive, KeyRing::of(key.public()), None, &mut |_| {}).await.unwrap();
    assert!(report.is_clean(), "{report:#?}");
    report
}

/// How many objects there are.
async fn objects(archive: &Archive) -> usize {
    archive.files().await.unwrap().keys().filter(|path| path.ends_with(".seg")).count()
}

/// The numbers of the entries that have their bodies.
async fn whole(archive: &Archive) -> Vec<u64> {
    let mut records = Reader::new(archive, 0, Selection::default()).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(records) = records.next().await.unwrap() {
        let whole = records.iter().filter(|record| matches!(record.body, Body::Whole { .. }));
        numbers.extend(whole.map(|record| record.seq));
    }
    numbers
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
