//! The port to a channel that reaches people.

use std::time::Duration;

use async_trait::async_trait;
use hemostat_core::notify::Message;
use hemostat_event::Channel;

use crate::log::BoxError;

/// A message that was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It may work later.
    #[error("`{}` did not take the message", channel.as_str())]
    Retry {
        /// Which channel.
        channel: Channel,
        /// How long it asked us to wait (`Retry-After`), where it did.
        after: Option<Duration>,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// It will not work later either: the address or the message is wrong.
    #[error("`{}` refuses the message", channel.as_str())]
    Refused {
        /// Which channel.
        channel: Channel,
        /// What it answered.
        #[source]
        source: BoxError,
    },
}

/// A channel.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Which channel.
    fn channel(&self) -> Channel;

    /// Delivers one message, at least once: a receiver tells repetitions by [`Message::id`].
    /// One try; retries are the caller's.
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError>;
}
