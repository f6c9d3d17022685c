//! What really happened, counted: a fault that never happens tests nothing.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! marks {
    ($($(#[$doc:meta])* $mark:ident: $words:literal,)*) => {
        /// Something worth counting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Mark {
            $($(#[$doc])* $mark,)*
        }

        impl Mark {
            /// All of them, in the order of their numbers.
            pub(super) const ALL: &[(Self, &str)] = &[$((Self::$mark, $words),)*];
        }
    };
}

marks! {
    /// A replica ended where it was.
    Crash: "crashes",
    /// A replica ended in the midst of its work.
    CrashAtWork: "crashes at work",
    /// A replica was asked to stop.
    Shutdown: "shutdowns",
    /// A replica began again under the name it had.
    SameName: "restarts under the same name",
    /// A replica's requests hung for longer than others wait for it.
    Zombie: "zombies",
    /// A commit went through after that.
    LateCommit: "commits of a zombie",
    /// The log was away.
    Outage: "outages of the log",
    /// All groups were lost.
    LostGroups: "losses of all groups",
    /// The log's clock moved forward.
    Jump: "jumps of the log's clock",
    /// A request did not arrive.
    LostRequest: "lost requests",
    /// A request was carried out and its answer lost, so it comes again.
    LostAnswer: "lost answers",
    /// A commit arrived long after its sender had given it up, and perhaps repeated it.
    Straggler: "commits that arrived after their repetition",
    /// A request or its answer took long.
    Delay: "delays",
    /// Entries of different streams changed places.
    Reorder: "reorderings between streams",
    /// Entries of one stream were kept back while others went on.
    KeptBack: "streams kept back",
    /// An engine was away.
    EngineAway: "engines away",
    /// The event stream of an engine broke.
    EventsBroken: "broken event streams",
    /// An engine did not answer one request.
    EngineError: "failed engine requests",
    /// An engine said nothing about a restart, and it was done or not.
    RestartUnclear: "restarts without an answer",
    /// A channel did not take a message now.
    DeliveryRetry: "deliveries put off",
    /// A channel did not take a message at all.
    DeliveryRefused: "deliveries refused",

    /// A container ended with an error.
    Died: "deaths of containers",
    /// The kernel killed a container for memory.
    OomKilled: "kills for memory",
    /// A health check failed.
    Unhealthy: "failed health checks",
    /// A container used all its processors.
    Hot: "spikes of CPU",
    /// A person stopped a container.
    Stopped: "stops by a person",
    /// A person froze a container.
    Paused: "pauses by a person",
    /// A container was replaced by another of its name.
    Replaced: "replaced containers",
    /// The engine started a container by its own policy.
    RestartedByEngine: "restarts by the engine",

    /// An entry came to another replica than before.
    TakenOver: "entries taken over",
    /// A commit was refused because its input was somebody else's.
    Fenced: "fenced commits",
    /// A commit found another version of the state.
    Conflict: "conflicts",
    /// A commit waited for an earlier entry of its container.
    Early: "early commits",
    /// A commit was there already.
    Duplicate: "duplicates",
    /// A monitor got a lease that another had.
    LeaseMoved: "leases that moved",
    /// A responder really restarted a container.
    Restarted: "restarts by responders",
    /// A restart under an intent that had its outcome already.
    RestartedLate: "restarts by zombies",
    /// A message was delivered.
    Delivered: "deliveries",
    /// An input became a dead letter.
    Letter: "dead letters",
}

/// The counts.
#[derive(Debug)]
pub(super) struct Tally([AtomicU64; Mark::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Tally {
    pub(super) fn count(&self, mark: Mark) {
        self.0[mark as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn of(&self, mark: Mark) -> u64 {
        self.0[mark as usize].load(Ordering::Relaxed)
    }

    /// Adds what another tally counted.
    pub(super) fn add(&self, other: &Self) {
        for (mine, theirs) in self.0.iter().zip(&other.0) {
            mine.fetch_add(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}
