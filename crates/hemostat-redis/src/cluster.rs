//! A Redis Cluster: which node has which slot, and what to do while that changes.
//!
//! All keys of a partition are in one slot, so all requests about it go to one node. Requests that are sent together
//! are split by node. Which node has a slot is known from any node of the cluster, and from the answer `MOVED`.
//!
//! Invariants:
//! - RC-1: a request is sent again only where the node has not begun it: it says so (`MOVED`, `ASK`, `TRYAGAIN`,
//!   `CLUSTERDOWN`, `LOADING`), or it was never reached.
//! - RC-2: `ASK` is not followed. While a slot is on its way, some keys of a partition are here and some are there, and
//!   a script that ran in between would find streams empty and begin them anew. Requests wait until the slot has
//!   arrived. (A script declares a key that never exists, so no node runs it in between; see `scripts.rs`.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use hemostat_agent::log::{LogError, crc16};
use redis::{Cmd, ConnectionInfo, Pipeline, RedisError, Value};
use tokio::time::{Instant, sleep};

use crate::fault::{self, Effect};
use crate::node::{Node, elsewhere};
use crate::reply;

/// Slots of every cluster.
const SLOTS: u16 = 16_384;
/// Longest time in which a request is tried again while the cluster changes its shape. Beyond, whoever asked waits by
/// its own rules.
pub(crate) const UNSETTLED_MAX: Duration = Duration::from_secs(1);
/// Waits between those tries; the last one again and again.
const PAUSES_MS: [u64; 5] = [0, 2, 5, 10, 25];
/// Least time between two looks at the shape of the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Longest wait for the shape of the cluster.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// A cluster.
pub(crate) struct Cluster {
    /// Nodes that the URL names.
    seeds: Vec<Arc<Node>>,
    shape: Mutex<Shape>,
    /// Held while looking at the shape: those who come meanwhile want to know the same. Only ever taken by a task of
    /// its own.
    looking: tokio::sync::Mutex<()>,
}

/// Which node has which slots.
#[derive(Default)]
struct Shape {
    /// First and last slot, and who has them.
    ranges: Vec<(u16, u16, Arc<Node>)>,
    /// What was moved since, as nodes said.
    moved: BTreeMap<u16, Arc<Node>>,
    /// All nodes, replicas too, by address.
    nodes: BTreeMap<String, Arc<Node>>,
    stale: bool,
    looked: Option<Instant>,
}

impl Cluster {
    /// Finds the nodes of a cluster.
    ///
    /// # Errors
    /// When none of those that are named answers.
    pub(crate) async fn find(seeds: Vec<Arc<Node>>) -> Result<Arc<Self>, LogError> {
        let shape = Mutex::new(Shape { stale: true, ..Shape::default() });
        let cluster = Arc::new(Self { seeds, shape, looking: tokio::sync::Mutex::default() });
        cluster.look().await?;
        Ok(cluster)
    }

    /// The nodes that have slots, each with the number of its slots.
    pub(crate) fn owners(&self) -> Vec<(Arc<Node>, u16)> {
        let mut owners: Vec<(Arc<Node>, u16)> = Vec::new();
        for (first, last, node) in &self.shape().ranges {
            let count = last - first + 1;
            match owners.iter_mut().find(|(known, _)| Arc::ptr_eq(known, node)) {
                Some((_, slots)) => *slots += count,
                None => owners.push((Arc::clone(node), count)),
            }
        }
        owners
    }

    /// The node that has a slot.
    pub(crate) async fn owner(self: &Arc<Self>, slot: u16) -> Result<Arc<Node>, LogError> {
        let must_look = {
            let shape = self.shape();
            shape.stale && shape.looked.is_none_or(|looked| LOOK_EVERY <= looked.elapsed())
        };
        if must_look {
            // In a task of its own: whoever asks may be left alone in the middle, and others would wait for it.
            let cluster = Arc::clone(self);
            let looked = tokio::spawn(async move { cluster.look().await }).await;
            looked.unwrap_or_else(|ended| Err(LogError::Unavailable(ended.into())))?;
        }
        self.shape().owner(slot).ok_or_else(|| {
            self.distrust();
            LogError::Unavailable("no node of the cluster has the slot of this partition".into())
        })
    }

    /// Sends requests, each to the node that has its slot. Errors of the nodes stand among the answers.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        requests: &Pipeline,
        slot: impl Fn(&Cmd) -> u16,
        effect: Effect,
    ) -> Result<Vec<Value>, LogError> {
        let requests: Vec<(u16, &Cmd)> =
            requests.cmd_iter().map(|request| (slot(request), request)).collect();
        let mut answers = vec![Value::Nil; requests.len()];
        let mut open: Vec<usize> = (0..requests.len()).collect();
        let until = Instant::now() + UNSETTLED_MAX;
        let mut pauses = Pauses::default();
        loop {
            let failure = self.ask_once(&requests, &mut open, &mut answers, effect).await?;
            if open.is_empty() {
                return Ok(answers);
            }
            if until <= Instant::now() {
                return failure.map_or(Ok(answers), Err);
            }
            pauses.pause().await;
        }
    }

    /// Sends the requests that are open and keeps open what nobody has begun. The failure is of a node that was not
    /// reached.
    async fn ask_once(
        self: &Arc<Self>,
        requests: &[(u16, &Cmd)],
        open: &mut Vec<usize>,
        answers: &mut [Value],
        effect: Effect,
    ) -> Result<Option<LogError>, LogError> {
        let mut by_node: Vec<(Arc<Node>, Vec<usize>)> = Vec::new();
        let mut failure = None;
        let mut still_open = Vec::new();
        for place in open.drain(..) {
            match self.owner(requests[place].0).await {
                Ok(node) => match by_node.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &node)) {
                    Some((_, places)) => places.push(place),
                    None => by_node.push((node, vec![place])),
                },
                Err(error) => {
                    still_open.push(place);
                    failure = Some(error);
                }
            }
        }
        let asked = by_node.iter().map(|(node, places)| async move {
            let mut pipeline = redis::pipe();
            for place in places {
                pipeline.add_command(requests[*place].1.clone());
            }
            node.ask(&pipeline, effect).await
        });
        let mut indefinite = None;
        for ((_, places), answered) in by_node.iter().zip(join_all(asked).await) {
            match answered {
                Ok(answered) => {
                    for (place, answer) in places.iter().zip(answered) {
                        if self.is_unsettled(&answer) {
                            still_open.push(*place);
                        }
                        answers[*place] = answer;
                    }
                }
                Err(error @ LogError::Unavailable(_)) => {
                    self.distrust();
                    still_open.extend(places);
                    failure = Some(error);
                }
                Err(error) => {
                    self.distrust();
                    indefinite = Some(error);
                }
            }
        }
        still_open.sort_unstable();
        *open = still_open;
        indefinite.map_or(Ok(failure), Err)
    }

    /// Whether an answer says that the node has not begun the request and that another try may find it settled. What
    /// it says of the shape of the cluster is taken in.
    pub(crate) fn is_unsettled(&self, answer: &Value) -> bool {
        let Value::ServerError(error) = answer else { return false };
        match error.code() {
            "MOVED" => self.moved(&RedisError::from(error.clone())),
            "CLUSTERDOWN" => self.distrust(),
            "ASK" | "TRYAGAIN" | "LOADING" => {}
            _ => return false,
        }
        true
    }

    /// Marks what is known of the shape as doubtful: a node is away.
    pub(crate) fn distrust(&self) {
        self.shape().stale = true;
    }

    fn moved(&self, error: &RedisError) {
        let seed = self.seeds.first().and_then(|seed| seed.address());
        let named = error.redirect_node().and_then(|(address, slot)| {
            let (host, port) = address.rsplit_once(':')?;
            Some((slot, host, port.parse().ok()?))
        });
        let mut shape = self.shape();
        match (seed, named) {
            // The node named last knows best. It is not looked for what else has moved: other nodes may not have
            // heard of it yet.
            (Some(seed), Some((slot, host, port))) if !host.is_empty() => {
                let node = shape.node(elsewhere(seed, host, port));
                shape.moved.insert(slot, node);
            }
            // A node that does not say where it is.
            _ => shape.stale = true,
        }
    }

    /// Asks all nodes for the shape of the cluster, and believes the first.
    async fn look(&self) -> Result<(), LogError> {
        let came = Instant::now();
        let _looking = self.looking.lock().await;
        let known: Vec<Arc<Node>> = {
            let shape = self.shape();
            if shape.looked.is_some_and(|looked| came <= looked) {
                return Ok(());
            }
            let nodes = shape.nodes.values().filter(|node| !self.seeds.iter().any(|s| Arc::ptr_eq(s, node)));
            self.seeds.iter().chain(nodes).cloned().collect()
        };
        let mut question = redis::pipe();
        question.cmd("CLUSTER").arg("SLOTS");
        let question = &question;
        let mut asked: FuturesUnordered<_> =
            known.iter().map(|node| async move { (node, node.ask(question, Effect::Read).await) }).collect();
        let mut failure = LogError::Unavailable("no node of the cluster answers".into());
        let until = Instant::now() + LOOK_MAX;
        while let Ok(Some((node, answer))) = tokio::time::timeout_at(until, asked.next()).await {
            let answer = answer.and_then(|mut answers| {
                let answer = answers.pop().unwrap_or_default().extract_error();
                answer.map_err(|error| fault::asking(error, Effect::Read))
            });
            match answer.and_then(|answer| self.take_in(node, answer)) {
                Ok(()) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Takes in what `node` says of the shape.
    fn take_in(&self, node: &Node, answer: Value) -> Result<(), LogError> {
        let Some(like) = node.address() else { return Err(fault::unexpected("CLUSTER SLOTS")) };
        let mut shape = self.shape();
        let (mut ranges, mut present) = (Vec::new(), BTreeSet::new());
        for range in reply::array(answer)? {
            let mut parts = reply::array(range)?.into_iter();
            let mut bound = || -> Result<u16, LogError> {
                let number = reply::integer(&parts.next().unwrap_or_default())?;
                u16::try_from(number)
                    .ok()
                    .filter(|slot| *slot < SLOTS)
                    .ok_or_else(|| fault::unexpected("CLUSTER SLOTS"))
            };
            let (first, last) = (bound()?, bound()?);
            for (place, one) in parts.enumerate() {
                let mut one = reply::array(one)?.into_iter();
                let host = match one.next().unwrap_or_default() {
                    // A node that does not know how it is reached: as the one that answers.
                    Value::Nil => String::new(),
                    host => reply::text(host)?,
                };
                let port = reply::integer(&one.next().unwrap_or_default())?;
                let port = u16::try_from(port).map_err(|_other| fault::unexpected("CLUSTER SLOTS"))?;
                let at = match (host.as_str(), like.addr()) {
                    (
                        "" | "?",
                        redis::ConnectionAddr::Tcp(own, _) | redis::ConnectionAddr::TcpTls { host: own, .. },
                    ) => elsewhere(like, own, port),
                    _ => elsewhere(like, &host, port),
                };
                present.insert(at.addr().to_string());
                let node = shape.node(at);
                if place == 0 {
                    ranges.push((first, last, node));
                }
            }
        }
        if ranges.is_empty() {
            return Err(LogError::Unavailable("no node of the cluster has any slot".into()));
        }
        shape.nodes.retain(|address, _| present.contains(address));
        shape.ranges = ranges;
        shape.moved.clear();
        shape.stale = false;
        shape.looked = Some(Instant::now());
        Ok(())
    }

    fn shape(&self) -> MutexGuard<'_, Shape> {
        self.shape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shape {
    fn owner(&self, slot: u16) -> Option<Arc<Node>> {
        let within = |(first, last, _): &&(u16, u16, _)| (*first..=*last).contains(&slot);
        self.moved.get(&slot).or_else(|| self.ranges.iter().find(within).map(|(_, _, node)| node)).cloned()
    }

    fn node(&mut self, at: ConnectionInfo) -> Arc<Node> {
        let node = self.nodes.entry(at.addr().to_string());
        Arc::clone(node.or_insert_with(|| Arc::new(Node::new(at))))
    }
}

/// Waits between tries that grow.
#[derive(Default)]
pub(crate) struct Pauses(usize);

impl Pauses {
    pub(crate) async fn pause(&mut self) {
        let ms = PAUSES_MS.get(self.0).or(PAUSES_MS.last()).copied().unwrap_or_default();
        self.0 += 1;
        if ms != 0 {
            sleep(Duration::from_millis(ms)).await;
        }
    }
}

/// The slot of a hash tag.
pub(crate) fn slot(tag: &[u8]) -> u16 {
    crc16(tag) % SLOTS
}

#[cfg(test)]
mod tests;
