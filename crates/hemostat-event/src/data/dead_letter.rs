//! What became of an event that could not be handled.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EventId, IncidentId, Role};

/// An event that could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// The stream it stood in.
    pub stream: String,
    /// Its entry id there.
    pub entry: String,
    /// The group that could not handle it.
    pub group: Role,
    /// Its own id, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Its incident, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// Why it could not be handled: the errors from the outermost to the root.
    pub errors: Vec<String>,
    /// How often it was delivered.
    pub attempts: u32,
    /// The entry's fields as they stood, each value in hexadecimal where it is not UTF-8.
    pub original: BTreeMap<String, String>,
}

/// Most bytes of the original that a letter quotes. The log keeps the whole entry beside it.
const ORIGINAL_BYTES_MAX: usize = 256 << 10;
/// Most errors of a chain that a letter keeps.
const ERRORS_MAX: usize = 16;
/// Most bytes of one error.
const ERROR_BYTES_MAX: usize = 1 << 10;

impl DeadLetter {
    /// The same letter, cut to what an event may have: the entry it quotes may be of any size, and a letter that
    /// cannot be read is no letter.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.errors.truncate(ERRORS_MAX);
        for error in &mut self.errors {
            shorten(error, ERROR_BYTES_MAX);
        }
        let mut left = ORIGINAL_BYTES_MAX;
        let mut left_out = 0_u64;
        for (name, mut value) in std::mem::take(&mut self.original) {
            let Some(after_name) = left.checked_sub(name.len()) else {
                left_out += 1;
                continue;
            };
            shorten(&mut value, after_name);
            left = after_name.saturating_sub(value.len());
            self.original.insert(name, value);
        }
        if 0 < left_out {
            self.errors.push(format!("{left_out} more fields of the entry are left out"));
        }
        self
    }
}

fn shorten(text: &mut String, bytes_max: usize) {
    let end = text.floor_char_boundary(bytes_max);
    let rest = text.len() - end;
    if 0 < rest {
        text.truncate(end);
        write!(text, "… ({rest} bytes more)").expect("writing to a string does not fail");
    }
}
