//! A map that remembers its latest keys and forgets the oldest.

use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub(super) struct Recent<K, V> {
    most: usize,
    values: BTreeMap<K, V>,
    /// The keys, oldest first.
    order: VecDeque<K>,
    forgetful: bool,
}

impl<K: Ord + Clone, V> Recent<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), values: BTreeMap::new(), order: VecDeque::new(), forgetful: false }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    /// Keeps `value` under `key`, and forgets the oldest key when there are too many.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
            self.shrink();
        }
    }

    /// The value of `key`, made where there is none.
    pub(super) fn entry(&mut self, key: &K) -> &mut V
    where
        V: Default,
    {
        if !self.values.contains_key(key) {
            self.insert(key.clone(), V::default());
        }
        self.values.get_mut(key).expect("the map keeps at least the key that was put in last")
    }

    /// Takes a key out; its place in the order stays until it is the oldest.
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.values.remove(key)
    }

    /// Whether anything was ever forgotten.
    pub(super) fn is_forgetful(&self) -> bool {
        self.forgetful
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = (K, V)> {
        self.values.into_iter()
    }

    fn shrink(&mut self) {
        while self.most < self.order.len() {
            let oldest = self.order.pop_front().expect("it is longer than its limit");
            self.forgetful |= self.values.remove(&oldest).is_some();
        }
    }
}
