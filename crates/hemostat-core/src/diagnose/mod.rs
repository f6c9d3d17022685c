//! Why is it sick?
//!
//! The rules find the root cause from one alert, which carries everything they need: symptoms, sample, trend and
//! evidence. A language model can be asked before (the port is here, providers come later): its answer is recorded
//! as a `diagnosis` event and then decided on, within what the rules allow.
//!
//! Invariants:
//! - every `health_alert` gets exactly one of `remediation_needed` and `false_alarm`.
//! - a verdict cites only evidence and symptoms that the alert has.
//! - when the facts do not say, the cause is `unknown` and the action is a person's.
//! - a restart is proposed with a confidence of 0.7 or more only where there is a hard fact (a death, a failed
//!   health check, processes at their limit) or a symptom that lasts; a container that is paused, still starting or
//!   runs again is left alone.

mod leak;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use hemostat_event::{
    Action, ActionKind, Basis, Data, Diagnosis, Event, FalseAlarm, HealthAlert, IncidentId, Plan,
    RemediationNeeded, Role, Subject, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::role::{Decide, Decision, Emit, First, Input, Then};

pub use leak::{Leak, leak};
pub use rules::{Finding, find};

/// How the analyzer decides.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a plan stays valid.
    pub plan_ttl: Duration,
    /// Restarts planned within one incident before a person has to look.
    pub plans_max: u32,
    /// Whether a language model is asked first.
    pub consult: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Longer than any queue should be, shorter than it takes the world to change.
            plan_ttl: Duration::from_secs(300),
            plans_max: 3,
            consult: false,
        }
    }
}

/// The analyzer.
#[derive(Debug, Clone)]
pub struct Analyzer {
    /// How it decides.
    pub settings: Settings,
}

/// What the analyzer asks of the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask a language model about an alert.
    Consult(Box<HealthAlert>),
}

/// Incidents whose plans are remembered per container.
const INCIDENTS_MAX: usize = 8;

/// What the analyzer remembers of a container: the fold of its own events.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The latest incidents, oldest first.
    incidents: VecDeque<Planned>,
}

/// What was planned in an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Planned {
    incident: IncidentId,
    /// Actions other than telling a person.
    plans: u32,
}

impl State {
    /// Actions planned in `incident` so far.
    #[must_use]
    pub fn plans(&self, incident: Option<IncidentId>) -> u32 {
        self.incidents
            .iter()
            .find(|planned| Some(planned.incident) == incident)
            .map_or(0, |planned| planned.plans)
    }
}

impl Decide for Analyzer {
    const ROLE: Role = Role::Analyzer;
    type State = State;
    type Effect = Effect;
    type Outcome = Result<Diagnosis, String>;

    fn decide(
        &self,
        _: &Subject,
        state: &State,
        input: Input<'_, Self::Outcome>,
        now: Timestamp,
    ) -> Decision<Effect> {
        let (event, answer) = match input {
            Input::Event(event) => (event, None),
            Input::Outcome { first: First::Event(event), outcome, .. } => (event, Some(outcome)),
            // The analyzer sets no deadlines.
            Input::Timer(_) | Input::Outcome { first: First::Timer(_), .. } => return Decision::nothing(),
        };
        let Data::HealthAlert(alert) = &event.data else { return Decision::nothing() };
        if self.settings.consult && answer.is_none() {
            return Decision::perform(Effect::Consult(Box::new(alert.clone())));
        }
        let incident = event.envelope.incident;
        let plans = state.plans(incident);
        let mut finding = find(alert, plans, self.settings.plans_max);
        let mut emit = Vec::new();
        if let Some(Ok(diagnosis)) = answer {
            finding = weigh(alert, finding, &diagnosis);
            emit.push(Emit { data: diagnosis.into(), incident });
        }
        emit.push(Emit { data: self.conclude(alert, finding, now), incident });
        Decision { emit, timers: Vec::new(), then: Then::Acknowledge }
    }

    fn fold(state: &mut State, event: &Event) {
        let Data::RemediationNeeded(needed) = &event.data else { return };
        let Some(incident) = event.envelope.incident else { return };
        if needed.plan.action.kind() == ActionKind::Escalate {
            return;
        }
        match state.incidents.iter_mut().find(|planned| planned.incident == incident) {
            Some(planned) => planned.plans = planned.plans.saturating_add(1),
            None => state.incidents.push_back(Planned { incident, plans: 1 }),
        }
        if INCIDENTS_MAX < state.incidents.len() {
            state.incidents.pop_front();
        }
    }
}

impl Analyzer {
    fn conclude(&self, alert: &HealthAlert, finding: Finding, now: Timestamp) -> Data {
        let kinds = alert.anomalies.iter().map(|anomaly| anomaly.kind).collect();
        let container = alert.container.clone();
        match finding.action {
            None => FalseAlarm { container, kinds, verdict: finding.verdict }.into(),
            Some(action) => RemediationNeeded {
                plan: Plan {
                    action,
                    target: container.id.clone(),
                    policy: alert.policy.clone(),
                    expires_at: now + self.settings.plan_ttl,
                },
                container,
                severity: alert.severity,
                kinds,
                verdict: finding.verdict,
            }
            .into(),
        }
    }
}

/// Joins a model's answer with the rules' finding. The model names the cause and explains; the action stays what
/// the rules allow, or less: where the model sees no reason to act, a person decides. Its own confidence counts for
/// nothing; agreement with the rules does.
fn weigh(alert: &HealthAlert, rules: Finding, diagnosis: &Diagnosis) -> Finding {
    let known = |cited: &String| {
        alert.evidence.items.iter().any(|item| item.id == *cited)
            || alert.anomalies.iter().any(|anomaly| anomaly.kind.as_str() == cited)
    };
    let cited: Vec<String> = diagnosis.cited.iter().filter(|cited| known(cited)).cloned().collect();
    // An answer that rests on nothing we sent is no answer.
    if cited.is_empty() {
        return rules;
    }
    let agrees = diagnosis.cause == rules.verdict.cause;
    let action = match (&rules.action, diagnosis.real_issue) {
        (Some(action), true) if diagnosis.action == Some(action.kind()) => Some(action.clone()),
        (None, false) => None,
        _ => Some(Action::Escalate),
    };
    let confidence = if agrees { rules.verdict.confidence } else { rules.verdict.confidence * 0.5 };
    let basis = Basis::Model { provider: diagnosis.provider.clone(), model: diagnosis.model.clone() };
    let reason = diagnosis.explanation.clone();
    Finding { verdict: Verdict { cause: diagnosis.cause, confidence, basis, cited, reason }, action }
}
