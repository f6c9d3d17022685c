//! Does each head follow the one before it, and each revision the one it takes the place of?

use std::collections::BTreeMap;

use crate::chain::Digest;
use crate::head::{Head, Loss, Signed};

use super::finding::{At, FindingKind, Findings};
use super::segment::spans;

#[cfg(test)]
mod tests;

/// What the next head of a partition has to follow.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// The number of the last head that is believed.
    number: u64,
    /// What it says; `None` where nothing came, or where the one between was edited.
    last: Option<Last>,
    /// Numbers behind it whose heads were edited.
    broken: Vec<u64>,
}

#[derive(Debug)]
struct Last {
    digests: Vec<Digest>,
    epoch: u32,
    last_seq: u64,
    chain: Digest,
    positions: BTreeMap<String, String>,
}

impl Followed {
    /// There is a head, and it is not believed.
    pub(super) fn broken(&mut self, number: u64) {
        self.broken.push(number);
    }

    /// The positions before segment `number`, where they are known.
    pub(super) fn positions_before(&self, number: u64) -> Option<BTreeMap<String, String>> {
        if number == 1 {
            return Some(BTreeMap::new());
        }
        self.last.as_ref().filter(|_| self.number + 1 == number).map(|last| last.positions.clone())
    }

    /// Holds the next head against the one before; `digests` are those of its revisions, none where one was edited.
    pub(super) fn check(&mut self, head: &Signed<Head>, digests: &[Digest], findings: &mut Findings) {
        let Head { partition, number, epoch, last_seq, chain_after, .. } = head.statement;
        self.check_gap(partition, number.saturating_sub(1), Some(head.statement.first_seq), findings);
        check_alone(&head.statement, findings);
        if number == 1 {
            let nothing = Last {
                digests: Vec::new(),
                epoch: 1,
                last_seq: 0,
                chain: Digest::ZERO,
                positions: BTreeMap::new(),
            };
            check_following(&nothing, &head.statement, findings);
        } else if self.number + 1 == number
            && let Some(last) = &self.last
        {
            check_following(last, &head.statement, findings);
        }
        self.number = number;
        self.broken.clear();
        self.last = Some(Last {
            digests: digests.to_vec(),
            epoch,
            last_seq,
            chain: chain_after,
            positions: head.statement.positions.clone(),
        });
    }

    /// Says which segments are missing at the end, when the last one is `number`.
    pub(super) fn check_end(&mut self, partition: u16, number: u64, last_seq: u64, findings: &mut Findings) {
        for (first, last) in self.gaps(number) {
            let at = At::segment(partition, first).up_to(last);
            let is_end = last == number;
            let detail = format!("is gone: the tip names segment {number} with entry {last_seq} as the last");
            let kind = if is_end { FindingKind::EndMissing } else { FindingKind::SegmentMissing };
            let before = self.last.as_ref().map_or(0, |last| last.last_seq);
            let at = if is_end && before < last_seq { at.entries(before + 1, last_seq) } else { at };
            findings.add(kind, at, detail);
        }
    }

    /// Says which segments are missing up to `last`, the one behind it beginning with `next_seq`.
    fn check_gap(&self, partition: u16, last: u64, next_seq: Option<u64>, findings: &mut Findings) {
        for (first, last) in self.gaps(last) {
            let mut at = At::segment(partition, first).up_to(last);
            let before =
                if self.number == 0 { Some(0) } else { self.last.as_ref().map(|last| last.last_seq) };
            if let (Some(before), Some(next)) = (before, next_seq)
                && before + 1 < next
                && self.broken.is_empty()
            {
                at = at.entries(before + 1, next - 1);
            }
            findings.add(FindingKind::SegmentMissing, at, "is gone: there are later ones");
        }
    }

    /// The runs of numbers up to `last` of which there is no head.
    fn gaps(&self, last: u64) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut next = self.number + 1;
        for broken in
            self.broken.iter().copied().filter(|broken| *broken <= last).chain([last.saturating_add(1)])
        {
            if next < broken {
                gaps.push((next, broken - 1));
            }
            next = broken + 1;
        }
        gaps
    }
}

/// Whether a head agrees with itself.
fn check_alone(head: &Head, findings: &mut Findings) {
    let at = At::segment(head.partition, head.number);
    let within = |(first, last): &(u64, u64)| head.first_seq < *first && *last < head.last_seq;
    let lost: u64 = spans(&head.losses).filter(within).map(|(first, last)| last - first + 1).sum();
    let numbers = head.last_seq.checked_sub(head.first_seq).map(|less| less + 1);
    if numbers.and_then(|numbers| numbers.checked_sub(lost)) != Some(head.count) {
        let detail = format!("{} entries cannot be from {} to {}", head.count, head.first_seq, head.last_seq);
        findings.add(FindingKind::HeadContradicts, at, detail);
    }
}

fn check_following(last: &Last, head: &Head, findings: &mut Findings) {
    let at = || At::segment(head.partition, head.number);
    let is_first = head.number == 1;
    let is_right = match head.predecessor {
        None => is_first,
        // Where a revision of the one before was edited, its digests are not known.
        Some(predecessor) => !is_first && (last.digests.is_empty() || last.digests.contains(&predecessor)),
    };
    if !is_right {
        let detail = "follows another head than the one before it: a fork, or segments of elsewhere";
        findings.add(FindingKind::PredecessorDiffers, at(), detail);
    }
    if head.chain_before != last.chain {
        let detail = "the chain does not go on from the segment before";
        findings.add(FindingKind::ChainDoesNotFollow, at(), detail);
    }
    let expected = last.last_seq.saturating_add(1);
    let (first, mut epoch) = (head.first_seq, last.epoch);
    let is_right = if first < expected {
        epoch = epoch.saturating_add(1);
        head.losses.contains(&Loss::Restarted { expected_seq: expected, found_seq: first })
    } else {
        first == expected || head.losses.contains(&Loss::Missing { first_seq: expected, last_seq: first - 1 })
    };
    if !is_right {
        let detail =
            format!("begins with entry {first} where {expected} should follow, and no loss says why");
        findings.add(FindingKind::NumbersDoNotFollow, at(), detail);
    }
    if head.epoch != epoch {
        let detail = format!("is of life {} of the log where {epoch} should follow", head.epoch);
        findings.add(FindingKind::EpochDoesNotFollow, at(), detail);
    }
}

/// Whether each revision of a segment takes the place of the one before, and leaves alone what stays.
pub(super) fn check_revisions(earlier: &[Signed<Head>], last: &Signed<Head>, findings: &mut Findings) {
    let mut before: Option<&Signed<Head>> = None;
    for head in earlier.iter().chain([last]) {
        let at = || {
            At::segment(head.statement.partition, head.statement.number)
                .in_file(format!("revision {}", head.statement.revision))
        };
        // Where the one before it is missing or was edited, that is said already.
        let revision = head.statement.revision;
        let follows = before.filter(|before| before.statement.revision + 1 == revision);
        let is_right = match (follows, head.statement.supersedes) {
            (Some(before), supersedes) => supersedes == Some(before.digest),
            (None, supersedes) => (revision == 0) == supersedes.is_none(),
        };
        if !is_right {
            let detail = "takes the place of another head than the one before it";
            findings.add(FindingKind::RevisionDiffers, at(), detail);
        }
        if let Some(before) = follows
            && what_stays(&before.statement) != what_stays(&head.statement)
        {
            let detail = "changes what has to stay: numbers, losses, positions, chain or root";
            findings.add(FindingKind::RevisionDiffers, at(), detail);
        }
        before = Some(head);
    }
}

/// What is the same in all revisions of a segment.
fn what_stays(head: &Head) -> impl PartialEq + use<'_> {
    let numbers = (head.epoch, head.first_seq, head.last_seq, head.count, head.first_ms, head.last_ms);
    (numbers, &head.losses, head.chain_before, head.chain_after, head.root, &head.positions)
}
