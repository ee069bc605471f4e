//! Lists: the envelope, the page, and which fields of an item are shown (section 1.3).

use serde::Serialize;
use serde_json::{Map, Value};
use store::{Error as StoreError, Row, Tx};

use crate::error::Error;
use crate::filter::Columns;
use crate::input::{Here, Params, escape};
use crate::select::Select;

/// The most items of a page; and how many when nothing is said (section 8, item 2).
const LIMIT_MAX: u64 = 1000;

/// A page, its keys in the order of the samples.
#[derive(Serialize)]
pub struct Page {
    count: u64,
    has_more: bool,
    items: Vec<Value>,
    limit: u64,
    offset: u64,
    pagination: Map<String, Value>,
    total: u64,
}

/// A page as it was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    limit: u64,
    offset: u64,
    order: String,
}

impl Asked {
    /// Reads `limit`, `offset`, `order`, and `filter` into `select`.
    pub fn of(params: &Params, columns: &Columns, select: &mut Select) -> Result<Asked, Error> {
        let limit = number(params, "limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT_MAX);
        let offset = number(params, "offset", 0, i64::MAX as u64)?.unwrap_or(0);
        if let Some(filter) = params.get("filter") {
            columns.filter(filter, select)?;
        }
        Ok(Asked { limit, offset, order: columns.order(params.get("order"))? })
    }

    /// Reads the page: `columns` of `from`, of the rows that fit. Answers how many there are in all, too.
    pub fn read(&self, tx: &mut Tx, columns: &str, from: &str, select: &Select) -> Result<(u64, Vec<Row>), StoreError> {
        let (conditions, Asked { limit, offset, order }) = (select.conditions(), self);
        let total = tx.query_opt(&format!("SELECT count(*) FROM {from} WHERE {conditions}"), select.values())?;
        let total = total.map_or(Ok(0), |row| row.get(0))?;
        let sql =
            format!("SELECT {columns} FROM {from} WHERE {conditions} ORDER BY {order} LIMIT {limit} OFFSET {offset}");
        Ok((total, tx.query(&sql, select.values())?))
    }

    /// The page with its links.
    pub fn page<T: Serialize>(self, here: &Here, params: &Params, total: u64, items: Vec<T>) -> Result<Page, Error> {
        let picked = Picked::of(params);
        let items = items.into_iter().map(|item| picked.of_item(item)).collect::<Result<Vec<_>, _>>()?;
        let (count, Asked { limit, offset, .. }) = (items.len() as u64, self);
        let has_more = offset.saturating_add(count) < total && count > 0;
        let mut pagination = Map::new();
        if has_more {
            pagination.insert("next".to_owned(), link(here, params, offset + count).into());
        }
        if offset > 0 {
            pagination.insert("previous".to_owned(), link(here, params, offset.saturating_sub(limit)).into());
        }
        Ok(Page { count, has_more, items, limit, offset, pagination, total })
    }
}

fn number(params: &Params, name: &str, min: u64, max: u64) -> Result<Option<u64>, Error> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.map(Some).ok_or_else(|| Error::query(name, format!("must be an integer from {min} to {max}")))
}

/// The same list at another place, relative to this server.
fn link(here: &Here, params: &Params, offset: u64) -> String {
    let others = params.pairs().iter().filter(|(name, _)| name != "offset");
    let mut query: Vec<String> = others.map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    query.push(format!("offset={offset}"));
    format!("{}?{}", here.uri.path(), query.join("&"))
}

/// Which fields of an object are shown.
pub struct Picked {
    included: Option<Vec<String>>,
    excluded: Vec<String>,
}

impl Picked {
    /// Reads `include_fields` and `exclude_fields`, or as the vendor's client spells them.
    pub fn of(params: &Params) -> Picked {
        let names = |snake: &str, camel: &str| {
            let text = params.get(snake).or_else(|| params.get(camel))?;
            Some(text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>())
        };
        let included = names("include_fields", "includeFields");
        Picked { included, excluded: names("exclude_fields", "excludeFields").unwrap_or_default() }
    }

    /// What is shown of an object.
    pub fn of_item(&self, item: impl Serialize) -> Result<Value, Error> {
        let mut value = serde_json::to_value(item).map_err(|error| StoreError::Broken(error.to_string()))?;
        if let Value::Object(map) = &mut value {
            let is_included = |name: &String| self.included.as_ref().is_none_or(|included| included.contains(name));
            map.retain(|name, _| is_included(name) && !self.excluded.contains(name));
        }
        Ok(value)
    }
}
