//! The hands of the roles: each carries out its role's effects through a port.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use hemostat_core::detect::Watch;
use hemostat_core::diagnose::{self, Analyzer};
use hemostat_core::engine::Inspection;
use hemostat_core::notify::{self, Alerter};
use hemostat_core::remediate::{self, Responder};
use hemostat_event::{Action, Channel, ContainerId, Diagnosis, Sample, Subject};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::containers::{Containers, EngineError};
use crate::diagnostician::Diagnostician;
use crate::notifier::{DeliveryError, Notifier};
use crate::run::Perform;
use crate::telemetry::{Telemetry, chain};

#[cfg(test)]
mod tests;

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
            remediate::Effect::Inspect { target, figures } => self.look(&target, figures).await,
            remediate::Effect::Act { action: Action::Restart { stop_timeout_secs }, target } => {
                self.restart(&target, stop_timeout_secs).await
            }
            remediate::Effect::Act { action, .. } => remediate::Outcome::Failed {
                error: format!("`{}` is not supported by this version", action.kind().as_str()),
            },
        }
    }
}

impl Acting {
    async fn look(&self, target: &ContainerId, figures: bool) -> remediate::Outcome {
        match self.engine.inspect(target).await {
            Ok(inspection) => {
                let sample = if figures { self.measure(target, &inspection).await } else { None };
                remediate::Outcome::Seen(Box::new(remediate::Seen { inspection, sample }))
            }
            Err(EngineError::NotFound(_)) => remediate::Outcome::Gone,
            Err(error) => {
                self.telemetry.engine_failed("inspect", &error);
                remediate::Outcome::Unreachable { error: chain(&error) }
            }
        }
    }

    async fn restart(&self, target: &ContainerId, stop_timeout_secs: Option<u32>) -> remediate::Outcome {
        let began = Instant::now();
        match self.engine.restart(target, stop_timeout_secs).await {
            Ok(()) => {
                let took = began.elapsed();
                // Verification compares with this start; without it the verdict rests on less, and is still one.
                let run_started_at = match self.engine.inspect(target).await {
                    Ok(inspection) => inspection.started_at,
                    Err(error) => {
                        self.telemetry.engine_failed("inspect", &error);
                        None
                    }
                };
                remediate::Outcome::Done { took, run_started_at }
            }
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

    /// CPU, memory and processes over [`MEASURE`]; `None` where the engine does not give them.
    async fn measure(&self, target: &ContainerId, inspection: &Inspection) -> Option<Sample> {
        let asked = async {
            let info = self.engine.info().await?;
            let first = self.engine.counters(target).await?;
            sleep(MEASURE).await;
            let second = self.engine.counters(target).await?;
            Ok::<_, EngineError>((info, first, second))
        };
        match asked.await {
            Ok((info, first, second)) => {
                let mut watch = Watch::new();
                // CPU is a difference: the first reading has nothing to be compared with.
                let _first = watch.sample(inspection, Some(&first), None, &info);
                Some(watch.sample(inspection, Some(&second), None, &info))
            }
            Err(error) => {
                self.telemetry.engine_failed("read counters", &error);
                None
            }
        }
    }
}

/// Time over which the CPU use of a container is measured when an action is verified.
const MEASURE: Duration = Duration::from_secs(2);

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
        match effect {
            notify::Effect::Deliver { channels, message } => {
                // Side by side: a channel that hangs does not hold up the others.
                let told = channels.into_iter().map(|channel| self.tell(channel, &message));
                notify::Outcome::Answered(join_all(told).await.into_iter().collect())
            }
            notify::Effect::Wait { after } => notify::Outcome::Waited { after },
        }
    }
}

impl Telling {
    async fn tell(&self, channel: Channel, message: &notify::Message) -> (Channel, notify::Answer) {
        let Some(notifier) = self.channels.get(&channel) else {
            let error = format!("`{}` is not configured", channel.as_str());
            return (channel, notify::Answer::Refused { error });
        };
        let answer = match notifier.deliver(message).await {
            Ok(()) => notify::Answer::Delivered,
            Err(error) => {
                let text = chain(&error);
                match error {
                    DeliveryError::Refused { .. } => notify::Answer::Refused { error: text },
                    DeliveryError::Retry { after, .. } => {
                        // A refusal is in the log as an event; of a try that failed this line is the only trace.
                        warn!(channel = channel.as_str(), error = text, "a message waits for its next try");
                        notify::Answer::Retry { after, error: text }
                    }
                }
            }
        };
        (channel, answer)
    }
}
