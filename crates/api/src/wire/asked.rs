//! What is asked.

use std::fmt;
use std::marker::PhantomData;

use ledger::{AMOUNT_MAX, Amounts, Catalog, Resource};
use serde::de::{Error as _, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::Fault;
use crate::input::escaped;

/// A number of units: a whole number from 0 to 2^63 − 1, and written as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Units(pub u64);

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Units, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Units;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a whole number from 0 to {AMOUNT_MAX}")
            }
            fn visit_u64<E: serde::de::Error>(self, units: u64) -> Result<Units, E> {
                if units > AMOUNT_MAX {
                    return Err(E::invalid_value(Unexpected::Unsigned(units), &self));
                }
                Ok(Units(units))
            }
            fn visit_i64<E: serde::de::Error>(self, units: i64) -> Result<Units, E> {
                u64::try_from(units).map(Units).map_err(|_| E::invalid_value(Unexpected::Signed(units), &self))
            }
        }
        deserializer.deserialize_u64(Whole)
    }
}

/// Values by name, as they came; no name twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByName<T>(pub Vec<(String, T)>);

impl<T> Default for ByName<T> {
    fn default() -> ByName<T> {
        ByName(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByName<T>, D::Error> {
        struct Map<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = ByName<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object with a resource's name in each key")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByName<T>, A::Error> {
                let mut pairs: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    if pairs.len() >= Catalog::RESOURCES_MAX {
                        return Err(A::Error::custom("there are not so many resources"));
                    }
                    if pairs.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("{name:?} is there twice")));
                    }
                    pairs.push((name, value));
                }
                Ok(ByName(pairs))
            }
        }
        deserializer.deserialize_map(Map(PhantomData))
    }
}

impl<T: Copy> ByName<T> {
    /// With each name's resource; what is none is noted as a fault, in this field of what is at the pointer.
    pub fn resources(
        &self,
        catalog: &Catalog,
        (pointer, field): (&str, &str),
        faults: &mut Vec<Fault>,
    ) -> Vec<(Resource, T)> {
        let mut known = Vec::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            match catalog.find(name) {
                Some(resource) => known.push((resource, *value)),
                None => faults.push(Fault {
                    pointer: format!("{pointer}/{field}/{}", escaped(name)),
                    detail: "there is no such resource".to_owned(),
                }),
            }
        }
        known
    }
}

impl ByName<Units> {
    /// As amounts.
    pub fn amounts(&self, catalog: &Catalog, at: (&str, &str), faults: &mut Vec<Fault>) -> Amounts {
        let mut amounts = Amounts::new();
        for (resource, units) in self.resources(catalog, at, faults) {
            // `Units` are amounts.
            let _ = amounts.insert(resource, units.0);
        }
        amounts
    }
}

/// A field that may be left out (none), or be null (none inside).
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// A field that may be left out, and not be null.
fn said<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// `POST /allotments`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct NewAllotment {
    #[serde(deserialize_with = "Option::deserialize")]
    pub parent_id: Option<String>,
    pub name: String,
    pub title: Option<String>,
    pub kind: Option<String>,
    pub side: Option<String>,
    #[serde(default)]
    pub limits: ByName<Option<Units>>,
    pub overcommit: Option<f64>,
    #[serde(default)]
    pub load_lines: Vec<LoadLine>,
    pub expires_at: Option<String>,
}

/// `PATCH /allotments/{id}`.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub struct AllotmentPatch {
    #[serde(default, deserialize_with = "said")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub title: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    pub kind: Option<String>,
    #[serde(default)]
    pub limits: ByName<Option<Units>>,
    #[serde(default, deserialize_with = "nullable")]
    pub overcommit: Option<Option<f64>>,
    #[serde(default, deserialize_with = "nullable")]
    pub load_lines: Option<Option<Vec<LoadLine>>>,
    #[serde(default, deserialize_with = "nullable")]
    pub expires_at: Option<Option<String>>,
}

/// A load line, in and out.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct LoadLine {
    pub resource: String,
    pub percent: Option<u32>,
    pub amount: Option<Units>,
}

/// `POST /claims`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct NewClaim {
    pub allotment_id: String,
    pub supply_id: Option<String>,
    pub amounts: ByName<Units>,
    pub subject: Option<String>,
    pub state: Option<State>,
    pub expires_in: Option<i64>,
}

/// Where a claim is.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Pending,
    Held,
}

/// `POST /claims/batch`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    pub claims: Vec<NewClaim>,
    #[serde(default)]
    pub atomic: bool,
}

/// `POST /claims/{id}/settle`.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    pub amounts: Option<ByName<Units>>,
}

/// `PATCH /claims/{id}`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ClaimPatch {
    pub amounts: Option<ByName<Units>>,
    pub expires_in: Option<i64>,
}

/// `POST /tenants`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    pub name: String,
    pub title: Option<String>,
    #[serde(default)]
    pub limits: ByName<Option<Units>>,
}

/// `PATCH /tenants/{id}`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct TenantPatch {
    #[serde(default, deserialize_with = "nullable")]
    pub title: Option<Option<String>>,
    #[serde(default)]
    pub limits: ByName<Option<Units>>,
}

/// `POST /users`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    #[serde(default, deserialize_with = "nullable")]
    pub tenant_id: Option<Option<String>>,
    pub email: String,
    pub name: Option<String>,
    pub password: Option<String>,
    #[serde(default)]
    pub admin: bool,
    #[serde(default)]
    pub repository_admin: bool,
    #[serde(default)]
    pub limits: ByName<Option<Units>>,
}

/// `PATCH /users/{id}`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    #[serde(default, deserialize_with = "said")]
    pub name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub password: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    pub admin: Option<bool>,
    #[serde(default, deserialize_with = "said")]
    pub repository_admin: Option<bool>,
    #[serde(default, deserialize_with = "said")]
    pub disabled: Option<bool>,
}

/// `POST /tokens`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub expires_in: Option<i64>,
    pub expires_at: Option<String>,
}

/// A time as it comes, in any offset.
pub fn time(text: &str) -> Option<store::Micros> {
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_microsecond())
}
