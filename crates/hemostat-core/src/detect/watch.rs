//! The short memory of one container: what the last minutes looked like.
//!
//! It is not in the log: after a restart of the monitor it warms up again, and decisions that need more than one
//! sample wait until it has.

use std::collections::VecDeque;
use std::time::Duration;

use hemostat_event::{AnomalyKind, RunState, Sample, Timestamp, TrendPoint};

use super::Observed;
use super::settings::{Levels, NOfM, Settings};
use crate::engine::{Counters, EngineEventKind, EngineInfo, Inspection};

/// Points of the recent past that are kept: half an hour at the default interval.
const TREND_MAX: usize = 60;
/// Requests of the recent past that are kept for the evidence.
const REQUESTS_MAX: usize = 8;
/// Readings closer than this say more of the moment than of the container.
const READING_APART: Duration = Duration::from_millis(200);
/// A memory limit beyond this is the kernel's way to write "none": 1 EiB.
const MEMORY_LIMIT_MAX: u64 = 1 << 60;
/// Samples that have to show a run before it counts without its event: a sample may overtake the event.
const RUN_SAMPLES: u32 = 2;

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
    /// What somebody asked the engine to do, oldest first.
    requests: VecDeque<Request>,
    /// Starts that the engine has told of: a number for the present run.
    starts: u64,
    /// Samples in a row that showed it ended.
    ended_row: u32,
    /// The run that the samples show.
    run: Option<Run>,
    /// Samples in a row that showed another run than that.
    other_run_row: u32,
    /// The last sample made it certain that a run began without its event.
    missed: Option<MissedRun>,
    samples: u64,
}

/// What somebody asked the engine to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Request {
    /// By the engine's clock.
    pub(super) at: Timestamp,
    pub(super) what: Asked,
    /// The number of the run that it was about.
    run: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Asked {
    /// To send a signal; 0 where the engine does not say which.
    Signal(i64),
    /// To stop it.
    Stop,
    /// To restart it.
    Restart,
    /// To give it another name.
    Rename,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    started_at: Timestamp,
    restart_count: u64,
}

/// A run that began without an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct MissedRun {
    pub(super) started_at: Timestamp,
    /// Whether the engine's restart policy began it: then the run before had ended by itself.
    pub(super) by_policy: bool,
}

/// What the last samples of one figure said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    /// Latest sample in the lowest bit: 1 where it was at or above the fire level.
    hits: u32,
    /// Samples in a row below the clear level.
    clear_row: u32,
    /// Below the clear level long enough, and not fired since.
    cleared: bool,
    /// The latest value; absent where the latest sample had none.
    pub(super) latest: Option<f64>,
}

impl Window {
    fn take_in(&mut self, value: Option<f64>, levels: Levels, settings: &Settings) {
        self.latest = value.filter(|value| value.is_finite());
        let Some(value) = self.latest else { return };
        self.hits = self.hits << 1 | u32::from(levels.fire <= value);
        self.clear_row = if value < levels.clear { self.clear_row.saturating_add(1) } else { 0 };
        if self.fires(settings.fire) {
            self.cleared = false;
        } else if settings.clear_after <= self.clear_row {
            self.cleared = true;
        }
    }

    /// Whether enough of the last samples fire. A sample without the figure does not fire anew.
    pub(super) fn fires(&self, samples: NOfM) -> bool {
        let looked_at = u32::MAX.checked_shr(32 - samples.of.min(32)).unwrap_or(0);
        self.latest.is_some() && samples.needed <= (self.hits & looked_at).count_ones()
    }

    /// Whether a symptom of it is over.
    pub(super) fn has_cleared(&self) -> bool {
        self.cleared
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
        let mut sample = Sample {
            state: inspection.state,
            disk_writable_bytes: disk,
            restart_count: inspection.restart_count,
            health: inspection.health,
            health_failing_streak: inspection.health_failing_streak,
            exit_code: inspection.exit_code.filter(|_| has_ended(inspection.state)),
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
        let cores = cores(inspection, counters, host);
        let limit = memory_limit(inspection, counters, host);
        sample.cpu_limit_cores = cores;
        sample.cpu_usage_ns = counters.cpu_usage_ns;
        sample.memory_bytes = counters.memory_bytes;
        sample.memory_limit_bytes = limit;
        let share = counters.memory_bytes.zip(limit);
        sample.memory_percent = share.and_then(|(used, limit)| percent(used as f64, limit as f64));
        sample.network_rx_bytes = counters.network_rx_bytes;
        sample.network_tx_bytes = counters.network_tx_bytes;
        sample.block_read_bytes = counters.block_read_bytes;
        sample.block_write_bytes = counters.block_write_bytes;
        sample.pids = counters.pids;
        if let Some((started_at, before)) = &self.before
            && *started_at == inspection.started_at
        {
            let passed = counters.read_at.since(before.read_at);
            if !passed.is_zero() && passed < READING_APART {
                // Too close: the next sample measures from the reading before.
                return sample;
            }
            sample.cpu_percent = cores.and_then(|cores| cpu_percent(before, counters, cores));
            sample.cpu_throttled_percent = throttled_percent(before, counters);
        }
        self.before = Some((inspection.started_at, counters.clone()));
        sample
    }

    /// Takes an observation in. `at` is the engine's time for what the engine told, else log time.
    pub fn take_in(&mut self, settings: &Settings, observed: &Observed, at: Timestamp) {
        self.missed = None;
        match observed {
            Observed::Sample(sample) => self.take_sample(settings, sample, at),
            Observed::Engine(kind) => self.take_event(kind, at),
            Observed::Gone => {}
        }
    }

    fn take_sample(&mut self, settings: &Settings, sample: &Sample, at: Timestamp) {
        self.samples = self.samples.saturating_add(1);
        self.ended_row = if has_ended(sample.state) { self.ended_row.saturating_add(1) } else { 0 };
        self.follow_run(sample);
        self.cpu.take_in(sample.cpu_percent, settings.cpu, settings);
        self.memory.take_in(sample.memory_percent, settings.memory, settings);
        let pids = sample.pids.zip(sample.pids_limit);
        let pids = pids.and_then(|(pids, limit)| percent(pids as f64, limit as f64));
        self.pids.take_in(pids, settings.pids, settings);
        if let Some(levels) = settings.disk_bytes {
            self.disk.take_in(sample.disk_writable_bytes.map(|bytes| bytes as f64), levels, settings);
        }
        if sample.cpu_percent.is_some() || sample.memory_bytes.is_some() {
            let point = TrendPoint { at, cpu_percent: sample.cpu_percent, memory_bytes: sample.memory_bytes };
            push(&mut self.trend, point, TREND_MAX);
        }
    }

    /// Notices a run that began without its event.
    fn follow_run(&mut self, sample: &Sample) {
        if sample.state != RunState::Running {
            return;
        }
        let Some(started_at) = sample.started_at else { return };
        let shown = Run { started_at, restart_count: sample.restart_count };
        let known = *self.run.get_or_insert(shown);
        if known.started_at == started_at {
            self.other_run_row = 0;
            return;
        }
        self.other_run_row += 1;
        if self.other_run_row == 1 {
            self.forget_figures();
        }
        if RUN_SAMPLES <= self.other_run_row {
            let by_policy = known.restart_count < sample.restart_count;
            self.missed = Some(MissedRun { started_at, by_policy });
            self.run = Some(shown);
            self.other_run_row = 0;
        }
    }

    /// What an old run did says nothing about a new one. The writable layer stays.
    fn forget_figures(&mut self) {
        (self.cpu, self.memory, self.pids) = Default::default();
        self.trend.clear();
    }

    fn take_event(&mut self, kind: &EngineEventKind, at: Timestamp) {
        let what = match kind {
            EngineEventKind::Kill { signal } => Asked::Signal(*signal),
            EngineEventKind::Stop => Asked::Stop,
            EngineEventKind::Restart => Asked::Restart,
            EngineEventKind::Rename => Asked::Rename,
            EngineEventKind::Start => {
                self.forget_figures();
                self.before = None;
                self.run = None;
                self.other_run_row = 0;
                self.ended_row = 0;
                self.starts = self.starts.saturating_add(1);
                return;
            }
            EngineEventKind::Die { .. }
            | EngineEventKind::Oom
            | EngineEventKind::Health(_)
            | EngineEventKind::Create
            | EngineEventKind::Destroy
            | EngineEventKind::Pause
            | EngineEventKind::Unpause => return,
        };
        push(&mut self.requests, Request { at, what, run: self.starts }, REQUESTS_MAX);
    }

    /// The recent past, oldest first.
    #[must_use]
    pub fn trend(&self) -> Vec<TrendPoint> {
        self.trend.iter().copied().collect()
    }

    /// What somebody asked the engine to do lately, oldest first.
    pub(super) fn requests(&self) -> impl Iterator<Item = Request> {
        self.requests.iter().copied()
    }

    /// The same, about the present run only.
    pub(super) fn requests_of_run(&self) -> impl Iterator<Item = Request> {
        self.requests().filter(|request| request.run == self.starts)
    }

    /// Samples in a row that showed the container ended.
    pub(super) fn ended_row(&self) -> u32 {
        self.ended_row
    }

    /// The run that the last sample showed to have begun without its event.
    pub(super) fn missed_run(&self) -> Option<MissedRun> {
        self.missed
    }

    /// Whether nothing but one sample has been seen: the monitor has just begun.
    pub(super) fn is_fresh(&self) -> bool {
        self.samples == 1
    }

    /// The window of a figure; none for the kinds that are facts.
    pub(super) fn window(&self, kind: AnomalyKind) -> Option<&Window> {
        match kind {
            AnomalyKind::HighCpu => Some(&self.cpu),
            AnomalyKind::HighMemory => Some(&self.memory),
            AnomalyKind::HighPids => Some(&self.pids),
            AnomalyKind::HighDisk => Some(&self.disk),
            AnomalyKind::UnhealthyStatus
            | AnomalyKind::NonZeroExit
            | AnomalyKind::OomKilled
            | AnomalyKind::RestartLoop => None,
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    queue.push_back(item);
    if most < queue.len() {
        queue.pop_front();
    }
}

/// Whether the first process of a container in this state has ended.
pub(super) fn has_ended(state: RunState) -> bool {
    matches!(state, RunState::Exited | RunState::Dead | RunState::Restarting)
}

/// Processors the container may use: its quota, but never more than there are.
fn cores(inspection: &Inspection, counters: &Counters, host: &EngineInfo) -> Option<f64> {
    let there = counters.cpus_online.filter(|cpus| *cpus != 0).unwrap_or(host.cpus);
    let there = (there != 0).then_some(there as f64);
    let quota = inspection.cpu_limit_cores.filter(|cores| cores.is_finite() && 0.0 < *cores);
    [quota, there].into_iter().flatten().reduce(f64::min)
}

/// The memory limit: the container's or the control group's, but never more than the host has.
fn memory_limit(inspection: &Inspection, counters: &Counters, host: &EngineInfo) -> Option<u64> {
    let usable = |bytes: &u64| (1..MEMORY_LIMIT_MAX).contains(bytes);
    let limits = [inspection.memory_limit_bytes, counters.memory_limit_bytes, Some(host.memory_bytes)];
    limits.into_iter().flatten().filter(usable).min()
}

/// CPU time between two readings, in percent of `cores` processors. A counter that went back says nothing, and
/// neither does a clock that did.
fn cpu_percent(before: &Counters, now: &Counters, cores: f64) -> Option<f64> {
    let used = now.cpu_usage_ns?.checked_sub(before.cpu_usage_ns?)?;
    let passed = now.read_at.since(before.read_at).as_nanos();
    percent(used as f64, passed as f64 * cores)
}

/// Scheduler periods in which the quota ran out, in percent of those that passed.
fn throttled_percent(before: &Counters, now: &Counters) -> Option<f64> {
    let periods = now.cpu_periods?.checked_sub(before.cpu_periods?)?;
    let throttled = now.cpu_throttled_periods?.checked_sub(before.cpu_throttled_periods?)?;
    percent(throttled as f64, periods as f64)
}

/// A share in percent; none of nothing.
fn percent(part: f64, whole: f64) -> Option<f64> {
    (0.0 < whole).then(|| part / whole * 100.0)
}
