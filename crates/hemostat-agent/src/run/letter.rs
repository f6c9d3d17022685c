//! Dead letters: inputs that cannot be dealt with.

use std::collections::BTreeMap;
use std::error::Error;

use hemostat_core::role::{Decide, First};
use hemostat_event::{DeadLetter, EventType, codec};

use super::record::Case;
use super::step::{Dealt, InVain, Stepper};
use super::{Perform, pause, wait_for_log};
use crate::log::{Commit, CommitAnswer, Entry, FIELD_EVENT, LogError};

impl<D, P> Stepper<D, P>
where
    D: Decide + Send + Sync + 'static,
    P: Perform<D> + 'static,
{
    /// Moves an entry to the dead letters, waiting as long as the log is away.
    pub(super) async fn bury(&self, entry: &Entry, consumer: &str, in_vain: InVain) -> Dealt {
        let event = entry.event.as_ref().ok();
        let letter = DeadLetter {
            stream: entry.at.stream.to_string(),
            entry: entry.at.id.to_string(),
            group: D::ROLE,
            event: event.map(|event| event.envelope.id),
            incident: event.and_then(|event| event.envelope.incident),
            errors: in_vain.errors,
            attempts: in_vain.attempts,
            original: entry.raw.clone(),
        }
        .cut();
        let host = event.map_or(&self.settings.host, |event| &event.envelope.host);
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            match self.log.bury(&entry.at, consumer, host, &self.source, letter.clone()).await {
                Ok(CommitAnswer::Early) => return Dealt::Early,
                Ok(CommitAnswer::Fenced) => {
                    self.telemetry.fenced(D::ROLE, format_args!("{}/{}", entry.at.stream, entry.at.id));
                    break;
                }
                Ok(_) => {
                    self.telemetry.buried(&letter);
                    break;
                }
                Err(error) => {
                    failures += 1;
                    self.telemetry.log_failed(D::ROLE, &error, failures + 1);
                    if matches!(error, LogError::Refused { .. }) {
                        // The entry stays pending; when it is taken over, it is buried at once.
                        break;
                    }
                    pause(wait_for_log(failures), &self.stop).await;
                }
            }
        }
        Dealt::Ended
    }

    /// Files a letter about an input with the last commit for it. The state stays as it is: it may be what cannot be
    /// read. So a timer is parked, which has no entry, and an input that may have been dealt with before: if it was,
    /// the commit is a duplicate, which writes no letter.
    pub(super) async fn park(&self, case: &Case<'_>, in_vain: InVain) -> Dealt {
        let letter = letter::<D>(case, in_vain).cut();
        let Ok(now) = self.clock.now().await else { return Dealt::Ended };
        // One that was redriven and dies again has another letter.
        let again = case.entry.and_then(|entry| entry.redrive).map(|letter| format!("/{letter}"));
        let step = format!("{}{}", EventType::DeadLetter, again.unwrap_or_default());
        let id = case.id(D::ROLE, &step, 0);
        // Like every letter about the host, so that it is no part of the container's history.
        let about = (case.subject.host(), None);
        let event = case.event(id, &self.source, about, None, now, letter.clone().into());
        let commit = Commit {
            role: D::ROLE,
            subject: case.subject.clone(),
            input: case.input(true),
            key: case.last_key(D::ROLE),
            state: None,
            emit: vec![event],
            timers: Vec::new(),
        };
        match self.commits.commit(commit).await.1 {
            Ok(CommitAnswer::Early) => return Dealt::Early,
            Ok(CommitAnswer::Fenced) => self.telemetry.fenced(D::ROLE, case.subject),
            Ok(CommitAnswer::Duplicate) => self.telemetry.repeated(D::ROLE, case.subject),
            Ok(_) => self.telemetry.buried(&letter),
            // A timer comes back when its lease ends, an entry when it has been idle.
            Err(error) => self.telemetry.log_failed(D::ROLE, &error, 1),
        }
        Dealt::Ended
    }
}

fn letter<D: Decide>(case: &Case<'_>, in_vain: InVain) -> DeadLetter {
    let (stream, entry, original) = match (case.entry, case.first) {
        (Some(entry), First::Event(event)) => {
            let stored = codec::encode(event).iter().map(|byte| format!("{byte:02x}")).collect();
            let original = BTreeMap::from([(FIELD_EVENT.to_owned(), stored)]);
            (entry.at.stream.to_string(), entry.at.id.to_string(), original)
        }
        (_, first) => {
            let mut original = BTreeMap::from([("subject".to_owned(), case.subject.to_string())]);
            let mut entry = first.cause().to_string();
            if let First::Timer(timer) = first {
                entry = format!("{}/{entry}", timer.name);
                original.insert("timer".to_owned(), timer.name.clone());
                original.insert("due".to_owned(), timer.due.to_string());
            }
            (format!("timers:{}", D::ROLE), entry, original)
        }
    };
    DeadLetter {
        stream,
        entry,
        group: D::ROLE,
        event: Some(case.first.cause()),
        incident: match case.first {
            First::Event(event) => event.envelope.incident,
            First::Timer(_) => None,
        },
        errors: in_vain.errors,
        attempts: in_vain.attempts,
        original,
    }
}

/// The texts of an error and its sources, outermost first.
pub(super) fn texts(error: &dyn Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    texts
}
