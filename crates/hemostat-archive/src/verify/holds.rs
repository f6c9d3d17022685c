//! Are the statements about holds what was signed, all there, and was what they keep kept?
//!
//! Of an entry of which only the leaf is left nobody knows which container it was about: whether it was held is known for
//! holds over a time alone.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_event::{Command, Data, EventId, EventType};

use crate::chain::Digest;
use crate::failure::ArchiveError;
use crate::head::{Head, Signed};
use crate::hold::{About, Hold, HoldOrder, HoldStatement, Holds, hold_path};
use crate::record::{Body, Record};
use crate::store::HOLDS;

use super::Verifier;
use super::finding::{At, FindingKind, Findings, Note, NoteKind};

#[cfg(test)]
mod tests;

/// What is held, and what was ordered to be.
#[derive(Debug, Default)]
pub(super) struct Held {
    holds: Holds,
    /// Every hold of which there is a statement, whether it is believed or not.
    stated: BTreeSet<EventId>,
    /// Whether a statement was edited: it may be the one that is missing.
    is_edited: bool,
    ordered: Ordered,
}

impl Held {
    /// Holds that are in force.
    pub(super) fn in_force(&self) -> u64 {
        self.holds.in_force().count() as u64
    }

    /// What is held.
    pub(super) fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Takes down what entries of the log order.
    pub(super) fn ordered(&mut self, ordered: Ordered) {
        self.ordered.extend(ordered);
    }
}

/// The holds that the log orders, with the number of the order and its partition.
pub(super) type Ordered = BTreeMap<EventId, (u16, u64)>;

/// Looks at the entries of one segment.
pub(super) struct Watch<'a> {
    holds: &'a Holds,
    partition: u16,
    /// When the body of an entry was taken out.
    taken: BTreeMap<u64, u64>,
    /// When entries of a type were let go.
    expired: BTreeMap<EventType, Vec<u64>>,
    /// Entries that a hold kept and that are gone.
    broken: Vec<(u64, EventId, &'static str)>,
    ordered: Ordered,
}

impl<'a> Watch<'a> {
    /// Begins with the entries of a segment.
    pub(super) fn new(holds: &'a Holds, revisions: &[Signed<Head>]) -> Self {
        let (mut taken, mut expired) = (BTreeMap::new(), BTreeMap::<_, Vec<u64>>::new());
        let mut before: Option<&Head> = None;
        for Signed { statement: head, .. } in revisions {
            for redaction in &head.redactions {
                taken.entry(redaction.seq).or_insert(head.sealed_ms);
            }
            for (kind, count) in &head.expired {
                if before.and_then(|before| before.expired.get(kind)) != Some(count) {
                    expired.entry(*kind).or_default().push(head.sealed_ms);
                }
            }
            before = Some(head);
        }
        let partition = before.map_or(0, |head| head.partition);
        Self { holds, partition, taken, expired, broken: Vec::new(), ordered: Ordered::new() }
    }

    pub(super) fn take(&mut self, record: &Record) {
        match &record.body {
            Body::Whole { .. } => {
                if record.stream.event_type() == EventType::OperatorCommand {
                    self.order(record);
                }
            }
            _ if self.holds.0.is_empty() => {}
            Body::Taken { .. } => {
                let about = About::of(record);
                let Some(at) = self.taken.get(&record.seq).copied() else { return };
                let was_held = |hold: &&Hold| {
                    hold.was_in_force(at) && about.is_some() && hold.covers.has(record.id.ms, about.as_ref())
                };
                let hold = self.holds.0.iter().find(was_held).map(|hold| hold.id);
                self.broken.extend(hold.map(|hold| (record.seq, hold, "its body was taken out")));
            }
            Body::Leaf(_) => {
                let times = self.expired.get(&record.stream.event_type()).map_or(&[][..], Vec::as_slice);
                let was_held = |hold: &&Hold| {
                    hold.covers.container.is_none()
                        && hold.covers.incident.is_none()
                        && hold.covers.has(record.id.ms, None)
                        && !times.is_empty()
                        && times.iter().all(|at| hold.was_in_force(*at))
                };
                let hold = self.holds.0.iter().find(was_held).map(|hold| hold.id);
                self.broken.extend(hold.map(|hold| (record.seq, hold, "it was let go")));
            }
        }
    }

    /// Takes a hold down that is ordered.
    fn order(&mut self, record: &Record) {
        if let Some(Ok(event)) = record.event()
            && let Data::OperatorCommand(order) = &event.data
            && matches!(order.command, Command::Hold { .. })
        {
            self.ordered.insert(event.envelope.id, (self.partition, record.seq));
        }
    }

    /// Tells what was broken; answers with what is ordered.
    pub(super) fn tell(self, at: &At, findings: &mut Findings) -> Ordered {
        for (seq, hold, what) in self.broken {
            let at = at.clone().entries(seq, seq);
            findings.add(FindingKind::HoldBroken, at, format!("{what} while hold {hold} kept it"));
        }
        self.ordered
    }
}

impl Verifier<'_> {
    /// Takes down what is held.
    pub(super) async fn holds(&mut self, names: &BTreeSet<String>) -> Result<(), ArchiveError> {
        self.findings.begin();
        let mut expected = 1;
        // The digest of the statement before; nothing where it is not known.
        let mut before: Option<Option<Digest>> = Some(None);
        for name in names {
            let path = format!("{HOLDS}/{name}");
            let at = At::file(path.as_str());
            let number = name.strip_suffix(".json").and_then(|digits| digits.parse::<u32>().ok());
            let Some(number) = number.filter(|number| hold_path(*number).as_ref() == path) else {
                self.notes.push(Note { kind: NoteKind::Foreign, at });
                continue;
            };
            if number != expected {
                let detail = format!("statement {expected} is gone");
                self.findings.add(FindingKind::HoldMissing, at.clone(), detail);
                before = None;
            }
            expected = number.saturating_add(1);
            let Some(bytes) = self.archive.file(&path).await? else { continue };
            let signed = match Signed::<HoldStatement>::read(&bytes) {
                Ok(signed) => signed,
                Err(error) => {
                    self.findings.add(FindingKind::HoldEdited, at, format!("is {error}"));
                    (self.held.is_edited, before) = (true, None);
                    continue;
                }
            };
            let HoldStatement { key, number: said, predecessor, what, .. } = &signed.statement;
            if let HoldOrder::Placed { hold, .. } = what {
                self.held.stated.insert(*hold);
            }
            let was = before.replace(Some(signed.digest));
            if !self.ring.believes(key) {
                let detail = format!("is signed with the key {key}");
                self.findings.add(FindingKind::HoldNotBelieved, at, detail);
            } else if !signed.is_signed_by(key, &self.ring) {
                let detail = "the signature is that of something else";
                self.findings.add(FindingKind::HoldEdited, at, detail);
                (self.held.is_edited, before) = (true, None);
            } else if *said != number || was.is_some_and(|was| was != *predecessor) {
                let detail = "follows another statement than the one before it";
                self.findings.add(FindingKind::HoldMissing, at, detail);
            } else {
                self.held.holds.take(&signed.statement);
            }
        }
        Ok(())
    }

    /// Says which holds the log orders that nobody stated. The statement comes before the order, so it was deleted.
    pub(super) async fn holds_ordered(&mut self) -> Result<(), ArchiveError> {
        self.findings.begin();
        self.held.ordered.retain(|hold, _| !self.held.stated.contains(hold));
        if self.held.ordered.is_empty() || self.held.is_edited {
            return Ok(());
        }
        // One that was made after the files were listed is not missing.
        let now: BTreeSet<EventId> = match self.archive.holds().await {
            Ok(holds) => holds.0.iter().map(|hold| hold.id).collect(),
            Err(ArchiveError::Head { .. }) => BTreeSet::new(),
            Err(error) => return Err(error),
        };
        for (hold, (partition, seq)) in std::mem::take(&mut self.held.ordered) {
            if !now.contains(&hold) {
                let at = At::partition(partition).entries(seq, seq);
                let detail = format!("hold {hold} was ordered, and there is no statement of it");
                self.findings.add(FindingKind::HoldMissing, at, detail);
            }
        }
        Ok(())
    }
}
