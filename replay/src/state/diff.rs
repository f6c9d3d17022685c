//! What changed between two points, container by container and field by field.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use hemostat_core::project::visible;
use hemostat_event::{Role, Subject};
use serde::Serialize;

use super::states::Known;
use super::{KnownOfAll, Point, WhoseArgs, at, fields};
use crate::cli::FromArgs;
use crate::screen;
use crate::timeline::Output;

/// Between which points, and whose states.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The first point: a time (UTC), a place in the log (PARTITION/NUMBER) or the id of an event.
    #[arg(value_name = "POINT")]
    before: Point,
    /// The second point.
    #[arg(value_name = "POINT")]
    after: Point,
    /// Whose states.
    #[command(flatten)]
    whose: WhoseArgs,
}

/// A field that is not the same at both points.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub container: Subject,
    pub role: Role,
    pub field: String,
    /// Its value at the first point; absent where it had none.
    pub before: Option<String>,
    /// Its value at the second point; absent where it had none.
    pub after: Option<String>,
}

/// Shows what changed. `true` whether or not something did.
///
/// # Errors
/// Those of the source, and when the log has not come to one of the points.
pub(crate) async fn run(from: &FromArgs, args: &DiffArgs) -> anyhow::Result<bool> {
    let [before, after] = at(from, &args.whose, [&args.before, &args.after], false).await?;
    let changes = changes(&before, &after);
    if args.whose.output == Output::Json {
        for change in &changes {
            screen::json(change)?;
        }
        return Ok(true);
    }
    let mut table = screen::table(&["container", "role", "field", "before", "after"]);
    for change in changes {
        let value = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            visible(change.container.as_str()),
            change.role.to_string(),
            change.field,
            value(change.before),
            value(change.after),
        ]);
    }
    screen::line(&if table.is_empty() { "Nothing changed.".to_owned() } else { table.to_string() })?;
    Ok(true)
}

/// Every field that differs, in order. A container that is known at one of the points only has all its fields here.
pub(super) fn changes(before: &KnownOfAll, after: &KnownOfAll) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let (old, new) = (flat(before.get(key)), flat(after.get(key)));
        for (role, field) in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            let of = |known: &Flat| known.get(&(*role, field.clone())).cloned();
            let (before, after) = (of(&old), of(&new));
            if before != after {
                changes.push(Change {
                    container: key.1.clone(),
                    role: *role,
                    field: field.clone(),
                    before,
                    after,
                });
            }
        }
    }
    changes
}

type Flat = BTreeMap<(Role, String), String>;

fn flat(known: Option<&Known>) -> Flat {
    let mut flat = Flat::new();
    for (role, _, state) in known.map(Known::roles).unwrap_or_default() {
        flat.extend(fields(&state).into_iter().map(|(field, value)| ((role, field), value)));
    }
    flat
}
