//! The alert agent from the log to the channels: nothing is acknowledged before it was told or is a dead letter.

use std::sync::Arc;
use std::time::Duration;

use hemostat_agent::clock::LogClock;
use hemostat_agent::health::HealthBoard;
use hemostat_agent::log::{EntryId, EventLog, LogError, StreamName};
use hemostat_agent::memory::log::MemoryLog;
use hemostat_agent::notifier::Notifier;
use hemostat_agent::perform::Telling;
use hemostat_agent::run::{Agent, Settings};
use hemostat_agent::telemetry::Telemetry;
use hemostat_core::notify::{self, Alerter};
use hemostat_event::{Data, Delivery, EventType, HostName, Role};
use hemostat_http::{SlackWebhook, Webhook};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::server::{Server, message};

#[tokio::test]
async fn a_channel_that_fails_is_tried_again_and_the_other_is_told_once() {
    let slack = Server::answering_in_turn(&[503, 200], &[], "ok").await;
    let webhook = Server::answering(200, &[], "").await;
    let alert = Alert::start(&slack, &webhook, 5).await;
    alert.until_all_is_acknowledged().await;
    assert_eq!(alert.log().await, ["webhook sent 1", "slack sent 2"]);
    assert_eq!((slack.requests().len(), webhook.requests().len()), (2, 1));
    alert.stop().await;
}

#[tokio::test]
async fn a_channel_that_fails_for_good_leaves_a_dead_letter_and_no_chain_of_them() {
    let slack = Server::answering(500, &[], "").await;
    let webhook = Server::answering(200, &[], "").await;
    let alert = Alert::start(&slack, &webhook, 2).await;
    alert.until_all_is_acknowledged().await;
    assert_eq!(
        alert.log().await,
        [
            "webhook sent 1",
            "alert: remediation_complete dead after 2: `slack` did not take the message: the endpoint answers 500 Internal Server Error"
        ]
    );
    assert_eq!((slack.requests().len(), webhook.requests().len()), (2, 1), "nobody is told of the letter");
    alert.stop().await;
}

#[tokio::test]
async fn a_refusal_is_recorded_and_is_the_end() {
    let slack = Server::answering(404, &[], "no_service").await;
    let webhook = Server::answering(200, &[], "").await;
    let alert = Alert::start(&slack, &webhook, 5).await;
    alert.until_all_is_acknowledged().await;
    let refused =
        "slack failed 1: `slack` refuses the message: the endpoint answers 404 Not Found (no_service)";
    assert_eq!(alert.log().await, [refused, "webhook sent 1"]);
    assert_eq!((slack.requests().len(), webhook.requests().len()), (1, 1));
    alert.stop().await;
}

/// An alert agent with one event before it.
struct Alert {
    log: MemoryLog,
    stop: CancellationToken,
    task: JoinHandle<Result<(), LogError>>,
}

impl Alert {
    async fn start(slack: &Server, webhook: &Server, attempts_max: u32) -> Self {
        let event = message().event;
        let log = MemoryLog::new(1, event.envelope.time);
        log.append(&[event]).await.expect("appended");
        let channels: [Arc<dyn Notifier>; 2] = [
            Arc::new(SlackWebhook::new(&slack.url("/")).expect("a channel")),
            Arc::new(Webhook::new(&webhook.url("/"), None).expect("a channel")),
        ];
        let performer = Telling::new(channels);
        let settings = notify::Settings { channels: performer.channels(), ..notify::Settings::default() };
        let streams = [EventType::RemediationComplete, EventType::DeadLetter].map(StreamName::Type).to_vec();
        let host = HostName::new("h1").expect("a host");
        let shared: Arc<dyn EventLog> = Arc::new(log.clone());
        let agent = Agent {
            role: Alerter { settings },
            performer,
            clock: Arc::new(LogClock::new(Arc::clone(&shared))),
            log: shared,
            settings: Settings { attempts_max, ..Settings::new("alert-1", host, streams) },
            telemetry: Arc::new(Telemetry::new("test")),
            tick: HealthBoard::new().part("alert", Duration::from_secs(5)),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(agent.run(stop.clone()));
        Self { log, stop, task }
    }

    async fn until_all_is_acknowledged(&self) {
        let acknowledged = async {
            let mut look = interval(Duration::from_millis(20));
            loop {
                look.tick().await;
                let groups = self.log.groups().await.expect("groups");
                let done = |group: &hemostat_agent::log::GroupStatus| {
                    group.pending == 0 && group.unread.exact() == Some(0)
                };
                if groups.iter().any(|group| group.role == Role::Alert) && groups.iter().all(done) {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(20), acknowledged).await.expect("all is dealt with");
    }

    /// What the alert agent wrote, in order.
    async fn log(&self) -> Vec<String> {
        let partition = self.log.partitions()[0];
        let mut entries = Vec::new();
        for kind in [EventType::Notification, EventType::DeadLetter] {
            entries.extend(
                self.log
                    .range(partition, &StreamName::Type(kind), EntryId::ZERO, 100)
                    .await
                    .expect("entries"),
            );
        }
        entries.sort_by_key(|entry| entry.seq);
        entries.into_iter().map(|entry| line(&entry.event.expect("an event").data)).collect()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("no error");
    }
}

fn line(data: &Data) -> String {
    match data {
        Data::Notification(told) => {
            let delivery = match &told.delivery {
                Delivery::Sent { attempt } => format!("sent {attempt}"),
                Delivery::Failed { attempt, error } => format!("failed {attempt}: {error}"),
                other => format!("{other:?}"),
            };
            format!("{} {delivery}", told.channel.as_str())
        }
        Data::DeadLetter(letter) => {
            let why = letter.errors.last().map_or("nothing", String::as_str);
            format!("{}: {} dead after {}: {why}", letter.group, letter.stream, letter.attempts)
        }
        data => panic!("the alert agent wrote {data:?}"),
    }
}
