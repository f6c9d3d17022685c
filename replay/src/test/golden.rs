//! Golden files: what the rules came to on a recording when somebody looked.
//!
//! `NAME.golden.json` stands beside `NAME.hsrec`, is made for reading and comparing, and has no time in it: the same rules
//! write the same bytes.
//!
//! Invariants:
//! - G-1: a golden file is written as a whole or not at all, and only with a reason.
//! - G-2: what agrees with its golden file decides as on the day it was accepted: as many decisions, at the same places,
//!   with the same outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use hemostat_archive::Digest;
use hemostat_core::replay::{Change, Difference};
use hemostat_event::{EventId, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::{Counts, Found, Run, decided};

/// The version of the form.
const VERSION: u32 = 1;

/// What the rules come to on a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Golden {
    version: u32,
    /// Why it says what it says.
    reason: String,
    /// SHA-256 of the recording.
    recording: Digest,
    /// Settings of the log that are not today's defaults.
    set: Vec<String>,
    counts: Counts,
    /// SHA-256 over what came of each decision.
    decided: Digest,
    /// The rules that decided, and how often; no other was exercised.
    exercised: BTreeMap<String, u64>,
    /// Decisions that are not the recorded ones, and are right.
    accepted: Vec<Accepted>,
}

/// A decision that is not the recorded one, and is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    /// The first recorded event of the decision: partition and number.
    at: (u16, u64),
    role: Role,
    input: EventId,
    first: Change,
    /// SHA-256 over all that is decided now.
    decided: Digest,
    reason: String,
}

/// What a golden file has to say to a run.
#[derive(Debug, Serialize)]
pub(super) struct Held {
    pub state: State,
    /// What is not as it says, or what writing it changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

/// How a golden file and a run stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// There is none.
    Missing,
    /// It says what came out.
    Agrees,
    /// It says something else.
    Differs,
    /// It would be written, had anybody given a reason.
    ToReview,
    /// It was written.
    Written,
}

impl Held {
    /// Whether there is nothing to look at.
    pub(super) fn is_fine(&self) -> bool {
        matches!(self.state, State::Missing | State::Agrees | State::Written)
    }

    pub(super) fn is_written(&self) -> bool {
        self.state == State::Written
    }
}

impl Golden {
    /// Reads the golden file of a recording; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn beside(recording: &Path) -> anyhow::Result<Option<Self>> {
        let path = path(recording);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        };
        let golden: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("`{}` is no golden file of this version", path.display()))?;
        ensure!(golden.version == VERSION, "`{}` is of version {}", path.display(), golden.version);
        Ok(Some(golden))
    }

    /// What a run came to; accepted is what `before` has accepted and is still so.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub(super) fn of(
        run: &Run,
        set: Vec<String>,
        recording: &Path,
        before: Option<&Self>,
    ) -> anyhow::Result<Self> {
        let bytes =
            std::fs::read(recording).with_context(|| format!("cannot read `{}`", recording.display()))?;
        let before_ones = before.map(|before| before.accepted.as_slice()).unwrap_or_default();
        let reason = |now: &Accepted| {
            let is_it = |was: &&Accepted| Accepted { reason: String::new(), ..(*was).clone() } == *now;
            before_ones.iter().find(is_it).map(|was| was.reason.clone())
        };
        let now = run.differences.iter().map(Accepted::of);
        let accepted = now.filter_map(|now| Some(Accepted { reason: reason(&now)?, ..now })).collect();
        let rules = run.coverage.rules().into_iter().filter(|rule| 0 < rule.times);
        Ok(Self {
            version: VERSION,
            reason: before.map(|before| before.reason.clone()).unwrap_or_default(),
            recording: Digest::of(&bytes),
            set,
            counts: run.counts.clone(),
            decided: run.decided,
            exercised: rules.map(|rule| (format!("{}/{}", rule.role, rule.rule), rule.times)).collect(),
            accepted,
        })
    }

    /// How many differences are accepted, and those that are not.
    pub(super) fn judged(&self, run: &Run) -> (u64, Vec<Found>) {
        let is_accepted = |difference: &&Difference| self.accepted.iter().any(|one| one.is(difference));
        let (accepted, found): (Vec<_>, Vec<_>) = run.differences.iter().partition(is_accepted);
        (accepted.len() as u64, found.into_iter().cloned().map(Found::from).collect())
    }

    /// The same with every difference accepted; those that nobody has accepted before have no reason yet.
    ///
    /// # Errors
    /// When there are more than can be kept.
    pub(super) fn accepting(mut self, run: &Run) -> anyhow::Result<Self> {
        if run.is_cut_short() {
            bail!("{} decisions came out otherwise: too many to have been looked at", run.counts.different);
        }
        let known = std::mem::take(&mut self.accepted);
        let all = run.differences.iter().map(|difference| {
            known.iter().find(|one| one.is(difference)).cloned().unwrap_or_else(|| Accepted::of(difference))
        });
        self.accepted = all.collect();
        Ok(self)
    }
}

impl Accepted {
    fn of(difference: &Difference) -> Self {
        Self {
            at: difference.at,
            role: difference.role,
            input: difference.input,
            // As it is read back: JSON does not tell a value that is null from one that is absent.
            first: reread(&difference.first),
            decided: decided(difference),
            reason: String::new(),
        }
    }

    fn is(&self, difference: &Difference) -> bool {
        Self { reason: String::new(), ..self.clone() } == Self::of(difference)
    }
}

fn reread(change: &Change) -> Change {
    let is_there = |value: &Value| !value.is_null();
    Change {
        path: change.path.clone(),
        recorded: change.recorded.clone().filter(is_there),
        decided: change.decided.clone().filter(is_there),
    }
}

/// The golden file of a recording.
fn path(recording: &Path) -> PathBuf {
    recording.with_extension("golden.json")
}

/// The settings by which a recording is decided again: those of its golden file, and what is given besides.
pub(super) fn settings(golden: Option<&Golden>, given: &[String]) -> Vec<String> {
    let mut by_key = BTreeMap::new();
    for setting in golden.map(|golden| golden.set.as_slice()).unwrap_or_default().iter().chain(given) {
        let key = setting.split_once('=').map_or(setting.as_str(), |(key, _)| key.trim());
        by_key.insert(key, setting.clone());
    }
    by_key.into_values().collect()
}

/// Holds a run against the golden file.
pub(super) fn held(golden: Option<&Golden>, now: &Golden) -> Held {
    let Some(golden) = golden else { return Held { state: State::Missing, changes: Vec::new() } };
    let changes = changes(Some(golden), now);
    Held { state: if changes.is_empty() { State::Agrees } else { State::Differs }, changes }
}

/// Writes the golden file where it says something else than `now`, and there is a reason.
///
/// # Errors
/// When it cannot be written.
pub(super) fn accept(
    recording: &Path,
    golden: Option<&Golden>,
    mut now: Golden,
    reason: Option<&str>,
) -> anyhow::Result<Held> {
    let changes = changes(golden, &now);
    let Some(reason) = reason.filter(|_| !changes.is_empty()) else {
        let state = if changes.is_empty() { State::Agrees } else { State::ToReview };
        return Ok(Held { state, changes });
    };
    now.reason = reason.to_owned();
    for accepted in now.accepted.iter_mut().filter(|accepted| accepted.reason.is_empty()) {
        accepted.reason = reason.to_owned();
    }
    let mut bytes =
        serde_json::to_vec_pretty(&now).expect("a golden file has only values that JSON can write");
    bytes.push(b'\n');
    let path = path(recording);
    let folder = recording.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name =
        path.file_name().and_then(|name| name.to_str()).context("the name of the recording is no text")?;
    crate::export::write_durably(folder, name, &bytes)?;
    Ok(Held { state: State::Written, changes })
}

/// Each field that is another.
fn changes(golden: Option<&Golden>, now: &Golden) -> Vec<Change> {
    let value = |golden: &Golden| {
        serde_json::to_value(golden).expect("a golden file has only values that JSON can write")
    };
    let was = golden.map_or(Value::Object(serde_json::Map::new()), value);
    let mut changes = Vec::new();
    collect("", Some(&was), Some(&value(now)), &mut changes);
    changes
}

fn collect(path: &str, was: Option<&Value>, is: Option<&Value>, changes: &mut Vec<Change>) {
    match (was, is) {
        (Some(Value::Object(was)), Some(Value::Object(is))) if !path.starts_with("accepted") => {
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for name in names {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, was.get(name), is.get(name), changes);
            }
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) => {
            // What is in both says nothing, wherever it stands.
            let is_new = |all: &[Value], one: &&Value| !all.contains(one);
            let gone = was.iter().filter(|one| is_new(is, one)).map(|one| (Some(one), None));
            let come = is.iter().filter(|one| is_new(was, one)).map(|one| (None, Some(one)));
            changes.extend(gone.chain(come).map(|(was, is)| change(path, was, is)));
        }
        _ if was == is => {}
        _ => changes.push(change(path, was, is)),
    }
}

fn change(path: &str, was: Option<&Value>, is: Option<&Value>) -> Change {
    Change { path: path.to_owned(), recorded: was.cloned(), decided: is.cloned() }
}
