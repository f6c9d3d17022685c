//! Reads what the engine says of a container: may it still be acted on, was it acted on, did that help?

use hemostat_event::{AnomalyKind, Health, RunState, Sample, Timestamp, Verification};

use super::policy::StillSick;
use crate::engine::Inspection;

/// A look at a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// What the engine knows of it.
    pub inspection: Inspection,
    /// Its figures, where they were asked for and could be had.
    pub sample: Option<Sample>,
}

/// Exit codes of processes that ended well or were asked to end: 0, SIGINT, SIGKILL, SIGTERM.
const ASKED_TO_END: [i64; 4] = [0, 130, 137, 143];

/// Why there is nothing to do about a container with these symptoms; `None` when there is.
///
/// The plan was made seconds ago at best: the engine may have started the container again since, and a person may
/// have stopped or frozen it.
pub(super) fn moot(seen: &Inspection, kinds: &[AnomalyKind]) -> Option<String> {
    let ended = kinds.iter().any(|kind| {
        matches!(kind, AnomalyKind::NonZeroExit | AnomalyKind::RestartLoop | AnomalyKind::OomKilled)
    });
    let says = |text: &str| Some(text.to_owned());
    match seen.state {
        RunState::Paused => says("the container is paused; a person did that"),
        RunState::Removing | RunState::Dead => says("the container is being removed"),
        RunState::Restarting => says("the engine is about to start it by itself"),
        RunState::Created => says("the container was never started"),
        RunState::Unknown => says("the engine reports a state that this version does not know"),
        RunState::Exited if !ended => {
            says("the container does not run any more, and the plan was for one that runs")
        }
        RunState::Exited if seen.exit_code == Some(0) => {
            says("the container ended by itself with exit code 0")
        }
        RunState::Exited => None,
        // A death is over once the next run is under way, unless that run is sick as well.
        RunState::Running
            if kinds.contains(&AnomalyKind::NonZeroExit)
                && seen.health != Health::Unhealthy
                && !kinds.contains(&AnomalyKind::UnhealthyStatus) =>
        {
            says("the container runs again")
        }
        RunState::Running if kinds == [AnomalyKind::UnhealthyStatus] && seen.health == Health::Healthy => {
            says("the container is healthy again")
        }
        RunState::Running => None,
    }
}

/// Whether a run has begun since the one that started at `before`. Both times are the engine's, so no two clocks are
/// compared.
pub(super) fn restarted(seen: &Inspection, before: Option<Timestamp>) -> bool {
    seen.state == RunState::Running && seen.started_at.is_some() && before < seen.started_at
}

/// What a look at the end of the stabilisation window shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// The verdict, and why.
    Verdict(Verification, String),
    /// Its health check has not answered yet.
    TooEarly,
}

/// Judges whether an action has helped. `run_started_at` is the start of the run that followed it.
pub(super) fn verify(
    seen: &Seen,
    kinds: &[AnomalyKind],
    run_started_at: Option<Timestamp>,
    levels: &StillSick,
) -> Look {
    let inspection = &seen.inspection;
    let verdict = |verdict, detail: String| Look::Verdict(verdict, detail);
    match inspection.state {
        RunState::Running => {}
        RunState::Exited => {
            let code = inspection.exit_code.unwrap_or(-1);
            if inspection.oom_killed {
                return verdict(Verification::NotFixed, "it was killed for memory again".to_owned());
            }
            if ASKED_TO_END.contains(&code) {
                let detail =
                    format!("it ended with exit code {code}: it had finished, or somebody stopped it");
                return verdict(Verification::Unknown, detail);
            }
            return verdict(Verification::NotFixed, format!("it ended again, with exit code {code}"));
        }
        RunState::Restarting => {
            return verdict(Verification::NotFixed, "it ended again, and the engine restarts it".to_owned());
        }
        state => return verdict(Verification::Unknown, format!("its state is {state:?}").to_lowercase()),
    }
    if run_started_at.is_some() && run_started_at < inspection.started_at {
        return verdict(Verification::NotFixed, "it ended since the action and was started again".to_owned());
    }
    match inspection.health {
        Health::Unhealthy => {
            return verdict(Verification::NotFixed, "its health check still fails".to_owned());
        }
        Health::Starting => return Look::TooEarly,
        Health::Healthy | Health::None => {}
    }
    figures(seen.sample.as_ref(), kinds, levels).unwrap_or_else(|| {
        let health = if inspection.health == Health::Healthy { " and is healthy" } else { "" };
        verdict(Verification::Verified, format!("it runs{health}, and has not ended since"))
    })
}

/// A verdict from the figures, where the plan was about figures and they are bad or missing.
fn figures(sample: Option<&Sample>, kinds: &[AnomalyKind], levels: &StillSick) -> Option<Look> {
    for kind in kinds {
        let (name, level, actual) = match kind {
            AnomalyKind::HighCpu => ("CPU", levels.cpu_percent, sample.and_then(|sample| sample.cpu_percent)),
            AnomalyKind::HighMemory => {
                ("memory", levels.memory_percent, sample.and_then(|sample| sample.memory_percent))
            }
            AnomalyKind::HighPids => ("processes", levels.pids_percent, sample.and_then(pids_percent)),
            _ => continue,
        };
        match actual {
            None => {
                let detail = format!("it runs, but its {name} could not be measured");
                return Some(Look::Verdict(Verification::Unknown, detail));
            }
            Some(actual) if level <= actual => {
                let detail = format!("its {name} is at {actual:.0} % again");
                return Some(Look::Verdict(Verification::NotFixed, detail));
            }
            Some(_) => {}
        }
    }
    None
}

fn pids_percent(sample: &Sample) -> Option<f64> {
    let limit = sample.pids_limit.filter(|limit| *limit != 0)?;
    Some(sample.pids? as f64 / limit as f64 * 100.0)
}
