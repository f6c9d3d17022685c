//! `hemostat dlq redrive`.

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};
use hemostat_agent::log::{EventLog, Redriven};
use hemostat_event::{Role, Source};
use serde_json::json;

use super::{Filter, Letter, find};
use crate::cli::{LetterFilter, Output, RedriveArgs};
use crate::connect;
use crate::exit::{Failure, OrFailure};
use crate::show;

/// Hands letters out once more.
///
/// # Errors
/// Exit 2 when it is not said which letters, or there is nobody to ask; exit 1 when a letter that was named could not
/// be handed out.
pub(super) async fn run(log: &dyn EventLog, letters: &[Letter], args: &RedriveArgs) -> Result<(), Failure> {
    let now = log.now().await.or_unreachable()?;
    let chosen = chosen(letters, args, now)?;
    let by = connect::operator();
    if !(args.dry_run || args.yes || chosen.is_empty() || agreed(chosen.len())?) {
        return Ok(());
    }
    let source = Source { role: Role::Operator, instance: by.clone() };
    let (mut handed, mut refused) = (0_usize, 0_usize);
    for letter in chosen {
        let answer = match args.dry_run {
            true if letter.redriven => Answer::Done(Redriven::Before),
            true => Answer::Would,
            false => {
                let redriven = log.redrive(&letter.entry.at, &by, &source).await;
                Answer::Done(redriven.context("failed to redrive a dead letter").or_unreachable()?)
            }
        };
        match answer {
            Answer::Would | Answer::Done(Redriven::Handed { .. }) => handed += 1,
            Answer::Done(_) => refused += 1,
        }
        tell(letter, &answer, args.output.output)?;
    }
    if args.output.output == Output::Table {
        let what = if args.dry_run { "would be handed out once more" } else { "handed out once more" };
        show::line(&format!("{handed} {what}, {refused} not."))?;
    }
    if refused == 0 { Ok(()) } else { Err(Failure::Finding) }
}

/// What became of a letter.
enum Answer {
    /// It would be handed out.
    Would,
    Done(Redriven),
}

/// The letters to hand out: those that are named, or all that the filters choose and that were not handed out.
fn chosen<'a>(
    letters: &'a [Letter],
    args: &'a RedriveArgs,
    now: hemostat_event::Timestamp,
) -> Result<Vec<&'a Letter>, Failure> {
    if args.ids.is_empty() && is_open(&args.filter) {
        return Err(Failure::Usage(anyhow!(
            "which letters? Name them, or choose with --container, --type, --group, --since or --limit"
        )));
    }
    let filter = Filter::new(&args.filter, now)?;
    if args.ids.is_empty() {
        let limit = filter.limit;
        let unlimited = Filter { limit: usize::MAX, ..filter };
        return Ok(unlimited.chosen(letters).filter(|letter| !letter.redriven).take(limit).collect());
    }
    let named = args.ids.iter().map(|id| find(letters, id)).collect::<Result<Vec<_>, _>>()?;
    Ok(named.into_iter().filter(|letter| filter.takes(letter)).take(filter.limit).collect())
}

/// Whether a filter chooses everything.
fn is_open(filter: &LetterFilter) -> bool {
    let LetterFilter { container, types, group, since, limit } = filter;
    container.is_none() && types.is_empty() && group.is_none() && since.is_none() && limit.is_none()
}

/// Asks whoever sits at the terminal.
fn agreed(count: usize) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(anyhow!(
            "{count} letters would be handed out once more; say --yes to do it, or --dry-run to see them"
        )));
    }
    eprint!("Hand {count} dead letters out once more? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn tell(letter: &Letter, answer: &Answer, output: Output) -> Result<(), Failure> {
    let (result, why, seq) = match answer {
        Answer::Would => ("would_redrive", None, None),
        Answer::Done(Redriven::Handed { entry, .. }) => ("redriven", None, Some(*entry)),
        Answer::Done(Redriven::Before) => ("not_redriven", Some("it was redriven before"), None),
        Answer::Done(Redriven::DealtWith) => {
            ("not_redriven", Some("the group has dealt with the event otherwise"), None)
        }
        Answer::Done(Redriven::Nothing(why)) => ("not_redriven", Some(*why), None),
    };
    if output == Output::Json {
        let (event, group) = (letter.letter.event, letter.letter.group);
        return show::json(&json!({
            "letter": letter.id, "event": event, "group": group, "stream": letter.letter.stream,
            "result": result, "reason": why, "seq": seq,
        }));
    }
    let kind = letter.kind().map_or_else(|| "-".to_owned(), |kind| kind.to_string());
    let seq = seq.map(|seq| format!(" as {seq}")).unwrap_or_default();
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let words = result.replace('_', " ");
    show::line(&format!("{}  {kind} of {}  {words}{seq}{why}", letter.id.short(), letter.container()))
}
