//! Looks at the objects of several segments side by side.
//!
//! The heads are held against each other first, in their order. What is in an object is held against its own head alone,
//! so no object has to wait for the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::thread;

use bytes::Bytes;
use object_store::path::Path;

use crate::chain::Digest;
use crate::head::{Head, Signed};
use crate::hold::Holds;
use crate::object::Frames;
use crate::store::OBJECT;

use super::finding::{At, FindingKind, Findings};
use super::holds::{Ordered, Watch};
use super::segment::{self, Counted, Known};

/// Objects that are in memory at a time, however many processors there are.
const OBJECTS_MAX: usize = 8;

/// A segment whose head was looked at.
pub(super) struct Segment {
    /// What was found.
    pub(super) findings: Findings,
    /// What is still to be looked at, where it is there.
    pub(super) object: Option<Object>,
}

/// An object that was fetched.
pub(super) struct Object {
    /// The heads of the segment that are believed; the last one counts.
    pub(super) revisions: Vec<Signed<Head>>,
    /// The positions of the segment before; `None` where that is not known.
    pub(super) positions_before: Option<BTreeMap<String, String>>,
    pub(super) path: Path,
    pub(super) bytes: Bytes,
}

/// A segment that was looked at.
pub(super) struct Looked {
    pub(super) findings: Findings,
    pub(super) counted: Counted,
    /// Bytes of the object.
    pub(super) bytes: u64,
    /// Holds that entries of it order.
    pub(super) ordered: Ordered,
}

/// How many are looked at side by side.
pub(super) fn at_a_time() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(OBJECTS_MAX)
}

/// Looks at each on a thread of its own, and answers in their order. `names` are the files of the partition.
pub(super) fn look(segments: Vec<Segment>, names: &BTreeSet<String>, holds: &Holds) -> Vec<Looked> {
    thread::scope(|scope| {
        let look = |segment| scope.spawn(move || look_at(segment, names, holds));
        let looks: Vec<_> = segments.into_iter().map(look).collect();
        looks
            .into_iter()
            .map(|look| look.join().expect("whatever an object holds, to look at it is safe"))
            .collect()
    })
}

/// Hashes the object of a segment, and looks into it.
fn look_at(Segment { findings, object }: Segment, names: &BTreeSet<String>, holds: &Holds) -> Looked {
    let mut looked = Looked { findings, counted: Counted::default(), bytes: 0, ordered: Ordered::new() };
    let Some(Object { revisions, positions_before, path, bytes }) = object else { return looked };
    let Some(Signed { statement: head, .. }) = revisions.last() else { return looked };
    looked.bytes = bytes.len() as u64;
    let findings = &mut looked.findings;
    let at = At::segment(head.partition, head.number).in_file(path.as_ref());
    let digest = Digest::of(&bytes);
    if digest != head.object.digest {
        let end = format!("-{}{OBJECT}", &digest.to_string()[..16]);
        if let Some(other) = names.iter().find(|name| name.ends_with(&end)) {
            let detail = format!("is the object that belongs at {other}");
            findings.add(FindingKind::ObjectExchanged, at, detail);
            return looked;
        }
        let detail = format!("its SHA-256 is {digest}, and was {}", head.object.digest);
        findings.add(FindingKind::ObjectEdited, at.clone(), detail);
    }
    match Frames::open(bytes) {
        Ok(frames) => {
            let known = Known { head, positions_before: positions_before.as_ref(), at };
            let mut watch = Watch::new(holds, &revisions);
            looked.counted = segment::look(&frames, &known, &mut |record| watch.take(record), findings);
            looked.ordered = watch.tell(&known.at, findings);
        }
        Err(error) => {
            let at = at.entries(head.first_seq, head.last_seq);
            findings.add(FindingKind::EntryUnreadable, at, format!("cannot be read: {error}"));
        }
    }
    looked
}
