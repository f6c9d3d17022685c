//! The last measurement of each container. A later one takes the place of the one before, so no more than the last is
//! decoded: millions of samples are folded at the speed at which they are read.

use std::collections::HashMap;

use hemostat_archive::{Body, Record};
use hemostat_event::{Data, Sample, Subject, Timestamp, codec};
use serde::Serialize;

/// The last samples so far.
#[derive(Default)]
pub(super) struct Latest(HashMap<Subject, Stored>);

/// A sample as it was stored. The bytes are copied: an entry of the archive holds on to the whole frame around it.
#[derive(Default)]
struct Stored {
    header: Vec<u8>,
    body: Vec<u8>,
}

/// A measurement, and when it was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Measured {
    /// In log time.
    pub at: Timestamp,
    /// The figures.
    #[serde(flatten)]
    pub sample: Sample,
}

impl Latest {
    /// Takes in the next sample. One whose body the archive does not have any more leaves the one before in its place.
    pub(super) fn take_in(&mut self, record: &Record) {
        let Body::Whole { header, body, .. } = &record.body else { return };
        let Some(subject) = codec::terms(header).and_then(|terms| terms.subject) else { return };
        if !self.0.contains_key(subject) {
            self.0.extend(subject.parse().ok().map(|subject| (subject, Stored::default())));
        }
        let Some(stored) = self.0.get_mut(subject) else { return };
        stored.header.clear();
        stored.header.extend_from_slice(header);
        stored.body.clear();
        stored.body.extend_from_slice(body);
    }

    /// What was measured last, of those containers whose sample this version can read.
    pub(super) fn finish(self) -> impl Iterator<Item = (Subject, Measured)> {
        self.0.into_iter().filter_map(|(subject, stored)| {
            let event = codec::decode_parts(&stored.header, &stored.body).ok()?;
            let at = event.envelope.time;
            let Data::ContainerSample(data) = event.data else { return None };
            Some((subject, Measured { at, sample: data.sample }))
        })
    }
}
