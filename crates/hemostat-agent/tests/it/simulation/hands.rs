//! The engine and the channels, as one replica reaches them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hemostat_agent::containers::{Containers, EngineError};
use hemostat_agent::notifier::{DeliveryError, Notifier};
use hemostat_core::engine::{Counters, EngineEvent, EngineInfo, Inspection};
use hemostat_core::notify::Message;
use hemostat_event::{Channel, ContainerId, Timestamp};
use tokio::time::sleep;

use super::network::Line;
use super::referee::Cover;
use super::tally::Mark;

/// The engine of one host.
pub(super) struct Engine {
    pub(super) line: Arc<Line>,
    /// The number of the host.
    pub(super) host: usize,
}

impl Engine {
    /// Asks the engine something.
    async fn ask<T>(
        &self,
        operation: &'static str,
        about: Option<&ContainerId>,
        request: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> Result<T, EngineError> {
        self.line.gate().await;
        let stage = &self.line.stage;
        if let Some(id) = about
            && !stage.world.knew(self.host, id)
        {
            let host = &stage.scenario.hosts[self.host];
            let detail =
                format!("the engine of {host} was asked to {operation} {id}, which is another host's");
            stage.referee.find("own-engine", detail);
        }
        if self.fails() {
            stage.tally.count(Mark::EngineError);
            return Err(EngineError::Timeout { operation, limit: Duration::from_secs(1) });
        }
        // Sets the engine's clock.
        let _engine = stage.world.engine(self.host);
        let answer = request.await;
        self.line.gate().await;
        answer
    }

    fn fails(&self) -> bool {
        self.line.random().chance(self.line.stage.weather().engine_error)
    }

    fn inner(&self) -> &impl Containers {
        self.line.stage.world.engine(self.host)
    }
}

#[async_trait]
impl Containers for Engine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.ask("tell of itself", None, self.inner().info()).await
    }

    async fn list(&self) -> Result<Vec<ContainerId>, EngineError> {
        self.ask("list", None, self.inner().list()).await
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Inspection, EngineError> {
        self.ask("inspect", Some(id), self.inner().inspect(id)).await
    }

    async fn counters(&self, id: &ContainerId) -> Result<Counters, EngineError> {
        let request = async {
            self.line.stage.world.measure(self.host, id);
            self.inner().counters(id).await
        };
        self.ask("read counters of", Some(id), request).await
    }

    async fn disk_usage(&self) -> Result<Vec<(ContainerId, u64)>, EngineError> {
        self.ask("measure", None, self.inner().disk_usage()).await
    }

    async fn log_tail(&self, id: &ContainerId, lines: usize) -> Result<String, EngineError> {
        self.ask("read the log of", Some(id), self.inner().log_tail(id, lines)).await
    }

    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        let line = Arc::clone(&self.line);
        let hear = move |event| {
            let line = Arc::clone(&line);
            async move {
                line.gate().await;
                event
            }
        };
        self.inner().events(since).then(hear).boxed()
    }

    async fn restart(&self, id: &ContainerId, stop_timeout_secs: Option<u32>) -> Result<(), EngineError> {
        let stage = &self.line.stage;
        let (takes, unclear, done) = {
            let mut random = self.line.random();
            let most = random.pick(&[100, 3_000, 9_000]);
            let odd = stage.weather().engine_error;
            (random.millis(0, most), random.chance(odd), random.chance(500))
        };
        // The engine goes on with it when the one who asked is gone.
        let (line, host, asked, id) = (Arc::clone(&self.line), self.host, id, id.clone());
        let carry_out = async move {
            let stage = &line.stage;
            sleep(takes / 2).await;
            if unclear {
                stage.tally.count(Mark::RestartUnclear);
            }
            if !unclear || done {
                stage.tally.count(Mark::Restarted);
                if stage.referee.acts(&id) == Cover::Closed {
                    stage.tally.count(Mark::RestartedLate);
                }
                stage.world.engine(host).restart(&id, stop_timeout_secs).await?;
                stage.started(host, &id);
            }
            sleep(takes / 2).await;
            if unclear { Err(EngineError::Timeout { operation: "restart", limit: takes }) } else { Ok(()) }
        };
        let request = async { tokio::spawn(carry_out).await.expect("an engine does not panic") };
        self.line.peril().await;
        let answer = self.ask("restart", Some(asked), request).await;
        self.line.peril().await;
        answer
    }
}

/// A channel to people.
pub(super) struct Pager {
    pub(super) line: Arc<Line>,
    pub(super) channel: Channel,
}

#[async_trait]
impl Notifier for Pager {
    fn channel(&self) -> Channel {
        self.channel
    }

    async fn deliver(&self, _: &Message) -> Result<(), DeliveryError> {
        self.line.gate().await;
        let (stage, channel) = (&self.line.stage, self.channel);
        let (fails, refuses, takes, asks) = {
            let mut random = self.line.random();
            let fails = random.chance(stage.weather().delivery);
            let asks = random.chance(300).then(|| random.secs(1, 10));
            (fails, random.chance(150), random.millis(0, 300), asks)
        };
        sleep(takes).await;
        let answer = match (fails, refuses) {
            (false, _) => {
                stage.tally.count(Mark::Delivered);
                Ok(())
            }
            (true, true) => {
                stage.tally.count(Mark::DeliveryRefused);
                Err(DeliveryError::Refused { channel, source: "wrong address".into() })
            }
            (true, false) => {
                stage.tally.count(Mark::DeliveryRetry);
                Err(DeliveryError::Retry { channel, after: asks, source: "busy".into() })
            }
        };
        self.line.peril().await;
        answer
    }
}
