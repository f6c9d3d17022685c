//! Samples of a thousand containers that do their work.

use std::path::Path;
use std::time::Duration;

use hemostat_event::{
    ContainerId, ContainerRef, ContainerSample, Envelope, Event, EventId, Health, HostName, Role, RunState,
    Sample, Source, Subject, Timestamp,
};

use super::sealed::{Made, Making};

/// Containers of a large host.
pub(super) const CONTAINERS: u64 = 1_000;
/// Log time of the first event.
pub(super) fn start() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

/// Seals `count` samples, each container in turn, thirty seconds apart.
///
/// # Errors
/// When they cannot be written.
pub(super) async fn make(folder: &Path, count: u64) -> anyhow::Result<Made> {
    let mut making = Making::begin(folder)?;
    for number in 0..count {
        making.push(&sample(number)).await?;
    }
    making.finish(0).await
}

fn sample(number: u64) -> Event {
    let (turn, place) = (number / CONTAINERS, number % CONTAINERS);
    // Spread over the turn, and no two alike, so that they compress as real ones do.
    let at = start() + Duration::from_millis(turn * 30_000 + place * 30);
    let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let memory = (96 << 20) + (noise << 8);
    let sample = Sample {
        state: RunState::Running,
        cpu_percent: Some((noise % 9_000) as f64 / 100.0),
        cpu_limit_cores: Some(2.0),
        cpu_usage_ns: Some(turn * 81_000_000_000 + noise),
        memory_bytes: Some(memory),
        memory_limit_bytes: Some(2 << 30),
        memory_percent: Some(memory as f64 * 100.0 / f64::from(2u32 << 30)),
        network_rx_bytes: Some(turn * 70_000 + noise % 70_000),
        network_tx_bytes: Some(turn * 30_000 + noise % 30_000),
        pids: Some(8 + noise % 9),
        pids_limit: Some(256),
        health: Health::Healthy,
        started_at: Some(start()),
        ..Sample::default()
    };
    let container = container(place);
    let subject = subject(&container);
    let envelope = observed(&subject, at, 0);
    Event { envelope, data: ContainerSample { container, sample, gap: None }.into() }
}

/// What the monitor says of a container.
pub(super) fn observed(subject: &Subject, at: Timestamp, place: usize) -> Envelope {
    Envelope {
        id: EventId::observed(subject, Role::Monitor, at, place),
        source: Source { role: Role::Monitor, instance: "bench".to_owned() },
        time: at,
        host: subject.host(),
        subject: Some(subject.clone()),
        incident: None,
        cause: None,
        traceparent: None,
    }
}

/// The container with this number.
pub(super) fn container(place: u64) -> ContainerRef {
    ContainerRef {
        id: ContainerId::new(format!("{place:064x}")).expect("hexadecimal digits are an id"),
        name: format!("shop-worker-{place}"),
        image: "shop/worker:2.4.1".to_owned(),
        project: Some("shop".to_owned()),
        service: Some("worker".to_owned()),
    }
}

/// Its name in the log.
pub(super) fn subject(container: &ContainerRef) -> Subject {
    let host = HostName::new("bench").expect("a plain word is a host name");
    Subject::new(&host, &container.name).expect("a host and a word make a subject")
}
