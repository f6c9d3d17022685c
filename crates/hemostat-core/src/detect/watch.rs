//! The short memory of one container: what the last minutes looked like.
//!
//! It is not in the log: after a restart of the monitor it warms up again, and decisions that need more than one
//! sample wait until it has.

use std::collections::VecDeque;
use std::time::Duration;

use hemostat_event::{AnomalyKind, Health, RunState, Sample, Timestamp, TrendPoint};

use super::settings::{Levels, Settings};
use super::Observed;
use crate::engine::{Counters, EngineEventKind, EngineInfo, Inspection};

/// Points of the recent past that are kept: half an hour at the default interval.
const TREND_MAX: usize = 60;
/// Changes of the recent past that are kept for the evidence.
const CHANGES_MAX: usize = 12;
/// After a stop request the engine gives a container its stop time-out (10 s unless told otherwise) and kills it;
/// the rest is for a busy host.
const STOP_GRACE: Duration = Duration::from_secs(40);
/// Signals by which a process is asked to end: SIGHUP is not one (many daemons reload on it).
const ENDING_SIGNALS: [i64; 4] = [2, 3, 9, 15];

/// The short memory of one container.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// Counters of the sample before, with the start of the run they belong to.
    before: Option<(Option<Timestamp>, Counters)>,
    cpu: Window,
    memory: Window,
    pids: Window,
    disk: Window,
    trend: VecDeque<TrendPoint>,
    changes: VecDeque<String>,
    /// Last request to end the container.
    asked_to_end: Option<Timestamp>,
    /// Samples in a row that showed it ended.
    ended_row: u32,
}

/// What the last samples of one figure said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    /// Latest sample in the lowest bit: 1 where it was at or above the fire level.
    hits: u32,
    /// Samples in a row below the clear level.
    pub(super) clear_row: u32,
    /// The latest value.
    pub(super) latest: Option<f64>,
}

impl Window {
    fn take_in(&mut self, value: Option<f64>, levels: Levels) {
        self.latest = value;
        let Some(value) = value else { return };
        self.hits = self.hits << 1 | u32::from(levels.fire <= value);
        self.clear_row = if value < levels.clear { self.clear_row.saturating_add(1) } else { 0 };
    }

    /// Whether enough of the last samples fire.
    pub(super) fn fires(&self, settings: &Settings) -> bool {
        let looked_at = u32::MAX.checked_shr(32 - settings.fire.of).unwrap_or(0);
        settings.fire.needed <= (self.hits & looked_at).count_ones()
    }
}

impl Watch {
    /// An empty memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a sample of what the engine knows and counts, with CPU computed from our own two readings.
    pub fn sample(
        &mut self,
        inspection: &Inspection,
        counters: Option<&Counters>,
        disk: Option<u64>,
        host: &EngineInfo,
    ) -> Sample {
        let running = inspection.state == RunState::Running;
        let ended = matches!(inspection.state, RunState::Exited | RunState::Dead);
        let mut sample = Sample {
            state: inspection.state,
            disk_writable_bytes: disk,
            restart_count: inspection.restart_count,
            health: inspection.health,
            health_failing_streak: inspection.health_failing_streak,
            exit_code: inspection.exit_code.filter(|_| ended),
            oom_killed: inspection.oom_killed,
            started_at: inspection.started_at,
            finished_at: inspection.finished_at.filter(|_| !running),
            pids_limit: inspection.pids_limit,
            ..Sample::default()
        };
        let Some(counters) = counters else {
            self.before = None;
            return sample;
        };
        let cores = inspection.cpu_limit_cores.unwrap_or_else(|| counters.cpus_online.unwrap_or(host.cpus) as f64);
        let limit = inspection.memory_limit_bytes.or(counters.memory_limit_bytes).unwrap_or(host.memory_bytes);
        // The control group writes "no limit" as a number larger than any memory.
        let limit = limit.min(host.memory_bytes.max(1));
        sample.cpu_limit_cores = Some(cores);
        sample.cpu_usage_ns = counters.cpu_usage_ns;
        sample.memory_bytes = counters.memory_bytes;
        sample.memory_limit_bytes = Some(limit);
        sample.memory_percent = counters.memory_bytes.map(|used| percent(used as f64, limit as f64));
        sample.network_rx_bytes = counters.network_rx_bytes;
        sample.network_tx_bytes = counters.network_tx_bytes;
        sample.block_read_bytes = counters.block_read_bytes;
        sample.block_write_bytes = counters.block_write_bytes;
        sample.pids = counters.pids;
        if let Some((started_at, before)) = &self.before
            && *started_at == inspection.started_at
        {
            sample.cpu_percent = cpu_percent(before, counters, cores);
            sample.cpu_throttled_percent = throttled_percent(before, counters);
        }
        self.before = Some((inspection.started_at, counters.clone()));
        sample
    }

    /// Takes an observation in.
    pub fn take_in(&mut self, settings: &Settings, observed: &Observed, at: Timestamp) {
        match observed {
            Observed::Sample(sample) => self.take_sample(settings, sample, at),
            Observed::Engine(kind) => self.take_event(kind, at),
            Observed::Gone => {}
        }
    }

    fn take_sample(&mut self, settings: &Settings, sample: &Sample, at: Timestamp) {
        let ended = matches!(sample.state, RunState::Exited | RunState::Dead);
        self.ended_row = if ended { self.ended_row.saturating_add(1) } else { 0 };
        self.cpu.take_in(sample.cpu_percent, settings.cpu);
        self.memory.take_in(sample.memory_percent, settings.memory);
        let pids = sample.pids.zip(sample.pids_limit).map(|(pids, limit)| percent(pids as f64, limit as f64));
        self.pids.take_in(pids, settings.pids);
        if let Some(levels) = settings.disk_bytes {
            self.disk.take_in(sample.disk_writable_bytes.map(|bytes| bytes as f64), levels);
        }
        if sample.cpu_percent.is_some() || sample.memory_bytes.is_some() {
            push(
                &mut self.trend,
                TrendPoint { at, cpu_percent: sample.cpu_percent, memory_bytes: sample.memory_bytes },
                TREND_MAX,
            );
        }
    }

    fn take_event(&mut self, kind: &EngineEventKind, at: Timestamp) {
        let words = match kind {
            EngineEventKind::Kill { signal } => {
                if ENDING_SIGNALS.contains(signal) {
                    self.asked_to_end = Some(at);
                }
                format!("was sent signal {signal} through the engine")
            }
            EngineEventKind::Stop => {
                self.asked_to_end = Some(at);
                "was stopped through the engine".to_owned()
            }
            EngineEventKind::Restart => "was restarted through the engine".to_owned(),
            EngineEventKind::Start => {
                // A new run: what the old one did says nothing about it.
                self.asked_to_end = None;
                self.ended_row = 0;
                self.before = None;
                (self.cpu, self.memory, self.pids) = Default::default();
                self.trend.clear();
                "started".to_owned()
            }
            EngineEventKind::Die { exit_code } => format!("ended with exit code {exit_code}"),
            EngineEventKind::Oom => "had a process killed by the kernel for memory".to_owned(),
            EngineEventKind::Health(Health::Healthy) => "turned healthy".to_owned(),
            EngineEventKind::Health(Health::Unhealthy) => "turned unhealthy".to_owned(),
            EngineEventKind::Health(_) | EngineEventKind::Create | EngineEventKind::Destroy => return,
            EngineEventKind::Pause => "was paused".to_owned(),
            EngineEventKind::Unpause => "was resumed".to_owned(),
            EngineEventKind::Rename => "was renamed".to_owned(),
        };
        push(&mut self.changes, format!("{at} {words}"), CHANGES_MAX);
    }

    /// The recent past, oldest first.
    #[must_use]
    pub fn trend(&self) -> Vec<TrendPoint> {
        self.trend.iter().copied().collect()
    }

    /// What changed lately, oldest first, one line each.
    #[must_use]
    pub fn recent_changes(&self) -> Vec<String> {
        self.changes.iter().cloned().collect()
    }

    /// Whether somebody asked for the end at `at`.
    pub(super) fn end_was_asked_for(&self, at: Timestamp) -> bool {
        // A clock that stepped back between two events must not turn a stop into a death.
        self.asked_to_end.is_some_and(|asked| at.since(asked) <= STOP_GRACE && asked.since(at) <= STOP_GRACE)
    }

    /// Samples in a row that showed the container ended.
    pub(super) fn ended_row(&self) -> u32 {
        self.ended_row
    }

    /// The window of a figure; none for the kinds that are facts.
    pub(super) fn window(&self, kind: AnomalyKind) -> Option<&Window> {
        match kind {
            AnomalyKind::HighCpu => Some(&self.cpu),
            AnomalyKind::HighMemory => Some(&self.memory),
            AnomalyKind::HighPids => Some(&self.pids),
            AnomalyKind::HighDisk => Some(&self.disk),
            _ => None,
        }
    }

    /// Whether a figure has been below its clear level for long enough.
    pub(super) fn has_cleared(&self, kind: AnomalyKind, settings: &Settings) -> bool {
        self.window(kind).is_some_and(|window| settings.clear_after <= window.clear_row)
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    queue.push_back(item);
    if most < queue.len() {
        queue.pop_front();
    }
}

/// CPU time between two readings, in percent of `cores` processors. A counter that went back says nothing.
fn cpu_percent(before: &Counters, now: &Counters, cores: f64) -> Option<f64> {
    let used = now.cpu_usage_ns?.checked_sub(before.cpu_usage_ns?)?;
    let passed = now.read_at.since(before.read_at).as_nanos();
    (0 < passed && 0.0 < cores).then(|| percent(used as f64, passed as f64 * cores))
}

/// Scheduler periods in which the quota ran out, in percent of those that passed.
fn throttled_percent(before: &Counters, now: &Counters) -> Option<f64> {
    let periods = now.cpu_periods?.checked_sub(before.cpu_periods?)?;
    let throttled = now.cpu_throttled_periods?.checked_sub(before.cpu_throttled_periods?)?;
    (0 < periods).then(|| percent(throttled as f64, periods as f64))
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole <= 0.0 { 0.0 } else { part / whole * 100.0 }
}
