//! A member of a group: one connection and one request under way per partition.
//!
//! A request that waits on the server is a future that the reader owns. A call of [`Reader::read`] polls those
//! futures; when the call is given up they stay, and the next call goes on with them, so an entry that the server
//! has handed out is never dropped.

mod flight;
mod inherit;
mod side;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use hemostat_agent::log::{Entry, EntryRef, GroupReader, LogError, Membership, Partition};
use redis::Value;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

use crate::connect::{self, ConnectError};
use crate::fault::Effect;
use crate::keeping::Signs;
use crate::log::millis;
use crate::reply;
use crate::scripts::{HAND_OVER, JOIN, RENEW};
use crate::shared::Shared;
use flight::Flight;
use side::Side;

/// Longest wait on the server in one request: bounds how long a moved or dead server goes unnoticed.
const BLOCK_MAX: Duration = Duration::from_secs(2);

/// Rest of a side that has failed, while others go on.
const REST: Duration = Duration::from_millis(25);

/// Longest time that a side may take beyond its wait, before it is known that its server is away.
const LATE_MAX: Duration = Duration::from_millis(500);

/// Longest wait for requests under way when a member ends: a shutdown has no more time.
const SETTLE_MAX: Duration = Duration::from_millis(150);

/// What a request under way comes back with: the side that made it, and entries.
type Fetched = (Side, Result<Vec<Entry>, LogError>);

/// One read position of a group member.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    membership: Arc<Membership>,
    /// Sides without a request under way.
    idle: Vec<Side>,
    under_way: FuturesUnordered<BoxFuture<'static, Fetched>>,
    /// Fetched and not handed out: the server counts a batch per stream.
    ready: VecDeque<Entry>,
    flights: Vec<(Partition, Arc<Flight>)>,
    signs: Signs,
    /// Partitions of a cluster whose servers have failed and not answered since.
    away: BTreeSet<Partition>,
}

impl Reader {
    /// Makes the groups that are missing, and a reader on them.
    pub(crate) async fn join(shared: Arc<Shared>, membership: Membership) -> Result<Self, LogError> {
        if membership.streams.is_empty() {
            return Err(LogError::Refused {
                reason: "a member of a group reads streams".to_owned(),
                source: None,
            });
        }
        let block = membership.block.min(BLOCK_MAX);
        let batch = membership.batch.max(1);
        let membership = Arc::new(Membership { block, batch, ..membership });
        let (mut idle, mut flights) = (Vec::new(), Vec::new());
        let (mut joined, mut away) = (0, None);
        for partition in shared.partitions() {
            let joining = async {
                let made = make_groups(&shared, &membership, partition).await?;
                let inherited = inherit::inherit(&shared, &membership, partition).await?;
                debug!(group = %membership.role, partition = partition.0, made = made.len(), inherited, "joined");
                Ok(())
            };
            match joining.await {
                Ok(()) => joined += 1,
                // Other partitions may be on other servers; the side of this one makes its groups when it can.
                Err(error @ (LogError::Unavailable(_) | LogError::Indefinite(_)))
                    if shared.link.is_cluster() =>
                {
                    debug!(group = %membership.role, partition = partition.0, %error, "joins later");
                    away = Some(error);
                }
                Err(error) => return Err(error),
            }
            let flight = Arc::new(Flight::default());
            flights.push((partition, Arc::clone(&flight)));
            idle.push(Side::new(Arc::clone(&shared), Arc::clone(&membership), partition, flight));
        }
        if let Some(error) = away.filter(|_| joined == 0) {
            return Err(error);
        }
        Ok(Self {
            shared,
            membership,
            idle,
            under_way: FuturesUnordered::new(),
            ready: VecDeque::new(),
            flights,
            signs: Signs::default(),
            away: BTreeSet::new(),
        })
    }

    /// Waits for the sides until there are entries or all have ended. One that fails is tried again after a rest while
    /// others are all right: in a cluster it may be the only one whose server is away.
    async fn fetch(&mut self) -> Result<(), LogError> {
        let until = Instant::now() + self.membership.block;
        let several = self.shared.link.is_cluster();
        loop {
            let next = self.under_way.next();
            // A side whose server is away may take longer than its wait. It is not waited for.
            let late = if self.away.is_empty() { LATE_MAX } else { REST };
            let next = if several { timeout_at(until + late, next).await } else { Ok(next.await) };
            let Ok(Some((side, fetched))) = next else { break };
            match fetched {
                Ok(entries) => {
                    self.away.remove(&side.partition());
                    self.ready.extend(entries);
                    self.idle.push(side);
                    if !self.ready.is_empty() {
                        break;
                    }
                }
                Err(error @ (LogError::Unavailable(_) | LogError::Indefinite(_))) if several => {
                    debug!(group = %self.membership.role, partition = side.partition().0, %error, "is away");
                    self.away.insert(side.partition());
                    if self.away.len() == self.flights.len() {
                        self.idle.push(side);
                        return Err(error);
                    }
                    if Instant::now() < until {
                        self.under_way.push(Box::pin(side.fetch_after(REST)));
                    } else {
                        self.idle.push(side);
                    }
                }
                Err(error) => {
                    self.idle.push(side);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits for the requests under way: the server would answer them with entries after the others were handed over.
    /// One that takes longer is given up with its connection.
    async fn settle(&mut self) {
        let settled = async {
            while let Some((side, _fetched)) = self.under_way.next().await {
                self.idle.push(side);
            }
        };
        if timeout(SETTLE_MAX, settled).await.is_err() {
            self.under_way.clear();
        }
    }

    fn place(&self, at: &EntryRef) -> Option<flight::Place> {
        let stream = self.membership.streams.iter().position(|stream| *stream == at.stream)?;
        Some((stream, at.id))
    }
}

#[async_trait]
impl GroupReader for Reader {
    async fn read(&mut self) -> Result<Vec<Entry>, LogError> {
        self.signs.give(&self.shared, &self.membership).await;
        if self.ready.is_empty() {
            for side in self.idle.drain(..) {
                self.under_way.push(Box::pin(side.fetch()));
            }
            self.fetch().await?;
        }
        let count = self.membership.batch.min(self.ready.len());
        Ok(self.ready.drain(..count).collect())
    }

    async fn renew(&mut self, entries: &[EntryRef]) -> Result<(), LogError> {
        let asked = Instant::now();
        let mut calls = Vec::new();
        for (partition, flight) in &self.flights {
            // What waits here to be handed out is this consumer's work too.
            let mine = entries.iter().chain(self.ready.iter().map(|entry| &entry.at));
            let mine: Vec<_> = mine.filter(|at| at.partition == *partition).collect();
            flight.keep(mine.iter().filter_map(|at| self.place(at)), asked);
            if mine.is_empty() {
                continue;
            }
            let mut call = RENEW.call(&self.shared.keys.seq(*partition));
            call.arg(self.membership.role.as_str()).arg(&self.membership.consumer);
            for at in mine {
                call.arg(at.stream.to_string()).arg(at.id.to_string());
            }
            calls.push(call);
        }
        if calls.is_empty() {
            return Ok(());
        }
        if !self.shared.link.is_cluster() {
            let mut all = redis::pipe();
            for call in calls {
                all.add_command(call);
            }
            self.shared.link.run(&RENEW, &all, Effect::Read).await?;
            return Ok(());
        }
        // Each for itself, so that one server that is away does not keep the others from hearing of the work.
        let calls = calls.into_iter().map(|call| self.shared.link.run_one(&RENEW, call, Effect::Read));
        let answers = join_all(calls).await;
        if answers.iter().any(Result::is_ok) {
            return Ok(());
        }
        answers.into_iter().next().map_or(Ok(()), |answer| answer.map(drop))
    }

    async fn hand_over(&mut self) -> Result<(), LogError> {
        self.settle().await;
        let Membership { role, consumer, claim_after, streams, .. } = &*self.membership;
        for (partition, _) in &self.flights {
            let mut call = HAND_OVER.call(&self.shared.keys.seq(*partition));
            call.arg(role.as_str()).arg(consumer).arg(millis(*claim_after));
            for stream in streams {
                call.arg(stream.to_string());
            }
            // A repetition would count down twice; who takes an entry over with a try too many is not harmed.
            self.shared.link.run_one(&HAND_OVER, call, Effect::Write).await?;
        }
        self.ready.clear();
        Ok(())
    }
}

/// Makes the groups of a role that are missing in a partition; answers with the places of their streams.
pub(crate) async fn make_groups(
    shared: &Shared,
    membership: &Membership,
    partition: Partition,
) -> Result<Vec<usize>, LogError> {
    let mut call = JOIN.call(&shared.keys.seq(partition));
    call.arg(membership.role.as_str());
    for stream in &membership.streams {
        call.arg(stream.to_string());
    }
    // Made only where they are missing, so a repetition changes nothing.
    let made = reply::array(shared.link.run_one(&JOIN, call, Effect::Read).await?)?;
    let places =
        made.iter().map(|place: &Value| Ok(usize::try_from(reply::integer(place)?).unwrap_or(usize::MAX)));
    let places: Vec<usize> = places.collect::<Result<_, LogError>>()?;
    if !places.is_empty() {
        // Groups that vanish may have vanished with everything else; the number of partitions must not be guessed
        // anew by whoever comes next.
        let recorded =
            connect::record(&shared.link, &shared.keys, &shared.namespace, Some(shared.partitions)).await;
        recorded.map_err(|error| match error {
            ConnectError::Log(error) => error,
            other => LogError::Refused { reason: other.to_string(), source: None },
        })?;
    }
    Ok(places)
}

/// Says that groups were lost and are there again.
fn regrouped(membership: &Membership, partition: Partition, made: &[usize]) {
    if made.is_empty() {
        return;
    }
    let streams = made.iter().filter_map(|place| membership.streams.get(*place));
    let streams: Vec<_> = streams.map(ToString::to_string).collect();
    warn!(group = %membership.role, partition = partition.0, ?streams, "lost groups were made anew from their cursors");
}

#[cfg(test)]
mod tests;
