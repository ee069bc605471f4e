//! Bringing the paths of leaves into the book.
//!
//! **Order.** Rows of allotments are locked in the order of their ids, then their balances are read: whoever holds an
//! allotment's row holds its balances, those that do not exist yet included.

use std::collections::HashMap;
use std::sync::Arc;

use ledger::{AllotmentId, Book, Node};

use crate::{Error, Tx, Value, allotment};

/// Loads these leaves and all above them that the book does not have. A leaf that is not there is left out.
pub(crate) fn paths(tx: &mut Tx, book: &mut Book, leaves: &[AllotmentId]) -> Result<(), Error> {
    let values = |ids: &[AllotmentId]| ids.iter().map(|id| Value::from(*id)).collect::<Vec<_>>();
    let up = |list: &str| {
        format!(
            "WITH RECURSIVE up (up_id, up_parent) AS (SELECT id, parent_id FROM allotments WHERE id IN {list} \
             UNION SELECT a.id, a.parent_id FROM allotments a JOIN up ON a.id = up.up_parent) SELECT up_id FROM up"
        )
    };
    let mut missing = Vec::new();
    for row in tx.query_in(up, &values(leaves))? {
        let id: AllotmentId = row.get(0)?;
        if book.node(id).is_none() {
            missing.push(id);
        }
    }
    missing.sort_unstable();
    missing.dedup();
    let lock = tx.dialect().for_update("allotments");
    let columns = allotment::COLUMNS;
    let nodes = |list: &str| format!("SELECT {columns} FROM allotments WHERE id IN {list} ORDER BY id{lock}");
    let mut found: HashMap<AllotmentId, Node> = HashMap::new();
    for row in tx.query_in(nodes, &values(&missing))? {
        let node = node(allotment::from_row(tx, &row)?);
        found.insert(node.id, node);
    }
    let balances = |list: &str| {
        format!(
            "SELECT allotment_id, resource, quota, used, pending, promised FROM balances WHERE allotment_id IN {list}"
        )
    };
    for row in tx.query_in(balances, &values(&missing))? {
        let (id, resource, balance) = allotment::balance_from_row(tx, &row)?;
        let Some(node) = found.get_mut(&id) else { continue };
        // A value that stands twice in a list may bring its rows twice.
        match node.balances.binary_search_by_key(&resource, |(known, _)| *known) {
            Ok(at) => node.balances[at].1 = balance,
            Err(at) => node.balances.insert(at, (resource, balance)),
        }
    }
    let mut nodes: Vec<Node> = found.into_values().collect();
    nodes.sort_by_key(|node| node.depth);
    nodes.into_iter().try_for_each(|node| Ok(book.load(node)?))
}

/// A row as the ledger takes it, without balances.
pub(crate) fn node(row: crate::Allotment) -> Node {
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
        balances: row.balances.into_iter().collect(),
    }
}
