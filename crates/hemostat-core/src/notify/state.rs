//! What the alert agent remembers of a container: the fold of its own `notification` events.
//!
//! When the told news happened stands in the deduplication key, `topic@time`: a notification's own time is when it
//! was sent, and the window must not depend on that. A repetition carries the key of the news it repeats.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use hemostat_event::{Channel, Data, Delivery, Event, EventId, Timestamp};
use serde::{Deserialize, Serialize};

/// Told news remembered per container: four times as many as a container has topics.
const TOLD_MAX: usize = 64;
/// Inputs remembered per container. An input that is tried again holds up its container, so only other replicas can
/// deal with others meanwhile.
const INPUTS_MAX: usize = 64;

/// What the alert agent remembers of a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// News that channels took, the latest last.
    told: VecDeque<Told>,
    /// Inputs with the channels whose part is done, the latest last.
    inputs: VecDeque<Done>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Told {
    topic: String,
    happened_at: Timestamp,
    channels: BTreeSet<Channel>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Done {
    event: EventId,
    channels: BTreeSet<Channel>,
}

impl State {
    /// Whether it is recorded what became of `event` in `channel`.
    pub(super) fn is_dealt_with(&self, event: EventId, channel: Channel) -> bool {
        self.inputs.iter().any(|done| done.event == event && done.channels.contains(&channel))
    }

    /// When the news happened that `channel` got and that the same news at `happened_at` would repeat.
    pub(super) fn told(
        &self,
        topic: &str,
        channel: Channel,
        happened_at: Timestamp,
        window: Duration,
    ) -> Option<Timestamp> {
        // Streams are read side by side, so the news that was told may be the later one.
        let apart =
            |told: &Told| told.happened_at.since(happened_at).max(happened_at.since(told.happened_at));
        self.told
            .iter()
            .find(|told| told.topic == topic && told.channels.contains(&channel) && apart(told) < window)
            .map(|told| told.happened_at)
    }
}

/// The deduplication key of news on `topic` that happened at `happened_at`.
pub(super) fn key(topic: &str, happened_at: Timestamp) -> String {
    format!("{topic}@{happened_at}")
}

/// Takes in a notification.
pub(super) fn fold(state: &mut State, event: &Event) {
    let Data::Notification(notification) = &event.data else { return };
    let channel = notification.channel;
    if let Some(cause) = event.envelope.cause {
        match state.inputs.iter_mut().find(|done| done.event == cause) {
            Some(done) => {
                done.channels.insert(channel);
            }
            None => state.inputs.push_back(Done { event: cause, channels: [channel].into() }),
        }
        if INPUTS_MAX < state.inputs.len() {
            state.inputs.pop_front();
        }
    }
    if !matches!(notification.delivery, Delivery::Sent { .. }) {
        return;
    }
    let Some((topic, happened_at)) = split(&notification.dedup_key) else { return };
    match state.told.iter_mut().find(|told| told.topic == topic && told.happened_at == happened_at) {
        Some(told) => {
            told.channels.insert(channel);
        }
        None => {
            state.told.push_back(Told { topic: topic.to_owned(), happened_at, channels: [channel].into() });
        }
    }
    if TOLD_MAX < state.told.len() {
        state.told.pop_front();
    }
}

fn split(key: &str) -> Option<(&str, Timestamp)> {
    let (topic, happened_at) = key.rsplit_once('@')?;
    Some((topic, Timestamp::parse(happened_at).ok()?))
}
