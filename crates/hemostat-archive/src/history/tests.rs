use std::collections::BTreeMap;
use std::sync::Arc;

use hemostat_agent::log::{EventLog as _, FIELD_SEQ};
use hemostat_agent::memory::log::MemoryLog;
use hemostat_event::Timestamp;

use super::*;
use crate::keys::PrivateKey;
use crate::place::Place;
use crate::revise::{Fate, Revision};
use crate::seal::Sealer;
use crate::testing::{START_MS, event};

const P0: Partition = Partition(0);

#[tokio::test]
async fn an_entry_that_both_have_comes_once() {
    let given = Given::new();
    given.append(1..=30).await;
    given.archive(20).await;
    assert_eq!(read(&mut given.open(None).await).await, (1..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_only_one_of_them_has_comes_too() {
    let given = Given::new();
    given.append(1..=20).await;
    given.archive(20).await;
    given.log.lose_everything();
    assert_eq!(read(&mut given.open(None).await).await, (1..=20).collect::<Vec<_>>());
    let given = Given::new();
    given.append(1..=20).await;
    assert_eq!(read(&mut given.open(None).await).await, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_leaves_the_log_while_the_archive_is_read_is_not_left_out() {
    for lost_after in 0..4 {
        let given = Given::new();
        given.append(1..=20).await;
        given.archive(20).await;
        let mut history = given.open(None).await;
        let mut numbers = Vec::new();
        for round in 0.. {
            if round == lost_after {
                // Sealed and trimmed, and one more comes.
                given.append(21..=40).await;
                given.archive(40).await;
                given.log.lose_stream(P0, &STREAM);
            }
            match history.next(&mut |_, _| {}).await.unwrap() {
                Some(read) => numbers.extend(read.iter().filter_map(|read| read.entry().seq)),
                None => break,
            }
        }
        let all = if numbers.len() == 20 { 20 } else { 40 };
        assert_eq!(numbers, (1..=all).collect::<Vec<_>>(), "lost after {lost_after}");
        assert!(all == 40 || 1 < lost_after, "lost after {lost_after}");
    }
}

#[tokio::test]
async fn what_is_revised_while_the_archive_is_read_comes_as_it_is_now() {
    let given = Given::new();
    given.append(1..=40).await;
    given.archive(40).await;
    given.log.lose_everything();
    let mut history = given.open(None).await;
    let first = history.next(&mut |_, _| {}).await.unwrap().unwrap();
    assert_eq!(first.len(), 10);
    let heads = given.archive.heads(0).await.unwrap();
    // Twice for the third segment: the objects of both heads before are gone.
    for (segment, taken) in [(1, 15), (2, 25), (2, 26)] {
        let judge = &mut |record: &Record| match record.seq == taken {
            true => Fate::Taken { event: event(taken).envelope.id, order: event(99).envelope.id },
            false => Fate::Stays,
        };
        let with = Revision { key: &given.key, by: "somebody", now_ms: START_MS };
        assert!(given.archive.revise(&heads[segment], Some(with), judge).await.unwrap().is_change());
    }
    let (mut numbers, mut taken) = (Vec::new(), Vec::new());
    while let Some(read) = history.next(&mut |_, _| {}).await.unwrap() {
        for entry in read.iter().map(Read::entry) {
            numbers.extend(entry.seq);
            if matches!(entry.event, Err(EntryError::TakenOut)) {
                taken.extend(entry.seq);
            }
        }
    }
    assert_eq!(numbers, (11..=40).collect::<Vec<_>>());
    assert_eq!(taken, [15, 25, 26]);
}

#[tokio::test]
async fn a_log_that_began_anew_goes_on_behind_its_archive() {
    let given = Given::new();
    given.append(1..=20).await;
    given.archive(20).await;
    given.log.lose_everything();
    given.log.advance(Duration::from_secs(60));
    given.append(101..=105).await;
    let numbers = read(&mut given.open(None).await).await;
    assert_eq!(numbers, (1..=20).chain(1..=5).collect::<Vec<_>>());
}

#[tokio::test]
async fn no_more_is_read_than_since_a_time() {
    let given = Given::new();
    for n in 0..10 {
        given.append(n * 10 + 1..=n * 10 + 10).await;
        given.log.advance(Duration::from_secs(60));
    }
    given.archive(80).await;
    let since = Timestamp::from_millis(START_MS + 5 * 60_000);
    let numbers = read(&mut given.open(Some(since)).await).await;
    assert_eq!(numbers, (51..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_written_after_the_end_that_was_asked_for_is_left_out() {
    let given = Given::new();
    given.append(1..=20).await;
    given.archive(10).await;
    let now = given.log.now().await.unwrap();
    let mut history = given.open(None).await.until(now);
    given.log.advance(Duration::from_millis(1));
    given.append(21..=30).await;
    assert_eq!(read(&mut history).await, (1..=20).collect::<Vec<_>>());
    let later = given.log.now().await.unwrap();
    assert_eq!(read(&mut given.open(None).await.until(later)).await, (1..=30).collect::<Vec<_>>());
}

/// A log and a folder.
struct Given {
    log: MemoryLog,
    archive: Archive,
    key: PrivateKey,
    _folder: tempfile::TempDir,
}

const STREAM: StreamName = StreamName::Type(hemostat_event::EventType::OperatorCommand);

impl Given {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            log: MemoryLog::new(1, Timestamp::from_millis(START_MS)),
            archive: Archive::open(&Place::Folder(folder.path().to_owned())).unwrap(),
            key: PrivateKey::generate(),
            _folder: folder,
        }
    }

    async fn append(&self, numbers: impl IntoIterator<Item = u64>) {
        let events: Vec<_> = numbers.into_iter().map(event).collect();
        self.log.append(&events).await.unwrap();
    }

    /// Archives what the log has up to this number, in segments of ten.
    async fn archive(&self, to: u64) {
        let mut sealer = Sealer::new(0, self.archive.last(0).await.unwrap());
        let (positions, _) = sealer.position();
        let after = positions.get(&STREAM).copied().unwrap_or(EntryId::ZERO);
        for stored in self.log.stored(P0, &STREAM, after, 1_000).await.unwrap() {
            assert!(stored.fields.iter().any(|(name, _)| name == FIELD_SEQ.as_bytes()));
            let record = Record::read(stored.at.stream, stored.at.id, &stored.fields, [0; 16]).unwrap();
            if to < record.seq {
                break;
            }
            sealer.push(&record);
            if sealer.count() == 10 || record.seq == to {
                let sealed = sealer.seal(&self.key, BTreeMap::new(), 0, "test").unwrap();
                assert!(self.archive.publish(sealed.object, &sealed.head, &self.key).await.unwrap());
                sealer.published(sealed.head);
            }
        }
    }

    async fn open(&self, since: Option<Timestamp>) -> History {
        let tail = Tail::new(Arc::new(self.log.clone()), since, Vec::new());
        let selection = Selection { since, ..Selection::default() };
        History::open(Some(self.archive.clone()), Some(tail), selection, Heads::Needed).await.unwrap()
    }
}

async fn read(history: &mut History) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(read) = history.next(&mut |_, _| {}).await.unwrap() {
        numbers.extend(read.iter().map(|read| read.entry().seq.unwrap()));
    }
    assert!(history.is_live());
    numbers
}
