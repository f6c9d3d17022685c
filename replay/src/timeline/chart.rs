//! A chart of one figure over time, as SVG that stands in a page.

use std::fmt::Write as _;

use hemostat_core::project::{Phase, Timeline};
use hemostat_event::Timestamp;

use super::html::escaped;
use super::{is_marked, span_of};
use crate::screen;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 24.0;
/// Points that are drawn: more than one a pixel shows nothing more.
const POINTS_MAX: usize = 800;
/// Marks that are drawn.
const MARKS_MAX: usize = 60;
/// A line is broken where nothing was measured for so many times the usual distance.
const GAP_TIMES: i64 = 5;

/// What is drawn.
pub(super) struct Figure<'a> {
    /// What it is.
    pub title: &'a str,
    /// How a value is written.
    pub unit: fn(f64) -> String,
    /// The values, in the order of time.
    pub values: Vec<(Timestamp, f64)>,
    /// The highest value there can be, where there is one: the scale reaches it.
    pub limit: Option<f64>,
}

/// Draws a figure with the marks of the incident; says so where nothing was recorded.
pub(super) fn svg(figure: &Figure<'_>, timeline: &Timeline) -> String {
    let (begin, end) = span_of(timeline);
    let width = (end.micros() - begin.micros()).max(1) as f64;
    let values = thinned(&figure.values);
    let highest = values.iter().map(|(_, value)| *value).fold(0.0_f64, f64::max);
    let top =
        figure.limit.filter(|limit| 0.0 < *limit && highest <= *limit).unwrap_or(highest * 1.1).max(1e-9);
    let x = |at: Timestamp| LEFT + (at.micros() - begin.micros()) as f64 / width * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| TOP + (1.0 - value / top) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">",
        title = escaped(figure.title)
    );
    let mut put = |text: String| out.push_str(&text);
    for share in [0.0, 0.5, 1.0] {
        let (value, at) = (top * share, y(top * share));
        put(format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            escaped(&(figure.unit)(value))
        ));
    }
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = Timestamp::from_micros(begin.micros() + (width * share) as i64);
        let time = screen::time_of_day(at);
        put(format!(
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(at).clamp(LEFT, WIDTH - 30.0),
            HEIGHT - 6.0,
            &time[..8]
        ));
    }
    if values.is_empty() {
        put(format!(
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">no samples were recorded</text>",
            WIDTH / 2.0,
            HEIGHT / 2.0
        ));
    }
    for run in runs(&values) {
        let points: Vec<_> =
            run.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value))).collect();
        match run {
            [(at, value)] => {
                put(format!("<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"/>", x(*at), y(*value)));
            }
            _ => put(format!("<polyline class=\"series\" points=\"{}\"/>", points.join(" "))),
        }
    }
    for step in timeline.steps.iter().filter(|step| is_marked(step.phase)).take(MARKS_MAX) {
        let at = x(step.time);
        put(format!(
            "<line class=\"mark {}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"><title>{} {}: {}</title></line>",
            class(step.phase),
            HEIGHT - BOTTOM,
            screen::time_of_day(step.time),
            step.phase.as_str(),
            escaped(&step.summary)
        ));
    }
    out.write_str("</svg></figure>").expect("writing to a string does not fail");
    out
}

/// The class of a mark, which has its colour.
pub(super) fn class(phase: Phase) -> &'static str {
    match phase {
        Phase::Detection => "alert",
        Phase::Attempt => "act",
        Phase::Verification | Phase::Recovery => "well",
        _ => "other",
    }
}

/// At most as many values as can be seen: the highest of each run, so that no peak is lost.
fn thinned(values: &[(Timestamp, f64)]) -> Vec<(Timestamp, f64)> {
    let length = values.len().div_ceil(POINTS_MAX).max(1);
    let highest = |run: &[(Timestamp, f64)]| run.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    values.chunks(length).filter_map(highest).collect()
}

/// The values without the gaps between them.
fn runs(values: &[(Timestamp, f64)]) -> Vec<&[(Timestamp, f64)]> {
    let apart = |a: &(Timestamp, f64), b: &(Timestamp, f64)| b.0.micros() - a.0.micros();
    let mut distances: Vec<_> = values.windows(2).map(|pair| apart(&pair[0], &pair[1])).collect();
    distances.sort_unstable();
    let usual = distances.get(distances.len() / 2).copied().unwrap_or_default();
    values.chunk_by(|a, b| apart(a, b) <= usual.saturating_mul(GAP_TIMES)).collect()
}
