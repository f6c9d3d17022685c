//! The containers of one term, each with its task, and the listings that keep them in step with the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use hemostat_core::engine::{EngineEvent, EngineEventKind};
use hemostat_event::{ContainerId, Role};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::actor::{self, Actor, Told};
use super::{ENGINE_AWAY, Term};
use crate::containers::EngineError;
use crate::telemetry::{Telemetry, panic_text};

/// The containers of one term.
pub(super) struct Fleet {
    term: Arc<Term>,
    actors: BTreeMap<ContainerId, Handle>,
    tasks: JoinSet<Ended>,
    /// Sizes of writable layers that were measured and not handed on.
    disk: BTreeMap<ContainerId, u64>,
    polls: u32,
    listing: bool,
    measuring: bool,
    /// Containers listed last, or why there is no list.
    watched: Result<usize, &'static str>,
    /// Whether what the log knows was compared with what exists.
    reconciled: bool,
}

/// The mailboxes of a container's task.
struct Handle {
    told: mpsc::Sender<Told>,
    polls: mpsc::Sender<Poll>,
}

/// A request to measure a container.
pub(super) struct Poll {
    /// Size of the writable layer in bytes; comes with some polls.
    pub(super) disk: Option<u64>,
    /// Ends when the last container of the poll is measured.
    _round: Arc<Round>,
}

/// One poll of all containers.
struct Round {
    telemetry: Arc<Telemetry>,
    containers: usize,
    began: Instant,
}

impl Drop for Round {
    fn drop(&mut self) {
        self.telemetry.cycle(self.containers, self.began.elapsed());
    }
}

/// What a task of the fleet ended with.
enum Ended {
    /// A container's task.
    Actor(ContainerId, Result<(), String>),
    /// A listing of the containers, with those that were known when it was asked for.
    Listing(Instant, BTreeSet<ContainerId>, Result<Vec<ContainerId>, EngineError>),
    /// A measurement of the writable layers.
    Disk(Result<Vec<(ContainerId, u64)>, EngineError>),
    /// The comparison with what the log knows.
    Reconciled,
}

impl Fleet {
    pub(super) fn new(term: Arc<Term>) -> Self {
        Self {
            term,
            actors: BTreeMap::new(),
            tasks: JoinSet::new(),
            disk: BTreeMap::new(),
            polls: 0,
            listing: false,
            measuring: false,
            watched: Err("starting"),
            reconciled: false,
        }
    }

    /// Hands an engine event to its container's task.
    pub(super) fn tell(&mut self, event: EngineEvent) {
        // Nothing runs yet; the start event follows, and the next poll finds what never starts.
        if event.kind == EngineEventKind::Create || self.is_own(&event.id) {
            return;
        }
        let id = event.id.clone();
        let told = if event.at < self.term.decided_from {
            Told::Past(event)
        } else {
            Told::Engine { event, arrived: Instant::now() }
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.actor(&id).told.try_send(told) {
            // The next poll shows what came of it.
            self.term.telemetry.engine_event_dropped(&id);
        }
    }

    /// Asks for a listing; the answer is dealt with by [`Fleet::goes_on`].
    pub(super) fn list(&mut self) {
        let (began, engine) = (Instant::now(), Arc::clone(&self.term.engine));
        // A container that comes while the engine lists is not missing for not being listed.
        let known: BTreeSet<_> = self.actors.keys().cloned().collect();
        self.listing = true;
        self.tasks.spawn(async move { Ended::Listing(began, known, engine.list().await) });
        if self.polls.is_multiple_of(self.term.settings.disk_every.max(1)) && !self.measuring {
            // A walk over all layers may take minutes; nothing waits for it.
            let engine = Arc::clone(&self.term.engine);
            self.measuring = true;
            self.tasks.spawn(async move { Ended::Disk(engine.disk_usage().await) });
        }
        self.polls = self.polls.wrapping_add(1);
    }

    /// Whether a listing is under way.
    pub(super) fn is_listing(&self) -> bool {
        self.listing
    }

    /// How many containers are watched, or why none are.
    pub(super) fn watched(&self) -> Result<usize, &'static str> {
        self.watched
    }

    /// Waits for the next task to end and deals with that. Cancel-safe; pending while there is no task.
    pub(super) async fn goes_on(&mut self) {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(ended) => self.ended(ended),
        }
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        match ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
            Ended::Actor(id, answer) => {
                if let Err(panic) = answer {
                    // The next poll gives the container a new task.
                    self.term.telemetry.container_failed(&id, &panic);
                }
                if self.actors.get(&id).is_some_and(|actor| actor.told.is_closed()) {
                    self.actors.remove(&id);
                }
            }
            Ended::Listing(began, known, answer) => {
                self.listing = false;
                match answer {
                    Ok(listed) => self.listed(began, &known, listed),
                    Err(error) => {
                        self.watched = Err(ENGINE_AWAY);
                        self.term.telemetry.engine_failed("list", &error);
                    }
                }
            }
            Ended::Disk(answer) => {
                self.measuring = false;
                match answer {
                    Ok(sizes) => self.disk = sizes.into_iter().collect(),
                    Err(error) => self.term.telemetry.engine_failed("disk usage", &error),
                }
            }
            Ended::Reconciled => {}
        }
    }

    /// Ends the tasks of containers that are gone, begins those of new ones, and asks each for a sample.
    fn listed(&mut self, began: Instant, known: &BTreeSet<ContainerId>, listed: Vec<ContainerId>) {
        let listed: BTreeSet<_> = listed.into_iter().filter(|id| !self.is_own(id)).collect();
        self.watched = Ok(listed.len());
        for id in known.difference(&listed) {
            if let Some(actor) = self.actors.get(id) {
                // One that is behind is told again by the next poll.
                let _behind = actor.told.try_send(Told::Gone);
            }
        }
        self.reconcile(&listed);
        let round =
            Arc::new(Round { telemetry: Arc::clone(&self.term.telemetry), containers: listed.len(), began });
        for id in &listed {
            let poll = Poll { disk: self.disk.remove(id), _round: Arc::clone(&round) };
            // One that is still busy with the last poll skips this one.
            let _busy = self.actor(id).polls.try_send(poll);
        }
    }

    /// Once per term, when the names of all containers are known: closes what the log knows of containers that went
    /// while no monitor watched.
    fn reconcile(&mut self, listed: &BTreeSet<ContainerId>) {
        if self.reconciled {
            return;
        }
        let names = self.term.names();
        if listed.iter().all(|id| names.contains_key(id)) {
            drop(names);
            self.reconciled = true;
            let term = Arc::clone(&self.term);
            self.tasks.spawn(async move {
                actor::close_gone(&term).await;
                Ended::Reconciled
            });
        }
    }

    fn is_own(&self, id: &ContainerId) -> bool {
        let own = self.term.settings.own_container.as_ref();
        own.is_some_and(|own| own.as_str().starts_with(id.as_str()) || id.as_str().starts_with(own.as_str()))
    }

    fn actor(&mut self, id: &ContainerId) -> &Handle {
        let alive = self.actors.get(id).is_some_and(|actor| !actor.told.is_closed());
        if !alive {
            let (told, told_rx) = mpsc::channel(MAILBOX);
            // One waiting poll is enough: the next one would measure the same.
            let (polls, polls_rx) = mpsc::channel(1);
            self.actors.insert(id.clone(), Handle { told, polls });
            let (id, term) = (id.clone(), Arc::clone(&self.term));
            self.tasks.spawn(async move {
                let actor =
                    AssertUnwindSafe(Actor::new(Arc::clone(&term), id.clone()).run(told_rx, polls_rx));
                let ended = actor.catch_unwind().await;
                term.names().remove(&id);
                Ended::Actor(id, ended.map_err(|panic| panic_text(panic.as_ref())))
            });
        }
        self.actors.get(id).expect("it was put there just now")
    }

    /// Ends all tasks; each may finish until `end` what it is writing.
    pub(super) async fn shutdown(mut self, end: Instant) {
        self.actors.clear();
        let ended = timeout_at(end, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            self.term.telemetry.drain_cut(Role::Monitor, self.tasks.len());
            self.tasks.shutdown().await;
        }
    }
}

/// Messages a container's task may have waiting: an engine tells a handful per restart, and a log that is away is
/// waited for.
const MAILBOX: usize = 256;
