//! SQLite as one would charge on it without us: in process, a transaction a charge, one connection behind a mutex, in WAL
//! mode with `synchronous=FULL`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use rusqlite::Connection;

use super::{LEAVES, WIDE, path};
use crate::load::{self, Outcome, Turn};
use crate::rng::Rng;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE node (id INTEGER PRIMARY KEY, objects INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    objects_max INTEGER NOT NULL, bytes_max INTEGER NOT NULL);
CREATE TABLE claim (id INTEGER PRIMARY KEY, leaf INTEGER NOT NULL, bytes INTEGER NOT NULL);
";

/// All four or none: SQLite has one writer, so the look and the change cannot be parted.
const UPDATE: &str = "UPDATE node SET objects = objects + 1, bytes = bytes + ?5 WHERE id IN (?1, ?2, ?3, ?4)
    AND NOT EXISTS (SELECT 1 FROM node WHERE id IN (?1, ?2, ?3, ?4)
        AND (objects + 1 > objects_max OR bytes + ?5 > bytes_max))";

/// A folder to make the database in, anew for each turn.
pub struct Sqlite {
    folder: PathBuf,
}

impl Sqlite {
    /// In this folder.
    pub fn set_up(folder: &Path) -> Sqlite {
        Sqlite { folder: folder.to_owned() }
    }

    /// One turn, on an empty database.
    pub fn turn(&self, clients: usize, length: Duration) -> Result<Turn> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let connection = Arc::new(Mutex::new(open(&folder.path().join("charge.db"))?));
        let clients: Vec<_> = (0..clients).map(|number| client(number, Arc::clone(&connection))).collect();
        let turn = load::threads(clients, length);
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = "SELECT objects = (SELECT count(*) FROM claim) FROM node WHERE id = 1";
        if !connection.query_row(sums, (), |row| row.get::<_, bool>(0))? {
            bail!("SQLite's sum is not its claims'");
        }
        Ok(turn)
    }
}

fn open(file: &Path) -> Result<Connection> {
    let mut connection = Connection::open(file)?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    for id in super::nodes() {
        let limits = (id, WIDE as i64);
        transaction.execute("INSERT INTO node (id, objects_max, bytes_max) VALUES (?1, ?2, ?2)", limits)?;
    }
    transaction.commit()?;
    Ok(connection)
}

fn client(number: usize, connection: Arc<Mutex<Connection>>) -> impl FnMut() -> Result<Outcome> {
    let mut random = Rng::of(number);
    move || {
        let [a, b, c, d] = path(random.below(LEAVES));
        let bytes = random.bytes() as i64;
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        let touched = connection.prepare_cached(UPDATE)?.execute((a, b, c, d, bytes))?;
        if touched == 4 {
            connection.prepare_cached("INSERT INTO claim (leaf, bytes) VALUES (?1, ?2)")?.execute((a, bytes))?;
        }
        connection.prepare_cached("COMMIT")?.execute(())?;
        Ok(if touched == 4 { Outcome::Served } else { Outcome::Refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_charges_and_its_sum_comes_out() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Sqlite::set_up(folder.path()).turn(4, Duration::from_millis(50)).unwrap();
        assert!(turn.served > 0 && turn.wrong == 0 && turn.refused == 0, "{:?}", turn.first_wrong);
    }
}
