//! Prints what happens, from the oldest event on: reads the log along, outside any group.
//!
//! ```sh
//! HEMOSTAT_REDIS_URL=redis://127.0.0.1:6379 cargo run -p hemostat --example logbook
//! ```
//!
//! Any number may run, and all print the same. Nothing waits for them: what the janitor takes before it was read here is
//! not printed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hemostat_agent::log::{Entry, EventLog};
use hemostat_agent::tail::Tail;
use hemostat_core::project;
use hemostat_event::EventType;
use hemostat_redis::{RedisLog, RedisSettings};
use tokio::time::sleep;

/// How often new events are looked for.
const EVERY: Duration = Duration::from_millis(250);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("HEMOSTAT_REDIS_URL").context("set HEMOSTAT_REDIS_URL")?;
    let settings = RedisSettings { url, namespace: "hemostat".to_owned(), partitions: None };
    let log: Arc<dyn EventLog> = Arc::new(RedisLog::connect(settings).await?);
    tokio::select! {
        () = follow(log) => Ok(()),
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}

/// Prints for as long as it is let.
async fn follow(log: Arc<dyn EventLog>) {
    let samples = vec![EventType::ContainerSample];
    let mut tail = Tail::new(log, None, samples);
    loop {
        match tail.next().await {
            Ok(entries) if entries.is_empty() => sleep(EVERY).await,
            Ok(entries) => entries.iter().for_each(print),
            // The log is away. Nothing is lost by that: the next call goes on where this one was to begin.
            Err(error) => {
                eprintln!("{error}");
                sleep(EVERY).await;
            }
        }
    }
}

fn print(entry: &Entry) {
    match &entry.event {
        Ok(event) => {
            let subject = event.envelope.subject.as_ref().map_or("-", |subject| subject.as_str());
            println!("{} {} {subject}: {}", event.envelope.time, event.event_type(), project::summary(event));
        }
        // A later version wrote it, or somebody else.
        Err(error) => println!("{} {}: {error}", entry.at.stream, entry.at.id),
    }
}
