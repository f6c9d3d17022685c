//! Outwards: one worker per partition, standing by for its lease, then reading, saying and moving on under it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use hemostat_agent::health::Tick;
use hemostat_agent::log::{Entry, EntryId, LogError, Partition, StreamName};
use hemostat_agent::tail::Tail;
use hemostat_agent::tenancy::{self, Bookmark, LEASE, Tenancy};
use hemostat_core::bridge::keys::Before;
use hemostat_core::bridge::outbound::{Outbound, READS, Saying};
use hemostat_event::{Event, EventType, Role, Subject, Timestamp};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Bridge;
use super::side::Said;

/// The outward half for one partition.
pub(super) struct Worker<'a> {
    with: &'a Bridge,
    partition: Partition,
    tick: Tick,
    failures: u32,
}

/// Why a tenure is interrupted, or over.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The log did not do what it was asked; the tenure goes on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The Redis of the old agents did not; the tenure goes on.
    #[error("the Redis of the Python agents is away")]
    Side(#[source] LogError),
    /// Another bridge has the lease.
    #[error("another bridge speaks for this partition")]
    Standby,
}

/// The work under a lease.
struct Tenure {
    tail: Tail,
    outbound: Outbound,
    /// Read, and not said yet.
    queue: VecDeque<Entry>,
    /// What is said.
    positions: BTreeMap<StreamName, EntryId>,
    bookmark: Bookmark,
}

impl<'a> Worker<'a> {
    pub(super) fn new(with: &'a Bridge, partition: Partition) -> Self {
        let tick = with.board.part(tenancy::name(Role::Bridge, partition), EVERY.max(WAIT_MAX));
        Self { with, partition, tick, failures: 0 }
    }

    /// Speaks whenever it has the lease, until `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let with = self.with;
        let mut tenancy = Tenancy::new(with.log.clone(), Role::Bridge, self.partition, &with.instance);
        let mut tenure = None;
        // A request that hangs must not keep a stop waiting. What is cut off is found by its marks.
        while let Some(step) = stop.run_until_cancelled(self.step(&mut tenancy, &mut tenure)).await {
            self.tick.tick();
            let wait = match step {
                Ok(wait) => {
                    self.recovered();
                    wait
                }
                Err(failure) => {
                    if matches!(failure, Failure::Standby) {
                        tenure = None;
                    }
                    self.failed(&failure)
                }
            };
            let _stopped = timeout(wait, stop.cancelled()).await;
        }
        if tenancy.is_held()
            && let Some(tenure) = &mut tenure
        {
            let _marks_are_there = timeout(FINISH, self.advance(tenure)).await;
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
        if tenure.queue.is_empty() {
            tenure.queue.extend(tenure.tail.next().await?);
        }
        let nothing_new = tenure.queue.is_empty();
        if !nothing_new {
            self.say(tenure).await?;
        }
        self.advance(tenure).await?;
        Ok(if nothing_new { EVERY } else { Duration::ZERO })
    }

    /// Begins where the group stands, or at the end of the log where there is none.
    async fn begin(&self) -> Result<Tenure, Failure> {
        let log = &self.with.log;
        let registered = || async {
            let cursors = log.cursors(self.partition).await?.positions.into_iter();
            let own = cursors.filter(|((role, _), _)| *role == Role::Bridge);
            Ok::<BTreeMap<_, _>, LogError>(own.map(|((_, stream), id)| (stream, id)).collect())
        };
        let mut positions = registered().await?;
        if positions.is_empty() {
            let mut streams = self.streams().await?;
            // Also those that are not there yet: what comes there is new.
            streams.extend(READS.into_iter().filter(|kind| *kind != PLANS).map(StreamName::Type));
            streams.sort();
            streams.dedup();
            let ends: Vec<_> = streams.into_iter().map(|stream| (stream, EntryId::MAX)).collect();
            log.advance(Role::Bridge, self.partition, &ends).await?;
            positions = registered().await?;
        }
        let others = EventType::ALL.into_iter().filter(|kind| !READS.contains(kind)).collect();
        let mut tail = Tail::new(log.clone(), None, others).only(self.partition);
        tail.resume(self.partition, positions.clone());
        Ok(Tenure {
            tail,
            outbound: Outbound::new(self.with.said.clone()),
            queue: VecDeque::new(),
            positions,
            bookmark: Bookmark::default(),
        })
    }

    /// The streams of the partition that it reads.
    async fn streams(&self) -> Result<Vec<StreamName>, LogError> {
        let mut streams = self.with.log.streams(self.partition).await?;
        streams.retain(|stream| READS.contains(&stream.event_type()));
        Ok(streams)
    }

    /// Says what is next in the queue, and takes it off when all of it was said.
    async fn say(&self, tenure: &mut Tenure) -> Result<(), Failure> {
        let now = self.with.clock.now().await?;
        let count = tenure.queue.len().min(BATCH_MAX);
        let mut together = Vec::new();
        for place in 0..count {
            let Some(event) = to_be_said(&tenure.queue, place) else { continue };
            let keys = tenure.outbound.reads(event);
            if keys.is_empty() {
                let saying = tenure.outbound.say(event, &Before::new(), now);
                together.extend(saying.map(|saying| (saying, keys, Before::new())));
                continue;
            }
            // In order: what stands before it may be about the same keys.
            self.say_all(&std::mem::take(&mut together)).await?;
            let event = event.clone();
            self.say_one(&mut tenure.outbound, &event, keys, now).await?;
        }
        self.say_all(&together).await?;
        for entry in tenure.queue.drain(..count) {
            tenure.positions.insert(entry.at.stream, entry.at.id);
        }
        Ok(())
    }

    async fn say_all(&self, sayings: &[(Saying, Vec<String>, Before)]) -> Result<Vec<Said>, Failure> {
        let answers = self.with.side.say(sayings).await.map_err(Failure::Side)?;
        for ((saying, ..), answer) in sayings.iter().zip(&answers) {
            let Said::Now { keys_failed } = answer else { continue };
            if let Some(message) = &saying.message {
                self.with.telemetry.bridge_said(message.channel);
            }
            if *keys_failed != 0 {
                self.with.telemetry.bridge_keys_failed(*keys_failed);
            }
        }
        Ok(answers)
    }

    /// Says what depends on what stands there, as often as somebody else comes between.
    async fn say_one(
        &self,
        outbound: &mut Outbound,
        event: &Event,
        keys: Vec<String>,
        now: Timestamp,
    ) -> Result<(), Failure> {
        for attempt in 0..TRIES {
            let before = self.with.side.read(&keys).await.map_err(Failure::Side)?;
            let Some(saying) = outbound.say(event, &before, now) else { return Ok(()) };
            // At last without a look back: the value of somebody who writes all the time is as good as ours.
            let keys = if attempt + 1 < TRIES { keys.clone() } else { Vec::new() };
            if self.say_all(&[(saying, keys, before)]).await? != [Said::Changed] {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Moves the group to what was said, on every stream there is.
    async fn advance(&self, tenure: &mut Tenure) -> Result<(), Failure> {
        if tenure.bookmark.is_fresh(&tenure.positions) {
            return Ok(());
        }
        for stream in self.streams().await? {
            tenure.positions.entry(stream).or_insert(EntryId::ZERO);
        }
        let (log, of) = (&*self.with.log, (Role::Bridge, self.partition));
        Ok(tenure.bookmark.put(log, of, tenure.positions.clone()).await?)
    }

    fn recovered(&mut self) {
        if self.failures != 0 {
            self.failures = 0;
            self.with.telemetry.bridge_reached();
        }
        self.tick.ready(true, "speaking");
    }

    /// Tells a failure; answers with the time to wait.
    fn failed(&mut self, failure: &Failure) -> Duration {
        let telemetry = &self.with.telemetry;
        match failure {
            Failure::Standby => {
                self.tick.ready(true, "standing by for another bridge");
                return LEASE / 3;
            }
            Failure::Log(error) => {
                self.failures += 1;
                telemetry.log_failed(Role::Bridge, error, self.failures);
            }
            Failure::Side(error) => {
                self.failures += 1;
                telemetry.bridge_failed(error, self.failures);
            }
        }
        self.tick.ready(false, failure.to_string());
        WAIT_FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(8)).min(WAIT_MAX)
    }
}

/// The event in this place of the queue, unless it is told better by a later one: of the samples of a container the last
/// counts. What stands in its stream once more for one group was said where it stood first.
fn to_be_said(queue: &VecDeque<Entry>, place: usize) -> Option<&Event> {
    let entry = &queue[place];
    let event = entry.event.as_ref().ok().filter(|_| entry.redrive.is_none())?;
    if event.event_type() == EventType::ContainerSample {
        let subject = event.envelope.subject.as_ref();
        let is_later = |entry: &Entry| sampled(entry).is_some_and(|later| Some(later) == subject);
        if queue.iter().skip(place + 1).take(LOOK_AHEAD).any(is_later) {
            return None;
        }
    }
    Some(event)
}

/// The container that an entry has a sample of.
fn sampled(entry: &Entry) -> Option<&Subject> {
    let event = entry.event.as_ref().ok()?;
    if event.event_type() == EventType::ContainerSample { event.envelope.subject.as_ref() } else { None }
}

/// The type whose stream is one per host.
const PLANS: EventType = EventType::RemediationNeeded;
/// Time between two looks at a log that has nothing new.
const EVERY: Duration = Duration::from_millis(100);
/// Most events in one go.
const BATCH_MAX: usize = 64;
/// How far ahead it is looked for a later sample of the same container.
const LOOK_AHEAD: usize = 64;
/// Tries to write what depends on what stands there.
const TRIES: u32 = 8;
/// First and longest wait after a failure; doubled with every one. Shorter than the lease, so that it stays.
const WAIT_FIRST: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Time for the last request at a shutdown.
const FINISH: Duration = Duration::from_millis(300);
