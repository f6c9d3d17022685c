//! Slack, through an incoming webhook. Such a webhook can neither edit nor thread, so every message stands alone.

mod blocks;

use std::fmt;

use async_trait::async_trait;
use hemostat_agent::notifier::{DeliveryError, Notifier};
use hemostat_core::notify::Message;
use hemostat_event::Channel;
use reqwest::header::HeaderMap;

use crate::client::{Client, SetupError};

/// A Slack incoming webhook, or anything that takes the same payload.
pub struct SlackWebhook {
    client: Client,
}

impl SlackWebhook {
    /// A channel that posts to `url`, which Slack's settings show once and which is a secret.
    ///
    /// # Errors
    /// When `url` is no HTTP address, or the client cannot be made.
    pub fn new(url: &str) -> Result<Self, SetupError> {
        Client::new(url).map(|client| Self { client })
    }
}

impl fmt::Debug for SlackWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SlackWebhook").field(&self.client).finish()
    }
}

#[async_trait]
impl Notifier for SlackWebhook {
    fn channel(&self) -> Channel {
        Channel::Slack
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let body = blocks::payload(message).to_string().into_bytes();
        let posted = self.client.post("application/json", HeaderMap::new(), body).await;
        posted.map_err(|failure| failure.of_channel(Channel::Slack))
    }
}
