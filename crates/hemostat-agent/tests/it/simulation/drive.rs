//! One run: a world and its agents from the first moment to the last, as a seed says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use hemostat_agent::memory::log::{Defect, MemoryLog};
use hemostat_event::{Role, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::cast::{Part, Replica};
use super::judge::{self, Verdict};
use super::random::Random;
use super::referee::{Finding, Referee};
use super::scenario::{Blow, Scenario};
use super::stage::Stage;
use super::tally::{Mark, Tally};
use super::world::World;

/// What came of a seed.
pub(super) struct Run {
    pub(super) findings: Vec<Finding>,
    pub(super) verdict: Verdict,
    /// Simulated time.
    pub(super) took: Duration,
    pub(super) stage: Arc<Stage>,
}

impl Run {
    /// The promises that are broken.
    pub(super) fn promises(&self) -> BTreeSet<&'static str> {
        self.findings.iter().map(|finding| finding.promise).collect()
    }
}

/// Runs a seed, on a log with a defect or without.
pub(super) fn run(seed: u64, defect: Option<Defect>) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without files and sockets");
    // Made inside: only there the clock stands.
    runtime.block_on(async { Drive::new(seed, defect).run().await })
}

/// When every run begins.
const START_MILLIS: u64 = 1_700_000_000_000;

struct Drive {
    stage: Arc<Stage>,
    random: Random,
    replicas: Vec<Replica>,
    began: Instant,
    /// Replicas started so far.
    started: u32,
    /// Numbers of replicas that wait for their end.
    doomed: mpsc::Receiver<u32>,
    /// Outages of the log that are under way.
    outages: Arc<AtomicU32>,
}

impl Drive {
    fn new(seed: u64, defect: Option<Defect>) -> Self {
        let mut random = Random::new(seed);
        let scenario = Scenario::of(&mut random);
        let start = Timestamp::from_millis(START_MILLIS);
        let (doomed, doomed_rx) = mpsc::channel(64);
        let log = MemoryLog::new(scenario.partitions, start);
        let stage = Stage {
            world: World::new(start, &scenario, random.fork()),
            log: match defect {
                Some(defect) => log.with(defect),
                None => log,
            },
            scenario,
            tally: Tally::default(),
            referee: Referee::default(),
            doomed,
            calm: AtomicBool::new(false),
        };
        Self {
            stage: Arc::new(stage),
            random,
            replicas: Vec::new(),
            began: Instant::now(),
            started: 0,
            doomed: doomed_rx,
            outages: Arc::default(),
        }
    }

    async fn run(mut self) -> Run {
        self.begin();
        let lasts = self.stage.scenario.lasts;
        while self.began.elapsed() < lasts {
            let until = Instant::now() + self.random.secs(1, self.stage.scenario.blow_every_secs);
            while let Ok(Some(number)) = timeout_at(until, self.doomed.recv()).await {
                self.bury(number).await;
            }
            if !self.stage.scenario.blows.is_empty() {
                let blow = self.random.pick(&self.stage.scenario.blows);
                self.strike(blow).await;
            }
        }
        self.calm_down().await;
        let verdict = judge::judge(&self.stage).await;
        let mut findings = self.stage.referee.findings();
        findings.extend(verdict.findings.iter().cloned());
        Run { findings, verdict, took: self.began.elapsed(), stage: self.stage }
    }

    fn begin(&mut self) {
        let mut n = 0;
        for host in 0..self.stage.scenario.hosts.len() {
            for _container in 0..self.stage.scenario.containers[host] {
                n += 1;
                let tenant = self.stage.world.settle_in(host, n);
                tokio::spawn(Arc::clone(&self.stage).live(tenant));
            }
        }
        let replicas = self.stage.scenario.replicas;
        let mut parts = Vec::new();
        for host in 0..self.stage.scenario.hosts.len() {
            parts.extend(std::iter::repeat_n(Part { role: Role::Monitor, host }, replicas.monitors));
            parts.extend(std::iter::repeat_n(Part { role: Role::Responder, host }, replicas.responders));
        }
        parts.extend(std::iter::repeat_n(Part { role: Role::Analyzer, host: 0 }, replicas.analyzers));
        parts.extend(std::iter::repeat_n(Part { role: Role::Alert, host: 0 }, replicas.alerters));
        for part in parts {
            self.start(part, None);
        }
    }

    /// Starts a replica, under the name of one that is gone or a new one.
    fn start(&mut self, part: Part, name: Option<String>) {
        self.started += 1;
        let name = name.unwrap_or_else(|| format!("{}-{}", part.role, self.started));
        let random = self.random.fork();
        self.replicas.push(Replica::start(&self.stage, part, name, self.started, random));
    }

    async fn strike(&mut self, blow: Blow) {
        let stage = Arc::clone(&self.stage);
        match blow {
            Blow::Crash => {
                stage.tally.count(Mark::Crash);
                let which = self.random.index(self.replicas.len());
                self.replace(which, false).await;
            }
            Blow::Shutdown => {
                stage.tally.count(Mark::Shutdown);
                let which = self.random.index(self.replicas.len());
                self.replace(which, true).await;
            }
            Blow::Stall => {
                let claim_after = stage.scenario.claim_after;
                let which = self.random.index(self.replicas.len());
                let span = if self.random.chance(700) {
                    claim_after + self.random.secs(1, 20)
                } else {
                    self.random.millis(100, 3_000)
                };
                self.replicas[which].line.stall(span);
            }
            Blow::Outage => {
                stage.tally.count(Mark::Outage);
                let most = self.random.pick(&[1, 5, 30]);
                let span = self.random.millis(100, most * 1_000);
                let outages = Arc::clone(&self.outages);
                outages.fetch_add(1, Ordering::Relaxed);
                stage.log.set_down(true);
                tokio::spawn(async move {
                    sleep(span).await;
                    if outages.fetch_sub(1, Ordering::Relaxed) == 1 {
                        stage.log.set_down(false);
                    }
                });
            }
            Blow::LoseGroups => {
                stage.tally.count(Mark::LostGroups);
                stage.referee.groups_lost();
                stage.log.lose_groups();
            }
            Blow::Jump => {
                stage.tally.count(Mark::Jump);
                let most = self.random.pick(&[1, 20, 400]);
                let by = self.random.secs(0, most);
                stage.log.advance(by);
                // The hosts go along, or another server has taken over whose clock is wrong.
                if self.random.chance(700) {
                    stage.world.jump(by);
                }
            }
            Blow::EngineAway => {
                stage.tally.count(Mark::EngineAway);
                let host = self.random.index(stage.scenario.hosts.len());
                let span = self.random.millis(100, 20_000);
                stage.world.engine(host).set_down(true);
                tokio::spawn(async move {
                    sleep(span).await;
                    stage.world.engine(host).set_down(false);
                });
            }
            Blow::BreakEvents => {
                stage.tally.count(Mark::EventsBroken);
                let host = self.random.index(stage.scenario.hosts.len());
                stage.world.engine(host).break_events();
            }
        }
    }

    /// Ends a replica that died at its work, unless something else was quicker.
    async fn bury(&mut self, number: u32) {
        if let Some(which) = self.replicas.iter().position(|replica| replica.number == number) {
            self.replace(which, false).await;
        }
    }

    /// Ends a replica, and starts another one in its place.
    async fn replace(&mut self, which: usize, gently: bool) {
        let replica = self.replicas.swap_remove(which);
        let (part, name) = (replica.part, replica.name.clone());
        let wrong = if gently { replica.stop().await } else { replica.kill().await };
        if let Some(wrong) = wrong {
            self.stage.referee.find("agent-runs", wrong);
        }
        let most = self.random.pick(&[0, 2_000, 2_000, 15_000]);
        let span = self.random.millis(0, most);
        sleep(span).await;
        let same = self.random.chance(400);
        if same {
            self.stage.tally.count(Mark::SameName);
        }
        self.start(part, same.then_some(name));
    }

    /// Ends all faults and waits until everything is dealt with; then ends the agents.
    async fn calm_down(&mut self) {
        self.stage.calm.store(true, Ordering::Relaxed);
        self.stage.world.settle();
        // What is under way ends: the longest stall, outage, delay.
        sleep(LAST_FAULT).await;
        while let Ok(number) = self.doomed.try_recv() {
            self.bury(number).await;
        }
        self.stage.log.set_down(false);
        let (monitors, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.replicas)
            .into_iter()
            .partition(|replica| replica.part.role == Role::Monitor);
        self.replicas = others;
        self.end(monitors).await;
        let deadline = Instant::now() + QUIET_WITHIN;
        loop {
            let open = judge::open(&self.stage).await;
            if open.is_empty() {
                break;
            }
            if deadline <= Instant::now() {
                for what in open {
                    self.stage.referee.find("liveness", what);
                }
                break;
            }
            sleep(Duration::from_secs(5)).await;
        }
        let rest = std::mem::take(&mut self.replicas);
        self.end(rest).await;
    }

    async fn end(&self, replicas: Vec<Replica>) {
        for replica in replicas {
            if replica.has_ended() {
                let detail = format!("{} has ended by itself", replica.name);
                self.stage.referee.find("agent-runs", detail);
            }
            if let Some(wrong) = replica.stop().await {
                self.stage.referee.find("agent-runs", wrong);
            }
        }
    }
}

/// After this no fault is under way any more.
const LAST_FAULT: Duration = Duration::from_secs(40);
/// After this, without any fault, everything has been dealt with: a plan that failed again and again waits for some
/// four minutes between two tries.
const QUIET_WITHIN: Duration = Duration::from_secs(3_600);
