//! What a rule sees of an alert.

use std::time::Duration;

use hemostat_event::{
    Action, Anomaly, AnomalyKind, Cause, EvidenceItem, EvidenceKind, HealthAlert, RunState, TrendPoint,
};

use crate::diagnose::leak::{Leak, leak};

/// What a rule sees of an alert.
pub(super) struct Facts<'a> {
    pub(super) alert: &'a HealthAlert,
    /// Restarts planned in this incident so far.
    pub(super) plans: u32,
}

impl<'a> Facts<'a> {
    pub(super) fn anomaly(&self, kind: AnomalyKind) -> Option<&'a Anomaly> {
        self.alert.anomalies.iter().find(|anomaly| anomaly.kind == kind)
    }

    pub(super) fn has(&self, kind: AnomalyKind) -> bool {
        self.anomaly(kind).is_some()
    }

    pub(super) fn evidence(&self, kind: EvidenceKind) -> Option<&'a EvidenceItem> {
        self.alert.evidence.items.iter().find(|item| item.kind == kind)
    }

    pub(super) fn trend(&self) -> &'a [TrendPoint] {
        &self.alert.evidence.trend
    }

    pub(super) fn runs(&self) -> bool {
        self.alert.sample.state == RunState::Running
    }

    /// The exit code of a death among the symptoms. A container that runs again does not lie dead.
    pub(super) fn exit_code(&self) -> Option<i64> {
        if self.runs() {
            return None;
        }
        let kinds = [AnomalyKind::NonZeroExit, AnomalyKind::OomKilled];
        let died = kinds.into_iter().find_map(|kind| self.anomaly(kind))?;
        self.alert.sample.exit_code.or(died.actual.map(|code| code as i64))
    }

    /// How long the last run was, where it has ended.
    pub(super) fn ran(&self) -> Option<Duration> {
        let (from, to) = self.alert.sample.started_at.zip(self.alert.sample.finished_at)?;
        (from <= to).then(|| to.since(from))
    }

    /// What the exit code says of the cause.
    pub(super) fn death_cause(&self) -> Cause {
        match self.exit_code() {
            _ if self.has(AnomalyKind::OomKilled) => Cause::MemoryLimit,
            Some(132 | 134 | 135 | 139) => Cause::NativeCrash,
            Some(130 | 137 | 143) => Cause::KilledFromOutside,
            Some(code) if 0 <= code => Cause::ApplicationError,
            _ => Cause::Unknown,
        }
    }

    /// A steady rise of memory towards the limit.
    pub(super) fn leak(&self) -> Option<Leak> {
        leak(self.trend(), self.alert.sample.memory_limit_bytes?)
    }

    pub(super) fn restart(&self) -> Action {
        Action::Restart { stop_timeout_secs: self.alert.policy.stop_timeout_secs }
    }

    /// The kind and those pieces of evidence that the alert has.
    pub(super) fn cite(&self, kind: AnomalyKind, evidence: &[EvidenceKind]) -> Vec<String> {
        let kinds = self.anomaly(kind).map(|anomaly| anomaly.kind.as_str().to_owned());
        let items = evidence.iter().filter_map(|kind| self.evidence(*kind)).map(|item| item.id.clone());
        let cited: Vec<_> = kinds.into_iter().chain(items).collect();
        if cited.is_empty() { self.all_kinds() } else { cited }
    }

    /// The same for a death, whichever of its two kinds the alert has.
    pub(super) fn cite_death(&self, evidence: &[EvidenceKind]) -> Vec<String> {
        let oom = self.has(AnomalyKind::OomKilled) && !self.has(AnomalyKind::NonZeroExit);
        self.cite(if oom { AnomalyKind::OomKilled } else { AnomalyKind::NonZeroExit }, evidence)
    }

    pub(super) fn all_kinds(&self) -> Vec<String> {
        self.alert.anomalies.iter().map(|anomaly| anomaly.kind.as_str().to_owned()).collect()
    }
}
