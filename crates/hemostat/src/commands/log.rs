//! `hemostat log`: the event log, in the order of its sequence.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::anyhow;
use hemostat_agent::log::Entry;
use hemostat_archive::Selection;
use hemostat_core::project;
use hemostat_event::cloudevents::{self, Position};
use hemostat_event::{Data, Event, EventType, Severity, Timestamp};
use tokio_util::sync::CancellationToken;

use super::run_agents::stop_on_signal;
use crate::cli::{LogArgs, Output};
use crate::config::{self, Config};
use crate::exit::{Failure, OrFailure};
use crate::past::{self, Past};
use crate::show;

/// How often new events are looked for.
const POLL: Duration = Duration::from_millis(250);

/// Shows the log.
///
/// # Errors
/// Exit 2 for a type or time that does not exist, exit 3 when log and archive are out of reach.
pub(crate) async fn run(config: &Config, args: &LogArgs) -> Result<(), Failure> {
    let types = args.types.iter().map(|name| event_type(name)).collect::<Result<Vec<_>, _>>()?;
    // Who follows wants what comes, not everything that ever was.
    let past = if args.follow && args.since.is_none() {
        Past::of_log(config).await?
    } else {
        Past::open(config, &args.past).await?
    };
    if args.follow && !past.has_log() {
        return Err(Failure::Unreachable(anyhow!("there is no log to follow")));
    }
    let since = match &args.since {
        Some(text) => Some(when(text, past.now)?),
        None => None,
    };
    let filter = Filter { types, samples: args.samples, since, container: args.container.clone() };
    let stop = if args.follow { Some(stop_on_signal()?) } else { None };
    let mut history = past.read(filter.selection()).await?;
    if !args.follow {
        history = history.until(past.now);
    }
    let mut printer = Printer { output: args.output.output, header: false };
    loop {
        match past::next(&mut history).await {
            Ok(None) => match &stop {
                Some(stop) if !stop.is_cancelled() => wait(stop).await,
                _ => return Ok(()),
            },
            Ok(Some(entries)) => {
                for entry in entries.iter().filter(|entry| filter.takes(entry)) {
                    printer.print(entry)?;
                }
            }
            Err(error) => match &stop {
                // A follower waits for the log to come back, as agents do.
                Some(stop) if !stop.is_cancelled() => {
                    tracing::debug!(%error, "the event log is away");
                    wait(stop).await;
                }
                _ => return Err(Failure::Unreachable(error.into())),
            },
        }
    }
}

async fn wait(stop: &CancellationToken) {
    let _stopped = tokio::time::timeout(POLL, stop.cancelled()).await;
}

pub(crate) fn event_type(name: &str) -> Result<EventType, Failure> {
    name.parse().map_err(|error| {
        let near =
            EventType::ALL.into_iter().min_by_key(|kind| strsim::damerau_levenshtein(kind.as_str(), name));
        let near = near.expect("there are event types");
        Failure::Usage(anyhow::Error::new(error).context(format!("--type: did you mean `{near}`?")))
    })
}

/// A time, or a time span before `now`.
pub(crate) fn when(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    if let Ok(time) = Timestamp::parse(text) {
        return Ok(time);
    }
    // Days are what retention is counted in.
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    let span = match days {
        Some(days) => Ok(Duration::from_secs(days.saturating_mul(86_400))),
        None => config::duration(text),
    };
    span.map(|span| now - span)
        .map_err(|_invalid| {
            anyhow!("--since {text}: expected a time span (1h) or a time (2026-11-24T05:00:00Z)")
        })
        .or_usage()
}

/// Which events are shown.
struct Filter {
    types: Vec<EventType>,
    samples: bool,
    since: Option<Timestamp>,
    container: Option<String>,
}

impl Filter {
    fn wants(&self, kind: EventType) -> bool {
        if self.types.is_empty() {
            kind != EventType::ContainerSample || self.samples
        } else {
            self.types.contains(&kind)
        }
    }

    fn takes(&self, entry: &Entry) -> bool {
        self.wants(entry.at.stream.event_type())
            && self.since.is_none_or(|since| since.millis() <= entry.at.id.ms)
            && self
                .container
                .as_ref()
                .is_none_or(|name| entry.event.as_ref().is_ok_and(|event| is_about(event, name)))
    }

    /// What of an archive may have some of them. Its index knows names, and no container ids.
    fn selection(&self) -> Selection {
        let may_be_id = |name: &String| 6 <= name.len() && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        Selection {
            since: self.since,
            types: EventType::ALL.into_iter().filter(|kind| self.wants(*kind)).collect(),
            name: self.container.clone().filter(|name| !may_be_id(name)),
            ..Selection::default()
        }
    }
}

/// Whether an event is about the container with this name, subject, or (beginning of its) id.
#[must_use]
pub(crate) fn is_about(event: &Event, name: &str) -> bool {
    let subject = event.envelope.subject.as_ref();
    let named = subject.is_some_and(|subject| subject.name() == name || subject.as_str() == name);
    let id = event.data.container().map(|container| container.id.as_str());
    named || id.is_some_and(|id| 6 <= name.len() && id.starts_with(name))
}

/// Prints entries as they come.
struct Printer {
    output: Output,
    header: bool,
}

impl Printer {
    fn print(&mut self, entry: &Entry) -> Result<(), Failure> {
        match self.output {
            Output::Json => self.json(entry),
            Output::Table => self.row(entry),
        }
    }

    fn json(&self, entry: &Entry) -> Result<(), Failure> {
        let position = entry.seq.map(|seq| Position { partition: entry.at.partition.0, seq });
        match &entry.event {
            Ok(event) => show::json(&cloudevents::to_json(event, position)),
            // What is not an event goes where it does not disturb a program that reads events.
            Err(error) => {
                eprintln!("hemostat: {} {}: {error}", entry.at.stream, entry.at.id);
                Ok(())
            }
        }
    }

    fn row(&mut self, entry: &Entry) -> Result<(), Failure> {
        if !self.header {
            self.header = true;
            show::line(&format!(
                "{:>7}  {:<19}  {:<21}  {:<20}  {}",
                "SEQ", "TIME (UTC)", "TYPE", "CONTAINER", "WHAT"
            ))?;
        }
        let seq = entry.seq.map_or_else(|| "-".to_owned(), |seq| seq.to_string());
        let (time, kind, container, what, colour) = match &entry.event {
            Ok(event) => (
                show::date_time(event.envelope.time),
                event.event_type().to_string(),
                event.envelope.subject.as_ref().map_or("-", |subject| subject.name()).to_owned(),
                project::summary(event),
                colour_of(event),
            ),
            Err(error) => (
                show::date_time(entry.at.id.time()),
                entry.at.stream.to_string(),
                "-".to_owned(),
                format!("not readable: {error}"),
                RED,
            ),
        };
        let plain = format!("{seq:>7}  {time:<19}  {kind:<21}  {container:<20}  {what}");
        if show::colour() && std::io::stdout().is_terminal() && !colour.is_empty() {
            return show::line(&format!("{colour}{plain}{RESET}"));
        }
        show::line(&plain)
    }
}

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// The colour of a line: what needs a person is red, what is bad yellow, what is well again green.
fn colour_of(event: &Event) -> &'static str {
    match &event.data {
        Data::HealthAlert(alert) if Severity::High <= alert.severity => RED,
        Data::HealthAlert(_) | Data::RemediationNeeded(_) | Data::RemediationStarted(_) => YELLOW,
        Data::DeadLetter(_) => RED,
        Data::HealthRecovered(_) => GREEN,
        Data::RemediationVerified(verified) => match verified.verdict {
            hemostat_event::Verification::Verified => GREEN,
            _ => RED,
        },
        _ => "",
    }
}
