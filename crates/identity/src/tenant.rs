//! Tenants: customers, each the root of a tree of its own.
//!
//! A tenant is its root allotment; there is no other row. Below it are folders that only this crate and the faces fill:
//! `users` and `projects`, and those that a face makes for its own nouns.

use ledger::{AllotmentId, Limits, Name, Resource};
use serde_json::json;
use store::{
    Actor, AllotmentPatch, AllotmentRef, Error, Managed, Micros, NewAllotment, Row, TenantId, Tx, Unit, params,
};
use uuid::Uuid;

use crate::{Identity, PAGE_MAX};

/// The folder of users' nodes.
pub(crate) const USERS: &str = "users";
/// The folder of projects' nodes.
const PROJECTS: &str = "projects";

/// A customer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tenant {
    /// Its id, which is its root allotment's.
    pub id: TenantId,
    /// The first segment of its paths.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// When it was made.
    pub created_at: Micros,
}

/// A tenant to be made.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// The id to have; none makes one.
    pub id: Option<Uuid>,
    /// The first segment of its paths.
    pub name: Name,
    /// What people call it.
    pub title: String,
    /// What it may use.
    pub limits: Limits,
}

impl Identity {
    /// Makes a tenant with its folders. The caller has checked that `by` may.
    pub async fn create_tenant(&self, by: Actor, new: NewTenant) -> Result<Tenant, Error> {
        let root = AllotmentId(new.id.unwrap_or_else(|| self.store.new_id()));
        let top = NewAllotment {
            title: new.title,
            kind: "tenant".to_owned(),
            limits: new.limits,
            ..NewAllotment::new(root, None, new.name)
        };
        let folder = |name: &str| NewAllotment {
            kind: "folder".to_owned(),
            managed_by: Some(Managed::new("site", "folder", format!("{root}/{name}"))),
            ..NewAllotment::new(
                AllotmentId(self.store.new_id()),
                Some(root.into()),
                name.parse().expect("the folders' names are names"),
            )
        };
        let (users, projects) = (folder(USERS), folder(PROJECTS));
        let unit = Unit::by(by).create_allotment(top).create_allotment(users).create_allotment(projects);
        let unit = unit.note("tenant.created", Some(root), Some(root.to_string()), json!({}));
        let unit = unit.rows(move |tx| find(tx, "id = $1", root.into()));
        self.change_people(unit).await?.value.ok_or_else(|| Error::not_found("tenant", root))
    }

    /// A tenant by id.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, Error> {
        self.store.read(move |tx| find(tx, "id = $1", id.into())).await
    }

    /// A tenant by name.
    pub async fn tenant_by_name(&self, name: &str) -> Result<Option<Tenant>, Error> {
        let name = name.to_owned();
        self.store.read(move |tx| find(tx, "path = $1", name.into())).await
    }

    /// Tenants in the order of their names, at most [`PAGE_MAX`].
    pub async fn tenants(&self, after: Option<&str>, limit: usize) -> Result<Vec<Tenant>, Error> {
        let sql = format!("{SELECT} AND path > $1 ORDER BY path LIMIT $2");
        let values = params![after.unwrap_or_default(), limit.min(PAGE_MAX)];
        self.store.read(move |tx| tx.query(&sql, &values)?.iter().map(from_row).collect()).await
    }

    /// Changes what a tenant may use; a resource that is not named stays, none inside is unlimited.
    pub async fn set_tenant_limits(
        &self,
        by: Actor,
        id: TenantId,
        limits: Vec<(Resource, Option<u64>)>,
    ) -> Result<(), Error> {
        self.change_tenant(by, id, AllotmentPatch { limits, ..AllotmentPatch::default() }).await
    }

    pub(crate) async fn change_tenant(&self, by: Actor, id: TenantId, patch: AllotmentPatch) -> Result<(), Error> {
        self.tenant(id).await?.ok_or_else(|| Error::not_found("tenant", id))?;
        self.store.write(Unit::by(by).change_allotment(AllotmentRef::from(id), patch)).await.map(drop)
    }

    /// Removes a tenant that has nothing left: no user, no project, no claim. Else [`Error::Conflict`].
    pub async fn remove_tenant(&self, by: Actor, id: TenantId) -> Result<(), Error> {
        let folders = self.store.read(move |tx| {
            find(tx, "id = $1", id.into())?.ok_or_else(|| Error::not_found("tenant", id))?;
            let sql = "SELECT id FROM allotments WHERE parent_id = $1 AND kind = 'folder' ORDER BY id";
            tx.query(sql, &params![id])?.iter().map(|row| row.get(0)).collect::<Result<Vec<AllotmentId>, _>>()
        });
        let mut unit = Unit::by(by).note("tenant.removed", None, Some(id.to_string()), json!({}));
        for folder in folders.await? {
            unit = unit.remove_allotment(folder);
        }
        self.change_people(unit.remove_allotment(AllotmentRef::from(id))).await.map(drop)
    }
}

const SELECT: &str = "SELECT id, name, title, created_at FROM allotments \
    WHERE side = 'demand' AND parent_id IS NULL AND kind = 'tenant'";

fn find(tx: &mut Tx, condition: &str, value: store::Value) -> Result<Option<Tenant>, Error> {
    tx.query_opt(&format!("{SELECT} AND {condition}"), &[value])?.as_ref().map(from_row).transpose()
}

fn from_row(row: &Row) -> Result<Tenant, Error> {
    Ok(Tenant { id: row.get(0)?, name: row.get(1)?, title: row.get(2)?, created_at: row.get(3)? })
}

/// The id of one of a tenant's folders.
pub(crate) fn folder(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<Option<AllotmentId>, Error> {
    let sql = "SELECT id FROM allotments WHERE parent_id = $1 AND name = $2";
    tx.query_opt(sql, &params![tenant, name])?.map(|row| row.get(0)).transpose()
}
