//! The fault suite: real processes of all agents die, and stand still longer than anybody waits for them, at random
//! points of their work, and Redis with them. Afterwards the log is read and held to every promise.
//!
//! The short run is one of the tests; `scripts/chaos.sh` makes the long one of the same code. The schedule of faults
//! is a function of the seed. What a fault hits is not: the processes are real.

mod cast;
mod channel;
mod dice;
mod load;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hemostat_docker::testing::Lab;
use hemostat_event::Role;
use tokio::time::{Instant, sleep, sleep_until};

use cast::Cast;
use channel::Channel;
use dice::{Fault, Schedule};
use load::Load;
use verdict::Verdict;

use crate::rig::{self, hemostat_replay};

/// How long a run is, and which.
#[derive(Debug, Clone, Copy)]
struct Run {
    seed: u64,
    kills: usize,
    /// The faults end by then, even if there were fewer.
    limit: Duration,
    /// Whether somebody waits at a terminal, who may press Ctrl-C.
    by_hand: bool,
}

impl Run {
    /// The short run, or what `scripts/chaos.sh` asks for.
    fn chosen() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let number = |name: &str| -> Option<u64> {
            variable(name)
                .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}: {value} is no number")))
        };
        let kills = number("HEMOSTAT_CHAOS_KILLS");
        Self {
            seed: number("HEMOSTAT_CHAOS_SEED").unwrap_or(20_251_125),
            kills: kills.map_or(SHORT_KILLS, |kills| usize::try_from(kills).unwrap_or(usize::MAX)),
            limit: number("HEMOSTAT_CHAOS_SECONDS").map_or(LIMIT, Duration::from_secs),
            by_hand: kills.is_some(),
        }
    }
}

/// Kills of the short run.
const SHORT_KILLS: usize = 40;
/// Longest time for the faults of a run.
const LIMIT: Duration = Duration::from_secs(3_600);
/// How often the processes are looked after.
const TEND_EVERY: Duration = Duration::from_millis(25);

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_while_processes_die_at_random_points() {
    let run = Run::chosen();
    println!("seed {}", run.seed);
    let _engine = crate::rig::ENGINE.lock().await;
    let lab = Lab::start().await.expect("a container engine");
    let channel = Channel::open().await;
    let mut load = Load::start(&lab).await;
    let mut cast = Cast::start(load.url(), channel.url());

    let mut tally = Tally::default();
    let mut judged = tokio::select! {
        verdict = perform(run, &mut cast, &mut load, &channel, &mut tally) => Some(verdict),
        () = interruption(), if run.by_hand => None,
    };
    drop(cast);
    if let Some(verdict) = &mut judged {
        verdict.violations.extend(rebuilt(&load));
    }
    lab.cleanup().await.expect("the lab is cleaned up");
    let Some(verdict) = judged else { panic!("interrupted after {} kills", tally.kills()) };
    println!("{tally}{verdict}");
    assert!(verdict.violations.is_empty(), "{} violations, seed {}", verdict.violations.len(), run.seed);
    assert!(run.kills == tally.kills() || run.limit != LIMIT, "only {} kills", tally.kills());
    // A run in which nothing happened proves nothing.
    assert!(0 < verdict.restarts && 0 < verdict.deliveries && 0 < verdict.verdicts, "nothing happened");
}

/// What `hemostat-replay rebuild --check` finds.
fn rebuilt(load: &Load) -> Vec<String> {
    let arguments = ["rebuild", "--check", "--output", "json"];
    let check = rig::run(hemostat_replay(&arguments).args(["--redis", &load.url()]));
    let Ok(found) = serde_json::from_str::<serde_json::Value>(&check.out) else {
        return vec![format!("rebuild --check exits with {}: {}", check.code, check.err)];
    };
    let states = found["states"].as_u64();
    let differences = found["differences"].as_array().cloned().unwrap_or_default();
    println!("rebuild --check: {} states", states.unwrap_or(0));
    let none = states.is_none_or(|states| states == 0).then(|| "rebuild --check compared nothing".to_owned());
    // The load tells of containers that nobody watches: no monitor has a state of them.
    let by_load = |difference: &serde_json::Value| {
        let told = difference["container"].as_str().is_some_and(|name| name.contains("/told"));
        told && difference["role"] == "monitor"
    };
    let others = differences.iter().filter(|difference| !by_load(difference));
    none.into_iter().chain(others.map(|difference| format!("L-3: rebuild --check: {difference}"))).collect()
}

/// The whole run, and what is to be said of it.
async fn perform(
    run: Run,
    cast: &mut Cast,
    load: &mut Load,
    channel: &Channel,
    tally: &mut Tally,
) -> Verdict {
    disturb(run, cast, load, tally).await;
    load.stop().await;
    cast.thaw();
    // Those who watch go first: what they would see of real containers never ends.
    let mut unclean = cast.end(Role::Monitor).await;
    let stuck = load.until_settled(cast).await;
    unclean.extend(cast.end_all().await);
    tally.restarted = cast.restarted();
    Verdict::read(load, channel, stuck.into_iter().chain(unclean)).await
}

/// Lets the faults of the schedule happen.
async fn disturb(run: Run, cast: &mut Cast, load: &mut Load, tally: &mut Tally) {
    let end = Instant::now() + run.limit;
    let mut next = Instant::now();
    for step in Schedule::new(run.seed) {
        if run.kills <= tally.kills() || end <= next {
            return;
        }
        next += step.after;
        while Instant::now() < next {
            cast.tend();
            load.check();
            sleep_until(next.min(Instant::now() + TEND_EVERY)).await;
        }
        match step.fault {
            Fault::Kill { role, place } => {
                cast.kill(role, place);
                *tally.killed.entry(role).or_default() += 1;
            }
            Fault::Freeze { role, place, span } => {
                cast.freeze(role, place, span);
                *tally.frozen.entry(role).or_default() += 1;
            }
            Fault::Redis { in_order, down } => {
                load.redis_down(in_order).await;
                sleep(down).await;
                load.redis_up().await;
                *(if in_order { &mut tally.redis_ended } else { &mut tally.redis_killed }) += 1;
                // Time without Redis is no time without faults: the schedule goes on from here.
                next = Instant::now();
            }
        }
        if run.by_hand && tally.kills().is_multiple_of(50) && !matches!(step.fault, Fault::Redis { .. }) {
            println!("{} of {} kills", tally.kills(), run.kills);
        }
    }
}

/// Ends when somebody presses Ctrl-C, or ends this process in order.
async fn interruption() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("the system gives signals");
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.expect("the system gives signals"),
        _ = terminate.recv() => {}
    }
}

/// What was done to the processes.
#[derive(Debug, Default)]
struct Tally {
    killed: BTreeMap<Role, usize>,
    frozen: BTreeMap<Role, usize>,
    redis_killed: usize,
    redis_ended: usize,
    /// Processes that ended by themselves and were started again: at their start Redis was away.
    restarted: usize,
}

impl Tally {
    fn kills(&self) -> usize {
        self.killed.values().chain(self.frozen.values()).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_role = |counts: &BTreeMap<Role, usize>| {
            let parts: Vec<_> = counts.iter().map(|(role, count)| format!("{role} {count}")).collect();
            (counts.values().sum::<usize>(), parts.join(", "))
        };
        let ((killed, killed_by), (frozen, frozen_by)) = (by_role(&self.killed), by_role(&self.frozen));
        writeln!(
            f,
            "kills {}: SIGKILL {killed} ({killed_by}), zombies {frozen} ({frozen_by})",
            self.kills()
        )?;
        writeln!(f, "processes that ended by themselves {}", self.restarted)?;
        let (by_kill, in_order) = (self.redis_killed, self.redis_ended);
        writeln!(f, "redis restarts {} (killed {by_kill}, in order {in_order})", by_kill + in_order)
    }
}
