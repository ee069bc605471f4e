//! PostgreSQL as one would charge on it without us: the four rows updated in a fixed order, the claim inserted, one
//! transaction, connections that stay open. The row of the root is locked until the flush is over.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use postgres::{Client, NoTls, Statement};

use super::{LEAVES, WIDE, path};
use crate::load::{self, Outcome, Turn};
use crate::rng::Rng;

/// A tree of rows, the claims, and the whole charge as one function for the client who wants one round trip.
const SCHEMA: &str = "
DROP TABLE IF EXISTS node, claim;
CREATE TABLE node (id BIGINT PRIMARY KEY, objects BIGINT NOT NULL DEFAULT 0, bytes BIGINT NOT NULL DEFAULT 0,
    objects_max BIGINT NOT NULL, bytes_max BIGINT NOT NULL) WITH (fillfactor = 50);
CREATE TABLE claim (id BIGSERIAL PRIMARY KEY, leaf BIGINT NOT NULL, bytes BIGINT NOT NULL, at TIMESTAMPTZ DEFAULT now());
CREATE OR REPLACE FUNCTION charge(a BIGINT, b BIGINT, c BIGINT, d BIGINT, n BIGINT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE touched INT;
BEGIN
    PERFORM 1 FROM node WHERE id IN (a, b, c, d) ORDER BY id DESC FOR UPDATE;
    UPDATE node SET objects = objects + 1, bytes = bytes + n
        WHERE id IN (a, b, c, d) AND objects + 1 <= objects_max AND bytes + n <= bytes_max;
    GET DIAGNOSTICS touched = ROW_COUNT;
    IF touched <> 4 THEN RAISE EXCEPTION 'full'; END IF;
    INSERT INTO claim (leaf, bytes) VALUES (a, n);
    RETURN TRUE;
END $$;
";

const UPDATE: &str = "UPDATE node SET objects = objects + 1, bytes = bytes + $5
    WHERE id IN (SELECT id FROM node WHERE id IN ($1, $2, $3, $4) ORDER BY id DESC FOR UPDATE)
    AND objects + 1 <= objects_max AND bytes + $5 <= bytes_max";

/// How a client charges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// BEGIN, UPDATE, INSERT, COMMIT.
    Statements,
    /// One call of a function that does all of it.
    OneCall,
}

/// The server that `xtask` has started for the bench.
pub struct Postgres {
    url: String,
}

impl Postgres {
    /// Makes the tree in an empty database.
    pub fn set_up(url: &str) -> Result<Postgres> {
        let mut client = Client::connect(url, NoTls).context("PostgreSQL")?;
        client.batch_execute(SCHEMA)?;
        let insert = client.prepare("INSERT INTO node (id, objects_max, bytes_max) VALUES ($1, $2, $2)")?;
        for id in super::nodes() {
            client.execute(&insert, &[&id, &(WIDE as i64)])?;
        }
        client.batch_execute("VACUUM ANALYZE node")?;
        Ok(Postgres { url: url.to_owned() })
    }

    /// One turn. The sums are compared with the claims after it.
    pub fn turn(&self, form: Form, clients: usize, length: Duration) -> Result<Turn> {
        let mut admin = Client::connect(&self.url, NoTls)?;
        // One by one: several in one call would be one transaction, and VACUUM cannot be in one.
        for statement in ["TRUNCATE claim", "UPDATE node SET objects = 0, bytes = 0", "VACUUM node", "CHECKPOINT"] {
            admin.batch_execute(statement)?;
        }
        let clients: Result<Vec<_>> = (0..clients).map(|number| self.client(form, number)).collect();
        let turn = load::threads(clients?, length);
        let sums = "SELECT objects = (SELECT count(*) FROM claim) FROM node WHERE id = 1";
        if !admin.query_one(sums, &[])?.get::<_, bool>(0) {
            bail!("PostgreSQL's sum is not its claims'");
        }
        Ok(turn)
    }

    fn client(&self, form: Form, number: usize) -> Result<impl FnMut() -> Result<Outcome> + use<>> {
        let mut client = Client::connect(&self.url, NoTls)?;
        let update = client.prepare(UPDATE)?;
        let insert = client.prepare("INSERT INTO claim (leaf, bytes) VALUES ($1, $2)")?;
        let call = client.prepare("SELECT charge($1, $2, $3, $4, $5)")?;
        let mut random = Rng::of(number);
        Ok(move || {
            let [a, b, c, d] = path(random.below(LEAVES));
            let bytes = random.bytes() as i64;
            match form {
                Form::Statements => statements(&mut client, &update, &insert, [a, b, c, d], bytes),
                Form::OneCall => {
                    client.query_one(&call, &[&a, &b, &c, &d, &bytes])?;
                    Ok(Outcome::Served)
                }
            }
        })
    }
}

fn statements(
    client: &mut Client,
    update: &Statement,
    insert: &Statement,
    [a, b, c, d]: [i64; 4],
    bytes: i64,
) -> Result<Outcome> {
    let mut transaction = client.transaction()?;
    if transaction.execute(update, &[&a, &b, &c, &d, &bytes])? != 4 {
        transaction.rollback()?;
        return Ok(Outcome::Refused);
    }
    transaction.execute(insert, &[&a, &bytes])?;
    transaction.commit()?;
    Ok(Outcome::Served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_charges_and_its_sum_comes_out() {
        let Ok(url) = std::env::var("PLIMSOLL_TEST_POSTGRES") else { return };
        let mut admin = Client::connect(&url, NoTls).unwrap();
        admin.batch_execute("DROP DATABASE IF EXISTS bench_peer").unwrap();
        admin.batch_execute("CREATE DATABASE bench_peer").unwrap();
        let (server, _) = url.rsplit_once('/').unwrap();
        let postgres = Postgres::set_up(&format!("{server}/bench_peer")).unwrap();
        for form in [Form::Statements, Form::OneCall] {
            let turn = postgres.turn(form, 4, Duration::from_millis(50)).unwrap();
            assert!(turn.served > 0 && turn.wrong == 0 && turn.refused == 0, "{:?}", turn.first_wrong);
        }
    }
}
