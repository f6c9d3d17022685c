//! Looks into the object of one segment: are these the entries that the head speaks of?
//!
//! Nothing in the object is believed. The numbers are held against those of the head, the leaves against its chain and
//! root. The index is believed in one thing only, and only to find the place of an edit that is proven otherwise: the
//! chain after each frame.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use hemostat_agent::log::{EntryId, StreamName};
use hemostat_event::{EventType, Subject, codec};

use crate::chain::{Chain, Tree};
use crate::head::{Head, Loss};
use crate::object::{Frames, Index, IndexEntry};
use crate::record::{Body, Record};

use super::finding::{At, FindingKind, Findings};

#[cfg(test)]
mod tests;

/// What is known about a segment from elsewhere.
pub(super) struct Known<'a> {
    /// Its head.
    pub(super) head: &'a Head,
    /// The positions of the segment before; `None` where that is not known.
    pub(super) positions_before: Option<&'a BTreeMap<String, String>>,
    /// Where it is.
    pub(super) at: At,
}

/// What was counted in a segment.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) events: u64,
    pub(super) redactions: u64,
    pub(super) expired: u64,
}

/// Goes through all entries of an object; each is shown to `watch` too.
pub(super) fn look(
    frames: &Frames,
    known: &Known<'_>,
    watch: &mut dyn FnMut(&Record),
    findings: &mut Findings,
) -> Counted {
    let Known { head, at, .. } = known;
    let mut seen = Seen::default();
    let mut whole = Chain::from(head.chain_before);
    // Goes on from what the index says of the frame before, once the two differ.
    let mut resumed: Option<Chain> = None;
    let mut tree = Tree::default();
    let mut edited: Vec<&IndexEntry> = Vec::new();
    let mut is_readable = true;
    for entry in &frames.index.frames {
        let mut frame = FrameSeen::default();
        let records = match frames.records(entry) {
            Ok(records) => records,
            Err(error) => {
                is_readable = false;
                let at = at.clone().entries(entry.first_seq, entry.last_seq);
                findings.add(FindingKind::EntryUnreadable, at, format!("cannot be read: {error}"));
                resumed = Some(Chain::from(entry.chain));
                continue;
            }
        };
        for record in records {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    is_readable = false;
                    let at = at.clone().entries(entry.first_seq, entry.last_seq);
                    findings.add(FindingKind::EntryUnreadable, at, format!("cannot be read: {error}"));
                    break;
                }
            };
            let leaf = record.leaf();
            whole.push(leaf);
            tree.push(leaf);
            if let Some(chain) = &mut resumed {
                chain.push(leaf);
            }
            seen.take(&record);
            frame.take(&record);
            watch(&record);
        }
        let said = frame.differs_from(&frames.index, entry);
        if let Some(field) = said {
            let at = at.clone().entries(entry.first_seq, entry.last_seq);
            findings.add(FindingKind::IndexContradicts, at, format!("the index has other {field}"));
        }
        if resumed.unwrap_or(whole).value() != entry.chain {
            if said.is_none() {
                edited.push(entry);
            }
            resumed = Some(Chain::from(entry.chain));
        }
    }
    if !frames.are_gapless() {
        let detail = "there are bytes that belong to no frame, or to two";
        findings.add(FindingKind::IndexContradicts, at.clone(), detail);
    }
    if !is_readable {
        // What cannot be read would be reported as missing.
        return seen.counted();
    }
    let numbers_are_right = seen.check_numbers(known, findings);
    if whole.value() == head.chain_after && tree.root() == head.root {
        for entry in edited {
            let at = at.clone().entries(entry.first_seq, entry.last_seq);
            findings.add(FindingKind::IndexContradicts, at, "the index has another chain");
        }
    } else if !edited.is_empty() {
        for entry in edited {
            let at = at.clone().entries(entry.first_seq, entry.last_seq);
            findings.add(FindingKind::EntryEdited, at, "the chain breaks within these entries");
        }
    } else if numbers_are_right {
        let at = at.clone().entries(head.first_seq, head.last_seq);
        let detail = "the numbers are right and the chain is another: entries say something else";
        findings.add(FindingKind::EntryEdited, at, detail);
    }
    if numbers_are_right {
        seen.check_head(known, findings);
    }
    seen.counted()
}

/// What was seen of a segment.
#[derive(Default)]
struct Seen {
    numbers: Vec<u64>,
    /// Earliest and latest time.
    span_ms: Option<(u64, u64)>,
    positions: BTreeMap<StreamName, EntryId>,
    taken: BTreeSet<u64>,
    leaves: BTreeMap<EventType, u64>,
    leaf_numbers: BTreeSet<u64>,
}

impl Seen {
    fn take(&mut self, record: &Record) {
        self.numbers.push(record.seq);
        let (first, last) = self.span_ms.unwrap_or((record.id.ms, record.id.ms));
        self.span_ms = Some((first.min(record.id.ms), last.max(record.id.ms)));
        match self.positions.get_mut(&record.stream) {
            Some(position) => *position = record.id,
            None => drop(self.positions.insert(record.stream.clone(), record.id)),
        }
        match &record.body {
            Body::Whole { .. } => {}
            Body::Taken { .. } => drop(self.taken.insert(record.seq)),
            Body::Leaf(_) => {
                *self.leaves.entry(record.stream.event_type()).or_default() += 1;
                self.leaf_numbers.insert(record.seq);
            }
        }
    }

    fn counted(&self) -> Counted {
        Counted {
            events: self.numbers.len() as u64,
            redactions: self.taken.len() as u64,
            expired: self.leaves.values().sum(),
        }
    }

    /// Holds the numbers against the head; says whether they are all there, each once and in order.
    fn check_numbers(&self, known: &Known<'_>, findings: &mut Findings) -> bool {
        let Known { head, at, .. } = known;
        let before = findings.list.len();
        let unlisted = findings.unlisted;
        let mut sorted = self.numbers.clone();
        sorted.sort_unstable();
        for pair in sorted.windows(2).filter(|pair| pair[0] == pair[1]) {
            let at = at.clone().entries(pair[0], pair[0]);
            findings.add(FindingKind::EntryInserted, at, "is there more than once");
        }
        sorted.dedup();
        let lost = |seq: u64| spans(&head.losses).any(|(first, last)| first <= seq && seq <= last);
        for seq in sorted.iter().copied() {
            if seq < head.first_seq || head.last_seq < seq {
                let at = at.clone().entries(seq, seq);
                findings.add(FindingKind::EntryInserted, at, "is not one of those that were sealed here");
            } else if lost(seq) {
                let at = at.clone().entries(seq, seq);
                findings.add(FindingKind::EntryInserted, at, "was signed as lost, and is there");
            }
        }
        for (first, last) in missing(head, &sorted) {
            findings.add(
                FindingKind::EntryMissing,
                at.clone().entries(first, last),
                "was sealed and is gone",
            );
        }
        let mut latest = 0;
        for (place, seq) in self.numbers.iter().copied().enumerate() {
            if seq < latest && 0 < place {
                let at = at.clone().entries(seq, seq);
                findings.add(FindingKind::EntryOutOfOrder, at, format!("stands behind entry {latest}"));
            }
            latest = latest.max(seq);
        }
        (before, unlisted) == (findings.list.len(), findings.unlisted)
    }

    /// Holds the head against the entries.
    fn check_head(&self, known: &Known<'_>, findings: &mut Findings) {
        let Known { head, positions_before, at } = known;
        if self.span_ms.is_some_and(|span| span != (head.first_ms, head.last_ms)) {
            findings.add(FindingKind::HeadContradicts, at.clone(), "the head has other times");
        }
        let positions = self.positions.iter().map(|(stream, id)| (stream.to_string(), id.to_string()));
        let positions: BTreeMap<String, String> = positions.collect();
        for (stream, position) in &positions {
            if head.positions.get(stream) != Some(position) {
                let detail = format!("stream `{stream}` ended at {position}, and the head says otherwise");
                findings.add(FindingKind::PositionsContradict, at.clone(), detail);
            }
        }
        if let Some(before) = positions_before {
            let others = |(stream, _): &(&String, &String)| !positions.contains_key(stream.as_str());
            if !head.positions.iter().filter(others).eq(before.iter().filter(others)) {
                let detail = "streams without an entry here have moved";
                findings.add(FindingKind::PositionsContradict, at.clone(), detail);
            }
        }
        let ordered: BTreeSet<u64> = head.redactions.iter().map(|redaction| redaction.seq).collect();
        for seq in self.taken.difference(&ordered) {
            let detail = "has no body, and nobody ordered to take it out";
            findings.add(FindingKind::BodyContradicts, at.clone().entries(*seq, *seq), detail);
        }
        // A body that was taken out first, and let go of altogether later, is in order.
        for seq in ordered.difference(&self.taken).filter(|seq| !self.leaf_numbers.contains(seq)) {
            let detail = "has a body, and the head says that it was taken out";
            findings.add(FindingKind::BodyContradicts, at.clone().entries(*seq, *seq), detail);
        }
        if self.leaves != head.expired {
            let detail = "the head counts other entries of which only the leaf is left";
            findings.add(FindingKind::BodyContradicts, at.clone(), detail);
        }
    }
}

/// What was seen of a frame.
#[derive(Default)]
struct FrameSeen {
    count: u32,
    numbers: (u64, u64),
    span_ms: (u64, u64),
    types: BTreeSet<EventType>,
    containers: HashSet<Subject>,
    incidents: BTreeSet<hemostat_event::IncidentId>,
}

impl FrameSeen {
    fn take(&mut self, record: &Record) {
        let (seq, ms) = (record.seq, record.id.ms);
        if self.count == 0 {
            (self.numbers, self.span_ms) = ((seq, seq), (ms, ms));
        }
        self.count += 1;
        self.numbers.1 = seq;
        self.span_ms = (self.span_ms.0.min(ms), self.span_ms.1.max(ms));
        self.types.insert(record.stream.event_type());
        let (Body::Whole { header, .. } | Body::Taken { header, .. }) = &record.body else { return };
        let Some(terms) = codec::terms(header) else { return };
        if let Some(subject) = terms.subject
            && !self.containers.contains(subject)
        {
            self.containers.extend(subject.parse::<Subject>().ok());
        }
        self.incidents.extend(terms.incident);
    }

    /// What the index says otherwise.
    fn differs_from(&self, index: &Index, entry: &IndexEntry) -> Option<&'static str> {
        let subjects = entry.containers.iter().map(|place| index.containers.get(*place as usize));
        // A place that does not exist is a difference.
        let containers: Option<HashSet<&Subject>> = subjects.collect();
        let differs = [
            ("counts", self.count != entry.count),
            ("numbers", self.numbers != (entry.first_seq, entry.last_seq)),
            ("times", self.span_ms != (entry.first_ms, entry.last_ms)),
            ("types", self.types != entry.types),
            ("incidents", self.incidents != entry.incidents),
            ("containers", containers.is_none_or(|said| said != self.containers.iter().collect())),
        ];
        differs.into_iter().find_map(|(field, differs)| differs.then_some(field))
    }
}

/// The runs of numbers that were lost.
pub(super) fn spans(losses: &[Loss]) -> impl Iterator<Item = (u64, u64)> {
    losses.iter().filter_map(|loss| match loss {
        Loss::Missing { first_seq, last_seq } => Some((*first_seq, *last_seq)),
        Loss::Restarted { .. } => None,
    })
}

/// The runs of numbers that the head has and `sorted` has not.
fn missing(head: &Head, sorted: &[u64]) -> Vec<(u64, u64)> {
    let mut there: Vec<(u64, u64)> = sorted.iter().map(|seq| (*seq, *seq)).collect();
    there.extend(spans(&head.losses));
    there.sort_unstable();
    let mut missing = Vec::new();
    let mut next = head.first_seq;
    for (first, last) in there {
        if next < first && next <= head.last_seq {
            missing.push((next, (first - 1).min(head.last_seq)));
        }
        next = next.max(last.saturating_add(1));
    }
    if next <= head.last_seq {
        missing.push((next, head.last_seq));
    }
    missing
}
