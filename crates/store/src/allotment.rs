//! Allotments: the nodes of the tree. Reading them; [`crate::Unit`] changes them.

use std::str::FromStr;

use ledger::{AllotmentId, Amounts, Balance, Limits, LoadLine, Mark, Name, Overcommit, Resource, Side};
use serde_json::json;

use crate::{Error, Managed, Micros, Row, TenantId, Tx, UserId, Value, params};

/// An allotment by its id or by its path.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AllotmentRef {
    /// By id.
    Id(AllotmentId),
    /// By the names from the root of a side.
    Path(Side, String),
}

impl From<AllotmentId> for AllotmentRef {
    fn from(id: AllotmentId) -> Self {
        AllotmentRef::Id(id)
    }
}

impl From<TenantId> for AllotmentRef {
    fn from(id: TenantId) -> Self {
        AllotmentRef::Id(AllotmentId(id.0))
    }
}

impl FromStr for AllotmentRef {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let by_path = |side, path: &str| AllotmentRef::Path(side, path.trim_matches('/').to_owned());
        if let Some(path) = text.strip_prefix("path:") {
            return Ok(by_path(Side::Demand, path));
        }
        if let Some(path) = text.strip_prefix("supply:") {
            return Ok(by_path(Side::Supply, path));
        }
        let id = text.parse().map(AllotmentRef::Id);
        id.map_err(|_| Error::Invalid(format!("{text:?} is no id, no path:… and no supply:…")))
    }
}

impl std::fmt::Display for AllotmentRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AllotmentRef::Id(id) => id.fmt(f),
            AllotmentRef::Path(Side::Demand, path) => write!(f, "path:{path}"),
            AllotmentRef::Path(Side::Supply, path) => write!(f, "supply:{path}"),
        }
    }
}

/// An allotment to be made.
#[derive(Clone, Debug)]
pub struct NewAllotment {
    /// Made by the caller, with [`crate::Store::new_id`].
    pub id: AllotmentId,
    /// Under which node; none makes a root.
    pub parent: Option<AllotmentRef>,
    /// On which side; a child is on its parent's, whatever is said here.
    pub side: Side,
    /// Unique among its siblings.
    pub name: Name,
    /// For people.
    pub title: String,
    /// What it stands for: `tenant`, `project`, `allocation`…
    pub kind: String,
    /// Its limits.
    pub limits: Limits,
    /// What it may promise; none is not checked.
    pub overcommit: Option<Overcommit>,
    /// Its load lines.
    pub load_lines: Vec<LoadLine>,
    /// When it stops admitting.
    pub expires_at: Option<Micros>,
    /// The noun it stands for.
    pub managed_by: Option<Managed>,
    /// The member who owns it.
    pub owner: Option<UserId>,
}

impl NewAllotment {
    /// A node of kind `allotment` on the demand side, without limits.
    pub fn new(id: AllotmentId, parent: Option<AllotmentRef>, name: Name) -> NewAllotment {
        NewAllotment {
            id,
            parent,
            side: Side::Demand,
            title: String::new(),
            name,
            kind: "allotment".to_owned(),
            limits: Limits::new(),
            overcommit: None,
            load_lines: Vec::new(),
            expires_at: None,
            managed_by: None,
            owner: None,
        }
    }
}

/// What to change of an allotment: what is not said stays.
#[derive(Clone, Debug, Default)]
pub struct AllotmentPatch {
    /// Another name: the paths below it change with it.
    pub name: Option<Name>,
    /// Another parent, of the same tree: what is charged at or below the node is charged there from now on.
    pub parent: Option<AllotmentRef>,
    /// Another title.
    pub title: Option<String>,
    /// Another kind.
    pub kind: Option<String>,
    /// Other limits; none is unlimited.
    pub limits: Vec<(Resource, Option<u64>)>,
    /// Limits that grow or shrink by so much, from what they are at the moment of the change. One that is not there is
    /// [`Error::Invalid`].
    pub limits_by: Vec<(Resource, i64)>,
    /// Whether a limit that is lowered must still cover what is used and pending, else [`Error::Refused`], and what is
    /// promised where the node has an overcommit, else [`Error::Overcommitted`].
    pub covering: bool,
    /// Another overcommit.
    pub overcommit: Option<Option<Overcommit>>,
    /// Other load lines.
    pub load_lines: Option<Vec<LoadLine>>,
    /// Another end.
    pub expires_at: Option<Option<Micros>>,
    /// Another owner.
    pub owner: Option<Option<UserId>>,
    /// Another noun.
    pub managed_by: Option<Option<Managed>>,
    /// The version the caller saw; if it is another by now, [`Error::Stale`].
    pub if_version: Option<i64>,
}

impl AllotmentPatch {
    /// Whether it changes what only the managing face may change.
    pub(crate) fn touches_noun(&self) -> bool {
        self.name.is_some()
            || self.parent.is_some()
            || self.title.is_some()
            || self.kind.is_some()
            || self.owner.is_some()
            || self.managed_by.is_some()
    }
}

/// A node of the tree, as it was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Allotment {
    /// Its id.
    pub id: AllotmentId,
    /// The names from the root, joined by slashes.
    pub path: String,
    /// Its own name.
    pub name: String,
    /// For people.
    pub title: String,
    /// What it stands for.
    pub kind: String,
    /// On which side.
    pub side: Side,
    /// Its parent; none is a root.
    pub parent: Option<AllotmentId>,
    /// The root of its side.
    pub root: AllotmentId,
    /// How many nodes lie above it.
    pub depth: u64,
    /// The noun it stands for.
    pub managed_by: Option<Managed>,
    /// The member who owns it.
    pub owner: Option<UserId>,
    /// What it counts, by resource.
    pub balances: Vec<(Resource, Balance)>,
    /// What it may promise.
    pub overcommit: Option<Overcommit>,
    /// Its load lines.
    pub load_lines: Vec<LoadLine>,
    /// When it stops admitting.
    pub expires_at: Option<Micros>,
    /// Whether it takes no new claims because its sums were found wrong.
    pub frozen: bool,
    /// How many children it has.
    pub children: u64,
    /// Grows with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed, not counting what was charged.
    pub updated_at: Micros,
}

impl Allotment {
    /// The tenant it belongs to; none on the supply side.
    pub fn tenant(&self) -> Option<TenantId> {
        (self.side == Side::Demand).then_some(TenantId(self.root.0))
    }

    /// What it counts of one resource.
    pub fn balance(&self, resource: Resource) -> Balance {
        self.balances.iter().find(|(known, _)| *known == resource).map(|(_, balance)| *balance).unwrap_or_default()
    }

    /// Its limits.
    pub fn limits(&self) -> Limits {
        self.collect(|balance| balance.limit)
    }

    /// What held claims take, of each resource that is used or limited.
    pub fn used(&self) -> Amounts {
        self.collect(|balance| Some(balance.used))
    }

    /// What pending claims take, likewise.
    pub fn pending(&self) -> Amounts {
        self.collect(|balance| Some(balance.pending))
    }

    fn collect(&self, what: impl Fn(&Balance) -> Option<u64>) -> Amounts {
        let mut amounts = Amounts::new();
        for (resource, balance) in &self.balances {
            if let Some(units) = what(balance) {
                // What was read from a BIGINT is an amount.
                let _ = amounts.insert(*resource, units);
            }
        }
        amounts
    }
}

/// Which allotments to list, by path.
#[derive(Clone, Debug, Default)]
pub struct AllotmentFilter {
    /// This one and all below it.
    pub at_or_below: Option<AllotmentRef>,
    /// Direct children.
    pub parent: Option<AllotmentId>,
    /// Of this kind.
    pub kind: Option<String>,
    /// On this side.
    pub side: Option<Side>,
    /// With this text in its path or title, whatever the case.
    pub q: Option<String>,
    /// Of this tenant; with [`AllotmentFilter::supply_too`], the supply side, too.
    pub tenant: Option<TenantId>,
    /// The supply side, which every tenant may see, beside the tenant's.
    pub supply_too: bool,
    /// Owned by this user.
    pub owner: Option<UserId>,
    /// After this side and path.
    pub after: Option<(Side, String)>,
    /// At most so many.
    pub limit: usize,
}

pub(crate) const COLUMNS: &str = "id, side, parent_id, root_id, depth, name, path, title, kind, owner_id, managed, \
    overcommit_permille, load_lines, expires_at, frozen, children, version, created_at, updated_at";

/// The allotment, with what it counts.
pub fn find(tx: &mut Tx, reference: &AllotmentRef) -> Result<Option<Allotment>, Error> {
    let (condition, values) = match reference {
        AllotmentRef::Id(id) => ("id = $1", params![*id].to_vec()),
        AllotmentRef::Path(side, path) => ("side = $1 AND path = $2", params![side.as_str(), path].to_vec()),
    };
    let rows = tx.query(&format!("SELECT {COLUMNS} FROM allotments WHERE {condition}"), &values)?;
    Ok(with_balances(tx, rows)?.pop())
}

/// The allotment and all above it, leaf first.
pub fn above(tx: &mut Tx, id: AllotmentId) -> Result<Vec<Allotment>, Error> {
    let sql = format!(
        "WITH RECURSIVE up (up_id, up_parent) AS (SELECT id, parent_id FROM allotments WHERE id = $1 \
         UNION ALL SELECT a.id, a.parent_id FROM allotments a JOIN up ON a.id = up.up_parent) \
         SELECT {COLUMNS} FROM allotments JOIN up ON id = up_id ORDER BY depth DESC"
    );
    let rows = tx.query(&sql, &params![id])?;
    with_balances(tx, rows)
}

/// Allotments in the order of side and path.
pub fn list(tx: &mut Tx, filter: &AllotmentFilter) -> Result<Vec<Allotment>, Error> {
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    match &filter.at_or_below {
        Some(reference) => {
            let Some(top) = find(tx, reference)? else { return Ok(Vec::new()) };
            let (side, path) = (bind(top.side.as_str().into()), bind(top.path.as_str().into()));
            let (from, to) = (bind(format!("{}/", top.path).into()), bind(format!("{}0", top.path).into()));
            // The first two bounds are the index's: of an OR alone SQLite would walk the whole side.
            conditions.push(format!(
                "side = {side} AND path >= {path} AND path < {to} AND (path = {path} OR path >= {from})"
            ));
        }
        None => {
            if let Some(side) = filter.side {
                conditions.push(format!("side = {}", bind(side.as_str().into())));
            }
        }
    }
    if let Some(parent) = filter.parent {
        conditions.push(format!("parent_id = {}", bind(parent.into())));
    }
    if let Some(kind) = &filter.kind {
        conditions.push(format!("kind = {}", bind(kind.into())));
    }
    if let Some(q) = &filter.q {
        let like = bind(format!("%{}%", escape_like(&q.to_lowercase())).into());
        conditions.push(format!("(path LIKE {like} ESCAPE '!' OR lower(title) LIKE {like} ESCAPE '!')"));
    }
    if let Some(tenant) = filter.tenant {
        let or_supply = if filter.supply_too { " OR side = 'supply'" } else { "" };
        conditions.push(format!("(root_id = {}{or_supply})", bind(tenant.into())));
    }
    if let Some(owner) = filter.owner {
        conditions.push(format!("owner_id = {}", bind(owner.into())));
    }
    if let Some((side, path)) = &filter.after {
        let (side, path) = (bind(side.as_str().into()), bind(path.into()));
        conditions.push(format!("(side > {side} OR (side = {side} AND path > {path}))"));
    }
    let limit = bind(filter.limit.into());
    let conditions = conditions.join(" AND ");
    let sql = format!("SELECT {COLUMNS} FROM allotments WHERE {conditions} ORDER BY side, path LIMIT {limit}");
    let rows = tx.query(&sql, &values)?;
    with_balances(tx, rows)
}

pub(crate) fn escape_like(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

fn with_balances(tx: &mut Tx, rows: Vec<Row>) -> Result<Vec<Allotment>, Error> {
    let mut allotments = rows.iter().map(|row| from_row(tx, row)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<Value> = allotments.iter().map(|allotment| allotment.id.into()).collect();
    let mut found = std::collections::HashMap::new();
    let sql = |list: &str| {
        format!(
            "SELECT allotment_id, resource, quota, used, pending, promised FROM balances WHERE allotment_id IN {list}"
        )
    };
    for row in tx.query_in(sql, &ids)? {
        let (id, resource, balance) = balance_from_row(tx, &row)?;
        found.entry(id).or_insert_with(Vec::new).push((resource, balance));
    }
    for allotment in &mut allotments {
        allotment.balances = found.remove(&allotment.id).unwrap_or_default();
        allotment.balances.sort_by_key(|(resource, _)| *resource);
    }
    Ok(allotments)
}

pub(crate) fn balance_from_row(tx: &Tx, row: &Row) -> Result<(AllotmentId, Resource, Balance), Error> {
    let name: String = row.get(1)?;
    let resource = tx.catalog().find(&name).ok_or_else(|| Error::Broken(format!("no resource {name:?}")))?;
    let promised: String = row.get(5)?;
    let promised = promised.parse().map_err(|_| Error::Broken(format!("promised {promised:?} is no number")))?;
    let balance = Balance { limit: row.get(2)?, used: row.get(3)?, pending: row.get(4)?, promised };
    Ok((row.get(0)?, resource, balance))
}

pub(crate) fn side_from(text: &str) -> Side {
    if text == Side::Supply.as_str() { Side::Supply } else { Side::Demand }
}

pub(crate) fn from_row(tx: &Tx, row: &Row) -> Result<Allotment, Error> {
    Ok(Allotment {
        id: row.get(0)?,
        side: side_from(&row.get::<String>(1)?),
        parent: row.get(2)?,
        root: row.get(3)?,
        depth: row.get(4)?,
        name: row.get(5)?,
        path: row.get(6)?,
        title: row.get(7)?,
        kind: row.get(8)?,
        owner: row.get(9)?,
        managed_by: row.get::<Option<String>>(10)?.as_deref().and_then(Managed::parse),
        overcommit: row.get::<Option<u64>>(11)?.map(|permille| Overcommit { permille: permille as u32 }),
        load_lines: load_lines_from_text(tx, &row.get::<String>(12)?)?,
        expires_at: row.get(13)?,
        frozen: row.get(14)?,
        children: row.get(15)?,
        version: row.get(16)?,
        created_at: row.get(17)?,
        updated_at: row.get(18)?,
        balances: Vec::new(),
    })
}

pub(crate) fn load_lines_to_text(lines: &[LoadLine]) -> String {
    let line = |line: &LoadLine| match line.mark {
        Mark::Percent(percent) => json!({"resource": line.resource, "percent": percent}),
        Mark::Amount(units) => json!({"resource": line.resource, "amount": units}),
    };
    serde_json::Value::Array(lines.iter().map(line).collect()).to_string()
}

pub(crate) fn load_lines_from_text(tx: &Tx, text: &str) -> Result<Vec<LoadLine>, Error> {
    if text == "[]" {
        return Ok(Vec::new());
    }
    let wrong = || Error::Broken(format!("load lines {text:?} are not as written"));
    let lines: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    let line = |line: &serde_json::Value| {
        let resource = tx.catalog().find(line["resource"].as_str()?)?;
        let percent = line["percent"].as_u64().map(|percent| Mark::Percent(percent as u32));
        Some(LoadLine { resource, mark: percent.or_else(|| line["amount"].as_u64().map(Mark::Amount))? })
    };
    lines.iter().map(|json| line(json).ok_or_else(wrong)).collect()
}
