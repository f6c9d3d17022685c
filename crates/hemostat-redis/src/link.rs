//! The way to Redis that all requests share, except those that wait on the server.
//!
//! One server, or one behind sentinels, takes everything. In a cluster a request goes to the node that has the slot
//! of its partition, which its first key tells; one without a key goes to the node of partition 0, whose clock is
//! the log's for whoever asks for the time alone.

use std::sync::Arc;
use std::time::Duration;

use hemostat_agent::log::{LogError, Partition};
use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, FromRedisValue, Pipeline, Value};

use crate::cluster::{self, Cluster};
use crate::fault::{self, Effect};
use crate::node::Node;
use crate::place::Place;
use crate::reply;
use crate::scripts::Script;
use crate::sentinel::Sentinels;

/// The shared way.
pub(crate) struct Link {
    ground: Ground,
    /// What the keys of the log begin with, up to the number of the partition.
    prefix: String,
}

/// What there is.
pub(crate) enum Ground {
    /// A server.
    Server(Arc<Node>),
    /// Whichever server sentinels name.
    Sentinels(Arc<Node>),
    /// Nodes that share the slots.
    Cluster(Arc<Cluster>),
}

impl Link {
    /// Reaches what the URL leads to and finds out what it is. Keys begin with `prefix` and the number of their
    /// partition.
    pub(crate) async fn reach(place: Place, prefix: String) -> Result<Self, LogError> {
        let ground = match place {
            Place::Sentinels { sentinels, name } => {
                Ground::Sentinels(Arc::new(Node::behind(Sentinels::new(sentinels, name))))
            }
            Place::Cluster(seeds) => {
                let seeds = seeds.into_iter().map(|seed| Arc::new(Node::new(seed))).collect();
                Ground::Cluster(Cluster::find(seeds).await?)
            }
            Place::Server(server) => {
                let node = Arc::new(Node::new(server));
                let mut question = redis::pipe();
                question.cmd("INFO").arg("cluster");
                let answer = node.ask(&question, Effect::Read).await?.pop().unwrap_or_default();
                let answer = answer.extract_error().map_err(|error| fault::asking(error, Effect::Read))?;
                let info = reply::info(answer)?;
                if info.lines().any(|line| line.trim_end() == "cluster_enabled:1") {
                    Ground::Cluster(Cluster::find(vec![node]).await?)
                } else {
                    Ground::Server(node)
                }
            }
        };
        Ok(Self { ground, prefix })
    }

    /// What was found.
    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// A connection of one's own to the server that has a partition, for requests that wait up to `block` there.
    pub(crate) async fn blocking(
        &self,
        partition: Partition,
        block: Duration,
    ) -> Result<MultiplexedConnection, LogError> {
        match &self.ground {
            Ground::Server(node) | Ground::Sentinels(node) => node.blocking(block).await,
            Ground::Cluster(cluster) => {
                let owner = cluster.owner(slot_of(partition)).await?;
                owner.blocking(block).await.inspect_err(|_away| cluster.distrust())
            }
        }
    }

    /// Whether an answer on a connection of one's own says that the request was not begun, because the cluster is
    /// changing its shape; [`Link::blocking`] knows where to try again.
    pub(crate) fn is_unsettled(&self, answer: &Value) -> bool {
        match &self.ground {
            Ground::Server(_) | Ground::Sentinels(_) => false,
            Ground::Cluster(cluster) => cluster.is_unsettled(answer),
        }
    }

    /// Whether there are several nodes, of which one can be away without the others.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.ground, Ground::Cluster(_))
    }

    /// Sends requests in one go. Errors of the server stand among the answers.
    pub(crate) async fn ask(&self, requests: &Pipeline, effect: Effect) -> Result<Vec<Value>, LogError> {
        match &self.ground {
            Ground::Server(node) | Ground::Sentinels(node) => node.ask(requests, effect).await,
            Ground::Cluster(cluster) => {
                cluster.ask(requests, |request| self.slot_of_request(request), effect).await
            }
        }
    }

    /// Sends one request.
    pub(crate) async fn query<T: FromRedisValue>(&self, request: Cmd, effect: Effect) -> Result<T, LogError> {
        let mut requests = redis::pipe();
        requests.add_command(request);
        read(self.ask(&requests, effect).await?, effect)
    }

    /// Sends one request without a key to the server that has a partition.
    pub(crate) async fn query_at<T: FromRedisValue>(
        &self,
        partition: Partition,
        request: Cmd,
        effect: Effect,
    ) -> Result<T, LogError> {
        match &self.ground {
            Ground::Server(_) | Ground::Sentinels(_) => self.query(request, effect).await,
            Ground::Cluster(cluster) => {
                let mut requests = redis::pipe();
                requests.add_command(request);
                read(cluster.ask(&requests, |_request| slot_of(partition), effect).await?, effect)
            }
        }
    }

    /// Calls a script, several times in one go. What was not run because the server does not know it is sent again
    /// in full.
    pub(crate) async fn run(
        &self,
        script: &Script,
        calls: &Pipeline,
        effect: Effect,
    ) -> Result<Vec<Value>, LogError> {
        let mut answers = self.ask(calls, effect).await?;
        let missed: Vec<usize> =
            (0..answers.len()).filter(|place| fault::is_unknown_script(&answers[*place])).collect();
        if !missed.is_empty() {
            let mut again = redis::pipe();
            for (place, call) in calls.cmd_iter().enumerate() {
                if missed.binary_search(&place).is_ok() {
                    again.add_command(script.in_full(call));
                }
            }
            for (place, answer) in missed.into_iter().zip(self.ask(&again, effect).await?) {
                answers[place] = answer;
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.extract_error().map_err(|error| fault::asking(error, effect)))
            .collect()
    }

    /// Calls a script once.
    pub(crate) async fn run_one(
        &self,
        script: &Script,
        call: Cmd,
        effect: Effect,
    ) -> Result<Value, LogError> {
        let mut calls = redis::pipe();
        calls.add_command(call);
        Ok(self.run(script, &calls, effect).await?.pop().unwrap_or_default())
    }

    /// The slot of the first key of a request: what stands between the braces.
    fn slot_of_request(&self, request: &Cmd) -> u16 {
        let keys = request.args_iter().filter_map(|argument| match argument {
            Arg::Simple(argument) => argument.strip_prefix(self.prefix.as_bytes()),
            _ => None,
        });
        let tag = keys.filter_map(|key| key.split(|byte| *byte == b'}').next()).next();
        cluster::slot(tag.unwrap_or(b"0"))
    }
}

fn slot_of(partition: Partition) -> u16 {
    cluster::slot(partition.0.to_string().as_bytes())
}

/// The answer to one request.
fn read<T: FromRedisValue>(mut answers: Vec<Value>, effect: Effect) -> Result<T, LogError> {
    let answer = answers.pop().unwrap_or_default();
    let answer = answer.extract_error().map_err(|error| fault::asking(error, effect))?;
    T::from_redis_value(answer).map_err(|_other| fault::unexpected("a command"))
}
