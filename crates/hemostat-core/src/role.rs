//! What a role of the loop is: a state per container, `decide` and `fold`.
//!
//! The run loop in `hemostat-agent` drives every role the same way:
//!
//! 1. load the state and its version;
//! 2. [`Decide::decide`] on the input;
//! 3. commit the emitted events with the state folded over them;
//! 4. perform the effect, if there is one, and go back to 1 with its outcome as the input;
//! 5. acknowledge with the commit of the last decision.
//!
//! Invariant R-1: the state changes by the role's own emitted events only, so version *n* of the state is the
//! fold of the first *n* events (L-3). Whatever of an input has to be remembered stands in an emitted event.
//!
//! Invariant R-2: `decide` is a function of state, input and `now`; it never sees a clock.

use std::time::Duration;

use hemostat_event::{Data, Event, EventId, IncidentId, Role, Subject, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// What a role has to decide on.
#[derive(Debug, Clone)]
pub enum Input<'a, O> {
    /// An entry of one of its streams.
    Event(&'a Event),
    /// A deadline it set itself.
    Timer(&'a Timer),
    /// What came of the effect it asked for; `first` is the input that started it.
    Outcome {
        /// The input that started it.
        first: First<'a>,
        /// Tries so far to deal with that input, this one included; from 1.
        attempt: u32,
        /// What came of it.
        outcome: O,
    },
}

/// The input that started a chain of decisions.
#[derive(Debug, Clone, Copy)]
pub enum First<'a> {
    /// An entry of one of the role's streams.
    Event(&'a Event),
    /// A deadline.
    Timer(&'a Timer),
}

impl First<'_> {
    /// The event that caused it, directly or through a timer.
    #[must_use]
    pub fn cause(&self) -> EventId {
        match self {
            First::Event(event) => event.envelope.id,
            First::Timer(timer) => timer.cause,
        }
    }
}

/// A durable deadline. `subject`, `name` and `cause` are its identity; setting it again moves it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// The container it is about.
    pub subject: Subject,
    /// What is due, in the role's own words: `verify`.
    pub name: String,
    /// The event that set it.
    pub cause: EventId,
    /// When it is due, in log time.
    pub due: Timestamp,
}

/// What a role decided. Values only: the run loop writes the events and performs the effect.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<E> {
    /// Events to append, in this order.
    pub emit: Vec<Emit>,
    /// Deadlines to set.
    pub timers: Vec<Timer>,
    /// What to do next; the input is acknowledged only when there is nothing left to do.
    pub then: Then<E>,
}

/// What follows a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Then<E> {
    /// The input is dealt with.
    Acknowledge,
    /// Perform this and decide again on its outcome.
    Perform(E),
    /// Deal with the input again after a back-off, at least after this time; counts as an attempt, and after
    /// the last allowed one the input becomes a dead letter.
    Retry(Option<Duration>),
}

/// An event to be emitted; the run loop completes the envelope (id, source, time, cause).
#[derive(Debug, Clone, PartialEq)]
pub struct Emit {
    /// The payload.
    pub data: Data,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
}

impl Emit {
    /// What makes this event one of its kind among all that a role emits for one cause; goes into its id.
    #[must_use]
    pub fn step(&self) -> String {
        match &self.data {
            Data::Notification(notification) => format!("notification/{}", notification.channel.as_str()),
            // A plan may also end an older one whose responder did not come back.
            Data::RemediationComplete(complete) => format!("remediation_complete/{}", complete.plan),
            Data::RemediationVerified(verified) => format!("remediation_verified/{}", verified.plan),
            data => data.event_type().to_string(),
        }
    }
}

impl<E> Decision<E> {
    /// Nothing to say and nothing to do.
    #[must_use]
    pub fn nothing() -> Self {
        Self { emit: Vec::new(), timers: Vec::new(), then: Then::Acknowledge }
    }

    /// One event and nothing more.
    #[must_use]
    pub fn emit(data: impl Into<Data>, incident: Option<IncidentId>) -> Self {
        Self { emit: vec![Emit { data: data.into(), incident }], timers: Vec::new(), then: Then::Acknowledge }
    }

    /// Only an effect.
    #[must_use]
    pub fn perform(effect: E) -> Self {
        Self { emit: Vec::new(), timers: Vec::new(), then: Then::Perform(effect) }
    }

    /// The same decision, followed by `effect`.
    #[must_use]
    pub fn then(mut self, effect: E) -> Self {
        self.then = Then::Perform(effect);
        self
    }

    /// The same decision with one more deadline.
    #[must_use]
    pub fn with_timer(mut self, timer: Timer) -> Self {
        self.timers.push(timer);
        self
    }
}

/// The rules of one role.
pub trait Decide {
    /// Which role.
    const ROLE: Role;
    /// What it remembers of one container. Its stored form is `MessagePack` with field names; give new fields a
    /// default.
    type State: Default + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// What it asks of the world.
    type Effect: Send;
    /// What the world answers.
    type Outcome: Clone + Send;

    /// Decides. Holds every rule and changes nothing.
    ///
    /// `now` is the log time of the decision. It is recorded as the `time` of every event the decision emits, so
    /// a replay decides at the same time again.
    fn decide(
        &self,
        subject: &Subject,
        state: &Self::State,
        input: Input<'_, Self::Outcome>,
        now: Timestamp,
    ) -> Decision<Self::Effect>;

    /// Why the world did not do what it was asked for, in its own words; `None` where it did, or gave no reason. Stands
    /// in the dead letter of an input that was tried in vain.
    fn complaint(_outcome: &Self::Outcome) -> Option<String> {
        None
    }

    /// The deadlines that a state waits for. They are set beside the events that made the state and are none themselves:
    /// a log that is made anew from its events is given these.
    fn deadlines(&self, _subject: &Subject, _state: &Self::State) -> Vec<Timer> {
        Vec::new()
    }

    /// Takes in one event that this role emitted. Changes the state and holds no rule.
    fn fold(state: &mut Self::State, event: &Event);
}
