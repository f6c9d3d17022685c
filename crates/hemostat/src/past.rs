//! Reads back what the log says, and from the archive what the log no longer has.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use hemostat_agent::log::{Entry, EventLog};
use hemostat_agent::tail::Tail;
use hemostat_archive::{Archive, Heads, History, HistoryError, Place, Selection};
use hemostat_event::{EventType, Timestamp};

use crate::cli::PastArgs;
use crate::commands::archiver;
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure as _};

/// The log, and the archive behind it where there is one.
pub(crate) struct Past {
    log: Option<Arc<dyn EventLog>>,
    archive: Option<Archive>,
    /// The time of the log; that of this machine where the log is away.
    pub(crate) now: Timestamp,
}

impl Past {
    /// Reaches for log and archive. One of them is enough; what is missing then is said on standard error.
    ///
    /// # Errors
    /// Exit 3 when there is neither, or the archive that was asked for is not there.
    pub(crate) async fn open(config: &Config, args: &PastArgs) -> Result<Self, Failure> {
        let archive = archive(config, args).await?;
        let reached = match connect::log(config).await {
            Ok(log) => {
                let log: Arc<dyn EventLog> = Arc::new(log);
                log.now().await.or_unreachable().map(|now| (log, now))
            }
            Err(failure) => Err(failure),
        };
        match reached {
            Ok((log, now)) => Ok(Self { log: Some(log), archive, now }),
            Err(Failure::Unreachable(error)) if archive.is_some() => {
                let failure = Failure::Unreachable(error);
                eprintln!("hemostat: only the archive is read, without what is newer: {failure}");
                Ok(Self {
                    log: None,
                    archive,
                    now: Timestamp::from_micros(chrono::Utc::now().timestamp_micros()),
                })
            }
            Err(failure) => Err(failure),
        }
    }

    /// The same without the archive: what the log has, and what comes.
    ///
    /// # Errors
    /// Exit 3 when the log is away.
    pub(crate) async fn of_log(config: &Config) -> Result<Self, Failure> {
        let log: Arc<dyn EventLog> = Arc::new(connect::log(config).await?);
        let now = log.now().await.or_unreachable()?;
        Ok(Self { log: Some(log), archive: None, now })
    }

    /// Whether the log is there.
    pub(crate) fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Begins to read what the selection asks for; more than that may come.
    ///
    /// # Errors
    /// Exit 3 when the archive is out of reach.
    pub(crate) async fn read(&self, selection: Selection) -> Result<History, Failure> {
        let types = &selection.types;
        let skip =
            EventType::ALL.into_iter().filter(|kind| !types.is_empty() && !types.contains(kind)).collect();
        let tail = self.log.clone().map(|log| Tail::new(log, selection.since, skip));
        let history = History::open(self.archive.clone(), tail, selection, Heads::Needed).await;
        history.context("the archive (archive.url)").or_unreachable()
    }

    /// Everything but samples, and without what stands in the log once more because a dead letter was redriven: that is
    /// the same event.
    ///
    /// # Errors
    /// Exit 3 when log or archive is out of reach.
    pub(crate) async fn decisions(&self) -> Result<Vec<Entry>, Failure> {
        let types = EventType::ALL.into_iter().filter(|kind| *kind != EventType::ContainerSample).collect();
        let mut history = self.read(Selection { types, ..Selection::default() }).await?.until(self.now);
        let mut all = Vec::new();
        while let Some(entries) = next(&mut history).await.or_unreachable()? {
            let wanted = |entry: &Entry| {
                entry.redrive.is_none() && entry.at.stream.event_type() != EventType::ContainerSample
            };
            all.extend(entries.into_iter().filter(wanted));
        }
        Ok(all)
    }
}

/// The next entries; `None` when there are no more for now.
pub(crate) async fn next(history: &mut History) -> Result<Option<Vec<Entry>>, HistoryError> {
    let read = history.next(&mut |_partition, _heads| {}).await?;
    Ok(read.map(|read| read.iter().map(hemostat_archive::Read::entry).collect()))
}

/// The archive that is asked for, or that of the configuration.
async fn archive(config: &Config, args: &PastArgs) -> Result<Option<Archive>, Failure> {
    let (place, is_asked_for) = match (&args.archive, &config.archive.url) {
        (Some(place), _) => (place, true),
        (None, Some(place)) => (place, false),
        (None, None) => return Ok(None),
    };
    match reach(place).await {
        Ok(archive) => Ok(Some(archive)),
        Err(error) if is_asked_for => Err(Failure::Unreachable(error.context("--archive"))),
        Err(error) => {
            let failure = Failure::Unreachable(error);
            eprintln!("hemostat: only the log is read, without what was trimmed from it: {failure}");
            Ok(None)
        }
    }
}

async fn reach(place: &Place) -> anyhow::Result<Archive> {
    if !place.may_exist() {
        // To open it would make it.
        return Err(anyhow!("there is no archive in `{place}`"));
    }
    archiver::reach(place).await
}
