//! Changes of the tree itself: nodes made, changed and removed.
//!
//! **Always.** A node's row, its parent's count of children and what is promised change together. Rows are written at once, in
//! the unit's savepoint, so that what comes after sees them; balances wait for the end of the batch, as for every unit.

use std::sync::Arc;

use ledger::{AllotmentId, DEPTH_MAX, Node, Resource, Shape, Side};
use serde_json::{Map, Value as Json, json};

use crate::batch::Batch;
use crate::unit::{Answer, Step, Unit};
use crate::{Allotment, AllotmentPatch, AllotmentRef, Error, NewAllotment, allotment, params, place};

impl Batch<'_, '_> {
    /// Does a step that changes the tree. A node that is removed is answered as it was.
    pub(crate) fn shape(
        &mut self,
        unit: &Unit<Answer>,
        step: &Step,
    ) -> Result<(AllotmentId, Option<Allotment>), Error> {
        // What steps before this one have charged or released is asked of the tables.
        self.flush()?;
        match step {
            Step::Create(new) => self.create(unit, new).map(|id| (id, None)),
            Step::Change(reference, patch) => self.change(unit, reference, patch).map(|id| (id, None)),
            Step::Remove(reference) => self.remove(unit, reference).map(|gone| (gone.id, Some(gone))),
            _ => Err(Error::Broken("a step on a claim was taken for one on the tree".to_owned())),
        }
    }

    fn create(&mut self, unit: &Unit<Answer>, new: &NewAllotment) -> Result<AllotmentId, Error> {
        let parent = match &new.parent {
            Some(reference) => Some(self.resolve_own(unit, reference)?),
            // Roots are tenants and pools, and those are nobody's to make within one tenant.
            None if unit.tenant.is_some() => return Err(Error::Invalid("a parent must be said".to_owned())),
            None => None,
        };
        let (side, path, root, depth): (_, Arc<str>, _, _) = match &parent {
            Some(parent) => {
                // From its row: the book learns of a new name only after the commit.
                let above = self.row(parent.id)?.path;
                (parent.side, format!("{above}/{}", new.name).into(), parent.root, parent.depth + 1)
            }
            None => (new.side, new.name.as_str().into(), new.id, 0),
        };
        if depth >= DEPTH_MAX {
            return Err(Error::Conflict(format!("{path} would lie deeper than {DEPTH_MAX} levels")));
        }
        self.check_free(side, &path, Some(new.id))?;
        let node = Node {
            id: new.id,
            side,
            parent: parent.as_ref().map(|parent| parent.id),
            path,
            root,
            depth,
            overcommit: new.overcommit,
            load_lines: new.load_lines.clone(),
            frozen: false,
            expires_at: new.expires_at,
            balances: Default::default(),
        };
        self.insert(new, &node)?;
        self.engine.book.create(node, &new.limits)?;
        self.current.insert(new.id);
        let detail = json!({"kind": new.kind, "title": new.title, "limits": new.limits});
        self.note(unit, "allotment.created", Some(new.id), None, detail.to_string());
        Ok(new.id)
    }

    fn insert(&mut self, new: &NewAllotment, node: &Node) -> Result<(), Error> {
        let now = self.tx.now();
        let row = params![
            node.id,
            node.side.as_str(),
            node.parent,
            node.root,
            node.depth,
            new.name.as_str(),
            &*node.path,
            &new.title,
            &new.kind,
            new.owner,
            new.managed_by.as_ref().map(ToString::to_string),
            new.overcommit.map(|overcommit| overcommit.permille),
            allotment::load_lines_to_text(&new.load_lines),
            new.expires_at,
            false,
            0_u64,
            1_u64,
            now,
            now
        ];
        self.tx.insert_rows(&format!("allotments ({})", allotment::COLUMNS), "", &[row.to_vec()])?;
        self.count_child(node.parent, 1)
    }

    fn count_child(&mut self, parent: Option<AllotmentId>, by: i64) -> Result<(), Error> {
        let Some(parent) = parent else { return Ok(()) };
        let sql = "UPDATE allotments SET children = children + $2 WHERE id = $1";
        self.tx.execute(sql, &params![parent, by]).map(drop)
    }

    /// That no other node has this path, or this id.
    fn check_free(&mut self, side: Side, path: &str, id: Option<AllotmentId>) -> Result<(), Error> {
        let taken = self
            .tx
            .query_opt("SELECT 1 FROM allotments WHERE side = $1 AND path = $2", &params![side.as_str(), path])?;
        if taken.is_some() {
            return Err(Error::Conflict(format!("{path} is there already")));
        }
        let Some(id) = id else { return Ok(()) };
        match self.tx.query_opt("SELECT path FROM allotments WHERE id = $1", &params![id])? {
            Some(row) => Err(Error::Conflict(format!("{} has the id {id} already", row.get::<String>(0)?))),
            None => Ok(()),
        }
    }

    fn change(
        &mut self,
        unit: &Unit<Answer>,
        reference: &AllotmentRef,
        patch: &AllotmentPatch,
    ) -> Result<AllotmentId, Error> {
        let node = self.resolve_own(unit, reference)?;
        let before = self.row(node.id)?;
        if let (true, true, Some(managed)) = (unit.unmanaged, patch.touches_noun(), &before.managed_by) {
            return Err(Error::Managed(managed.clone()));
        }
        if patch.if_version.is_some_and(|version| version != before.version) {
            return Err(Error::Stale);
        }
        let mut told = Map::new();
        for (resource, limit) in &patch.limits {
            self.limit(node.id, *resource, *limit, patch.covering, &mut told)?;
        }
        for (resource, by) in &patch.limits_by {
            let limit = self.shifted(node.id, *resource, *by)?;
            self.limit(node.id, *resource, Some(limit), patch.covering, &mut told)?;
        }
        let after = patched(&before, patch);
        let (overcommit, load_lines) = (after.overcommit, after.load_lines.clone());
        self.engine.book.set_shape(node.id, Shape { overcommit, load_lines, expires_at: after.expires_at })?;
        let name = patch.name.as_ref().map_or(before.name.as_str(), |name| name.as_str());
        let under = match &patch.parent {
            Some(parent) => Some(self.resolve_own(unit, parent)?.id).filter(|parent| before.parent != Some(*parent)),
            None => None,
        };
        if let Some(parent) = under {
            let path = self.reparent(&before, name, parent)?;
            told.insert("path".to_owned(), json!({"from": before.path, "to": path}));
        } else if name != before.name {
            let path = match before.path.rsplit_once('/') {
                Some((above, _)) => format!("{above}/{name}"),
                None => name.to_owned(),
            };
            self.rename(&before, name, &path)?;
            told.insert("path".to_owned(), json!({"from": before.path, "to": path}));
        }
        tell_fields(&mut told, &before, &after);
        self.update(&after)?;
        self.note(unit, "allotment.changed", Some(node.id), None, Json::Object(told).to_string());
        Ok(node.id)
    }

    /// Sets one limit, as it is asked for now or as it was moved to.
    fn limit(
        &mut self,
        id: AllotmentId,
        resource: Resource,
        limit: Option<u64>,
        covering: bool,
        told: &mut Map<String, Json>,
    ) -> Result<(), Error> {
        let node = self.engine.book.node(id).ok_or_else(|| Error::not_found("allotment", id))?;
        let from = node.balance(resource).limit;
        if let Some(to) = limit.filter(|to| covering && from.is_none_or(|from| *to < from)) {
            node.covers(resource, to)?;
        }
        self.engine.book.set_limit(id, resource, limit)?;
        tell_limit(told, resource, from, limit);
        Ok(())
    }

    fn shifted(&self, id: AllotmentId, resource: Resource, by: i64) -> Result<u64, Error> {
        let node = self.engine.book.node(id).ok_or_else(|| Error::not_found("allotment", id))?;
        let limit = node.shifted(resource, by)?;
        limit.ok_or_else(|| Error::Invalid(format!("{}: its limit of {resource} cannot move by {by}", node.path)))
    }

    fn update(&mut self, after: &Allotment) -> Result<(), Error> {
        let sql = "UPDATE allotments SET title = $2, kind = $3, owner_id = $4, managed = $5, overcommit_permille = $6, \
            load_lines = $7, expires_at = $8, version = version + 1, updated_at = $9 WHERE id = $1";
        let values = params![
            after.id,
            &after.title,
            &after.kind,
            after.owner,
            after.managed_by.as_ref().map(ToString::to_string),
            after.overcommit.map(|overcommit| overcommit.permille),
            allotment::load_lines_to_text(&after.load_lines),
            after.expires_at,
            self.tx.now()
        ];
        self.tx.execute(sql, &values).map(drop)
    }

    /// Another name, for the node and in the paths of all below it.
    fn rename(&mut self, before: &Allotment, name: &str, path: &str) -> Result<(), Error> {
        let side = before.side.as_str();
        self.check_free(before.side, path, None)?;
        let own = "UPDATE allotments SET name = $2, path = $3 WHERE id = $1";
        self.tx.execute(own, &params![before.id, name, path])?;
        let below = "UPDATE allotments SET path = CAST($1 AS TEXT) || substr(path, CAST($2 AS INTEGER)) \
            WHERE side = $3 AND path >= $4 AND path < $5";
        let (from, to) = (format!("{}/", before.path), format!("{}0", before.path));
        self.tx.execute(below, &params![path, before.path.len() + 1, side, from, to])?;
        self.reshaped = true;
        self.engine.forget_names();
        Ok(())
    }

    /// Another parent, for the node and all below it; answers its path there.
    fn reparent(&mut self, before: &Allotment, name: &str, to: AllotmentId) -> Result<String, Error> {
        let above = self.row(to)?;
        if before.parent.is_none() || (above.side, above.root) != (before.side, before.root) {
            return Err(Error::Invalid(format!("{} cannot be moved to {}", before.path, above.path)));
        }
        let inside = format!("{}/", before.path);
        if above.path == before.path || above.path.starts_with(&inside) {
            return Err(Error::Conflict(format!("{} cannot lie inside itself", before.path)));
        }
        let path = format!("{}/{name}", above.path);
        let (side, end) = (before.side.as_str(), format!("{}0", before.path));
        let deepest = "SELECT max(depth) FROM allotments WHERE side = $1 AND path >= $2 AND path < $3";
        let deepest = self.tx.query_opt(deepest, &params![side, &inside, end])?;
        let deepest = deepest.map(|row| row.get::<Option<u64>>(0)).transpose()?.flatten().unwrap_or(before.depth);
        if above.depth + 1 + deepest - before.depth >= DEPTH_MAX as u64 {
            return Err(Error::Conflict(format!("{path} would lie deeper than {DEPTH_MAX} levels")));
        }
        self.engine.book.reparent(before.id, to, &path)?;
        self.rename(before, name, &path)?;
        self.tx.execute("UPDATE allotments SET parent_id = $2 WHERE id = $1", &params![before.id, to])?;
        let deeper = above.depth as i64 + 1 - before.depth as i64;
        let sql =
            "UPDATE allotments SET depth = depth + $1 WHERE side = $2 AND (path = $3 OR (path >= $4 AND path < $5))";
        self.tx.execute(sql, &params![deeper, side, &path, format!("{path}/"), format!("{path}0")])?;
        self.count_child(before.parent, -1)?;
        self.count_child(Some(to), 1)?;
        Ok(path)
    }

    fn remove(&mut self, unit: &Unit<Answer>, reference: &AllotmentRef) -> Result<Allotment, Error> {
        let node = self.resolve_own(unit, reference)?;
        let gone = read(self, node.id)?;
        if let (true, Some(managed)) = (unit.unmanaged, &gone.managed_by) {
            return Err(Error::Managed(managed.clone()));
        }
        if gone.children > 0 {
            return Err(Error::Conflict(format!("{} has {} children", gone.path, gone.children)));
        }
        // A claim of nothing counts nothing, and is a claim.
        let holds = gone.balances.iter().any(|(_, balance)| balance.used > 0 || balance.pending > 0)
            || match gone.side {
                Side::Demand => !place::list(&mut self.tx, node.id, None, 1)?.is_empty(),
                Side::Supply => {
                    self.tx.query_opt("SELECT 1 FROM claims WHERE supply_id = $1 LIMIT 1", &params![node.id])?.is_some()
                }
            };
        if holds {
            return Err(Error::Conflict(format!("{} has claims", gone.path)));
        }
        self.engine.book.remove(node.id)?;
        self.tx.execute("DELETE FROM balances WHERE allotment_id = $1", &params![node.id])?;
        self.tx.execute("DELETE FROM allotments WHERE id = $1", &params![node.id])?;
        self.count_child(gone.parent, -1)?;
        self.engine.forget_names();
        let detail = json!({"path": gone.path, "kind": gone.kind});
        // The node is out of the book, so what happened is told of the one above it.
        self.note(unit, "allotment.removed", gone.parent, Some(node.id.to_string()), detail.to_string());
        Ok(gone)
    }

    /// The node that a unit names, which must be of its tenant if it is bound to one.
    fn resolve_own(&mut self, unit: &Unit<Answer>, reference: &AllotmentRef) -> Result<Node, Error> {
        let id = self.resolve(reference)?;
        let node = self.engine.book.node(id).ok_or_else(|| Error::not_found("allotment", reference))?;
        let is_own = unit.tenant.is_none_or(|tenant| node.side == Side::Demand && node.root.0 == tenant.0);
        if is_own { Ok(node.clone()) } else { Err(Error::not_found("allotment", reference)) }
    }

    fn row(&mut self, id: AllotmentId) -> Result<Allotment, Error> {
        let found = allotment::find(&mut self.tx, &AllotmentRef::Id(id))?;
        found.ok_or_else(|| Error::not_found("allotment", id))
    }
}

/// An allotment as it is at this point of the batch: its row, and what the book counts.
pub(crate) fn read(batch: &mut Batch, id: AllotmentId) -> Result<Allotment, Error> {
    let row = batch.row(id)?;
    let balances = batch.engine.book.node(id).map(|node| node.balances.to_vec());
    Ok(Allotment { balances: balances.unwrap_or_else(|| row.balances.clone()), ..row })
}

fn patched(before: &Allotment, patch: &AllotmentPatch) -> Allotment {
    let mut after = before.clone();
    let AllotmentPatch { title, kind, overcommit, load_lines, expires_at, owner, managed_by, .. } = patch.clone();
    after.title = title.unwrap_or(after.title);
    after.kind = kind.unwrap_or(after.kind);
    after.overcommit = overcommit.unwrap_or(after.overcommit);
    after.load_lines = load_lines.unwrap_or(after.load_lines);
    after.expires_at = expires_at.unwrap_or(after.expires_at);
    after.owner = owner.unwrap_or(after.owner);
    after.managed_by = managed_by.unwrap_or(after.managed_by);
    after
}

fn tell_limit(told: &mut Map<String, Json>, resource: Resource, from: Option<u64>, to: Option<u64>) {
    let limits = told.entry("limits").or_insert_with(|| json!({}));
    limits[resource.name()] = json!({"from": from, "to": to});
}

fn tell_fields(told: &mut Map<String, Json>, before: &Allotment, after: &Allotment) {
    let mut tell = |name: &str, from: Json, to: Json| {
        if from != to {
            told.insert(name.to_owned(), json!({"from": from, "to": to}));
        }
    };
    tell("title", json!(before.title), json!(after.title));
    tell("kind", json!(before.kind), json!(after.kind));
    tell("owner_id", json!(before.owner), json!(after.owner));
    tell("expires_at", json!(before.expires_at), json!(after.expires_at));
    let ratio = |it: &Allotment| it.overcommit.map(|overcommit| overcommit.permille);
    tell("overcommit_permille", json!(ratio(before)), json!(ratio(after)));
    let lines =
        |it: &Allotment| serde_json::from_str(&allotment::load_lines_to_text(&it.load_lines)).unwrap_or(Json::Null);
    tell("load_lines", lines(before), lines(after));
}
