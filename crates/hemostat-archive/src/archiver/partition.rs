//! The archiver at work on one partition: standing by for the lease, then reading, sealing and publishing under it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hemostat_agent::health::Tick;
use hemostat_agent::log::{Cursors, EntryId, LogError, Partition, Stored};
use hemostat_agent::tail::Tail;
use hemostat_agent::tenancy::{self, Bookmark, LEASE, Tenancy};
use hemostat_event::{EventType, Role, Timestamp};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::Archiver;
use super::care::Care;
use crate::failure::ArchiveError;
use crate::head::{Head, Signed};
use crate::keys::{KeyId, PrivateKey};
use crate::record::{Record, Salts};
use crate::seal::{Sealed, Sealer};

/// The archiver of one partition.
pub(super) struct Worker<'a> {
    pub(super) with: &'a Archiver,
    pub(super) partition: Partition,
    tick: Tick,
    failures: u32,
    key: Mutex<Arc<PrivateKey>>,
}

/// Why a tenure is interrupted, or over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The log did not do what it was asked; the tenure goes on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store did not; the tenure goes on.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Another archiver has the lease.
    #[error("another archiver works on this partition")]
    Standby,
    /// Another archiver has made the segment that is to be published.
    #[error("another archiver has made this segment")]
    Overtaken,
    /// The last segment was sealed by a key that has not named this one as its successor.
    #[error(
        "the archive was sealed by the key {there}, and not by this one, {here}; give the archiver that key"
    )]
    OtherKey {
        /// The key of the last segment.
        there: KeyId,
        /// The key of this archiver.
        here: KeyId,
    },
}

/// The work under a lease.
struct Tenure {
    tail: Tail,
    /// Read and not sealed yet. An entry leaves it in the step that puts it into the segment.
    queue: VecDeque<Stored>,
    salts: Salts,
    sealer: Sealer,
    /// When the first entry of the open segment came.
    opened: Option<Instant>,
    /// Whether the open segment has an intent, which is what must not be forgotten: it is sealed without waiting.
    is_urgent: bool,
    /// The number of the last entry that was read.
    read: u64,
    /// Cursors that a head may tell once everything that came of what is before them is read.
    asked: Option<Cursors>,
    asked_at: Option<Instant>,
    /// Cursors of which that is true.
    cursors: BTreeMap<String, String>,
    /// Log time of the oldest entry that is not published.
    oldest: Option<Timestamp>,
    /// Sealed and not published yet.
    sealed: Option<Sealed>,
    bookmark: Bookmark,
    care: Care,
}

impl<'a> Worker<'a> {
    pub(super) fn new(with: &'a Archiver, partition: Partition) -> Self {
        let tick = with.board.part(tenancy::name(Role::Archiver, partition), EVERY_MAX.max(WAIT_MAX));
        let key = Mutex::new(Arc::clone(&with.key));
        Self { with, partition, tick, failures: 0, key }
    }

    /// Works whenever it has the lease, until `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let with = self.with;
        let mut tenancy = Tenancy::new(with.log.clone(), Role::Archiver, self.partition, &with.instance);
        let mut tenure = None;
        // A request that hangs must not keep a stop waiting.
        while let Some(step) = stop.run_until_cancelled(self.step(&mut tenancy, &mut tenure)).await {
            self.tick.tick();
            let wait = match step {
                Ok(wait) => {
                    self.recovered();
                    wait
                }
                Err(failure) => {
                    if matches!(failure, Failure::Standby | Failure::Overtaken | Failure::OtherKey { .. }) {
                        tenure = None;
                    }
                    self.failed(&failure)
                }
            };
            self.tell_lag(tenure.as_ref()).await;
            let _stopped = timeout(wait, stop.cancelled()).await;
        }
        if tenancy.is_held()
            && let Some(tenure) = &mut tenure
            && let Ok(Err(failure)) = timeout(FINISH, self.finish(tenure)).await
        {
            // What is not in the archive is still in the log.
            self.failed(&failure);
        }
        tenancy.end().await;
    }

    /// One round. Answers with the time until the next one.
    async fn step(&self, tenancy: &mut Tenancy, tenure: &mut Option<Tenure>) -> Result<Duration, Failure> {
        if !tenancy.hold().await? {
            return Err(Failure::Standby);
        }
        let tenure = match tenure {
            Some(tenure) => tenure,
            None => tenure.insert(self.begin().await?),
        };
        self.publish(tenure).await?;
        let nothing_new = !self.read(tenure).await?;
        let settings = &self.with.settings;
        if tenure.is_urgent || tenure.opened.is_some_and(|opened| settings.age <= opened.elapsed()) {
            self.seal(tenure).await?;
        }
        self.advance(tenure).await?;
        let is_cared_for = self.care(&mut tenure.care).await?;
        let every = (settings.age / 4).clamp(EVERY_MIN, EVERY_MAX);
        Ok(if nothing_new && is_cared_for { every } else { Duration::ZERO })
    }

    /// Begins where the archive ends.
    async fn begin(&self) -> Result<Tenure, Failure> {
        let last = self.with.archive.last(self.partition.0).await?;
        if let Some(last) = &last {
            self.may_follow(last).await?;
        }
        let sealer = Sealer::new(self.partition.0, last);
        let mut tail = Tail::new(self.with.log.clone(), None, Vec::new()).only(self.partition);
        let (positions, read) = sealer.position();
        tail.resume(self.partition, positions);
        Ok(Tenure {
            tail,
            queue: VecDeque::new(),
            salts: Salts::default(),
            sealer,
            opened: None,
            is_urgent: false,
            read,
            asked: None,
            asked_at: None,
            cursors: BTreeMap::new(),
            oldest: None,
            sealed: None,
            bookmark: Bookmark::default(),
            care: Care::default(),
        })
    }

    /// Whether this archiver's key is the one that sealed last, or follows it. The key may have been rotated since this
    /// archiver began: it is read anew then.
    async fn may_follow(&self, last: &Signed<Head>) -> Result<(), Failure> {
        let (there, archive) = (&last.statement.key, &self.with.archive);
        if archive.may_follow(there, &self.key().public()).await? {
            return Ok(());
        }
        if let Some(key) = (self.with.read_key)()
            && archive.may_follow(there, &key.public()).await?
        {
            self.change_key(key);
            return Ok(());
        }
        Err(Failure::OtherKey { there: there.clone(), here: self.key().public().id() })
    }

    /// The key that seals.
    pub(super) fn key(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.key.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals with another key from now on.
    pub(super) fn change_key(&self, key: PrivateKey) {
        self.with.telemetry.archive_key_changed(self.partition, &key.public().id());
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    /// Reads on and puts what comes into segments. Says whether there was anything.
    async fn read(&self, tenure: &mut Tenure) -> Result<bool, Failure> {
        if tenure.queue.is_empty() {
            self.ask_for_cursors(tenure).await?;
            tenure.queue.extend(tenure.tail.next_stored().await?);
        }
        let any = !tenure.queue.is_empty();
        while let Some(stored) = tenure.queue.front() {
            let salt = tenure.salts.draw();
            // What was not written by us has no number and no place in the archive.
            if let Some(record) = Record::read(stored.at.stream.clone(), stored.at.id, &stored.fields, salt) {
                if tenure.sealer.begins_anew(&record) {
                    self.seal(tenure).await?;
                }
                tenure.sealer.push(&record);
                if record.seq <= tenure.read {
                    // The log began anew, and the cursors are those of another one.
                    tenure.asked = None;
                }
                tenure.read = record.seq;
                tenure.is_urgent |= record.stream.event_type() == EventType::RemediationStarted;
                tenure.opened.get_or_insert_with(Instant::now);
                tenure.oldest.get_or_insert_with(|| record.id.time());
            }
            tenure.queue.pop_front();
            tenure.believe_cursors();
            if tenure.sealer.is_full(&self.with.settings) {
                self.seal(tenure).await?;
            }
        }
        tenure.believe_cursors();
        Ok(any)
    }

    /// Asks how far groups have come. What a restored log repeats is what was dealt with after that, so it is asked often,
    /// and before the entries that are read next: what came of an entry before a cursor is in the archive with it.
    async fn ask_for_cursors(&self, tenure: &mut Tenure) -> Result<(), Failure> {
        if tenure.asked.is_none() && tenure.asked_at.is_none_or(|at| CURSORS <= at.elapsed()) {
            tenure.asked_at = Some(Instant::now());
            tenure.asked = Some(self.with.log.cursors(self.partition).await?);
        }
        Ok(())
    }

    /// Ends the open segment, if there is one, and publishes it.
    async fn seal(&self, tenure: &mut Tenure) -> Result<(), Failure> {
        let sealed_ms = self.with.clock.now().await?.millis();
        let cursors = tenure.cursors.clone();
        tenure.sealed = tenure.sealer.seal(&self.key(), cursors, sealed_ms, &self.with.instance);
        (tenure.opened, tenure.is_urgent) = (None, false);
        self.publish(tenure).await
    }

    /// Publishes what is sealed, and moves the group behind it.
    async fn publish(&self, tenure: &mut Tenure) -> Result<(), Failure> {
        let Some(sealed) = &tenure.sealed else { return Ok(()) };
        if !self.with.archive.publish(sealed.object.clone(), &sealed.head, &self.key()).await? {
            return Err(Failure::Overtaken);
        }
        let head = sealed.head.clone();
        tenure.sealed = None;
        tenure.oldest = None;
        self.tell(&head.statement);
        tenure.sealer.published(head);
        self.advance(tenure).await
    }

    /// Moves the group to what is published, on every stream there is.
    async fn advance(&self, tenure: &mut Tenure) -> Result<(), Failure> {
        let log = &self.with.log;
        let (mut positions, _) = tenure.sealer.position();
        for stream in log.streams(self.partition).await? {
            positions.entry(stream).or_insert(EntryId::ZERO);
        }
        Ok(tenure.bookmark.put(&**log, (Role::Archiver, self.partition), positions).await?)
    }

    /// Reads what there is and seals it: the last thing before the end.
    async fn finish(&self, tenure: &mut Tenure) -> Result<(), Failure> {
        self.publish(tenure).await?;
        while self.read(tenure).await? {}
        self.seal(tenure).await
    }

    fn recovered(&mut self) {
        if self.failures != 0 {
            self.failures = 0;
            self.with.telemetry.archive_reached(self.partition);
        }
        self.tick.ready(true, "sealing");
    }

    /// Tells a failure; answers with the time to wait.
    fn failed(&mut self, failure: &Failure) -> Duration {
        let telemetry = &self.with.telemetry;
        match failure {
            Failure::Standby => {
                self.tick.ready(true, "standing by for another archiver");
                return LEASE / 3;
            }
            Failure::Overtaken => telemetry.archive_overtaken(self.partition),
            Failure::Log(error) => {
                self.failures += 1;
                telemetry.log_failed(Role::Archiver, error, self.failures);
            }
            Failure::Archive(_) | Failure::OtherKey { .. } => {
                self.failures += 1;
                telemetry.archive_failed(self.partition, failure, self.failures);
            }
        }
        self.tick.ready(false, failure.to_string());
        WAIT_FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(8)).min(WAIT_MAX)
    }

    fn tell(&self, head: &Head) {
        let telemetry = &self.with.telemetry;
        telemetry.segment_sealed(self.partition, head.number, head.count, head.object.bytes);
        for loss in &head.losses {
            match *loss {
                crate::Loss::Missing { first_seq, last_seq } => {
                    telemetry.archive_lost(self.partition, first_seq, last_seq);
                }
                crate::Loss::Restarted { expected_seq, found_seq } => {
                    telemetry.archived_log_began_anew(self.partition, expected_seq, found_seq);
                }
            }
        }
    }

    /// Tells how old the oldest entry is that was read and is not published.
    async fn tell_lag(&self, tenure: Option<&Tenure>) {
        let Some(tenure) = tenure else { return };
        // The clock counts on while the log is away.
        if let Ok(now) = self.with.clock.now().await {
            let behind = tenure.oldest.map_or(Duration::ZERO, |oldest| now.since(oldest));
            self.with.telemetry.archive_behind(self.partition, behind);
        }
    }
}

impl Tenure {
    /// Believes the cursors that were asked for, once everything that came of what is before them is read.
    fn believe_cursors(&mut self) {
        let Some(cursors) = self.asked.take_if(|cursors| cursors.seq <= self.read) else { return };
        let of_others = cursors.positions.iter().filter(|((role, _), _)| *role != Role::Archiver);
        self.cursors =
            of_others.map(|((role, stream), id)| (format!("{role} {stream}"), id.to_string())).collect();
    }
}

/// Shortest and longest time between two looks at a log that has nothing new; a quarter of the age of a segment.
const EVERY_MIN: Duration = Duration::from_millis(50);
const EVERY_MAX: Duration = Duration::from_secs(1);
/// First and longest wait after a failure; doubled with every one. Shorter than the lease, so that it stays.
const WAIT_FIRST: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest time between two looks at the cursors of the groups.
const CURSORS: Duration = Duration::from_secs(1);
/// Time to seal and publish at a shutdown.
const FINISH: Duration = Duration::from_secs(5);
