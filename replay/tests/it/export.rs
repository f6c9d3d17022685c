//! The export of a sealed archive: all four forms, an interruption, and the check.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ, StreamName};
use hemostat_archive::{Archive, Place, PrivateKey, Record, Sealer};
use hemostat_event::{Event, EventType, cloudevents, codec};
use serde_json::Value;

const FORMATS: [&str; 4] = ["jsonl", "csv", "parquet", "ocsf"];

#[tokio::test]
async fn each_form_reconciles_with_the_signed_heads() {
    let place = tempfile::tempdir().unwrap();
    // Where scripts/check-export.sh wants to have them.
    let kept = std::env::var_os("HEMOSTAT_EXPORT_KEEP").map(PathBuf::from);
    let key = PrivateKey::generate();
    let archive = place.path().join("archive");
    let entries = seal(&archive, &key, 3).await;
    let private = written(place.path(), "private.pem", &key.to_pem());
    let public = written(place.path(), "public.pem", &key.public().to_pem());
    for format in FORMATS {
        let to = kept.as_deref().unwrap_or(place.path()).join(format);
        let done = replay(&archive, &to, format).args(["--checkpoint", "50", "--key"]).arg(&private).output();
        assert_code(&done.unwrap(), 0);
        let manifest = manifest(&to);
        let mut exported = 0;
        for partition in ["0", "4"] {
            let of = &manifest["partitions"][partition];
            let number = |value: &Value| value.as_u64().unwrap();
            assert_eq!(number(&of["archive"]["entries"]), entries / 2);
            let left_out: u64 = of["left_out"].as_object().unwrap().values().map(number).sum();
            assert_eq!(number(&of["exported"]) + left_out, entries / 2, "{format}: {of}");
            assert!(0 < number(&of["left_out"]["sample"]));
            exported += number(&of["exported"]);
        }
        assert_eq!(manifest["exported"], exported);
        // In each partition: a body taken out, two leaves and bytes that are no event.
        let listed = manifest["listed"].as_array().unwrap();
        assert_eq!(listed.len(), 6, "{listed:?}");
        assert_code(&check(&to, Some(&public)), 0);
    }
}

#[tokio::test]
async fn lines_stand_in_the_order_of_the_log() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("archive");
    seal(&archive, &PrivateKey::generate(), 2).await;
    let to = place.path().join("export");
    assert_code(&replay(&archive, &to, "jsonl").arg("--samples").output().unwrap(), 0);
    let text = fs::read_to_string(to.join("events.jsonl")).unwrap();
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (partition, seq) = (line["partition"].as_u64().unwrap(), line["seq"].as_u64().unwrap());
        assert_eq!(last.insert(partition, seq).unwrap_or(0) + 1, seq);
    }
    assert_eq!(last.keys().copied().collect::<Vec<_>>(), [0, 4]);
}

#[tokio::test]
async fn what_was_not_asked_for_is_left_out_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("archive");
    seal(&archive, &PrivateKey::generate(), 2).await;
    let to = place.path().join("export");
    let done = replay(&archive, &to, "jsonl")
        .args(["--type", "health_alert", "--type", "remediation_complete", "--host", "web-3"])
        .output();
    assert_code(&done.unwrap(), 0);
    let text = fs::read_to_string(to.join("events.jsonl")).unwrap();
    assert!(!text.is_empty());
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(["health_alert", "remediation_complete"].contains(&line["type"].as_str().unwrap()));
        assert_eq!(line["host"], "web-3");
    }
    assert_code(&check(&to, None), 0);
}

#[tokio::test]
async fn an_export_that_was_killed_goes_on_where_it_was() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("archive");
    seal(&archive, &PrivateKey::generate(), 25).await;
    for format in ["jsonl", "csv", "parquet"] {
        let whole = place.path().join(format!("{format}-whole"));
        let export = |to: &Path| {
            let mut command = replay(&archive, to, format);
            command.args(["--samples", "--checkpoint", "20"]);
            command
        };
        assert_code(&export(&whole).output().unwrap(), 0);

        let cut = place.path().join(format!("{format}-cut"));
        let mut child = export(&cut).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let state = cut.join("unfinished.json");
        let deadline = Instant::now() + Duration::from_secs(60);
        let has_come_far = || {
            let state = fs::read(&state).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            state.is_some_and(|state| 0 < state["position"].as_object().map_or(0, serde_json::Map::len))
        };
        while !has_come_far() {
            assert!(Instant::now() < deadline, "no checkpoint in a minute");
            assert!(child.try_wait().unwrap().is_none(), "the export ended before it could be killed");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!cut.join("manifest.json").exists(), "the export was still under way");
        assert_code(&check(&cut, None), 3);
        assert_code(&export(&cut).output().unwrap(), 3);
        if format != "parquet" {
            // Half a line, as a crash may leave it.
            let lines = cut.join(format!("events.{format}"));
            fs::write(&lines, [&fs::read(&lines).unwrap()[..], b"{\"half\":"].concat()).unwrap();
        }

        assert_code(&export(&cut).arg("--resume").output().unwrap(), 0);
        assert_eq!(manifest(&cut), manifest(&whole), "{format}");
        assert_code(&check(&cut, None), 0);
        assert!(!state.exists());
        // Complete: nothing is left to do.
        assert_code(&export(&cut).arg("--resume").output().unwrap(), 0);
    }
}

#[tokio::test]
async fn a_segment_that_is_not_there_any_more_is_named() {
    let place = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate();
    let archive = place.path().join("archive");
    seal(&archive, &key, 3).await;
    let middle = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.to_string_lossy().contains("s0000000002").then_some(path)
    };
    let files: Vec<_> = fs::read_dir(archive.join("p00000")).unwrap().filter_map(middle).collect();
    assert!(!files.is_empty());
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    let to = place.path().join("export");
    let done = replay(&archive, &to, "jsonl").output().unwrap();
    assert_code(&done, 1);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("partition 0 is not whole: 1 segments of its archive are not there"), "{said}");
    let checked = check(&to, None);
    assert_code(&checked, 1);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("partition 0 is not whole"), "{checked:?}");
}

#[tokio::test]
async fn a_change_is_found() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("archive");
    let key = PrivateKey::generate();
    seal(&archive, &key, 1).await;
    let to = place.path().join("export");
    let private = written(place.path(), "private.pem", &key.to_pem());
    assert_code(&replay(&archive, &to, "csv").arg("--key").arg(&private).output().unwrap(), 0);
    let other = written(place.path(), "other.pem", &PrivateKey::generate().public().to_pem());
    assert_code(&check(&to, Some(&other)), 1);

    let events = to.join("events.csv");
    let bytes = fs::read(&events).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&events, changed).unwrap();
    assert_code(&check(&to, None), 1);
    fs::write(&events, &bytes).unwrap();
    assert_code(&check(&to, None), 0);
    written(&to, "more.csv", "a,b\r\n");
    assert_code(&check(&to, None), 1);
}

/// Seals two partitions with every sample of the event crate, `rounds` times; says how many entries there are. In each
/// partition one body is taken out, of two entries only the leaf is left, and one cannot be decoded.
async fn seal(folder: &Path, key: &PrivateKey, rounds: u64) -> u64 {
    let place: Place = folder.to_str().unwrap().parse().unwrap();
    let archive = Archive::open(&place).unwrap();
    let events = examples();
    let mut entries = 0;
    for partition in [0, 4] {
        let mut sealer = Sealer::new(partition, None);
        let mut seq = 0;
        for round in 0..rounds {
            for event in &events {
                seq += 1;
                sealer.push(&record(seq, StreamName::of(event), codec::encode(event)));
            }
            if round == 0 {
                let alert = events.iter().find(|event| event.event_type() == EventType::HealthAlert).unwrap();
                let whole = |seq| record(seq, StreamName::of(alert), codec::encode(alert));
                sealer.push(&whole(seq + 1).without_body());
                sealer.push(&whole(seq + 2).only_leaf());
                sealer.push(&whole(seq + 3).only_leaf());
                let stream = StreamName::Type(EventType::Notification);
                sealer.push(&record(seq + 4, stream, b"no event".to_vec()));
                seq += 4;
            }
            let sealed = sealer.seal(key, BTreeMap::new(), 0, "test").unwrap();
            assert!(archive.publish(sealed.object, &sealed.head, key).await.unwrap());
            sealer.published(sealed.head);
        }
        entries += seq;
    }
    entries
}

fn record(seq: u64, stream: StreamName, bytes: Vec<u8>) -> Record {
    let fields = [(FIELD_SEQ, seq.to_string().into_bytes()), (FIELD_EVENT, bytes)];
    Record::read(stream, EntryId { ms: 1_700_000_000_000 + seq, n: 0 }, &fields, [7; 16]).unwrap()
}

fn examples() -> Vec<Event> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/hemostat-event/tests/samples/v1");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let read = |path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    paths.into_iter().map(|path| cloudevents::from_json(&read(path)).unwrap()).collect()
}

fn replay(archive: &Path, to: &Path, format: &str) -> Command {
    let mut command = bare();
    command.arg("--archive").arg(archive).arg("export").arg("--to").arg(to).args(["--format", format]);
    command
}

fn check(folder: &Path, key: Option<&Path>) -> Output {
    let mut command = bare();
    command.arg("check-export").arg(folder);
    if let Some(key) = key {
        command.arg("--key").arg(key);
    }
    command.output().unwrap()
}

fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hemostat-replay"));
    command.env_remove("HEMOSTAT_ARCHIVE_URL").env_remove("HEMOSTAT_REDIS_URL").stdin(Stdio::null());
    command
}

fn assert_code(output: &Output, code: i32) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
}

fn manifest(folder: &Path) -> Value {
    let file: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    file["statement"].clone()
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}
