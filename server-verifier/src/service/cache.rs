//! Memory of bounded size: what was used least recently goes first.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;

/// Values by key, shared between threads. When it is full, a new value takes the place of the one that was used least
/// recently.
pub(crate) struct Cache<K: Hash + Eq, V>(Mutex<LruCache<K, V>>);

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// An empty cache with room for `size` values; at least one.
    pub(crate) fn new(size: usize) -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN))))
    }

    /// The value of `key`, which counts as a use.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.entries().get(key).cloned()
    }

    /// Keeps `value` under `key`.
    pub(crate) fn put(&self, key: K, value: V) {
        self.entries().put(key, value);
    }

    /// The value of `key`, made if there is none.
    #[cfg(feature = "http")]
    pub(crate) fn get_or_put(&self, key: K, make: impl FnOnce() -> V) -> V {
        self.entries().get_or_insert(key, make).clone()
    }

    /// Forgets the value of `key`.
    #[cfg(feature = "http")]
    pub(crate) fn forget(&self, key: &K) {
        self.entries().pop(key);
    }

    /// Forgets every value that `keep` is false for.
    #[cfg(feature = "http")]
    pub(crate) fn retain(&self, keep: impl Fn(&V) -> bool) {
        self.entries().retain(|_, value| keep(value));
    }

    /// No panic leaves the entries half changed.
    fn entries(&self) -> MutexGuard<'_, LruCache<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> std::fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_least_recently_makes_room() {
        let cache = Cache::new(2);
        cache.put("a", 1);
        cache.put("b", 2);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.put("c", 3);
        assert_eq!([cache.get(&"a"), cache.get(&"b"), cache.get(&"c")], [Some(1), None, Some(3)]);
    }
}
