//! Inwards: a listener that never waits, a queue with a limit, and a taker that waits for the log.
//!
//! Pub/sub keeps nothing: what is said while nobody listens is lost, as it was for the old agents.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join;
use hemostat_agent::health::Tick;
use hemostat_agent::log::LogError;
use hemostat_core::bridge::OldChannel;
use hemostat_core::bridge::inbound::Inbound;
use hemostat_event::{Event, EventId, Role};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Bridge;

/// Messages that wait.
const QUEUE_MAX: usize = 1_024;
/// Dead letters within a minute; more of the same would tell nothing new.
const LETTERS_MAX: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// Time between two signs of life that are asked of the connection.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for one.
const PING_MAX: Duration = Duration::from_secs(5);
/// First and longest wait after a failure; doubled with every one.
const WAIT_FIRST: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A message as it was heard.
struct Heard {
    channel: OldChannel,
    body: Vec<u8>,
}

/// Listens and takes until `stop` is cancelled.
pub(super) async fn run(with: &Bridge, stop: CancellationToken) {
    let (queue, waiting) = mpsc::channel(QUEUE_MAX);
    let tick = with.board.part("bridge:listener", PING_EVERY + PING_MAX);
    join(listen(with, &tick, queue, stop.clone()), take(with, waiting, stop)).await;
}

/// Listens, again and again.
async fn listen(with: &Bridge, tick: &Tick, queue: mpsc::Sender<Heard>, stop: CancellationToken) {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        let Some(ended) = stop.run_until_cancelled(hear(with, tick, &queue, &mut failures)).await else {
            return;
        };
        let Err(error) = ended;
        failures = failures.saturating_add(1);
        tick.tick();
        tick.ready(false, error.to_string());
        with.telemetry.bridge_failed(&error, failures);
        let wait = WAIT_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(WAIT_MAX);
        let _stopped = timeout(wait, stop.cancelled()).await;
    }
}

/// Listens until the connection ends.
async fn hear(
    with: &Bridge,
    tick: &Tick,
    queue: &mpsc::Sender<Heard>,
    failures: &mut u32,
) -> Result<std::convert::Infallible, LogError> {
    let (mut sink, mut messages) = with.side.listen(&with.listens).await?.split();
    if *failures != 0 {
        with.telemetry.bridge_reached();
    }
    *failures = 0;
    tick.ready(true, "listening");
    let mut pings = interval(PING_EVERY);
    loop {
        tick.tick();
        tokio::select! {
            message = messages.next() => {
                let Some(message) = message else {
                    return Err(LogError::Unavailable("the subscription ended".into()));
                };
                let Some(channel) = OldChannel::named(message.get_channel_name()) else { continue };
                let heard = Heard { channel, body: message.get_payload_bytes().to_vec() };
                if queue.try_send(heard).is_err() {
                    with.telemetry.bridge_heard(channel, "dropped");
                }
            }
            _ = pings.tick() => {
                let pong = timeout(PING_MAX, sink.ping::<redis::Value>()).await;
                match pong {
                    Ok(Ok(_pong)) => {}
                    Ok(Err(error)) => return Err(LogError::Unavailable(error.into())),
                    Err(late) => return Err(LogError::Unavailable(late.into())),
                }
            }
        }
    }
}

/// Takes what was heard into the log, in its order.
async fn take(with: &Bridge, mut waiting: mpsc::Receiver<Heard>, stop: CancellationToken) {
    let mut inbound = Inbound::new(with.heard.clone());
    let mut letters = Letters { begun: Instant::now(), count: 0 };
    while let Some(Some(heard)) = stop.run_until_cancelled(waiting.recv()).await {
        let mut failures = 0_u32;
        loop {
            let Some(taken) =
                stop.run_until_cancelled(take_one(with, &mut inbound, &mut letters, &heard)).await
            else {
                return;
            };
            let Err(error) = taken else {
                break;
            };
            failures = failures.saturating_add(1);
            with.telemetry.log_failed(Role::Bridge, &error, failures);
            if matches!(error, LogError::Refused { .. }) && TRIES <= failures {
                // What the log refuses again and again must not stop the others.
                with.telemetry.bridge_heard(heard.channel, "dropped");
                break;
            }
            let wait = WAIT_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(WAIT_MAX);
            let _stopped = timeout(wait, stop.cancelled()).await;
        }
    }
}

/// Tries for a message that the log refuses.
const TRIES: u32 = 5;

async fn take_one(
    with: &Bridge,
    inbound: &mut Inbound,
    letters: &mut Letters,
    heard: &Heard,
) -> Result<(), LogError> {
    let Heard { channel, body } = heard;
    let telemetry = &with.telemetry;
    if with.side.is_ours(EventId::heard(channel.name(), body)).await? {
        telemetry.bridge_heard(*channel, "own");
        return Ok(());
    }
    let now = with.clock.now().await?;
    match inbound.hear(*channel, body, now) {
        Ok(event) => {
            let outcome = if append(with, event).await? { "taken" } else { "repeated" };
            telemetry.bridge_heard(*channel, outcome);
        }
        Err(refusal) => {
            let letter = letters.may_write().then(|| inbound.letter(*channel, body, &refusal, now));
            if let Some(letter) = letter
                && !append(with, letter).await?
            {
                telemetry.bridge_heard(*channel, "repeated");
                return Ok(());
            }
            telemetry.bridge_refused(*channel, refusal.as_str(), &refusal);
        }
    }
    Ok(())
}

/// Appends an event; says whether it was new.
async fn append(with: &Bridge, event: Event) -> Result<bool, LogError> {
    Ok(!with.log.append(&[event]).await?.is_empty())
}

/// How many dead letters were written within this minute.
struct Letters {
    begun: Instant,
    count: u32,
}

impl Letters {
    fn may_write(&mut self) -> bool {
        if MINUTE <= self.begun.elapsed() {
            *self = Self { begun: Instant::now(), count: 0 };
        }
        self.count += 1;
        self.count <= LETTERS_MAX
    }
}
