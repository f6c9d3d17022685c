//! The archive beside the log: whatever is stopped or killed, it has every event of the log, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use hemostat_agent::log::{EntryId, Partition, StreamName};
use hemostat_archive::{Archive, Head, KeyRing, Place, PublicKey, Reader, Selection, Signed};
use hemostat_docker::testing::Lab;
use hemostat_event::{
    Command, Envelope, Event, EventId, HostName, OperatorCommand, Role, Source, Subject, Timestamp,
};
use tempfile::TempDir;

use crate::healing::{CRASH_ONCE, enabled, up_command, verified};
use crate::rig::{LIMIT, Process, Rig};

const P0: Partition = Partition(0);

/// The fields of an entry by their names.
type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_the_archive_has_every_event_of_the_log() {
    let _engine = crate::rig::ENGINE.lock().await;
    let rig = Rig::start().await;
    let lab = Lab::start().await.expect("a container engine");
    let folder = tempfile::tempdir().expect("a folder");
    let mut hemostat = Process::start(with_archive(&mut up_command(&rig), &folder));
    lab.run("web", CRASH_ONCE, enabled).await.expect("a container");
    let name = lab.container_name("web");
    rig.until("healing", LIMIT, |events| verified(events, &name)).await;
    let (code, took) = hemostat.terminate();
    assert_eq!(code, Some(0), "{:#?}", hemostat.said());
    assert!(took < Duration::from_secs(10), "{took:?}");
    let heads = holds_the_log(&rig, &folder).await;
    assert!(!heads.is_empty());
    // Its group says so too: everything may be trimmed when it is old.
    let groups = rig.log.groups().await.expect("the log is there");
    let own: Vec<_> = groups.iter().filter(|group| group.role == Role::Archiver).collect();
    assert_eq!(own.len(), rig.log.streams(P0).await.expect("the log is there").len());
    assert!(own.iter().all(|group| group.unread.exact() == Some(0)), "{own:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archiver_that_was_killed_goes_on_without_a_gap() {
    let rig = Rig::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut last = 0;
    for round in 0..4_u64 {
        let archiver = Process::start(with_archive(&mut rig.command(&["archiver"]), &folder));
        // Killed at another moment each time: while there is more to read than was sealed.
        for part in 0..4 {
            let events: Vec<_> = (0..200).map(|n| event((round * 4 + part) * 200 + n)).collect();
            rig.log.append(&events).await.expect("the log is there");
        }
        last = archived(folder.path(), "more", move |head| last < head.last_seq).await.last_seq;
        drop(archiver);
    }
    let mut archiver = Process::start(with_archive(&mut rig.command(&["archiver"]), &folder));
    archived(folder.path(), "all", |head| head.last_seq == 4 * 4 * 200).await;
    assert_eq!(archiver.terminate().0, Some(0), "{:#?}", archiver.said());
    let heads = holds_the_log(&rig, &folder).await;
    assert!(4 < heads.len(), "{}", heads.len());
}

/// Sets the archive of a process, at the pace of a test.
pub(crate) fn with_archive<'a>(
    command: &'a mut std::process::Command,
    folder: &TempDir,
) -> &'a mut std::process::Command {
    command
        .env("HEMOSTAT_ARCHIVE_URL", folder.path().join("archive"))
        .env("HEMOSTAT_ARCHIVE_KEY_FILE", folder.path().join("archive.key"))
        // Under its own name it need not wait for the end of the lease that it had when it was killed.
        .env("HEMOSTAT_INSTANCE", "archiving")
        .env("HEMOSTAT_ARCHIVE_SEAL_BYTES", "65536")
        .env("HEMOSTAT_ARCHIVE_SEAL_AFTER", "200ms")
}

pub(crate) fn open(folder: &Path) -> Archive {
    Archive::open(&Place::Folder(folder.join("archive"))).expect("the archive opens")
}

/// Waits until the last head of the archive is as it should be.
pub(crate) async fn archived(folder: &Path, what: &str, enough: impl Fn(&Head) -> bool) -> Head {
    let (archive, began) = (open(folder), Instant::now());
    loop {
        let last = archive.last(0).await.expect("the archive can be read");
        match last {
            Some(last) if enough(&last.statement) => return last.statement,
            last => assert!(began.elapsed() < LIMIT, "{what}: not in the archive; it has {last:#?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Checks that the archive has what the log has, each entry once and with the same bytes, that no number is missing,
/// and that every head follows the one before and is signed.
async fn holds_the_log(rig: &Rig, folder: &TempDir) -> Vec<Signed<Head>> {
    let archive = open(folder.path());
    let mut archived = Vec::new();
    let mut reader = Reader::new(&archive, 0, Selection::default()).await.expect("it can be read");
    while let Some(records) = reader.next().await.expect("it can be read") {
        archived.extend(records);
    }
    let numbers: Vec<_> = archived.iter().map(|record| record.seq).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");

    let mut logged: BTreeMap<(StreamName, EntryId), Fields> = BTreeMap::new();
    for stream in rig.log.streams(P0).await.expect("the log is there") {
        let stored = rig.log.stored(P0, &stream, EntryId::ZERO, 100_000).await.expect("the log is there");
        logged.extend(
            stored
                .into_iter()
                .map(|entry| ((entry.at.stream, entry.at.id), entry.fields.into_iter().collect::<Fields>())),
        );
    }
    assert_eq!(archived.len(), logged.len());
    for record in archived {
        let fields = record.fields().expect("nothing was taken out").into_iter();
        let fields: Fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value)).collect();
        let there = logged.get(&(record.stream.clone(), record.id));
        assert_eq!(there, Some(&fields), "{} of {}", record.seq, record.stream);
    }

    let key =
        std::fs::read_to_string(folder.path().join("archive.key.pub")).expect("the public key is there");
    let key = PublicKey::from_pem(&key).expect("it is one");
    let heads = archive.heads(0).await.expect("it can be read");
    let mut before: Option<&Signed<Head>> = None;
    for head in &heads {
        assert!(head.is_signed_by(&key.id(), &KeyRing::of(key)));
        assert_eq!(head.statement.predecessor, before.map(|before| before.digest));
        assert_eq!(head.statement.losses, []);
        before = Some(head);
    }
    heads
}

/// An order about a container.
pub(crate) fn event(n: u64) -> Event {
    let host = HostName::new("test-host").expect("a name");
    let subject = Subject::new(&host, &format!("container-{}", n % 7)).expect("a name");
    let time = Timestamp::from_millis(1_700_000_000_000 + n);
    let envelope = Envelope {
        id: EventId::observed(&subject, Role::Operator, time, 0),
        source: Source { role: Role::Operator, instance: "test".to_owned() },
        time,
        host,
        incident: None,
        subject: Some(subject),
        cause: None,
        traceparent: None,
    };
    let command = Command::Deny { plan: envelope.id, reason: format!("reason {}", n * 7_919) };
    Event { envelope, data: OperatorCommand { command, by: "somebody".to_owned() }.into() }
}
