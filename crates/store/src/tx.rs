//! One transaction, on either database.
//!
//! The only type through which SQL is run. What differs between the two databases in how they are reached is here; what
//! differs in the text is in `dialect.rs`.

use std::borrow::Cow;
use std::collections::HashMap;

use ledger::Catalog;
use postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::dialect::{self, Dialect};
use crate::{Error, Micros, Row, Value};

/// The most rows that one statement inserts, and the most values that one `IN` list has: bounds the number of statements
/// that are kept prepared, and stays far below both databases' bounds on parameters.
const ROWS_MAX: usize = 256;

/// What a shared database says at the beginning of a batch.
pub(crate) struct Told {
    /// Its time, in microseconds since 1970.
    pub now: Micros,
    /// The version of the tree's shape.
    pub shape: String,
}

/// How many statements a connection keeps prepared.
const STATEMENTS_MAX: usize = 1024;

/// A connection.
pub(crate) enum Conn {
    Sqlite(Box<rusqlite::Connection>),
    Postgres(Box<Postgres>),
}

/// A connection to PostgreSQL and what it has prepared.
pub(crate) struct Postgres {
    pub client: postgres::Client,
    pub statements: HashMap<String, postgres::Statement>,
}

impl Conn {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Conn::Sqlite(_) => Dialect::Sqlite,
            Conn::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs statements without parameters.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), Error> {
        match self {
            Conn::Sqlite(conn) => conn.execute_batch(sql).map_err(dialect::sqlite_error),
            Conn::Postgres(conn) => conn.client.batch_execute(sql).map_err(dialect::postgres_error),
        }
    }

    /// Begins a batch; see [`Dialect::begin_write`].
    pub(crate) fn begin_write(&mut self, shape: bool) -> Result<Option<Told>, Error> {
        let sql = self.dialect().begin_write(shape);
        let Conn::Postgres(conn) = self else {
            return self.batch(&sql).map(|()| None);
        };
        let answers = conn.client.simple_query(&sql).map_err(dialect::postgres_error)?;
        let told = answers.iter().rev().find_map(|answer| match answer {
            postgres::SimpleQueryMessage::Row(row) => {
                let now = row.get(0).and_then(|text| text.parse().ok())?;
                Some(Told { now, shape: row.get(1).unwrap_or_default().to_owned() })
            }
            _ => None,
        });
        Ok(told)
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Conn::Sqlite(_) => false,
            Conn::Postgres(conn) => conn.client.is_closed(),
        }
    }
}

/// A transaction under way: the way for a noun to read and write its rows.
pub struct Tx<'c> {
    conn: &'c mut Conn,
    catalog: &'c Catalog,
    now: Micros,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: &'c mut Conn, catalog: &'c Catalog, now: Micros) -> Tx<'c> {
        Tx { conn, catalog, now }
    }

    /// When the transaction began, in microseconds since 1970.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// The site's resources.
    pub fn catalog(&self) -> &'c Catalog {
        self.catalog
    }

    /// Which database this is.
    pub(crate) fn dialect(&self) -> Dialect {
        self.conn.dialect()
    }

    /// What stands before a parameter's number.
    fn place(&self) -> char {
        match self.dialect() {
            Dialect::Sqlite => '?',
            Dialect::Postgres => '$',
        }
    }

    /// Runs statements without parameters.
    pub(crate) fn batch(&mut self, sql: &str) -> Result<(), Error> {
        self.conn.batch(sql)
    }

    /// Runs a statement that answers no rows; says how many it touched.
    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, Error> {
        self.execute_all(&self.text(sql), values)
    }

    /// Our SQL as this database takes it.
    fn text<'s>(&self, sql: &'s str) -> Cow<'s, str> {
        match self.dialect() {
            Dialect::Sqlite => numbered(sql),
            Dialect::Postgres => Cow::Borrowed(sql),
        }
    }

    /// The text is this database's own by now.
    fn execute_all<'v>(&mut self, sql: &str, values: impl IntoIterator<Item = &'v Value>) -> Result<u64, Error> {
        match self.conn {
            Conn::Sqlite(conn) => {
                let mut statement = conn.prepare_cached(sql).map_err(dialect::sqlite_error)?;
                let touched = statement.execute(rusqlite::params_from_iter(values)).map_err(dialect::sqlite_error)?;
                Ok(touched as u64)
            }
            Conn::Postgres(conn) => {
                let statement = conn.prepare(sql)?;
                conn.client.execute(&statement, &postgres_values(values)).map_err(dialect::postgres_error)
            }
        }
    }

    /// All rows of a statement. Say LIMIT: what is read is held in memory.
    pub fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Error> {
        match self.conn {
            Conn::Sqlite(conn) => {
                let mut statement = conn.prepare_cached(&numbered(sql)).map_err(dialect::sqlite_error)?;
                let columns = statement.column_count();
                let mut found = Vec::new();
                let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(dialect::sqlite_error)?;
                while let Some(row) = rows.next().map_err(dialect::sqlite_error)? {
                    found.push(sqlite_row(row, columns)?);
                }
                Ok(found)
            }
            Conn::Postgres(conn) => {
                let statement = conn.prepare(sql)?;
                let rows = conn.client.query(&statement, &postgres_values(values)).map_err(dialect::postgres_error)?;
                rows.iter().map(postgres_row).collect()
            }
        }
    }

    /// The first row of a statement.
    pub fn query_opt(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, values)?.into_iter().next())
    }

    /// All rows of `sql(list)` for each list that `values` fall into: lists are as long as a power of two, so that few
    /// statements are prepared. A value may stand in a list twice, so the statement must not mind.
    pub fn query_in(&mut self, sql: impl Fn(&str) -> String, values: &[Value]) -> Result<Vec<Row>, Error> {
        let mut found = Vec::new();
        for part in values.chunks(ROWS_MAX) {
            let (list, padded) = in_list(self.place(), part);
            found.extend(self.query(&sql(&list), &padded)?);
        }
        Ok(found)
    }

    /// Runs `sql(list)` likewise; says how many rows were touched.
    pub fn execute_in(&mut self, sql: impl Fn(&str) -> String, values: &[Value]) -> Result<u64, Error> {
        let mut touched = 0;
        for part in values.chunks(ROWS_MAX) {
            let (list, padded) = in_list(self.place(), part);
            touched += self.execute(&sql(&list), &padded)?;
        }
        Ok(touched)
    }

    /// Inserts rows by few statements: `INSERT INTO {into} VALUES … {after}`. All rows have as many values as the first.
    /// On an error some of the rows may be in: the unit must fail, too.
    pub fn insert_rows<R: AsRef<[Value]>>(&mut self, into: &str, after: &str, rows: &[R]) -> Result<(), Error> {
        let mut rest = rows;
        while !rest.is_empty() {
            let count = 1 << rest.len().min(ROWS_MAX).ilog2();
            let (part, later) = rest.split_at(count);
            let sql = insert_text(self.dialect(), into, after, count, part[0].as_ref().len());
            self.execute_all(&sql, part.iter().flat_map(|row| row.as_ref()))?;
            rest = later;
        }
        Ok(())
    }
}

/// Our SQL numbers its parameters as PostgreSQL does; in SQLite `$2` would be a name, and `?2` is the second.
fn numbered(sql: &str) -> Cow<'_, str> {
    if !sql.contains('$') {
        return Cow::Borrowed(sql);
    }
    let mut text = String::with_capacity(sql.len());
    let mut parts = sql.split('$');
    text.extend(parts.next());
    for part in parts {
        text.push(if part.starts_with(|c: char| c.is_ascii_digit()) { '?' } else { '$' });
        text.push_str(part);
    }
    Cow::Owned(text)
}

fn insert_text(dialect: Dialect, into: &str, after: &str, rows: usize, columns: usize) -> String {
    use std::fmt::Write;
    let mut sql = String::with_capacity(into.len() + after.len() + rows * columns * 6);
    let (insert, place) = match dialect {
        // A statement that fails is undone with its savepoint or its batch, so SQLite need not note how to undo it alone.
        Dialect::Sqlite => ("INSERT OR FAIL INTO ", '?'),
        Dialect::Postgres => ("INSERT INTO ", '$'),
    };
    sql.push_str(insert);
    sql.push_str(into);
    sql.push_str(" VALUES ");
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            if column > 0 {
                sql.push(',');
            }
            sql.push(place);
            // A string takes all.
            let _ = write!(sql, "{}", row * columns + column + 1);
        }
        sql.push(')');
    }
    sql.push(' ');
    sql.push_str(after);
    sql
}

fn in_list(place: char, values: &[Value]) -> (String, Vec<Value>) {
    let size = values.len().next_power_of_two();
    let mut padded = values.to_vec();
    padded.resize(size, values.last().cloned().unwrap_or(Value::Null));
    let places: Vec<String> = (1..=size).map(|number| format!("{place}{number}")).collect();
    (format!("({})", places.join(",")), padded)
}

impl Postgres {
    fn prepare(&mut self, sql: &str) -> Result<postgres::Statement, Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        // Texts are few by design; what would grow without an end is begun anew.
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let statement = self.client.prepare(sql).map_err(dialect::postgres_error)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

fn postgres_values<'v>(values: impl IntoIterator<Item = &'v Value>) -> Vec<&'v (dyn ToSql + Sync)> {
    values.into_iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn postgres_row(row: &postgres::Row) -> Result<Row, Error> {
    let value = |(index, column): (usize, &postgres::Column)| -> Result<Value, Error> {
        let value = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(index).map(Value::from),
            Type::INT4 => row.try_get::<_, Option<i32>>(index).map(Value::from),
            Type::BOOL => row.try_get::<_, Option<bool>>(index).map(Value::from),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(index).map(Value::from),
            _ => row.try_get::<_, Option<String>>(index).map(Value::from),
        };
        value.map_err(|error| Error::Broken(format!("column {}: {error}", column.name())))
    };
    row.columns().iter().enumerate().map(value).collect::<Result<_, _>>().map(Row)
}

fn sqlite_row(row: &rusqlite::Row, columns: usize) -> Result<Row, Error> {
    let value = |index| -> Result<Value, Error> {
        Ok(match row.get_ref(index).map_err(dialect::sqlite_error)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(v) => Value::Int(v),
            ValueRef::Text(v) => Value::Text(String::from_utf8_lossy(v).into_owned()),
            ValueRef::Blob(v) => Value::Bytes(v.to_vec()),
            ValueRef::Real(v) => {
                return Err(Error::Broken(format!("column {index} is {v}: no column holds fractions")));
            }
        })
    };
    (0..columns).map(value).collect::<Result<_, _>>().map(Row)
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(v) => ToSqlOutput::Borrowed(ValueRef::Integer(*v)),
            Value::Bool(v) => ToSqlOutput::Borrowed(ValueRef::Integer((*v).into())),
            Value::Text(v) => ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes())),
            Value::Shared(v) => ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes())),
            Value::Id(v) => ToSqlOutput::Owned(rusqlite::types::Value::Text(v.hyphenated().to_string())),
            Value::Bytes(v) => ToSqlOutput::Borrowed(ValueRef::Blob(v)),
        })
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let mut buffer = uuid::Uuid::encode_buffer();
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(v) if *ty == Type::INT4 => i32::try_from(*v)?.to_sql(ty, out),
            Value::Int(v) => v.to_sql(ty, out),
            Value::Bool(v) => v.to_sql(ty, out),
            Value::Text(v) => v.as_str().to_sql(ty, out),
            Value::Shared(v) => {
                let text: &str = v;
                text.to_sql(ty, out)
            }
            Value::Id(v) => {
                let text: &str = v.hyphenated().encode_lower(&mut buffer);
                text.to_sql(ty, out)
            }
            Value::Bytes(v) => v.as_slice().to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
