//! Proves with the public key alone that an archive is what was sealed, or says what was done to it.
//!
//! Every body is hashed anew, up to its leaf, the chain and the root; every head is held against the one before. A
//! verification goes on behind a finding, and what rests on something that is broken is not reported once more.
//!
//! Invariants:
//! - V-1: an archive in which nothing was changed has no finding, while an archiver adds to it too.
//! - V-2: any other file, order or end of files has one, except an end that was put back together with its tip and a
//!   partition that is gone as a whole: those are found by a [`Witness`] that saw more.
//! - V-3: no more segments are in memory than there are processors, and never more than eight.

mod continuity;
mod finding;
mod holds;
#[cfg(test)]
mod mutations;
mod objects;
mod segment;
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use object_store::path::Path;

use crate::failure::ArchiveError;
use crate::head::{Head, Signed};
use crate::keys::KeyRing;
use crate::store::{Archive, HOLDS, HeadName, KEYS, OBJECT, Tip, folder, tip_path};

use continuity::Followed;
use finding::Findings;
use holds::Held;
use objects::{Looked, Object, Segment};
use witness::Heads;

pub use finding::{At, Finding, FindingKind, Note, NoteKind, PartitionReport, Report};
pub use witness::Witness;

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of objects that were hashed.
    pub bytes_done: u64,
    /// Bytes of all objects.
    pub bytes: u64,
    /// Findings so far.
    pub findings: usize,
}

/// Verifies an archive. `ring` has the first key; those that came after it are believed as the archive states them.
///
/// # Errors
/// Those of the store: whatever can be read is judged, and no finding is an error.
pub async fn verify(
    archive: &Archive,
    ring: KeyRing,
    witness: Option<&Witness>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Report, ArchiveError> {
    // The tips first: a segment that is sealed meanwhile is behind them then, not missing.
    let mut tips = BTreeMap::new();
    for partition in archive.partitions().await? {
        tips.insert(partition, archive.file(tip_path(partition).as_ref()).await?);
    }
    let files = archive.files().await?;
    let objects = files.iter().filter(|(path, _)| path.ends_with(OBJECT));
    let progress = Progress { bytes_done: 0, bytes: objects.map(|(_, bytes)| bytes).sum(), findings: 0 };
    let mut verifier = Verifier {
        archive,
        ring,
        progress,
        on_progress,
        findings: Findings::default(),
        notes: Vec::new(),
        reports: Vec::new(),
        tips: Vec::new(),
        heads: BTreeMap::new(),
        held: Held::default(),
    };
    let (folders, foreign) = sorted(files.into_keys());
    // In this order: keys, by which holds are believed, and holds, against which entries are held.
    for (folder, names) in folders {
        match folder {
            Folder::Keys => verifier.keys(&names).await?,
            Folder::Holds => verifier.holds(&names).await?,
            Folder::Partition(partition) => {
                // What began after the tips were read is for the next verification.
                if let Some(tip) = tips.remove(&partition) {
                    verifier.partition(partition, &names, tip).await?;
                }
            }
        }
    }
    verifier.holds_ordered().await?;
    for path in foreign {
        verifier.notes.push(Note { kind: NoteKind::Foreign, at: At::file(path) });
    }
    if let Some(witness) = witness {
        verifier.findings.begin();
        witness.check(&verifier.heads, &verifier.ring, &mut verifier.findings);
    }
    Ok(Report {
        keys: verifier.ring.ids().cloned().collect(),
        partitions: verifier.reports,
        holds: verifier.held.in_force(),
        witnessed: witness.map_or(0, |witness| witness.len() as u64),
        findings: verifier.findings.list,
        findings_unlisted: verifier.findings.unlisted,
        notes: verifier.notes,
        tips: verifier.tips,
    })
}

/// A folder that an archive has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Folder {
    Keys,
    Holds,
    Partition(u16),
}

/// Sorts paths into the folders of an archive, and those that are in none.
fn sorted(paths: impl Iterator<Item = String>) -> (BTreeMap<Folder, BTreeSet<String>>, Vec<String>) {
    let (mut folders, mut foreign) = (BTreeMap::<_, BTreeSet<String>>::new(), Vec::new());
    for path in paths {
        let at = path.split_once('/').filter(|(_, name)| !name.contains('/')).and_then(|(within, name)| {
            let number = within.strip_prefix('p').and_then(|digits| digits.parse().ok());
            let partition = number.filter(|number| folder(*number).as_ref() == within);
            let other = match within {
                KEYS => Some(Folder::Keys),
                HOLDS => Some(Folder::Holds),
                _ => None,
            };
            Some((partition.map(Folder::Partition).or(other)?, name.to_owned()))
        });
        match at {
            Some((folder, name)) => drop(folders.entry(folder).or_default().insert(name)),
            None => foreign.push(path),
        }
    }
    (folders, foreign)
}

struct Verifier<'a> {
    archive: &'a Archive,
    ring: KeyRing,
    progress: Progress,
    on_progress: &'a mut dyn FnMut(Progress),
    findings: Findings,
    notes: Vec<Note>,
    reports: Vec<PartitionReport>,
    tips: Vec<Signed<Tip>>,
    heads: BTreeMap<u16, Heads>,
    held: Held,
}

impl Verifier<'_> {
    /// Believes those whom the statements name.
    async fn keys(&mut self, names: &BTreeSet<String>) -> Result<(), ArchiveError> {
        let mut expected = 2;
        for name in names {
            let path = format!("{KEYS}/{name}");
            let at = At::file(path.as_str());
            let number = name.strip_suffix(".json").and_then(|digits| digits.parse::<u32>().ok());
            let Some(number) = number.filter(|number| format!("{number:05}.json") == *name) else {
                self.notes.push(Note { kind: NoteKind::Foreign, at });
                continue;
            };
            if number != expected {
                let detail = format!("statement {expected} is gone");
                self.findings.add(FindingKind::KeyMissing, at.clone(), detail);
            }
            expected = number.saturating_add(1);
            let Some(bytes) = self.archive.file(&path).await? else { continue };
            match Signed::read(&bytes) {
                Ok(statement) if statement.admit_to(&mut self.ring) => {}
                Ok(statement) if self.ring.believes(&statement.statement.predecessor) => {
                    self.findings.add(FindingKind::KeyEdited, at, "the signature is that of something else");
                }
                Ok(statement) => {
                    let detail = format!("is signed with the key {}", statement.statement.predecessor);
                    self.findings.add(FindingKind::KeyNotBelieved, at, detail);
                }
                Err(error) => self.findings.add(FindingKind::KeyEdited, at, format!("is {error}")),
            }
        }
        Ok(())
    }

    async fn partition(
        &mut self,
        partition: u16,
        names: &BTreeSet<String>,
        tip: Option<Bytes>,
    ) -> Result<(), ArchiveError> {
        let mut report = PartitionReport::new(partition);
        let mut heads = Heads::default();
        let mut named = BTreeSet::new();
        let mut superseded = BTreeSet::new();
        let mut followed = Followed::default();
        let mut head_names: Vec<HeadName> =
            names.iter().filter_map(|name| HeadName::read(partition, name)).collect();
        head_names.sort_unstable();
        let mut waiting = Vec::new();
        for revisions in head_names.chunk_by(|one, other| one.number == other.number) {
            let mut findings = Findings::default();
            let number = revisions[0].number;
            let believed = self.revisions(revisions, &mut findings).await?;
            let digests = heads.digests.entry(number).or_default();
            if believed.len() == revisions.len() {
                digests.extend(believed.iter().map(|head| head.digest));
            }
            let Some((head, earlier)) = believed.split_last() else {
                followed.broken(number);
                waiting.push(Segment { findings, object: None });
                continue;
            };
            let is_highest = HeadName::of(&head.statement) == revisions[revisions.len() - 1];
            continuity::check_revisions(earlier, head, &mut findings);
            let positions_before = followed.positions_before(number);
            followed.check(head, digests, &mut findings);
            heads.last = number;
            superseded.extend(earlier.iter().map(|head| head.statement.object.name.clone()));
            named.insert(head.statement.object.name.clone());
            report.segments += 1;
            report.revisions += earlier.len() as u64;
            count_head(&mut report, head);
            let object = self.object(believed, is_highest, positions_before, &mut findings).await?;
            waiting.push(Segment { findings, object });
            if objects::at_a_time() <= waiting.len() {
                self.look(&mut waiting, names, &mut report);
            }
        }
        self.look(&mut waiting, names, &mut report);
        self.findings.begin();
        self.tip(partition, tip, &heads, &mut followed).await?;
        for name in names.iter().filter(|name| HeadName::read(partition, name).is_none()) {
            let at = At::partition(partition).in_file(folder(partition).join(name.as_str()));
            if superseded.contains(name) && !named.contains(name) {
                self.notes.push(Note { kind: NoteKind::NotDeleted, at });
            } else if !named.contains(name) && tip_path(partition).filename() != Some(name) {
                self.notes.push(Note { kind: NoteKind::Foreign, at });
            }
        }
        if report.first_ms == u64::MAX {
            report.first_ms = 0;
        }
        self.reports.push(report);
        self.heads.insert(partition, heads);
        Ok(())
    }

    /// Those heads of a segment that are believed, in order.
    async fn revisions(
        &mut self,
        names: &[HeadName],
        findings: &mut Findings,
    ) -> Result<Vec<Signed<Head>>, ArchiveError> {
        let mut believed = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let at = At::segment(name.partition, name.number).in_file(name.path());
            if name.revision as usize != place {
                let detail = format!("revision {place} is gone");
                findings.add(FindingKind::RevisionMissing, at.clone(), detail);
            }
            let Some(bytes) = self.archive.file(name.path().as_ref()).await? else { continue };
            let head = match Signed::<Head>::read(&bytes) {
                Ok(head) => head,
                Err(error) => {
                    findings.add(FindingKind::HeadEdited, at, format!("is {error}"));
                    continue;
                }
            };
            let key = &head.statement.key;
            let says = HeadName::of(&head.statement);
            if !self.ring.believes(key) {
                let detail = format!("is signed with the key {key}");
                findings.add(FindingKind::HeadNotBelieved, at, detail);
            } else if !head.is_signed_by(key, &self.ring) {
                let detail = "the signature is that of something else";
                findings.add(FindingKind::HeadEdited, at, detail);
            } else if says != *name {
                let detail = format!("is the head that belongs at {}", says.path());
                findings.add(FindingKind::HeadMisplaced, at, detail);
            } else {
                believed.push(head);
            }
        }
        Ok(believed)
    }

    /// Fetches the object of a segment, and leaves it to be looked at beside others. The last of its revisions is the one
    /// that counts.
    async fn object(
        &mut self,
        revisions: Vec<Signed<Head>>,
        is_highest: bool,
        positions_before: Option<BTreeMap<String, String>>,
        findings: &mut Findings,
    ) -> Result<Option<Object>, ArchiveError> {
        let Some(Signed { statement: head, .. }) = revisions.last() else { return Ok(None) };
        let path: Path = folder(head.partition).join(head.object.name.as_str());
        if let Some(bytes) = self.archive.file(path.as_ref()).await? {
            return Ok(Some(Object { revisions, positions_before, path, bytes }));
        }
        // The object of an earlier revision goes; that its later head was edited is said already, and one that came after
        // the files were listed is for the next verification.
        let next = HeadName { revision: head.revision.saturating_add(1), ..HeadName::of(head) };
        if is_highest && self.archive.file(next.path().as_ref()).await?.is_none() {
            let at = At::segment(head.partition, head.number).in_file(path.as_ref());
            let at = at.entries(head.first_seq, head.last_seq);
            findings.add(FindingKind::ObjectMissing, at, "is gone, with its entries");
        }
        Ok(None)
    }

    /// Looks at the objects that were fetched, one on each processor.
    fn look(&mut self, waiting: &mut Vec<Segment>, names: &BTreeSet<String>, report: &mut PartitionReport) {
        for looked in objects::look(std::mem::take(waiting), names, self.held.holds()) {
            let Looked { findings, counted, bytes, ordered } = looked;
            self.held.ordered(ordered);
            report.bytes += bytes;
            report.events += counted.events;
            report.redactions += counted.redactions;
            report.expired += counted.expired;
            self.progress.bytes_done += bytes;
            self.findings.append(findings);
            self.progress.findings = self.findings.list.len();
            (self.on_progress)(self.progress);
        }
    }

    /// Holds the tip against the heads.
    async fn tip(
        &mut self,
        partition: u16,
        bytes: Option<Bytes>,
        heads: &Heads,
        followed: &mut Followed,
    ) -> Result<(), ArchiveError> {
        let path = tip_path(partition);
        let at = At::partition(partition).in_file(path.as_ref());
        let Some(bytes) = bytes else {
            // The very first segment may have come between.
            let is_gone = self.archive.file(path.as_ref()).await?.is_none();
            if is_gone && !heads.digests.is_empty() {
                let detail = "is gone: nothing says that the last head is the last";
                self.findings.add(FindingKind::TipMissing, at, detail);
            }
            return Ok(());
        };
        let tip = match Signed::<Tip>::read(&bytes) {
            Ok(tip) => tip,
            Err(error) => {
                self.findings.add(FindingKind::TipEdited, at, format!("is {error}"));
                return Ok(());
            }
        };
        let Tip { number, last_seq, head, key, .. } = &tip.statement;
        let at = At { segment: Some(*number), ..at };
        if !self.ring.believes(key) {
            self.findings.add(FindingKind::TipNotBelieved, at, format!("is signed with the key {key}"));
            return Ok(());
        }
        if !tip.is_signed_by(key, &self.ring) {
            self.findings.add(FindingKind::TipEdited, at, "the signature is that of something else");
            return Ok(());
        }
        if tip.statement.partition != partition {
            let detail = format!("is the tip of partition {}", tip.statement.partition);
            self.findings.add(FindingKind::TipElsewhere, at, detail);
            return Ok(());
        }
        followed.check_end(partition, *number, *last_seq, &mut self.findings);
        match heads.digests.get(number) {
            Some(digests) if !digests.is_empty() && !digests.contains(head) => {
                let detail = format!("names the head {head}, and another is there");
                self.findings.add(FindingKind::TipElsewhere, at, detail);
            }
            _ if number + 1 < heads.last => {
                let detail = format!("is an old one: the last segment is {}", heads.last);
                self.findings.add(FindingKind::TipBehind, at, detail);
            }
            _ if *number < heads.last => {
                self.notes.push(Note { kind: NoteKind::TipBehind, at });
                self.tips.push(tip);
            }
            _ => self.tips.push(tip),
        }
        Ok(())
    }
}

/// Adds what the head of a segment says.
fn count_head(report: &mut PartitionReport, head: &Signed<Head>) {
    let Signed { statement, digest, .. } = head;
    if report.segments == 1 {
        report.first_seq = statement.first_seq;
    }
    report.losses.extend(statement.losses.iter().cloned());
    report.epoch = statement.epoch;
    report.last_seq = statement.last_seq;
    report.first_ms = report.first_ms.min(statement.first_ms);
    report.last_ms = report.last_ms.max(statement.last_ms);
    report.chain = statement.chain_after;
    report.head = Some(*digest);
}
