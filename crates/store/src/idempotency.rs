//! A request sent twice with one key has one effect.
//!
//! **Always.** The key's row is in the commit of the effect, so either both are there or neither. Only successes are
//! remembered: what was refused is judged anew.

use crate::{Applied, Error, Idempotency, Micros, Tx, params};

/// How long a key is remembered.
pub(crate) const REMEMBERED_US: Micros = 24 * 3_600_000_000;

/// Fails with what was answered, if the key was used; with [`Error::KeyReused`], if it was used for something else.
pub(crate) fn look_up(tx: &mut Tx, key: &Idempotency) -> Result<(), Error> {
    let sql =
        "SELECT fingerprint, answer, created_at FROM idempotency WHERE principal = $1 AND route = $2 AND key = $3";
    let Some(row) = tx.query_opt(sql, &params![&key.principal, &key.route, &key.key])? else { return Ok(()) };
    if row.get::<Micros>(2)? <= tx.now() - REMEMBERED_US {
        let sql = "DELETE FROM idempotency WHERE principal = $1 AND route = $2 AND key = $3";
        return tx.execute(sql, &params![&key.principal, &key.route, &key.key]).map(drop);
    }
    match row.get::<Vec<u8>>(0)? == key.fingerprint {
        true => Err(Error::Replayed(row.get(1)?)),
        false => Err(Error::KeyReused),
    }
}

/// Keeps the answer.
pub(crate) fn remember(tx: &mut Tx, key: &Idempotency, applied: &Applied) -> Result<(), Error> {
    let sql = "INSERT INTO idempotency (principal, route, key, fingerprint, answer, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    let answer = (key.render)(applied);
    let values = params![&key.principal, &key.route, &key.key, key.fingerprint.as_slice(), answer, tx.now()];
    match tx.execute(sql, &values) {
        Ok(_) => Ok(()),
        // Another node was first: from the start again, and its answer is found.
        Err(Error::Conflict(why)) => Err(Error::Retry(why)),
        Err(error) => Err(error),
    }
}

/// Forgets keys that are over, a bounded number at a time.
pub(crate) fn sweep(tx: &mut Tx) -> Result<u64, Error> {
    let sql = "DELETE FROM idempotency WHERE (principal, route, key) IN \
        (SELECT principal, route, key FROM idempotency WHERE created_at <= $1 LIMIT 1000)";
    tx.execute(sql, &params![tx.now() - REMEMBERED_US])
}
