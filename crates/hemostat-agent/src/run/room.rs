//! The room for inputs in flight, and which they are.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Places for inputs that were taken from the log and are not dealt with. One task takes places; they are given back
/// from anywhere.
pub(super) struct Room<K> {
    permits: Arc<Semaphore>,
    taken: Arc<Mutex<BTreeSet<K>>>,
}

/// One input's place; given back when it is dropped.
pub(super) struct Place<K: Ord> {
    key: K,
    taken: Arc<Mutex<BTreeSet<K>>>,
    _permit: OwnedSemaphorePermit,
}

impl<K: Ord + Clone> Room<K> {
    pub(super) fn new(places: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(places)), taken: Arc::default() }
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
        Some(Place { key: key.clone(), taken: Arc::clone(&self.taken), _permit: permit })
    }

    /// What has a place, in order.
    pub(super) fn in_flight(&self) -> Vec<K> {
        lock(&self.taken).iter().cloned().collect()
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
