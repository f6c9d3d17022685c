//! Latency under an offered load: alerts come at a fixed rate, whatever the agents make of them.
//!
//! The time of a hop is counted from the moment its alert was due to be appended, so a log or an agent that falls
//! behind is seen in full, to the moment the answer has come to a client that waits for it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hemostat_agent::log::{EventLog, LogError};
use hemostat_event::{Event, EventId, codec};
use hemostat_redis::bare::Bare;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::premade;
use crate::exit::{Failure, OrFailure as _};

/// How often alerts are due, and appended in one call.
const EVERY: Duration = Duration::from_millis(1);
/// Ticks that may wait to be acted on.
const TICKS_MAX: usize = 1_024;
/// Alerts at the beginning that are not counted: replicas connect and learn their states.
const WARM_UP: Duration = Duration::from_secs(1);
/// Longest wait for the last answers.
const LIMIT: Duration = Duration::from_secs(20);

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latency {
    /// Half of the hops took no longer.
    pub(super) p50: Duration,
    /// All but one in a hundred took no longer.
    pub(super) p99: Duration,
    /// Alerts that were not answered in time.
    pub(super) missing: usize,
}

/// Offers `rate` alerts per second about `containers` for as long as `run_for`.
///
/// # Errors
/// Exit 3 when the log is away.
pub(super) async fn run(
    log: Arc<dyn EventLog>,
    bare: &Bare,
    rate: u32,
    containers: usize,
    run_for: Duration,
) -> Result<Latency, Failure> {
    let total = WARM_UP + run_for;
    let count = (total.as_secs_f64() * f64::from(rate)) as usize;
    let warm_up = (WARM_UP.as_secs_f64() * f64::from(rate)) as usize;
    let alerts = premade::alerts(count, containers, log.now().await.or_unreachable()?);
    let place: HashMap<EventId, usize> =
        alerts.iter().enumerate().map(|(place, alert)| (alert.envelope.id, place)).collect();
    let pace = Pace::new(rate);
    let offering = offer(log.as_ref(), &alerts, &pace);
    let watching = async {
        let (mut took, mut after) = (vec![None; count], "0-0".to_owned());
        let mut open = count;
        while 0 < open {
            for event in bare.follow(&premade::answers(), &mut after).await.or_unreachable()? {
                let Ok(event) = codec::decode(&event) else { continue };
                let cause = event.envelope.cause.filter(|_| premade::is_answer(&event.data));
                let Some(place) = cause.and_then(|cause| place.get(&cause)) else { continue };
                if took[*place].replace(pace.due(*place).elapsed()).is_none() {
                    open -= 1;
                }
            }
            if pace.due(count) + LIMIT < Instant::now() {
                break;
            }
        }
        Ok::<_, Failure>(took)
    };
    let (offered, took) = tokio::join!(offering, watching);
    offered?;
    let took = took?;
    let counted = &took[warm_up.min(count)..];
    let missing = counted.iter().filter(|took| took.is_none()).count();
    // What never came took longest.
    let mut spans: Vec<Duration> = counted.iter().map(|took| took.unwrap_or(Duration::MAX)).collect();
    spans.sort_unstable();
    let at = |share: f64| {
        let last = spans.len().saturating_sub(1);
        spans.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    };
    Ok(Latency { p50: at(0.5), p99: at(0.99), missing })
}

/// Appends what is due, without waiting for the appends before.
async fn offer(log: &dyn EventLog, alerts: &[Event], pace: &Pace) -> Result<(), Failure> {
    let mut ticks = pace.ticks(alerts.len());
    let mut under_way: FuturesUnordered<BoxFuture<'_, Result<Vec<u64>, LogError>>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(appended) = under_way.next(), if !under_way.is_empty() => {
                appended.or_unreachable()?;
            }
            tick = ticks.recv() => match tick {
                Some(due) => under_way.push(log.append(&alerts[due])),
                None => break,
            },
        }
    }
    while let Some(appended) = under_way.next().await {
        appended.or_unreachable()?;
    }
    Ok(())
}

/// When each alert is due: so many at every tick.
struct Pace {
    began: Instant,
    per_tick: f64,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { began: Instant::now() + EVERY, per_tick: f64::from(rate) * EVERY.as_secs_f64() }
    }

    fn due(&self, place: usize) -> Instant {
        self.began + EVERY * (place as f64 / self.per_tick) as u32
    }

    /// The alerts of each tick, as it comes. From a thread of its own: the timers of the runtime are a millisecond
    /// late.
    fn ticks(&self, count: usize) -> mpsc::Receiver<Range<usize>> {
        let (ticks_tx, ticks) = mpsc::channel(TICKS_MAX);
        let (began, per_tick) = (self.began, self.per_tick);
        std::thread::spawn(move || {
            let (mut next, mut tick) = (0, 0u32);
            while next < count {
                std::thread::sleep((began + EVERY * tick).saturating_duration_since(Instant::now()));
                tick += 1;
                let end = ((f64::from(tick) * per_tick).ceil() as usize).min(count);
                if next < end && ticks_tx.blocking_send(next..end).is_err() {
                    return;
                }
                next = end;
            }
        });
        ticks
    }
}
