//! `hemostat dlq show`.

use hemostat_core::project;
use hemostat_event::cloudevents;

use super::Letter;
use crate::cli::Output;
use crate::exit::Failure;
use crate::show;

/// Shows one letter.
///
/// # Errors
/// When standard output is closed.
pub(super) fn run(letter: &Letter, output: Output) -> Result<(), Failure> {
    let original = letter.original.as_ref().map(|event| cloudevents::to_json(event, None));
    if output == Output::Json {
        let mut json = letter.to_json();
        json["original"] = original.unwrap_or_default();
        json["fields"] = serde_json::json!(letter.letter.original);
        return show::json(&json);
    }
    let found = &letter.letter;
    show::line(&format!("Letter     {}", letter.id))?;
    show::line(&format!("Group      {}", found.group))?;
    show::line(&format!("Entry      {} {}", found.stream, found.entry))?;
    show::line(&format!("Container  {}", letter.container()))?;
    show::line(&format!("Died       {} UTC after {} tries", show::date_time(letter.at), found.attempts))?;
    show::line(&format!("State      {}", if letter.redriven { "redriven" } else { "dead" }))?;
    show::line("")?;
    show::line("Why")?;
    for (depth, error) in found.errors.iter().enumerate() {
        show::line(&format!("  {}{error}", "  ".repeat(depth)))?;
    }
    show::line("")?;
    match (&letter.original, original) {
        (Some(event), Some(json)) => {
            show::line(&format!("Original   {}", project::summary(event)))?;
            show::line(&serde_json::to_string_pretty(&json).unwrap_or_default())
        }
        _ => {
            show::line("Original   not readable; its fields:")?;
            for (name, value) in &found.original {
                show::line(&format!("  {name} = {value}"))?;
            }
            Ok(())
        }
    }
}
