//! The organizations of the site file, applied.
//!
//! **Shape.** `put_…` for what the file names for the first time (made, or taken over if it is there), `change_…` for what it
//! says anew, `remove_…` for what it no longer names.
//! **Always.** Each can be done again and then does nothing: no commit, no entry in the journal. An organization of the file
//! begins under the quota `default`; what people made of it since is not touched.

use store::{Actor, Allotment, Error, Store, TenantId, Tx, Unit, UserId, params};
use uuid::Uuid;

use crate::access::{DEVELOPER, MANAGER};
use crate::ids::{self, OrgId, SpaceId};
use crate::{org, quota, role, space};

/// The role that every other one in an organization's spaces needs.
const MEMBER: &str = "organization_user";

/// An organization as the file has it.
#[derive(Clone, Debug)]
pub struct OrganizationWanted {
    /// The id to have.
    pub id: Option<Uuid>,
    /// Whose.
    pub tenant: TenantId,
    /// Its name, by which it is found in its tenant.
    pub name: String,
    /// Who manages it, by e-mail address.
    pub managers: Vec<String>,
    /// Its spaces.
    pub spaces: Vec<SpaceWanted>,
}

/// A space as the file has it.
#[derive(Clone, Debug)]
pub struct SpaceWanted {
    /// The id to have.
    pub id: Option<Uuid>,
    /// Its name, by which it is found in its organization.
    pub name: String,
    /// Who develops in it, by e-mail address.
    pub developers: Vec<String>,
}

/// What the file says anew of an organization.
#[derive(Clone, Default, Debug)]
pub struct OrganizationChanges {
    /// Managers that came (true) or went.
    pub managers: Vec<(String, bool)>,
    /// Spaces that came.
    pub spaces: Vec<SpaceWanted>,
    /// Spaces that went.
    pub spaces_gone: Vec<String>,
    /// Developers that came to a space (true) or went: space, e-mail address.
    pub developers: Vec<(String, String, bool)>,
}

/// The organization is there, with these managers and spaces.
pub async fn put_organization(store: &Store, by: Actor, wanted: OrganizationWanted) -> Result<(), Error> {
    let OrganizationWanted { id, tenant, name, managers, spaces } = wanted;
    quota::settle(store, tenant).await?;
    let known = find(store, tenant, &name).await?;
    let org = match known {
        Some(known) => {
            check_id("organization", &name, id, known.0)?;
            known
        }
        None => {
            let id = OrgId(id.unwrap_or_else(|| ids::guid(store)));
            let quota = store.read(move |tx| org::default_quota(tx, tenant)).await?;
            let metadata = "{}".to_owned();
            let new = org::New { id, tenant, name, suspended: false, billing_enabled: false, metadata };
            store.write(org::create(Unit::by(by.clone()), new, quota)?).await?;
            id
        }
    };
    for email in managers {
        give(store, &by, org, None, &email).await?;
    }
    for space in spaces {
        put_space(store, &by, org, space).await?;
    }
    Ok(())
}

/// The file says something else of an organization.
pub async fn change_organization(
    store: &Store,
    by: Actor,
    tenant: TenantId,
    name: &str,
    changes: OrganizationChanges,
) -> Result<(), Error> {
    let org = find(store, tenant, name).await?.ok_or_else(|| Error::not_found("organization", name))?;
    for (email, comes) in changes.managers {
        match comes {
            true => give(store, &by, org, None, &email).await?,
            false => take(store, &by, org, None, &email).await?,
        }
    }
    for space in changes.spaces {
        put_space(store, &by, org, space).await?;
    }
    for (space, email, comes) in changes.developers {
        let Some(id) = space_of(store, org, &space).await? else { continue };
        match comes {
            true => give(store, &by, org, Some(id), &email).await?,
            false => take(store, &by, org, Some(id), &email).await?,
        }
    }
    for space in changes.spaces_gone {
        if let Some(space) = space_of(store, org, &space).await? {
            let unit = Unit::by(by.clone()).remove_allotment(space.allotment());
            let unit = unit.rows(move |tx| {
                check_empty(tx, space)?;
                space::delete_rows(tx, space)
            });
            store.write(unit).await?;
        }
    }
    Ok(())
}

/// The file no longer names an organization. Says whether it was there.
pub async fn remove_organization(store: &Store, by: Actor, tenant: TenantId, name: &str) -> Result<bool, Error> {
    let Some(id) = find(store, tenant, name).await? else { return Ok(false) };
    let unit = store.read(move |tx| {
        let org = org::find(tx, id)?.ok_or_else(|| Error::not_found("organization", id))?;
        space::of_org(tx, id)?.into_iter().try_for_each(|space| check_empty(tx, space))?;
        org::delete(tx, Unit::by(by), &org)
    });
    store.write(unit.await?).await.map(|_| true)
}

/// The node of the organization of this name.
pub async fn organization_node(store: &Store, tenant: TenantId, name: &str) -> Result<Option<Allotment>, Error> {
    let Some(id) = find(store, tenant, name).await? else { return Ok(None) };
    store.read(move |tx| store::allotments::find(tx, &id.allotment().into())).await
}

/// The nodes of spaces of an organization, as far as they are there.
pub async fn space_nodes(
    store: &Store,
    tenant: TenantId,
    name: &str,
    spaces: Vec<String>,
) -> Result<Vec<Allotment>, Error> {
    let Some(org) = find(store, tenant, name).await? else { return Ok(Vec::new()) };
    let mut nodes = Vec::new();
    for space in spaces {
        if let Some(space) = space_of(store, org, &space).await? {
            let node = store.read(move |tx| store::allotments::find(tx, &space.allotment().into()));
            nodes.extend(node.await?);
        }
    }
    Ok(nodes)
}

/// The file takes away no space with what people made in it, and be it a stopped app that takes nothing.
fn check_empty(tx: &mut Tx, space: SpaceId) -> Result<(), Error> {
    match space::is_empty(tx, space)? {
        Some(what) => Err(Error::Conflict(format!("space {space} still has {what}"))),
        None => Ok(()),
    }
}

async fn find(store: &Store, tenant: TenantId, name: &str) -> Result<Option<OrgId>, Error> {
    let values = params![tenant, name];
    let sql = "SELECT id FROM cf_organizations WHERE tenant_id = $1 AND name = $2";
    store.read(move |tx| tx.query_opt(sql, &values)?.map(|row| row.get(0)).transpose()).await
}

async fn space_of(store: &Store, org: OrgId, name: &str) -> Result<Option<SpaceId>, Error> {
    let values = params![org, name];
    let sql = "SELECT id FROM cf_spaces WHERE organization_id = $1 AND name = $2";
    store.read(move |tx| tx.query_opt(sql, &values)?.map(|row| row.get(0)).transpose()).await
}

async fn put_space(store: &Store, by: &Actor, id: OrgId, wanted: SpaceWanted) -> Result<(), Error> {
    let space = match space_of(store, id, &wanted.name).await? {
        Some(space) => {
            check_id("space", &wanted.name, wanted.id, space.0)?;
            space
        }
        None => {
            let org = store.read(move |tx| org::find(tx, id)).await?;
            let org = org.ok_or_else(|| Error::not_found("organization", id))?;
            let space = SpaceId(wanted.id.unwrap_or_else(|| ids::guid(store)));
            let new = space::New { id: space, name: wanted.name, allow_ssh: true, metadata: "{}".to_owned() };
            store.write(space::create(Unit::by(by.clone()), &org, new, None)?).await?;
            space
        }
    };
    for email in wanted.developers {
        give(store, by, id, Some(space), &email).await?;
    }
    Ok(())
}

/// They are in the organization, and its manager or the space's developer.
async fn give(store: &Store, by: &Actor, org: OrgId, space: Option<SpaceId>, email: &str) -> Result<(), Error> {
    let kind = if space.is_some() { DEVELOPER } else { MANAGER };
    let email = email.to_owned();
    let read = store.read(move |tx| {
        let row = tx.query_opt("SELECT tenant_id FROM cf_organizations WHERE id = $1", &params![org])?;
        let tenant = row.ok_or_else(|| Error::not_found("organization", org))?.get(0)?;
        let user = user_of(tx, tenant, &email)?.ok_or_else(|| Error::not_found("user", email))?;
        let sql = "SELECT COUNT(*) FROM cf_roles WHERE user_id = $1 AND organization_id = $2 \
            AND ((kind = $3 AND space_id IS NULL) OR (kind = $4 AND (space_id = $5 OR $5 = '')))";
        let place = space.map_or(String::new(), |space| space.to_string());
        let count = tx.query_opt(sql, &params![user, org, MEMBER, kind, place])?;
        Ok((tenant, user, count.map(|row| row.get::<u64>(0)).transpose()?.unwrap_or(0)))
    });
    let (tenant, user, known): (TenantId, UserId, u64) = read.await?;
    if known >= 2 {
        return Ok(());
    }
    let (first, second) = (ids::guid(store), ids::guid(store));
    let unit = Unit::by(by.clone()).rows(move |tx| {
        role::put(tx, &role::New { id: first, tenant, user, org, space: None, kind: MEMBER })?;
        role::put(tx, &role::New { id: second, tenant, user, org, space, kind }).map(drop)
    });
    store.write(unit).await.map(drop)
}

async fn take(store: &Store, by: &Actor, org: OrgId, space: Option<SpaceId>, email: &str) -> Result<(), Error> {
    let kind = if space.is_some() { DEVELOPER } else { MANAGER };
    let email = email.to_owned();
    let unit = Unit::by(by.clone()).rows(move |tx| {
        let row = tx.query_opt("SELECT tenant_id FROM cf_organizations WHERE id = $1", &params![org])?;
        let Some(tenant) = row.map(|row| row.get(0)).transpose()? else { return Ok(()) };
        // Who was removed with their account has no role any more either.
        match user_of(tx, tenant, &email)? {
            Some(user) => role::take(tx, org, space, user, kind),
            None => Ok(()),
        }
    });
    store.write(unit).await.map(drop)
}

fn user_of(tx: &mut Tx, tenant: TenantId, email: &str) -> Result<Option<UserId>, Error> {
    let sql = "SELECT id FROM users WHERE email_key = $1 AND tenant_id = $2";
    let key = email.trim().to_lowercase();
    tx.query_opt(sql, &params![key, tenant])?.map(|row| row.get(0)).transpose()
}

fn check_id(noun: &str, name: &str, wanted: Option<Uuid>, found: impl Into<Uuid>) -> Result<(), Error> {
    let found = found.into();
    match wanted.filter(|wanted| *wanted != found) {
        Some(wanted) => Err(Error::Conflict(format!("{noun} {name} is there as {found}, not as {wanted}"))),
        None => Ok(()),
    }
}
