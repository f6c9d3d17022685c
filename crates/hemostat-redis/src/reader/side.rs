//! A reader's side of one partition: what to ask the server next.
//!
//! The order is: what this consumer left unfinished, then what any consumer left idle, then new entries. After
//! every error the side begins again with the unfinished, because the server may have handed out entries in an
//! answer that never came.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hemostat_agent::log::{Entry, EntryId, EntryRef, LogError, Membership, Partition, is_for_another};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Value};
use tokio::time::{Instant, sleep};
use tracing::error;

use super::flight::Flight;
use super::{make_groups, regrouped};
use crate::cluster::{Pauses, UNSETTLED_MAX};
use crate::fault::{self, Effect};
use crate::log::millis;
use crate::reply::{self, Entries, Fields};
use crate::shared::Shared;

/// Tries to make vanished groups anew in one read.
const REGROUPS_MAX: u32 = 3;
/// Part of the claim time after which idle entries are looked for again, within the limits that follow.
const CLAIMS_PER_CLAIM_TIME: u32 = 4;
const CLAIM_EVERY_MIN: Duration = Duration::from_millis(10);
/// A replica that ends in order hands its entries over, and they should not wait.
const CLAIM_EVERY_MAX: Duration = Duration::from_secs(1);

/// A reader's side of one partition.
pub(super) struct Side {
    shared: Arc<Shared>,
    membership: Arc<Membership>,
    partition: Partition,
    /// Keys of the membership's streams, in its order.
    keys: Vec<String>,
    connection: Option<MultiplexedConnection>,
    stage: Stage,
    /// Where the search for idle entries goes on in each stream, until it has come to the end.
    claims: Vec<Option<String>>,
    claim_at: Instant,
    flight: Arc<Flight>,
}

enum Stage {
    /// Takes up what is pending for this consumer, in each stream after an id.
    Unfinished(Vec<EntryId>),
    /// Takes what is idle and what is new.
    Live,
}

/// Why a request brought nothing.
enum Fault {
    /// The group or its stream does not exist any more.
    GroupGone,
    /// The cluster is changing its shape, and nothing was handed out.
    Unsettled(LogError),
    Log(LogError),
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// Entries as they were answered, by stream.
type Answered = Vec<Entries>;

impl Side {
    pub(super) fn new(
        shared: Arc<Shared>,
        membership: Arc<Membership>,
        partition: Partition,
        flight: Arc<Flight>,
    ) -> Self {
        let keys: Vec<_> =
            membership.streams.iter().map(|stream| shared.keys.stream(partition, stream)).collect();
        Self {
            stage: Stage::Unfinished(vec![EntryId::ZERO; keys.len()]),
            claims: vec![None; keys.len()],
            claim_at: Instant::now(),
            connection: None,
            shared,
            membership,
            partition,
            keys,
            flight,
        }
    }

    pub(super) fn partition(&self) -> Partition {
        self.partition
    }

    /// The same as [`Side::fetch`] after a rest.
    pub(super) async fn fetch_after(self, rest: Duration) -> (Self, Result<Vec<Entry>, LogError>) {
        sleep(rest).await;
        self.fetch().await
    }

    /// Waits for entries, at most as long as the membership says.
    pub(super) async fn fetch(mut self) -> (Self, Result<Vec<Entry>, LogError>) {
        let fetched = self.fetch_within(Instant::now() + self.membership.block).await;
        if fetched.is_err() {
            self.connection = None;
            self.begin_again();
        }
        (self, fetched)
    }

    async fn fetch_within(&mut self, until: Instant) -> Result<Vec<Entry>, LogError> {
        let mut regroups = 0;
        let unsettled_until = Instant::now() + UNSETTLED_MAX;
        let mut pauses = Pauses::default();
        loop {
            let waits = matches!(self.stage, Stage::Live) && Instant::now() < self.claim_at;
            let step = match self.stage {
                Stage::Unfinished(_) => self.unfinished().await,
                Stage::Live if waits => self.new_entries(until).await,
                Stage::Live => self.idle_entries().await,
            };
            match step {
                Ok(entries) if !entries.is_empty() => return Ok(entries),
                Ok(_nothing) if waits && until <= Instant::now() => return Ok(Vec::new()),
                Ok(_nothing) => {}
                Err(Fault::GroupGone) if regroups < REGROUPS_MAX => {
                    regroups += 1;
                    self.regroup().await?;
                }
                Err(Fault::GroupGone) => {
                    let reason = "the group vanishes again and again".into();
                    return Err(LogError::Unavailable(reason));
                }
                // The partition is on its way to another node, or there already.
                Err(Fault::Unsettled(_)) if Instant::now() < unsettled_until => {
                    self.connection = None;
                    pauses.pause().await;
                }
                Err(Fault::Unsettled(error) | Fault::Log(error)) => return Err(error),
            }
        }
    }

    /// Makes the groups anew. What was in flight under the old ones is delivered again by the new ones.
    async fn regroup(&mut self) -> Result<(), LogError> {
        let made = make_groups(&self.shared, &self.membership, self.partition).await?;
        // Another member may have been faster, and then no group is made here.
        regrouped(&self.membership, self.partition, &made);
        self.flight.forget_streams(&made);
        self.begin_again();
        Ok(())
    }

    fn begin_again(&mut self) {
        self.stage = Stage::Unfinished(vec![EntryId::ZERO; self.keys.len()]);
    }

    /// The next of the entries that are pending for this consumer.
    async fn unfinished(&mut self) -> Result<Vec<Entry>, Fault> {
        let Stage::Unfinished(after) = &self.stage else { return Ok(Vec::new()) };
        let mut after = after.clone();
        let request = self.read_group(None, after.iter().map(ToString::to_string));
        let (asked, mut answers) = self.ask(&[request]).await?;
        let mut answered = self.by_stream(answers.pop().unwrap_or_default())?;
        if answered.iter().all(Vec::is_empty) {
            self.stage = Stage::Live;
            return Ok(Vec::new());
        }
        for (after, entries) in after.iter_mut().zip(&answered) {
            *after = entries.last().map_or(*after, |(id, _)| *id);
        }
        self.stage = Stage::Unfinished(after);
        self.drop_trimmed(&mut answered).await?;
        // Looked at only here, so it is put in order only here: it holds what was read since the last renewal.
        self.flight.forget_idle(self.membership.claim_after);
        for (stream, entries) in answered.iter_mut().enumerate() {
            entries.retain(|(id, _)| !self.flight.contains((stream, *id)));
        }
        self.counted(answered, asked).await
    }

    /// The next of the entries that any consumer left idle.
    async fn idle_entries(&mut self) -> Result<Vec<Entry>, Fault> {
        let whole_round = self.claims.iter().all(Option::is_none);
        let open: Vec<usize> =
            (0..self.keys.len()).filter(|stream| whole_round || self.claims[*stream].is_some()).collect();
        let claim_after = millis(self.membership.claim_after);
        let requests: Vec<Cmd> = open
            .iter()
            .map(|stream| {
                let start = self.claims[*stream].as_deref().unwrap_or("0-0");
                let mut request = redis::cmd("XAUTOCLAIM");
                request
                    .arg(&self.keys[*stream])
                    .arg(self.membership.role.as_str())
                    .arg(&self.membership.consumer);
                request.arg(claim_after).arg(start).arg("COUNT").arg(self.membership.batch);
                request
            })
            .collect();
        let (asked, answers) = self.ask(&requests).await?;
        let mut answered: Answered = self.keys.iter().map(|_| Vec::new()).collect();
        for (stream, answer) in open.into_iter().zip(answers) {
            let [next, entries, trimmed] = reply::parts(answer)?;
            let next = reply::text(next)?;
            self.claims[stream] = (next != "0-0").then_some(next);
            answered[stream] = reply::entries(entries)?;
            self.lost(
                stream,
                &reply::array(trimmed)?.into_iter().map(reply::entry_id).collect::<Result<Vec<_>, _>>()?,
            );
        }
        if self.claims.iter().all(Option::is_none) {
            let every = self.membership.claim_after / CLAIMS_PER_CLAIM_TIME;
            self.claim_at = Instant::now() + every.clamp(CLAIM_EVERY_MIN, CLAIM_EVERY_MAX);
        }
        self.counted(answered, asked).await
    }

    /// New entries; waits for them until `until` or until idle ones are to be looked for.
    async fn new_entries(&mut self, until: Instant) -> Result<Vec<Entry>, Fault> {
        let wait = until.min(self.claim_at).saturating_duration_since(Instant::now());
        // 0 would be for ever.
        let block = millis(wait + Duration::from_micros(999)).max(1);
        let request = self.read_group(Some(block), self.keys.iter().map(|_| ">".to_owned()));
        let (asked, mut answers) = self.ask(&[request]).await?;
        let mut answered = self.by_stream(answers.pop().unwrap_or_default())?;
        self.pass_by(&mut answered).await?;
        let entries = answered
            .into_iter()
            .map(|stream| stream.into_iter().map(|(id, fields)| (id, fields, 1)).collect());
        Ok(self.hand_out(entries, asked))
    }

    fn read_group(&self, block: Option<u64>, ids: impl Iterator<Item = String>) -> Cmd {
        let mut request = redis::cmd("XREADGROUP");
        request.arg("GROUP").arg(self.membership.role.as_str()).arg(&self.membership.consumer);
        request.arg("COUNT").arg(self.membership.batch);
        if let Some(block) = block {
            request.arg("BLOCK").arg(block);
        }
        request.arg("STREAMS").arg(&self.keys);
        for id in ids {
            request.arg(id);
        }
        request
    }

    /// Adds how often each entry was delivered, and hands out those that still are this consumer's.
    async fn counted(&mut self, mut answered: Answered, asked: Instant) -> Result<Vec<Entry>, Fault> {
        self.pass_by(&mut answered).await?;
        let places = answered.iter().enumerate();
        let places =
            places.flat_map(|(stream, entries)| entries.iter().map(move |(id, _)| (stream, id.to_string())));
        let requests: Vec<Cmd> = places
            .map(|(stream, id)| {
                let mut request = redis::cmd("XPENDING");
                request.arg(&self.keys[stream]).arg(self.membership.role.as_str());
                request.arg(&id).arg(&id).arg(1).arg(&self.membership.consumer);
                request
            })
            .collect();
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let (_, answers) = self.ask(&requests).await?;
        let mut counts = answers.into_iter().map(deliveries);
        let mut entries = Vec::with_capacity(answered.len());
        for stream in answered {
            let mut counted = Vec::with_capacity(stream.len());
            for (id, fields) in stream {
                if let Some(count) = counts.next().transpose()?.flatten() {
                    counted.push((id, fields, count));
                }
            }
            entries.push(counted);
        }
        Ok(self.hand_out(entries.into_iter(), asked))
    }

    fn hand_out(
        &self,
        answered: impl Iterator<Item = Vec<(EntryId, Fields, u32)>>,
        asked: Instant,
    ) -> Vec<Entry> {
        let mut streams = Vec::new();
        for (place, (entries, stream)) in answered.zip(&self.membership.streams).enumerate() {
            self.flight.insert(entries.iter().map(|(id, _, _)| (place, *id)), asked);
            let read = |(id, fields, attempts): (EntryId, Fields, u32)| {
                let at = EntryRef { partition: self.partition, stream: stream.clone(), id };
                Entry::read(at, attempts, &fields.unwrap_or_default())
            };
            streams.push(entries.into_iter().map(read).collect());
        }
        merge(streams)
    }

    /// Takes out the entries that are pending but were trimmed away, and acknowledges them: they would come back
    /// for ever.
    async fn drop_trimmed(&mut self, answered: &mut Answered) -> Result<(), Fault> {
        let trimmed: Vec<Vec<EntryId>> =
            answered.iter_mut().map(|entries| take_ids(entries, Option::is_none)).collect();
        for (stream, ids) in trimmed.iter().enumerate() {
            self.lost(stream, ids);
        }
        self.acknowledge(&trimmed).await
    }

    /// Takes out what was handed out once more to another group, and acknowledges it. If that fails, the entries are
    /// among the unfinished ones of this consumer.
    async fn pass_by(&mut self, answered: &mut Answered) -> Result<(), Fault> {
        let role = self.membership.role;
        let others = |fields: &Fields| fields.as_ref().is_some_and(|fields| is_for_another(role, fields));
        let passed: Vec<Vec<EntryId>> =
            answered.iter_mut().map(|entries| take_ids(entries, others)).collect();
        self.acknowledge(&passed).await
    }

    /// Acknowledges entries, given by stream. The cursor stays: it may be earlier than it could.
    async fn acknowledge(&mut self, entries: &[Vec<EntryId>]) -> Result<(), Fault> {
        let mut requests = Vec::new();
        for (key, ids) in self.keys.iter().zip(entries).filter(|(_, ids)| !ids.is_empty()) {
            let mut request = redis::cmd("XACK");
            request.arg(key).arg(self.membership.role.as_str());
            for id in ids {
                request.arg(id.to_string());
            }
            requests.push(request);
        }
        if !requests.is_empty() {
            self.ask(&requests).await?;
        }
        Ok(())
    }

    /// Counts and tells what was trimmed away before it was dealt with.
    fn lost(&self, stream: usize, ids: &[EntryId]) {
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return };
        self.shared.lost.fetch_add(ids.len() as u64, Ordering::Relaxed);
        let (group, stream) = (self.membership.role, &self.membership.streams[stream]);
        self.shared.losses.add(self.partition, group, stream, ids.len() as u64);
        error!(%group, %stream, partition = self.partition.0, count = ids.len(), %first, %last,
            "entries were trimmed away before they were dealt with");
    }

    /// The entries of an answer, in the order of the membership's streams.
    fn by_stream(&self, answer: Value) -> Result<Answered, LogError> {
        let mut answered: Answered = self.keys.iter().map(|_| Vec::new()).collect();
        for (key, entries) in reply::streams(answer)? {
            let place = self.keys.iter().position(|known| *known == key);
            answered[place.ok_or_else(|| fault::unexpected("XREADGROUP"))?] = entries;
        }
        Ok(answered)
    }

    /// Sends requests over the side's own connection. Answers with the time before they left.
    async fn ask(&mut self, requests: &[Cmd]) -> Result<(Instant, Vec<Value>), Fault> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self
                .connection
                .insert(self.shared.link.blocking(self.partition, self.membership.block).await?),
        };
        let mut pipeline = redis::pipe();
        for request in requests {
            pipeline.add_command(request.clone());
        }
        let asked = Instant::now();
        let answers = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await;
        let link = &self.shared.link;
        let unsettled =
            answers.as_ref().is_ok_and(|answers| answers.iter().any(|answer| link.is_unsettled(answer)));
        let answers = answers.and_then(|answers| answers.into_iter().map(Value::extract_error).collect());
        match answers {
            Ok(answers) => Ok((asked, answers)),
            Err(error) if fault::is_group_gone(&error) => Err(Fault::GroupGone),
            Err(error) if unsettled => Err(Fault::Unsettled(fault::asking(error, Effect::Read))),
            Err(error) => Err(Fault::Log(fault::asking(error, Effect::Read))),
        }
    }
}

/// Takes the entries out whose fields are such; their ids.
fn take_ids(entries: &mut Entries, such: impl Fn(&Fields) -> bool) -> Vec<EntryId> {
    entries.extract_if(.., |(_, fields)| such(fields)).map(|(id, _)| id).collect()
}

/// How often an entry was delivered, as `XPENDING` tells it; nothing where it is somebody else's by now.
fn deliveries(answer: Value) -> Result<Option<u32>, LogError> {
    let Some(row) = reply::array(answer)?.pop() else { return Ok(None) };
    let [_id, _consumer, _idle, count] = reply::parts(row)?;
    Ok(Some(u32::try_from(reply::integer(&count)?).unwrap_or(u32::MAX)))
}

/// Entries of several streams by their numbers, those of each stream in its own order.
pub(super) fn merge(streams: Vec<Vec<Entry>>) -> Vec<Entry> {
    let mut merged = Vec::with_capacity(streams.iter().map(Vec::len).sum());
    for stream in streams {
        let mut number = 0;
        for entry in stream {
            // What has no number goes with what stands before it.
            number = entry.seq.unwrap_or(number).max(number);
            merged.push((number, entry));
        }
    }
    merged.sort_by_key(|(number, _)| *number);
    merged.into_iter().map(|(_, entry)| entry).collect()
}
