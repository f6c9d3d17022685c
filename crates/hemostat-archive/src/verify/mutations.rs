//! Whatever is done to an archive is found, and called by its name.
//!
//! Each test makes archives from seeds and changes them thousands of times, at random places. The seed is in the message
//! of a failure.

mod world;

use std::collections::BTreeMap;

use super::*;
use crate::record::{Body, Record};
use crate::seal::Sealer;
use crate::testing::record;
use world::{REVISED, World, encoded, object_path, object_ref, records};

use FindingKind::*;

/// Holds that one of `kinds` is found, at a place whose words have `place`.
#[track_caller]
fn assert_found(report: &Report, kinds: &[FindingKind], place: &str, what: &str) {
    let is_named =
        |finding: &Finding| kinds.contains(&finding.kind) && finding.at.to_string().contains(place);
    assert!(
        report.findings.iter().any(is_named),
        "{what}: no {kinds:?} at `{place}` in {:#?}",
        report.findings
    );
}

fn segment_words(partition: u16, number: u64) -> String {
    format!("partition {partition}, segment {number}")
}

#[tokio::test]
async fn what_was_not_changed_has_no_finding() {
    for seed in 0..40 {
        let world = World::new(seed).await;
        let report = world.verify(&world.files, Some(&world.witness())).await;
        assert_eq!((&report.findings[..], &report.notes[..]), (&[][..], &[][..]), "seed {seed}");
        let [one, other] = &report.partitions[..] else { panic!("two partitions") };
        assert_eq!((one.segments, one.revisions, one.redactions), (world.last[&0], 1, 1), "seed {seed}");
        assert_eq!((other.segments, other.epoch, other.losses.len()), (4, 2, 1), "seed {seed}");
        assert_eq!(report.keys.len(), 2);
        assert_eq!(world.witness().unseen(&report.tips), "", "seed {seed}");
    }
}

/// Two thousand times.
#[tokio::test]
async fn any_other_byte_of_any_file_is_an_edit_of_that_file() {
    for seed in 0..20 {
        let mut world = World::new(seed).await;
        let paths: Vec<String> = world.files.keys().cloned().collect();
        for turn in 0..100 {
            let mut files = world.files.clone();
            let path = world.rng.one_of(&paths).clone();
            let bytes = files.get_mut(&path).unwrap();
            let place = world.rng.below(bytes.len());
            let how = ["flip", "replace", "insert", "delete", "cut"][world.rng.below(5)];
            match how {
                "flip" => bytes[place] ^= 1 << world.rng.below(8),
                "replace" => bytes[place] = bytes[place].wrapping_add(world.rng.between(1, 255) as u8),
                "insert" => bytes.insert(place, world.rng.below(256) as u8),
                "delete" => drop(bytes.remove(place)),
                _ => bytes.truncate(place),
            }
            let kinds: &[FindingKind] = match path.as_str() {
                path if path.ends_with(OBJECT) => &[ObjectEdited],
                path if path.ends_with("tip.json") => &[TipEdited, TipNotBelieved],
                path if path.starts_with(KEYS) => &[KeyEdited, KeyNotBelieved],
                _ => &[HeadEdited, HeadNotBelieved],
            };
            let report = world.verify(&files, None).await;
            assert_found(&report, kinds, &path, &format!("seed {seed}, turn {turn}: {how} at {place}"));
        }
    }
}

#[tokio::test]
async fn a_file_that_is_gone_or_has_another_name_is_named() {
    for seed in 100..112 {
        let mut world = World::new(seed).await;
        for path in world.files.keys().cloned().collect::<Vec<_>>() {
            for renamed in [None, Some(format!("{path}.bak"))] {
                let mut files = world.files.clone();
                let bytes = files.remove(&path).unwrap();
                let is_renamed = renamed.is_some();
                files.extend(renamed.map(|name| (name, bytes)));
                let kind = if path.ends_with(OBJECT) {
                    ObjectMissing
                } else if path.ends_with("tip.json") {
                    TipMissing
                } else if path.starts_with(KEYS) {
                    HeadNotBelieved
                } else {
                    let head = Signed::<Head>::read(&world.files[&path]).unwrap().statement;
                    match (head.partition, head.number, head.revision) {
                        (0, REVISED, 0) => RevisionMissing,
                        (0, REVISED, _) => ObjectMissing,
                        (partition, number, _) if number == world.last[&partition] => EndMissing,
                        _ => SegmentMissing,
                    }
                };
                let report = world.verify(&files, None).await;
                let what = format!("seed {seed}: {path} is gone, renamed {is_renamed}");
                assert_found(&report, &[kind], "", &what);
                let noted = report.notes.iter().any(|note| note.kind == NoteKind::Foreign);
                assert!(!is_renamed || noted, "{what}: {:?}", report.notes);
            }
            // A copy that nobody names is no harm, and is told.
            let mut files = world.files.clone();
            files.insert(format!("{path}.bak"), world.files[&path].clone());
            let report = world.verify(&files, None).await;
            assert!(report.is_clean() && report.notes.len() == 1, "seed {seed}: copy of {path}: {report:#?}");
        }
        // A head under the name of another, in its place or behind the end.
        for turn in 0..20 {
            let (partition, number) = world.segment();
            let (_path, head) = world.head(partition, number);
            let to = world.rng.between(1, world.last[&partition] + 3);
            let to = if to == number { world.last[&partition] + 1 } else { to };
            let name = HeadName { partition, number: to, revision: 0 }.path().to_string();
            let mut files = world.files.clone();
            files.insert(name.clone(), head.to_bytes());
            let report = world.verify(&files, None).await;
            assert_found(&report, &[HeadMisplaced], &name, &format!("seed {seed}, turn {turn}"));
        }
    }
}

#[tokio::test]
async fn two_files_that_changed_places_are_named() {
    for seed in 200..208 {
        let world = World::new(seed).await;
        let paths: Vec<String> = world.files.keys().cloned().collect();
        for (place, one) in paths.iter().enumerate() {
            // Every third pair is enough.
            for other in paths[place + 1..].iter().skip(place % 3).step_by(3) {
                let mut files = world.files.clone();
                files.insert(one.clone(), world.files[other].clone());
                files.insert(other.clone(), world.files[one].clone());
                let report = world.verify(&files, None).await;
                let with_keys = [one, other].iter().any(|path| path.starts_with(KEYS));
                for (path, from) in [(one, other), (other, one)] {
                    let is_object = |path: &str| path.ends_with(OBJECT);
                    let is_tip = |path: &str| path.ends_with("tip.json");
                    let is_head = |path: &str| path.contains(".r0");
                    let kind = match path.as_str() {
                        path if is_object(path) && is_object(from) && path[..6] == from[..6] => {
                            ObjectExchanged
                        }
                        path if is_object(path) => ObjectEdited,
                        path if is_tip(path) && is_tip(from) => TipElsewhere,
                        path if is_tip(path) => TipEdited,
                        path if path.starts_with(KEYS) => KeyEdited,
                        path if is_head(path) && is_head(from) => HeadMisplaced,
                        _ => HeadEdited,
                    };
                    let what = format!("seed {seed}: {one} and {other}");
                    if with_keys && !path.starts_with(KEYS) {
                        // Without the statement about the second key nothing that it signed is looked into.
                        assert_found(&report, &[kind, HeadNotBelieved], "", &what);
                    } else if kind == ObjectEdited && is_object(from) {
                        // The first segments of two partitions may have the same bytes.
                        assert_found(&report, &[kind, ObjectExchanged], path, &what);
                    } else if is_object(path) && is_head(from) {
                        // The head may have been its own, and without it nobody knows what the object was.
                        assert_found(&report, &[kind, HeadEdited], "", &what);
                    } else {
                        assert_found(&report, &[kind], path, &what);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn an_end_that_was_cut_off_is_found_by_the_tip_or_the_witness() {
    for seed in 300..320 {
        let world = World::new(seed).await;
        for (partition, last) in world.last.clone() {
            for kept in 0..last {
                let mut files = world.files.clone();
                for number in kept + 1..=last {
                    files.retain(|path, _| !path.starts_with(&format!("p{partition:05}/s{number:010}")));
                }
                let what = format!("seed {seed}: partition {partition} after segment {kept}");
                let report = world.verify(&files, None).await;
                assert_found(&report, &[EndMissing], &format!("partition {partition}, segment"), &what);
                let tip = tip_path(partition).to_string();
                files.remove(&tip);
                if 0 < kept {
                    assert_found(&world.verify(&files, None).await, &[TipMissing], &tip, &what);
                    files.insert(tip, world.tips[&(partition, kept)].clone());
                }
                // With the tip of those days it is the archive of those days.
                assert!(world.verify(&files, None).await.is_clean(), "{what}");
                let report = world.verify(&files, Some(&world.witness())).await;
                assert_found(&report, &[RolledBack], &segment_words(partition, last), &what);
            }
            for number in 1..last - 1 {
                let mut files = world.files.clone();
                files.insert(tip_path(partition).to_string(), world.tips[&(partition, number)].clone());
                let report = world.verify(&files, None).await;
                assert_found(
                    &report,
                    &[TipBehind],
                    "tip.json",
                    &format!("seed {seed}: tip {number} of {last}"),
                );
            }
        }
    }
}

/// The ways to change the entries of an object.
const EDITS: [(&str, FindingKind); 6] = [
    ("edited", EntryEdited),
    ("renamed", EntryEdited),
    ("deleted", EntryMissing),
    ("repeated", EntryInserted),
    ("inserted", EntryInserted),
    ("swapped", EntryOutOfOrder),
];

fn edit(world: &mut World, how: &str, records: &mut Vec<Record>) {
    let place = world.rng.below(records.len() - 1);
    match how {
        "edited" => {
            let other = record(world.rng.between(1_000, 2_000)).body;
            let (Body::Whole { body, .. }, Body::Whole { salt, header, .. }) = (other, record(1).body) else {
                panic!("they are whole");
            };
            records[place].body = Body::Whole { salt, header, body };
        }
        "renamed" => records[place].id.ms += 1,
        "deleted" => drop(records.remove(place)),
        "repeated" => records.insert(place, records[place].clone()),
        "inserted" => records.insert(place, record(world.rng.between(1_000, 2_000))),
        _ => records.swap(place, place + 1),
    }
}

#[tokio::test]
async fn an_entry_that_was_changed_is_named_whoever_signs() {
    for seed in 400..410 {
        let mut world = World::new(seed).await;
        for turn in 0..60 {
            let (how, kind) = EDITS[turn % EDITS.len()];
            let (partition, number) = world.segment();
            let (path, head) = world.head(partition, number);
            let object = object_path(&head.statement);
            let what = format!("seed {seed}, turn {turn}: {how} in {object}");
            let mut edited = records(&world.files[&object]);
            edit(&mut world, how, &mut edited);
            let (bytes, (chain_after, root)) = encoded(&head.statement, &edited);

            // Without any key: the object alone.
            let mut files = world.files.clone();
            files.insert(object.clone(), bytes.to_vec());
            let report = world.verify(&files, None).await;
            assert_found(&report, &[ObjectEdited], &object, &what);
            assert_found(&report, &[kind], &segment_words(partition, number), &what);

            // With a head to it, by a stranger under its own name, under that of another, and by the sealer.
            let forged =
                Head { object: object_ref(number, &bytes), chain_after, root, ..head.statement.clone() };
            files.insert(object_path(&forged), bytes.to_vec());
            let own = Head { key: world.stranger.public().id(), ..forged.clone() };
            files.insert(path.clone(), Signed::sign(own, &world.stranger).to_bytes());
            assert_found(&world.verify(&files, None).await, &[HeadNotBelieved], &path, &what);
            files.insert(path.clone(), Signed::sign(forged.clone(), &world.stranger).to_bytes());
            assert_found(&world.verify(&files, None).await, &[HeadEdited], &path, &what);
            let key = world.sealing_key(&forged);
            files.insert(path.clone(), Signed::sign(forged.clone(), key).to_bytes());
            let report = world.verify(&files, None).await;
            let kinds = match (partition, number) {
                (0, REVISED) => RevisionDiffers,
                (partition, number) if number == world.last[&partition] => TipElsewhere,
                _ => PredecessorDiffers,
            };
            assert_found(&report, &[kinds], "", &what);
        }
    }
}

#[tokio::test]
async fn a_head_of_another_archive_is_not_taken_for_ours() {
    for seed in 500..512 {
        let mut world = World::new(seed).await;
        let strange = World::new(seed + 1_000).await;
        for turn in 0..20 {
            let (partition, number) = world.segment();
            let (path, head) = world.head(partition, number);
            let what = format!("seed {seed}, turn {turn}: {path}");
            if let Some(bytes) = strange.files.get(&path) {
                let mut files = world.files.clone();
                files.insert(path.clone(), bytes.clone());
                assert_found(&world.verify(&files, None).await, &[HeadNotBelieved], &path, &what);
            }
            // Sealed by ours, elsewhere: another log with as many segments.
            let key = world.sealing_key(&head.statement);
            let mut sealer = Sealer::new(partition, None);
            let mut sealed = None;
            for place in 0..number {
                (0..5).for_each(|entry| sealer.push(&record(500 + place * 5 + entry)));
                let made = sealer.seal(key, BTreeMap::new(), 0, "elsewhere").unwrap();
                sealer.published(made.head.clone());
                sealed = Some(made);
            }
            let sealed = sealed.expect("there is a segment");
            let mut files = world.files.clone();
            let first = HeadName::of(&sealed.head.statement).path().to_string();
            files.insert(object_path(&sealed.head.statement), sealed.object.to_vec());
            files.insert(first, sealed.head.to_bytes());
            let kind = if (partition, number) == (0, REVISED) { RevisionDiffers } else { PredecessorDiffers };
            assert_found(&world.verify(&files, None).await, &[kind], "", &what);
        }
    }
}

/// Who has the key can write another history; not for those who have seen the first one.
#[tokio::test]
async fn a_fork_by_the_sealer_is_found_by_the_witness() {
    for seed in 600..615 {
        let world = World::new(seed).await;
        for (partition, last) in world.last.clone() {
            for number in 1..=last {
                let what = format!("seed {seed}: fork of partition {partition} from segment {number}");
                let mut files = world.files.clone();
                let (_path, head) = world.head(partition, last);
                let key = world.sealing_key(&head.statement);
                let before = number.checked_sub(1).filter(|before| 0 < *before);
                let before = before.map(|before| world.head(partition, before).1);
                let mut seq = before.as_ref().map_or(1, |before| before.statement.last_seq + 1);
                let mut sealer = Sealer::new(partition, before);
                let mut tip = None;
                for number in number..=last {
                    files.retain(|path, _| !path.starts_with(&format!("p{partition:05}/s{number:010}")));
                    (0..4).for_each(|entry| sealer.push(&record(seq + entry)));
                    seq += 4;
                    let made = sealer.seal(key, BTreeMap::new(), 0, "fork").unwrap();
                    files.insert(object_path(&made.head.statement), made.object.to_vec());
                    files.insert(HeadName::of(&made.head.statement).path().to_string(), made.head.to_bytes());
                    tip = Some(tip_of(&made.head, key));
                    sealer.published(made.head);
                }
                let report = world.verify(&files, None).await;
                assert_found(&report, &[TipElsewhere], &segment_words(partition, last), &what);
                files.insert(tip_path(partition).to_string(), tip.expect("there is a segment"));
                assert!(world.verify(&files, None).await.is_clean(), "{what}");
                let report = world.verify(&files, Some(&world.witness())).await;
                assert_found(&report, &[Forked], &segment_words(partition, last), &what);
            }
        }
    }
}

fn tip_of(head: &Signed<Head>, key: &crate::keys::PrivateKey) -> Vec<u8> {
    let Head { partition, number, last_seq, chain_after, .. } = head.statement;
    let key_id = key.public().id();
    let tip = Tip { partition, number, last_seq, chain: chain_after, head: head.digest, key: key_id };
    Signed::sign(tip, key).to_bytes()
}
