//! What is missing among the samples, until a later sample of the same container can say so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hemostat_event::{Data, Event, Gap, Subject};

/// Samples that were not written, by container. At most one entry for each that was ever watched in this term.
#[derive(Debug, Default)]
pub(super) struct Gaps(Mutex<BTreeMap<Subject, Gap>>);

impl Gaps {
    /// Notes that a sample was not written, and with it what it would have said of those before it.
    pub(super) fn add(&self, sample: &Event) {
        let (Some(subject), Data::ContainerSample(data)) = (&sample.envelope.subject, &sample.data) else {
            return;
        };
        let mut gaps = self.gaps();
        for more in data.gap.into_iter().chain([Gap { samples: 1, since: sample.envelope.time }]) {
            gaps.entry(subject.clone())
                .and_modify(|gap| {
                    gap.samples += more.samples;
                    gap.since = gap.since.min(more.since);
                })
                .or_insert(more);
        }
    }

    /// Lets the first sample of each container say what is missing before it.
    pub(super) fn tell(&self, samples: &mut [Event]) {
        let mut gaps = self.gaps();
        if gaps.is_empty() {
            return;
        }
        for sample in samples {
            if let (Some(subject), Data::ContainerSample(data)) = (&sample.envelope.subject, &mut sample.data)
                && let Some(gap) = gaps.remove(subject)
            {
                data.gap = Some(gap);
            }
        }
    }

    fn gaps(&self) -> MutexGuard<'_, BTreeMap<Subject, Gap>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
