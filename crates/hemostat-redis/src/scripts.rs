//! The scripts: what is done on the server as a whole.
//!
//! A script is called by its digest, and in full where the server does not know it, which is normal after a restart,
//! a failover or `SCRIPT FLUSH` ([`Link::run`](crate::link::Link::run)).

use std::sync::LazyLock;

use redis::Cmd;

/// A script.
pub(crate) struct Script {
    code: &'static str,
    digest: LazyLock<String>,
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $flags:literal, $($file:literal),+;)*) => {
        $(
            $(#[$doc])*
            pub(crate) static $name: Script = Script {
                code: concat!("#!lua ", $flags, "\n", include_str!("scripts/common.lua") $(, include_str!($file))+),
                digest: LazyLock::new(|| redis::Script::new($name.code).get_hash().to_owned()),
            };
        )*
    };
}

// Those without growth go on at `maxmemory`. Those without a flag are refused there, as a whole.
scripts! {
    /// Makes commits.
    COMMIT = "", "scripts/events.lua", "scripts/commit.lua";
    /// Appends events.
    APPEND = "", "scripts/events.lua", "scripts/append.lua";
    /// Hands a dead letter out once more.
    REDRIVE = "", "scripts/events.lua", "scripts/redrive.lua";
    /// Makes groups that are missing.
    JOIN = "", "scripts/join.lua";
    /// Moves a group that reads along.
    ADVANCE = "flags=allow-oom", "scripts/advance.lua";
    /// Renews entries.
    RENEW = "flags=allow-oom", "scripts/renew.lua";
    /// Gives entries back.
    HAND_OVER = "flags=allow-oom", "scripts/hand_over.lua";
    /// Gives timers back.
    GIVE_BACK = "flags=allow-oom", "scripts/give_back.lua";
    /// Gives a consumer what those before it in its slot left, and forgets consumers that are gone.
    INHERIT = "flags=allow-oom", "scripts/inherit.lua";
    /// Takes due timers.
    TAKE_DUE = "flags=allow-oom", "scripts/take_due.lua";
    /// Takes or renews a lease.
    LEASE = "flags=allow-oom", "scripts/lease.lua";
    /// Gives a lease back.
    RELEASE = "flags=allow-oom", "scripts/release.lua";
    /// Announces a replica.
    ANNOUNCE = "flags=allow-oom", "scripts/announce.lua";
    /// Notes signs of life of members.
    KEEP = "flags=allow-oom", "scripts/keep.lua";
    /// Trims a stream.
    TRIM = "flags=allow-oom", "scripts/trim.lua";
    /// Forgets the last entries of containers that are gone.
    FORGET = "flags=allow-oom", "scripts/forget.lua";
    /// Takes abandoned groups away.
    REAP = "flags=allow-oom", "scripts/reap.lua";
    /// Says a message to the Python HemoStat and writes its keys.
    SAY = "", "scripts/say.lua";
    /// Marks a new log as a shadow.
    MARK = "", "scripts/mark.lua";
    /// Puts a shadow in the place of a log.
    ADOPT = "", "scripts/adopt.lua";
    /// Puts states in the place of those that are there.
    SWAP = "", "scripts/swap.lua";
    /// Tells states and deadlines.
    SNAPSHOT = "flags=no-writes", "scripts/snapshot.lua";
    /// Tells from where groups would go on.
    CURSORS = "flags=no-writes", "scripts/cursors.lua";
    /// Tells how far groups have come.
    GROUPS = "flags=no-writes", "scripts/groups.lua";
}

impl Script {
    /// A call on the partition whose sequence has the key `seq`; the arguments are to be added.
    ///
    /// A second key is declared that never exists. So a node of a cluster answers `TRYAGAIN` or `ASK` before the first
    /// line as long as the partition's slot is on its way to another node. With one key it would begin, and fail in
    /// the middle at the first key that is gone already or was never made.
    pub(crate) fn call(&self, seq: &str) -> Cmd {
        let moving = format!("{}moving", seq.strip_suffix("seq").unwrap_or(seq));
        let mut call = redis::cmd("EVALSHA");
        call.arg(self.digest.as_str()).arg(2).arg(seq).arg(moving);
        call
    }

    /// Makes the server know the script.
    pub(crate) fn load(&self) -> Cmd {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(self.code);
        load
    }

    /// The same call with the script itself, after which the server knows it.
    pub(crate) fn in_full(&self, call: &Cmd) -> Cmd {
        let mut full = redis::cmd("EVAL");
        full.arg(self.code);
        for argument in call.args_iter().skip(2) {
            if let redis::Arg::Simple(argument) = argument {
                full.arg(argument);
            }
        }
        full
    }
}
