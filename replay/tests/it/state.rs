//! States at a point, and what changed between two, from the archive.

use crate::rig::{Rig, code, err, lines, on_file, out, text};
use crate::story::Story;

#[test]
fn states_at_a_time_a_place_and_an_event_agree() {
    let rig = Rig::new();
    let plan = rig.story.plan();
    // The plan is the 24th entry, written in second 603.
    let at = |point: &str| lines(&rig.archive(&["state", "--at", point, "-o", "json"]));
    let known = at(&plan);
    assert_eq!(known.len(), 1);
    assert_eq!((known[0]["container"].as_str(), known[0]["partition"].as_u64()), (Some("h1/web"), Some(0)));
    assert_eq!(known[0]["monitor"]["version"], 2);
    assert_eq!(known[0]["monitor"]["state"]["incident"]["id"], Story::incident().as_str());
    assert_eq!(known[0]["analyzer"]["version"], 1);
    assert!(known[0].get("responder").is_none());
    assert_eq!(at("0/24"), known);
    assert_eq!(at("2026-11-24T06:10:03Z"), known);

    let end = at("2026-11-25");
    assert!(end[0]["monitor"]["state"]["incident"].is_null());
    assert_eq!(end[0]["responder"]["version"], 3);
    let table = out(&rig.archive(&["state", "--at", "0/24", "--container", "h1/web"]));
    assert!(table.contains("monitor") && table.contains("incident.alerts"), "{table}");
    assert_eq!(code(&rig.archive(&["state", "--at", "0/24", "--host", "h2"])), 1);
}

#[test]
fn the_last_sample_before_a_point_is_told_when_asked_for() {
    let rig = Rig::new();
    let at = |point: &str| lines(&rig.archive(&["state", "--at", point, "--samples", "-o", "json"]));
    let sampled = |point: &str| {
        let known =
            at(point).into_iter().find(|known| known["container"] == "h1/web").expect("it was sampled");
        known["sample"]["at"].as_str().expect("a sample has a time").to_owned()
    };
    assert!(sampled("0/10") < sampled("0/24"));
    assert!(sampled("0/24").as_str() <= "2026-11-24T06:10:03Z");
    let table = out(&rig.archive(&["state", "--at", "0/24", "--samples"]));
    assert!(table.contains("last sample") && table.contains("memory_bytes"), "{table}");
    let without = lines(&rig.archive(&["state", "--at", "0/24", "-o", "json"]));
    assert!(without[0].get("sample").is_none());
}

#[test]
fn a_point_that_is_not_there_is_named() {
    let rig = Rig::new();
    let beyond = rig.archive(&["state", "--at", "0/9999"]);
    assert_eq!(code(&beyond), 3);
    assert!(err(&beyond).contains("the log does not come to 0/9999"), "{beyond:?}");
    assert_eq!(code(&rig.archive(&["state", "--at", "soon"])), 2);
}

#[test]
fn what_changed_between_two_points_is_told() {
    let rig = Rig::new();
    let changed = lines(&rig.archive(&["diff", "2026-11-24T06:10:03Z", "2026-11-25", "-o", "json"]));
    let incident = changed.iter().find(|change| change["field"] == "incident.id").expect("it was closed");
    assert_eq!(incident["before"], Story::incident().as_str());
    assert!(incident["after"].is_null() && incident["role"] == "monitor");
    assert!(changed.iter().any(|change| change["role"] == "responder"));
    assert_eq!(out(&rig.archive(&["diff", "0/24", "0/24"])), "Nothing changed.\n");
}

#[test]
fn states_from_a_recording_with_gaps_say_what_they_lack() {
    let rig = Rig::new();
    let file = rig.folder.path().join("slice.hsrec");
    rig.archive(&["record", "--to", text(&file), "--incident", &Story::incident()]);
    let known = on_file(&file, &["state", "--at", "2026-11-25", "-o", "json"]);
    assert_eq!(lines(&known)[0]["monitor"]["version"], 3);
    assert!(err(&known).contains("the recording leaves entries out"), "{known:?}");
}
