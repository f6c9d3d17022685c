//! Entries and archives for the tests of this crate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ, StreamName};
use hemostat_event::{
    Command, Envelope, Event, EventId, EventType, HostName, IncidentId, OperatorCommand, Role, Source,
    Subject, Timestamp, codec,
};

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use crate::failure::ArchiveError;
use crate::head::{Head, Signed};
use crate::keys::{KeyRing, PrivateKey};
use crate::read::{Reader, Selection};
use crate::record::Record;
use crate::revise::{Fate, Revised, Revision};
use crate::seal::Sealer;
use crate::store::{Archive, OBJECT};
use crate::verify::{FindingKind, Report, verify};

/// Log time of entry 0, in milliseconds.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

/// The container that entries of this number are about.
pub(crate) fn subject(seq: u64) -> Subject {
    format!("host/container-{}", seq % 7).parse().expect("a host and a name")
}

/// An order about a container, with the body that the number gives it.
pub(crate) fn event(seq: u64) -> Event {
    let time = Timestamp::from_millis(START_MS + seq * 10);
    let subject = subject(seq);
    let envelope = Envelope {
        id: EventId::observed(&subject, Role::Operator, time, 0),
        source: Source { role: Role::Operator, instance: "test".to_owned() },
        time,
        host: HostName::new("host").expect("a name"),
        incident: Some(IncidentId::opened(&subject, time)),
        subject: Some(subject),
        cause: None,
        traceparent: None,
    };
    let command = Command::Deny { plan: envelope.id, reason: format!("reason {}", seq * 7919) };
    Event { envelope, data: OperatorCommand { command, by: "somebody".to_owned() }.into() }
}

/// The entry with this number.
pub(crate) fn record(seq: u64) -> Record {
    let event = event(seq);
    let stream = StreamName::of(&event);
    let fields = [(FIELD_SEQ, seq.to_string().into_bytes()), (FIELD_EVENT, codec::encode(&event))];
    let salt = std::array::from_fn(|place| (seq.wrapping_mul(31) as u8).wrapping_add(place as u8));
    let id = EntryId { ms: START_MS + seq * 10, n: 0 };
    Record::read(stream, id, &fields, salt).expect("it has a number")
}

/// The entry with this number, in the stream of another type; what it says there is not looked at.
pub(crate) fn of_type(seq: u64, kind: EventType) -> Record {
    Record { stream: StreamName::Type(kind), ..record(seq) }
}

/// A store that dies: after so many writes and deletions every further one fails, and leaves no trace.
#[derive(Debug, Clone)]
pub(crate) struct Dying {
    store: Arc<InMemory>,
    left: Arc<AtomicI64>,
}

impl Dying {
    /// A store that lives.
    pub(crate) fn new() -> Self {
        Self { store: Arc::default(), left: Arc::new(AtomicI64::new(i64::MAX)) }
    }

    /// Lets it die after so many changes; for good health, [`i64::MAX`].
    pub(crate) fn dies_after(&self, changes: i64) {
        self.left.store(changes, Ordering::SeqCst);
    }

    /// Whether it has died.
    pub(crate) fn is_dead(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }

    fn change(&self) -> object_store::Result<()> {
        if self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.left.store(-1, Ordering::SeqCst);
            return Err(object_store::Error::Generic { store: "dying", source: "it is dead".into() });
        }
        Ok(())
    }
}

impl std::fmt::Display for Dying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a store that dies")
    }
}

#[async_trait]
impl ObjectStore for Dying {
    async fn put_opts(
        &self,
        path: &Path,
        bytes: PutPayload,
        how: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.change()?;
        self.store.put_opts(path, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        how: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, how).await
    }

    async fn get_opts(&self, path: &Path, how: GetOptions) -> object_store::Result<GetResult> {
        self.store.get_opts(path, how).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        match self.change() {
            Ok(()) => self.store.delete_stream(paths),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> object_store::Result<()> {
        self.change()?;
        self.store.copy_opts(from, to, how).await
    }
}

/// Three segments of ten entries each, in a store that lives until it is told to die.
pub(crate) struct Sealed {
    pub(crate) store: Dying,
    pub(crate) archive: Archive,
    pub(crate) key: PrivateKey,
}

impl Sealed {
    pub(crate) async fn new() -> Self {
        let (store, key) = (Dying::new(), PrivateKey::generate());
        let archive = Archive::within(store.clone());
        let mut sealer = Sealer::new(0, None);
        for seq in 1..=30 {
            sealer.push(&record(seq));
            if seq % 10 == 0 {
                let sealed = sealer.seal(&key, BTreeMap::new(), START_MS, "test").expect("entries");
                assert!(archive.publish(sealed.object, &sealed.head, &key).await.expect("it lives"));
                sealer.published(sealed.head);
            }
        }
        Self { store, archive, key }
    }

    /// Seals a further segment of these entries.
    pub(crate) async fn seal(&self, records: &[Record]) {
        let last = self.archive.last(0).await.expect("it can be read");
        let mut sealer = Sealer::new(0, last);
        records.iter().for_each(|record| sealer.push(record));
        let sealed = sealer.seal(&self.key, BTreeMap::new(), START_MS, "test").expect("entries");
        assert!(self.archive.publish(sealed.object, &sealed.head, &self.key).await.expect("it lives"));
    }

    pub(crate) fn revision(&self, now_ms: u64) -> Revision<'_> {
        Revision { key: &self.key, by: "somebody", now_ms }
    }

    /// The valid head of a segment.
    pub(crate) async fn head(&self, number: u64) -> Signed<Head> {
        let heads = self.archive.heads(0).await.expect("they can be read");
        heads.into_iter().find(|head| head.statement.number == number).expect("it is there")
    }

    /// Takes the body of an entry out of segment 2.
    pub(crate) async fn take_out(&self, seq: u64, now_ms: u64) -> Result<Revised, ArchiveError> {
        let head = self.head(2).await;
        let judge = &mut |record: &Record| match record.seq == seq {
            true => Fate::Taken { event: event(seq).envelope.id, order: event(99).envelope.id },
            false => Fate::Stays,
        };
        self.archive.revise(&head, Some(self.revision(now_ms)), judge).await
    }

    pub(crate) async fn verify(&self) -> Report {
        verify(&self.archive, KeyRing::of(self.key.public()), None, &mut |_progress| {})
            .await
            .expect("it lives")
    }

    /// Holds that nothing is wrong and nothing has to be known.
    pub(crate) async fn is_clean(&self) {
        let report = self.verify().await;
        assert_eq!((&report.findings[..], &report.notes[..]), (&[][..], &[][..]));
    }

    /// What is found.
    pub(crate) async fn found(&self) -> Vec<FindingKind> {
        self.verify().await.findings.iter().map(|finding| finding.kind).collect()
    }

    pub(crate) async fn records(&self) -> Vec<Record> {
        let mut reader = Reader::new(&self.archive, 0, Selection::default()).await.expect("it can be read");
        let mut all = Vec::new();
        while let Some(records) = reader.next().await.expect("it can be read") {
            all.extend(records);
        }
        all
    }

    /// How many objects there are.
    pub(crate) async fn objects(&self) -> usize {
        let files = self.archive.files().await.expect("it can be listed");
        files.keys().filter(|path| path.ends_with(OBJECT)).count()
    }
}
