//! Hosts with engines and containers that live, fall ill and recover as the seed says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hemostat_agent::memory::containers::MemoryContainers;
use hemostat_core::engine::{Counters, EngineEventKind, Inspection, RestartPolicy};
use hemostat_event::{ContainerId, Health, RunState, Timestamp};
use tokio::time::{Instant, sleep};

use super::random::Random;
use super::scenario::Scenario;
use super::stage::Stage;
use super::tally::Mark;

/// The hosts.
#[derive(Debug)]
pub(super) struct World {
    start: Timestamp,
    began: Instant,
    engines: Vec<MemoryContainers>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How far the hosts' clocks were moved.
    ahead: Duration,
    /// Nothing happens by itself any more.
    settled: bool,
    /// Containers there ever were, with the number of their host.
    ids: BTreeMap<ContainerId, usize>,
    /// Of these, those that are busy with all processors.
    hot: BTreeSet<ContainerId>,
    /// CPU time used so far, and when that was worked out.
    cpu: BTreeMap<ContainerId, (u64, Timestamp)>,
    random: Random,
}

/// One name on one host: a container, and those that replace it.
pub(super) struct Tenant {
    host: usize,
    name: String,
    id: ContainerId,
    random: Random,
}

/// What a container may do next.
#[derive(Clone, Copy)]
enum Turn {
    Die,
    Oom,
    FallIll,
    RunHot,
    BeStopped,
    BePaused,
    BeReplaced,
    Start,
    Recover,
    Nothing,
}

impl World {
    pub(super) fn new(start: Timestamp, scenario: &Scenario, random: Random) -> Self {
        Self {
            start,
            began: Instant::now(),
            engines: scenario.hosts.iter().map(|_| MemoryContainers::new(start)).collect(),
            state: Mutex::new(State {
                ahead: Duration::ZERO,
                settled: false,
                ids: BTreeMap::new(),
                hot: BTreeSet::new(),
                cpu: BTreeMap::new(),
                random,
            }),
        }
    }

    /// The engine of a host, its clock set.
    pub(super) fn engine(&self, host: usize) -> &MemoryContainers {
        let engine = &self.engines[host];
        let now = self.start + self.began.elapsed() + self.lock().ahead;
        engine.advance(now.since(engine.now()));
        engine
    }

    /// Moves the clocks of the hosts.
    pub(super) fn jump(&self, by: Duration) {
        self.lock().ahead += by;
    }

    /// Whether a host ever had a container.
    pub(super) fn knew(&self, host: usize, id: &ContainerId) -> bool {
        self.lock().ids.get(id) == Some(&host)
    }

    /// Puts a running container on a host.
    pub(super) fn settle_in(&self, host: usize, n: usize) -> Tenant {
        let mut random = self.lock().random.fork();
        let name = format!("c{n}");
        let id = self.put(host, &name, &mut random);
        Tenant { host, name, id, random }
    }

    /// Ends all that happens by itself; what is ill stays so or not.
    pub(super) fn settle(&self) {
        self.lock().settled = true;
    }

    /// Sets what the engine will measure of a container.
    pub(super) fn measure(&self, host: usize, id: &ContainerId) {
        let engine = self.engine(host);
        let now = engine.now();
        let mut state = self.lock();
        if !state.ids.contains_key(id) {
            return;
        }
        let hot = state.hot.contains(id);
        let (used, at) = state.cpu.entry(id.clone()).or_insert((0, now));
        let share = if hot { 1.99 } else { 0.1 };
        *used += Duration::from_secs_f64(now.since(*at).as_secs_f64() * share).as_nanos() as u64;
        *at = now;
        let counters = Counters {
            read_at: now,
            cpu_usage_ns: Some(*used),
            cpus_online: Some(2),
            memory_bytes: Some(100 << 20),
            memory_limit_bytes: Some(512 << 20),
            pids: Some(5),
            ..Counters::default()
        };
        drop(state);
        if self.state_of(host, id).is_some() {
            engine.set_counters(id, counters);
        }
    }

    /// What the container is doing; `None` when there is none.
    fn state_of(&self, host: usize, id: &ContainerId) -> Option<(RunState, Health)> {
        self.engines[host].inspection(id).map(|seen| (seen.state, seen.health))
    }

    fn put(&self, host: usize, name: &str, random: &mut Random) -> ContainerId {
        let engine = self.engine(host);
        let id = ContainerId::new(format!("{:064x}", random.next())).expect("64 digits are an id");
        let mode = random.pick(&["auto", "auto", "auto", "auto", "observe"]);
        let restart_policy = if random.chance(300) { RestartPolicy::Always } else { RestartPolicy::No };
        let health = if random.chance(600) { Health::Healthy } else { Health::None };
        let inspection = Inspection {
            name: name.to_owned(),
            image: format!("{name}:1"),
            labels: [("hemostat.mode".to_owned(), mode.to_owned())].into(),
            state: RunState::Running,
            health,
            started_at: Some(engine.now()),
            restart_policy,
            ..Inspection::default()
        };
        engine.put(&id, inspection);
        self.lock().ids.insert(id.clone(), host);
        id
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    /// Lets a name live until the world settles.
    pub(super) async fn live(self: Arc<Self>, mut tenant: Tenant) {
        loop {
            let span = tenant.random.secs(1, self.scenario.happens_every_secs);
            sleep(span).await;
            if self.world.lock().settled {
                return;
            }
            let turn = self.world.next_turn(&mut tenant);
            self.take_turn(&mut tenant, turn).await;
        }
    }

    async fn take_turn(self: &Arc<Self>, tenant: &mut Tenant, turn: Turn) {
        let (host, id) = (tenant.host, tenant.id.clone());
        let engine = self.world.engine(host);
        match turn {
            Turn::Die => {
                let code = tenant.random.pick(&[1, 1, 2, 134, 139, 137, 127, 0]);
                engine.exit(&id, code);
                self.tally.count(Mark::Died);
                self.engine_restarts(tenant).await;
            }
            Turn::Oom => {
                engine.happen(&id, EngineEventKind::Oom);
                self.tally.count(Mark::OomKilled);
                if tenant.random.chance(800) {
                    engine.exit(&id, 137);
                    engine.update(&id, |seen| seen.oom_killed = true);
                    self.engine_restarts(tenant).await;
                }
            }
            Turn::FallIll => {
                self.world.answer_health(host, &id, Health::Unhealthy);
                self.tally.count(Mark::Unhealthy);
            }
            Turn::RunHot => {
                self.world.lock().hot.insert(id);
                self.tally.count(Mark::Hot);
            }
            Turn::BeStopped => {
                self.tally.count(Mark::Stopped);
                self.world.stop(host, &id);
            }
            Turn::BePaused => {
                engine.update(&id, |seen| seen.state = RunState::Paused);
                engine.happen(&id, EngineEventKind::Pause);
                self.tally.count(Mark::Paused);
            }
            Turn::BeReplaced => {
                self.world.stop(host, &id);
                engine.happen(&id, EngineEventKind::Destroy);
                engine.remove(&id);
                let span = tenant.random.millis(0, 5_000);
                sleep(span).await;
                tenant.id = self.world.put(host, &tenant.name, &mut tenant.random);
                let engine = self.world.engine(host);
                engine.happen(&tenant.id, EngineEventKind::Create);
                engine.happen(&tenant.id, EngineEventKind::Start);
                self.tally.count(Mark::Replaced);
                self.started(host, &tenant.id);
            }
            Turn::Start => self.start(host, &id),
            Turn::Recover => {
                self.world.lock().hot.remove(&id);
                if self.world.state_of(host, &id).is_some_and(|(_, health)| health == Health::Unhealthy) {
                    self.world.answer_health(host, &id, Health::Healthy);
                }
            }
            Turn::Nothing => {}
        }
    }

    /// The engine starts what has ended, where that is its policy.
    async fn engine_restarts(self: &Arc<Self>, tenant: &mut Tenant) {
        let (host, id) = (tenant.host, tenant.id.clone());
        let policy = self.world.engines[host].inspection(&id).map(|seen| seen.restart_policy);
        if policy != Some(RestartPolicy::Always) {
            return;
        }
        let span = tenant.random.millis(100, 5_000);
        sleep(span).await;
        if self.world.state_of(host, &id).is_some_and(|(state, _)| state == RunState::Exited) {
            self.world.engines[host].update(&id, |seen| seen.restart_count += 1);
            self.tally.count(Mark::RestartedByEngine);
            self.start(host, &id);
        }
    }

    fn start(self: &Arc<Self>, host: usize, id: &ContainerId) {
        let engine = self.world.engine(host);
        match self.world.state_of(host, id).map(|(state, _)| state) {
            Some(RunState::Paused) => {
                engine.update(id, |seen| seen.state = RunState::Running);
                engine.happen(id, EngineEventKind::Unpause);
            }
            Some(RunState::Exited) => {
                let at = engine.happen(id, EngineEventKind::Start);
                engine.update(id, |seen| {
                    seen.state = RunState::Running;
                    seen.started_at = Some(at);
                    seen.exit_code = None;
                    seen.oom_killed = false;
                });
                self.started(host, id);
            }
            _ => {}
        }
    }

    /// A new run has begun: its health check answers a moment later, and mostly well.
    pub(super) fn started(self: &Arc<Self>, host: usize, id: &ContainerId) {
        let (after, health) = {
            let mut state = self.world.lock();
            state.hot.remove(id);
            let random = &mut state.random;
            (random.millis(500, 6_000), random.pick(&[Health::Healthy, Health::Healthy, Health::Unhealthy]))
        };
        let Some(run) = self.world.engines[host].inspection(id) else { return };
        if run.health == Health::None {
            return;
        }
        self.world.engines[host].update(id, |seen| seen.health = Health::Starting);
        let (stage, id) = (Arc::clone(self), id.clone());
        tokio::spawn(async move {
            sleep(after).await;
            let now = stage.world.engines[host].inspection(&id);
            if now.is_some_and(|now| now.started_at == run.started_at && now.state == RunState::Running) {
                stage.world.answer_health(host, &id, health);
            }
        });
    }
}

impl World {
    fn next_turn(&self, tenant: &mut Tenant) -> Turn {
        let hot = self.lock().hot.contains(&tenant.id);
        let random = &mut tenant.random;
        match self.state_of(tenant.host, &tenant.id) {
            None => Turn::Nothing,
            Some((RunState::Running, Health::Unhealthy)) => {
                random.pick(&[Turn::Recover, Turn::Nothing, Turn::Die, Turn::BeStopped])
            }
            Some((RunState::Running, _)) if hot => {
                random.pick(&[Turn::Recover, Turn::Recover, Turn::Nothing, Turn::Die])
            }
            Some((RunState::Running, health)) => {
                let ill = if health == Health::None { Turn::RunHot } else { Turn::FallIll };
                random.pick(&[
                    Turn::Die,
                    Turn::Die,
                    Turn::Die,
                    Turn::Oom,
                    ill,
                    ill,
                    ill,
                    Turn::RunHot,
                    Turn::BeStopped,
                    Turn::BePaused,
                    Turn::BeReplaced,
                ])
            }
            Some(_) => random.pick(&[Turn::Start, Turn::Nothing]),
        }
    }

    /// A person stops it.
    fn stop(&self, host: usize, id: &ContainerId) {
        let engine = self.engine(host);
        engine.happen(id, EngineEventKind::Kill { signal: 15 });
        if self.state_of(host, id).is_some_and(|(state, _)| state == RunState::Running) {
            engine.exit(id, 143);
        }
        engine.happen(id, EngineEventKind::Stop);
    }

    fn answer_health(&self, host: usize, id: &ContainerId, health: Health) {
        let engine = self.engine(host);
        engine.update(id, |seen| {
            seen.health = health;
            seen.health_failing_streak = if health == Health::Unhealthy { 3 } else { 0 };
        });
        engine.happen(id, EngineEventKind::Health(health));
    }
}
