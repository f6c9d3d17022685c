//! `hemostat dlq`: what agents gave up.

mod redrive;
mod show;

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow};
use comfy_table::Color;
use hemostat_agent::log::{Entry, EntryId, EventLog, FIELD_EVENT, Partition, StreamName, quoted_bytes};
use hemostat_event::{Data, DeadLetter, Event, EventId, EventType, Role, Timestamp, codec};
use serde_json::{Value, json};

use super::log::{event_type, is_about, when};
use crate::cli::{DlqCommand, LetterFilter, Output};
use crate::config::Config;
use crate::connect;
use crate::exit::{Failure, OrFailure};
use crate::show as display;

/// Lists, shows or redrives dead letters.
///
/// # Errors
/// Exit 2 for what does not exist, exit 3 when the log is out of reach, exit 1 when a letter could not be redriven.
pub(crate) async fn run(config: &Config, command: &DlqCommand) -> Result<(), Failure> {
    let log = connect::log(config).await?;
    let letters = Letter::all(&log).await?;
    match command {
        DlqCommand::Ls { filter, output } => {
            let now = log.now().await.or_unreachable()?;
            list(Filter::new(filter, now)?.chosen(&letters), output.output)
        }
        DlqCommand::Show { id, output } => show::run(find(&letters, id)?, output.output),
        DlqCommand::Redrive(args) => redrive::run(&log, &letters, args).await,
    }
}

/// A dead letter as it stands in the log.
struct Letter {
    entry: Entry,
    id: EventId,
    at: Timestamp,
    letter: DeadLetter,
    /// What could not be handled, where it can be read.
    original: Option<Event>,
    /// Whether it was handed out once more.
    redriven: bool,
}

/// Letters in one request.
const PAGE: usize = 1_000;

impl Letter {
    /// All of them, the oldest first.
    async fn all(log: &dyn EventLog) -> Result<Vec<Self>, Failure> {
        let mut letters = Vec::new();
        for partition in log.partitions() {
            let mut redriven = BTreeSet::new();
            for entry in read(log, partition, EventType::OperatorCommand).await? {
                if let Ok(Event { envelope, data: Data::OperatorCommand(order) }) = entry.event
                    && matches!(order.command, hemostat_event::Command::Redrive { .. })
                {
                    redriven.extend(envelope.cause);
                }
            }
            for entry in read(log, partition, EventType::DeadLetter).await? {
                let Ok(Event { envelope, data: Data::DeadLetter(letter) }) = &entry.event else { continue };
                let (id, at, letter) = (envelope.id, envelope.time, letter.clone());
                let original = original(log, partition, &letter).await?;
                letters.push(Self { id, at, letter, original, redriven: redriven.contains(&id), entry });
            }
        }
        letters.sort_by_key(|letter| (letter.at, letter.entry.at.clone()));
        Ok(letters)
    }

    /// The type of what could not be handled.
    fn kind(&self) -> Option<EventType> {
        let stream = || self.letter.stream.parse().ok().map(|stream: StreamName| stream.event_type());
        self.original.as_ref().map(Event::event_type).or_else(stream)
    }

    /// The container it is about.
    fn container(&self) -> &str {
        let subject = self.original.as_ref().and_then(|event| event.envelope.subject.as_ref());
        let timer = || self.letter.original.get("subject").and_then(|subject| subject.split('/').nth(1));
        subject.map(hemostat_event::Subject::name).or_else(timer).unwrap_or("-")
    }

    /// Why it was given up: the root of the errors.
    fn reason(&self) -> &str {
        self.letter.errors.last().map_or("-", String::as_str)
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "time": self.at,
            "group": self.letter.group,
            "stream": self.letter.stream,
            "entry": self.letter.entry,
            "type": self.kind(),
            "event": self.letter.event,
            "incident": self.letter.incident,
            "container": self.container(),
            "attempts": self.letter.attempts,
            "errors": self.letter.errors,
            "redriven": self.redriven,
        })
    }
}

async fn read(log: &dyn EventLog, partition: Partition, kind: EventType) -> Result<Vec<Entry>, Failure> {
    let (stream, mut after, mut all) = (StreamName::Type(kind), EntryId::ZERO, Vec::new());
    loop {
        let page = log.range(partition, &stream, after, PAGE).await;
        let page = page.context("failed to read the log").or_unreachable()?;
        let Some(last) = page.last() else { return Ok(all) };
        after = last.at.id;
        all.extend(page);
    }
}

/// What a letter is about: as it quotes it, or as it stands in its stream where it quotes only a part.
async fn original(
    log: &dyn EventLog,
    partition: Partition,
    letter: &DeadLetter,
) -> Result<Option<Event>, Failure> {
    let quoted = letter.original.get(FIELD_EVENT).and_then(|text| quoted_bytes(text));
    if let Some(event) = quoted.and_then(|bytes| codec::decode(&bytes).ok()) {
        return Ok(Some(event));
    }
    let (Ok(stream), Ok(id)) = (letter.stream.parse::<StreamName>(), letter.entry.parse::<EntryId>()) else {
        return Ok(None);
    };
    let found = log.range(partition, &stream, id.before(), 1).await.or_unreachable()?;
    Ok(found.into_iter().find(|entry| entry.at.id == id).and_then(|entry| entry.event.ok()))
}

/// The letter that an id or its beginning names.
fn find<'a>(letters: &'a [Letter], id: &str) -> Result<&'a Letter, Failure> {
    let fitting: Vec<_> = letters.iter().filter(|letter| letter.id.to_string().starts_with(id)).collect();
    match fitting.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::Usage(anyhow!("no dead letter `{id}`; see `hemostat dlq ls`"))),
        several => {
            let ids: Vec<_> = several.iter().map(|letter| letter.id.to_string()).collect();
            Err(Failure::Usage(anyhow!("`{id}` fits several dead letters: {}", ids.join(", "))))
        }
    }
}

/// Which letters are meant.
struct Filter<'a> {
    container: Option<&'a str>,
    types: Vec<EventType>,
    group: Option<Role>,
    since: Option<Timestamp>,
    limit: usize,
}

impl<'a> Filter<'a> {
    fn new(given: &'a LetterFilter, now: Timestamp) -> Result<Self, Failure> {
        let role = |name: &String| name.parse().context("--group: analyzer, responder or alert").or_usage();
        Ok(Self {
            container: given.container.as_deref(),
            types: given.types.iter().map(|name| event_type(name)).collect::<Result<_, _>>()?,
            group: given.group.as_ref().map(role).transpose()?,
            since: given.since.as_ref().map(|text| when(text, now)).transpose()?,
            limit: given.limit.unwrap_or(usize::MAX),
        })
    }

    fn chosen(self, letters: &'a [Letter]) -> impl Iterator<Item = &'a Letter> {
        let limit = self.limit;
        letters.iter().filter(move |letter| self.takes(letter)).take(limit)
    }

    fn takes(&self, letter: &Letter) -> bool {
        let about = |name: &str| {
            letter.original.as_ref().map_or(letter.container() == name, |event| is_about(event, name))
        };
        self.container.is_none_or(about)
            && (self.types.is_empty() || letter.kind().is_some_and(|kind| self.types.contains(&kind)))
            && self.group.is_none_or(|group| group == letter.letter.group)
            && self.since.is_none_or(|since| since <= letter.at)
    }
}

fn list<'a>(letters: impl Iterator<Item = &'a Letter>, output: Output) -> Result<(), Failure> {
    let mut table =
        display::table(&["letter", "died (utc)", "group", "type", "container", "tries", "why", "state"]);
    for letter in letters {
        match output {
            Output::Json => display::json(&letter.to_json())?,
            Output::Table => {
                let (state, colour) =
                    if letter.redriven { ("redriven", None) } else { ("dead", Some(Color::Red)) };
                table.add_row([
                    letter.id.short().into(),
                    display::date_time(letter.at).into(),
                    letter.letter.group.to_string().into(),
                    letter.kind().map_or_else(|| "-".to_owned(), |kind| kind.to_string()).into(),
                    letter.container().into(),
                    letter.letter.attempts.to_string().into(),
                    letter.reason().into(),
                    display::coloured(state, colour),
                ]);
            }
        }
    }
    match output {
        Output::Json => Ok(()),
        Output::Table => display::print(&table, "No dead letters."),
    }
}
