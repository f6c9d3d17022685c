//! A state field by field.

use hemostat_core::project::visible;
use serde_json::Value;

/// The fields of a state with their values, each named by its path: `incident.symptoms.cpu_high.since`. What is absent
/// or empty is left out. The values are safe to show.
pub(super) fn fields(state: &Value) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    collect(String::new(), state, &mut fields);
    fields
}

// A state is as deep as its types are: the recursion ends after a few levels.
fn collect(path: String, value: &Value, fields: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                collect(below(&visible(name)), value, fields);
            }
        }
        Value::Array(list) => {
            for (place, value) in list.iter().enumerate() {
                collect(below(&place.to_string()), value, fields);
            }
        }
        Value::Null => {}
        Value::String(text) => fields.push((path, visible(text).replace('\n', " "))),
        value => fields.push((path, value.to_string())),
    }
}
