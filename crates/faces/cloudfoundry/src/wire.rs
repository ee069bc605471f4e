//! JSON out: what both APIs say of a thing. The entities of v2 in `wire/v2.rs`, the objects of v3 in `wire/v3.rs`.

pub mod v2;
pub mod v3;

use serde_json::Value;
use store::Micros;

/// A time: UTC, whole seconds (specification, section 1.4).
pub fn time(at: Micros) -> Value {
    let at = jiff::Timestamp::from_second(at.div_euclid(1_000_000));
    at.map_or(Value::Null, |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into())
}
