use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ, StreamName};
use hemostat_archive::Record;
use hemostat_event::{Change, Data, Event, EventType, cloudevents, codec};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

use super::columns::Columns;
use super::entry::{Entry, State};
use super::manifest::{LeftOut, Partition, Request};
use super::progress::Progress;
use super::{Format, jsonl, no_place, ocsf, row, sheet};

#[test]
fn a_line_is_the_event_with_its_position() {
    for (seq, event) in examples().into_iter().enumerate() {
        let record = record(seq as u64 + 1, &event);
        let line: Value = serde_json::from_str(&jsonl::line(&Entry::read(3, &record))).unwrap();
        assert_eq!((&line["partition"], &line["seq"]), (&json!(3), &json!(seq + 1)));
        assert_eq!(cloudevents::from_json(&line).unwrap(), event);
    }
}

#[test]
fn what_is_left_of_an_entry_is_told_as_far_as_it_is_known() {
    let event = example("health_alert");
    let whole = record(7, &event);
    let line =
        |record: &Record| -> Value { serde_json::from_str(&jsonl::line(&Entry::read(0, record))).unwrap() };

    let taken = line(&whole.clone().without_body());
    assert_eq!((&taken["entrystate"], &taken["id"]), (&json!("body_taken"), &json!(event.envelope.id)));
    assert_eq!((&taken["host"], &taken["data"]), (&json!(event.envelope.host), &Value::Null));

    let leaf = line(&whole.clone().only_leaf());
    assert_eq!((&leaf["entrystate"], &leaf["id"]), (&json!("leaf_only"), &json!("0-7")));
    assert_eq!((&leaf["type"], &leaf["leaf"]), (&json!("health_alert"), &json!(whole.leaf().to_string())));

    let broken = line(&undecodable(8));
    assert_eq!(
        (&broken["entrystate"], &broken["data_base64"]),
        (&json!("undecodable"), &json!("bm8gZXZlbnQ="))
    );
}

#[test]
fn a_cell_that_a_spreadsheet_would_run_is_quoted() {
    for cell in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
        assert_eq!(sheet::guarded(cell), format!("'{cell}"));
    }
    for cell in ["", "a=1", "'=1", "{\"a\":\"=1\"}"] {
        assert_eq!(sheet::guarded(cell), cell);
    }
}

#[test]
fn a_row_of_the_sheet_is_read_back_as_it_was() {
    let mut row = row::row(&Entry::read(2, &record(1, &example("health_alert"))));
    row.summary = Some("=cmd, \"quoted\"\r\nand a second line".to_owned());
    let bytes = [sheet::header(), sheet::line(&row)].concat();
    assert!(bytes.ends_with(b"\r\n"));
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), row::COLUMNS);
    let cells = reader.records().next().unwrap().unwrap();
    assert_eq!((&cells[0], &cells[1], &cells[2], &cells[4]), ("2", "1", "whole", "health_alert"));
    assert_eq!(&cells[12], "'=cmd, \"quoted\"\r\nand a second line");
    assert_eq!(Some(&cells[13]), row.data.as_deref());
}

#[test]
fn columns_have_their_types_and_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.parquet");
    let mut columns = Columns::new(std::fs::File::create(&path).unwrap()).unwrap();
    let events = examples();
    for (seq, event) in events.iter().enumerate() {
        columns.push(row::row(&Entry::read(5, &record(seq as u64 + 1, event)))).unwrap();
    }
    columns.push(row::row(&Entry::read(5, &undecodable(1000)))).unwrap();
    columns.finish().unwrap();

    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), events.len() + 1);
    for (seq, (row, event)) in rows.iter().zip(&events).enumerate() {
        let cells: Vec<_> = row.get_column_iter().collect();
        assert_eq!(cells.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), row::COLUMNS);
        assert_eq!(cells[0].1, &Field::Int(5));
        assert_eq!(cells[1].1, &Field::Long(seq as i64 + 1));
        assert_eq!(cells[3].1, &Field::Str(event.envelope.id.to_string()));
        assert_eq!(cells[5].1, &Field::TimestampMicros(event.envelope.time.micros()));
        assert_eq!(cells[6].1, &Field::TimestampMicros(1000 * (1000 + seq as i64 + 1)));
    }
    let last: Vec<_> = rows[events.len()].get_column_iter().map(|(_, field)| field.clone()).collect();
    assert_eq!((&last[2], &last[5]), (&Field::Str("undecodable".to_owned()), &Field::Null));
}

#[test]
fn every_type_has_a_class_or_is_left_out() {
    let without =
        [EventType::ContainerSample, EventType::Diagnosis, EventType::Notification, EventType::DeadLetter];
    for event in examples() {
        let entry = Entry::read(1, &record(9, &event));
        let Some(line) = ocsf::line(&entry) else {
            let is_no_process = matches!(
                &event.data,
                Data::ContainerChanged(changed)
                    if !matches!(changed.change, Change::Started | Change::Stopped { .. } | Change::Died { .. })
            );
            assert!(is_no_process || without.contains(&event.event_type()), "{}", event.event_type());
            assert_eq!(no_place(&entry), LeftOut::NoClass);
            continue;
        };
        assert!(!without.contains(&event.event_type()));
        let line: Value = serde_json::from_str(&line).unwrap();
        let number = |name: &str| line[name].as_u64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("category_uid"), number("class_uid") / 1000);
        assert_eq!(number("time"), event.envelope.time.millis());
        assert_eq!(line["metadata"]["uid"], json!(event.envelope.id));
        assert_eq!(line["metadata"]["version"], json!("1.3.0"));
        match number("class_uid") {
            2004 => {
                let info = &line["finding_info"];
                assert!(info["uid"].is_string() && info["title"].is_string());
            }
            6003 => {
                assert!(line["api"]["operation"].is_string() && line["actor"].is_object());
                assert!(line["src_endpoint"]["hostname"].is_string());
            }
            1007 => {
                let Data::ContainerChanged(changed) = &event.data else { panic!("{line}") };
                let has_ended = number("activity_id") == 2;
                assert_eq!(line["exit_code"].is_number(), has_ended);
                assert_eq!(matches!(changed.change, Change::Started), !has_ended);
                assert_eq!(line["process"]["container"]["uid"], json!(changed.container.id));
                assert!(line["resources"].is_null() && line["device"]["hostname"].is_string());
            }
            other => panic!("class {other}"),
        }
    }
}

#[test]
fn only_events_have_a_class() {
    let entry = Entry::read(0, &record(1, &example("health_alert")).without_body());
    assert_eq!((ocsf::line(&entry), no_place(&entry)), (None, LeftOut::NotWhole));
}

#[test]
fn entries_that_follow_each_other_and_are_alike_are_one_run() {
    let mut progress = Progress::new(Request {
        format: Format::Jsonl,
        since: None,
        until: None,
        types: Vec::new(),
        container: None,
        host: None,
        samples: false,
        checkpoint: 1,
        archive: true,
        live: false,
    });
    let event = example("health_alert");
    let leaf = |seq| record(seq, &event).only_leaf();
    for record in [leaf(1), leaf(2), record(3, &event), leaf(4), undecodable(5)] {
        progress.count(&Entry::read(0, &record), None);
    }
    progress.count(&Entry::read(0, &leaf(6)), Some(LeftOut::Time));
    let runs: Vec<_> = progress.listed.iter().map(|run| (run.first_seq, run.last_seq, run.state)).collect();
    assert_eq!(runs, [(1, 2, State::LeafOnly), (4, 4, State::LeafOnly), (5, 5, State::Undecodable)]);
    assert_eq!((progress.exported(), progress.position[&0]), (5, 6));
}

#[test]
fn counts_reconcile_or_do_not() {
    let partition = Partition {
        exported: 3,
        live: 10,
        left_out: [(LeftOut::Sample, 5), (LeftOut::Time, 2)].into(),
        ..Partition::default()
    };
    assert!(partition.reconciles());
    assert!(!Partition { exported: 4, ..partition }.reconciles());
}

/// Every sample that the event crate keeps of its first version.
fn examples() -> Vec<Event> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/hemostat-event/tests/samples/v1");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    assert!(EventType::ALL.len() < paths.len());
    let read = |path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    paths.into_iter().map(|path| cloudevents::from_json(&read(path)).unwrap()).collect()
}

fn example(kind: &str) -> Event {
    examples().into_iter().find(|event| event.event_type().as_str() == kind).unwrap()
}

fn record(seq: u64, event: &Event) -> Record {
    stored(seq, StreamName::of(event), codec::encode(event))
}

fn undecodable(seq: u64) -> Record {
    stored(seq, StreamName::Type(EventType::Notification), b"no event".to_vec())
}

fn stored(seq: u64, stream: StreamName, bytes: Vec<u8>) -> Record {
    let fields = [(FIELD_SEQ, seq.to_string().into_bytes()), (FIELD_EVENT, bytes)];
    Record::read(stream, EntryId { ms: 1000 + seq, n: 0 }, &fields, [0; 16]).unwrap()
}
