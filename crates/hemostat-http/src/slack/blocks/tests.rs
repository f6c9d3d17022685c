//! What Slack accepts.

use hemostat_event::{
    DeadLetter, Envelope, Event, EventId, HostName, Role, Severity, Source, Subject, Timestamp,
};
use proptest::prelude::*;

use super::*;

#[test]
fn a_message_is_a_header_a_coloured_bar_and_a_plain_fallback() {
    let fields = [("Container", "web"), ("Host", "h1"), ("What to do", "hemostat explain 1a2b3c4d")];
    let message = message("a restart did not help web", "It ended again, with exit code 1.", &fields);
    let expected = json!({
        "text": "a restart did not help web: It ended again, with exit code 1.",
        "blocks": [{
            "type": "header",
            "text": { "type": "plain_text", "text": "❌ a restart did not help web", "emoji": true },
        }],
        "attachments": [{
            "color": "#ff0000",
            "blocks": [
                { "type": "section", "text": mrkdwn("It ended again, with exit code 1.") },
                { "type": "section", "fields": [
                    mrkdwn("*Container*\nweb"),
                    mrkdwn("*Host*\nh1"),
                    mrkdwn("*What to do*\nhemostat explain 1a2b3c4d"),
                ] },
                { "type": "context", "elements": [mrkdwn(
                    "severity high · <!date^1700000000^{date_short_pretty} {time_secs}|2023-11-14 22:13:20 UTC> · HemoStat"
                )] },
            ],
        }],
    });
    assert_eq!(payload(&message), expected);
}

#[test]
fn what_a_container_wrote_is_neither_markup_nor_a_mention() {
    let hostile = "<!channel> & <https://evil.example|click>\u{1b}[2J";
    let escaped = "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt; [2J";
    let payload = payload(&message(hostile, hostile, &[(hostile, hostile)]));
    assert_eq!(payload["blocks"][0]["text"]["text"], format!("❌ {escaped}"));
    assert_eq!(payload["attachments"][0]["blocks"][0]["text"]["text"], escaped);
    assert_eq!(
        payload["attachments"][0]["blocks"][1]["fields"][0]["text"],
        format!("*{escaped}*\n{escaped}")
    );
    assert_eq!(payload["text"], format!("{escaped}: {escaped}"));
}

#[test]
fn what_is_too_long_is_cut_with_a_marker_and_never_through_an_entity() {
    assert_eq!(fit("0123456789", 10), "0123456789");
    assert_eq!(fit("0123456789a", 10), "012… (cut)");
    assert_eq!(fit("ab&cdefghijk", 10), "ab… (cut)", "`&amp;` does not fit before the marker");
    assert_eq!(fit("abcde&", 10), "abcde&amp;");
    assert_eq!(fit("🔧🔧🔧🔧🔧🔧", 10), "🔧… (cut)");
    let long = "x".repeat(10_000);
    let fields: Vec<_> = (0..10).map(|_| ("Reason", long.as_str())).collect();
    let payload = payload(&message("t", "u", &fields));
    let fields = payload["attachments"][0]["blocks"][1]["fields"].as_array().expect("fields");
    let lengths: Vec<_> = fields.iter().map(|field| length(field["text"].as_str().expect("text"))).collect();
    assert_eq!(lengths, [600; 10]);
}

#[test]
fn a_long_field_gets_what_the_short_ones_leave() {
    let long = "x".repeat(10_000);
    let payload = payload(&message("t", "u", &[("Container", "web"), ("Host", "h1"), ("Reason", &long)]));
    let field = &payload["attachments"][0]["blocks"][1]["fields"][2]["text"];
    assert_eq!(length(field.as_str().expect("text")), FIELD_MAX);
}

#[test]
fn nothing_is_left_empty_because_slack_refuses_that() {
    let payload = payload(&message("", "", &[]));
    let blocks = payload["attachments"][0]["blocks"].as_array().expect("blocks");
    assert_eq!(blocks.len(), 1, "only the context");
    let payload = super::payload(&message("t", " ", &[("Took", "")]));
    assert_eq!(payload["attachments"][0]["blocks"][0]["fields"][0], mrkdwn("*Took*\n–"));
}

proptest! {
    // Long texts take long to make.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_message_keeps_to_the_limits(
        title in ".{0,400}",
        text in "(.|[&<>\n]){0,5000}",
        fields in proptest::collection::vec((".{0,700}", "[a-z&<>🔧\n]{0,3000}"), 0..14),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let payload = payload(&message(&title, &text, &fields));
        let mut texts = Vec::new();
        collect(&payload, &mut texts);
        prop_assert!(texts.iter().map(|text| length(text)).sum::<usize>() <= 13_000);
        prop_assert!(length(payload["blocks"][0]["text"]["text"].as_str().expect("header")) <= 150);
        for block in payload["attachments"][0]["blocks"].as_array().expect("blocks") {
            if let Some(text) = block["text"]["text"].as_str() {
                prop_assert!((1..=3_000).contains(&length(text)));
            }
            let fields = block["fields"].as_array();
            prop_assert!(fields.is_none_or(|fields| (1..=10).contains(&fields.len())));
            for field in fields.into_iter().flatten() {
                prop_assert!((1..=2_000).contains(&length(field["text"].as_str().expect("text"))));
            }
            if block["type"] != "context" {
                let mut own = Vec::new();
                collect(block, &mut own);
                prop_assert!(own.iter().all(|text| !text.contains(['<', '>'])));
                // Every ampersand begins an entity.
                let whole = |rest: &str| ["amp;", "lt;", "gt;"].iter().any(|entity| rest.starts_with(entity));
                prop_assert!(own.iter().all(|text| text.split('&').skip(1).all(whole)));
            }
        }
    }
}

/// Every text that people see.
fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if name == "text" => texts.push(text.clone()),
                    value => collect(value, texts),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, texts)),
        _ => {}
    }
}

fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

fn message(title: &str, text: &str, fields: &[(&str, &str)]) -> Message {
    let host = HostName::new("h1").expect("a host");
    let subject = Subject::new(&host, "web").expect("a subject");
    let time = Timestamp::from_millis(1_700_000_000_000);
    let id = EventId::observed(&subject, Role::Responder, time, 0);
    let letter = DeadLetter {
        stream: "health_alert".into(),
        entry: "1-0".into(),
        group: Role::Analyzer,
        event: None,
        incident: None,
        errors: Vec::new(),
        attempts: 1,
        original: std::collections::BTreeMap::new(),
    };
    let envelope = Envelope {
        id,
        source: Source { role: Role::Responder, instance: "r1".into() },
        time,
        host,
        subject: Some(subject),
        incident: None,
        cause: None,
        traceparent: None,
    };
    Message {
        id,
        kind: NotificationKind::NotFixed,
        severity: Severity::High,
        title: title.to_owned(),
        text: text.to_owned(),
        fields: fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        event: Event { envelope, data: letter.into() },
    }
}
