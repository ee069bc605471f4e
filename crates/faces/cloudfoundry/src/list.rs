//! Lists: pages, filters and orders of both APIs (specification, sections 1.7 and 1.8).
//!
//! A noun says which [`Table`] its rows are in and what may be asked of it; the default order is that of creation.

use serde_json::{Map, Value as Json, json};
use store::{Error as StoreError, Row, Tx, Value};

use crate::body::Params;
use crate::error::Error;
use crate::select::Select;

/// The most conditions of one query, and the most values of one condition.
const CONDITIONS_MAX: usize = 20;
const VALUES_MAX: usize = 1000;
/// How deep v2 puts things into each other; lists longer than this stay links.
const DEPTH_MAX: u64 = 3;
/// The longest list that is shown within another thing.
pub const INLINE_MAX: u64 = 50;

/// A key of a filter: its name, and the condition with `{}` where the comparison goes.
pub type Key = (&'static str, &'static str);

/// Where a noun's rows are.
pub struct Table {
    /// The table, which has `place`, `created_at` and `updated_at`.
    pub name: &'static str,
    /// v2's keys of `q`.
    pub q: &'static [Key],
    /// v3's filters, beside those of every list.
    pub filters: &'static [Key],
    /// Whether it can be ordered by name.
    pub by_name: bool,
    /// Whether v3 calls a wrong parameter unprocessable, as it does with space quotas.
    pub strict: bool,
}

/// What was asked of a list.
pub struct Asked {
    page: u64,
    per_page: u64,
    place: String,
    order: String,
    descending: bool,
    /// How deep v2 shows what is related.
    pub depth: u64,
    pub select: Select,
    echo: Vec<(String, String)>,
}

/// A page of rows, and how many there are in all.
pub struct Page {
    /// How many there are.
    pub total: u64,
    /// Those of this page.
    pub rows: Vec<Row>,
}

impl Asked {
    /// A query of v2.
    pub fn v2(params: &Params, table: &Table) -> Result<Asked, Error> {
        let number = |name: &str, default: u64| match params.get(name) {
            None | Some("") => Ok(default),
            Some(text) => text.parse::<u64>().map_err(|_| Error::Query(format!("{} must be a number", under(name)))),
        };
        let per_page = number("results-per-page", 50)?.max(1);
        if per_page > 100 {
            return Err(Error::Query("results_per_page must be <= 100".to_owned()));
        }
        let descending = match params.get("order-direction") {
            None | Some("" | "asc") => false,
            Some("desc") => true,
            Some(other) => {
                return Err(Error::Query(format!("order_direction must be 'asc' or 'desc' but was '{other}'")));
            }
        };
        let depth = number("inline-relations-depth", 0)?;
        if depth > DEPTH_MAX {
            return Err(Error::Query(format!("inline_relations_depth must be <= {DEPTH_MAX}")));
        }
        let order = match params.get("order-by") {
            None | Some("") => "place",
            Some("id") if table.by_name => "place",
            Some("name") if table.by_name => "name",
            Some(other) => return Err(Error::OrderBy(other.to_owned())),
        };
        let mut asked = Asked {
            page: number("page", 1)?.clamp(1, u64::from(u32::MAX)),
            per_page,
            place: format!("{}.place", table.name),
            order: format!("{}.{order}", table.name),
            descending,
            depth,
            select: Select::new(),
            echo: Vec::new(),
        };
        let mut count = 0;
        for (name, value) in &params.0 {
            match name.as_str() {
                "page" | "results-per-page" | "order-direction" => continue,
                "q" => {
                    for condition in conditions(value) {
                        count += 1;
                        if count > CONDITIONS_MAX {
                            return Err(Error::Query("too many conditions".to_owned()));
                        }
                        asked.q(&condition, table)?;
                    }
                }
                _ => {}
            }
            asked.echo.push((name.clone(), value.clone()));
        }
        Ok(asked)
    }

    fn q(&mut self, condition: &str, table: &Table) -> Result<(), Error> {
        // The longer of two operators that begin alike comes first.
        let operators = [" IN ", ">=", "<=", ":", "<", ">"];
        let found = operators.iter().filter_map(|op| condition.find(op).map(|at| (at, *op)));
        let (at, operator) =
            found.min_by_key(|(at, op)| (*at, std::cmp::Reverse(op.len()))).unwrap_or((condition.len(), ""));
        let key = condition[..at].trim();
        let known = table.q.iter().find(|(name, _)| *name == key).filter(|_| !operator.is_empty());
        let Some((name, expression)) = known else { return Err(Error::Query(key.to_owned())) };
        let value = &condition[at + operator.len()..];
        let values: Vec<&str> = if operator == " IN " { value.split(',').collect() } else { vec![value] };
        if values.len() > VALUES_MAX {
            return Err(Error::Query(key.to_owned()));
        }
        let sign = match operator {
            ":" => "=",
            other => other.trim(),
        };
        let mut places = Vec::new();
        for value in values {
            let value = match *name {
                "port" => value.parse::<i64>().map(Value::from).map_err(|_| Error::Query(key.to_owned()))?,
                _ => Value::from(value),
            };
            places.push(self.select.bind(value));
        }
        let compared = match sign {
            "IN" => format!("IN ({})", places.join(", ")),
            sign => format!("{sign} {}", places.join("")),
        };
        self.select.and(expression.replace("{}", &compared));
        Ok(())
    }

    /// A query of v3.
    pub fn v3(params: &Params, table: &Table) -> Result<Asked, Error> {
        let wrong = |why: String| if table.strict { Error::Unprocessable(why) } else { Error::Query(why) };
        let mut asked = Asked {
            page: 1,
            per_page: 50,
            place: format!("{}.place", table.name),
            order: format!("{}.place", table.name),
            descending: false,
            depth: 0,
            select: Select::new(),
            echo: Vec::new(),
        };
        let mut unknown = Vec::new();
        for (name, value) in &params.0 {
            match name.as_str() {
                "page" => {
                    let page = value.parse::<u32>().ok().filter(|page| *page >= 1);
                    asked.page = page.ok_or_else(|| wrong("Page must be a positive integer".to_owned()))?.into();
                    continue;
                }
                "per_page" => {
                    let size = value.parse::<u64>().ok().filter(|size| (1..=5000).contains(size));
                    asked.per_page = size.ok_or_else(|| wrong("Per page must be between 1 and 5000".to_owned()))?;
                    continue;
                }
                "order_by" => {
                    asked.descending = value.starts_with('-');
                    let key = value.trim_start_matches(['-', '+', ' ']);
                    let by = match key {
                        "created_at" => "place",
                        "updated_at" => "updated_at",
                        "name" if table.by_name => "name",
                        _ => {
                            let names = if table.by_name { ", 'name'" } else { "" };
                            let why = format!("Order by can only be: 'created_at', 'updated_at'{names}");
                            return Err(wrong(why));
                        }
                    };
                    asked.order = format!("{}.{by}", table.name);
                }
                "include" => {}
                _ => {
                    let condition = filter(table, name).ok_or(());
                    match condition {
                        Ok(Filter::Text(expression)) => asked.text_filter(&expression, value).map_err(wrong)?,
                        Ok(Filter::Time(column, sign)) => {
                            asked.time_filter(&column, sign, name, value).map_err(wrong)?
                        }
                        Err(()) => unknown.push(format!("'{name}'")),
                    }
                }
            }
            asked.echo.push((name.clone(), value.clone()));
        }
        if !unknown.is_empty() {
            let common = ["page", "per_page", "order_by", "created_ats", "updated_ats", "guids"];
            let own = table.filters.iter().map(|(name, _)| *name);
            let valid: Vec<String> = common.into_iter().chain(own).map(|name| format!("'{name}'")).collect();
            let why = format!("Unknown query parameter(s): {}", unknown.join(", "));
            return Err(wrong(format!("{why}. Valid parameters are: {}", valid.join(", "))));
        }
        Ok(asked)
    }

    fn text_filter(&mut self, expression: &str, values: &str) -> Result<(), String> {
        let values: Vec<&str> = values.split(',').filter(|value| !value.is_empty()).collect();
        if values.len() > VALUES_MAX {
            return Err(format!("at most {VALUES_MAX} values of one filter"));
        }
        let places: Vec<String> = values.into_iter().map(|value| self.select.bind(value)).collect();
        let list = if places.is_empty() { "NULL".to_owned() } else { places.join(", ") };
        self.select.and(expression.replace("{}", &format!("IN ({list})")));
        Ok(())
    }

    fn time_filter(&mut self, column: &str, sign: &str, name: &str, value: &str) -> Result<(), String> {
        let wrong = || {
            format!("{name} has an invalid timestamp format. Timestamps should be formatted as 'YYYY-MM-DDThh:mm:ssZ'")
        };
        let at: jiff::Timestamp = value.parse().map_err(|_| wrong())?;
        // Clients know whole seconds only.
        let place = self.select.bind(at.as_second());
        self.select.and(format!("{column} / 1000000 {sign} {place}"));
        Ok(())
    }

    /// Reads the page.
    pub fn read(&self, tx: &mut Tx, columns: &str, from: &str) -> Result<Page, StoreError> {
        let conditions = self.select.conditions();
        let count = format!("SELECT COUNT(*) FROM {from} WHERE {conditions}");
        let total = tx.query(&count, self.select.values())?.first().map(|row| row.get(0)).transpose()?.unwrap_or(0);
        let direction = if self.descending { "DESC" } else { "ASC" };
        let (size, skipped) = (self.per_page, (self.page - 1) * self.per_page);
        // Numbers of ours, both bounded, so they may stand in the text; the place decides where the order does not.
        let place = &self.place;
        let sql = format!(
            "SELECT {columns} FROM {from} WHERE {conditions} ORDER BY {} {direction}, {place} {direction} \
             LIMIT {size} OFFSET {skipped}",
            self.order
        );
        Ok(Page { total, rows: tx.query(&sql, self.select.values())? })
    }

    /// v2's frame around a page of `path`.
    pub fn v2_frame(&self, path: &str, total: u64, resources: Vec<Json>) -> Json {
        let pages = total.div_ceil(self.per_page).max(1);
        let link = |page: u64| {
            let order = if self.descending { "desc" } else { "asc" };
            let mut link = format!("{path}?order-direction={order}&page={page}&results-per-page={}", self.per_page);
            self.echo.iter().for_each(|(name, value)| link.push_str(&format!("&{}={}", escape(name), escape(value))));
            link
        };
        json!({
            "total_results": total,
            "total_pages": pages,
            "prev_url": (self.page > 1).then(|| link(self.page - 1)),
            "next_url": (self.page < pages).then(|| link(self.page + 1)),
            "resources": resources,
        })
    }

    /// v3's frame around a page of `url`, which is absolute.
    pub fn v3_frame(&self, url: &str, total: u64, resources: Vec<Json>) -> Json {
        let pages = total.div_ceil(self.per_page).max(1);
        let link = |page: u64| {
            let mut link = format!("{url}?page={page}&per_page={}", self.per_page);
            self.echo.iter().for_each(|(name, value)| link.push_str(&format!("&{}={}", escape(name), escape(value))));
            json!({ "href": link })
        };
        json!({
            "pagination": {
                "total_results": total,
                "total_pages": pages,
                "first": link(1),
                "last": link(pages),
                "next": (self.page < pages).then(|| link(self.page + 1)),
                "previous": (self.page > 1).then(|| link(self.page - 1)),
            },
            "resources": resources,
        })
    }
}

enum Filter {
    Text(String),
    Time(String, &'static str),
}

fn filter(table: &Table, name: &str) -> Option<Filter> {
    if name == "guids" {
        return Some(Filter::Text(format!("{}.id {{}}", table.name)));
    }
    for (prefix, column) in [("created_ats", "created_at"), ("updated_ats", "updated_at")] {
        if let Some(rest) = name.strip_prefix(prefix) {
            let sign = match rest {
                "" => "=",
                "[gt]" => ">",
                "[gte]" => ">=",
                "[lt]" => "<",
                "[lte]" => "<=",
                _ => return None,
            };
            return Some(Filter::Time(format!("{}.{column}", table.name), sign));
        }
    }
    let known = table.filters.iter().find(|(known, _)| *known == name);
    known.map(|(_, expression)| Filter::Text((*expression).to_owned()))
}

/// The conditions of a `q`: parted at `;`, where `;;` is a `;` of a value.
fn conditions(q: &str) -> Vec<String> {
    let hidden = q.replace(";;", "\u{0}");
    hidden.split(';').filter(|part| !part.is_empty()).map(|part| part.replace('\u{0}', ";")).collect()
}

fn under(name: &str) -> String {
    name.replace('-', "_")
}

/// A value as it stands in a query.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Puts a related thing into an entity, right after the link to it.
pub fn put_inline(entity: &mut Json, link: &str, name: &str, value: Json) {
    let Some(map) = entity.as_object_mut() else { return };
    let mut with = Map::new();
    for (key, known) in std::mem::take(map) {
        let is_it = key == link;
        with.insert(key, known);
        if is_it {
            with.insert(name.to_owned(), value.clone());
        }
    }
    *map = with;
}

#[cfg(test)]
mod tests {
    use super::conditions;

    #[test]
    fn two_semicolons_are_one_of_a_value() {
        assert_eq!(conditions("name:a;;b;space_guid:c"), ["name:a;b", "space_guid:c"]);
    }
}
