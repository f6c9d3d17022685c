//! Events as released versions stored them stay readable.
//!
//! `tests/samples/v<version>/<shape>.msgpack` is an event as it was stored, `<shape>.json` what it says. The files
//! are written once, when a shape or a version is new (`NEW_SAMPLES=1`), and never again: a file that today's code
//! cannot read, or reads as something else, is a log that an upgrade would lose.

use std::collections::BTreeSet;
use std::path::PathBuf;

use hemostat_event::cloudevents::{from_json, to_json};
use hemostat_event::codec::{decode, encode};
use hemostat_event::{Event, EventType};
use serde_json::Value;

use crate::files::{asked_for, crate_dir, names, read, write};
use crate::shapes::shapes;

/// Versions of which samples exist, oldest first.
const VERSIONS: [u32; 1] = [1];

#[test]
fn stored_samples_say_what_they_said() {
    for version in VERSIONS {
        write_new(version);
        for name in names(&dir(version), "msgpack") {
            let bytes = content(version, &format!("{name}.msgpack"));
            let said: Value =
                serde_json::from_slice(&content(version, &format!("{name}.json"))).expect("JSON");
            let event =
                decode(&bytes).unwrap_or_else(|error| panic!("v{version}/{name} cannot be read: {error}"));
            let expected = from_json(&said).unwrap_or_else(|error| panic!("v{version}/{name}.json: {error}"));
            assert_eq!(event, expected, "v{version}/{name}");
            assert_eq!(to_json(&event, None), said, "v{version}/{name}");
            if event.event_type().version() == version {
                assert!(
                    encode(&event) == bytes,
                    "v{version}/{name} is written in another way than it was: a field that came later must be left \
                     out where it has its default, or the type needs a new version"
                );
            }
        }
    }
}

#[test]
fn every_shape_of_today_has_a_sample_that_is_this_very_event() {
    let mut expected = BTreeSet::new();
    for (name, event) in shapes() {
        let version = event.event_type().version();
        write_new(version);
        let stored = read(&dir(version).join(format!("{name}.msgpack")));
        let stored =
            stored.unwrap_or_else(|| panic!("{name} has no sample; NEW_SAMPLES=1 writes what is missing"));
        assert!(stored == encode(&event), "the sample v{version}/{name} is another event than the shape");
        expected.insert(name);
    }
    let newest = VERSIONS.into_iter().max().expect("there is a version");
    assert_eq!(names(&dir(newest), "msgpack"), expected, "a sample without a shape, or the other way round");
    assert_eq!(names(&dir(newest), "json"), expected, "a sample without its reading, or the other way round");
}

#[test]
fn every_arm_of_every_tagged_type_has_a_sample() {
    let mut arms = BTreeSet::new();
    for kind in EventType::ALL {
        collect_arms(&hemostat_event::schema::event_schema(kind)["$defs"], &mut arms);
    }
    for known in [
        "change died",
        "action exec",
        "status not_applicable",
        "delivery grouped",
        "command redrive",
        "method model",
    ] {
        let (tag, word) = known.split_once(' ').expect("two words");
        assert!(arms.contains(&(tag.to_owned(), word.to_owned())), "{known} is not found in the schemas");
    }
    let mut seen = BTreeSet::new();
    for (_, event) in shapes() {
        collect_words(&to_json(&event, None)["data"], &mut seen);
    }
    let missing: Vec<_> = arms.difference(&seen).collect();
    assert!(missing.is_empty(), "no shape has {missing:?}");
}

#[test]
fn shapes_have_names_of_their_own() {
    let names: Vec<String> = shapes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

/// Writes the samples that do not exist yet, where that is asked for.
fn write_new(version: u32) {
    if !asked_for("NEW_SAMPLES") {
        return;
    }
    for (name, event) in shapes() {
        if event.event_type().version() == version {
            write_once(version, &format!("{name}.msgpack"), &encode(&event));
            write_once(version, &format!("{name}.json"), reading(&event).as_bytes());
        }
    }
}

fn write_once(version: u32, name: &str, bytes: &[u8]) {
    let path = dir(version).join(name);
    if read(&path).is_none() {
        write(&path, bytes);
    }
}

fn reading(event: &Event) -> String {
    let mut json = to_json(event, None);
    json.sort_all_objects();
    format!("{json:#}\n")
}

fn dir(version: u32) -> PathBuf {
    crate_dir().join(format!("tests/samples/v{version}"))
}

fn content(version: u32, name: &str) -> Vec<u8> {
    read(&dir(version).join(name)).unwrap_or_else(|| panic!("tests/samples/v{version}/{name} is missing"))
}

/// The (tag, word) of every arm of every tagged type in the definitions of a schema.
fn collect_arms(definitions: &Value, arms: &mut BTreeSet<(String, String)>) {
    for definition in definitions.as_object().expect("definitions").values() {
        for arm in definition["oneOf"].as_array().into_iter().flatten() {
            for (name, property) in arm["properties"].as_object().into_iter().flatten() {
                if let Some(word) = property["const"].as_str() {
                    arms.insert((name.clone(), word.to_owned()));
                }
            }
        }
    }
}

/// Every (field, text) of a payload.
fn collect_words(value: &Value, words: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(word) = value.as_str() {
                    words.insert((name.clone(), word.to_owned()));
                }
                collect_words(value, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_words(item, words)),
        _ => {}
    }
}
