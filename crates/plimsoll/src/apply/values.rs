//! From an object's JSON, as `site` makes it, to what the other crates take.

use ledger::{Catalog, Limits, Name, Overcommit, Resource};
use serde_json::Value;
use site::{Change, Field};
use store::Error;
use uuid::Uuid;

/// A field's new value, if the change is about it: none inside, the file no longer speaks of it.
pub(super) fn changed<'c>(change: &'c Change, pointer: &str) -> Option<Option<&'c Value>> {
    let field = change.fields().iter().find(|field| field.pointer == pointer)?;
    Some(Some(&field.to).filter(|value| !value.is_null()))
}

/// The id that the file gives an object.
pub(super) fn uuid(value: &Value) -> Option<Uuid> {
    value["uuid"].as_str().and_then(|text| text.parse().ok())
}

/// A text field.
pub(super) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// A name that `site` has checked.
pub(super) fn name(text: &str) -> Result<Name, Error> {
    text.parse().map_err(|error: ledger::NameError| Error::Invalid(error.to_string()))
}

/// All limits of an object.
pub(super) fn limits(value: &Value, catalog: &Catalog) -> Result<Limits, Error> {
    let mut limits = Limits::new();
    for (name, units) in value["limits"].as_object().into_iter().flatten() {
        let units = units.as_u64().unwrap_or_default();
        limits.insert(resource(name, catalog)?, units).map_err(|error| Error::Invalid(error.to_string()))?;
    }
    Ok(limits)
}

/// The limits that a change is about.
pub(super) fn limit_changes(change: &Change, catalog: &Catalog) -> Result<Vec<(Resource, Option<u64>)>, Error> {
    let limit = |field: &Field| {
        let name = field.pointer.strip_prefix("/limits/")?;
        Some(resource(name, catalog).map(|resource| (resource, field.to.as_u64())))
    };
    change.fields().iter().filter_map(limit).collect()
}

fn resource(name: &str, catalog: &Catalog) -> Result<Resource, Error> {
    catalog.find(name).ok_or_else(|| {
        Error::Invalid(format!("the resource {name} is not there yet: start the server once with this site file"))
    })
}

/// A ratio as the objects hold it.
pub(super) fn overcommit(value: &Value) -> Option<Overcommit> {
    let permille = value.as_u64().and_then(|permille| u32::try_from(permille).ok());
    permille.map(|permille| Overcommit { permille })
}
