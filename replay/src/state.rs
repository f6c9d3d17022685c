//! `hemostat-replay state` and `diff`: what every role knew of a container at some point, and what changed between two.

mod diff;
mod fields;
mod latest;
mod point;
mod states;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use clap::Args;
use hemostat_archive::Selection;
use hemostat_core::project::visible;
use hemostat_event::cloudevents::Position;
use hemostat_event::{EventType, HostName, Subject};

use crate::cli::FromArgs;
use crate::screen;
use crate::source::{self, Source};
use crate::timeline::Output;

pub(crate) use diff::DiffArgs;
pub(crate) use diff::run as diff;
pub(crate) use point::{Fold, Point};

use fields::fields;
use states::Known;
pub(crate) use states::States;

/// Which point, and whose states.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// A time (UTC), a place in the log (PARTITION/NUMBER) or the id of an event; that event is taken in.
    #[arg(long, value_name = "TIME|PARTITION/NUMBER|EVENT-ID")]
    at: Point,
    /// What was measured last of each container, too. Reads every sample before the point.
    #[arg(long)]
    samples: bool,
    /// Whose states.
    #[command(flatten)]
    whose: WhoseArgs,
}

/// Which containers, and for whom.
#[derive(Debug, Args)]
struct WhoseArgs {
    /// Only this container.
    #[arg(long, value_name = "HOST/NAME")]
    container: Option<Subject>,
    /// Only containers of this host.
    #[arg(long, value_name = "NAME", value_parser = host)]
    host: Option<HostName>,
    /// For people or for programs.
    #[arg(short, long, default_value = "table", value_name = "FORM")]
    output: Output,
}

/// What is known of each container, by partition and name.
pub(crate) type KnownOfAll = BTreeMap<(u16, Subject), Known>;

/// Shows states. `false` when nothing is known of any container at that point.
///
/// # Errors
/// Those of the source, and when the log has not come to that point.
pub(crate) async fn run(from: &FromArgs, args: &StateArgs) -> anyhow::Result<bool> {
    let [known] = at(from, &args.whose, [&args.at], args.samples).await?;
    let mut table = screen::table(&["container", "of", "version", "field", "value"]);
    for ((partition, subject), known) in &known {
        if args.whose.output == Output::Json {
            let mut json = serde_json::to_value(known)?;
            json["container"] = serde_json::json!(subject);
            json["partition"] = serde_json::json!(partition);
            screen::json(&json)?;
            continue;
        }
        let states = known
            .roles()
            .into_iter()
            .map(|(role, version, state)| (role.to_string(), version.to_string(), fields(&state)));
        let sample = known.sample.as_ref().map(serde_json::to_value).transpose()?;
        let sample = sample.map(|sample| ("last sample".to_owned(), String::new(), fields(&sample)));
        for (of, version, fields) in states.chain(sample) {
            for (field, value) in fields {
                table.add_row([visible(subject.as_str()), of.clone(), version.clone(), field, value]);
            }
        }
    }
    if args.whose.output == Output::Table {
        screen::line(&if table.is_empty() { "Nothing is known.".to_owned() } else { table.to_string() })?;
    }
    Ok(!known.is_empty())
}

/// What was known at each of the points, in one reading.
async fn at<const N: usize>(
    from: &FromArgs,
    whose: &WhoseArgs,
    points: [&Point; N],
    samples: bool,
) -> anyhow::Result<[KnownOfAll; N]> {
    // Samples are no part of any state.
    let selection = if samples { Selection::default() } else { source::decisions() };
    let mut source = Source::open(from, selection).await?;
    let may_be_sample = points.iter().any(|point| matches!(point, Point::Event(_)));
    let mut folds = points.map(Fold::new);
    let mut begins: BTreeMap<u16, u64> = BTreeMap::new();
    while let Some(records) = source.next().await? {
        for (partition, record) in records {
            begins.entry(partition).or_insert(record.seq);
            // What cannot be read has its place all the same. A sample is decoded only where it may be the point.
            let is_sample = record.stream.event_type() == EventType::ContainerSample;
            let event = (may_be_sample || !is_sample).then(|| record.event()).flatten().and_then(Result::ok);
            let position = Position { partition, seq: record.seq };
            for fold in &mut folds {
                let is_before = fold.take_in(position, record.id.time(), event.as_ref());
                if samples && is_sample && is_before {
                    fold.take_in_sample(partition, &record);
                }
            }
        }
    }
    for (partition, seq) in begins.into_iter().filter(|(_, seq)| 1 < *seq) {
        eprintln!(
            "hemostat-replay: partition {partition} is read from number {seq} on: what stood before it, samples apart, is \
             not in these states"
        );
    }
    if source.has_gaps() {
        eprintln!(
            "hemostat-replay: the recording leaves entries out: what they changed is not in these states"
        );
    }
    let mut known = Vec::with_capacity(N);
    for fold in folds {
        let mut of_all = fold.finish()?;
        of_all.retain(|(_, subject), _| {
            whose.container.as_ref().is_none_or(|wanted| wanted == subject)
                && whose.host.as_ref().is_none_or(|host| *host == subject.host())
        });
        known.push(of_all);
    }
    Ok(known.try_into().unwrap_or_else(|_| unreachable!("there is one for each point")))
}

fn host(text: &str) -> Result<HostName, String> {
    HostName::new(text).map_err(|error| error.to_string())
}
