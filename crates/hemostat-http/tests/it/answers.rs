//! What the channels make of an answer, or of none.

use std::time::Duration;

use hemostat_agent::notifier::{DeliveryError, Notifier};
use hemostat_event::Channel;
use hemostat_http::{SlackWebhook, Webhook};
use tokio::time::Instant;

use crate::server::{Server, message, nobody};

/// What one try came to.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Delivered,
    Retry(Option<u64>),
    Refused,
}

async fn came(channel: &dyn Notifier) -> Came {
    match channel.deliver(&message()).await {
        Ok(()) => Came::Delivered,
        Err(DeliveryError::Retry { channel: of, after, .. }) => {
            assert_eq!(of, channel.channel());
            Came::Retry(after.map(|after| after.as_secs()))
        }
        Err(DeliveryError::Refused { channel: of, .. }) => {
            assert_eq!(of, channel.channel());
            Came::Refused
        }
    }
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    for (status, expected) in [
        (200, Came::Delivered),
        (202, Came::Delivered),
        (204, Came::Delivered),
        (400, Came::Refused),
        (401, Came::Refused),
        (403, Came::Refused),
        (404, Came::Refused),
        (408, Came::Retry(None)),
        (410, Came::Refused),
        (413, Came::Refused),
        (425, Came::Retry(None)),
        (429, Came::Retry(None)),
        (500, Came::Retry(None)),
        (502, Came::Retry(None)),
        (503, Came::Retry(None)),
        (504, Came::Retry(None)),
    ] {
        let server = Server::answering(status, &[], "").await;
        let channel = Webhook::new(&server.url("/"), None).expect("a channel");
        assert_eq!(came(&channel).await, expected, "{status}");
        assert_eq!(server.requests().len(), 1, "one try per call");
        let channel = SlackWebhook::new(&server.url("/")).expect("a channel");
        assert_eq!(came(&channel).await, expected, "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_honoured_and_capped() {
    let own = ("date", "Fri, 24 Nov 2023 05:27:17 GMT");
    for (status, after, expected) in [
        (429, "7", Came::Retry(Some(7))),
        (503, "Fri, 24 Nov 2023 05:27:50 GMT", Came::Retry(Some(33))),
        (429, "86400", Came::Retry(Some(300))),
        (503, "whenever", Came::Retry(None)),
        (404, "7", Came::Refused),
    ] {
        let server = Server::answering(status, &[own, ("retry-after", after)], "").await;
        let channel = SlackWebhook::new(&server.url("/")).expect("a channel");
        assert_eq!(came(&channel).await, expected, "{status} {after}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_message_stays_here() {
    let elsewhere = Server::answering(200, &[], "ok").await;
    for status in [301, 302, 303, 307, 308] {
        let server = Server::answering(status, &[("location", &elsewhere.url("/login"))], "").await;
        let channel = Webhook::new(&server.url("/"), Some("key")).expect("a channel");
        let error = channel.deliver(&message()).await.expect_err("not delivered");
        assert!(matches!(error, DeliveryError::Refused { .. }), "{status}: {error:?}");
    }
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_tried_again() {
    let channel = Webhook::new(&nobody("/"), None).expect("a channel");
    assert_eq!(came(&channel).await, Came::Retry(None));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_does_not_answer_is_given_up_after_ten_seconds() {
    // The system accepts the connection and nobody ever reads from it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/", listener.local_addr().expect("an address"));
    let channel = SlackWebhook::new(&address).expect("a channel");
    let before = Instant::now();
    let error = channel.deliver(&message()).await.expect_err("no answer");
    let took = before.elapsed();
    assert!(Duration::from_secs(10) <= took && took < Duration::from_secs(11), "{took:?}");
    let DeliveryError::Retry { channel: Channel::Slack, after: None, source } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.to_string(), "no answer within 10 s");
}

#[tokio::test]
async fn the_word_with_which_slack_says_why_is_in_the_error() {
    let server = Server::answering(404, &[], "no_service").await;
    let channel = SlackWebhook::new(&server.url("/services/x")).expect("a channel");
    let DeliveryError::Refused { source, .. } = channel.deliver(&message()).await.expect_err("refused")
    else {
        panic!("refused for good");
    };
    assert_eq!(source.to_string(), "the endpoint answers 404 Not Found (no_service)");
}

#[test]
fn what_is_no_address_is_refused_at_the_start() {
    for address in ["", "hooks.slack.com/services", "ftp://host/x", "https://", "file:///etc/passwd"] {
        assert!(SlackWebhook::new(address).is_err(), "{address:?}");
        assert!(Webhook::new(address, None).is_err(), "{address:?}");
    }
    assert!(Webhook::new("https://host.example/x", Some("")).is_err(), "a key that signs nothing");
}
