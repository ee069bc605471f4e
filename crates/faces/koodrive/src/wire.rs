//! JSON in and out.
//!
//! Numbers of a request may come as numbers or as digits in a string; answers have numbers, but for what the documentation
//! says is text (spec, section 7).

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::auth::Form;
use crate::call::is_id;
use crate::error::Error;
use crate::kind::{Kind, Total};
use crate::space::Space;

/// A capacity on the wire is counted in these: GB are binary.
const GB: u64 = 1 << 30;
/// What is used is told in these.
const KB: u64 = 1 << 10;
/// The most types that one transfer goes to, a type named twice counted twice.
const TARGETS_MAX: usize = 16;
/// The longest `capabilities`, in bytes of JSON.
const CAPABILITIES_MAX: usize = 16 * 1024;
/// The longest password that is looked at; what is longer is none.
const PASSWORD_MAX: usize = 1024;

/// A body to be read.
type Body = Map<String, Value>;

/// `POST /session/login`.
pub struct Login {
    /// An id of this API or an e-mail address.
    pub user: String,
    /// The person's password.
    pub password: String,
}

impl Login {
    /// From a body.
    pub fn read(body: &Body) -> Result<Login, Error> {
        let text = |key: &str, max| {
            let text = body.get(key).and_then(Value::as_str).filter(|text| (1..=max).contains(&text.len()));
            text.map(str::to_owned).ok_or(Error::Parameters("user and password are texts"))
        };
        Ok(Login { user: text("user", 320)?, password: text("password", PASSWORD_MAX)? })
    }
}

/// `POST /space/allocation/transfer`.
pub struct Transfer {
    /// From which type.
    pub origin: Kind,
    /// To which types, and how many bytes each.
    pub targets: Vec<(Kind, i64)>,
}

impl Transfer {
    /// From a body. `target` is an array; the documentation's sample has one object.
    pub fn read(body: &Body) -> Result<Transfer, Error> {
        let origin = kind(body.get("originType"))?;
        let targets = match body.get("target") {
            Some(Value::Array(targets)) => targets.iter().collect(),
            Some(target @ Value::Object(_)) => vec![target],
            _ => return Err(Error::Parameters("target is an array of objects")),
        };
        if targets.is_empty() || targets.len() > TARGETS_MAX {
            return Err(Error::Parameters("target has 1 to 16 objects"));
        }
        let target = |target: &Value| {
            let bytes = capacity(target.get("expandCapacity"))?;
            Ok((kind(target.get("type"))?, i64::try_from(bytes).map_err(|_| Error::Insufficient)?))
        };
        Ok(Transfer { origin, targets: targets.into_iter().map(target).collect::<Result<_, Error>>()? })
    }

    /// How many bytes in all. A sum that no limit holds is more than there is.
    pub fn sum(&self) -> Result<i64, Error> {
        let sum = self.targets.iter().try_fold(0_i64, |sum, (_, bytes)| sum.checked_add(*bytes));
        sum.ok_or(Error::Insufficient)
    }
}

/// `POST /space/{ownerId}`.
#[derive(Clone)]
pub struct NewSpace {
    /// Of which type.
    pub kind: Kind,
    /// In bytes.
    pub capacity: u64,
    /// What the client says of it, as JSON; opaque to us.
    pub capabilities: Option<String>,
}

impl NewSpace {
    /// From a body.
    pub fn read(body: &Body) -> Result<NewSpace, Error> {
        let kind = kind(body.get("type"))?;
        if kind == Kind::Group {
            // The documentation has another call for those, which is not in our specification (section 4).
            return Err(Error::Parameters("type is 0 or 1"));
        }
        let capabilities = match body.get("capabilities") {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(Value::Object(map.clone()).to_string()),
            Some(_) => return Err(Error::Parameters("capabilities is an object")),
        };
        // PostgreSQL's text has no such character.
        let fits = |text: &String| text.len() <= CAPABILITIES_MAX && !text.contains("\\u0000");
        if !capabilities.as_ref().is_none_or(fits) {
            return Err(Error::Parameters("capabilities is too long, or has a null character"));
        }
        Ok(NewSpace { kind, capacity: capacity(body.get("capacity"))?, capabilities })
    }
}

/// `PUT /space/{ownerId}`.
#[derive(Clone)]
pub struct SpaceChange {
    /// Of which type.
    pub kind: Kind,
    /// Which, if the owner has several.
    pub container: Option<String>,
    /// Whether it is disabled from now on.
    pub disabled: Option<bool>,
    /// In bytes.
    pub capacity: Option<u64>,
}

impl SpaceChange {
    /// From a body.
    pub fn read(body: &Body) -> Result<SpaceChange, Error> {
        let said = |key: &str| body.get(key).filter(|value| !value.is_null());
        let disabled = match said("status").map(whole) {
            None => None,
            Some(Some(0)) => Some(false),
            Some(Some(1)) => Some(true),
            Some(_) => return Err(Error::Parameters("status is 0 or 1")),
        };
        let container = match said("containerId") {
            None => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(_) => return Err(Error::Parameters("containerId is a text")),
        };
        let capacity = said("capacity").map(|value| capacity(Some(value))).transpose()?;
        Ok(SpaceChange { kind: kind(body.get("type"))?, container: container_id(container)?, disabled, capacity })
    }
}

/// A container's id, if one is said: something that could be one.
pub fn container_id(said: Option<String>) -> Result<Option<String>, Error> {
    match said {
        Some(text) if !is_id(&text) => Err(Error::Parameters("containerId is no id")),
        said => Ok(said),
    }
}

/// A type, as a query has it.
pub fn kind_param(said: Option<&str>) -> Result<Kind, Error> {
    kind(said.map(|text| json!(text)).as_ref())
}

fn kind(value: Option<&Value>) -> Result<Kind, Error> {
    let number = value.and_then(whole);
    number.and_then(Kind::from_number).ok_or(Error::Parameters("a type is 0, 1 or 2"))
}

/// A capacity in bytes. More than an amount can hold is more than there is.
fn capacity(value: Option<&Value>) -> Result<u64, Error> {
    let gb = value.and_then(whole).filter(|gb| *gb >= 1);
    let gb = gb.ok_or(Error::Parameters("a capacity is a whole number of GB from 1 on"))?;
    gb.checked_mul(GB).filter(|bytes| *bytes <= ledger::AMOUNT_MAX).ok_or(Error::Insufficient)
}

/// A whole number, or its digits.
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// `GET /space/allocation/get`: what the caller's tenant has of each type. By the documentation's tables an array of
/// numbers; by its printed example one object, of texts.
pub fn status(totals: &[Total], form: Form) -> Value {
    let entry = |total: &Total| (total.kind.number(), total.promised / GB, total.limit / GB);
    match (form, totals.first().map(entry)) {
        (Form::Example, Some((kind, allocated, all))) => json!({
            "type": kind.to_string(), "allocateCapacity": allocated.to_string(), "totalCapacity": all.to_string(),
        }),
        _ => totals
            .iter()
            .map(entry)
            .map(|(kind, allocated, all)| json!({ "type": kind, "allocateCapacity": allocated, "totalCapacity": all }))
            .collect(),
    }
}

/// `GET /space/usage/overview`, in KB.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    total_allocation: u64,
    total_capacity: u64,
    total_used: u64,
}

impl Overview {
    /// Of all types together.
    pub fn of(totals: &[Total]) -> Overview {
        let sum = |what: fn(&Total) -> u64| totals.iter().map(what).fold(0, u64::saturating_add);
        Overview {
            total_allocation: sum(|total| total.promised) / KB,
            total_capacity: sum(|total| total.limit) / KB,
            total_used: sum(|total| total.used).div_ceil(KB),
        }
    }
}

/// A space, all of it text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpaceInfo {
    r#type: String,
    status: &'static str,
    owner_id: String,
    container_id: String,
    capacity: String,
    space_used: String,
    tenant_id: String,
    creator: String,
    modifier: String,
    root_file_id: String,
    biz_root_file_id: String,
    biz_sbox_file_id: String,
}

impl From<Space> for SpaceInfo {
    fn from(space: Space) -> SpaceInfo {
        // The roots of its files are opaque, and this API has no call about files: ids that stay the same will do.
        let root = |number: u128| format!("{:032x}", space.id.0.as_u128().wrapping_add(number));
        SpaceInfo {
            r#type: space.kind.number().to_string(),
            status: if space.disabled { "1" } else { "0" },
            container_id: space.id.container(),
            capacity: (space.capacity / KB).to_string(),
            space_used: space.used.div_ceil(KB).to_string(),
            tenant_id: space.tenant.to_string(),
            creator: space.creator,
            modifier: space.modifier,
            root_file_id: root(1),
            biz_root_file_id: root(2),
            biz_sbox_file_id: root(3),
            owner_id: space.owner,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_is_a_whole_number_or_its_digits() {
        for five in [json!(5), json!("5"), json!("05")] {
            assert_eq!(capacity(Some(&five)).unwrap(), 5 << 30, "{five}");
        }
        for none in
            [json!(0), json!("0"), json!(-1), json!("-1"), json!("x"), json!(""), json!(1.5), json!(true), json!(null)]
        {
            assert!(matches!(capacity(Some(&none)), Err(Error::Parameters(_))), "{none}");
        }
        assert!(matches!(capacity(None), Err(Error::Parameters(_))));
        let most = (1_u64 << 33) - 1;
        assert_eq!(capacity(Some(&json!(most))).unwrap(), most << 30);
        for large in [json!(1_u64 << 33), json!(u64::MAX)] {
            assert!(matches!(capacity(Some(&large)), Err(Error::Insufficient)), "{large}");
        }
    }

    #[test]
    fn a_sum_that_no_limit_holds_is_more_than_there_is() {
        let target = json!({ "type": 1, "expandCapacity": (1_u64 << 33) - 1 });
        let body = json!({ "originType": "0", "target": [target, target] });
        let Value::Object(body) = body else { unreachable!() };
        assert!(matches!(Transfer::read(&body).unwrap().sum(), Err(Error::Insufficient)));
    }
}
