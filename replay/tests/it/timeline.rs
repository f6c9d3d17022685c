//! An incident is recorded and told in every form, from the archive and from the recording alike.

use crate::rig::{Rig, code, err, json, on_file, out, text};
use crate::story::{HOSTILE, Story};

#[test]
fn an_incident_is_recorded_and_told_in_every_form() {
    let rig = Rig::new();
    let id = Story::incident();
    let file = rig.folder.path().join("incident.hsrec");
    let made = rig.archive(&["record", "--to", text(&file), "--incident", &id[..8]]);
    assert_eq!((code(&made), out(&made).contains("numbers between them left out")), (0, true), "{made:?}");

    let told = json(&rig.archive(&["timeline", &id, "-o", "json"]));
    assert_eq!(json(&on_file(&file, &["timeline", &id, "-o", "json"])), told);
    // A file stands in place of an archive that a variable names.
    assert_eq!(json(&rig.archive(&["--file", text(&file), "timeline", &id, "-o", "json"])), told);
    let phases: Vec<_> =
        told["steps"].as_array().unwrap().iter().map(|step| step["phase"].as_str().unwrap()).collect();
    assert_eq!(
        phases,
        [
            "symptom",
            "detection",
            "decision",
            "attempt",
            "outcome",
            "notification",
            "verification",
            "recovery"
        ]
    );
    let spans = &told["spans"];
    let span = |name: &str| spans[name].as_u64();
    assert_eq!(
        ["detect_ms", "decide_ms", "act_ms", "repair_ms", "recover_ms", "notify_ms"].map(span),
        [2_000, 1_000, 2_000, 13_000, 18_000, 4_000].map(Some)
    );
    // From ten minutes before it opened (600 s) to ten minutes after the last (620 s), of this container only.
    let samples = told["samples"].as_array().unwrap();
    assert_eq!((samples.len(), samples[0]["at"].as_str()), (40, Some("2026-11-24T06:00:00.000000Z")));

    let page = out(&on_file(&file, &["timeline", &id, "--format", "html"]));
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("<polyline") && page.contains("prefers-color-scheme"));
    for active in ["<script", "<img", "http://evil", "src=", "\u{1b}", "url(", "@import"] {
        let shown = page.replace("| [x](http://evil", "").replace("&lt;img src=x", "");
        assert!(!shown.contains(active), "{active}");
    }
    let report = out(&on_file(&file, &["timeline", &id, "--format", "markdown"]));
    assert!(report.contains("| time to repair | 13.0s |"), "{report}");
    assert!(report.contains("````text\nstarting\n"), "the fence is longer than the one in the text");
    let shown = out(&on_file(&file, &["timeline", &id]));
    assert!(
        shown.contains("└─ notification after 1.0s") && shown.contains("time to detect   2.0s"),
        "{shown}"
    );
    assert!(!shown.contains('\u{1b}') && !report.contains('\u{1b}'));
    assert!(HOSTILE.contains('\u{1b}'));
}

#[test]
fn incidents_are_listed_and_one_that_is_not_there_is_a_finding() {
    let rig = Rig::new();
    let listed = rig.archive(&["timeline"]);
    assert!(out(&listed).contains(&Story::incident()) && out(&listed).contains("h1/web"), "{listed:?}");
    let none = rig.archive(&["timeline", "ffffffff"]);
    assert_eq!((code(&none), out(&none).as_str()), (1, ""));
}

#[test]
fn an_event_whose_body_was_taken_out_is_counted_and_recorded() {
    // Entry 24 is the plan.
    let rig = Rig::of(Story::told().without_body_of(24));
    let id = Story::incident();
    let file = rig.folder.path().join("incident.hsrec");
    rig.archive(&["record", "--to", text(&file), "--incident", &id]);
    for told in
        [rig.archive(&["timeline", &id, "-o", "json"]), on_file(&file, &["timeline", &id, "-o", "json"])]
    {
        assert!(err(&told).contains("1 entries of the incident are not shown"), "{told:?}");
        let steps = json(&told)["steps"].clone();
        assert_eq!((steps.as_array().unwrap().len(), steps[2]["phase"].as_str()), (7, Some("attempt")));
        // Its cause is known, and not there.
        assert!(steps[2]["cause"].is_string() && steps[2]["parent"].is_null());
    }
}

#[test]
fn a_slice_holds_what_was_asked_for_and_replaces_nothing() {
    let rig = Rig::new();
    let file = rig.folder.path().join("slice.hsrec");
    let record = |more: &[&str]| rig.archive(&[&["record", "--to", text(&file)], more].concat());
    assert!(out(&record(&[])).starts_with(&format!("{} entries", rig.story.len())));
    let again = record(&[]);
    assert_eq!(code(&again), 3);
    assert!(err(&again).contains("--force replaces it"), "{again:?}");
    let only = record(&["--force", "--container", "h1/db"]);
    assert!(out(&only).starts_with("1 entries"), "{only:?}");
    let between = ["--force", "--since", "2026-11-24T06:10:01Z", "--until", "2026-11-24 06:10:05"];
    assert!(out(&record(&between)).starts_with("5 entries"));
    assert!(out(&on_file(&file, &["info"])).ends_with("5 entries, 0 of them in the live log only\n"));
    let info: serde_json::Value = serde_json::from_str(&out(&rig.archive(&["info", "-o", "json"]))).unwrap();
    assert_eq!(info["entries"], rig.story.len());
    let (partitions, types) = (&info["partitions"], info["types"].as_object().unwrap());
    let counted: u64 = types.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(counted, rig.story.len() as u64);
    assert_eq!(
        (&partitions["0"]["first_seq"], &partitions["0"]["segments"]),
        (&1.into(), &3.into()),
        "{info}"
    );
    assert_eq!(code(&record(&["--force", "--partition", "9"])), 1);
}

#[test]
fn what_is_no_recording_is_named() {
    let rig = Rig::new();
    let file = rig.folder.path().join("foreign");
    std::fs::write(&file, "hello, world").unwrap();
    let refused = on_file(&file, &["info"]);
    assert_eq!(code(&refused), 3);
    assert!(err(&refused).contains("foreign: not a recording of HemoStat"), "{refused:?}");
}
