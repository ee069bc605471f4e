//! Amounts and limits by resource.

use serde::{Serialize, Serializer, ser::SerializeMap};
use smallvec::SmallVec;

use crate::Resource;

/// The largest amount: 2^63 − 1, what a BIGINT holds.
pub const AMOUNT_MAX: u64 = i64::MAX as u64;

/// Why an amount was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{resource}: an amount is 0 to {AMOUNT_MAX}, not {units}")]
pub struct AmountError {
    /// Of what.
    pub resource: Resource,
    /// The amount that is too large.
    pub units: u64,
}

/// An amount a resource, each at most [`AMOUNT_MAX`], in the resources' order. A resource that is absent counts 0.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Amounts(SmallVec<[(Resource, u64); 2]>);

impl Amounts {
    /// No amount of anything.
    pub fn new() -> Amounts {
        Amounts::default()
    }

    /// The same, with `units` of `resource`.
    pub fn with(mut self, resource: Resource, units: u64) -> Result<Amounts, AmountError> {
        self.insert(resource, units)?;
        Ok(self)
    }

    /// Sets what it holds of one resource.
    pub fn insert(&mut self, resource: Resource, units: u64) -> Result<(), AmountError> {
        if units > AMOUNT_MAX {
            return Err(AmountError { resource, units });
        }
        match self.0.binary_search_by_key(&resource, |(known, _)| *known) {
            Ok(at) => self.0[at].1 = units,
            Err(at) => self.0.insert(at, (resource, units)),
        }
        Ok(())
    }

    /// How much of `resource`.
    pub fn get(&self, resource: Resource) -> u64 {
        self.find(resource).unwrap_or(0)
    }

    /// What is said of `resource`, if anything.
    pub fn find(&self, resource: Resource) -> Option<u64> {
        self.0.iter().find(|(known, _)| *known == resource).map(|(_, units)| *units)
    }

    /// All entries, in the resources' order.
    pub fn iter(&self) -> impl Iterator<Item = (Resource, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing is said of any resource.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Amounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (resource, units) in self.iter() {
            map.serialize_entry(&resource, &units)?;
        }
        map.end()
    }
}

/// A limit a resource. Absent is unlimited; 0 is nothing.
pub type Limits = Amounts;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_in_the_order_of_the_resources_and_stop_at_2_to_the_63() {
        let amounts = Amounts::new().with(Resource::OBJECTS, 1).and_then(|a| a.with(Resource::BYTES, AMOUNT_MAX));
        let amounts = amounts.expect("both fit");
        assert_eq!(amounts.iter().next(), Some((Resource::BYTES, AMOUNT_MAX)));
        assert_eq!(amounts.get(Resource::DRIVES), 0);
        assert!(amounts.with(Resource::BYTES, AMOUNT_MAX + 1).is_err());
    }
}
