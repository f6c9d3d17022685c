//! Does memory rise towards its limit?
//!
//! Ordinary least squares over the points that came with the alert. The exponentially weighted form for long
//! series (detection.md 5.4) comes with statistical detection; here are at most some sixty points.

use std::time::Duration;

use hemostat_event::TrendPoint;

/// Least number of points: fewer fit a line too easily.
const POINTS_MIN: usize = 6;
/// Least share of the variance that the line explains (R², detection.md 5.4).
const FIT_MIN: f64 = 0.7;
/// Least rise over the time looked at, as a share of the limit (detection.md 5.4 asks 2 % per half-life).
const RISE_MIN: f64 = 0.05;
/// Least slope of the later half, as a share of that of the earlier one. A cache that warms up rises ever more slowly
/// (detection.md 5.4: without a test for that most warm-ups look like leaks); a leak goes on as it began.
const LATER_HALF_MIN: f64 = 0.4;

/// A steady rise of memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leak {
    /// Bytes per second.
    pub slope: f64,
    /// Share of the variance that the line explains, 0 to 1.
    pub fit: f64,
    /// Time until the limit is reached at this rate.
    pub to_limit: Duration,
}

/// Finds a steady rise of memory towards `limit_bytes`.
#[must_use]
pub fn leak(trend: &[TrendPoint], limit_bytes: u64) -> Option<Leak> {
    let first = trend.first()?.at;
    let points: Vec<(f64, f64)> = trend
        .iter()
        .filter_map(|point| Some((point.at.since(first).as_secs_f64(), point.memory_bytes? as f64)))
        .collect();
    if points.len() < POINTS_MIN {
        return None;
    }
    let (slope, fit) = line(&points)?;
    let (from, to) = (points.first()?, points.last()?);
    let limit = limit_bytes as f64;
    if slope <= 0.0 || fit < FIT_MIN || slope * (to.0 - from.0) < RISE_MIN * limit {
        return None;
    }
    // The halves share two points or so: with the least number of points each still has four.
    let half = points.len() / 2 + 1;
    let (earlier, _) = line(&points[..half])?;
    let (later, _) = line(&points[points.len() - half..])?;
    if later < LATER_HALF_MIN * earlier {
        return None;
    }
    let left = (limit - to.1).max(0.0);
    Some(Leak { slope, fit, to_limit: Duration::try_from_secs_f64(left / slope).unwrap_or(Duration::MAX) })
}

/// Slope and R² of the line through `points`; none through points that are all at one time or at one height.
fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = points.len() as f64;
    let mean_t = points.iter().map(|(t, _)| t).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let (mut stt, mut sty, mut syy) = (0.0, 0.0, 0.0);
    for (t, y) in points {
        stt += (t - mean_t) * (t - mean_t);
        sty += (t - mean_t) * (y - mean_y);
        syy += (y - mean_y) * (y - mean_y);
    }
    (0.0 < stt && 0.0 < syy).then(|| (sty / stt, sty * sty / (stt * syy)))
}
