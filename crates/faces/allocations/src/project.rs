//! Projects: owners with members.
//!
//! **Always.** A project is an allotment under its tenant's `projects`, with the same id. Its members have a grant on that
//! allotment in the same commit, so that the native API knows them, too.

use axum::Json;
use axum::extract::State;
use identity::{Grant, Role};
use ledger::AllotmentId;
use store::{Error as StoreError, Managed, NewAllotment, TenantId, Tx, UserId, Value, params};

use crate::auth::Caller;
use crate::error::Error;
use crate::ids::ProjectId;
use crate::input::{At, Input, Params};
use crate::page::Window;
use crate::reply::Created;
use crate::select::Select;
use crate::wire::{self, Member};
use crate::{Face, access, user};

/// How many projects one list holds; `cursor` brings those after them.
const LIST_MAX: u64 = 1000;

/// The folder of a tenant under which its projects lie.
const FOLDER: &str = "projects";

/// `GET /api/projects/`: those of which the caller is a member; an administrator sees the tenant's.
pub async fn list(State(face): State<Face>, caller: Caller, params: Params) -> Result<Json<Vec<wire::Project>>, Error> {
    let (window, select) = (Window::of(&params, LIST_MAX, LIST_MAX)?, visible(&caller));
    let read = face.store.read(move |tx| {
        let rows = window.read(tx, COLUMNS, "projects", "projects", select)?;
        projects(tx, &rows)
    });
    Ok(Json(read.await?))
}

/// `POST /api/projects/`: whoever makes one is its admin.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Input(asked): Input<wire::NewProject>,
) -> Result<Created<wire::Project>, Error> {
    // Others than administrators make projects of their own only, whatever they say.
    let owner = asked.owner.filter(|_| access::is_administrator(&caller));
    let tenant = match (caller.tenant, owner) {
        (Some(tenant), None) => tenant,
        (_, owner) => user::tenant_of(&face, owner).await?,
    };
    if !access::is_within(&caller, tenant) {
        return Err(Error::field("owner_id", "Invalid owner - object does not exist."));
    }
    let owner = owner.unwrap_or(caller.user);
    let members = with_admin(asked.members, owner);
    let id = ProjectId(face.store.new_id());
    let new = New { id, tenant, name: asked.name, owner: Some(owner), members };
    let draft = new.clone();
    let allotment = face.store.read(move |tx| allotment(tx, &draft)).await?;
    let unit = caller.unit().create_allotment(allotment).rows(move |tx| insert(tx, &new));
    face.store.write(unit).await?;
    Ok(Created(show(&face, Select::new(), id).await?))
}

/// `GET /api/projects/{id}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ProjectId>,
) -> Result<Json<wire::Project>, Error> {
    Ok(Json(show(&face, visible(&caller), id).await?))
}

async fn show(face: &Face, mut select: Select, id: ProjectId) -> Result<wire::Project, Error> {
    select.and_equal("projects.id", Some(id));
    let read = face.store.read(move |tx| {
        let sql = format!("SELECT {COLUMNS} FROM projects WHERE {}", select.conditions());
        let rows = tx.query(&sql, select.values())?;
        projects(tx, &rows)
    });
    read.await?.pop().ok_or(Error::NotFound)
}

fn visible(caller: &Caller) -> Select {
    let mut select = Select::new();
    access::narrow_to_tenant(&mut select, caller, "projects");
    if !access::is_administrator(caller) {
        let user = select.bind(caller.user);
        select.and(format!("projects.id IN (SELECT project_id FROM project_members WHERE user_id = {user})"));
    }
    select
}

fn with_admin(mut members: Vec<Member>, owner: UserId) -> Vec<Member> {
    members.retain(|member| member.user_id != owner);
    members.insert(0, Member { user_id: owner, role: "admin".to_owned() });
    members
}

/// A project to be made; also by the site file's hand.
#[derive(Clone)]
pub struct New {
    pub id: ProjectId,
    pub tenant: TenantId,
    pub name: String,
    pub owner: Option<UserId>,
    pub members: Vec<Member>,
}

/// The node of a new project: it goes by its name where that is one and free, else by its id.
pub fn allotment(tx: &mut Tx, new: &New) -> Result<NewAllotment, StoreError> {
    let folder = "SELECT id FROM allotments WHERE parent_id = $1 AND name = $2";
    let row = tx.query_opt(folder, &params![new.tenant, FOLDER])?;
    let folder: AllotmentId = row.ok_or_else(|| StoreError::not_found("tenant", new.tenant))?.get(0)?;
    let taken = "SELECT 1 FROM allotments WHERE parent_id = $1 AND name = $2";
    let name = match new.name.parse::<ledger::Name>() {
        Ok(name) if tx.query_opt(taken, &params![folder, name.as_str()])?.is_none() => Ok(name),
        _ => new.id.to_string().parse::<ledger::Name>(),
    };
    Ok(NewAllotment {
        title: new.name.clone(),
        kind: "project".to_owned(),
        managed_by: Some(Managed::new("allocations", "project", new.id)),
        ..NewAllotment::new(
            new.id.allotment(),
            Some(folder.into()),
            name.map_err(|error| StoreError::Broken(error.to_string()))?,
        )
    })
}

/// The rows of a new project.
pub fn insert(tx: &mut Tx, new: &New) -> Result<(), StoreError> {
    let sql = "INSERT INTO projects (id, tenant_id, name, owner_id, created_at) VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, &params![new.id, new.tenant, &new.name, new.owner, tx.now()])?;
    new.members.iter().try_for_each(|member| put_member(tx, new.id, member))
}

/// Somebody is in a project as this, from now on. Who manages one may change what lies below it, natively.
pub fn put_member(tx: &mut Tx, project: ProjectId, member: &Member) -> Result<(), StoreError> {
    let role = if member.role == "member" { Role::Member } else { Role::Owner };
    let grant = Grant { user: member.user_id, allotment: project.allotment(), role };
    identity::put_grant(tx, grant).map_err(|error| match error {
        StoreError::NotFound { .. } => Error::field("members", "Invalid user - object does not exist.").noun(),
        other => other,
    })?;
    let sql = "INSERT INTO project_members (project_id, user_id, role) VALUES ($1, $2, $3) \
        ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role";
    tx.execute(sql, &params![project, member.user_id, &member.role]).map(drop)
}

/// Somebody is in it no longer.
pub fn remove_member(tx: &mut Tx, project: ProjectId, user: UserId) -> Result<(), StoreError> {
    identity::remove_grant(tx, user, project.allotment())?;
    let sql = "DELETE FROM project_members WHERE project_id = $1 AND user_id = $2";
    tx.execute(sql, &params![project, user]).map(drop)
}

/// Who is in it.
pub fn members(tx: &mut Tx, project: ProjectId) -> Result<Vec<Member>, StoreError> {
    let sql = "SELECT user_id, role FROM project_members WHERE project_id = $1 ORDER BY user_id";
    let rows = tx.query(sql, &params![project])?;
    rows.iter().map(|row| Ok(Member { user_id: row.get(0)?, role: row.get(1)? })).collect()
}

/// The project of this name; the oldest, if several have it.
pub fn by_name(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<Option<ProjectId>, StoreError> {
    let sql = "SELECT id FROM projects WHERE tenant_id = $1 AND name = $2 ORDER BY created_at, id LIMIT 1";
    tx.query_opt(sql, &params![tenant, name])?.map(|row| row.get(0)).transpose()
}

/// The rows' end. What it owned and holds nothing goes with it; a record in an asset of it keeps it.
pub fn delete(tx: &mut Tx, id: ProjectId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM assets WHERE owner_type = 'project' AND owner_id = $1", &params![id])?;
    tx.execute("DELETE FROM collections WHERE owner_type = 'project' AND owner_id = $1", &params![id])?;
    tx.execute("DELETE FROM projects WHERE id = $1", &params![id]).map(drop)
}

const COLUMNS: &str = "projects.id, projects.name, projects.owner_id, projects.created_at";

fn projects(tx: &mut Tx, rows: &[store::Row]) -> Result<Vec<wire::Project>, StoreError> {
    let ids = rows.iter().map(|row| row.get::<ProjectId>(0).map(Value::from)).collect::<Result<Vec<_>, _>>()?;
    let sql = |list: &str| format!("SELECT project_id, user_id, role FROM project_members WHERE project_id IN {list}");
    let mut members = std::collections::HashMap::<ProjectId, Vec<Member>>::new();
    for row in tx.query_in(sql, &ids)? {
        members.entry(row.get(0)?).or_default().push(Member { user_id: row.get(1)?, role: row.get(2)? });
    }
    let project = |row: &store::Row| {
        let id = row.get(0)?;
        let mut members = members.remove(&id).unwrap_or_default();
        members.sort_by_key(|member| member.user_id);
        Ok(wire::Project { id, name: row.get(1)?, owner_id: row.get(2)?, members, created_at: wire::At(row.get(3)?) })
    };
    rows.iter().map(project).collect()
}
