use super::*;
use crate::chain::Digest;
use crate::keys::PrivateKey;
use crate::object::Writer;
use crate::seal::Sealer;
use crate::testing::record;

const LAST: u64 = 5_000;

/// A segment of several frames: its head, and its entries.
fn sealed() -> (Head, Vec<Record>) {
    let records: Vec<_> = (1..=LAST).map(record).collect();
    let mut sealer = Sealer::new(0, None);
    records.iter().for_each(|record| sealer.push(record));
    let sealed = sealer.seal(&PrivateKey::generate(), BTreeMap::new(), 0, "test").unwrap();
    (sealed.head.statement, records)
}

fn frames(records: &[Record]) -> Frames {
    let mut writer = Writer::new(Digest::ZERO);
    records.iter().for_each(|record| writer.push(record));
    Frames::open(writer.finish().0).unwrap()
}

/// What is found, with the first and the last entry.
fn found(frames: &Frames, head: &Head) -> Vec<(FindingKind, Option<u64>, Option<u64>)> {
    let mut findings = Findings::default();
    let nothing = BTreeMap::new();
    let known = Known { head, positions_before: Some(&nothing), at: At::default() };
    look(frames, &known, &mut |_record| {}, &mut findings);
    findings.list.iter().map(|finding| (finding.kind, finding.at.first_seq, finding.at.last_seq)).collect()
}

#[test]
fn an_edit_is_found_in_its_frame_where_the_index_is_the_old_one() {
    let (head, mut records) = sealed();
    let old = frames(&records).index;
    records[2_999].id.ms += 1;
    let mut frames = frames(&records);
    assert_eq!(found(&frames, &head), [(FindingKind::EntryEdited, Some(1), Some(LAST))]);
    assert!(1 < old.frames.len());
    for (frame, old) in frames.index.frames.iter_mut().zip(&old.frames) {
        frame.chain = old.chain;
    }
    let place = old.frames.iter().find(|frame| frame.last_seq >= 3_000).unwrap();
    let expected = (FindingKind::EntryEdited, Some(place.first_seq), Some(place.last_seq));
    assert_eq!(found(&frames, &head), [expected]);
}

#[test]
fn an_index_that_says_something_else_is_no_edit_of_entries() {
    let (head, records) = sealed();
    let good = frames(&records);
    assert_eq!(found(&good, &head), []);
    let lies: [fn(&mut Index); 7] = [
        |index| index.frames[0].count += 1,
        |index| index.frames[0].last_seq -= 1,
        |index| index.frames[0].first_ms -= 1,
        |index| index.frames[0].chain = Digest::ZERO,
        |index| index.frames[0].types.clear(),
        |index| _ = index.frames[0].containers.pop_first(),
        |index| _ = index.frames[0].incidents.pop_first(),
    ];
    for (place, lie) in lies.into_iter().enumerate() {
        let mut frames = good.clone();
        lie(&mut frames.index);
        let found = found(&frames, &head);
        assert!(found.iter().all(|(kind, ..)| *kind == FindingKind::IndexContradicts), "{place}: {found:?}");
        assert!(!found.is_empty(), "{place}");
    }
}

#[test]
fn a_head_that_says_something_else_is_named() {
    let (head, mut records) = sealed();
    let good = frames(&records);
    let other = Head { first_ms: head.first_ms - 1, ..head.clone() };
    assert_eq!(found(&good, &other), [(FindingKind::HeadContradicts, None, None)]);
    let mut other = head.clone();
    other.positions.values_mut().for_each(|position| *position = "1-0".to_owned());
    assert_eq!(found(&good, &other), [(FindingKind::PositionsContradict, None, None)]);
    let other = Head { expired: [(EventType::OperatorCommand, 1)].into(), ..head.clone() };
    assert_eq!(found(&good, &other), [(FindingKind::BodyContradicts, None, None)]);
    records[6] = records[6].clone().without_body();
    assert_eq!(found(&frames(&records), &head), [(FindingKind::BodyContradicts, Some(7), Some(7))]);
}
