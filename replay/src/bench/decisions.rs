//! Incidents as the rules themselves decide them: a container dies, is restarted, verified, and everybody is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use hemostat_core::diagnose;
use hemostat_core::engine::Inspection;
use hemostat_core::notify;
use hemostat_core::remediate::{self, Seen};
use hemostat_core::replay::Rules;
use hemostat_core::role::{Decide, First, Input, Then, Timer};
use hemostat_event::{
    Anomaly, AnomalyKind, Channel, ContainerPolicy, Envelope, Event, EventId, Evidence, EvidenceItem,
    EvidenceKind, Health, HealthAlert, IncidentId, Mode, RunState, Sample, Severity, Source, Subject,
    Timestamp,
};

use super::samples::{CONTAINERS, container, observed, start, subject};
use super::sealed::{Made, Making};

/// Time between two incidents of a container: longer than any cooldown.
const APART: Duration = Duration::from_secs(7_200);

/// Seals `count` incidents, each container in turn.
///
/// # Errors
/// When they cannot be written.
pub(super) async fn make(folder: &Path, count: u64) -> anyhow::Result<Made> {
    let mut making = Making::begin(folder)?;
    let mut agents = Agents::new();
    let mut decisions = 0;
    for number in 0..count {
        let place = number % CONTAINERS;
        let at = start() + APART * u32::try_from(number / CONTAINERS)? + Duration::from_secs(7 * place);
        for event in agents.incident(place, at)? {
            making.push(&event).await?;
        }
        decisions += std::mem::take(&mut agents.decisions);
    }
    making.finish(decisions).await
}

/// The three that decide, and what they know.
struct Agents {
    rules: Rules,
    analyzer: BTreeMap<Subject, diagnose::State>,
    responder: BTreeMap<Subject, remediate::State>,
    alerter: BTreeMap<Subject, notify::State>,
    decisions: u64,
}

impl Agents {
    fn new() -> Self {
        let mut rules = Rules::default();
        rules.alerter.settings.channels = vec![Channel::Terminal];
        Self {
            rules,
            analyzer: BTreeMap::new(),
            responder: BTreeMap::new(),
            alerter: BTreeMap::new(),
            decisions: 0,
        }
    }

    /// Everything that is written about one incident.
    fn incident(&mut self, place: u64, at: Timestamp) -> anyhow::Result<Vec<Event>> {
        let alert = alert(place, at);
        let mut log = vec![alert.clone()];
        let analyzer = &self.rules.analyzer;
        let dealt = deal(analyzer, &mut self.analyzer, First::Event(&alert), &alert, at + STEP, vec![]);
        let [plan] = &dealt.written[..] else { bail!("the analyzer does not plan") };
        log.push(plan.clone());
        self.tell(&alert, at + STEP, &mut log);

        let responder = &self.rules.responder;
        let outcomes = vec![looked(RunState::Exited), done()];
        let repaired =
            deal(responder, &mut self.responder, First::Event(plan), plan, at + STEP * 2, outcomes);
        let [intent, complete] = &repaired.written[..] else { bail!("the responder does not restart") };
        log.extend([intent.clone(), complete.clone()]);
        self.tell(complete, complete.envelope.time + STEP, &mut log);

        let [timer] = &repaired.timers[..] else { bail!("the responder does not verify") };
        let responder = &self.rules.responder;
        let outcomes = vec![looked(RunState::Running)];
        let verified = deal(responder, &mut self.responder, First::Timer(timer), plan, timer.due, outcomes);
        let [verdict] = &verified.written[..] else { bail!("the responder has no verdict") };
        log.push(verdict.clone());
        self.tell(verdict, timer.due + STEP, &mut log);
        // The analyzer's, and the responder's three: the engine stands between intent and outcome.
        self.decisions += 4;
        Ok(log)
    }

    fn tell(&mut self, news: &Event, now: Timestamp, log: &mut Vec<Event>) {
        let answer = notify::Answer::Delivered;
        let outcomes = vec![notify::Outcome::Answered([(Channel::Terminal, answer)].into())];
        let dealt = deal(&self.rules.alerter, &mut self.alerter, First::Event(news), news, now, outcomes);
        self.decisions += u64::from(!dealt.written.is_empty());
        log.extend(dealt.written);
    }
}

/// Between two steps.
const STEP: Duration = Duration::from_millis(5);

/// What came of an input.
struct Dealt {
    written: Vec<Event>,
    timers: Vec<Timer>,
}

/// What a role makes of one input, with the world's answers given.
fn deal<D: Decide>(
    role: &D,
    states: &mut BTreeMap<Subject, D::State>,
    first: First<'_>,
    input: &Event,
    mut now: Timestamp,
    outcomes: Vec<D::Outcome>,
) -> Dealt {
    let mut dealt = Dealt { written: Vec::new(), timers: Vec::new() };
    let Some(subject) = input.envelope.subject.clone() else { return dealt };
    let state = states.entry(subject.clone()).or_default();
    let mut outcomes = outcomes.into_iter();
    let mut next = match first {
        First::Event(event) => Input::Event(event),
        First::Timer(timer) => Input::Timer(timer),
    };
    loop {
        let decision = role.decide(&subject, state, next, now);
        dealt.timers.extend(decision.timers);
        for (index, emit) in decision.emit.into_iter().enumerate() {
            let envelope = Envelope {
                id: EventId::derive(input.envelope.id, D::ROLE, &emit.step(), index),
                source: Source { role: D::ROLE, instance: "bench".to_owned() },
                time: now,
                incident: emit.incident,
                cause: Some(input.envelope.id),
                ..input.envelope.clone()
            };
            let event = Event { envelope, data: emit.data };
            D::fold(state, &event);
            dealt.written.push(event);
        }
        let Then::Perform(_) = decision.then else { return dealt };
        let Some(outcome) = outcomes.next() else { return dealt };
        now = now + STEP;
        next = Input::Outcome { first, attempt: 1, outcome };
    }
}

fn looked(state: RunState) -> remediate::Outcome {
    let exit_code = (state == RunState::Exited).then_some(1);
    remediate::Outcome::Seen(Box::new(Seen {
        inspection: Inspection { state, health: Health::None, exit_code, ..Inspection::default() },
        sample: None,
    }))
}

fn done() -> remediate::Outcome {
    remediate::Outcome::Done { took: Duration::from_millis(150), run_started_at: None }
}

fn alert(place: u64, at: Timestamp) -> Event {
    let container = container(place);
    let subject = subject(&container);
    let envelope = Envelope { incident: Some(IncidentId::opened(&subject, at)), ..observed(&subject, at, 1) };
    let text =
        format!("worker {place}: starting\nworker {place}: fatal: cannot reach its work queue at {at}");
    let data = HealthAlert {
        container,
        severity: Severity::High,
        anomalies: vec![Anomaly {
            kind: AnomalyKind::NonZeroExit,
            severity: Severity::High,
            actual: Some(1.0),
            threshold: None,
            since: at,
            detail: "exit code 1".to_owned(),
        }],
        sample: Sample { state: RunState::Exited, exit_code: Some(1), ..Sample::default() },
        opened_at: at,
        engine_event_at: Some(at),
        deaths_recent: 1,
        engine_restarts: false,
        evidence: Evidence {
            items: vec![EvidenceItem { id: "log".to_owned(), kind: EvidenceKind::LogTail, text }],
            ..Evidence::default()
        },
        policy: ContainerPolicy { mode: Mode::Auto, ..ContainerPolicy::default() },
    };
    Event { envelope, data: data.into() }
}
