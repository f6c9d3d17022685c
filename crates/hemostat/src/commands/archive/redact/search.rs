//! Looks for what is to be taken out: in the archive, and in the log behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use hemostat_agent::log::{EntryId, EventLog, StreamName};
use hemostat_agent::tail::Tail;
use hemostat_archive::{Archive, Body, Head, Holds, Reader, Record, Sealer, Selection, Signed};
use hemostat_event::{Command, Data, Envelope, EventId, EventType, HostName, Subject, Timestamp, codec};

use crate::exit::{Failure, OrFailure as _};

/// What is to be taken out.
pub(super) struct Wanted {
    /// Ids, or the beginnings of them.
    pub(super) ids: Vec<String>,
    /// Or everything about a container.
    pub(super) container: Option<String>,
    /// In this time.
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Wanted {
    fn names(&self, id: EventId) -> bool {
        let id = id.to_string();
        self.ids.iter().any(|wanted| id.starts_with(wanted.as_str()))
    }

    fn has(&self, record: &Record, envelope: &Envelope) -> bool {
        let Some(name) = &self.container else { return self.names(envelope.id) };
        let (time, about) = (record.id.time(), envelope.subject.as_ref());
        about.is_some_and(|subject| subject.name() == name || subject.as_str() == name)
            && self.since.is_none_or(|since| since <= time)
            && self.until.is_none_or(|until| time <= until)
    }

    fn selection(&self) -> Selection {
        Selection { since: self.since, until: self.until, ..Selection::default() }
    }
}

/// How it is with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its body is there.
    Whole,
    /// It was taken out before.
    Taken,
    /// This hold keeps it.
    Held(EventId),
}

/// An entry whose body is to go.
pub(super) struct Chosen {
    pub(super) partition: u16,
    pub(super) segment: u64,
    pub(super) seq: u64,
    pub(super) stream: StreamName,
    pub(super) id: EntryId,
    pub(super) event: EventId,
    pub(super) host: HostName,
    pub(super) container: Option<Subject>,
    /// The chosen event that this letter quotes.
    pub(super) quotes: Option<EventId>,
    pub(super) state: State,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) chosen: Vec<Chosen>,
    /// The heads of the segments, by partition and number.
    pub(super) heads: BTreeMap<(u16, u64), Signed<Head>>,
    /// The order to take out an event.
    pub(super) orders: BTreeMap<EventId, EventId>,
    /// Events that a chosen one caused.
    pub(super) caused: Vec<(EventId, EventType)>,
    /// Orders that may not go.
    protected: Vec<EventId>,
    /// Dead letters, and the events that they quote; nothing where the body was taken out.
    letters: Vec<(Chosen, Option<EventId>)>,
    /// Those that fit and are in the log alone.
    unarchived: Vec<EventId>,
}

impl Found {
    /// Looks through the archive and what is behind it.
    pub(super) async fn search(
        archive: &Archive,
        log: &Arc<dyn EventLog>,
        wanted: &Wanted,
        holds: &Holds,
    ) -> Result<Self, Failure> {
        let mut found = Self::default();
        let mut tail = Tail::new(Arc::clone(log), None, Vec::new());
        for partition in archive.partitions().await.or_unreachable()? {
            let heads = archive.heads(partition).await.or_unreachable()?;
            let (positions, _seq) = Sealer::new(partition, heads.last().cloned()).position();
            tail.resume(hemostat_agent::log::Partition(partition), positions);
            let mut before: Option<Head> = None;
            for head in heads {
                found.search_segment(archive, &head, before.as_ref(), wanted, holds).await?;
                before = Some(head.statement);
            }
        }
        loop {
            let entries = tail.next_stored().await.context("failed to read the log").or_unreachable()?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                let record = Record::read(entry.at.stream, entry.at.id, &entry.fields, [0; 16]);
                let Some(record) = record else { continue };
                if let Some(envelope) = envelope(&record)
                    && !found.take_order(&record)
                    && wanted.has(&record, &envelope)
                {
                    found.unarchived.push(envelope.id);
                }
            }
        }
        found.take_letters();
        Ok(found)
    }

    async fn search_segment(
        &mut self,
        archive: &Archive,
        head: &Signed<Head>,
        before: Option<&Head>,
        wanted: &Wanted,
        holds: &Holds,
    ) -> Result<(), Failure> {
        let said = &head.statement;
        let types = said.types_after(before);
        // Letters that quote and orders that were given may stand anywhere.
        let besides = [EventType::DeadLetter, EventType::OperatorCommand];
        let is_within = wanted.since.is_none_or(|since| since.millis() <= said.last_ms)
            && wanted.until.is_none_or(|until| said.first_ms <= until.millis());
        let selection = match is_within {
            true if besides.iter().any(|kind| types.contains(kind)) => Selection::default(),
            true => wanted.selection(),
            false if besides.iter().any(|kind| types.contains(kind)) => {
                Selection { types: besides.into(), ..Selection::default() }
            }
            false => return Ok(()),
        };
        let mut reader = Reader::of(archive, vec![head.clone()], selection);
        while let Some(records) =
            reader.next().await.context("failed to read the archive").or_unreachable()?
        {
            for record in records {
                if self.take(&record, said, wanted, holds) {
                    self.heads.entry((said.partition, said.number)).or_insert_with(|| head.clone());
                }
            }
        }
        Ok(())
    }

    /// Takes an entry down where it matters; says whether its segment may have to be written anew.
    fn take(&mut self, record: &Record, head: &Head, wanted: &Wanted, holds: &Holds) -> bool {
        let Some(envelope) = envelope(record) else { return false };
        let is_wanted = wanted.has(record, &envelope);
        if self.take_order(record) {
            if is_wanted {
                self.protected.push(envelope.id);
            }
            return false;
        }
        let (quoted, is_letter) = (quoted(record), record.stream.event_type() == EventType::DeadLetter);
        if wanted.container.is_none() && envelope.cause.is_some_and(|cause| wanted.names(cause)) && !is_wanted
        {
            self.caused.push((envelope.id, record.stream.event_type()));
        }
        let is_taken = matches!(record.body, Body::Taken { .. });
        if !is_wanted && quoted.is_none() && !(is_letter && is_taken) {
            return false;
        }
        let state = match (&record.body, holds.keeping(record)) {
            (Body::Whole { .. }, Some(hold)) => State::Held(hold.id),
            (Body::Whole { .. }, None) => State::Whole,
            _ => State::Taken,
        };
        let chosen = Chosen {
            partition: head.partition,
            segment: head.number,
            seq: record.seq,
            stream: record.stream.clone(),
            id: record.id,
            event: envelope.id,
            host: envelope.host,
            container: envelope.subject,
            quotes: None,
            state,
        };
        match is_wanted {
            true => self.chosen.push(chosen),
            false => self.letters.push((chosen, quoted)),
        }
        true
    }

    /// Takes an order about the archive down; says whether it is one.
    fn take_order(&mut self, record: &Record) -> bool {
        if record.stream.event_type() != EventType::OperatorCommand {
            return false;
        }
        let Some(Ok(event)) = record.event() else { return false };
        let Data::OperatorCommand(order) = &event.data else { return false };
        match &order.command {
            Command::Redact { events, .. } => {
                self.orders.extend(events.iter().map(|redacted| (*redacted, event.envelope.id)));
                true
            }
            Command::Hold { .. } | Command::Release { .. } => true,
            _ => false,
        }
    }

    /// Chooses the letters too that quote what is chosen.
    fn take_letters(&mut self) {
        for (letter, quoted) in std::mem::take(&mut self.letters) {
            // Which one a letter quoted whose body is gone tells the order that both went by.
            let order = self.orders.get(&letter.event);
            let went_with = |event| quoted.is_none() && order.is_some() && self.orders.get(&event) == order;
            let mut events =
                self.chosen.iter().filter(|chosen| chosen.quotes.is_none()).map(|chosen| chosen.event);
            let quoted = events.find(|event| quoted == Some(*event) || went_with(*event));
            if quoted.is_some() {
                self.chosen.push(Chosen { quotes: quoted, ..letter });
            }
        }
        let letters: Vec<_> =
            self.chosen.iter().filter_map(|chosen| chosen.quotes.map(|_| chosen.event)).collect();
        self.caused.retain(|(event, _)| !letters.contains(event));
        self.chosen.sort_by_key(|chosen| (chosen.partition, chosen.seq));
    }

    /// Holds what was found against what was named.
    ///
    /// # Errors
    /// Exit 2 when an id names nothing, several events, or what may not go; exit 1 when something is not archived yet.
    pub(super) fn check(&self, wanted: &Wanted) -> Result<(), Failure> {
        if !self.unarchived.is_empty() {
            return Err(Failure::Failed(anyhow!(
                "{} of the events are in the log and not in the archive yet; nothing was done, try again when the archiver \
                 has sealed them",
                self.unarchived.len()
            )));
        }
        for id in &wanted.ids {
            let fits = |event: &EventId| event.to_string().starts_with(id.as_str());
            if self.protected.iter().any(fits) {
                return Err(Failure::Usage(anyhow!(
                    "--event {id} is an order to redact, to hold or to release, which stays"
                )));
            }
            let mut events: Vec<EventId> =
                self.chosen.iter().map(|chosen| chosen.event).filter(fits).collect();
            // A redriven event stands in the log more than once.
            events.sort_unstable();
            events.dedup();
            match events.len() {
                0 => return Err(Failure::Usage(anyhow!("--event {id}: no such event is in the archive"))),
                1 => {}
                _ => {
                    let ids: Vec<_> = events.iter().map(ToString::to_string).collect();
                    return Err(Failure::Usage(anyhow!("--event {id} fits several: {}", ids.join(", "))));
                }
            }
        }
        Ok(())
    }
}

/// The header of an entry, where it is there and can be read.
fn envelope(record: &Record) -> Option<Envelope> {
    let (Body::Whole { header, .. } | Body::Taken { header, .. }) = &record.body else { return None };
    codec::header(header).ok().map(|header| header.envelope)
}

/// The event that a dead letter quotes.
fn quoted(record: &Record) -> Option<EventId> {
    if record.stream.event_type() != EventType::DeadLetter {
        return None;
    }
    match record.event()?.ok()?.data {
        Data::DeadLetter(letter) => letter.event,
        _ => None,
    }
}
