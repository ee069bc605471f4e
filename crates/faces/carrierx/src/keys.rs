//! User keys, two numbers and four texts, and sets of them that may be there only once (section 4).
//!
//! **Always.** That a set is there once is a unique index over its digest, which only what is `unique` has; null equals null.
//! So it holds whoever writes, on however many nodes.

use serde_json::Value;
use sha2::{Digest, Sha256};
use store::{Error as StoreError, Row, Value as SqlValue, params};

use crate::input::{Fields, TEXT_MAX, integer, text};

/// The numbers' names.
const INTEGERS: [&str; 2] = ["integer_key_1", "integer_key_2"];
/// The texts' names.
const STRINGS: [&str; 4] = ["string_key_1", "string_key_2", "string_key_3", "string_key_4"];

/// The keys of a container or a file.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Keys {
    /// `integer_key_1` and `_2`.
    pub integers: [Option<i64>; 2],
    /// `string_key_1` to `_4`.
    pub strings: [Option<String>; 4],
}

impl Keys {
    /// Reads those that are given.
    pub fn read(&mut self, fields: &mut Fields) {
        for (name, slot) in INTEGERS.into_iter().zip(&mut self.integers) {
            fields.set_or_null(name, slot, number);
        }
        for (name, slot) in STRINGS.into_iter().zip(&mut self.strings) {
            fields.set_or_null(name, slot, text(TEXT_MAX));
        }
    }

    /// What stands for the set where it may be there only once. A digest, as an index does not take texts of any length.
    pub fn digest(&self) -> String {
        let set = serde_json::json!([self.integers, self.strings]).to_string();
        hex::encode(Sha256::digest(set))
    }

    /// The values of the six columns, in their order.
    pub fn values(&self) -> Vec<SqlValue> {
        let [first, second] = self.integers;
        let [a, b, c, d] = &self.strings;
        params![first, second, a.as_ref(), b.as_ref(), c.as_ref(), d.as_ref()].to_vec()
    }

    /// From the six columns, the first at `index`.
    pub fn from_row(row: &Row, index: usize) -> Result<Keys, StoreError> {
        Ok(Keys {
            integers: [row.get(index)?, row.get(index + 1)?],
            strings: [row.get(index + 2)?, row.get(index + 3)?, row.get(index + 4)?, row.get(index + 5)?],
        })
    }
}

/// A number; one in a text counts, as in the reference's own sample.
fn number(value: &Value) -> Result<i64, String> {
    match value.as_str() {
        Some(text) => text.trim().parse().map_err(|_| "must be an integer".to_owned()),
        None => integer(i64::MIN, i64::MAX)(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_the_same_only_if_every_key_is_at_its_place() {
        let set = |integer, at: usize, text: &str| {
            let mut keys = Keys { integers: [integer, None], ..Keys::default() };
            keys.strings[at] = Some(text.to_owned());
            keys.digest()
        };
        assert_eq!(set(Some(1), 0, "a"), set(Some(1), 0, "a"));
        for other in [set(None, 0, "a"), set(Some(1), 1, "a"), set(Some(1), 0, ""), set(Some(1), 0, "a\",null")] {
            assert_ne!(set(Some(1), 0, "a"), other);
        }
        assert_eq!(Keys::default().digest(), Keys::default().digest());
    }
}
