//! Bringing the paths of leaves into the book.
//!
//! What a node is (its place, its path) is read once and stays true while the tree's shape does. What it counts stays true
//! only where nobody else writes; elsewhere it is read again in each batch, under the lock of the allotment's row.
//!
//! **Order.** Rows of allotments are locked in the order of their ids, then their balances are read: whoever holds an
//! allotment's row holds its balances, those that do not exist yet included.

use std::collections::HashMap;
use std::sync::Arc;

use ledger::{AllotmentId, Balance, Book, Node, Resource};
use smallvec::SmallVec;

use crate::{Error, Tx, Value, allotment};

/// Loads these leaves and all above them that the book does not have, counting nothing yet; answers which those are. A
/// leaf that is not there is left out.
pub(crate) fn nodes(tx: &mut Tx, book: &mut Book, leaves: &[AllotmentId]) -> Result<Vec<AllotmentId>, Error> {
    let columns = allotment::COLUMNS;
    let sql = |list: &str| {
        format!(
            "WITH RECURSIVE up (up_id, up_parent) AS (SELECT id, parent_id FROM allotments WHERE id IN {list} \
             UNION SELECT a.id, a.parent_id FROM allotments a JOIN up ON a.id = up.up_parent) \
             SELECT {columns} FROM allotments JOIN up ON id = up_id"
        )
    };
    let mut found: Vec<Node> = Vec::new();
    for row in tx.query_in(sql, &values(leaves))? {
        let node = node(allotment::from_row(tx, &row)?);
        if book.node(node.id).is_none() {
            found.push(node);
        }
    }
    found.sort_by_key(|node| (node.depth, node.id));
    found.dedup_by_key(|node| node.id);
    let ids = found.iter().map(|node| node.id).collect();
    found.into_iter().try_for_each(|node| book.load(node))?;
    Ok(ids)
}

/// Whether a node is frozen, and what it counts.
type Counted = (bool, SmallVec<[(Resource, Balance); 2]>);

/// Reads what these nodes count, and whether they are frozen; on a shared database their rows are locked. `ids` are in
/// their order.
pub(crate) fn balances(tx: &mut Tx, book: &mut Book, ids: &[AllotmentId]) -> Result<(), Error> {
    let lock = tx.dialect().for_update("allotments");
    let rows = |list: &str| format!("SELECT id, frozen FROM allotments WHERE id IN {list} ORDER BY id{lock}");
    let mut found: HashMap<AllotmentId, Counted> = HashMap::new();
    for row in tx.query_in(rows, &values(ids))? {
        found.insert(row.get(0)?, (row.get(1)?, SmallVec::new()));
    }
    let sql = |list: &str| {
        format!(
            "SELECT allotment_id, resource, quota, used, pending, promised FROM balances WHERE allotment_id IN {list}"
        )
    };
    for row in tx.query_in(sql, &values(ids))? {
        let (id, resource, balance) = allotment::balance_from_row(tx, &row)?;
        let Some((_, balances)) = found.get_mut(&id) else { continue };
        // A value that stands twice in a list may bring its rows twice.
        match balances.binary_search_by_key(&resource, |(known, _)| *known) {
            Ok(at) => balances[at].1 = balance,
            Err(at) => balances.insert(at, (resource, balance)),
        }
    }
    found.into_iter().for_each(|(id, (frozen, balances))| book.refresh(id, frozen, balances));
    Ok(())
}

fn values(ids: &[AllotmentId]) -> Vec<Value> {
    ids.iter().map(|id| Value::from(*id)).collect()
}

/// A row as the ledger takes it, without balances.
fn node(row: crate::Allotment) -> Node {
    Node {
        id: row.id,
        side: row.side,
        parent: row.parent,
        path: Arc::from(row.path),
        root: row.root,
        depth: row.depth as usize,
        overcommit: row.overcommit,
        load_lines: row.load_lines,
        frozen: row.frozen,
        expires_at: row.expires_at,
        balances: SmallVec::new(),
    }
}
