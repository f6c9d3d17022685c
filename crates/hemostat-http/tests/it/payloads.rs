//! What the receivers get.

use std::time::{SystemTime, UNIX_EPOCH};

use hemostat_agent::notifier::Notifier;
use hemostat_event::{Channel, cloudevents};
use hemostat_http::{SlackWebhook, Webhook};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::server::{Request, Server, large_message, message};

#[tokio::test]
async fn slack_gets_its_blocks_at_the_address_of_the_webhook() {
    let server = Server::answering(200, &[], "ok").await;
    let slack = SlackWebhook::new(&server.url("/services/T0/B0/token")).expect("a channel");
    assert_eq!(slack.channel(), Channel::Slack);
    slack.deliver(&message()).await.expect("delivered");
    let request = server.request();
    assert_eq!((request.method.as_str(), request.uri.path()), ("POST", "/services/T0/B0/token"));
    assert_eq!(request.header("content-type"), "application/json");
    assert!(request.header("user-agent").starts_with("hemostat/"));
    let body = request.json();
    assert_eq!(body["text"], "web was restarted: Exit code 1. Whether it helped is checked next.");
    assert_eq!(body["blocks"][0]["type"], "header");
    assert_eq!(body["blocks"][0]["text"]["text"], "🔧 web was restarted");
    assert_eq!(body["attachments"][0]["color"], "#36a64f");
    assert_eq!(body["attachments"][0]["blocks"][1]["fields"][1]["text"], "*Host*\nh1");
}

#[tokio::test]
async fn the_webhook_gets_a_cloud_event_that_carries_the_log_event() {
    let server = Server::answering(204, &[], "").await;
    let webhook = Webhook::new(&server.url("/hook?team=a"), None).expect("a channel");
    assert_eq!(webhook.channel(), Channel::Webhook);
    let message = message();
    webhook.deliver(&message).await.expect("delivered");
    let request = server.request();
    assert_eq!((request.method.as_str(), request.uri.to_string().as_str()), ("POST", "/hook?team=a"));
    assert_eq!(request.header("content-type"), "application/cloudevents+json");
    assert_eq!(request.header("webhook-id"), message.id.to_string());
    assert!(!request.headers.contains_key("webhook-signature"), "there is no key to sign with");
    let incident = message.event.envelope.incident.expect("an incident").to_string();
    assert_eq!(
        request.json(),
        json!({
            "specversion": "1.0",
            "id": message.id.to_string(),
            "source": "/alert",
            "type": "hemostat.notification",
            "subject": "h1/web",
            "time": "2023-11-14T22:13:20.000000Z",
            "datacontenttype": "application/json",
            "dataschema": "urn:hemostat:schema:message:v1",
            "host": "h1",
            "correlationid": incident,
            "causationid": message.id.to_string(),
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "data": {
                "kind": "remediated",
                "severity": "warning",
                "title": "web was restarted",
                "text": "Exit code 1. Whether it helped is checked next.",
                "fields": [{ "name": "Container", "value": "web" }, { "name": "Host", "value": "h1" }],
                "incident": incident,
                "event": cloudevents::to_json(&message.event, None),
            },
        })
    );
    let event = cloudevents::from_json(&request.json()["data"]["event"]).expect("a log event");
    assert_eq!(event, message.event);
}

#[tokio::test]
async fn attributes_that_the_event_lacks_are_left_out_and_so_is_an_event_that_is_too_large() {
    let server = Server::answering(200, &[], "").await;
    let webhook = Webhook::new(&server.url("/"), Some("key")).expect("a channel");
    webhook.deliver(&large_message()).await.expect("delivered");
    let request = server.request();
    assert!(request.body.len() < 4_096);
    let body = request.json();
    for absent in
        [&body["subject"], &body["correlationid"], &body["data"]["incident"], &body["data"]["event"]]
    {
        assert!(absent.is_null(), "{body}");
    }
    assert!(!request.body.windows(4).any(|four| four == b"null"), "absent, not null");
    verify(&request, b"key");
}

#[tokio::test]
async fn a_signature_is_what_a_standard_webhooks_library_expects() {
    let server = Server::answering(200, &[], "").await;
    for (secret, key) in [("correct horse", &b"correct horse"[..]), ("whsec_AAECAwT/", &[0, 1, 2, 3, 4, 255])]
    {
        let webhook = Webhook::new(&server.url("/"), Some(secret)).expect("a channel");
        webhook.deliver(&message()).await.expect("delivered");
        verify(server.requests().last().expect("a request"), key);
    }
}

#[tokio::test]
async fn a_repetition_has_the_same_id() {
    let server = Server::answering(200, &[], "").await;
    let webhook = Webhook::new(&server.url("/"), None).expect("a channel");
    webhook.deliver(&message()).await.expect("delivered");
    webhook.deliver(&message()).await.expect("delivered");
    let [first, second] = &server.requests()[..] else { panic!("two requests") };
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
}

/// Checks timestamp and signature by RFC 2104 and the text of Standard Webhooks, without the code under test.
fn verify(request: &Request, key: &[u8]) {
    let timestamp = request.header("webhook-timestamp");
    let sent: u64 = timestamp.parse().expect("seconds");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(now.abs_diff(sent) < 60, "sent at {sent}, now it is {now}");

    let mut signed = format!("{}.{timestamp}.", request.header("webhook-id")).into_bytes();
    signed.extend_from_slice(&request.body);
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(&signed).finalize();
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    let signature = request.header("webhook-signature").strip_prefix("v1,").expect("version 1");
    assert_eq!(base64(signature), outer.to_vec());
}

/// Reads base64 (RFC 4648).
fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for digit in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit).expect("a digit of base64");
        bits = bits << 6 | u32::try_from(value).expect("below 64");
        count += 6;
        if 8 <= count {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("a byte"));
        }
    }
    bytes
}
