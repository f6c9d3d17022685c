//! What is different, and where first.

use std::sync::Arc;

use hemostat_event::cloudevents::Position;
use hemostat_event::{Data, Event, EventId, EventType, IncidentId, Role, Subject, Timestamp, codec};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::coverage;

/// A decision that is another one now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Who decided.
    pub role: Role,
    /// The container.
    pub subject: Option<Subject>,
    /// The incident.
    pub incident: Option<IncidentId>,
    /// When it was decided.
    pub time: Timestamp,
    /// What was decided on.
    pub input: EventId,
    /// Its type.
    pub input_type: EventType,
    /// The first recorded event of the decision: partition and number.
    pub at: (u16, u64),
    /// The first field that differs.
    pub first: Change,
    /// The rules that decided then, in the words of the coverage.
    pub rules_recorded: Vec<String>,
    /// The rules that decide now. The same as then: not the rule is another, but what it comes to.
    pub rules_decided: Vec<String>,
    /// What was decided then.
    #[serde(serialize_with = "typed")]
    pub recorded: Vec<Data>,
    /// What is decided now.
    #[serde(serialize_with = "typed")]
    pub decided: Vec<Data>,
}

/// A field that is another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where it stands: the place of the event in the decision, its type, then names of fields.
    pub path: String,
    /// What it was; absent where there was none.
    pub recorded: Option<Value>,
    /// What it is now; absent where there is none.
    pub decided: Option<Value>,
}

impl Difference {
    /// What is different between the recorded events of a decision and what is decided now; `None` where it is the
    /// same, byte for byte of the stored form.
    pub(super) fn between(
        role: Role,
        input: &Event,
        recorded: &[(Position, Arc<Event>)],
        decided: &[Data],
    ) -> Option<Self> {
        let is_same = recorded.len() == decided.len()
            && recorded.iter().zip(decided).all(|((_, event), data)| {
                // Equal events have equal bytes; the reverse does not hold for a number that is none.
                event.data == *data || {
                    let again = Event { envelope: event.envelope.clone(), data: data.clone() };
                    codec::encode(&again) == codec::encode(event)
                }
            });
        if is_same {
            return None;
        }
        let data: Vec<Data> = recorded.iter().map(|(_, event)| event.data.clone()).collect();
        let first = first(&values(&data), &values(decided));
        let (position, event) = &recorded[0];
        Some(Self {
            role,
            subject: event.envelope.subject.clone(),
            incident: event.envelope.incident,
            time: event.envelope.time,
            input: input.envelope.id,
            input_type: input.event_type(),
            at: (position.partition, position.seq),
            first,
            rules_recorded: data.iter().filter_map(coverage::rule).collect(),
            rules_decided: decided.iter().filter_map(coverage::rule).collect(),
            recorded: data,
            decided: decided.to_vec(),
        })
    }
}

fn values(all: &[Data]) -> Vec<Value> {
    all.iter().map(value).collect()
}

fn typed<S: Serializer>(all: &[Data], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values(all))
}

/// An event as its type and its data.
fn value(data: &Data) -> Value {
    let fields = serde_json::to_value(data).expect("an event has only values that JSON can write");
    Value::Object([(data.event_type().to_string(), fields)].into_iter().collect())
}

fn first(recorded: &[Value], decided: &[Value]) -> Change {
    for place in 0..recorded.len().max(decided.len()) {
        let (was, is) = (recorded.get(place), decided.get(place));
        if let Some(change) = change(&format!("[{place}]"), was, is) {
            return change;
        }
    }
    // Equal as JSON and not as bytes: a number in another form.
    Change { path: "the stored form".to_owned(), recorded: None, decided: None }
}

/// The first field below `path` that differs, in the order of names.
fn change(path: &str, was: Option<&Value>, is: Option<&Value>) -> Option<Change> {
    if was == is {
        return None;
    }
    match (was, is) {
        (Some(Value::Object(was)), Some(Value::Object(is))) => {
            let mut names: Vec<&String> = was.keys().chain(is.keys()).collect();
            names.sort();
            names.into_iter().find_map(|name| change(&format!("{path}.{name}"), was.get(name), is.get(name)))
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) => (0..was.len().max(is.len()))
            .find_map(|place| change(&format!("{path}[{place}]"), was.get(place), is.get(place))),
        _ => Some(Change { path: path.to_owned(), recorded: was.cloned(), decided: is.cloned() }),
    }
}
