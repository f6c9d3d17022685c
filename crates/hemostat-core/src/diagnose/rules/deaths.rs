//! Rules for a container that has died.

use std::time::Duration;

use hemostat_event::{Action, AnomalyKind, Cause, EvidenceKind};

use super::Answer;
use super::facts::Facts;

/// A command that cannot be run fails at once; a run that lasted longer had one that could.
const COMMAND_FAILS_WITHIN: Duration = Duration::from_secs(60);
/// A death this soon after the start speaks for a cause that a restart does not touch (detection.md section 7).
const AT_START: Duration = Duration::from_secs(10);
/// Share of the memory limit from which a kill without a reason is likely the limit's (detection.md section 7).
const NEAR_LIMIT: f64 = 0.9;

/// It died once, but its last run did what it had to.
pub(super) fn ended_well(facts: &Facts<'_>) -> Option<Answer> {
    (facts.exit_code()? == 0).then(|| Answer {
        cause: Cause::IntendedStop,
        confidence: 0.95,
        action: None,
        reason: "its last run ended with exit code 0: it is done".to_owned(),
        cited: facts.all_kinds(),
    })
}

pub(super) fn bad_command(facts: &Facts<'_>) -> Option<Answer> {
    let code = facts.exit_code()?;
    let what = match code {
        126 => "the command is not executable, or was built for another processor",
        127 => "the command was not found in the image",
        _ => return None,
    };
    let at_once = facts.ran().is_none_or(|ran| ran < COMMAND_FAILS_WITHIN);
    at_once.then(|| Answer {
        cause: Cause::BadCommand,
        confidence: 0.95,
        action: Some(Action::Escalate),
        reason: format!("exit code {code}: {what}; a restart cannot help"),
        cited: facts.cite_death(&[EvidenceKind::LogTail]),
    })
}

pub(super) fn oom_kill(facts: &Facts<'_>) -> Option<Answer> {
    if !facts.has(AnomalyKind::OomKilled) || facts.runs() || facts.has(AnomalyKind::RestartLoop) {
        return None;
    }
    let limit = facts.alert.sample.memory_limit_bytes;
    let at_limit = limit.map_or(String::new(), |bytes| format!(" of {} MiB", bytes >> 20));
    let (cause, confidence, rise) = match facts.leak() {
        Some(_) => (Cause::MemoryLeak, 0.9, " after a steady rise"),
        None => (Cause::MemoryLimit, 0.97, ""),
    };
    Some(Answer {
        cause,
        confidence,
        // A container that the engine starts again needs no second hand.
        action: (!facts.alert.engine_restarts).then(|| facts.restart()),
        reason: format!("killed by the kernel at its memory limit{at_limit}{rise}"),
        cited: facts.cite(AnomalyKind::OomKilled, &[EvidenceKind::Inspection]),
    })
}

/// The engine's own policy is exhausted: nobody else will start it again. We try once; when that does not help either,
/// it is a loop like any other.
pub(super) fn engine_gave_up(facts: &Facts<'_>) -> Option<Answer> {
    let restarts = facts.alert.sample.restart_count;
    let exhausted = facts.has(AnomalyKind::RestartLoop)
        && facts.exit_code().is_some()
        && !facts.alert.engine_restarts
        && 0 < restarts
        && facts.plans == 0;
    exhausted.then(|| Answer {
        cause: facts.death_cause(),
        // Ours: below a plain exit's 0.9, since the engine's attempts have failed, and above the usual threshold.
        confidence: 0.75,
        action: Some(facts.restart()),
        reason: format!(
            "the engine gave up after {restarts} restarts; one more under the budget, then a person"
        ),
        cited: facts.cite(AnomalyKind::RestartLoop, &[EvidenceKind::LogTail, EvidenceKind::Inspection]),
    })
}

pub(super) fn restart_loop(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::RestartLoop)?;
    Some(Answer {
        cause: Cause::CrashLoop,
        confidence: 0.95,
        action: Some(Action::Escalate),
        reason: format!("{}; another restart does not help", anomaly.detail),
        cited: facts.cite(AnomalyKind::RestartLoop, &[EvidenceKind::LogTail]),
    })
}

/// A first or second death under a restart policy. Real, but already being repaired: if that fails, it shows as a
/// restart loop or as the engine giving up, and the incident stays open until then.
pub(super) fn engine_restarts_it(facts: &Facts<'_>) -> Option<Answer> {
    let dies = facts.has(AnomalyKind::NonZeroExit) && !facts.runs() && facts.alert.engine_restarts;
    dies.then(|| Answer {
        cause: facts.death_cause(),
        confidence: 0.8,
        action: None,
        reason: "the engine's own restart policy is starting it again".to_owned(),
        cited: facts.cite(AnomalyKind::NonZeroExit, &[EvidenceKind::Inspection]),
    })
}

pub(super) fn native_crash(facts: &Facts<'_>) -> Option<Answer> {
    let code = facts.exit_code()?;
    let what = match code {
        132 => "illegal instruction (built for another processor?)",
        134 => "abort",
        135 => "bus error",
        139 => "segmentation fault",
        _ => return None,
    };
    Some(Answer {
        cause: Cause::NativeCrash,
        confidence: 0.9,
        action: Some(facts.restart()),
        reason: format!("exit code {code}: {what}"),
        cited: facts.cite_death(&[EvidenceKind::LogTail]),
    })
}

/// Killed without a word of the kernel, but with its memory all but used up: the kernel's flag is not reliable.
pub(super) fn killed_near_limit(facts: &Facts<'_>) -> Option<Answer> {
    if facts.exit_code()? != 137 {
        return None;
    }
    let limit = facts.alert.sample.memory_limit_bytes?;
    let used = facts.trend().iter().rev().find_map(|point| point.memory_bytes)?;
    if (used as f64) < NEAR_LIMIT * limit as f64 {
        return None;
    }
    // 0.75 is ours: more than "killed from outside", less than what the kernel says itself.
    let (cause, confidence) =
        if facts.leak().is_some() { (Cause::MemoryLeak, 0.9) } else { (Cause::MemoryLimit, 0.75) };
    Some(Answer {
        cause,
        confidence,
        action: Some(facts.restart()),
        reason: format!("exit code 137 with {} of {} MiB in use just before", used >> 20, limit >> 20),
        cited: facts.cite_death(&[EvidenceKind::Inspection]),
    })
}

pub(super) fn killed_from_outside(facts: &Facts<'_>) -> Option<Answer> {
    let code = facts.exit_code()?;
    matches!(code, 130 | 137 | 143).then(|| Answer {
        cause: Cause::KilledFromOutside,
        confidence: 0.7,
        action: Some(facts.restart()),
        reason: format!(
            "exit code {code} without an OOM kill and without a stop request: killed from outside"
        ),
        cited: facts.cite_death(&[EvidenceKind::Inspection]),
    })
}

pub(super) fn application_exit(facts: &Facts<'_>) -> Option<Answer> {
    let code = facts.exit_code()?;
    if code < 0 {
        // It may have been a 0.
        return Some(Answer {
            cause: Cause::Unknown,
            confidence: 0.5,
            action: Some(Action::Escalate),
            reason: "it ended, and the engine does not say with what exit code".to_owned(),
            cited: facts.cite_death(&[EvidenceKind::LogTail]),
        });
    }
    let at_start = facts.ran().is_some_and(|ran| ran < AT_START) && 1 < facts.alert.deaths_recent;
    let after = facts.ran().map_or(String::new(), |ran| format!(" after {} s", ran.as_secs()));
    Some(Answer {
        cause: Cause::ApplicationError,
        confidence: if at_start { 0.75 } else { 0.9 },
        action: Some(facts.restart()),
        reason: format!("the process ended by itself with exit code {code}{after}"),
        cited: facts.cite_death(&[EvidenceKind::LogTail]),
    })
}

/// It died, but somebody else was faster: the engine or a person. If it dies again, there is an alert again.
pub(super) fn runs_again(facts: &Facts<'_>) -> Option<Answer> {
    let died = facts.has(AnomalyKind::NonZeroExit) || facts.has(AnomalyKind::OomKilled);
    (died && facts.runs()).then(|| Answer {
        cause: facts.death_cause(),
        confidence: 0.8,
        action: None,
        reason: "it died, and runs again already".to_owned(),
        cited: facts.cite_death(&[EvidenceKind::Inspection]),
    })
}
