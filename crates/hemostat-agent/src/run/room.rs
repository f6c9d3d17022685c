//! The room for inputs in flight, and which they are.
//!
//! An input that waits for another one about its container steps aside: it keeps its memory, and others may be taken.
//! Otherwise the inputs of one stuck container would fill a replica, and where the one that all of them wait for is
//! with a replica that died, nobody would have room to take it over.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Places for inputs that were taken from the log and are not dealt with. One task takes places; they are given back
/// from anywhere.
pub(super) struct Room<K> {
    permits: Arc<Semaphore>,
    aside: Arc<Semaphore>,
    taken: Arc<Mutex<BTreeSet<K>>>,
}

/// One input's place; given back when it is dropped.
pub(super) struct Place<K: Ord> {
    key: K,
    taken: Arc<Mutex<BTreeSet<K>>>,
    aside: Arc<Semaphore>,
    is_aside: bool,
    permit: OwnedSemaphorePermit,
}

impl<K: Ord + Clone> Room<K> {
    /// Room for so many inputs, and for so many that step aside.
    pub(super) fn new(places: usize, aside: usize) -> Self {
        let (permits, aside) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(aside)));
        Self { permits, aside, taken: Arc::default() }
    }

    /// Whether `places` are free, or become free within `wait`.
    pub(super) async fn has(&self, places: u32, wait: Duration) -> bool {
        timeout(wait, self.permits.acquire_many(places)).await.is_ok()
    }

    /// A place for `key`; `None` while it has one already.
    pub(super) async fn take(&self, key: &K) -> Option<Place<K>> {
        if lock(&self.taken).contains(key) {
            return None;
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        lock(&self.taken).insert(key.clone());
        let (taken, aside) = (Arc::clone(&self.taken), Arc::clone(&self.aside));
        Some(Place { key: key.clone(), taken, aside, is_aside: false, permit })
    }

    /// What has a place, in order.
    pub(super) fn in_flight(&self) -> Vec<K> {
        lock(&self.taken).iter().cloned().collect()
    }
}

impl<K: Ord> Place<K> {
    /// Lets another input have the room as long as this one waits; where too many have done so, it keeps it.
    pub(super) fn step_aside(&mut self) {
        if !self.is_aside
            && let Ok(permit) = Arc::clone(&self.aside).try_acquire_owned()
        {
            self.permit = permit;
            self.is_aside = true;
        }
    }
}

impl<K: Ord> Drop for Place<K> {
    fn drop(&mut self) {
        lock(&self.taken).remove(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
