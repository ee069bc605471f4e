//! Opening: connections, tables, the site's resources, and the threads.

use std::sync::Arc;

use ledger::Catalog;

use crate::dialect::{self, Dialect};
use crate::queue::Queue;
use crate::reader::{self, Reader};
use crate::tx::Conn;
use crate::writer::{self, Pulse, Writer};
use crate::{Database, Error, Micros, Migrations, Options, RESOURCES, Shared, Tx, params};

/// Held while tables are brought up to date, so that two nodes do not do it at once. "plim" + 1.
const MIGRATION_LOCK: i64 = 0x706c_696e;

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Opener {
    database: Database,
}

impl Opener {
    pub(crate) fn open(&self, writes: bool) -> Result<Conn, Error> {
        match &self.database {
            Database::Sqlite(path) => dialect::open_sqlite(path, writes),
            Database::Postgres(url) => dialect::open_postgres(url),
        }
    }

    /// Whether nobody else can write to the database.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self.database, Database::Sqlite(_))
    }
}

/// The store's own tables.
const MIGRATIONS: Migrations =
    Migrations { owner: "store", steps: &[("V1__store", include_str!("../migrations/V1__store.sql"))] };

/// See [`crate::Store::open`]. Blocks.
pub(crate) fn open(options: Options) -> Result<Shared, Error> {
    let opener = Opener { database: options.database.clone() };
    let mut conn = opener.open(true)?;
    let catalog = prepare(&mut conn, &options)?;
    let pulse = Arc::new(Pulse::default());
    let write_queue = Arc::new(Queue::new(writer::WAITING_MAX));
    let read_queue = Arc::new(Queue::new(reader::WAITING_MAX));
    let readers = (0..options.readers.max(1)).map(|_| Reader {
        opener: opener.clone(),
        catalog: catalog.clone(),
        clock: options.clock.clone(),
        pulse: pulse.clone(),
        queue: read_queue.clone(),
        conn: None,
    });
    let readers: Vec<Reader> = readers.collect();
    let queue = write_queue.clone();
    let clock = options.clock.clone();
    let writer = Writer::new(opener, conn, catalog.clone(), clock.clone(), pulse.clone(), queue, options.free_space_of);
    pulse.start("plimsoll-writer", move || writer.run())?;
    for reader in readers {
        pulse.start("plimsoll-reader", move || reader.run())?;
    }
    Ok(Shared { catalog, clock, write_queue, read_queue, pulse })
}

/// Brings the tables up to date and adds what resources are new: one node at a time.
fn prepare(conn: &mut Conn, options: &Options) -> Result<Catalog, Error> {
    let is_shared = conn.dialect() == Dialect::Postgres;
    if is_shared {
        conn.batch(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))?;
    }
    let mut owners = std::iter::once(&MIGRATIONS).chain(&options.migrations);
    let migrated = owners.try_for_each(|owner| dialect::migrate(conn, owner));
    let catalog = migrated.and_then(|()| catalog(conn, &options.resources, options.clock.now()));
    if is_shared {
        conn.batch(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})"))?;
    }
    catalog
}

/// The built-in resources, those declared before, and those said now. What is new is kept.
fn catalog(conn: &mut Conn, said: &[String], now: Micros) -> Result<Catalog, Error> {
    let built_in = Catalog::built_in();
    let mut tx = Tx::new(conn, &built_in, now);
    let row = tx.query_opt("SELECT value FROM settings WHERE key = $1", &params![RESOURCES])?;
    let kept = row.map(|row| row.get::<String>(0)).transpose()?.unwrap_or_default();
    let mut catalog = Catalog::built_in();
    let mut names: Vec<&str> = kept.lines().collect();
    names.extend(said.iter().map(String::as_str).filter(|name| built_in.find(name).is_none()));
    let mut seen = Vec::new();
    for name in names {
        catalog.declare(name).map_err(|error| Error::Invalid(error.to_string()))?;
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    let text = seen.join("\n");
    if text != kept {
        let sql =
            "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        tx.execute(sql, &params![RESOURCES, &text])?;
    }
    Ok(catalog)
}
