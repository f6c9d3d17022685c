//! The generic webhook: a `CloudEvent` 1.0 in structured JSON mode, signed as Standard Webhooks says.
//!
//! # Body
//!
//! Content type `application/cloudevents+json`:
//!
//! | attribute | is |
//! |---|---|
//! | `id` | the id of the log event it tells of; the same message, however often it comes, has the same id |
//! | `source` | `/alert` |
//! | `type` | `hemostat.notification` |
//! | `subject`, `time`, `host`, `traceparent` | those of the log event, where it has them |
//! | `correlationid` | the incident, where there is one |
//! | `causationid` | the log event |
//! | `dataschema` | `urn:hemostat:schema:message:v1` |
//! | `data` | see below |
//!
//! `data` has `kind`, `severity`, `title`, `text`, `fields` (a list of `name` and `value`, in the order to show them),
//! `incident`, and `event`: the log event itself as `hemostat log -o json` writes it, left out where the whole would
//! be larger than 256 KiB. New members may come; a receiver should skip those it does not know.
//!
//! # Headers
//!
//! `webhook-id` (as `id`), `webhook-timestamp` (Unix seconds of this try), and, where a key is configured,
//! `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`. A key that begins with
//! `whsec_` is base64, any other is taken as it is. Every Standard Webhooks library verifies it; a receiver should
//! refuse timestamps that are more than five minutes old.

mod sign;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use hemostat_agent::notifier::{DeliveryError, Notifier};
use hemostat_core::notify::Message;
use hemostat_event::{Channel, cloudevents};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::client::{Client, SetupError};
use sign::Key;

const CONTENT_TYPE: &str = "application/cloudevents+json";
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// Most bytes of a body that carries the log event; dead letters can be large.
const BODY_MAX: usize = 256 * 1_024;

/// A webhook.
pub struct Webhook {
    client: Client,
    key: Option<Key>,
}

impl Webhook {
    /// A channel that posts to `url` and signs with `secret`, where there is one.
    ///
    /// # Errors
    /// When `url` is no HTTP address, the key cannot be used, or the client cannot be made.
    pub fn new(url: &str, secret: Option<&str>) -> Result<Self, SetupError> {
        let key = secret.map(Key::read).transpose()?;
        Ok(Self { client: Client::new(url)?, key })
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("client", &self.client).field("signed", &self.key.is_some()).finish()
    }
}

#[async_trait]
impl Notifier for Webhook {
    fn channel(&self) -> Channel {
        Channel::Webhook
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let id = message.id.to_string();
        let body = body(message);
        let sent_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            headers.insert(SIGNATURE, value(&key.sign(&id, &sent_at, &body)));
        }
        headers.insert(ID, value(&id));
        headers.insert(TIMESTAMP, value(&sent_at));
        let posted = self.client.post(CONTENT_TYPE, headers, body).await;
        posted.map_err(|failure| failure.of_channel(Channel::Webhook))
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("ids, digits and base64 are header values")
}

fn body(message: &Message) -> Vec<u8> {
    let whole = cloud_event(message, Some(cloudevents::to_json(&message.event, None))).to_string();
    if whole.len() <= BODY_MAX {
        return whole.into_bytes();
    }
    cloud_event(message, None).to_string().into_bytes()
}

fn cloud_event(message: &Message, event: Option<Value>) -> Value {
    let envelope = &message.event.envelope;
    let fields: Vec<_> =
        message.fields.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let mut data = json!({
        "kind": message.kind,
        "severity": message.severity,
        "title": message.title,
        "text": message.text,
        "fields": fields,
    });
    let mut whole = json!({
        "specversion": "1.0",
        "id": message.id,
        "source": "/alert",
        "type": "hemostat.notification",
        "time": envelope.time,
        "datacontenttype": "application/json",
        "dataschema": "urn:hemostat:schema:message:v1",
        "host": envelope.host,
        "causationid": envelope.id,
    });
    set(&mut data, "incident", envelope.incident.map(|incident| json!(incident)));
    set(&mut data, "event", event);
    set(&mut whole, "subject", envelope.subject.as_ref().map(|subject| json!(subject)));
    set(&mut whole, "correlationid", envelope.incident.map(|incident| json!(incident)));
    set(&mut whole, "traceparent", envelope.traceparent.as_ref().map(|parent| json!(parent)));
    set(&mut whole, "data", Some(data));
    whole
}

/// Adds a member that may be missing.
fn set(object: &mut Value, name: &str, member: Option<Value>) {
    let object: &mut Map<String, Value> = object.as_object_mut().expect("made as an object");
    if let Some(member) = member {
        object.insert(name.to_owned(), member);
    }
}
