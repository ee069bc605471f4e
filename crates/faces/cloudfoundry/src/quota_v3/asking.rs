//! What a v3 body says of a quota, with all its faults (specification, section 4.1).

use serde_json::{Map, Value};

use crate::body::Faults;
use crate::cap::CAPS;
use crate::quota::{self, Quota};

/// What a body says of a quota.
pub struct Asking {
    name: Option<String>,
    paid: Option<bool>,
    caps: Vec<(usize, Option<i64>)>,
}

impl Asking {
    /// What it says, over what a quota has.
    pub fn over(self, mut quota: Quota) -> Quota {
        quota.name = self.name.unwrap_or(quota.name);
        quota.paid = self.paid.unwrap_or(quota.paid);
        for (at, value) in self.caps {
            quota.caps[at] = value;
        }
        quota
    }

    /// Reads name and blocks. `blocks` are those that are looked into.
    pub fn read(map: &Map<String, Value>, required: bool, blocks: &[&str], faults: &mut Faults) -> Asking {
        let name = faults.name(map, required);
        let mut asking = Asking { name, paid: None, caps: Vec::new() };
        for block in blocks {
            asking.block(map, block, faults);
        }
        asking
    }

    fn block(&mut self, map: &Map<String, Value>, block: &str, faults: &mut Faults) {
        let mut title = block.to_owned();
        title[..1].make_ascii_uppercase();
        let fields = match map.get(block) {
            None | Some(Value::Null) => return,
            Some(Value::Object(fields)) => fields,
            Some(_) => return faults.add(format!("{title} must be an object")),
        };
        let here = || CAPS.iter().enumerate().filter(|(_, cap)| cap.v3.0 == block);
        let mut known: Vec<&str> = here().map(|(_, cap)| cap.v3.1).collect();
        if block == "services" {
            known.push("paid_services_allowed");
            match fields.get("paid_services_allowed") {
                None | Some(Value::Null) => {}
                Some(Value::Bool(paid)) => self.paid = Some(*paid),
                Some(_) => faults.add("Services Paid services allowed must be a boolean"),
            }
        }
        faults.unknown(&format!("{title} "), fields, &known);
        for (at, cap) in here() {
            let Some(value) = fields.get(cap.v3.1) else { continue };
            match number(value) {
                Ok(value) => self.caps.push((at, value)),
                Err(why) => faults.add(format!("{title} {} {why}", cap.title)),
            }
        }
    }
}

/// A limit; null is none.
fn number(value: &Value) -> Result<Option<i64>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => match (number.as_i64(), number.is_f64()) {
            (_, true) => Err("must be an integer".to_owned()),
            (Some(value), _) if value < 0 => Err("must be greater than or equal to 0".to_owned()),
            (Some(value), _) if value <= quota::CAP_MAX => Ok(Some(value)),
            _ => Err(format!("must be less than or equal to {}", quota::CAP_MAX)),
        },
        _ => Err("is not a number".to_owned()),
    }
}

/// The guids of a relation to many, if it is there.
pub fn relation_to_many(map: &Map<String, Value>, name: &str, faults: &mut Faults) -> Vec<String> {
    let data = &map.get("relationships").unwrap_or(&Value::Null)[name];
    if data.is_null() || data["data"].as_array().is_some_and(Vec::is_empty) {
        return Vec::new();
    }
    faults.guids(&data["data"])
}
