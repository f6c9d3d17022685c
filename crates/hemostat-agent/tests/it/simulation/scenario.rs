//! What a seed decides before anything begins: how large the world is, how the agents are set, and which faults there
//! are.
//!
//! Every seed leaves some kinds of faults out (swarm testing: Groce and others, 2012): a fault that is there all the
//! time hides what another one would show.

use std::time::Duration;

use hemostat_core::detect::{self, NOfM};
use hemostat_core::diagnose;
use hemostat_core::remediate::{Breaker, Policy};
use hemostat_event::{Channel, HostName};

use super::random::Random;

/// What a seed decides.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) partitions: u16,
    pub(super) hosts: Vec<HostName>,
    /// Containers of each host.
    pub(super) containers: Vec<usize>,
    /// Monitors and responders of each host, and analyzers and alert agents in all.
    pub(super) replicas: Replicas,
    pub(super) channels: Vec<Channel>,
    pub(super) claim_after: Duration,
    pub(super) attempts_max: u32,
    pub(super) poll: Duration,
    pub(super) detect: detect::Settings,
    pub(super) analyzer: diagnose::Settings,
    pub(super) policy: Policy,
    /// How long there are faults.
    pub(super) lasts: Duration,
    pub(super) weather: Weather,
    /// The faults there are, each as often as it stands here.
    pub(super) blows: Vec<Blow>,
    /// Longest time between two of them, in seconds.
    pub(super) blow_every_secs: u64,
    /// Longest time between two things that happen to a container, in seconds.
    pub(super) happens_every_secs: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Replicas {
    pub(super) monitors: usize,
    pub(super) analyzers: usize,
    pub(super) responders: usize,
    pub(super) alerters: usize,
}

/// How often a request meets each fault, in a thousand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) delay: u64,
    pub(super) lost_request: u64,
    pub(super) lost_answer: u64,
    pub(super) straggler: u64,
    pub(super) reorder: u64,
    pub(super) keep_back: u64,
    pub(super) engine_error: u64,
    pub(super) delivery: u64,
    /// A replica dies in the midst of its work.
    pub(super) death: u64,
    /// It hangs there, for longer than others wait.
    pub(super) hang: u64,
}

/// A fault that happens at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    Crash,
    Shutdown,
    Stall,
    Outage,
    LoseGroups,
    Jump,
    EngineAway,
    BreakEvents,
}

/// Every kind of blow, and how often it comes where it comes at all.
const BLOWS: [(Blow, usize); 8] = [
    (Blow::Crash, 5),
    (Blow::Shutdown, 2),
    (Blow::Stall, 4),
    (Blow::Outage, 2),
    (Blow::LoseGroups, 2),
    (Blow::Jump, 2),
    (Blow::EngineAway, 1),
    (Blow::BreakEvents, 1),
];

impl Scenario {
    pub(super) fn of(random: &mut Random) -> Self {
        let hosts: Vec<_> = ["alpha", "beta"][..if random.chance(400) { 2 } else { 1 }]
            .iter()
            .map(|name| HostName::new(*name).expect("a word is a host name"))
            .collect();
        let most = if hosts.len() == 1 { 4 } else { 2 };
        let containers = hosts.iter().map(|_| 1 + random.index(most)).collect();
        let mut some = |most: usize| 1 + random.index(most);
        let replicas =
            Replicas { monitors: some(2), analyzers: some(2), responders: some(2), alerters: some(2) };
        let channels = if random.chance(500) {
            vec![Channel::Terminal]
        } else {
            vec![Channel::Webhook, Channel::Terminal]
        };
        Self {
            partitions: random.pick(&[1, 1, 2, 3]),
            hosts,
            containers,
            replicas,
            channels,
            claim_after: random.secs(3, 15),
            attempts_max: random.pick(&[6, 10]),
            poll: random.secs(5, 15),
            detect: detect_settings(random),
            analyzer: diagnose::Settings {
                plan_ttl: random.secs(30, 120),
                plans_max: random.pick(&[2, 3, 10]),
                consult: false,
            },
            policy: policy(random),
            lasts: random.secs(60, 180),
            weather: Weather::of(random),
            blows: blows(random),
            blow_every_secs: 4 + random.below(20),
            happens_every_secs: 15 + random.below(60),
        }
    }
}

impl Weather {
    fn of(random: &mut Random) -> Self {
        let mut often = |most: u64| if random.chance(350) { 0 } else { 1 + random.below(most) };
        Self {
            delay: often(300),
            lost_request: often(30),
            lost_answer: often(40),
            straggler: often(40),
            reorder: often(500),
            keep_back: often(200),
            engine_error: often(60),
            delivery: often(200),
            death: often(10),
            hang: often(15),
        }
    }

    /// No faults.
    pub(super) const fn calm() -> Self {
        Self {
            delay: 0,
            lost_request: 0,
            lost_answer: 0,
            straggler: 0,
            reorder: 0,
            keep_back: 0,
            engine_error: 0,
            delivery: 0,
            death: 0,
            hang: 0,
        }
    }
}

/// Some kinds of blows, and in one seed of twenty none.
fn blows(random: &mut Random) -> Vec<Blow> {
    if random.chance(50) {
        return Vec::new();
    }
    let some = BLOWS.into_iter().filter(|_| random.chance(650));
    some.flat_map(|(blow, often)| std::iter::repeat_n(blow, often)).collect()
}

/// Quicker than the defaults, so that much happens in little time.
fn detect_settings(random: &mut Random) -> detect::Settings {
    detect::Settings {
        fire: NOfM { needed: 1, of: 1 },
        sustained: NOfM { needed: 2, of: 3 },
        clear_after: 2,
        stable_for: random.secs(5, 20),
        loop_window: random.secs(60, 300),
        realert_after: random.secs(20, 120),
        ..detect::Settings::default()
    }
}

/// Quicker than the defaults, so that budgets are spent and are there again within one run.
fn policy(random: &mut Random) -> Policy {
    let policy = Policy {
        cooldown: random.secs(0, 30),
        budget: 1 + u32::try_from(random.below(3)).expect("it is below 3"),
        window: random.secs(60, 300),
        breaker: Breaker {
            failures: 2 + u32::try_from(random.below(2)).expect("it is below 2"),
            open_for: random.secs(20, 60),
            open_max: Duration::from_secs(240),
        },
        confidence_min: random.pick(&[0.5, 0.7]),
        stabilise: random.secs(3, 20),
        dry_run: random.chance(40),
        ..Policy::default()
    };
    assert_eq!(policy.validate(), Vec::<String>::new(), "the policy makes sense");
    policy
}
