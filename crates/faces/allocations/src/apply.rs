//! The repositories and projects of the site file, applied.
//!
//! **Shape.** As identity's: `put_…` for what the file names for the first time (made, or taken over if it is there),
//! `change_…` for what it says anew, `remove_…` for what it no longer names.
//! **Always.** Each can be done again and then does nothing: no commit, no entry in the journal. What is not spoken of
//! stays. A repository of the file is the site's, and lies in its pool by its name.

use ledger::{AllotmentId, Limits, Name, Resource, Side};
use store::{
    Actor, Allotment, AllotmentPatch, AllotmentRef, Error, Managed, NewAllotment, Store, TenantId, Tx, Unit, UserId,
    params,
};
use uuid::Uuid;

use crate::ids::{ProjectId, RepositoryId};
use crate::wire::{Member, RepositoryFields};
use crate::{project, repository};

/// Limits that the file speaks of; none inside: unlimited from now on.
pub type LimitChanges = Vec<(Resource, Option<u64>)>;

/// A repository as the file has it.
#[derive(Clone, Debug)]
pub struct RepositoryWanted {
    /// The id to have.
    pub id: Option<Uuid>,
    /// Its name, by which it is found in its pool.
    pub name: Name,
    /// The pool's name.
    pub pool: String,
    /// `posix`, `s3` or `storj`.
    pub kind: String,
    /// What it may hold.
    pub limits: Limits,
}

/// A project as the file has it.
#[derive(Clone, Debug)]
pub struct ProjectWanted {
    /// The id to have.
    pub id: Option<Uuid>,
    /// Whose.
    pub tenant: TenantId,
    /// Its name, by which it is found in its tenant.
    pub name: String,
    /// Who is in it, by e-mail address, and as what: `member`, `manager` or `admin`.
    pub members: Vec<(String, String)>,
    /// What it may use.
    pub limits: Limits,
}

/// The repository is there, of this kind and with these limits.
pub async fn put_repository(store: &Store, by: Actor, wanted: RepositoryWanted) -> Result<(), Error> {
    let RepositoryWanted { id, name, pool, kind, limits } = wanted;
    let kind = kind_of(&kind)?;
    let reference = AllotmentRef::Path(Side::Supply, format!("{pool}/{name}"));
    let Some(node) = find(store, reference).await? else {
        let id = RepositoryId(id.unwrap_or_else(|| store.new_id()));
        let parent = Some(AllotmentRef::Path(Side::Supply, pool));
        let fields = RepositoryFields { name: Some(name.to_string()), kind: Some(kind), ..Default::default() };
        let new = NewAllotment {
            side: Side::Supply,
            title: name.to_string(),
            kind: "repository".to_owned(),
            limits,
            managed_by: Some(Managed::new("allocations", "repository", id)),
            ..NewAllotment::new(id.allotment(), parent, name)
        };
        let unit = Unit::by(by).create_allotment(new).rows(move |tx| repository::insert(tx, id, None, &fields));
        return store.write(unit).await.map(drop);
    };
    check_id("repository", name.as_str(), id, node.id)?;
    let limits = limits.iter().map(|(resource, units)| (resource, Some(units))).collect();
    bring(store, by, &node, Some(kind), limits).await
}

/// The file says something else of a repository.
pub async fn change_repository(
    store: &Store,
    by: Actor,
    name: &str,
    kind: Option<String>,
    limits: LimitChanges,
) -> Result<(), Error> {
    let node = repository_node(store, name).await?.ok_or_else(|| Error::not_found("repository", name))?;
    let kind = kind.as_deref().map(kind_of).transpose()?;
    bring(store, by, &node, kind, limits).await
}

/// The file no longer names a repository. Says whether it was there.
pub async fn remove_repository(store: &Store, by: Actor, name: &str) -> Result<bool, Error> {
    let Some(node) = repository_node(store, name).await? else { return Ok(false) };
    let id = RepositoryId(node.id.0);
    let unit = Unit::by(by).remove_allotment(node.id).rows(move |tx| repository::delete(tx, id));
    store.write(unit).await.map(|_| true)
}

/// The project is there, with these members and limits.
pub async fn put_project(store: &Store, by: Actor, wanted: ProjectWanted) -> Result<(), Error> {
    let ProjectWanted { id, tenant, name, members, limits } = wanted;
    let called = name.clone();
    let members = store.read(move |tx| by_email(tx, tenant, members)).await?;
    let Some(node) = project_node(store, tenant, &name).await? else {
        let id = ProjectId(id.unwrap_or_else(|| store.new_id()));
        let new = project::New { id, tenant, name, owner: None, members };
        let draft = new.clone();
        let allotment = store.read(move |tx| project::allotment(tx, &draft)).await?;
        let unit = Unit::by(by).create_allotment(NewAllotment { limits, ..allotment });
        return store.write(unit.rows(move |tx| project::insert(tx, &new))).await.map(drop);
    };
    check_id("project", &called, id, node.id)?;
    let limits = limits.iter().map(|(resource, units)| (resource, Some(units))).collect();
    let members = members.into_iter().map(Change::Put).collect();
    bring_project(store, by, &node, members, limits).await
}

/// The file says something else of a project; of a member without a role, that they are none any more.
pub async fn change_project(
    store: &Store,
    by: Actor,
    tenant: TenantId,
    name: &str,
    members: Vec<(String, Option<String>)>,
    limits: LimitChanges,
) -> Result<(), Error> {
    let node = project_node(store, tenant, name).await?.ok_or_else(|| Error::not_found("project", name))?;
    let (gone, there): (Vec<_>, Vec<_>) = members.into_iter().partition(|(_, role)| role.is_none());
    let there = there.into_iter().filter_map(|(email, role)| Some((email, role?))).collect();
    let read = store.read(move |tx| {
        let mut changes: Vec<Change> = by_email(tx, tenant, there)?.into_iter().map(Change::Put).collect();
        for (email, _) in gone {
            // Who was removed with their account is no member any more either.
            changes.extend(user_of(tx, tenant, &email)?.map(Change::Remove));
        }
        Ok(changes)
    });
    let changes = read.await?;
    bring_project(store, by, &node, changes, limits).await
}

/// The file no longer names a project. Says whether it was there.
pub async fn remove_project(store: &Store, by: Actor, tenant: TenantId, name: &str) -> Result<bool, Error> {
    let Some(node) = project_node(store, tenant, name).await? else { return Ok(false) };
    let id = ProjectId(node.id.0);
    let unit = Unit::by(by).remove_allotment(node.id).rows(move |tx| project::delete(tx, id));
    store.write(unit).await.map(|_| true)
}

/// The node of the project of this name.
pub async fn project_node(store: &Store, tenant: TenantId, name: &str) -> Result<Option<Allotment>, Error> {
    let name = name.to_owned();
    let read = store.read(move |tx| match project::by_name(tx, tenant, &name)? {
        Some(id) => store::allotments::find(tx, &id.allotment().into()),
        None => Ok(None),
    });
    read.await
}

/// The node of the site's repository of this name, in whichever pool.
pub async fn repository_node(store: &Store, name: &str) -> Result<Option<Allotment>, Error> {
    let sql = "SELECT id FROM allotments WHERE side = 'supply' AND kind = 'repository' AND name = $1 \
        ORDER BY depth LIMIT 1";
    let values = params![name];
    let read = store.read(move |tx| match tx.query_opt(sql, &values)? {
        Some(row) => store::allotments::find(tx, &AllotmentRef::Id(row.get(0)?)),
        None => Ok(None),
    });
    read.await
}

async fn find(store: &Store, reference: AllotmentRef) -> Result<Option<Allotment>, Error> {
    store.read(move |tx| store::allotments::find(tx, &reference)).await
}

/// The words of the API's own list.
fn kind_of(text: &str) -> Result<&'static str, Error> {
    let kind = ["posix", "s3", "storj"].into_iter().find(|kind| *kind == text);
    kind.ok_or_else(|| Error::Invalid(format!("a repository is posix, s3 or storj, not {text:?}")))
}

fn check_id(noun: &str, name: &str, wanted: Option<Uuid>, found: AllotmentId) -> Result<(), Error> {
    match wanted.filter(|wanted| *wanted != found.0) {
        Some(wanted) => Err(Error::Conflict(format!("{noun} {name} is there as {found}, not as {wanted}"))),
        None => Ok(()),
    }
}

/// What of these limits is new.
fn new_limits(node: &Allotment, limits: LimitChanges) -> LimitChanges {
    limits.into_iter().filter(|(resource, to)| node.balance(*resource).limit != *to).collect()
}

async fn bring(
    store: &Store,
    by: Actor,
    node: &Allotment,
    kind: Option<&'static str>,
    limits: LimitChanges,
) -> Result<(), Error> {
    let (id, limits) = (RepositoryId(node.id.0), new_limits(node, limits));
    let known = store.read(move |tx| {
        let row = tx.query_opt("SELECT kind FROM repositories WHERE id = $1", &params![id])?;
        row.map(|row| row.get::<String>(0)).transpose()
    });
    let known = known.await?.ok_or_else(|| Error::Conflict(format!("{} is there, and no repository", node.path)))?;
    let kind = kind.filter(|kind| *kind != known);
    if kind.is_none() && limits.is_empty() {
        return Ok(());
    }
    let unit = Unit::by(by).change_allotment(node.id, AllotmentPatch { limits, ..AllotmentPatch::default() });
    let fields = RepositoryFields { kind, ..Default::default() };
    store.write(unit.rows(move |tx| repository::update(tx, id, &fields))).await.map(drop)
}

/// What the file says of somebody in a project.
#[derive(Clone)]
enum Change {
    Put(Member),
    Remove(UserId),
}

async fn bring_project(
    store: &Store,
    by: Actor,
    node: &Allotment,
    changes: Vec<Change>,
    limits: LimitChanges,
) -> Result<(), Error> {
    let (id, limits) = (ProjectId(node.id.0), new_limits(node, limits));
    let known = store.read(move |tx| project::members(tx, id)).await?;
    let is_new = |change: &Change| match change {
        Change::Put(member) => !known.contains(member),
        Change::Remove(user) => known.iter().any(|member| member.user_id == *user),
    };
    let changes: Vec<Change> = changes.into_iter().filter(is_new).collect();
    if changes.is_empty() && limits.is_empty() {
        return Ok(());
    }
    let mut unit = Unit::by(by);
    if !limits.is_empty() {
        unit = unit.change_allotment(node.id, AllotmentPatch { limits, ..AllotmentPatch::default() });
    }
    let unit = unit.rows(move |tx| {
        changes.iter().try_for_each(|change| match change {
            Change::Put(member) => project::put_member(tx, id, member),
            Change::Remove(user) => project::remove_member(tx, id, *user),
        })
    });
    store.write(unit).await.map(drop)
}

fn by_email(tx: &mut Tx, tenant: TenantId, members: Vec<(String, String)>) -> Result<Vec<Member>, Error> {
    let member = |(email, role): (String, String)| {
        let user = user_of(tx, tenant, &email)?.ok_or_else(|| Error::not_found("user", email))?;
        Ok(Member { user_id: user, role })
    };
    members.into_iter().map(member).collect()
}

fn user_of(tx: &mut Tx, tenant: TenantId, email: &str) -> Result<Option<UserId>, Error> {
    let sql = "SELECT id FROM users WHERE email_key = $1 AND tenant_id = $2";
    let key = email.trim().to_lowercase();
    tx.query_opt(sql, &params![key, tenant])?.map(|row| row.get(0)).transpose()
}
