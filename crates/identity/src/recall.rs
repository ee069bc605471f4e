//! What was looked up in the database and may be used again.
//!
//! **Always.** An entry is used only under the generation it was looked up in, so the generation must be read *before* the
//! database is. It ends by itself after [`TRUST_US`], whatever happens.

use std::hash::Hash;
use std::sync::Arc;

use store::Micros;

/// How many entries one cache holds: some tens of MiB at worst.
const ENTRIES_MAX: u64 = 65_536;

/// How long an entry is used without a look at the database: bounds what a fault in the generations could do.
const TRUST_US: Micros = 60_000_000;

/// A bounded cache; one that may not remember is always empty.
pub(crate) struct Recall<K, V> {
    cache: Option<moka::sync::Cache<K, Arc<Entry<V>>>>,
}

/// A value, and how long it can be believed.
pub(crate) struct Entry<V> {
    pub value: V,
    stamp: u64,
    until: Micros,
}

impl<K: Hash + Eq + Send + Sync + 'static, V: Send + Sync + 'static> Recall<K, V> {
    pub fn new(remembers: bool) -> Recall<K, V> {
        Recall { cache: remembers.then(|| moka::sync::Cache::new(ENTRIES_MAX)) }
    }

    pub fn get<Q>(&self, key: &Q, stamp: u64, now: Micros) -> Option<Arc<Entry<V>>>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.cache.as_ref()?.get(key)?;
        (entry.stamp == stamp && now < entry.until).then_some(entry)
    }

    pub fn forget(&self, key: &K) {
        if let Some(cache) = &self.cache {
            cache.invalidate(key);
        }
    }

    /// `stamp`: the generation before the look-up; `ends`: when the thing itself is over.
    pub fn put(&self, key: K, value: V, stamp: u64, now: Micros, ends: Option<Micros>) {
        let trusted = now.saturating_add(TRUST_US);
        let until = ends.map_or(trusted, |ends| ends.min(trusted));
        if let Some(cache) = &self.cache {
            cache.insert(key, Arc::new(Entry { value, stamp, until }));
        }
    }
}
