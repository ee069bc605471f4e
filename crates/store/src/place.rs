//! Which claims lie on an allotment: an index of our own, in two tables.
//!
//! **Why.** In an index by allotment each claim has a page to itself: charges on 1,000 leaves write 1,000 pages, and pages
//! are what a commit costs. So a claim is noted at the end of `claims_new`, and a few thousand are moved to `claims_at` at
//! once, when several share each page. The figures are in `docs/adr/0004`.
//! **Always.** A claim with a demand side is in exactly one of the two, in the commit of the claim.

use ledger::{AllotmentId, ClaimId};

use crate::{Actor, Error, Tx, Unit, Value, params};

/// How many claims are new at most, more or less: enough that several share a page, few enough to be looked through.
pub(crate) const NEW_MAX: usize = 8192;

/// Notes where new claims lie.
pub(crate) fn put(tx: &mut Tx, places: &[(ClaimId, AllotmentId)]) -> Result<(), Error> {
    let rows: Vec<[Value; 2]> = places.iter().map(|(claim, demand)| params![*claim, *demand]).collect();
    tx.insert_rows("claims_new (claim_id, demand_id)", "", &rows)
}

/// Forgets claims that lie there no longer.
pub(crate) fn remove(tx: &mut Tx, places: &[(ClaimId, AllotmentId)]) -> Result<(), Error> {
    let claims: Vec<Value> = places.iter().map(|(claim, _)| (*claim).into()).collect();
    let removed = tx.execute_in(|list| format!("DELETE FROM claims_new WHERE claim_id IN {list}"), &claims)?;
    if removed == places.len() as u64 {
        return Ok(());
    }
    for (claim, demand) in places {
        tx.execute("DELETE FROM claims_at WHERE demand_id = $1 AND claim_id = $2", &params![*demand, *claim])?;
    }
    Ok(())
}

/// Moves what is new to where it is found by its allotment. Nobody else may write meanwhile.
pub(crate) fn settle() -> Unit<u64> {
    let unit = Unit::by(Actor::system("store")).rows(|tx| {
        let order = "SELECT demand_id, claim_id FROM claims_new ORDER BY demand_id, claim_id";
        let moved = tx.execute(&format!("INSERT INTO claims_at (demand_id, claim_id) {order}"), &[])?;
        tx.execute("DELETE FROM claims_new", &[])?;
        Ok(moved)
    });
    unit.exclusively()
}

/// The claims on this very allotment after one of them, in the order of their ids; at most so many.
pub(crate) fn list(
    tx: &mut Tx,
    demand: AllotmentId,
    after: Option<ClaimId>,
    limit: usize,
) -> Result<Vec<ClaimId>, Error> {
    let after = after.map_or(String::new(), |after| after.to_string());
    let mut found: Vec<ClaimId> = Vec::new();
    for table in ["claims_at", "claims_new"] {
        let sql =
            format!("SELECT claim_id FROM {table} WHERE demand_id = $1 AND claim_id > $2 ORDER BY claim_id LIMIT $3");
        for row in tx.query(&sql, &params![demand, &after, limit])? {
            found.push(row.get(0)?);
        }
    }
    found.sort_unstable();
    found.truncate(limit);
    Ok(found)
}

/// How many claims are noted, in both tables.
pub(crate) fn count(tx: &mut Tx) -> Result<u64, Error> {
    let sql = "SELECT (SELECT count(*) FROM claims_at) + (SELECT count(*) FROM claims_new)";
    tx.query_opt(sql, &[])?.map_or(Ok(0), |row| row.get(0))
}
