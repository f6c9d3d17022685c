//! What the hands make of the answers of the world.

use std::sync::Mutex;

use hemostat_core::engine::Counters;
use hemostat_event::{
    Anomaly, AnomalyKind, Command, ContainerPolicy, ContainerRef, Data, Envelope, Event, EventId, Evidence,
    HealthAlert, HostName, NotificationKind, OperatorCommand, Role, RunState, Severity, Source, Timestamp,
};

use super::*;
use crate::memory::containers::{Call, MemoryContainers, RestartAnswer};

#[tokio::test]
async fn a_look_shows_the_inspection_and_says_when_there_is_nothing_to_see() {
    let (engine, id) = engine();
    let look = || act(&engine, remediate::Effect::Inspect { target: id.clone(), figures: false });
    let remediate::Outcome::Seen(seen) = look().await else { panic!("it is there") };
    assert_eq!((seen.inspection.name.as_str(), seen.sample), ("db", None));
    engine.set_down(true);
    let remediate::Outcome::Unreachable { error } = look().await else { panic!("the engine is away") };
    assert_eq!(error, "the container engine at `memory` is unreachable: the engine is down");
    engine.set_down(false);
    engine.remove(&id);
    assert_eq!(look().await, remediate::Outcome::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_look_with_figures_measures_over_a_time() {
    let (engine, id) = engine();
    let at = |secs| engine.now() + Duration::from_secs(secs);
    let counters = |secs: u64| Counters {
        read_at: at(secs),
        cpu_usage_ns: Some(secs * 1_500_000_000),
        cpus_online: Some(2),
        memory_bytes: Some(1 << 20),
        ..Counters::default()
    };
    engine.set_counters(&id, counters(0));
    let began = Instant::now();
    let effect = remediate::Effect::Inspect { target: id.clone(), figures: true };
    let later = async {
        sleep(MEASURE / 2).await;
        engine.set_counters(&id, counters(2));
    };
    let (outcome, ()) = tokio::join!(act(&engine, effect), later);
    assert_eq!(began.elapsed(), MEASURE);
    let remediate::Outcome::Seen(seen) = outcome else { panic!("it is there") };
    let sample = seen.sample.expect("it was measured");
    assert_eq!((sample.cpu_percent, sample.memory_bytes), (Some(75.0), Some(1 << 20)));
}

#[tokio::test]
async fn a_look_at_what_does_not_run_has_no_figures() {
    let (engine, id) = engine();
    engine.update(&id, |inspection| inspection.state = RunState::Exited);
    let effect = remediate::Effect::Inspect { target: id, figures: true };
    let remediate::Outcome::Seen(seen) = act(&engine, effect).await else { panic!("it is there") };
    assert_eq!(seen.sample, None);
}

#[tokio::test]
async fn a_restart_is_done_with_the_start_of_the_new_run_or_failed_or_unclear() {
    let (engine, id) = engine();
    let restart = || {
        let action = Action::Restart { stop_timeout_secs: Some(7) };
        act(&engine, remediate::Effect::Act { action, target: id.clone() })
    };
    let remediate::Outcome::Done { run_started_at, .. } = restart().await else { panic!("it was restarted") };
    assert_eq!(run_started_at, engine.inspect(&id).await.unwrap().started_at);
    assert!(run_started_at.is_some());
    assert!(engine.calls().contains(&Call::Restart { id: id.clone(), stop_timeout_secs: Some(7) }));
    engine.on_restart(&id, RestartAnswer::Refused("no space left on device".to_owned()));
    let remediate::Outcome::Failed { error } = restart().await else { panic!("the engine refuses") };
    assert!(error.ends_with("no space left on device"), "{error}");
    engine.on_restart(&id, RestartAnswer::Timeout { done: true });
    let outcome = restart().await;
    assert!(matches!(outcome, remediate::Outcome::Unclear { .. }), "{outcome:?}");
    engine.remove(&id);
    assert_eq!(restart().await, remediate::Outcome::Gone);
}

#[tokio::test]
async fn an_action_of_a_later_version_fails_and_touches_nothing() {
    let (engine, id) = engine();
    engine.forget_calls();
    let outcome = act(&engine, remediate::Effect::Act { action: Action::Escalate, target: id }).await;
    let error = "`escalate` is not supported by this version".to_owned();
    assert_eq!(outcome, remediate::Outcome::Failed { error });
    assert_eq!(engine.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn channels_are_told_side_by_side_and_each_answers_for_itself() {
    let (slack, webhook) = (Channel::Slack, Channel::Webhook);
    let after = Some(Duration::from_secs(30));
    let retry =
        Paper::answering(slack, Err(DeliveryError::Retry { channel: slack, after, source: "busy".into() }));
    let refused =
        Paper::answering(webhook, Err(DeliveryError::Refused { channel: webhook, source: "gone".into() }));
    let told = Paper::answering(Channel::Terminal, Ok(()));
    let telling = Telling::new([retry, refused, told]);
    assert_eq!(telling.channels(), [slack, webhook, Channel::Terminal]);
    let began = Instant::now();
    let channels = telling.channels().into_iter().collect();
    let effect = notify::Effect::Deliver { channels, message: Box::new(message()) };
    let outcome = telling.perform(&subject(), effect).await;
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    let answers = [
        (slack, notify::Answer::Retry { after, error: "`slack` did not take the message: busy".to_owned() }),
        (webhook, notify::Answer::Refused { error: "`webhook` refuses the message: gone".to_owned() }),
        (Channel::Terminal, notify::Answer::Delivered),
    ];
    assert_eq!(outcome, notify::Outcome::Answered(answers.into_iter().collect()));
}

#[tokio::test]
async fn a_channel_that_is_not_configured_refuses_and_waiting_is_answered() {
    let telling = Telling::new([]);
    let channels = [Channel::Slack].into_iter().collect();
    let effect = notify::Effect::Deliver { channels, message: Box::new(message()) };
    let error = "`slack` is not configured".to_owned();
    let answers = [(Channel::Slack, notify::Answer::Refused { error })];
    let outcome = telling.perform(&subject(), effect).await;
    assert_eq!(outcome, notify::Outcome::Answered(answers.into_iter().collect()));
    let after = Some(Duration::from_secs(3));
    let waited = telling.perform(&subject(), notify::Effect::Wait { after }).await;
    assert_eq!(waited, notify::Outcome::Waited { after });
}

#[tokio::test]
async fn without_a_language_model_there_is_no_diagnosis() {
    let consulting = Consulting { diagnostician: None };
    let alert = HealthAlert {
        container: container(),
        severity: Severity::High,
        anomalies: vec![Anomaly {
            kind: AnomalyKind::HighCpu,
            severity: Severity::High,
            actual: None,
            threshold: None,
            since: Timestamp::EPOCH,
            detail: String::new(),
        }],
        sample: Sample::default(),
        opened_at: Timestamp::EPOCH,
        engine_event_at: None,
        deaths_recent: 0,
        engine_restarts: false,
        evidence: Evidence::default(),
        policy: ContainerPolicy::default(),
    };
    let answer = consulting.perform(&subject(), diagnose::Effect::Consult(Box::new(alert))).await;
    assert_eq!(answer, Err("no language model is configured".to_owned()));
}

/// A channel that answers once, after a second.
struct Paper {
    channel: Channel,
    answer: Mutex<Option<Result<(), DeliveryError>>>,
}

impl Paper {
    fn answering(channel: Channel, answer: Result<(), DeliveryError>) -> Arc<dyn Notifier> {
        Arc::new(Self { channel, answer: Mutex::new(Some(answer)) })
    }
}

#[async_trait]
impl Notifier for Paper {
    fn channel(&self) -> Channel {
        self.channel
    }

    async fn deliver(&self, _: &notify::Message) -> Result<(), DeliveryError> {
        sleep(Duration::from_secs(1)).await;
        self.answer.lock().unwrap().take().expect("it is asked once")
    }
}

async fn act(engine: &MemoryContainers, effect: remediate::Effect) -> remediate::Outcome {
    let acting = Acting { engine: Arc::new(engine.clone()), telemetry: Arc::new(Telemetry::new("test")) };
    acting.perform(&subject(), effect).await
}

/// An engine with one container, which runs.
fn engine() -> (MemoryContainers, ContainerId) {
    let engine = MemoryContainers::new(Timestamp::from_millis(1_700_000_000_000));
    let id = container().id;
    engine.put(&id, Inspection { name: "db".to_owned(), state: RunState::Running, ..Inspection::default() });
    (engine, id)
}

fn subject() -> Subject {
    "web-1/db".parse().unwrap()
}

fn container() -> ContainerRef {
    let id = ContainerId::new("0123456789ab").unwrap();
    ContainerRef { id, name: "db".to_owned(), image: "db:1".to_owned(), project: None, service: None }
}

fn message() -> notify::Message {
    let id = EventId::observed(&subject(), Role::Operator, Timestamp::EPOCH, 0);
    let event = Event {
        envelope: Envelope {
            id,
            source: Source { role: Role::Operator, instance: "cli".to_owned() },
            time: Timestamp::EPOCH,
            host: HostName::new("web-1").unwrap(),
            subject: None,
            incident: None,
            cause: None,
            traceparent: None,
        },
        data: Data::OperatorCommand(OperatorCommand { command: Command::Resume, by: "someone".to_owned() }),
    };
    notify::Message {
        id,
        kind: NotificationKind::Recovered,
        severity: Severity::Info,
        title: "db is well".to_owned(),
        text: String::new(),
        fields: Vec::new(),
        event,
    }
}
