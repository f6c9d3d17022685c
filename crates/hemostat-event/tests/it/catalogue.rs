//! `docs/events.md`: every event as its schema, its example and the lists of writers and readers have it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hemostat_event::cloudevents::to_json;
use hemostat_event::schema::event_schema;
use hemostat_event::{EventType, Role};
use serde_json::{Map, Value};

use crate::examples::example;
use crate::files::{assert_golden, crate_dir};

#[test]
fn the_catalogue_of_the_events_is_that_of_the_code() {
    assert_golden(&crate_dir().join("../../docs/events.md"), &catalogue());
}

#[test]
fn every_type_has_a_writer_and_a_role_that_reads_reads_what_somebody_writes() {
    let written = |kind| Role::ALL.into_iter().any(|role| role.writes().contains(&kind));
    assert!(EventType::ALL.into_iter().all(written));
    // A role that reads may give an input up, and says so in a letter.
    for role in Role::ALL.into_iter().filter(|role| !role.reads().is_empty()) {
        assert!(role.writes().contains(&EventType::DeadLetter), "{role}");
    }
}

fn catalogue() -> String {
    let mut text = String::from(HEAD);
    let mut types = BTreeMap::new();
    for kind in EventType::ALL {
        let schema = event_schema(kind);
        if kind == EventType::ALL[0] {
            text.push_str("\n## Attributes\n\nEvery event has them beside its `data`. `causationid` and `correlationid` chain events together.\n");
            table(&mut text, &attributes(schema.clone()));
        }
        event(&mut text, kind, &schema);
        let payload = name_of(&schema["properties"]["data"]);
        let definitions = schema["$defs"].as_object().expect("definitions").clone();
        types.extend(definitions.into_iter().filter(|(name, _)| *name != payload));
    }
    text.push_str("\n## Types\n\nWhat stands in more than one place.\n");
    for (name, schema) in &types {
        write!(text, "\n### {name}\n\n{}\n", said(schema)).expect(FITS);
        table(&mut text, schema);
    }
    text
}

/// The schema without what is the same in every event, or is told elsewhere.
fn attributes(mut schema: Value) -> Value {
    let properties = schema["properties"].as_object_mut().expect("attributes");
    for (name, meaning) in MEANINGS {
        let attribute = properties.get_mut(name).unwrap_or_else(|| panic!("there is no attribute {name}"));
        attribute["description"] = meaning.into();
        if ["type", "dataschema"].contains(&name) {
            // These are another word in each type's schema.
            attribute.as_object_mut().expect("a schema").remove("const");
        }
        attribute.as_object_mut().expect("a schema").entry("type").or_insert("string".into());
    }
    properties.remove("data");
    schema
}

fn event(text: &mut String, kind: EventType, schema: &Value) {
    let payload = &schema["$defs"][name_of(&schema["properties"]["data"])];
    let roles = |of: fn(Role) -> &'static [EventType]| {
        let named = Role::ALL.into_iter().filter(|role| of(*role).contains(&kind));
        named.map(|role| format!("`{role}`")).collect::<Vec<_>>().join(", ")
    };
    let readers = match roles(Role::reads) {
        none if none.is_empty() => "no group".to_owned(),
        groups => format!("group {groups}"),
    };
    let stream = match kind {
        EventType::RemediationNeeded => "remediation_needed:<host>",
        kind => kind.as_str(),
    };
    let version = kind.version();
    write!(
        text,
        "\n## `{kind}`\n\n{}\n\nWritten by {}; read by {readers}. Stream `{stream}`. [Schema](../schemas/v{version}/{kind}.json), \
         [example](../schemas/v{version}/examples/{kind}.json).{}\n",
        said(payload),
        roles(Role::writes),
        note(kind),
    )
    .expect(FITS);
    table(text, payload);
    let mut data = to_json(&example(kind), None)["data"].take();
    data.sort_all_objects();
    let data = serde_json::to_string_pretty(&data).expect("JSON can be written");
    write!(text, "\n```json\n{data}\n```\n").expect(FITS);
}

/// What the types cannot say.
fn note(kind: EventType) -> &'static str {
    match kind {
        EventType::HealthAlert | EventType::FalseAlarm | EventType::RemediationComplete => {
            " Also by the bridge, where `bridge.inbound` names it."
        }
        EventType::RemediationNeeded => {
            " Also by the bridge, where `bridge.inbound` names it. A responder reads the stream of its own host only."
        }
        EventType::Diagnosis => " This version asks no language model, so nobody has written one yet.",
        EventType::OperatorCommand => {
            " Orders that are written: `redrive` by `hemostat dlq redrive`, those of `hemostat archive`. Nobody obeys others yet."
        }
        EventType::DeadLetter => " `hemostat dlq` shows them and hands them to their group once more.",
        _ => "",
    }
}

/// The table of an object, a tagged object, or a closed list; nothing for plain words.
fn table(text: &mut String, schema: &Value) {
    let arms = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(words) = words(arms) {
        text.push_str("\n| word | means |\n|---|---|\n");
        for (word, meaning) in words {
            writeln!(text, "| `{word}` | {meaning} |").expect(FITS);
        }
        return;
    }
    let fields = schema["properties"].as_object();
    if fields.is_none() && arms.is_empty() {
        if let Some(pattern) = schema["pattern"].as_str() {
            write!(text, "\nA text: `{}`.\n", pattern.replace('|', "\\|")).expect(FITS);
        }
        return;
    }
    text.push_str("\n| field | type | unit | optional | means |\n|---|---|---|---|---|\n");
    rows(text, fields, &schema["required"], "");
    for arm in arms {
        let fields = arm["properties"].as_object().expect("an arm is an object");
        let (tag, word) = fields
            .iter()
            .find_map(|(name, field)| Some((name, field["const"].as_str()?)))
            .expect("arms are told apart by a word");
        writeln!(text, "| `{tag}` = `{word}` | | | | {} |", said(arm)).expect(FITS);
        let others = fields.iter().filter(|(name, _)| *name != tag);
        let others: Map<String, Value> = others.map(|(name, field)| (name.clone(), field.clone())).collect();
        rows(text, Some(&others), &arm["required"], "… ");
    }
}

fn rows(text: &mut String, fields: Option<&Map<String, Value>>, required: &Value, before: &str) {
    for (name, field) in fields.into_iter().flatten() {
        let optional = match required.as_array().is_some_and(|all| all.iter().any(|one| one == name)) {
            true => "",
            false => "yes",
        };
        let kind = type_of(field);
        writeln!(text, "| {before}`{name}` | {kind} | {} | {optional} | {} |", unit(name), said(field))
            .expect(FITS);
    }
}

/// The words of a closed list, where every arm is one.
fn words(arms: &[Value]) -> Option<Vec<(&str, String)>> {
    let words: Vec<_> =
        arms.iter().map(|arm| Some((arm["const"].as_str()?, said(arm)))).collect::<Option<_>>()?;
    (!words.is_empty()).then_some(words)
}

fn type_of(field: &Value) -> String {
    if field["$ref"].is_string() {
        let name = name_of(field);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(either) = field["anyOf"].as_array() {
        let one = either.iter().find(|arm| arm["type"] != "null").expect("something may stand there");
        return type_of(one);
    }
    if let Some(word) = field["const"].as_str() {
        return format!("`{word}`");
    }
    let plain = match &field["type"] {
        Value::Array(types) => types.iter().find(|name| *name != "null").and_then(Value::as_str),
        one => one.as_str(),
    };
    match plain.expect("a field has a type") {
        "array" => format!("list of {}", type_of(&field["items"])),
        "object" => format!("map of {}", type_of(&field["additionalProperties"])),
        "number" if field["maximum"] == 1 => "number, 0 to 1".to_owned(),
        other => other.to_owned(),
    }
}

/// The unit that a name ends with.
fn unit(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("ms") => "milliseconds",
        Some("secs") => "seconds",
        Some("ns") => "nanoseconds",
        Some("bytes") => "bytes",
        Some("percent") => "percent",
        Some("cores") => "processors",
        _ => "",
    }
}

fn name_of(reference: &Value) -> &str {
    let path = reference["$ref"].as_str().expect("a reference");
    path.strip_prefix("#/$defs/").expect("a definition of the same file")
}

fn said(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|")
}

/// What the attributes mean that are no types of ours.
const MEANINGS: [(&str, &str); 12] = [
    ("specversion", "Version of CloudEvents."),
    ("id", "The event: two with the same id are one."),
    ("type", "What it says: one of the types below."),
    ("subject", "The container, as host and name."),
    ("time", "Log time of the decision, or of the observation."),
    ("dataschema", "The schema: `urn:hemostat:schema:<type>:v<version>`."),
    ("datacontenttype", "Form of `data` in the exported form."),
    ("host", "The host whose partition it is in."),
    ("correlationid", "The incident."),
    ("causationid", "The event that led to this one."),
    ("traceparent", "The trace it is part of (W3C Trace Context)."),
    ("partition", "The partition of the log; known once it is in the log."),
];

const FITS: &str = "writing to a string does not fail";
const HEAD: &str = "# Events

Made from the types in `crates/hemostat-event`; `UPDATE_GOLDEN=1 cargo test -p hemostat-event` writes this file, and a test holds
it to the code.

An event is shown in its exported form, CloudEvents JSON, as `hemostat log -o json` and `hemostat-replay export` write it. In
Redis the same stands as MessagePack with field names in the field `event` of an entry of `<namespace>:{<partition>}:<stream>`,
beside its number `seq` and, where there is one, `prev`: the entry before it about the same container.

Archiver, bridge, exporter and the operator's commands read every stream along, outside any group. Optional fields are absent
where nothing is known, never 0. Fields that are not here may be added; readers skip them ([what may
change](../schemas/README.md)).
";
