//! What was seen of an archive, kept where whoever holds the archive cannot write.
//!
//! The tip tells of an end that was cut off, but not when it was put back too: whoever can write the archive can restore
//! all of it as it was last week. A witness is a file of one signed tip per line, each as it was seen once. An archive
//! that does not have the head of every line was rolled back, or forked with the real key.

use std::collections::BTreeMap;

use crate::chain::Digest;
use crate::head::Signed;
use crate::keys::KeyRing;
use crate::store::Tip;

use super::finding::{At, FindingKind, Findings};

/// The tips that were seen.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    /// By line; `None` for what is no tip.
    lines: Vec<Option<Signed<Tip>>>,
}

impl Witness {
    /// Reads a file; what is no signed tip becomes a finding of the verification.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self { lines: text.lines().map(|line| Signed::read_line(line).ok()).collect() }
    }

    /// The lines for those of `tips` that it does not have, each with its end.
    #[must_use]
    pub fn unseen(&self, tips: &[Signed<Tip>]) -> String {
        let unseen = tips.iter().filter(|tip| !self.lines.iter().flatten().any(|seen| seen == *tip));
        unseen.map(|tip| tip.to_line() + "\n").collect()
    }

    /// Lines, whatever is in them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether nothing was seen yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Holds the lines against the heads that are there.
    pub(super) fn check(&self, heads: &BTreeMap<u16, Heads>, ring: &KeyRing, findings: &mut Findings) {
        for (place, line) in self.lines.iter().enumerate() {
            let at = At::file(format!("line {} of the witness", place + 1));
            let Some(tip) = line.as_ref().filter(|tip| tip.is_signed_by(&tip.statement.key, ring)) else {
                findings.add(FindingKind::WitnessEdited, at, "is no tip, or none that a believed key signed");
                continue;
            };
            let Tip { partition, number, last_seq, head, .. } = tip.statement;
            let at = At { partition: Some(partition), segment: Some(number), ..at };
            let heads = heads.get(&partition);
            let last = heads.map_or(0, |heads| heads.last);
            match heads.and_then(|heads| heads.digests.get(&number)) {
                // Of a head that was edited it is said already; whether it is the one that was seen is not known.
                Some(digests) if digests.contains(&head) || digests.is_empty() => {}
                Some(_others) => findings.add(
                    FindingKind::Forked,
                    at,
                    format!("was seen with the head {head}, and has another now"),
                ),
                None if last < number => findings.add(
                    FindingKind::RolledBack,
                    at,
                    format!("was seen up to entry {last_seq}, and the archive ends with segment {last} now"),
                ),
                // A gap in the middle is said already.
                None => {}
            }
        }
    }
}

/// The heads of a partition that are there.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// The number of the last segment whose head is believed.
    pub(super) last: u64,
    /// The digests of the revisions, by number; none where a head was edited.
    pub(super) digests: BTreeMap<u64, Vec<Digest>>,
}
