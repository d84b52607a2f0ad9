//! Versions of one key, of which the newest is always there.

use onetap_apdu_spec::header::KeyId;

/// Versions of a key, ascending. New cards get the newest; the others stay for cards bound to them.
#[derive(Debug)]
pub(crate) struct Versions<T> {
    older: Vec<(KeyId, T)>,
    newest: (KeyId, T),
}

impl<T> Versions<T> {
    /// From versions that ascend from at least 1 (0 in a header says that there is no key); none
    /// otherwise.
    pub(super) fn new(mut versions: Vec<(KeyId, T)>) -> Option<Self> {
        let ascending = versions.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let positive = versions.first().is_some_and(|(id, _)| *id > 0);
        let newest = versions.pop().filter(|_| ascending && positive)?;
        Some(Self { older: versions, newest })
    }

    /// The key of this version.
    pub(crate) fn get(&self, id: KeyId) -> Option<&T> {
        self.iter().find_map(|(known, key)| (known == id).then_some(key))
    }

    /// What new cards get.
    pub(crate) fn newest(&self) -> (KeyId, &T) {
        (self.newest.0, &self.newest.1)
    }

    /// All, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (KeyId, &T)> {
        self.older.iter().chain([&self.newest]).map(|(id, key)| (*id, key))
    }
}
