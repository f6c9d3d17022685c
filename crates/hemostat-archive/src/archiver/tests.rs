//! The archiver on the memory log and a folder.

use std::time::Duration;

use hemostat_agent::health::HealthSource as _;
use hemostat_agent::log::{EntryId, Partition, Shelter, Stored, StreamName, Trim};
use hemostat_agent::memory::log::MemoryLog;
use hemostat_event::{
    Actor, Change, ContainerChanged, ContainerId, ContainerRef, EventType, Role, Timestamp, codec,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::read::{Reader, Selection};
use crate::testing::{START_MS, event};
use crate::{Head, Loss, Record, Signed};

const STREAM: StreamName = StreamName::Type(EventType::OperatorCommand);
const P0: Partition = Partition(0);

#[tokio::test(start_paused = true)]
async fn the_archive_has_the_log_byte_for_byte_and_the_group_follows() {
    let given = Given::new();
    given.append(1..=50).await;
    let running = given.start("a", given.key());
    given.until(50).await;
    given.append(51..=80).await;
    let heads = given.until(80).await;
    running.stop().await;
    given.holds_the_log(80).await;
    assert!(heads.iter().all(|head| head.statement.losses.is_empty() && head.statement.sealed_by == "a"));
    assert_eq!(given.unread().await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_is_open_is_sealed_at_a_stop() {
    let mut given = Given::new();
    given.settings.age = Duration::from_secs(3_600);
    let running = given.start("a", given.key());
    // It has come to work when its group is there.
    given.append(1..=5).await;
    given.wait(async || given.unread().await.is_some()).await;
    assert!(given.heads().await.is_empty());
    running.stop().await;
    given.holds_the_log(5).await;
    assert_eq!(given.unread().await, Some(0));
}

#[tokio::test(start_paused = true)]
async fn segments_are_closed_when_they_are_large() {
    let mut given = Given::new();
    given.settings = Settings { bytes: 1, age: Duration::from_secs(3_600) };
    given.append(1..=4).await;
    let running = given.start("a", given.key());
    let heads = given.until(4).await;
    running.stop().await;
    assert!(1 < heads.len(), "{heads:?}");
    given.holds_the_log(4).await;
}

#[tokio::test(start_paused = true)]
async fn a_second_archiver_stands_by_and_goes_on_without_a_gap() {
    let given = Given::new();
    given.append(1..=10).await;
    let one = given.start("a", given.key());
    given.until(10).await;
    let other = given.start("b", given.key());
    given.append(11..=20).await;
    let heads = given.until(20).await;
    assert!(heads.iter().all(|head| head.statement.sealed_by == "a"));
    // Killed: it gives nothing back, and its lease has to end.
    one.task.abort();
    given.append(21..=30).await;
    let heads = given.until(30).await;
    other.stop().await;
    assert_eq!(heads.last().unwrap().statement.sealed_by, "b");
    given.holds_the_log(30).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_that_believe_to_have_the_lease_one_makes_a_segment() {
    let given = Given::new();
    given.append(1..=10).await;
    let one = given.start("a", given.key());
    given.until(10).await;
    // What one that was cut off would do: it publishes the next segment before the one with the lease does.
    let mut cut_off = crate::Sealer::new(0, given.archive.last(0).await.unwrap());
    given.append(11..=12).await;
    let stored = given.stored().await;
    for stored in &stored[10..] {
        let record = Record::read(STREAM, stored.at.id, &stored.fields, [0; 16]);
        cut_off.push(&record.expect("it has a number"));
    }
    let sealed = cut_off.seal(&given.key, std::collections::BTreeMap::new(), 0, "c").expect("entries");
    let _made = given.archive.publish(sealed.object, &sealed.head, &given.key).await.unwrap();
    given.append(13..=20).await;
    given.until(20).await;
    one.stop().await;
    given.holds_the_log(20).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_waited_out_and_the_log_keeps_the_entries() {
    let given = Given::new();
    // Where the folder of the partition should be is a file.
    let in_the_way = given.folder.path().join("p00000");
    std::fs::write(&in_the_way, "").unwrap();
    given.append(1..=10).await;
    let running = given.start("a", given.key());
    given.wait(async || given.detail().contains("store")).await;
    sleep(Duration::from_secs(60)).await;
    assert!(!given.board.report().ready);
    assert!(given.unread().await.is_none_or(|unread| unread == 10), "the group stays behind the archive");
    std::fs::remove_file(&in_the_way).unwrap();
    given.until(10).await;
    given.wait(async || given.board.report().ready).await;
    running.stop().await;
    given.holds_the_log(10).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_is_waited_out() {
    let given = Given::new();
    given.append(1..=10).await;
    let running = given.start("a", given.key());
    given.until(10).await;
    given.log.set_down(true);
    given.wait(async || !given.board.report().ready).await;
    given.log.set_down(false);
    given.append(11..=20).await;
    given.until(20).await;
    running.stop().await;
    given.holds_the_log(20).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_gone_before_it_could_be_sealed_is_named() {
    let given = Given::new();
    given.append(1..=10).await;
    given.log.advance(Duration::from_secs(1));
    let most = Trim { partition: P0, stream: STREAM, keep: Duration::ZERO, shelter: Shelter::None, most: 4 };
    assert_eq!(given.log.trim(&most).await.unwrap().removed, 4);
    let running = given.start("a", given.key());
    let heads = given.until(10).await;
    running.stop().await;
    assert_eq!(heads[0].statement.losses, [Loss::Missing { first_seq: 1, last_seq: 4 }]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_begins_anew_is_another_epoch() {
    let given = Given::new();
    given.append(1..=10).await;
    let running = given.start("a", given.key());
    given.until(10).await;
    given.log.lose_everything();
    given.append(101..=103).await;
    let heads = given.until(3).await;
    running.stop().await;
    let last = &heads.last().unwrap().statement;
    assert_eq!((last.epoch, last.count), (2, 3));
    assert_eq!(last.losses, [Loss::Restarted { expected_seq: 11, found_seq: 1 }]);
}

#[tokio::test(start_paused = true)]
async fn only_the_key_that_sealed_last_or_its_successor_seals_on() {
    let given = Given::new();
    given.append(1..=10).await;
    let running = given.start("a", given.key());
    given.until(10).await;
    running.stop().await;
    given.append(11..=20).await;
    let other = Arc::new(PrivateKey::generate());
    let running = given.start("b", Arc::clone(&other));
    given.wait(async || given.detail().contains("give the archiver that key")).await;
    assert_eq!(given.heads().await.last().unwrap().statement.last_seq, 10);
    given.archive.succeed(other.public(), &given.key).await.unwrap();
    given.until(20).await;
    running.stop().await;
    given.holds_the_log(20).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_rotated_is_read_anew() {
    let mut given = Given::new();
    let next = PrivateKey::generate();
    let (pem, public) = (next.to_pem(), next.public());
    given.read_key = Arc::new(move || PrivateKey::from_pem(&pem).ok());
    given.append(1..=10).await;
    let running = given.start("a", given.key());
    given.until(10).await;
    given.archive.succeed(public, &given.key).await.unwrap();
    // It goes on with the key that it has, and looks for another now and then.
    let (mut seq, began) = (10, tokio::time::Instant::now());
    loop {
        seq += 1;
        given.append([seq]).await;
        if given.until(seq).await.last().unwrap().statement.key == public.id() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(7_200), "it is still sealed with the old key");
        sleep(Duration::from_secs(60)).await;
    }
    running.stop().await;
    let ring = crate::KeyRing::of(given.key.public());
    let report = crate::verify(&given.archive, ring, None, &mut |_progress| {}).await.unwrap();
    assert!(report.is_clean() && report.keys.len() == 2, "{report:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_successor_of_a_successor_seals_on() {
    let given = Given::new();
    given.append(1..=10).await;
    let running = given.start("a", given.key());
    given.until(10).await;
    running.stop().await;
    let (second, third) = (PrivateKey::generate(), Arc::new(PrivateKey::generate()));
    given.archive.succeed(second.public(), &given.key).await.unwrap();
    given.archive.succeed(third.public(), &second).await.unwrap();
    given.archive.succeed(third.public(), &second).await.unwrap();
    assert_eq!(given.archive.successions().await.unwrap().len(), 2, "it is said once");
    given.append(11..=20).await;
    let running = given.start("b", third);
    given.until(20).await;
    running.stop().await;
    given.holds_the_log(20).await;
}

#[tokio::test(start_paused = true)]
async fn what_retention_does_not_keep_expires_beside_the_sealing() {
    let mut given = Given::new();
    given.keep = Keep { observations: Some(Duration::from_secs(3_600)), ..Keep::default() };
    given.append(1..=10).await;
    // An observation among the orders.
    let mut alert = event(11);
    let container = ContainerRef {
        id: ContainerId::new("0123456789ab").expect("an id"),
        name: "web".to_owned(),
        image: "web:1".to_owned(),
        project: None,
        service: None,
    };
    let at = alert.envelope.time;
    alert.data = ContainerChanged { container, change: Change::Started, by: Actor::Engine, at }.into();
    given.log.append(&[alert]).await.unwrap();
    let running = given.start("a", given.key());
    given.wait(async || given.heads().await.last().is_some_and(|head| head.statement.last_seq == 11)).await;
    given.log.advance(Duration::from_secs(4_000));
    sleep(Duration::from_secs(3_700)).await;
    let expired = async || given.heads().await.iter().any(|head| !head.statement.expired.is_empty());
    given.wait(expired).await;
    given.append(12..=20).await;
    given.wait(async || given.heads().await.last().is_some_and(|head| head.statement.last_seq == 20)).await;
    running.stop().await;
    let ring = crate::KeyRing::of(given.key.public());
    let report = crate::verify(&given.archive, ring, None, &mut |_progress| {}).await.unwrap();
    assert_eq!((&report.findings[..], &report.notes[..]), (&[][..], &[][..]));
    assert_eq!((report.partitions[0].expired, report.partitions[0].events), (1, 20));
}

#[tokio::test(start_paused = true)]
async fn no_head_tells_of_a_group_that_is_ahead_of_the_archive() {
    let mut given = Given::new();
    given.settings = Settings { bytes: 1, age: Duration::from_secs(3_600) };
    given.append(1..=50).await;
    let last = given.stored().await[49].at.id;
    EventLog::advance(&given.log, Role::Alert, P0, &[(STREAM, last)]).await.unwrap();
    let running = given.start("a", given.key());
    let heads = given.until(50).await;
    running.stop().await;
    assert!(2 < heads.len(), "{}", heads.len());
    for head in &heads {
        let read: EntryId = head.statement.positions[&STREAM.to_string()].parse().unwrap();
        let ahead = |cursor: &String| read < cursor.parse().unwrap();
        assert!(!head.statement.cursors.values().any(ahead), "{head:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_intent_is_sealed_without_waiting() {
    let mut given = Given::new();
    given.settings.age = Duration::from_secs(3_600);
    let running = given.start("a", given.key());
    given.append(1..=5).await;
    given.wait(async || given.unread().await.is_some()).await;
    assert!(given.heads().await.is_empty());
    let (stream, bytes) = (StreamName::Type(EventType::RemediationStarted), codec::encode(&event(6)));
    given.log.put_raw(P0, &stream, &[("seq", b"6"), ("event", &bytes)]);
    let began = tokio::time::Instant::now();
    given.until(6).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_tells_where_groups_were_when_everything_before_it_was_read() {
    let given = Given::new();
    given.append(1..=10).await;
    let place = given.stored().await[4].at.id;
    EventLog::advance(&given.log, Role::Alert, P0, &[(STREAM, place)]).await.unwrap();
    let running = given.start("a", given.key());
    let heads = given.until(10).await;
    let told =
        |head: &Signed<Head>| head.statement.cursors.get(&format!("{} {STREAM}", Role::Alert)).cloned();
    assert_eq!(told(heads.last().unwrap()), Some(place.to_string()));
    let last = given.stored().await[9].at.id;
    EventLog::advance(&given.log, Role::Alert, P0, &[(STREAM, last)]).await.unwrap();
    given.append(11..=12).await;
    given.until(12).await;
    // Told with the next segment whose entries came after the look at it.
    let mut seq = 12;
    while given.heads().await.last().and_then(told) != Some(last.to_string()) {
        assert!(seq < 20, "the head never tells it");
        sleep(Duration::from_secs(2)).await;
        seq += 1;
        given.append([seq]).await;
        given.until(seq).await;
    }
    running.stop().await;
    assert!(
        given.heads().await.iter().all(|head| head
            .statement
            .cursors
            .keys()
            .all(|group| group.starts_with("alert")))
    );
}

/// A log, a folder, and what an archiver wants besides.
struct Given {
    log: MemoryLog,
    folder: TempDir,
    archive: Archive,
    key: Arc<PrivateKey>,
    settings: Settings,
    read_key: Arc<dyn Fn() -> Option<PrivateKey> + Send + Sync>,
    keep: Keep,
    board: Arc<HealthBoard>,
}

/// An archiver at work.
struct Running {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends by itself");
    }
}

impl Given {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = crate::Place::Folder(folder.path().to_owned());
        Self {
            log: MemoryLog::new(1, Timestamp::from_millis(START_MS)),
            archive: Archive::open(&place).expect("the folder opens"),
            folder,
            key: Arc::new(PrivateKey::generate()),
            settings: Settings { age: Duration::from_secs(1), ..Settings::default() },
            read_key: Arc::new(|| None),
            keep: Keep::default(),
            board: Arc::default(),
        }
    }

    fn key(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.key)
    }

    fn start(&self, instance: &str, key: Arc<PrivateKey>) -> Running {
        let log: Arc<dyn EventLog> = Arc::new(self.log.clone());
        let archiver = Archiver {
            clock: Arc::new(LogClock::new(Arc::clone(&log))),
            log,
            archive: self.archive.clone(),
            key,
            read_key: Arc::clone(&self.read_key),
            settings: self.settings,
            keep: self.keep,
            instance: instance.to_owned(),
            telemetry: Arc::new(Telemetry::new("test")),
            board: Arc::clone(&self.board),
        };
        let stop = CancellationToken::new();
        Running { task: tokio::spawn(archiver.run(stop.clone())), stop }
    }

    async fn append(&self, numbers: impl IntoIterator<Item = u64>) {
        let events: Vec<_> = numbers.into_iter().map(event).collect();
        self.log.append(&events).await.expect("the log is there");
    }

    async fn heads(&self) -> Vec<Signed<Head>> {
        self.archive.heads(0).await.expect("the archive is there")
    }

    /// Waits until a condition holds.
    async fn wait(&self, condition: impl AsyncFn() -> bool) {
        let waiting = async {
            while !condition().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(600), waiting).await.expect("it holds in the end");
    }

    /// Waits until the last entry in the archive has this number, and the group has followed.
    async fn until(&self, seq: u64) -> Vec<Signed<Head>> {
        let there = async || {
            let last = self.archive.last(0).await.ok().flatten();
            last.is_some_and(|last| last.statement.last_seq == seq) && self.unread().await == Some(0)
        };
        self.wait(there).await;
        self.heads().await
    }

    /// What the archiver says of itself; nothing before it runs.
    fn detail(&self) -> String {
        self.board.report().parts.pop().map(|part| part.detail).unwrap_or_default()
    }

    /// How many entries the archiver's group has not come to; nothing where it does not exist.
    async fn unread(&self) -> Option<u64> {
        let groups = self.log.groups().await.ok()?;
        let own = groups.iter().find(|group| group.role == Role::Archiver && group.stream == STREAM)?;
        own.unread.exact()
    }

    async fn stored(&self) -> Vec<Stored> {
        self.log.stored(P0, &STREAM, EntryId::ZERO, 10_000).await.expect("the log is there")
    }

    /// Checks that the archive has what the log has, in order, each once and with the same bytes; and that every head
    /// follows the one before and is signed.
    async fn holds_the_log(&self, count: usize) {
        let mut archived = Vec::new();
        let mut reader = Reader::new(&self.archive, 0, Selection::default()).await.expect("it can be read");
        while let Some(records) = reader.next().await.expect("it can be read") {
            archived.extend(records);
        }
        let sorted = |mut fields: Vec<(Vec<u8>, Vec<u8>)>| {
            fields.sort();
            fields
        };
        let owned = |(name, value): (&str, Vec<u8>)| (name.as_bytes().to_vec(), value);
        let archived: Vec<_> = archived
            .into_iter()
            .map(|record| {
                let fields = record.fields().expect("nothing was taken out").into_iter().map(owned).collect();
                (record.stream.clone(), record.id, sorted(fields))
            })
            .collect();
        let log =
            self.stored().await.into_iter().map(|entry| (entry.at.stream, entry.at.id, sorted(entry.fields)));
        assert_eq!(archived, log.collect::<Vec<_>>());
        assert_eq!(archived.len(), count);
        let mut before: Option<Signed<Head>> = None;
        for head in self.heads().await {
            assert_eq!(head.statement.predecessor, before.as_ref().map(|before| before.digest));
            let next = before.as_ref().map_or(1, |before| before.statement.last_seq + 1);
            assert_eq!(head.statement.first_seq, next);
            before = Some(head);
        }
        let tip = self.archive.tip(0).await.expect("it can be read").expect("there is one");
        assert_eq!(Some(tip.statement.head), before.map(|before| before.digest));
    }
}
