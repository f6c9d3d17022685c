//! The port to whoever can find a root cause besides the rules: a language model.
//!
//! No provider exists yet; the analyzer asks one when it is given one, records the answer as a `diagnosis`
//! event, and decides on the recorded event.

use async_trait::async_trait;
use hemostat_event::{Diagnosis, HealthAlert};

use crate::log::BoxError;

/// Why there is no diagnosis. The analyzer falls back to its rules.
#[derive(Debug, thiserror::Error)]
#[error("no diagnosis from {provider}")]
pub struct DiagnosisError {
    /// Who was asked.
    pub provider: String,
    /// What happened.
    #[source]
    pub source: BoxError,
}

/// Finds root causes.
#[async_trait]
pub trait Diagnostician: Send + Sync {
    /// Finds the root cause of an alert. Implementations keep their own time limit and never act.
    async fn diagnose(&self, alert: &HealthAlert) -> Result<Diagnosis, DiagnosisError>;
}
