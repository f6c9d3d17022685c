//! Who has to know?
//!
//! The alert agent reads the outcomes of plans, verdicts, recoveries and dead letters, decides which of them are news,
//! and tells each once through every channel. A channel that fails does not hold up the others: what they took is
//! recorded at once, and only the rest is tried again.
//!
//! Invariants:
//! - N-1: an input that is news has, when it is acknowledged, one `notification` per channel: sent, deduplicated or
//!   failed. What a channel could not take until the last try is a dead letter.
//! - N-2: of two pieces of news that say the same of the same container within the window, measured by when they
//!   happened, a channel gets one. News of another kind or another container is never swallowed.
//! - N-3: no news follows from a notification that failed, so telling never feeds itself.

mod message;
mod news;
mod state;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hemostat_event::{Channel, Delivery, Event, Notification, Role, Subject, Timestamp};

use crate::role::{Decide, Decision, Emit, First, Input, Then};

pub use message::Message;
use news::News;
pub use state::State;

/// How people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The channels there are; every piece of news goes through each of them.
    pub channels: Vec<Channel>,
    /// Time within which the same news of a container is told once.
    pub dedup_window: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channels: vec![Channel::Terminal],
            // Shorter than the time after which an unchanged alert is repeated, longer than a burst.
            dedup_window: Duration::from_secs(300),
        }
    }
}

/// The alert agent.
#[derive(Debug, Clone)]
pub struct Alerter {
    /// How it tells.
    pub settings: Settings,
}

/// What the alert agent asks of the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Deliver a message through several channels, side by side.
    Deliver {
        /// The channels, at least one.
        channels: BTreeSet<Channel>,
        /// The message.
        message: Box<Message>,
    },
    /// Do nothing. With this effect a decision has what it emits committed although the input is not dealt with yet;
    /// [`Then::Retry`] alone would commit nothing.
    Wait {
        /// Comes back in [`Outcome::Waited`].
        after: Option<Duration>,
    },
}

/// What the world answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// What each channel answered.
    Answered(BTreeMap<Channel, Answer>),
    /// The answer to [`Effect::Wait`].
    Waited {
        /// As it was given.
        after: Option<Duration>,
    },
}

/// What a channel answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It took the message.
    Delivered,
    /// It will not take the message, now or later.
    Refused {
        /// What it answered.
        error: String,
    },
    /// It may take the message later.
    Retry {
        /// How long it asked us to wait, where it did.
        after: Option<Duration>,
        /// What happened.
        error: String,
    },
}

impl Decide for Alerter {
    const ROLE: Role = Role::Alert;
    type State = State;
    type Effect = Effect;
    type Outcome = Outcome;

    fn decide(
        &self,
        subject: &Subject,
        state: &State,
        input: Input<'_, Outcome>,
        _: Timestamp,
    ) -> Decision<Effect> {
        let (event, answer) = match input {
            Input::Event(event) => (event, None),
            Input::Outcome { first: First::Event(event), attempt, outcome } => {
                (event, Some((attempt, outcome)))
            }
            // The alert agent sets no deadlines.
            Input::Timer(_) | Input::Outcome { first: First::Timer(_), .. } => return Decision::nothing(),
        };
        let Some(news) = News::of(subject, event) else { return Decision::nothing() };
        let case = Case { subject, state, event, news };
        match answer {
            None => self.begin(case),
            Some((attempt, Outcome::Answered(answers))) => self.go_on(&case, attempt, answers),
            Some((_, Outcome::Waited { after })) => retry(Vec::new(), after),
        }
    }

    fn complaint(outcome: &Outcome) -> Option<String> {
        let Outcome::Answered(answers) = outcome else { return None };
        let complaints: Vec<String> = answers
            .values()
            .filter_map(|answer| match answer {
                Answer::Retry { error, .. } => Some(error.clone()),
                Answer::Delivered | Answer::Refused { .. } => None,
            })
            .collect();
        (!complaints.is_empty()).then(|| complaints.join("; "))
    }

    fn fold(state: &mut State, event: &Event) {
        state::fold(state, event);
    }
}

/// One piece of news that is to be told.
struct Case<'a> {
    subject: &'a Subject,
    state: &'a State,
    event: &'a Event,
    news: News,
}

impl Case<'_> {
    /// What is the same for all repetitions of this news.
    fn topic(&self) -> String {
        self.news.topic(self.subject)
    }

    /// The event that says what became of this news in a channel. `told_at` is when the news that the channel got
    /// happened: this one, or the one that it repeats.
    fn record(&self, channel: Channel, delivery: Delivery, told_at: Timestamp) -> Emit {
        let notification = Notification {
            container: self.event.data.container().cloned(),
            kind: self.news.kind,
            channel,
            delivery,
            dedup_key: state::key(&self.topic(), told_at),
        };
        Emit { data: notification.into(), incident: self.event.envelope.incident }
    }
}

impl Alerter {
    /// The channels of which nothing is recorded for this news yet.
    fn open(&self, case: &Case<'_>) -> BTreeSet<Channel> {
        let channels = self.settings.channels.iter().copied();
        channels.filter(|channel| !case.state.is_dealt_with(case.event.envelope.id, *channel)).collect()
    }

    fn begin(&self, case: Case<'_>) -> Decision<Effect> {
        let (topic, happened_at) = (case.topic(), case.event.envelope.time);
        let mut channels = self.open(&case);
        let mut emit = Vec::new();
        channels.retain(|&channel| {
            match case.state.told(&topic, channel, happened_at, self.settings.dedup_window) {
                Some(told_at) => {
                    emit.push(case.record(channel, Delivery::Deduplicated, told_at));
                    false
                }
                None => true,
            }
        });
        let then = if channels.is_empty() {
            Then::Acknowledge
        } else {
            let message = Box::new(Message::of(case.event, case.news));
            Then::Perform(Effect::Deliver { channels, message })
        };
        Decision { emit, timers: Vec::new(), then }
    }

    fn go_on(
        &self,
        case: &Case<'_>,
        attempt: u32,
        mut answers: BTreeMap<Channel, Answer>,
    ) -> Decision<Effect> {
        let mut emit = Vec::new();
        let mut unfinished = false;
        let mut longest = None;
        for channel in self.open(case) {
            let delivery = match answers.remove(&channel) {
                Some(Answer::Delivered) => Delivery::Sent { attempt },
                Some(Answer::Refused { error }) => Delivery::Failed { attempt, error },
                Some(Answer::Retry { after, .. }) => {
                    unfinished = true;
                    longest = longest.max(after);
                    continue;
                }
                // Nobody asked it: the settings of two replicas differ.
                None => {
                    unfinished = true;
                    continue;
                }
            };
            emit.push(case.record(channel, delivery, case.event.envelope.time));
        }
        if unfinished {
            return retry(emit, longest);
        }
        Decision { emit, timers: Vec::new(), then: Then::Acknowledge }
    }
}

fn retry(emit: Vec<Emit>, after: Option<Duration>) -> Decision<Effect> {
    let then = if emit.is_empty() { Then::Retry(after) } else { Then::Perform(Effect::Wait { after }) };
    Decision { emit, timers: Vec::new(), then }
}
