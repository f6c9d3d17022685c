//! The rules of what is wrong: every symptom there is now.

use std::collections::BTreeMap;
use std::time::Duration;

use hemostat_event::{Anomaly, AnomalyKind, Health, RunState, Severity, Timestamp};

use super::Observed;
use super::changes::{OOM_APART, apart};
use super::decide::Case;
use super::settings::Levels;
use super::state::Symptom;
use super::watch::Window;
use crate::engine::EngineEventKind;

/// After the kernel has killed a process it takes this long until it is certain that the container has survived.
const OOM_SETTLES: Duration = Duration::from_secs(2);

/// What was found of a symptom.
pub(super) struct Found {
    pub(super) severity: Severity,
    actual: Option<f64>,
    threshold: Option<f64>,
    detail: String,
    since: Timestamp,
    /// Whether the present run shows it, and not only one before.
    pub(super) shows_in_this_run: bool,
}

impl Found {
    pub(super) fn anomaly(&self, kind: AnomalyKind) -> Anomaly {
        Anomaly {
            kind,
            severity: self.severity,
            actual: self.actual,
            threshold: self.threshold,
            since: self.since,
            detail: self.detail.clone(),
        }
    }
}

impl Case<'_> {
    /// Every symptom there is now, by kind.
    pub(super) fn symptoms(&self) -> BTreeMap<AnomalyKind, Found> {
        AnomalyKind::ALL.into_iter().filter_map(|kind| Some((kind, self.symptom(kind)?))).collect()
    }

    fn symptom(&self, kind: AnomalyKind) -> Option<Found> {
        let known = self.state.incident.as_ref().and_then(|open| open.symptoms.get(&kind)).copied();
        let settings = self.settings;
        let mut found = match kind {
            AnomalyKind::HighCpu => self.figure(kind, known, Some(settings.cpu), "% of the CPU it may use"),
            AnomalyKind::HighMemory => {
                self.figure(kind, known, Some(settings.memory), "% of the memory limit")
            }
            AnomalyKind::HighPids => self.figure(kind, known, Some(settings.pids), "% of the PID limit"),
            AnomalyKind::HighDisk => {
                self.figure(kind, known, settings.disk_bytes, "bytes in the writable layer")
            }
            AnomalyKind::UnhealthyStatus => self.unhealthy(known),
            AnomalyKind::NonZeroExit => self.died(known, false),
            AnomalyKind::OomKilled => self.died(known, true).or_else(|| self.survived_oom(known)),
            AnomalyKind::RestartLoop => self.restart_loop(known),
        }?;
        if let Some(known) = known {
            found.since = known.since;
            // Within an incident a symptom does not get better by degrees: it is there, or it is gone.
            found.severity = found.severity.max(known.severity);
        }
        Some(found)
    }

    fn figure(
        &self,
        kind: AnomalyKind,
        known: Option<Symptom>,
        levels: Option<Levels>,
        unit: &str,
    ) -> Option<Found> {
        let levels = levels?;
        let window = self.watch.window(kind)?;
        // Only a measurement fires: an event brings no figure, and an ended or paused container has none.
        let measured = matches!(self.observation.observed, Observed::Sample(_));
        let fires = measured && window.fires(self.settings.fire) && self.state.run == RunState::Running;
        let stays = known.is_some() && !window.has_cleared() && !self.lies_ended();
        if !(fires || stays) {
            return None;
        }
        let actual = window.latest;
        let shown = actual.map_or("unknown".to_owned(), |value| format!("{value:.0}"));
        let samples = self.settings.fire;
        let detail = format!(
            "{shown} {unit}; fires at {:.0} in {} of {} samples",
            levels.fire, samples.needed, samples.of
        );
        Some(Found {
            severity: self.figure_severity(kind, window, levels),
            actual,
            threshold: Some(levels.fire),
            detail,
            since: self.observation.at,
            shows_in_this_run: fires,
        })
    }

    /// Much CPU hurts only when it lasts; memory, processes and disk run out at once.
    fn figure_severity(&self, kind: AnomalyKind, window: &Window, levels: Levels) -> Severity {
        let lasts = kind != AnomalyKind::HighCpu || window.fires(self.settings.sustained);
        if !lasts {
            Severity::Warning
        } else if window.latest.is_some_and(|value| levels.critical <= value) {
            Severity::Critical
        } else {
            Severity::High
        }
    }

    /// The health check fails, or failed and has not passed since.
    fn unhealthy(&self, known: Option<Symptom>) -> Option<Found> {
        let running = self.state.run == RunState::Running;
        let fails = self.state.health == Health::Unhealthy && running;
        let passes = matches!(self.state.health, Health::Healthy | Health::None) && running;
        let stays = known.is_some() && !passes && !self.lies_ended();
        (fails || stays).then(|| {
            let streak = self.observation.inspection.health_failing_streak;
            let detail = if fails {
                format!("the health check failed {streak} times in a row")
            } else {
                "the health check failed and has not passed since".to_owned()
            };
            let mut found = self.fact(Severity::High, fails.then_some(streak as f64), detail);
            found.shows_in_this_run = fails;
            found
        })
    }

    /// A death that nobody asked for, until the container has run long enough since, or has done its work.
    fn died(&self, known: Option<Symptom>, by_oom: bool) -> Option<Found> {
        let fresh = self.fresh_death().filter(|_| self.oom_death == by_oom);
        let fresh = fresh.or_else(|| self.explained_by_late_oom().filter(|_| by_oom));
        let stays = known.is_some() && !self.is_stable() && !self.has_ended_well();
        if fresh.is_none() && !stays {
            return None;
        }
        let code = fresh.or(self.state.last_end.map(|end| end.exit_code));
        let detail = match (by_oom, code) {
            (true, _) => "the kernel killed it for memory".to_owned(),
            (false, Some(code)) if 0 <= code => format!("ended with exit code {code}"),
            (false, _) => "ended, and nobody asked for it".to_owned(),
        };
        let severity = if by_oom { Severity::Critical } else { Severity::High };
        // Where nothing is fresh the severity stays what it was.
        let severity = known.filter(|_| fresh.is_none()).map_or(severity, |known| known.severity);
        Some(self.fact(severity, code.map(|code| code as f64), detail))
    }

    /// The exit code of the last death, where the kill that explains it is told only now.
    fn explained_by_late_oom(&self) -> Option<i64> {
        let told = matches!(self.observation.observed, Observed::Engine(EngineEventKind::Oom));
        let lies = self.state.run == RunState::Exited && self.state.stopped_at.is_none();
        let end = self.state.last_end.filter(|end| end.exit_code != 0)?;
        (told && lies && apart(self.engine_time(), end.engine_at) <= OOM_APART).then_some(end.exit_code)
    }

    /// The kernel killed a child and left the container alive: no death will tell of it. There is no exit code then.
    fn survived_oom(&self, known: Option<Symptom>) -> Option<Found> {
        let oom = self.state.oom?;
        let survived = matches!(self.observation.observed, Observed::Sample(_))
            && self.state.run == RunState::Running
            && OOM_SETTLES <= self.observation.at.since(oom.at);
        let detail = "the kernel killed a process of the container for memory; the container goes on";
        (survived && known.is_none()).then(|| self.fact(Severity::High, None, detail.to_owned()))
    }

    fn restart_loop(&self, known: Option<Symptom>) -> Option<Found> {
        let deaths = self.state.deaths_within(self.settings.loop_window, self.observation.at);
        let loops = self.settings.loop_deaths <= deaths && self.fresh_death().is_some();
        let stays = known.is_some() && !self.is_stable() && !self.has_ended_well();
        if !(loops || stays) {
            return None;
        }
        let minutes = self.settings.loop_window.as_secs() / 60;
        let mut found = self.fact(
            Severity::Critical,
            Some(f64::from(deaths)),
            format!("died {deaths} times within {minutes} min"),
        );
        found.threshold = Some(f64::from(self.settings.loop_deaths));
        Some(found)
    }

    fn fact(&self, severity: Severity, actual: Option<f64>, detail: String) -> Found {
        let since = self.observation.at;
        Found { severity, actual, threshold: None, detail, since, shows_in_this_run: false }
    }

    /// Whether a container that died, or lost a process to the kernel, has run well since for long enough.
    fn is_stable(&self) -> bool {
        let long_since = |at: Timestamp| self.settings.stable_for <= self.observation.at.since(at);
        self.state.run == RunState::Running
            && self.state.up_since.is_none_or(long_since)
            && self.state.deaths.back().copied().is_none_or(long_since)
            && self.state.oom.is_none_or(|oom| long_since(oom.at))
    }

    /// Whether the last run ended with 0: what it had to do is done.
    fn has_ended_well(&self) -> bool {
        self.state.run == RunState::Exited && self.state.last_end.is_some_and(|end| end.exit_code == 0)
    }
}
