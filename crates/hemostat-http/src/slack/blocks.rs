//! A message in Slack's Block Kit.
//!
//! The header stands above a coloured bar with the text, the fields and the context; `text` is what notifications and
//! clients without blocks show. Slack refuses what is too long as a whole, so everything is cut to fit, and says so.

use hemostat_core::notify::Message;
use hemostat_event::NotificationKind;
use serde_json::{Value, json};

/// Most characters of a header block.
const HEADER_MAX: usize = 150;
/// Most characters of a section block's text.
const SECTION_MAX: usize = 3_000;
/// Most fields of a section block.
const FIELDS_MAX: usize = 10;
/// Most characters of one field.
const FIELD_MAX: usize = 2_000;
/// Most characters of all fields together. With the others this stays below 13,000, which is where Slack begins to
/// answer `msg_blocks_too_long` (slackapi/bolt-js#2509).
const FIELDS_TOTAL: usize = 6_000;
/// Most characters of the fallback, which Slack shows in a line or two.
const FALLBACK_MAX: usize = 1_000;
/// The end of what was cut.
const MARKER: &str = "… (cut)";

/// What an incoming webhook takes.
pub(super) fn payload(message: &Message) -> Value {
    let (emoji, colour) = look(message.kind);
    let header = fit(&format!("{emoji} {}", message.title), HEADER_MAX);
    let mut blocks = Vec::with_capacity(3);
    if !message.text.trim().is_empty() {
        blocks.push(json!({ "type": "section", "text": text(&fit(&message.text, SECTION_MAX)) }));
    }
    let fields = fields(message);
    if !fields.is_empty() {
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    blocks.push(json!({ "type": "context", "elements": [text(&context(message))] }));
    json!({
        "text": fit(&format!("{}: {}", message.title, message.text), FALLBACK_MAX),
        "blocks": [{ "type": "header", "text": { "type": "plain_text", "text": header, "emoji": true } }],
        "attachments": [{ "color": colour, "blocks": blocks }],
    })
}

/// Symbol and colour. The colours are those of the Python HemoStat; the symbol says the same without colour.
fn look(kind: NotificationKind) -> (&'static str, &'static str) {
    match kind {
        NotificationKind::Escalation => ("🚨", "#ff0000"),
        NotificationKind::Remediated => ("🔧", "#36a64f"),
        NotificationKind::RemediationFailed | NotificationKind::NotFixed => ("❌", "#ff0000"),
        NotificationKind::RemediationRejected => ("✋", "#ff9900"),
        NotificationKind::Verified | NotificationKind::Recovered => ("✅", "#36a64f"),
        NotificationKind::DeadLetter => ("📪", "#ff0000"),
    }
}

/// Text with markup. `verbatim` keeps Slack from making links and mentions out of what a container wrote.
fn text(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

fn fields(message: &Message) -> Vec<Value> {
    let count = message.fields.len().min(FIELDS_MAX);
    let mut room = FIELDS_TOTAL;
    let mut fields = Vec::with_capacity(count);
    for (index, (name, value)) in message.fields.iter().take(count).enumerate() {
        // What the short ones leave is for the long ones.
        let most = FIELD_MAX.min(room / (count - index));
        let name = format!("*{}*\n", fit(name, most / 4));
        let value = if value.trim().is_empty() { "–" } else { value };
        let field = format!("{name}{}", fit(value, most - length(&name)));
        room -= length(&field);
        fields.push(text(&field));
    }
    fields
}

/// How bad and when, in the time zone of whoever reads it.
fn context(message: &Message) -> String {
    let time = message.event.envelope.time;
    let utc = time.to_datetime().format("%Y-%m-%d %H:%M:%S UTC");
    let seconds = time.millis() / 1_000;
    format!(
        "severity {} · <!date^{seconds}^{{date_short_pretty}} {{time_secs}}|{utc}> · HemoStat",
        message.severity.as_str()
    )
}

/// `text` escaped as Slack asks for, cut to at most `most` characters with a marker where it does not fit.
fn fit(text: &str, most: usize) -> String {
    let marker = length(MARKER);
    let mut fitted = String::with_capacity(text.len().min(most));
    // Where to cut so that the marker fits behind.
    let (mut used, mut cut) = (0, 0);
    for c in text.chars() {
        let mut buffer = [0; 4];
        let piece = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '\n' => "\n",
            c if c.is_control() => " ",
            c => c.encode_utf8(&mut buffer),
        };
        used += length(piece);
        if most < used {
            fitted.truncate(cut);
            fitted.push_str(MARKER);
            return fitted;
        }
        fitted.push_str(piece);
        if used + marker <= most {
            cut = fitted.len();
        }
    }
    fitted
}

/// Characters as Slack's own clients count them: UTF-16 units, so an emoji is two. Whatever the server counts, it is
/// not more.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests;
