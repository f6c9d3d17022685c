//! The work: containers that turn sick again and again, alerts and recoveries of others, and the Redis under it all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use hemostat_agent::containers::Containers as _;
use hemostat_agent::log::{EventLog, GroupStatus};
use hemostat_core::engine::EngineEventKind;
use hemostat_docker::image::HealthCheck;
use hemostat_docker::testing::Lab;
use hemostat_docker::workload::WorkloadSpec;
use hemostat_event::{
    AnomalyKind, ContainerId, Data, Event, EventId, HealthRecovered, HostName, IncidentId, Recovery, Subject,
    Timestamp,
};
use hemostat_redis::testing::TestRedis;
use hemostat_redis::{RedisLog, RedisSettings};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::cast::Cast;
use crate::crashes::{container, crash, observed};

/// The engine's host in the log.
pub(super) const HOST: &str = "chaos-host";
/// A host without a responder, in another partition.
const ELSEWHERE: &str = "elsewhere-1";
pub(super) const NAMESPACE: &str = "hemostat";
pub(super) const PARTITIONS: u16 = 2;
/// The budget of every container, far below what its sickness asks for.
pub(super) const BUDGET: u32 = 2;
pub(super) const WINDOW: Duration = Duration::from_secs(12);
/// Containers on the engine.
const SICK: usize = 8;
/// Containers that are only told of, on each host.
const TOLD: usize = 20;
/// Time between two injected events.
const EVERY: Duration = Duration::from_millis(10);
/// Longest wait for the rest of the work after the last fault.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// What the processes have to deal with.
pub(super) struct Load {
    redis: TestRedis,
    pub(super) log: Arc<dyn EventLog>,
    injected: Arc<Mutex<BTreeSet<EventId>>>,
    stop: CancellationToken,
    injector: Option<tokio::task::JoinHandle<()>>,
    /// Starts of each container by its name, as the engine tells them.
    starts: Arc<Mutex<BTreeMap<ContainerId, usize>>>,
    pub(super) sick: Vec<(ContainerId, String)>,
    _watcher: AbortOnDropHandle<()>,
}

impl Load {
    pub(super) async fn start(lab: &Lab) -> Self {
        let redis = TestRedis::start_durable().await.expect("a redis-server");
        let settings =
            RedisSettings { url: redis.url(), namespace: NAMESPACE.to_owned(), partitions: Some(PARTITIONS) };
        let log: Arc<dyn EventLog> = Arc::new(RedisLog::connect(settings).await.expect("the log opens"));
        let hosts = hosts();
        assert_ne!(log.partition_of(&hosts[0]), log.partition_of(&hosts[1]), "both partitions have work");

        let starts = Arc::new(Mutex::new(BTreeMap::new()));
        let mut events = lab.engine().events(Timestamp::from_micros(1));
        let counted = Arc::clone(&starts);
        let watcher = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let Ok(event) = event
                    && event.kind == EngineEventKind::Start
                {
                    *counted.lock().unwrap_or_else(PoisonError::into_inner).entry(event.id).or_default() += 1;
                }
            }
        });
        let mut sick = Vec::new();
        for number in 0..SICK {
            let name = format!("sick{number}");
            let id = lab.run(&name, &turns_sick_after(1 + number % 4), unhealthy).await.expect("a container");
            sick.push((id, lab.container_name(&name)));
        }
        let injected = Arc::new(Mutex::new(BTreeSet::new()));
        let stop = CancellationToken::new();
        let injector = tokio::spawn(inject(Arc::clone(&log), Arc::clone(&injected), stop.clone()));
        let _watcher = AbortOnDropHandle::new(watcher);
        Self { redis, log, injected, stop, injector: Some(injector), starts, sick, _watcher }
    }

    pub(super) fn url(&self) -> String {
        self.redis.url()
    }

    pub(super) async fn redis_down(&mut self, in_order: bool) {
        let ended = if in_order { self.redis.stop().await } else { self.redis.kill().await };
        ended.expect("Redis ends");
    }

    pub(super) async fn redis_up(&mut self) {
        self.redis.start_again().await.expect("Redis starts again");
    }

    /// Fails when the work has failed.
    pub(super) fn check(&self) {
        assert!(
            self.injector.as_ref().is_some_and(|task| !task.is_finished()),
            "the injection ended by itself"
        );
    }

    /// Ends the injection; every event that was begun is in the log then.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(injector) = self.injector.take() {
            injector.await.expect("the injection ends");
        }
    }

    /// Waits until every group has dealt with everything; what is left when the time is over.
    pub(super) async fn until_settled(&self, cast: &mut Cast) -> Vec<String> {
        let began = Instant::now();
        loop {
            cast.tend();
            let open = self.open().await;
            if open.is_empty() {
                return open;
            }
            if SETTLE_MAX < began.elapsed() {
                return open;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// What is not dealt with.
    async fn open(&self) -> Vec<String> {
        let Ok(groups) = self.log.groups().await else { return vec!["the log does not answer".to_owned()] };
        let busy = |group: &&GroupStatus| group.pending != 0 || group.unread.exact() != Some(0);
        let mut open: Vec<_> = groups
            .iter()
            .filter(busy)
            .map(|group| {
                format!(
                    "stuck: the {} has {} pending and {:?} unread in {} of partition {}",
                    group.role, group.pending, group.unread, group.stream, group.partition.0
                )
            })
            .collect();
        for partition in 0..PARTITIONS {
            let key = format!("{NAMESPACE}:{{{partition}}}:timers:responder");
            match self.redis.command::<usize>(&["ZCARD", &key]).await {
                Ok(0) => {}
                Ok(count) => open.push(format!("stuck: {count} deadlines in partition {partition}")),
                Err(error) => open.push(format!("stuck: {error}")),
            }
        }
        open
    }

    /// The ids of the events that were written.
    pub(super) fn injected(&self) -> BTreeSet<EventId> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often the engine started a container.
    pub(super) fn starts(&self, id: &ContainerId) -> usize {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied().unwrap_or(0)
    }
}

/// The hosts, that of the engine first.
pub(super) fn hosts() -> [HostName; 2] {
    [HOST, ELSEWHERE].map(|name| HostName::new(name).expect("a host name"))
}

/// Well for so many seconds after each start, and sick from then on. It takes a second to stop, so that a responder is
/// often killed while the engine works for it.
fn turns_sick_after(seconds: usize) -> String {
    format!(
        "trap 'sleep 1; exit 0' TERM; echo well > /state; sleep {seconds} & wait $!; echo sick > /state; \
         while :; do sleep 3600 & wait $!; done"
    )
}

fn unhealthy(spec: &mut WorkloadSpec) {
    spec.labels.insert("hemostat.enable".to_owned(), "true".to_owned());
    spec.stop_timeout_secs = Some(5);
    spec.health = Some(HealthCheck {
        command: ["/bin/sh", "-c", "read state < /state; test \"$state\" = well"].map(str::to_owned).to_vec(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(10),
        start_period: Duration::ZERO,
        retries: 1,
    });
}

/// Tells of containers that die and recover, in turn, until `stop`. They exist in the log only.
async fn inject(log: Arc<dyn EventLog>, injected: Arc<Mutex<BTreeSet<EventId>>>, stop: CancellationToken) {
    let containers: Vec<_> = (0..TOLD).flat_map(|number| hosts().map(|host| (host, number))).collect();
    let mut opened: BTreeMap<usize, Timestamp> = BTreeMap::new();
    for turn in 0.. {
        let place = turn % containers.len();
        let (host, number) = &containers[place];
        let Some(now) = patiently(|| log.now()).await else { return };
        let event = match opened.remove(&place) {
            Some(opened_at) => told(host, *number, opened_at, now, true),
            // Nothing new is begun, and what is open is closed.
            None if stop.is_cancelled() => {
                if opened.is_empty() {
                    return;
                }
                continue;
            }
            None => {
                opened.insert(place, now);
                told(host, *number, now, now, false)
            }
        };
        // Its id is a function of what it says, so a repetition after a lost answer changes nothing.
        if patiently(|| log.append(std::slice::from_ref(&event))).await.is_none() {
            return;
        }
        injected.lock().unwrap_or_else(PoisonError::into_inner).insert(event.envelope.id);
        if !stop.is_cancelled() {
            sleep(EVERY).await;
        }
    }
}

/// Asks until the log answers; `None` when it has not for a minute.
async fn patiently<T, E, F>(ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, E>>,
{
    for _try in 0..2_400 {
        if let Ok(answer) = ask().await {
            return Some(answer);
        }
        sleep(Duration::from_millis(25)).await;
    }
    None
}

fn told(host: &HostName, number: usize, opened_at: Timestamp, now: Timestamp, recovered: bool) -> Event {
    let name = format!("told{number}");
    let subject = Subject::new(host, &name).expect("a subject");
    let container = container(ContainerId::new(format!("{number:012x}")).expect("an id"), &name);
    let data: Data = if recovered {
        HealthRecovered {
            container,
            kinds: vec![AnomalyKind::NonZeroExit],
            reason: Recovery::Cleared,
            opened_at,
            lasted_ms: u64::try_from(now.since(opened_at).as_millis()).unwrap_or(u64::MAX),
        }
        .into()
    } else {
        crash(container, opened_at).into()
    };
    let incident = IncidentId::opened(&subject, opened_at);
    observed(subject, usize::from(recovered), incident, now, data)
}
