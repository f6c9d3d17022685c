//! Which entries a reader has handed out and may still be worked on.
//!
//! The server knows what is pending for a consumer, but not what of it the consumer knows of. After a lost
//! connection both are compared, so that nothing is handed out twice and nothing stays behind.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hemostat_agent::log::EntryId;
use tokio::time::Instant;

/// An entry: the place of its stream in the membership, and its id.
pub(super) type Place = (usize, EntryId);

/// Entries in flight, with the time of their delivery or renewal: a moment before the server's own.
#[derive(Default)]
pub(super) struct Flight(Mutex<HashMap<Place, Instant>>);

impl Flight {
    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, places: impl Iterator<Item = Place>, at: Instant) {
        self.lock().extend(places.map(|place| (place, at)));
    }

    pub(super) fn contains(&self, place: Place) -> bool {
        self.lock().contains_key(&place)
    }

    /// Keeps `places` only, as renewed at `at`: what the owner does not renew it does not work on.
    pub(super) fn keep(&self, places: impl Iterator<Item = Place>, at: Instant) {
        let mut flight = self.lock();
        let kept = places.filter(|place| flight.contains_key(place)).map(|place| (place, at)).collect();
        *flight = kept;
    }

    /// Forgets what was last heard of `age` ago: others may have it by now.
    pub(super) fn forget_idle(&self, age: Duration) {
        self.lock().retain(|_, at| at.elapsed() < age);
    }

    /// Forgets what is in `streams`: their groups are new, and deliver everything again.
    pub(super) fn forget_streams(&self, streams: &[usize]) {
        self.lock().retain(|(stream, _), _| !streams.contains(stream));
    }
}
