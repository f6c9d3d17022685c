//! One metric with its values, as the package `prometheus` writes it.

use hemostat_core::project::metrics::Spread;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Series, MetricFamily, MetricType,
};

use crate::telemetry::metric::{Kind, Metric};

/// Longest value of a label in bytes; names of containers are shorter, images and labels may be anything.
const VALUE_MAX: usize = 128;

/// One metric with its values.
pub(super) struct Family {
    of: Metric,
    series: Vec<Series>,
}

impl Family {
    pub(super) fn new(of: Metric) -> Self {
        Self { of, series: Vec::new() }
    }

    /// Adds a value. The labels are in the order of the metric's declaration.
    pub(super) fn add(&mut self, labels: &[&str], value: f64) {
        let mut series = Series::from_label(self.pairs(labels));
        if self.of.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            series.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            series.set_gauge(gauge);
        }
        self.series.push(series);
    }

    /// Adds a number of things.
    pub(super) fn count(&mut self, labels: &[&str], count: u64) {
        self.add(labels, count as f64);
    }

    /// Adds a yes or no.
    pub(super) fn flag(&mut self, labels: &[&str], yes: bool) {
        self.add(labels, f64::from(u8::from(yes)));
    }

    /// Adds how values are spread.
    pub(super) fn spread(&mut self, labels: &[&str], spread: &Spread) {
        let bucket = |(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(spread.up_to().map(bucket).collect());
        histogram.set_sample_count(spread.count());
        histogram.set_sample_sum(spread.sum());
        let mut series = Series::from_label(self.pairs(labels));
        series.set_histogram(histogram);
        self.series.push(series);
    }

    /// The metric, where it has a value.
    pub(super) fn close(self) -> Option<MetricFamily> {
        if self.series.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(self.of.name.to_owned());
        family.set_help(self.of.help.to_owned());
        family.set_field_type(match self.of.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(self.series);
        Some(family)
    }

    fn pairs(&self, labels: &[&str]) -> Vec<LabelPair> {
        debug_assert_eq!(labels.len(), self.of.labels.len(), "{}", self.of.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(value[..value.floor_char_boundary(VALUE_MAX)].to_owned());
            pair
        };
        self.of.labels.iter().zip(labels).map(pair).collect()
    }
}
