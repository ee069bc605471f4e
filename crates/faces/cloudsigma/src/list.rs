//! Lists: a window, filters, and which fields are kept (spec, section 1.4).

use serde::Serialize;
use serde_json::{Value, json};
use store::{Error as StoreError, Row, Tx};

use crate::error::Error;
use crate::input::Params;
use crate::select::Select;

/// How many objects come when nothing is said.
pub const LIMIT: u64 = 20;
/// The most that ever come: `limit=0` asks for all, and nobody has more.
const OBJECTS_MAX: u64 = 100_000;
/// The most values of one filter.
const VALUES_MAX: usize = 1000;

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    limit: u64,
    offset: u64,
}

impl Window {
    /// As the query says.
    pub fn of(params: &Params) -> Result<Window, Error> {
        let number = |name: &str, default: u64| match params.get(name) {
            None => Ok(default),
            Some(text) => {
                let number = text.parse().ok().filter(|number| *number <= ledger::AMOUNT_MAX);
                number.ok_or_else(|| Error::field(name, "This parameter should be a whole number from 0 on"))
            }
        };
        Ok(Window { limit: number("limit", LIMIT)?, offset: number("offset", 0)? })
    }

    /// Reads it: `columns` of `from`, newest first by `table`, and how many fit in all.
    pub fn read(
        self,
        tx: &mut Tx,
        columns: &str,
        from: &str,
        key: (&str, &str),
        select: &Select,
    ) -> Result<(u64, Vec<Row>), StoreError> {
        let (conditions, (at, id)) = (select.conditions(), key);
        let sql = format!("SELECT count(*) FROM {from} WHERE {conditions}");
        let total = tx.query_opt(&sql, select.values())?.map_or(Ok(0), |row| row.get(0))?;
        let limit = if self.limit == 0 { OBJECTS_MAX } else { self.limit.min(OBJECTS_MAX) };
        let sql = format!(
            "SELECT {columns} FROM {from} WHERE {conditions} ORDER BY {at} DESC, {id} DESC LIMIT {limit} OFFSET {}",
            self.offset
        );
        let rows = if self.offset >= total { Vec::new() } else { tx.query(&sql, select.values())? };
        Ok((total, rows))
    }

    /// The envelope around what was read.
    pub fn envelope(self, total: u64, objects: Vec<Value>) -> Value {
        json!({
            "meta": { "limit": self.limit, "offset": self.offset, "total_count": total },
            "objects": objects,
        })
    }

    /// The same, whatever was asked: this resource echoes its default (spec, section 3.7).
    pub fn with_limit(self, limit: u64) -> Window {
        Window { limit, ..self }
    }
}

/// A list of things that are few: cut to the window here.
pub fn of_few(params: &Params, objects: Vec<Value>) -> Result<Value, Error> {
    let window = Window::of(params)?;
    let total = objects.len() as u64;
    let limit = if window.limit == 0 { usize::MAX } else { usize::try_from(window.limit).unwrap_or(usize::MAX) };
    let skipped = usize::try_from(window.offset).unwrap_or(usize::MAX);
    let objects = objects.into_iter().skip(skipped).take(limit);
    let keep = Keep::of(params);
    Ok(window.envelope(total, objects.map(|object| keep.cut(object)).collect()))
}

/// Which fields of each object are wanted.
#[derive(Clone, Debug, Default)]
pub struct Keep(Option<Vec<String>>);

impl Keep {
    /// As the query says; none: all that the list has.
    pub fn of(params: &Params) -> Keep {
        let names = params.get("fields").filter(|text| !text.is_empty());
        Keep(names.map(|text| text.split(',').map(|name| name.trim().to_owned()).collect()))
    }

    /// Exactly these.
    pub fn only(names: &[&str]) -> Keep {
        Keep(Some(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    /// The query's, or these.
    pub fn or(self, names: &[&str]) -> Keep {
        if self.0.is_some() { self } else { Keep::only(names) }
    }

    /// An object with the wanted fields only.
    pub fn cut(&self, object: impl Serialize) -> Value {
        let mut object = serde_json::to_value(object).unwrap_or(Value::Null);
        if let (Some(names), Value::Object(map)) = (&self.0, &mut object) {
            map.retain(|key, _| names.iter().any(|name| name == key));
        }
        object
    }
}

/// What a filter compares with.
pub enum By {
    /// A column of text, exactly.
    Text(&'static str),
    /// A column of folded text, anywhere in it.
    Inside(&'static str),
    /// A column of ids.
    Id(&'static str),
    /// What a condition with `{}` in the place of the list of ids says.
    Ids(&'static str),
    /// The same of texts.
    Texts(&'static str),
}

/// Adds the conditions of the filters that the query has: each parameter must hold, and of its values one.
pub fn filter(select: &mut Select, params: &Params, filters: &[(&str, By)]) -> Result<(), Error> {
    for (name, by) in filters {
        for text in params.all(name) {
            let values = values(text);
            if values.len() > VALUES_MAX {
                return Err(Error::field(name, format!("This filter may have at most {VALUES_MAX} values")));
            }
            let mut bind = |value: &str| select.bind(value);
            let exact = |values: Vec<String>, bind: &mut dyn FnMut(&str) -> String| {
                let list: Vec<String> = values.iter().map(|value| bind(value)).collect();
                list.join(", ")
            };
            let folded = || values.iter().map(|value| value.to_lowercase()).collect::<Vec<_>>();
            let condition = match by {
                By::Text(column) => format!("{column} IN ({})", exact(values, &mut bind)),
                By::Id(column) => format!("{column} IN ({})", exact(folded(), &mut bind)),
                By::Texts(condition) => condition.replace("{}", &exact(values, &mut bind)),
                By::Ids(condition) => condition.replace("{}", &exact(folded(), &mut bind)),
                By::Inside(column) => {
                    let like = |value: &String| {
                        let place = bind(&format!("%{}%", escape_like(value)));
                        format!("{column} LIKE {place} ESCAPE '!'")
                    };
                    format!("({})", folded().iter().map(like).collect::<Vec<_>>().join(" OR "))
                }
            };
            select.and(condition);
        }
    }
    Ok(())
}

fn escape_like(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

/// The values of a filter: parted by commas, but for `\,`; `\\` is a backslash. PostgreSQL takes no NUL.
fn values(text: &str) -> Vec<String> {
    let (mut values, mut value) = (Vec::new(), String::new());
    let mut letters = text.chars().filter(|letter| *letter != '\0');
    while let Some(letter) = letters.next() {
        match letter {
            ',' => values.push(std::mem::take(&mut value)),
            '\\' => value.extend(letters.next()),
            _ => value.push(letter),
        }
    }
    values.push(value);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parted_by_commas_that_are_not_escaped() {
        assert_eq!(values("a,b"), ["a", "b"]);
        assert_eq!(values("a\\,b,c\\\\"), ["a,b", "c\\"]);
        assert_eq!(values(""), [""]);
        assert_eq!(values("a\\"), ["a"]);
    }
}
