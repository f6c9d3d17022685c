//! JSON Schemas of the exported form, generated from the types.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{EventId, EventType, HostName, IncidentId, Subject, Timestamp, cloudevents};

/// The JSON Schema (draft 2020-12) of a whole event of type `kind` in its exported form.
#[must_use]
pub fn event_schema(kind: EventType) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let data = kind.payload_schema(&mut generator);
    let attributes = attributes(&mut generator, kind, data.to_value());
    let required = ["specversion", "id", "type", "source", "time", "dataschema", "host", "data"];
    let mut definitions: Map<String, Value> = generator.take_definitions(true);
    definitions.sort_keys();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": cloudevents::dataschema(kind),
        "title": kind.as_str(),
        "type": "object",
        "properties": attributes,
        "required": required,
        "$defs": definitions,
    })
}

fn attributes(generator: &mut SchemaGenerator, kind: EventType, data: Value) -> Value {
    json!({
        "specversion": { "const": "1.0" },
        "id": generator.subschema_for::<EventId>(),
        "type": { "const": kind },
        "source": { "type": "string", "format": "uri-reference", "description": "/role/instance" },
        "subject": generator.subschema_for::<Subject>(),
        "time": generator.subschema_for::<Timestamp>(),
        "dataschema": { "const": cloudevents::dataschema(kind) },
        "datacontenttype": { "const": "application/json" },
        "host": generator.subschema_for::<HostName>(),
        "correlationid": generator.subschema_for::<IncidentId>(),
        "causationid": generator.subschema_for::<EventId>(),
        "traceparent": { "type": "string", "description": "W3C trace context." },
        "partition": { "type": "integer", "minimum": 0, "maximum": u16::MAX },
        "seq": { "type": "integer", "minimum": 1, "description": "Gap-free per partition." },
        "data": data,
    })
}
