//! The channels that reach people: Slack, a generic webhook, the terminal.
//!
//! Each implements [`Notifier`](hemostat_agent::notifier::Notifier): one try per call, within a time limit, with an
//! answer that says whether another try makes sense.
//!
//! Invariants:
//! - C-1: an address and a signing key are secrets: neither they nor parts of them are in any error, log line or
//!   `Debug` form. An answer is quoted only where it is a single word that is not part of the address.
//! - C-2: a message never leaves for another place than the configured one: no redirect is followed.

mod client;
mod failure;
mod slack;
mod terminal;
mod trust;
mod webhook;

pub use client::SetupError;
pub use slack::SlackWebhook;
pub use terminal::Terminal;
pub use webhook::Webhook;
