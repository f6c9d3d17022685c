//! Lag as Prometheus has it agrees with a count from the streams while load is switched on and off.
//!
//! In the short phases of the suite a figure that is too old by a few seconds can be missed, where load is switched just before
//! a look; `scripts/check-lag.sh` has phases that are longer than that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hemostat_agent::log::{GroupReader, Membership, StreamName};
use hemostat_event::{EventType, HostName, IncidentId, Role, Subject};

use super::server::{Prometheus, address};
use super::shape::list;
use crate::crashes::{container, crash, observed};
use crate::rig::{LIMIT, Process, Rig};

/// What a figure may be older than the scrape that shows it: the 5 s between two looks, with some for a busy machine. It is
/// less than the time between two scrapes of `grafana/prometheus/prometheus.yml`.
const LOOK: f64 = 9.0;
/// What a look and a scrape need until all of a level is seen.
const SEEN: Duration = Duration::from_secs(2);
/// Time between two counts.
const STEP: Duration = Duration::from_millis(250);
/// Alerts written between two counts while load is on.
const LOAD: usize = 40;

/// Entries of the stream, and how many of them the group was handed, by their own counts.
#[derive(Clone, Copy)]
struct Counted {
    at: f64,
    unread: f64,
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_in_prometheus_is_that_of_the_streams_while_load_is_switched_on_and_off() {
    let seconds = std::env::var("HEMOSTAT_LAG_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let phase = Duration::from_secs(seconds);
    let rig = Rig::start().await;
    let membership = Membership {
        role: Role::Analyzer,
        consumer: "slow".to_owned(),
        streams: vec![StreamName::Type(EventType::HealthAlert)],
        batch: LOAD * 2,
        block: Duration::from_millis(1),
        claim_after: LIMIT,
    };
    let mut reader = rig.log.join(membership).await.expect("the group can be joined");
    let mut command = rig.command(&["metrics"]);
    command.env("HEMOSTAT_METRICS_LISTEN", "127.0.0.1:0").env("HEMOSTAT_LOG_FORMAT", "json");
    let exporter = Process::start(&mut command);
    let prometheus = Prometheus::start(&[("metrics", address(&exporter))]);
    let series = "hemostat_group_unread_entries{group=\"analyzer\",stream=\"health_alert\"}";
    prometheus.until(series);
    let mut load = Load { rig: &rig, written: 0, read: 0, counts: Vec::new() };
    // Nothing, load that nobody reads, nothing more of it, and it is read.
    load.count_for(phase / 3, 0, None).await;
    load.count_for(phase, LOAD, None).await;
    let most = load.counts.last().expect("a count").unread;
    load.count_for(phase + SEEN, 0, None).await;
    load.count_for(phase, 0, Some(&mut reader)).await;
    load.count_for(phase + SEEN, 0, None).await;

    let answer = prometheus.query(&format!("{series}[5m]"));
    let scraped: BTreeMap<u64, f64> = list(&answer[0]["values"])
        .iter()
        .map(|pair| {
            let value = pair[1].as_str().and_then(|value| value.parse().ok()).expect("a number");
            ((pair[0].as_f64().expect("a time") * 1_000.0) as u64, value)
        })
        .collect();
    println!("{:>8} {:>10} {:>24}", "second", "Prometheus", "streams, least and most");
    let begin = load.counts[0].at;
    let mut off = Vec::new();
    for (&at, &value) in &scraped {
        let at = at as f64 / 1_000.0;
        let Some((least, most)) = load.between(at - LOOK, at) else { continue };
        println!("{:>8.1} {value:>10} {least:>12}{most:>12}", at - begin);
        if value < least || most < value {
            off.push((at - begin, value, least, most));
        }
    }
    assert_eq!(off, [], "not what the streams had within the look before");
    let highest = scraped.values().copied().fold(0.0, f64::max);
    assert_eq!(highest, most, "all of it was seen");
    assert_eq!(scraped.values().last(), Some(&0.0), "and its end");
    assert!(0.0 < most);
}

struct Load<'a> {
    rig: &'a Rig,
    written: usize,
    read: usize,
    counts: Vec<Counted>,
}

impl Load<'_> {
    /// Counts for a while, and writes or reads meanwhile.
    async fn count_for(
        &mut self,
        span: Duration,
        load: usize,
        mut reader: Option<&mut Box<dyn GroupReader>>,
    ) {
        let began = Instant::now();
        let mut ticks = tokio::time::interval(STEP);
        while began.elapsed() < span {
            ticks.tick().await;
            // Before and after: what is shown of the time in between is between the two.
            self.count().await;
            if 0 < load {
                self.write(load).await;
            }
            if let Some(reader) = &mut reader
                && self.read < self.written
            {
                self.read += reader.read().await.expect("the log is there").len();
            }
            self.count().await;
        }
    }

    async fn write(&mut self, load: usize) {
        let now = self.rig.log.now().await.expect("the log is there");
        let host = HostName::new("h1").expect("a host");
        let id = hemostat_event::ContainerId::new("0123456789ab").expect("an id");
        let subject = Subject::new(&host, "web").expect("a subject");
        let events: Vec<_> = (self.written..self.written + load)
            .map(|n| {
                let alert = crash(container(id.clone(), "web"), now);
                observed(subject.clone(), n, IncidentId::opened(&subject, now), now, alert)
            })
            .collect();
        let written = Arc::clone(&self.rig.log).append(&events).await.expect("the log is there");
        self.written += written.len();
    }

    /// Asks the stream how many entries it has.
    async fn count(&mut self) {
        let before = now();
        let keys = self.rig.redis_says(&["EVAL", LENGTH, "0"]).await;
        let unread = keys.parse::<usize>().expect("a number") - self.read;
        for at in [before, now()] {
            self.counts.push(Counted { at, unread: unread as f64 });
        }
    }

    /// The least and the most that was counted in a span of time, where it was counted all along.
    fn between(&self, from: f64, to: f64) -> Option<(f64, f64)> {
        let (first, last) = (self.counts.first()?, self.counts.last()?);
        if from < first.at || last.at < to {
            return None;
        }
        let before = self.counts.iter().rposition(|count| count.at <= from)?;
        let after = self.counts.iter().position(|count| to <= count.at)?;
        let values = self.counts[before..=after].iter().map(|count| count.unread);
        Some((values.clone().fold(f64::MAX, f64::min), values.fold(0.0, f64::max)))
    }
}

/// Entries in the streams of alerts, whatever their keys are.
const LENGTH: &str = "local n = 0; for _, key in ipairs(redis.call('KEYS', '*health_alert*')) do \
    if redis.call('TYPE', key).ok == 'stream' then n = n + redis.call('XLEN', key) end end return n";

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}
