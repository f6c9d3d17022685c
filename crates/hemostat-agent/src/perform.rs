//! The hands of the roles: each carries out its role's effects through a port.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hemostat_core::diagnose::{self, Analyzer};
use hemostat_core::notify::{self, Alerter};
use hemostat_core::remediate::{self, Responder};
use hemostat_event::{Action, Channel, Diagnosis, Subject};
use tokio::time::Instant;

use crate::containers::{Containers, EngineError};
use crate::diagnostician::Diagnostician;
use crate::notifier::{DeliveryError, Notifier};
use crate::run::Perform;
use crate::telemetry::{Telemetry, chain};

/// Asks a language model.
pub struct Consulting {
    /// Whom to ask; nobody when absent.
    pub diagnostician: Option<Arc<dyn Diagnostician>>,
}

#[async_trait]
impl Perform<Analyzer> for Consulting {
    async fn perform(&self, _: &Subject, effect: diagnose::Effect) -> Result<Diagnosis, String> {
        let diagnose::Effect::Consult(alert) = effect;
        match &self.diagnostician {
            Some(diagnostician) => diagnostician.diagnose(&alert).await.map_err(|error| chain(&error)),
            None => Err("no language model is configured".to_owned()),
        }
    }
}

/// Calls the container engine.
pub struct Acting {
    /// The engine.
    pub engine: Arc<dyn Containers>,
    /// What operators see of it.
    pub telemetry: Arc<Telemetry>,
}

#[async_trait]
impl Perform<Responder> for Acting {
    async fn perform(&self, _: &Subject, effect: remediate::Effect) -> remediate::Outcome {
        match effect {
            remediate::Effect::Inspect { target } => match self.engine.inspect(&target).await {
                Ok(inspection) => remediate::Outcome::Seen(Box::new(inspection)),
                Err(EngineError::NotFound(_)) => remediate::Outcome::Gone,
                Err(error) => {
                    self.telemetry.engine_failed("inspect", &error);
                    remediate::Outcome::Unreachable { error: chain(&error) }
                }
            },
            remediate::Effect::Act { action: Action::Restart { stop_timeout_secs }, target, .. } => {
                let began = Instant::now();
                match self.engine.restart(&target, stop_timeout_secs).await {
                    Ok(()) => remediate::Outcome::Done { took: began.elapsed() },
                    Err(EngineError::NotFound(_)) => remediate::Outcome::Gone,
                    Err(error) => {
                        self.telemetry.engine_failed("restart", &error);
                        let text = chain(&error);
                        match error {
                            EngineError::Refused { .. } => remediate::Outcome::Failed { error: text },
                            _ => remediate::Outcome::Unclear { error: text },
                        }
                    }
                }
            }
            remediate::Effect::Act { action, .. } => remediate::Outcome::Failed {
                error: format!("`{}` is not supported by this version", action.kind().as_str()),
            },
        }
    }
}

/// Delivers messages.
pub struct Telling {
    channels: BTreeMap<Channel, Arc<dyn Notifier>>,
}

impl Telling {
    /// Delivers through `notifiers`, one per channel.
    #[must_use]
    pub fn new(notifiers: impl IntoIterator<Item = Arc<dyn Notifier>>) -> Self {
        Self { channels: notifiers.into_iter().map(|notifier| (notifier.channel(), notifier)).collect() }
    }

    /// The channels there are.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        self.channels.keys().copied().collect()
    }
}

#[async_trait]
impl Perform<Alerter> for Telling {
    async fn perform(&self, _: &Subject, effect: notify::Effect) -> notify::Outcome {
        let notify::Effect::Deliver { channel, message } = effect;
        let Some(notifier) = self.channels.get(&channel) else {
            return notify::Outcome::Refused { error: format!("`{}` is not configured", channel.as_str()) };
        };
        match notifier.deliver(&message).await {
            Ok(()) => notify::Outcome::Delivered,
            Err(error @ DeliveryError::Refused { .. }) => notify::Outcome::Refused { error: chain(&error) },
            Err(error) => {
                let text = chain(&error);
                let after = match error {
                    DeliveryError::Retry { after, .. } => after,
                    DeliveryError::Refused { .. } => None,
                };
                notify::Outcome::Retry { after, error: text }
            }
        }
    }
}
