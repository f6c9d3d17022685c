use super::*;
use crate::testing::{record, subject};

fn object(records: &[Record]) -> (Bytes, Index) {
    let mut writer = Writer::new(Digest::ZERO);
    records.iter().for_each(|record| writer.push(record));
    writer.finish()
}

#[test]
fn what_was_written_is_read_frame_by_frame() {
    let records: Vec<_> = (1..=5_000).map(record).collect();
    let (bytes, index) = object(&records);
    let frames = Frames::open(bytes).unwrap();
    assert_eq!(frames.index, index);
    assert!(1 < index.frames.len());
    assert_eq!(frames.all().unwrap(), records);
    let counts: u64 = index.frames.iter().map(|frame| u64::from(frame.count)).sum();
    assert_eq!(counts, 5_000);
}

#[test]
fn the_index_says_what_is_in_a_frame() {
    let (bytes, index) = object(&(1..=20).map(record).collect::<Vec<_>>());
    let [frame] = &index.frames[..] else { panic!("one frame") };
    assert_eq!((frame.first_seq, frame.last_seq, frame.count), (1, 20, 20));
    assert_eq!((frame.first_ms, frame.last_ms), (record(1).id.ms, record(20).id.ms));
    assert_eq!(frame.types, [EventType::OperatorCommand].into());
    assert_eq!(frame.incidents.len(), 20);
    let containers: BTreeSet<_> =
        frame.containers.iter().map(|place| &index.containers[*place as usize]).collect();
    assert_eq!(containers.len(), 7);
    assert!(containers.contains(&subject(3)));
    assert!(bytes.len() < 20 * 200, "{} bytes", bytes.len());
}

/// A few bits of a Zstandard frame mean nothing, so only the digest of the object tells of every change.
#[test]
fn whoever_reads_a_changed_object_is_not_led_into_a_panic() {
    let (bytes, _index) = object(&(1..=30).map(record).collect::<Vec<_>>());
    for place in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[place] ^= 0x10;
        assert_ne!(Digest::of(&changed), Digest::of(&bytes));
        if let Ok(frames) = Frames::open(changed.into()) {
            let _read_or_refused = frames.all();
        }
    }
}

#[test]
fn what_is_cut_off_is_no_segment() {
    let (bytes, _) = object(&[record(1)]);
    for length in 0..bytes.len() {
        assert!(Frames::open(bytes.slice(..length)).is_err(), "{length} bytes");
    }
}
