//! Decides again what a log says was decided, and compares.
//!
//! The rules are today's, or any others. Everything they need is in the log: the input, the state (the fold of the
//! role's own events before), the time of the decision. What the world answered to an effect (an engine, a channel, a
//! model) is taken from the events that tell of it ([`answer`]); where they do not tell enough, the decision is counted
//! as [`Told::Untold`] and not judged.
//!
//! Invariants:
//! - a log that was written under the same rules and settings, and that is read from its beginning, has no
//!   difference.
//! - after a difference the state goes on with what was recorded, so one changed rule gives differences only where
//!   it decided.

mod answer;
mod coverage;
mod detection;
mod difference;
mod provider;
mod supposed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hemostat_event::cloudevents::Position;
use hemostat_event::{Channel, Data, Event, EventId, EventType, Role, Source, Subject, Timestamp};

use crate::detect;
use crate::diagnose::{self, Analyzer};
use crate::invariant::Redrives;
use crate::notify::{self, Alerter};
use crate::remediate::{Policy, Responder};
use crate::role::{Decide, Decision, First, Input, Then};

use answer::Answer;
pub use coverage::{Coverage, Exercised};
pub use detection::{Detection, Found, Incident};
pub use difference::{Change, Difference};
pub use provider::Provider;

/// The rules by which is decided again.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Is it sick? Asked by [`Detection`] alone.
    pub monitor: detect::Settings,
    /// Why is it sick?
    pub analyzer: Analyzer,
    /// May we act?
    pub responder: Responder,
    /// Who has to know? Its channels are those that the log tells of, besides those given here.
    pub alerter: Alerter,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            monitor: detect::Settings::default(),
            analyzer: Analyzer { settings: diagnose::Settings::default() },
            responder: Responder { policy: Policy::default() },
            alerter: Alerter { settings: notify::Settings { channels: Vec::new(), ..Default::default() } },
        }
    }
}

/// What came of deciding again.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The same, byte for byte.
    Same,
    /// Something else.
    Different(Box<Difference>),
    /// The log does not say what was decided on.
    Untold(Untold),
}

/// Why a decision cannot be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Untold {
    /// The input stands before the beginning of the log or too far back, or was taken out of it.
    Input,
    /// What the engine showed is not in the log.
    Look,
}

impl Untold {
    /// The reason in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "its input is not there",
            Self::Look => "what the engine showed is not in the log",
        }
    }
}

/// Decisions in a row for one input, before the rules are said to have no end.
const TURNS_MAX: usize = 8;

/// Inputs that are kept: what is decided on lies further back only where a role had come to a stop for very long. A hundred
/// mebibytes, where every one is an alert with its evidence.
const INPUTS_KEPT: usize = 1 << 15;

/// The last events that something may be decided on.
#[derive(Debug, Default)]
struct Inputs {
    by_id: BTreeMap<EventId, Arc<Event>>,
    in_order: VecDeque<EventId>,
}

impl Inputs {
    fn insert(&mut self, event: Arc<Event>) {
        let id = event.envelope.id;
        if self.by_id.insert(id, event).is_none() {
            self.in_order.push_back(id);
        }
        if INPUTS_KEPT < self.in_order.len()
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    fn get(&self, id: EventId) -> Option<&Event> {
        self.by_id.get(&id).map(|event| &**event)
    }
}

/// Reads a log and decides again.
#[derive(Debug)]
pub struct Replay {
    rules: Rules,
    provider: Option<Provider>,
    inputs: Inputs,
    redrives: BTreeMap<u16, Redrives>,
    analyzer: States<Analyzer>,
    responder: States<Responder>,
    alerter: States<Alerter>,
    open: BTreeMap<u16, Step>,
    coverage: Coverage,
}

type States<D> = BTreeMap<Subject, <D as Decide>::State>;

/// What one commit has written: events of one role that answer to one input at one time, one behind the other.
#[derive(Debug)]
struct Step {
    role: Role,
    source: Source,
    cause: EventId,
    now: Timestamp,
    subject: Subject,
    events: Vec<(Position, Arc<Event>)>,
}

impl Step {
    fn of(position: Position, event: &Arc<Event>) -> Option<Self> {
        let envelope = &event.envelope;
        let role = envelope.source.role;
        let decides = matches!(role, Role::Analyzer | Role::Responder | Role::Alert);
        if !decides || event.event_type() == EventType::DeadLetter {
            return None;
        }
        Some(Self {
            role,
            source: envelope.source.clone(),
            cause: envelope.cause?,
            now: envelope.time,
            subject: envelope.subject.clone()?,
            events: vec![(position, Arc::clone(event))],
        })
    }

    fn goes_on_with(&self, position: Position, next: &Self) -> bool {
        let last = self.events.last().map(|(last, _)| last.seq);
        self.source == next.source
            && self.cause == next.cause
            && self.now == next.now
            && self.subject == next.subject
            && last.is_some_and(|last| last + 1 == position.seq)
    }
}

impl Replay {
    /// Decides by `rules`.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            provider: None,
            inputs: Inputs::default(),
            redrives: BTreeMap::new(),
            analyzer: States::<Analyzer>::new(),
            responder: States::<Responder>::new(),
            alerter: States::<Alerter>::new(),
            open: BTreeMap::new(),
            coverage: Coverage::default(),
        }
    }

    /// Asks this provider about every alert, instead of taking the answer that was recorded.
    #[must_use]
    pub fn asking(self, provider: Provider) -> Self {
        Self { provider: Some(provider), ..self }
    }

    /// Takes in the next event of its partition. Answers with what came of the decision that has ended before it, and
    /// its first position.
    pub fn event(&mut self, position: Position, event: &Event) -> Option<(Position, Told)> {
        self.take(position, event.clone())
    }

    /// The same, for who has no further use of the event.
    pub fn take(&mut self, position: Position, event: Event) -> Option<(Position, Told)> {
        if self.redrives.entry(position.partition).or_default().take_in(position, &event) {
            return None;
        }
        if event.event_type() == EventType::ContainerSample {
            // Nothing is decided on it, and nobody decided it; what was open has ended.
            return self.open.remove(&position.partition).map(|step| self.judge(&step));
        }
        let event = &Arc::new(event);
        let next = Step::of(position, event);
        if is_input(event.event_type()) {
            self.inputs.insert(Arc::clone(event));
        }
        if let (Some(open), Some(next)) = (self.open.get_mut(&position.partition), &next)
            && open.goes_on_with(position, next)
        {
            open.events.push((position, Arc::clone(event)));
            return None;
        }
        let ended = match next {
            Some(next) => self.open.insert(position.partition, next),
            None => self.open.remove(&position.partition),
        };
        ended.map(|step| self.judge(&step))
    }

    /// Ends the log; answers with what came of the decisions that were still open.
    pub fn finish(&mut self) -> Vec<(Position, Told)> {
        std::mem::take(&mut self.open).into_values().map(|step| self.judge(&step)).collect()
    }

    /// Which rules have decided something, and how often.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    fn judge(&mut self, step: &Step) -> (Position, Told) {
        let told = match step.role {
            Role::Analyzer if self.provider.is_some() => self.ask(step),
            Role::Analyzer => {
                let mut analyzer = self.rules.analyzer.clone();
                // Whether a model was asked is a matter of settings; its answer is in the log.
                analyzer.settings.consult |= step.events.iter().any(|(_, event)| is_diagnosis(event));
                again(&analyzer, &mut self.analyzer, &self.inputs, step)
            }
            Role::Responder => again(&self.rules.responder, &mut self.responder, &self.inputs, step),
            _ => {
                let recorded = step.events.iter().filter_map(|(_, event)| channel(event));
                let mut alerter = self.rules.alerter.clone();
                alerter.settings.channels.extend(recorded);
                alerter.settings.channels.sort_unstable();
                alerter.settings.channels.dedup();
                again(&alerter, &mut self.alerter, &self.inputs, step)
            }
        };
        match &told {
            Told::Same => self.coverage.count(step.role, step.events.iter().map(|(_, event)| &event.data)),
            Told::Different(difference) => self.coverage.count(step.role, &difference.decided),
            Told::Untold(_) => {}
        }
        (step.events[0].0, told)
    }

    /// Decides on what the provider says of the alert of a step.
    fn ask(&mut self, step: &Step) -> Told {
        let state = self.analyzer.entry(step.subject.clone()).or_default();
        let told = match (self.inputs.get(step.cause), &mut self.provider) {
            (Some(input), Some(provider)) => provider.decide(&self.rules.analyzer, state, input, step),
            _ => Told::Untold(Untold::Input),
        };
        step.events.iter().for_each(|(_, event)| Analyzer::fold(state, event));
        told
    }
}

/// Makes the decision of a step again, then takes in what was recorded.
fn again<D: Decide + Answer>(
    role: &D,
    states: &mut BTreeMap<Subject, D::State>,
    inputs: &Inputs,
    step: &Step,
) -> Told {
    let state = states.entry(step.subject.clone()).or_default();
    let told = decide(role, state, inputs, step);
    for (_, event) in &step.events {
        D::fold(state, event);
    }
    told
}

fn decide<D: Decide + Answer>(role: &D, state: &D::State, inputs: &Inputs, step: &Step) -> Told {
    let Some(input) = inputs.get(step.cause) else { return Told::Untold(Untold::Input) };
    let recorded: Vec<&Event> = step.events.iter().map(|(_, event)| &**event).collect();
    let timer = D::timer(&step.subject, step.cause, step.now, &recorded);
    let first = timer.as_ref().map_or(First::Event(input), First::Timer);
    let mut next = match first {
        First::Event(event) => Input::Event(event),
        First::Timer(timer) => Input::Timer(timer),
    };
    for _turn in 0..TURNS_MAX {
        let Decision { emit, then, .. } = role.decide(&step.subject, state, next, step.now);
        let effect = match then {
            Then::Perform(effect) if emit.is_empty() => effect,
            _ => {
                let decided: Vec<Data> = emit.into_iter().map(|emit| emit.data).collect();
                return match Difference::between(step.role, input, &step.events, &decided) {
                    Some(difference) => Told::Different(Box::new(difference)),
                    None => Told::Same,
                };
            }
        };
        let Some((attempt, outcome)) = role.answer(state, &effect, &recorded) else {
            return Told::Untold(Untold::Look);
        };
        next = Input::Outcome { first, attempt, outcome };
    }
    Told::Untold(Untold::Look)
}

/// Whether events of this type are inputs of a role that decides.
fn is_input(kind: EventType) -> bool {
    !matches!(kind, EventType::ContainerSample | EventType::Notification)
}

fn is_diagnosis(event: &Event) -> bool {
    matches!(event.data, Data::Diagnosis(_))
}

fn channel(event: &Event) -> Option<Channel> {
    match &event.data {
        Data::Notification(notification) => Some(notification.channel),
        _ => None,
    }
}
