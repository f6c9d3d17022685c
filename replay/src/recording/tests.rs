use super::*;

use hemostat_agent::log::{EntryId, FIELD_EVENT, FIELD_SEQ};

#[test]
fn what_was_recorded_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slice");
    let mut recorder = Recorder::default();
    for (partition, seq) in [(1, 7), (0, 3), (1, 9), (0, 4), (0, 1)] {
        recorder.push(partition, &record(seq)).unwrap();
    }
    let made = recorder.finish(manifest(), &file, false).unwrap();
    let said: Vec<_> = made
        .parts
        .iter()
        .map(|part| (part.partition, part.first_seq, part.last_seq, part.count, part.missing))
        .collect();
    // The log of partition 0 began anew after number 4.
    assert_eq!(said, [(0, 3, 4, 2, 0), (0, 1, 1, 1, 0), (1, 7, 9, 2, 1)]);
    assert!(made.has_gaps);

    let read = Recording::open(&file).unwrap();
    assert_eq!(read.manifest, made);
    let mut records = Vec::new();
    for part in 0.. {
        let Some((partition, frames)) = read.part(part).unwrap() else { break };
        records.extend(frames.all().unwrap().into_iter().map(|record| (partition, record)));
    }
    assert_eq!(records, [(0, 3), (0, 4), (0, 1), (1, 7), (1, 9)].map(|(part, seq)| (part, record(seq))));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["slice"]);
}

#[test]
fn a_file_is_replaced_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slice");
    fs::write(&file, "precious").unwrap();
    let refused = Recorder::default().finish(manifest(), &file, false);
    assert!(matches!(refused, Err(RecordingError::Exists)));
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    Recorder::default().finish(manifest(), &file, true).unwrap();
    assert_eq!(Recording::open(&file).unwrap().manifest.parts, []);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_whole_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slice");
    let mut recorder = Recorder::default();
    recorder.push(0, &record(1)).unwrap();
    recorder.finish(manifest(), &file, false).unwrap();
    let whole = fs::read(&file).unwrap();
    let open = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        Recording::open(&file).unwrap_err().to_string()
    };
    assert_eq!(open(b""), "not a recording of HemoStat");
    assert_eq!(open(b"HSSEG\x00\x01\n and more"), "not a recording of HemoStat");
    assert_eq!(open(&whole[..whole.len() - 1]), "a recording that is cut off");
    assert_eq!(open(&whole[..40]), "a recording that is cut off");
    assert_eq!(open(&[&whole[..], b"x"].concat()), "part 1 of the recording is not what was recorded");
    let mut later = whole.clone();
    later[6] = 2;
    assert_eq!(open(&later), "a recording of version 2; this program reads version 1");
    let mut edited = whole.clone();
    *edited.last_mut().unwrap() ^= 1;
    assert_eq!(open(&edited), "part 0 of the recording is not what was recorded");
}

fn manifest() -> Manifest {
    Manifest {
        version: 1,
        made_at: Timestamp::from_millis(1_700_000_000_000),
        made_by: "0".into(),
        from: vec!["a test".into()],
        slice: Slice::default(),
        has_gaps: false,
        parts: Vec::new(),
    }
}

/// An entry whose bytes are no event: those are kept too.
fn record(seq: u64) -> Record {
    let fields = [(FIELD_SEQ, seq.to_string()), (FIELD_EVENT, format!("entry {seq}"))];
    let id = EntryId { ms: 1_700_000_000_000 + seq, n: 0 };
    Record::read("health_alert".parse().unwrap(), id, &fields, [0; 16]).unwrap()
}
