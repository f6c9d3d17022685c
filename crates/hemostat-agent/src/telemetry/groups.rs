//! How far the groups have come, as metrics.
//!
//! What is not known has no series: a 0 would say that all is well. `lag_known` is there for every group and says
//! which it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hemostat_event::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};

use super::metric::Metric;
use super::{NAME, ONCE, names};
use crate::log::GroupStatus;

/// The metrics of all groups. A scrape sees those of one look, whole.
#[derive(Clone)]
pub(super) struct Groups(Arc<Series>);

struct Series {
    known: GaugeVec,
    unread: GaugeVec,
    pending: GaugeVec,
    unread_age: GaugeVec,
    pending_age: GaugeVec,
    margin: GaugeVec,
    lost: GaugeVec,
    silence: GaugeVec,
    /// Labels of the groups there were when the log last answered. Held while series are set or read.
    last: Mutex<Vec<[String; 3]>>,
}

impl Groups {
    pub(super) fn register(registry: &Registry) -> Self {
        let gauges = |of: Metric| GaugeVec::new(Opts::new(of.name, of.help), of.labels).expect(NAME);
        let groups = Self(Arc::new(Series {
            known: gauges(names::GROUP_LAG_KNOWN),
            unread: gauges(names::GROUP_UNREAD),
            pending: gauges(names::GROUP_PENDING),
            unread_age: gauges(names::GROUP_UNREAD_AGE),
            pending_age: gauges(names::GROUP_PENDING_AGE),
            margin: gauges(names::GROUP_MARGIN),
            lost: gauges(names::GROUP_LOST),
            silence: gauges(names::GROUP_SILENCE),
            last: Mutex::default(),
        }));
        registry.register(Box::new(groups.clone())).expect(ONCE);
        groups
    }

    /// Tells what was seen at `now`, in place of what was told before.
    pub(super) fn set(&self, groups: &[GroupStatus], now: Timestamp) {
        let series = &self.0;
        let mut last = series.last();
        series.all().for_each(GaugeVec::reset);
        *last = groups
            .iter()
            .map(|group| [group.role.to_string(), group.stream.to_string(), group.partition.0.to_string()])
            .collect();
        for (group, labels) in groups.iter().zip(last.iter()) {
            let set = |gauge: &GaugeVec, value: Option<f64>| {
                if let Some(value) = value {
                    gauge.with_label_values(labels).set(value);
                }
            };
            let age = |time: Option<Timestamp>, known: bool| match time {
                Some(time) => Some(now.since(time).as_secs_f64()),
                // Nothing waits.
                None => known.then_some(0.0),
            };
            let number = |count: u64| count as f64;
            set(&series.known, Some(f64::from(u8::from(group.lag_known()))));
            set(&series.unread, group.unread.exact().filter(|_| group.exists).map(number));
            set(&series.pending, group.exists.then(|| number(group.pending)));
            set(&series.unread_age, age(group.oldest_unread, group.exists));
            set(&series.pending_age, age(group.oldest_pending, group.exists));
            set(&series.margin, group.retention_margin().map(|margin: Duration| margin.as_secs_f64()));
            set(&series.lost, Some(number(group.lost)));
            set(&series.silence, age(group.seen, false));
        }
    }

    /// Tells that nothing is known of the groups there were.
    pub(super) fn unknown(&self) {
        let last = self.0.last();
        self.0.all().for_each(GaugeVec::reset);
        for labels in last.iter() {
            self.0.known.with_label_values(labels).set(0.0);
        }
    }
}

impl Series {
    fn last(&self) -> MutexGuard<'_, Vec<[String; 3]>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> impl Iterator<Item = &GaugeVec> {
        let Self { known, unread, pending, unread_age, pending_age, margin, lost, silence, last: _ } = self;
        [known, unread, pending, unread_age, pending_age, margin, lost, silence].into_iter()
    }
}

impl Collector for Groups {
    fn desc(&self) -> Vec<&Desc> {
        self.0.all().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let _whole = self.0.last();
        self.0.all().flat_map(Collector::collect).collect()
    }
}
