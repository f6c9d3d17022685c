//! Holds: what neither a redaction nor retention may touch until the hold is released.
//!
//! A hold is a signed statement in the archive, and an event in the log. The statement of a hold comes first and its event
//! after, the event of a release first and its statement after: whatever dies between, what was held stays held, and an
//! order without its statement tells that a statement was deleted. Statements are numbered, and each names the one before.
//!
//! Who may write the archive can write statements too: whether they are believed is the verifier's to say.

use hemostat_event::{EventId, IncidentId, Subject, Timestamp, codec};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::chain::Digest;
use crate::failure::ArchiveError;
use crate::head::{Signed, VERSION};
use crate::keys::{KeyId, PrivateKey};
use crate::record::{Body, Record};
use crate::store::{Archive, HOLDS};

#[cfg(test)]
mod tests;

/// What a hold covers: entries that meet all that is said here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covers {
    /// About this container: the header names it.
    pub container: Option<Subject>,
    /// Of this incident: the header names it.
    pub incident: Option<IncidentId>,
    /// Log time from which on, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Log time until which.
    pub until_ms: Option<u64>,
}

impl Covers {
    /// Whether an entry of this time is covered. Of an entry that names nothing it is the time that counts.
    #[must_use]
    pub fn has(&self, ms: u64, about: Option<&About>) -> bool {
        let is = |about: &About| {
            self.container.as_ref().is_none_or(|container| about.container.as_ref() == Some(container))
                && self.incident.is_none_or(|incident| about.incident == Some(incident))
        };
        self.spans(ms, ms) && about.is_none_or(is)
    }

    /// Whether it covers anything between two times.
    #[must_use]
    pub fn spans(&self, first_ms: u64, last_ms: u64) -> bool {
        self.since_ms.is_none_or(|since| since <= last_ms)
            && self.until_ms.is_none_or(|until| first_ms <= until)
    }

    /// Whether it covers everything there is and will be.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// What an entry says of itself in its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The event.
    pub event: EventId,
    /// The container it is about.
    pub container: Option<Subject>,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// The event that caused it.
    pub cause: Option<EventId>,
}

impl About {
    /// Reads the header of an entry; `None` where there is none that can be read.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let (Body::Whole { header, .. } | Body::Taken { header, .. }) = &record.body else { return None };
        let envelope = codec::header(header).ok()?.envelope;
        let (event, container) = (envelope.id, envelope.subject);
        Some(Self { event, container, incident: envelope.incident, cause: envelope.cause })
    }
}

/// A statement about a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldStatement {
    /// The version of the format.
    pub version: u32,
    /// Its number, from 1.
    pub number: u32,
    /// The digest of the statement before; absent for the first.
    pub predecessor: Option<Digest>,
    /// What it says.
    pub what: HoldOrder,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
    /// When, in milliseconds of log time.
    pub at_ms: u64,
    /// The key that signed.
    pub key: KeyId,
}

/// What a statement about a hold says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HoldOrder {
    /// Something has to be kept.
    Placed {
        /// The name of the hold: the event that says the same in the log.
        hold: EventId,
        /// What has to be kept.
        covers: Covers,
    },
    /// It need not be kept any more.
    Released {
        /// The name of the hold.
        hold: EventId,
        /// The event that says the same in the log.
        order: EventId,
    },
}

/// A hold, and how long it was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its name.
    pub id: EventId,
    /// What it covers.
    pub covers: Covers,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: String,
    /// Since when, in milliseconds of log time.
    pub placed_ms: u64,
    /// When it was released.
    pub released_ms: Option<u64>,
}

impl Hold {
    /// Whether it was in force at a time.
    #[must_use]
    pub fn was_in_force(&self, ms: u64) -> bool {
        self.placed_ms < ms && self.released_ms.is_none_or(|released| ms < released)
    }
}

/// The holds of an archive, in the order in which they were placed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holds(pub Vec<Hold>);

impl Holds {
    /// Takes the next statement down.
    pub fn take(&mut self, statement: &HoldStatement) {
        match &statement.what {
            HoldOrder::Placed { hold, covers } => self.0.push(Hold {
                id: *hold,
                covers: covers.clone(),
                reason: statement.reason.clone(),
                by: statement.by.clone(),
                placed_ms: statement.at_ms,
                released_ms: None,
            }),
            HoldOrder::Released { hold, .. } => {
                for held in self.0.iter_mut().filter(|held| held.id == *hold) {
                    held.released_ms.get_or_insert(statement.at_ms);
                }
            }
        }
    }

    /// Those that were not released.
    pub fn in_force(&self) -> impl Iterator<Item = &Hold> {
        self.0.iter().filter(|hold| hold.released_ms.is_none())
    }

    /// A hold that keeps an entry, if there is one.
    #[must_use]
    pub fn keeping(&self, record: &Record) -> Option<&Hold> {
        let mut about = None;
        self.in_force().find(|hold| {
            hold.covers.spans(record.id.ms, record.id.ms)
                && hold.covers.has(record.id.ms, about.get_or_insert_with(|| About::of(record)).as_ref())
        })
    }
}

impl Archive {
    /// The statements about holds, in order. Whether they are signed by a key that is believed is another question.
    ///
    /// # Errors
    /// Those of the store, and a statement that was changed.
    pub async fn hold_statements(&self) -> Result<Vec<Signed<HoldStatement>>, ArchiveError> {
        let mut statements = Vec::new();
        for (path, _bytes, _ms) in self.listed(&Path::from(HOLDS)).await? {
            let Some(bytes) = self.file(path.as_ref()).await? else { continue };
            let read = Signed::read(&bytes);
            statements.push(read.map_err(|source| ArchiveError::Head { name: path.to_string(), source })?);
        }
        Ok(statements)
    }

    /// The holds of the archive.
    ///
    /// # Errors
    /// As for [`Archive::hold_statements`].
    pub async fn holds(&self) -> Result<Holds, ArchiveError> {
        let mut holds = Holds::default();
        self.hold_statements().await?.iter().for_each(|signed| holds.take(&signed.statement));
        Ok(holds)
    }

    /// States that something is held, or not any more.
    ///
    /// # Errors
    /// Those of the store; the statement is there or it is not.
    pub async fn state(
        &self,
        what: HoldOrder,
        reason: &str,
        by: &str,
        at: Timestamp,
        key: &PrivateKey,
    ) -> Result<(), ArchiveError> {
        loop {
            let told = self.hold_statements().await?;
            let number = told.last().map_or(1, |last| last.statement.number + 1);
            let statement = HoldStatement {
                version: VERSION,
                number,
                predecessor: told.last().map(|last| last.digest),
                what: what.clone(),
                reason: reason.to_owned(),
                by: by.to_owned(),
                at_ms: at.millis(),
                key: key.public().id(),
            };
            if self.make(&hold_path(number), Signed::sign(statement, key).to_bytes()).await? {
                return Ok(());
            }
            // Somebody else made a statement: this one follows it.
        }
    }
}

/// Where the statement with this number is.
pub(crate) fn hold_path(number: u32) -> Path {
    Path::from(HOLDS).join(format!("{number:05}.json"))
}
