//! Rules for a container that lives and is not well.

use hemostat_event::{Action, AnomalyKind, Cause, EvidenceKind, Health, Severity};

use super::Answer;
use super::facts::Facts;

/// Samples that are looked at, and how many of them have to be at the limit, before high CPU is more than a spike.
/// A restart on less is a restart on noise (Python HemoStat, which restarted on one sample).
const SUSTAINED_OF: usize = 5;
const SUSTAINED_NEEDED: usize = 4;

/// Within its start period it is neither well nor sick, and busy with starting.
pub(super) fn still_starting(facts: &Facts<'_>) -> Option<Answer> {
    (facts.runs() && facts.alert.sample.health == Health::Starting).then(|| Answer {
        cause: Cause::Unknown,
        confidence: 0.8,
        action: None,
        reason: "it is still starting: its health check has not answered yet".to_owned(),
        cited: facts.all_kinds(),
    })
}

pub(super) fn failed_health_check(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::UnhealthyStatus)?;
    Some(Answer {
        cause: Cause::Unresponsive,
        confidence: 0.8,
        action: Some(facts.restart()),
        reason: format!("the process lives, but {}", anomaly.detail),
        cited: facts.cite(AnomalyKind::UnhealthyStatus, &[EvidenceKind::HealthOutput, EvidenceKind::LogTail]),
    })
}

pub(super) fn memory_leak(facts: &Facts<'_>) -> Option<Answer> {
    facts.anomaly(AnomalyKind::HighMemory)?;
    let leak = facts.leak()?;
    Some(Answer {
        cause: Cause::MemoryLeak,
        confidence: 0.85,
        action: Some(facts.restart()),
        reason: format!(
            "memory rises by {:.1} MiB a minute (R² {:.2}) and reaches its limit in {} s at this rate",
            leak.slope * 60.0 / f64::from(1 << 20),
            leak.fit,
            leak.to_limit.as_secs()
        ),
        cited: facts.cite(AnomalyKind::HighMemory, &[]),
    })
}

/// The container lives on without one of its processes. Whether it can do without is not for us to guess: where it
/// cannot, its health check says so.
pub(super) fn child_killed_for_memory(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::OomKilled)?;
    let lives = facts.runs() && anomaly.actual.is_none();
    lives.then(|| Answer {
        cause: Cause::MemoryLimit,
        confidence: 0.97,
        action: Some(Action::Escalate),
        reason: anomaly.detail.clone(),
        cited: facts.cite(AnomalyKind::OomKilled, &[EvidenceKind::Inspection]),
    })
}

/// High and level: that may be a cache doing its work, so a person decides.
pub(super) fn memory_near_limit(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::HighMemory)?;
    Some(Answer {
        cause: Cause::MemoryLimit,
        confidence: 0.6,
        action: Some(Action::Escalate),
        reason: format!("{}, but it does not rise steadily: the limit may be too low", anomaly.detail),
        cited: facts.cite(AnomalyKind::HighMemory, &[]),
    })
}

pub(super) fn transient_spike(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::HighCpu)?;
    let (threshold, latest) = (anomaly.threshold?, facts.alert.sample.cpu_percent?);
    let only = facts.alert.anomalies.len() == 1;
    (only && latest < threshold).then(|| Answer {
        cause: Cause::TransientSpike,
        confidence: 0.65,
        action: None,
        reason: format!("CPU is back at {latest:.0} %, below the level of {threshold:.0} %"),
        cited: facts.cite(AnomalyKind::HighCpu, &[]),
    })
}

/// Near the quota in nearly all of the last points, or a spike.
pub(super) fn sustained_cpu(facts: &Facts<'_>) -> Option<Answer> {
    let threshold = facts.anomaly(AnomalyKind::HighCpu)?.threshold?;
    let points: Vec<f64> =
        facts.trend().iter().rev().filter_map(|point| point.cpu_percent).take(SUSTAINED_OF).collect();
    let high = points.iter().filter(|percent| threshold <= **percent).count();
    let sustained = SUSTAINED_NEEDED <= high;
    let reason = format!("{high} of the last {} samples were at the limit", points.len());
    let (cause, confidence, action) = if sustained {
        (Cause::CpuSaturation, 0.75, Some(facts.restart()))
    } else {
        (Cause::TransientSpike, 0.6, None)
    };
    Some(Answer { cause, confidence, action, reason, cited: facts.cite(AnomalyKind::HighCpu, &[]) })
}

/// Without a trend of the processes only the end is certain: where not one more fits, the container cannot work.
pub(super) fn process_leak(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::HighPids)?;
    let full = Severity::Critical <= anomaly.severity;
    Some(Answer {
        cause: Cause::ProcessLeak,
        confidence: if full { 0.7 } else { 0.6 },
        action: Some(if full { facts.restart() } else { Action::Escalate }),
        reason: anomaly.detail.clone(),
        cited: facts.cite(AnomalyKind::HighPids, &[]),
    })
}

/// A restart keeps the writable layer, so it cannot help.
pub(super) fn disk_full(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::HighDisk)?;
    Some(Answer {
        cause: Cause::DiskFull,
        confidence: 0.9,
        action: Some(Action::Escalate),
        reason: format!("{}; a restart does not free it", anomaly.detail),
        cited: facts.cite(AnomalyKind::HighDisk, &[]),
    })
}
