//! Counts alerts per container: an analyzer that lets nothing be repaired, in the place of `hemostat analyzer`.
//!
//! ```sh
//! HEMOSTAT_REDIS_URL=redis://127.0.0.1:6379 cargo run -p hemostat --example count_alerts
//! ```
//!
//! Any number may run: together they answer every alert once, and those about one container in their order. Not beside
//! `hemostat analyzer`, which is a member of the same group: an alert would go to either.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use hemostat_agent::clock::LogClock;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::log::{EventLog, StreamName};
use hemostat_agent::run::{Agent, Perform, Settings};
use hemostat_agent::telemetry::Telemetry;
use hemostat_core::role::{Decide, Decision, Input};
use hemostat_event::{
    Basis, Cause, Data, Event, EventType, FalseAlarm, HostName, Role, Subject, Timestamp, Verdict,
};
use hemostat_redis::{RedisLog, RedisSettings};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// The rules.
struct CountAlerts;

/// What is remembered of a container: the fold of the events that were emitted about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Counted {
    alerts: u64,
}

impl Decide for CountAlerts {
    const ROLE: Role = Role::Analyzer;
    type State = Counted;
    // It asks nothing of the world.
    type Effect = Infallible;
    type Outcome = Infallible;

    fn decide(
        &self,
        _: &Subject,
        state: &Counted,
        input: Input<'_, Infallible>,
        _: Timestamp,
    ) -> Decision<Infallible> {
        let Input::Event(event) = input else { return Decision::nothing() };
        let Data::HealthAlert(alert) = &event.data else { return Decision::nothing() };
        let kinds: Vec<_> = alert.anomalies.iter().map(|anomaly| anomaly.kind).collect();
        let verdict = Verdict {
            cause: Cause::Unknown,
            confidence: 0.0,
            basis: Basis::Rule { rule: "count_alerts".to_owned() },
            cited: kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            reason: format!("alert {} about it; this analyzer only counts", state.alerts + 1),
        };
        Decision::emit(
            FalseAlarm { container: alert.container.clone(), kinds, verdict },
            event.envelope.incident,
        )
    }

    fn fold(state: &mut Counted, event: &Event) {
        if matches!(event.data, Data::FalseAlarm(_)) {
            state.alerts += 1;
        }
    }
}

/// What would carry out effects.
struct NoHands;

#[async_trait]
impl Perform<CountAlerts> for NoHands {
    async fn perform(&self, _: &Subject, effect: Infallible) -> Infallible {
        effect
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("HEMOSTAT_REDIS_URL").context("set HEMOSTAT_REDIS_URL")?;
    let settings = RedisSettings { url, namespace: "hemostat".to_owned(), partitions: None };
    let log = RedisLog::connect(settings).await?;
    ensure!(!log.is_shadow().await?, "this log plays the past; agents do not run on it");
    let log: Arc<dyn EventLog> = Arc::new(log);

    let streams = vec![StreamName::Type(EventType::HealthAlert)];
    let agent = Agent {
        role: CountAlerts,
        performer: NoHands,
        clock: Arc::new(LogClock::new(Arc::clone(&log))),
        log,
        settings: Settings::new("count-alerts", HostName::new("localhost")?, streams),
        telemetry: Arc::new(Telemetry::new(env!("CARGO_PKG_VERSION"))),
        tick: HealthBoard::new().part("count-alerts", Duration::from_secs(5)),
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    tokio::signal::ctrl_c().await?;
    // What runs is ended, what is left is handed over to other replicas.
    stop.cancel();
    running.await??;
    Ok(())
}
