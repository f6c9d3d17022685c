//! JSON Schemas of the exported form, generated from the types.
//!
//! They are open: unknown attributes and fields are allowed, as a newer writer of the same version may add them.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{EventId, EventType, HostName, IncidentId, Subject, Timestamp, TraceParent, cloudevents};

/// The JSON Schema (draft 2020-12) of a whole event of type `kind` in its exported form.
#[must_use]
pub fn event_schema(kind: EventType) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let data = kind.payload_schema(&mut generator);
    let attributes = attributes(&mut generator, kind, &data.to_value());
    let required = ["specversion", "id", "type", "source", "time", "dataschema", "host", "data"];
    let definitions: Map<String, Value> = generator.take_definitions(true);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": cloudevents::dataschema(kind),
        "title": kind.as_str(),
        "type": "object",
        "properties": attributes,
        "required": required,
        "$defs": definitions,
    });
    bound_integers(&mut schema);
    // A build in which another crate asks serde_json to keep the order of insertion must write the same text.
    schema.sort_all_objects();
    schema
}

fn attributes(generator: &mut SchemaGenerator, kind: EventType, data: &Value) -> Value {
    json!({
        "specversion": { "const": cloudevents::SPEC_VERSION },
        "id": generator.subschema_for::<EventId>(),
        "type": { "const": kind },
        "source": {
            "type": "string",
            "format": "uri-reference",
            "pattern": "^/[a-z]+/[A-Za-z0-9._~%-]*$",
            "description": "Who wrote it: /role/instance.",
        },
        "subject": generator.subschema_for::<Subject>(),
        "time": generator.subschema_for::<Timestamp>(),
        "dataschema": { "const": cloudevents::dataschema(kind) },
        "datacontenttype": { "const": cloudevents::CONTENT_TYPE },
        "host": generator.subschema_for::<HostName>(),
        "correlationid": generator.subschema_for::<IncidentId>(),
        "causationid": generator.subschema_for::<EventId>(),
        "traceparent": generator.subschema_for::<TraceParent>(),
        "partition": { "type": "integer", "minimum": 0, "maximum": u16::MAX },
        "seq": { "type": "integer", "minimum": 1, "description": "Gap-free per partition." },
        "data": data,
    })
}

/// Gives 32-bit integers their upper bound: `format` alone binds nobody.
fn bound_integers(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("format").is_some_and(|format| format == "uint32") {
                map.entry("maximum").or_insert(json!(u32::MAX));
            }
            map.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        _ => {}
    }
}
