//! Keeps agents running: one that fails is started again alone, with a growing wait, and the reason is logged.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hemostat_agent::telemetry::Telemetry;
use hemostat_event::Role;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// First wait before an agent is started again; doubled with every failure.
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// Longest wait before an agent is started again.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// An agent that ran this long has recovered: its next failure is a first one.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// Runs `agent` until `stop` is cancelled, starting it again whenever it ends before.
pub(crate) async fn keep_running<F, R>(
    role: Role,
    telemetry: Arc<Telemetry>,
    stop: CancellationToken,
    agent: F,
) where
    F: Fn(CancellationToken) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut wait = WAIT_FIRST;
    while !stop.is_cancelled() {
        let began = Instant::now();
        // Each run has its own token: an agent that ends cancels its own tasks, not its siblings.
        let ended = AssertUnwindSafe(agent(stop.child_token())).catch_unwind().await;
        if stop.is_cancelled() {
            return;
        }
        let reason = match ended {
            Ok(Ok(())) => "it ended by itself".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(panic) => format!("it panicked: {}", panic_text(panic.as_ref())),
        };
        if RECOVERED_AFTER <= began.elapsed() {
            wait = WAIT_FIRST;
        }
        telemetry.agent_restarted(role, &reason, wait);
        let _stopped = timeout(wait, stop.cancelled()).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Runs an agent that ends as `end` says until it was started five times; answers with the time that took.
    async fn five_starts(end: fn() -> anyhow::Result<()>) -> Duration {
        let (starts, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let began = Instant::now();
        let telemetry = Arc::new(Telemetry::new("test"));
        keep_running(Role::Analyzer, telemetry, stop.clone(), |_| {
            let (starts, stop) = (Arc::clone(&starts), stop.clone());
            async move {
                if starts.fetch_add(1, Ordering::Relaxed) == 4 {
                    stop.cancel();
                }
                end()
            }
        })
        .await;
        assert_eq!(starts.load(Ordering::Relaxed), 5);
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_fails_is_started_again_with_a_growing_wait() {
        let took = five_starts(|| Err(anyhow::anyhow!("no luck"))).await;
        assert_eq!(took.as_millis(), 500 + 1_000 + 2_000 + 4_000);
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_panics_is_started_again() {
        let took = five_starts(|| panic!("broken")).await;
        assert_eq!(took.as_millis(), 500 + 1_000 + 2_000 + 4_000);
    }
}
