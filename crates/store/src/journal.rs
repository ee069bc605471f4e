//! The journal: every change, who made it, in order.
//!
//! **Always.** An entry is in the commit of its change. A reader who has seen number *n* never meets a lower one later: on
//! PostgreSQL, where several write, it is shown up to the oldest transaction that is still open.

use std::sync::Arc;

use ledger::AllotmentId;

use crate::{AllotmentRef, Error, Micros, Row, TenantId, Tx, Value, allotment, params};

/// An entry to be written.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub at: Micros,
    pub actor: String,
    pub kind: &'static str,
    /// The root of the allotment, on the demand side.
    pub tenant: Option<AllotmentId>,
    pub allotment: Option<AllotmentId>,
    pub path: Option<Arc<str>>,
    pub subject: Option<String>,
    /// JSON.
    pub detail: String,
}

const INTO: &str = "journal (at, actor, kind, tenant_id, allotment_id, path, subject, detail)";

pub(crate) fn write(tx: &mut Tx, entries: Vec<Entry>) -> Result<(), Error> {
    let row = |entry: Entry| {
        params![
            entry.at,
            entry.actor,
            entry.kind,
            entry.tenant,
            entry.allotment,
            entry.path,
            entry.subject,
            entry.detail
        ]
    };
    tx.insert_rows(INTO, "", &entries.into_iter().map(row).collect::<Vec<_>>())
}

/// An entry as it was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Its number: later entries have higher ones, not always the next.
    pub seq: u64,
    /// When.
    pub at: Micros,
    /// Who: `user:<uuid>` or `system:<part>`.
    pub actor: String,
    /// What: `claim.charged`, `allotment.created`…
    pub kind: String,
    /// The allotment it happened to.
    pub allotment: Option<AllotmentId>,
    /// Its path at the time.
    pub path: Option<String>,
    /// What else it is about: a claim's id, a user's.
    pub subject: Option<String>,
    /// More of it, in JSON.
    pub detail: String,
}

/// Which entries to list, oldest first.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// After this number.
    pub after: u64,
    /// Of this allotment and all that are below it now.
    pub at_or_below: Option<AllotmentRef>,
    /// Of this kind, or with `claim.` of all kinds that begin so.
    pub kind: Option<String>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// At most so many.
    pub limit: usize,
}

/// Entries in the order of their numbers.
pub fn list(tx: &mut Tx, filter: &EventFilter) -> Result<Vec<Event>, Error> {
    let mut values: Vec<Value> = params![filter.after].to_vec();
    let mut conditions = vec!["journal.seq > $1".to_owned(), tx.dialect().settled_journal().to_owned()];
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    if let Some(tenant) = filter.tenant {
        conditions.push(format!("journal.tenant_id = {}", bind(tenant.into())));
    }
    if let Some(kind) = &filter.kind {
        conditions.push(match kind.strip_suffix('.') {
            // The next character after the dot bounds all that begin so.
            Some(start) => {
                format!("journal.kind >= {} AND journal.kind < {}", bind(kind.into()), bind(format!("{start}/").into()))
            }
            None => format!("journal.kind = {}", bind(kind.into())),
        });
    }
    if let Some(reference) = &filter.at_or_below {
        let Some(top) = allotment::find(tx, reference)? else { return Ok(Vec::new()) };
        let (side, path) = (bind(top.side.as_str().into()), bind(top.path.as_str().into()));
        let (from, to) = (bind(format!("{}/", top.path).into()), bind(format!("{}0", top.path).into()));
        conditions.push(format!(
            "(journal.allotment_id = {} OR journal.allotment_id IN (SELECT id FROM allotments WHERE side = {side} \
             AND path >= {path} AND path < {to} AND (path = {path} OR path >= {from})))",
            bind(top.id.into())
        ));
    }
    let limit = bind(filter.limit.into());
    let sql = format!(
        "SELECT seq, at, actor, kind, allotment_id, path, subject, detail FROM journal WHERE {} ORDER BY seq LIMIT {limit}",
        conditions.join(" AND "),
    );
    tx.query(&sql, &values)?.iter().map(from_row).collect()
}

fn from_row(row: &Row) -> Result<Event, Error> {
    Ok(Event {
        seq: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        kind: row.get(3)?,
        allotment: row.get(4)?,
        path: row.get(5)?,
        subject: row.get(6)?,
        detail: row.get(7)?,
    })
}
