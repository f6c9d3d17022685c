//! `hemostat-replay record`: a slice of the log into a file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use clap::Args;
use hemostat_archive::{Body, Record, Selection};
use hemostat_core::project::{Incident, Incidents};
use hemostat_event::cloudevents::Position;
use hemostat_event::{EventId, EventType, IncidentId, Subject, Timestamp, codec};

use crate::cli::FromArgs;
use crate::recording::{Manifest, Recorder, Slice};
use crate::screen;
use crate::source::Source;

/// What the container showed before and after an incident is recorded with it, for so long.
pub(crate) const AROUND: Duration = Duration::from_secs(600);

/// What to record, and where to.
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Replace the file where it is there already.
    #[arg(long)]
    force: bool,
    /// Only what was written at this time (UTC) or later, or within this last time (2h).
    #[arg(long, value_name = "SPAN|TIME", value_parser = screen::since)]
    since: Option<Timestamp>,
    /// Only what was written at this time (UTC) or before.
    #[arg(long, value_name = "TIME", value_parser = screen::time)]
    until: Option<Timestamp>,
    /// Only what is about this container.
    #[arg(long, value_name = "HOST/NAME")]
    container: Option<Subject>,
    /// Only one incident, with what its container showed ten minutes before and after; an id or its beginning.
    #[arg(long, value_name = "ID", conflicts_with = "container")]
    incident: Option<String>,
    /// Only this partition.
    #[arg(long, value_name = "NUMBER")]
    partition: Option<u16>,
}

/// Records. `false` when nothing is in the slice; the recording is there and empty then.
///
/// # Errors
/// Those of the source, when there is no such incident, and when the file cannot be written.
pub(crate) async fn run(from: &FromArgs, args: &RecordArgs) -> anyhow::Result<bool> {
    if !args.force && args.to.exists() {
        bail!("{} is there already; --force replaces it", args.to.display());
    }
    let incident = match &args.incident {
        Some(id) => {
            let incidents = incidents(from).await?;
            Some(Told::of(find(&incidents, id)?.with_context(|| format!("there is no incident `{id}`"))?))
        }
        None => None,
    };
    let slice = Slice {
        since: args.since,
        until: args.until,
        container: args.container.as_ref().map(ToString::to_string),
        incident: incident.as_ref().map(|told| told.incident.to_string()),
        partition: args.partition,
    };
    let selection = Selection {
        since: args.since.max(incident.as_ref().map(|told| told.from)),
        until: args.until.into_iter().chain(incident.as_ref().map(|told| told.to)).min(),
        container: args.container.clone(),
        ..Selection::default()
    };
    let mut source = Source::open(from, selection.clone()).await?;
    let mut recorder = Recorder::default();
    while let Some(records) = source.next().await? {
        for (partition, record) in records {
            if args.partition.is_none_or(|wanted| wanted == partition)
                && is_within(&record, &selection)
                && incident.as_ref().is_none_or(|told| told.has(&record))
            {
                recorder.push(partition, &record)?;
            }
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let manifest = Manifest {
        version: 1,
        made_at: Timestamp::EPOCH + now,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
        from: names(from),
        slice,
        has_gaps: false,
        parts: Vec::new(),
    };
    let path = args.to.display();
    let made = recorder
        .finish(manifest, &args.to, args.force)
        .with_context(|| format!("failed to write the recording {path}"))?;
    let count: u64 = made.parts.iter().map(|part| part.count).sum();
    let missing: u64 = made.parts.iter().map(|part| part.missing).sum();
    let gaps =
        if made.has_gaps { format!(", {missing} numbers between them left out") } else { String::new() };
    screen::line(&format!("{count} entries in {path}{gaps}"))?;
    Ok(0 < count)
}

/// Every incident that the source tells of.
///
/// # Errors
/// Those of the source.
pub(crate) async fn incidents(from: &FromArgs) -> anyhow::Result<Incidents> {
    let types = EventType::ALL.into_iter().filter(|kind| *kind != EventType::ContainerSample).collect();
    let mut source = Source::open(from, Selection { types, ..Selection::default() }).await?;
    let mut incidents = Incidents::default();
    while let Some(records) = source.next().await? {
        for (partition, record) in records {
            if let Some(Ok(event)) = record.event() {
                incidents.fold(&event, Position { partition, seq: record.seq });
            }
        }
    }
    Ok(incidents)
}

/// The incident whose id begins with `id`.
///
/// # Errors
/// When several do.
pub(crate) fn find<'a>(incidents: &'a Incidents, id: &str) -> anyhow::Result<Option<&'a Incident>> {
    let fits = |incident: &&Incident| !id.is_empty() && incident.id.to_string().starts_with(id);
    let fitting: Vec<_> = incidents.iter().filter(fits).collect();
    match fitting.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let ids: Vec<_> = several.iter().map(|incident| incident.id.to_string()).collect();
            bail!("`{id}` fits several incidents: {}", ids.join(", "))
        }
    }
}

/// What belongs to the record of an incident.
pub(crate) struct Told {
    incident: IncidentId,
    subject: Subject,
    members: BTreeSet<EventId>,
    /// Log time from which on something of it may be found.
    pub from: Timestamp,
    /// Log time until which something of it may be found.
    pub to: Timestamp,
}

impl Told {
    /// What belongs to `incident`.
    pub(crate) fn of(incident: &Incident) -> Self {
        let times = || incident.events.iter().map(|line| line.time);
        let first = times().min().unwrap_or(incident.opened_at).min(incident.opened_at);
        let last = times().max().unwrap_or(incident.opened_at).max(incident.opened_at);
        Self {
            incident: incident.id,
            subject: incident.subject.clone(),
            members: incident.events.iter().map(|line| line.id).collect(),
            from: first - AROUND,
            to: last + AROUND,
        }
    }

    /// Whether an entry is an event of the incident, or shows its container. The header is enough to tell: a body may
    /// have been taken out.
    pub(crate) fn has(&self, record: &Record) -> bool {
        let Some(header) = header(record) else { return false };
        let shows =
            matches!(record.stream.event_type(), EventType::ContainerSample | EventType::ContainerChanged);
        self.members.contains(&header.envelope.id)
            || header.envelope.incident == Some(self.incident)
            || shows && header.envelope.subject.as_ref() == Some(&self.subject)
    }
}

/// Whether an entry is what was asked for; a source gives what is near it, too.
fn is_within(record: &Record, selection: &Selection) -> bool {
    let is_about = |wanted: &Subject| {
        header(record).is_some_and(|header| header.envelope.subject.as_ref() == Some(wanted))
    };
    selection.since.is_none_or(|since| since.millis() <= record.id.ms)
        && selection.until.is_none_or(|until| record.id.ms <= until.millis())
        && selection.container.as_ref().is_none_or(is_about)
}

fn header(record: &Record) -> Option<codec::Header> {
    match &record.body {
        Body::Whole { header, .. } | Body::Taken { header, .. } => codec::header(header).ok(),
        Body::Leaf(_) => None,
    }
}

/// What is read, for the manifest: without what stands before the host of a URL, which may be a password.
fn names(from: &FromArgs) -> Vec<String> {
    if let [file] = from.file.as_slice() {
        return vec![format!("recording {}", file.display())];
    }
    let archive = from.archive.as_ref().map(|place| format!("archive {place}"));
    let redis = from.redis.as_ref().map(|url| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("log {scheme}://{host}, namespace {}", from.namespace)
    });
    archive.into_iter().chain(redis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_get_into_the_manifest() {
        let from = FromArgs {
            archive: Some("/var/lib/hemostat".into()),
            redis: Some("rediss://ada:s3cret@redis:6379/0".into()),
            namespace: "hemostat".into(),
            file: Vec::new(),
        };
        assert_eq!(
            names(&from),
            ["archive /var/lib/hemostat", "log rediss://redis:6379/0, namespace hemostat"]
        );
    }
}
