//! Lists: pages with a count, and plain arrays with a cursor.

use axum::extract::FromRequestParts;
use http::Uri;
use http::header::HOST;
use http::request::Parts;
use serde::Serialize;
use store::{Error as StoreError, Row, Tx, Value};
use uuid::Uuid;

use crate::Face;
use crate::error::Error;
use crate::input::{self, Params};
use crate::select::Select;

/// How many items a page has, and the most that one may be asked to have.
const PAGE_SIZE: u64 = 50;
const PAGE_SIZE_MAX: u64 = 200;

/// Where the caller reaches us, and what was asked: for links to other pages.
pub struct Here {
    /// `https://host`, without a slash at the end; nothing when the request does not say.
    pub origin: String,
    uri: Uri,
}

impl FromRequestParts<Face> for Here {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        let origin = match &face.settings.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => match input::header(&parts.headers, &HOST) {
                "" => String::new(),
                host => format!("http://{host}"),
            },
        };
        Ok(Here { origin, uri: parts.uri.clone() })
    }
}

impl Here {
    /// A link to another page of the same list. The first needs no number.
    fn page(&self, params: &Params, number: u64) -> String {
        let others = params.pairs().iter().filter(|(name, _)| name != "page");
        let mut pairs: Vec<String> =
            others.map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        if number > 1 {
            pairs.insert(0, format!("page={number}"));
        }
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        format!("{}{}{query}", self.origin, self.uri.path())
    }
}

/// Text in a URL: all but what never needs it is escaped.
pub fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}

/// A page of a list.
#[derive(Serialize)]
pub struct Page<T> {
    count: u64,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<T>,
}

/// Which page was asked for.
#[derive(Clone, Copy)]
enum Number {
    At(u64),
    Last,
    None,
}

/// A page as it was asked for, and in which order.
#[derive(Clone)]
pub struct Asked {
    number: Number,
    size: u64,
    order: String,
}

impl Asked {
    /// Reads `page`, `page_size` and `ordering`. What is no size or no column of `columns` is passed over, as the framework
    /// does; the first column is the order when nothing else is said. `tie` makes every order a total one.
    pub fn of(params: &Params, columns: &[(&str, &str)], tie: &str) -> Asked {
        let number = match params.get("page") {
            None => Number::At(1),
            Some("last") => Number::Last,
            Some(text) => text.parse().ok().filter(|number| *number > 0).map_or(Number::None, Number::At),
        };
        let size = params.get("page_size").and_then(|size| size.parse().ok()).filter(|size| *size > 0);
        let named = params.get("ordering").unwrap_or_default().split(',').filter_map(|name| {
            let (name, direction) = name.trim().strip_prefix('-').map_or((name.trim(), "ASC"), |name| (name, "DESC"));
            let (_, column) = columns.iter().find(|(known, _)| *known == name)?;
            Some(format!("{column} {direction}"))
        });
        let mut order: Vec<String> = named.take(columns.len()).collect();
        if let (true, Some((_, first))) = (order.is_empty(), columns.first()) {
            order.push(format!("{first} ASC"));
        }
        order.push(format!("{tie} ASC"));
        Asked { number, size: size.unwrap_or(PAGE_SIZE).min(PAGE_SIZE_MAX), order: order.join(", ") }
    }

    /// Reads the page: `columns` of `from`, of the rows that fit. Answers how many there are in all, and this page's number.
    pub fn read(
        &self,
        tx: &mut Tx,
        columns: &str,
        from: &str,
        select: &Select,
    ) -> Result<(u64, u64, Vec<Row>), StoreError> {
        let conditions = select.conditions();
        let count = tx.query_opt(&format!("SELECT count(*) FROM {from} WHERE {conditions}"), select.values())?;
        let count: u64 = count.map(|row| row.get(0)).transpose()?.unwrap_or_default();
        let last = count.div_ceil(self.size).max(1);
        let number = match self.number {
            Number::At(number) if number <= last => number,
            Number::Last => last,
            _ => return Err(Error::NoSuchPage.noun()),
        };
        let (order, size, skip) = (&self.order, self.size, (number - 1) * self.size);
        let sql =
            format!("SELECT {columns} FROM {from} WHERE {conditions} ORDER BY {order} LIMIT {size} OFFSET {skip}");
        Ok((count, number, tx.query(&sql, select.values())?))
    }

    /// The page with its links.
    pub fn page<T>(&self, here: &Here, params: &Params, (count, number): (u64, u64), results: Vec<T>) -> Page<T> {
        let next = (number * self.size < count).then(|| here.page(params, number + 1));
        let previous = (number > 1).then(|| here.page(params, number - 1));
        Page { count, next, previous, results }
    }
}

/// A piece of a plain array: after which item, and how many at most.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    after: Option<Uuid>,
    limit: u64,
}

impl Window {
    /// Reads `cursor`, the id of the last item that is known, and `limit`.
    pub fn of(params: &Params, limit: u64, limit_max: u64) -> Result<Window, Error> {
        let mut fields = params.fields();
        let after = fields.may("cursor", input::uuid);
        let asked = fields.may("limit", input::integer(1));
        fields.end()?;
        Ok(Window { after, limit: asked.unwrap_or(limit).min(limit_max) })
    }

    /// Reads it: `columns` of `from`, of the rows of `table` that fit, oldest first.
    pub fn read(
        self,
        tx: &mut Tx,
        columns: &str,
        from: &str,
        table: &str,
        mut select: Select,
    ) -> Result<Vec<Row>, StoreError> {
        if let Some(after) = self.after {
            let after = select.bind(Value::Id(after));
            let known = format!("SELECT created_at, id FROM {table} WHERE id = {after}");
            select.and(format!("({table}.created_at, {table}.id) > ({known})"));
        }
        let (conditions, limit) = (select.conditions(), self.limit);
        let sql = format!(
            "SELECT {columns} FROM {from} WHERE {conditions} ORDER BY {table}.created_at, {table}.id LIMIT {limit}"
        );
        tx.query(&sql, select.values())
    }
}
