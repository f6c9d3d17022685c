//! The rules, in the order in which they are asked; the first that knows an answer gives it.
//!
//! Confidences are those of the catalogue in detection.md section 7 (cross-checked there with the fault lists of
//! ITBench and AIOpsLab), except where a comment says otherwise.

use hemostat_event::{Action, AnomalyKind, Basis, Cause, EvidenceKind, HealthAlert, Verdict};

use super::leak::leak;

/// What the rules found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The root cause, how sure, and why.
    pub verdict: Verdict,
    /// What to do; nothing for a false alarm.
    pub action: Option<Action>,
}

/// What a rule sees.
struct Facts<'a> {
    alert: &'a HealthAlert,
    /// Restarts planned in this incident so far.
    plans: u32,
    plans_max: u32,
}

/// A rule's answer before it is put into words for the log.
struct Answer {
    cause: Cause,
    confidence: f64,
    action: Option<Action>,
    reason: String,
    /// Kinds and evidence it rests on.
    cited: Vec<String>,
}

/// A rule: its name, as it stands in the verdict's basis, and what it knows.
type Rule = (&'static str, fn(&Facts<'_>) -> Option<Answer>);

const RULES: &[Rule] = &[
    ("restarts_did_not_help", restarts_did_not_help),
    ("bad_command", bad_command),
    ("oom_kill", oom_kill),
    ("engine_gave_up", engine_gave_up),
    ("restart_loop", restart_loop),
    ("engine_restarts_it", engine_restarts_it),
    ("native_crash", native_crash),
    ("killed_from_outside", killed_from_outside),
    ("application_exit", application_exit),
    ("failed_health_check", failed_health_check),
    ("memory_leak", memory_leak),
    ("memory_near_limit", memory_near_limit),
    ("transient_spike", transient_spike),
    ("sustained_cpu", sustained_cpu),
    ("process_leak", process_leak),
    ("disk_full", disk_full),
];

/// Finds the root cause of an alert. `plans` restarts were planned in its incident before, of at most `plans_max`.
#[must_use]
pub fn find(alert: &HealthAlert, plans: u32, plans_max: u32) -> Finding {
    let facts = Facts { alert, plans, plans_max };
    let known = RULES.iter().find_map(|(name, rule)| Some((*name, rule(&facts)?)));
    let (name, answer) = known.unwrap_or_else(|| ("no_rule", unknown(&facts)));
    let answer = refine(&facts, answer);
    Finding {
        verdict: Verdict {
            cause: answer.cause,
            confidence: answer.confidence,
            basis: Basis::Rule { rule: name.to_owned() },
            cited: answer.cited,
            reason: answer.reason,
        },
        action: answer.action,
    }
}

fn restarts_did_not_help(facts: &Facts<'_>) -> Option<Answer> {
    (facts.plans_max <= facts.plans).then(|| Answer {
        cause: Cause::CrashLoop,
        confidence: 0.9,
        action: Some(Action::Escalate),
        reason: format!("{} restarts within this incident did not help; a person has to look", facts.plans),
        cited: facts.all_kinds(),
    })
}

fn bad_command(facts: &Facts<'_>) -> Option<Answer> {
    let code = facts.exit_code()?;
    let what = match code {
        126 => "the command is not executable, or was built for another processor",
        127 => "the command was not found in the image",
        _ => return None,
    };
    Some(Answer {
        cause: Cause::BadCommand,
        confidence: 0.95,
        action: Some(Action::Escalate),
        reason: format!("exit code {code}: {what}; a restart cannot help"),
        cited: facts.cite(AnomalyKind::NonZeroExit, &[]),
    })
}

fn oom_kill(facts: &Facts<'_>) -> Option<Answer> {
    facts.anomaly(AnomalyKind::OomKilled)?;
    if facts.loops() {
        return None;
    }
    let limit = facts.alert.sample.memory_limit_bytes;
    let at_limit = limit.map_or(String::new(), |bytes| format!(" of {} MiB", bytes >> 20));
    let rising = limit.and_then(|limit| leak(&facts.alert.evidence.trend, limit)).is_some();
    let (cause, confidence, reason) = if rising {
        (Cause::MemoryLeak, 0.9, format!("killed by the kernel at its memory limit{at_limit} after a steady rise"))
    } else {
        (Cause::MemoryLimit, 0.97, format!("killed by the kernel at its memory limit{at_limit}"))
    };
    Some(Answer {
        cause,
        confidence,
        action: facts.restart_unless_engine_does(),
        reason,
        cited: facts.cite(AnomalyKind::OomKilled, &[EvidenceKind::Inspection]),
    })
}

/// The engine's own policy is exhausted: nobody else will start it again. The budget limits how often we try.
fn engine_gave_up(facts: &Facts<'_>) -> Option<Answer> {
    facts.anomaly(AnomalyKind::RestartLoop)?;
    let ended = facts.exit_code().is_some();
    let exhausted = ended && !facts.alert.engine_restarts && 0 < facts.alert.sample.restart_count;
    exhausted.then(|| Answer {
        cause: facts.death_cause(),
        // Ours: below a plain exit's 0.9, since the engine's attempts have failed, and above the usual threshold.
        confidence: 0.75,
        action: Some(facts.restart()),
        reason: format!(
            "the engine gave up after {} restarts; one restart under the budget, then a person",
            facts.alert.sample.restart_count
        ),
        cited: facts.cite(AnomalyKind::RestartLoop, &[EvidenceKind::LogTail, EvidenceKind::Inspection]),
    })
}

fn restart_loop(facts: &Facts<'_>) -> Option<Answer> {
    facts.anomaly(AnomalyKind::RestartLoop)?;
    Some(Answer {
        cause: Cause::CrashLoop,
        confidence: 0.95,
        action: Some(Action::Escalate),
        reason: format!("died {} times within ten minutes; another restart does not help", facts.alert.deaths_recent),
        cited: facts.cite(AnomalyKind::RestartLoop, &[EvidenceKind::LogTail]),
    })
}

/// A first or second death under a restart policy. Real, but already being repaired: if that fails, it shows as a
/// restart loop or as the engine giving up, and the incident stays open until then.
fn engine_restarts_it(facts: &Facts<'_>) -> Option<Answer> {
    facts.anomaly(AnomalyKind::NonZeroExit)?;
    facts.alert.engine_restarts.then(|| Answer {
        cause: facts.death_cause(),
        confidence: 0.8,
        action: None,
        reason: "the engine's own restart policy is starting it again".to_owned(),
        cited: facts.cite(AnomalyKind::NonZeroExit, &[EvidenceKind::Inspection]),
    })
}

fn native_crash(facts: &Facts<'_>) -> Option<Answer> {
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
        cited: facts.cite(AnomalyKind::NonZeroExit, &[EvidenceKind::LogTail]),
    })
}

fn killed_from_outside(facts: &Facts<'_>) -> Option<Answer> {
    (facts.exit_code()? == 137).then(|| Answer {
        cause: Cause::KilledFromOutside,
        confidence: 0.7,
        action: Some(facts.restart()),
        reason: "exit code 137 without an OOM kill and without a stop request: killed from outside".to_owned(),
        cited: facts.cite(AnomalyKind::NonZeroExit, &[EvidenceKind::Inspection]),
    })
}

fn application_exit(facts: &Facts<'_>) -> Option<Answer> {
    let code = facts.exit_code()?;
    let sample = &facts.alert.sample;
    let ran = sample.started_at.zip(sample.finished_at).map(|(from, to)| to.since(from).as_secs());
    // Dying again right after a start speaks for a cause that a restart does not touch.
    let at_start = ran.is_some_and(|seconds| seconds < 10) && 1 < facts.alert.deaths_recent;
    let confidence = if at_start { 0.75 } else { 0.9 };
    let after = ran.map_or(String::new(), |seconds| format!(" after {seconds} s"));
    Some(Answer {
        cause: Cause::ApplicationError,
        confidence,
        action: Some(facts.restart()),
        reason: format!("the process ended by itself with exit code {code}{after}"),
        cited: facts.cite(AnomalyKind::NonZeroExit, &[EvidenceKind::LogTail]),
    })
}

fn failed_health_check(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::UnhealthyStatus)?;
    Some(Answer {
        cause: Cause::Unresponsive,
        confidence: 0.8,
        action: Some(facts.restart()),
        reason: format!("the process lives, but {}", anomaly.detail),
        cited: facts.cite(AnomalyKind::UnhealthyStatus, &[EvidenceKind::HealthOutput, EvidenceKind::LogTail]),
    })
}

fn memory_leak(facts: &Facts<'_>) -> Option<Answer> {
    facts.anomaly(AnomalyKind::HighMemory)?;
    let leak = leak(&facts.alert.evidence.trend, facts.alert.sample.memory_limit_bytes?)?;
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

/// High and level: that may be a cache doing its work, so a person decides.
fn memory_near_limit(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::HighMemory)?;
    Some(Answer {
        cause: Cause::MemoryLimit,
        confidence: 0.6,
        action: Some(Action::Escalate),
        reason: format!("{}, but it does not rise: the limit may be too low", anomaly.detail),
        cited: facts.cite(AnomalyKind::HighMemory, &[]),
    })
}

fn transient_spike(facts: &Facts<'_>) -> Option<Answer> {
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

/// Near the quota in most of the points since it began, and still there.
fn sustained_cpu(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::HighCpu)?;
    let threshold = anomaly.threshold?;
    let points: Vec<f64> = facts.alert.evidence.trend.iter().rev().filter_map(|point| point.cpu_percent).take(5).collect();
    let high = points.iter().filter(|percent| threshold <= **percent).count();
    let sustained = 2 <= high && points.len() <= 2 * high;
    Some(if sustained {
        Answer {
            cause: Cause::CpuSaturation,
            confidence: 0.75,
            action: Some(facts.restart()),
            reason: format!("{high} of the last {} samples were at the limit", points.len()),
            cited: facts.cite(AnomalyKind::HighCpu, &[]),
        }
    } else {
        Answer {
            cause: Cause::TransientSpike,
            confidence: 0.6,
            action: None,
            reason: format!("only {high} of the last {} samples were at the limit", points.len()),
            cited: facts.cite(AnomalyKind::HighCpu, &[]),
        }
    })
}

fn process_leak(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::HighPids)?;
    Some(Answer {
        cause: Cause::ProcessLeak,
        confidence: 0.7,
        action: Some(facts.restart()),
        reason: anomaly.detail.clone(),
        cited: facts.cite(AnomalyKind::HighPids, &[]),
    })
}

/// A restart keeps the writable layer, so it cannot help.
fn disk_full(facts: &Facts<'_>) -> Option<Answer> {
    let anomaly = facts.anomaly(AnomalyKind::HighDisk)?;
    Some(Answer {
        cause: Cause::DiskFull,
        confidence: 0.9,
        action: Some(Action::Escalate),
        reason: format!("{}; a restart does not free it", anomaly.detail),
        cited: facts.cite(AnomalyKind::HighDisk, &[]),
    })
}

fn unknown(facts: &Facts<'_>) -> Answer {
    Answer {
        cause: Cause::Unknown,
        confidence: 0.5,
        action: Some(Action::Escalate),
        reason: "no rule knows this combination of symptoms".to_owned(),
        cited: facts.all_kinds(),
    }
}

/// Lines in a log that name a cause behind a cause. They change the cause and what is cited, never the action: a log
/// line is not a fact.
const LINES: &[(&str, Cause)] = &[
    ("no space left on device", Cause::DiskFull),
    ("connection refused", Cause::Dependency),
    ("no such host", Cause::Dependency),
    ("name or service not known", Cause::Dependency),
    ("temporary failure in name resolution", Cause::Dependency),
];

fn refine(facts: &Facts<'_>, mut answer: Answer) -> Answer {
    if !matches!(answer.cause, Cause::ApplicationError | Cause::Unresponsive) {
        return answer;
    }
    let Some(log) = facts.evidence(EvidenceKind::LogTail) else { return answer };
    let text = log.text.to_lowercase();
    if let Some((line, cause)) = LINES.iter().find(|(line, _)| text.contains(line)) {
        answer.cause = *cause;
        answer.reason = format!("{}; its log says `{line}`", answer.reason);
        if !answer.cited.contains(&log.id) {
            answer.cited.push(log.id.clone());
        }
    }
    answer
}

impl Facts<'_> {
    fn anomaly(&self, kind: AnomalyKind) -> Option<&hemostat_event::Anomaly> {
        self.alert.anomalies.iter().find(|anomaly| anomaly.kind == kind)
    }

    fn evidence(&self, kind: EvidenceKind) -> Option<&hemostat_event::EvidenceItem> {
        self.alert.evidence.items.iter().find(|item| item.kind == kind)
    }

    /// The exit code of a death among the symptoms.
    fn exit_code(&self) -> Option<i64> {
        let died = [AnomalyKind::NonZeroExit, AnomalyKind::OomKilled].into_iter().find_map(|kind| self.anomaly(kind))?;
        self.alert.sample.exit_code.or(died.actual.map(|code| code as i64))
    }

    fn loops(&self) -> bool {
        self.anomaly(AnomalyKind::RestartLoop).is_some()
    }

    fn death_cause(&self) -> Cause {
        match self.exit_code() {
            _ if self.anomaly(AnomalyKind::OomKilled).is_some() => Cause::MemoryLimit,
            Some(132 | 134 | 135 | 139) => Cause::NativeCrash,
            Some(137) => Cause::KilledFromOutside,
            _ => Cause::ApplicationError,
        }
    }

    fn restart(&self) -> Action {
        Action::Restart { stop_timeout_secs: self.alert.policy.stop_timeout_secs }
    }

    /// A container that the engine starts again needs no second hand.
    fn restart_unless_engine_does(&self) -> Option<Action> {
        (!self.alert.engine_restarts).then(|| self.restart())
    }

    /// The kind and those pieces of evidence that the alert has.
    fn cite(&self, kind: AnomalyKind, evidence: &[EvidenceKind]) -> Vec<String> {
        let mut cited: Vec<_> = self.anomaly(kind).map(|anomaly| anomaly.kind.as_str().to_owned()).into_iter().collect();
        cited.extend(evidence.iter().filter_map(|kind| self.evidence(*kind)).map(|item| item.id.clone()));
        if cited.is_empty() { self.all_kinds() } else { cited }
    }

    fn all_kinds(&self) -> Vec<String> {
        self.alert.anomalies.iter().map(|anomaly| anomaly.kind.as_str().to_owned()).collect()
    }
}
