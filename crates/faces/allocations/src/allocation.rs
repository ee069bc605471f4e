//! Allocations: so many bytes and so many records, for a user or a project, in a repository.
//!
//! **Always.** An allocation is an allotment under its owner's node, or under its parent's, with the same id; limits, usage
//! and alias are the allotment's. An owner has at most one default: a partial unique index says so, too.

use axum::Json;
use axum::extract::State;
use identity::Principal;
use ledger::{AllotmentId, Limits, Resource, Side};
use store::{
    AllotmentPatch, Error as StoreError, Managed, Micros, NewAllotment, Row, TenantId, Tx, Unit, UserId, params,
};

use crate::access::{self, Owner, Reach};
use crate::auth::Caller;
use crate::error::{Error, Fault};
use crate::ids::{AllocationId, RepositoryId};
use crate::input::{self, At, Input, Params};
use crate::page::Window;
use crate::reply::{Created, NoContent};
use crate::select::Select;
use crate::wire::{self, NewPlace};
use crate::{Face, attach, repository, user};

/// How deep allocations lie in each other, the top one counted.
const DEPTH_MAX: u64 = 8;
/// How many allocations one list holds; `cursor` brings those after them.
const LIST_MAX: u64 = 10_000;
/// How often a flip of the default is tried again when another process flips it at the same moment.
const FLIPS_MAX: usize = 5;

const RECORDS_PRESENT: &str = "Cannot delete allocation - records present.";
const CHILDREN_PRESENT: &str = "Cannot delete allocation - sub-allocations present.";

/// `POST /api/allocations/`: hands out space.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    Input(asked): Input<wire::NewAllocation>,
) -> Result<Created<wire::Allocation>, Error> {
    let id = AllocationId(face.store.new_id());
    let who = caller.clone();
    let plan = face.store.read(move |tx| plan(tx, &who, id, asked).map_err(Error::noun)).await?;
    let unit = caller.unit().create_allotment(plan.allotment()?).rows(move |tx| insert(tx, &plan));
    face.store.write(unit).await?;
    // Who hands out to somebody else sees the answer, if not the allocation later.
    Ok(Created(show(&face, Select::new(), id).await?))
}

/// `GET /api/allocations/`: those that the caller may see, the oldest first.
pub async fn list(
    State(face): State<Face>,
    caller: Caller,
    params: Params,
) -> Result<Json<Vec<wire::Allocation>>, Error> {
    let mut fields = params.fields();
    let owner_type = fields.may("owner_type", input::choice(Owner::TYPES));
    let owner_id = fields.may("owner_id", input::uuid);
    let repository = fields.may("repository_id", input::uuid);
    let parent = fields.may("parent_id", input::uuid);
    fields.end()?;
    let window = Window::of(&params, LIST_MAX, LIST_MAX)?;
    let mut select = visible(&caller);
    select.and_equal("allocations.owner_type", owner_type);
    select.and_equal("allocations.owner_id", owner_id);
    select.and_equal("allocations.repository_id", repository);
    select.and_equal("allocations.parent_id", parent);
    let rows = face.store.read(move |tx| window.read(tx, COLUMNS, FROM, "allocations", select));
    Ok(Json(rows.await?.iter().map(from_row).collect::<Result<_, _>>()?))
}

/// `GET /api/allocations/{id}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<AllocationId>,
) -> Result<Json<wire::Allocation>, Error> {
    Ok(Json(show(&face, visible(&caller), id).await?))
}

/// `PATCH /api/allocations/{id}/`: the alias for its owner, the limits for who handed it out.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<AllocationId>,
    Input(asked): Input<wire::AllocationChange>,
) -> Result<Json<wire::Allocation>, Error> {
    let rights = rights(&face, &caller, id).await?;
    let changes_limits = asked.data_volume_limit.is_some() || asked.max_records.is_some();
    if (asked.alias.is_some() && !rights.owns) || (changes_limits && !rights.hands_out) {
        return Err(Error::Denied);
    }
    if asked.alias.is_some() || changes_limits {
        let limits = [(Resource::BYTES, asked.data_volume_limit), (Resource::OBJECTS, asked.max_records)];
        let limits = limits.into_iter().filter(|(_, limit)| limit.is_some()).collect();
        let patch = AllotmentPatch { title: asked.alias, limits, ..AllotmentPatch::default() };
        let unit = caller.unit().change_allotment(id.allotment(), patch).rows(move |tx| touch(tx, id));
        face.store.write(unit).await?;
    }
    Ok(Json(show(&face, visible(&caller), id).await?))
}

/// `DELETE /api/allocations/{id}/`: takes back what is empty.
pub async fn remove(State(face): State<Face>, caller: Caller, At(id): At<AllocationId>) -> Result<NoContent, Error> {
    let rights = rights(&face, &caller, id).await?;
    if !rights.hands_out {
        return Err(Error::Denied);
    }
    face.store.read(move |tx| check_empty(tx, id)).await?;
    let unit = caller.unit().remove_allotment(id.allotment()).rows(move |tx| delete(tx, id));
    match face.store.write(unit).await {
        Ok(_) => Ok(NoContent),
        Err(StoreError::Conflict(_)) => {
            face.store.read(move |tx| check_empty(tx, id)).await?;
            // What still holds it is a record that is on its way in.
            Err(Error::Conflict(RECORDS_PRESENT.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /api/allocations/{id}/default/`: where the owner's new data goes from now on.
pub async fn make_default(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<AllocationId>,
) -> Result<Json<wire::Allocation>, Error> {
    if !rights(&face, &caller, id).await?.owns {
        return Err(Error::Denied);
    }
    for attempt in 1.. {
        let unit = Unit::by(caller.actor()).rows(move |tx| flip_default(tx, id));
        match face.store.write(unit).await {
            Err(StoreError::Conflict(_)) if attempt < FLIPS_MAX => continue,
            written => written?,
        };
        break;
    }
    Ok(Json(show(&face, visible(&caller), id).await?))
}

/// What was asked, found to be allowed and possible.
struct Plan {
    id: AllocationId,
    tenant: TenantId,
    owner: Owner,
    repository: RepositoryId,
    parent: Option<AllocationId>,
    under: AllotmentId,
    asked: wire::NewAllocation,
}

/// The rules: who may, and that all that is named is there.
fn plan(tx: &mut Tx, who: &Principal, id: AllocationId, asked: wire::NewAllocation) -> Result<Plan, Error> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, why: &str| faults.push(Fault { field: field.to_owned(), why: why.to_owned() });
    let parent = match asked.place {
        NewPlace::Parent(parent) => Some(parent_of_new(tx, who, parent)?),
        NewPlace::Repository(_) if access::is_administrator(who) || who.repository_admin => None,
        NewPlace::Repository(_) => return Err(Error::Denied),
    };
    let home = access::home(tx, who, asked.owner)?;
    let home = home.filter(|home| parent.as_ref().is_none_or(|parent| parent.tenant == home.tenant));
    if home.is_none() {
        fault("owner_id", "Invalid owner - object does not exist.");
    }
    let repository = match (asked.place, &parent) {
        (_, Some(parent)) => Some(parent.repository),
        (NewPlace::Repository(id), None) => match repository::usable(tx, id, home.map(|home| home.tenant), who)? {
            Ok(id) => Some(id),
            Err(why) => {
                fault("repository_id", why);
                None
            }
        },
        (NewPlace::Parent(_), None) => None,
    };
    let tenant = home.map(|home| home.tenant);
    if let Some(asset) = asked.attach_to_asset
        && !attach::asset_can(tx, who, asset, tenant)?
    {
        fault("attach_to_asset_id", "Invalid asset - object does not exist.");
    }
    if let Some(collection) = asked.attach_to_collection
        && !attach::collection_can(tx, who, collection, tenant)?
    {
        fault("attach_to_collection_id", "Invalid collection - object does not exist.");
    }
    let (Some(home), Some(repository), true) = (home, repository, faults.is_empty()) else {
        return Err(Error::Fields(faults));
    };
    let under = parent.as_ref().map_or(home.node, |parent| parent.id.allotment());
    let (tenant, owner, parent) = (home.tenant, asked.owner, parent.map(|parent| parent.id));
    Ok(Plan { id, tenant, owner, repository, parent, under, asked })
}

/// The allocation under which another is made: the caller's own, directly.
fn parent_of_new(tx: &mut Tx, who: &Principal, id: AllocationId) -> Result<Known, Error> {
    let parent = find(tx, id)?.filter(|parent| access::is_within(who, parent.tenant));
    let parent = parent.ok_or_else(|| Error::field("parent_id", "Invalid parent - object does not exist."))?;
    if parent.owner != Owner::User(who.user) {
        return Err(Error::Denied);
    }
    if depth(tx, id)? >= DEPTH_MAX {
        let why = format!("Ensure allocations are not nested more than {DEPTH_MAX} deep.");
        return Err(Error::field("parent_id", why));
    }
    Ok(parent)
}

impl Plan {
    fn allotment(&self) -> Result<NewAllotment, Error> {
        let invalid = |why: String| Error::Store(StoreError::Invalid(why));
        let limits = Limits::new().with(Resource::BYTES, self.asked.data_volume_limit);
        let limits = limits.and_then(|limits| limits.with(Resource::OBJECTS, self.asked.max_records));
        let name = format!("allocation-{}", self.id).parse();
        let name = name.map_err(|error: ledger::NameError| invalid(error.to_string()))?;
        Ok(NewAllotment {
            side: Side::Demand,
            title: self.asked.alias.clone(),
            kind: "allocation".to_owned(),
            limits: limits.map_err(|error| invalid(error.to_string()))?,
            managed_by: Some(Managed::new("allocations", "allocation", self.id)),
            owner: self.owner.user(),
            ..NewAllotment::new(self.id.allotment(), Some(self.under.into()), name)
        })
    }
}

/// What somebody may do to one that they see.
struct Rights {
    /// It is theirs or their project's.
    owns: bool,
    /// They handed it out: they own what it was carved from, or administer the tenant.
    hands_out: bool,
}

/// The rights of the caller; what they do not see is not there.
async fn rights(face: &Face, caller: &Caller, id: AllocationId) -> Result<Rights, Error> {
    let (who, mut select) = (caller.clone(), visible(caller));
    select.and_equal("allocations.id", Some(id));
    let read = face.store.read(move |tx| {
        let sql = format!("SELECT allocations.id FROM allocations WHERE {}", select.conditions());
        if tx.query_opt(&sql, select.values())?.is_none() {
            return Ok(None);
        }
        let Some(known) = find(tx, id)? else { return Ok(None) };
        let owns = access::reach(tx, &who, known.tenant, known.owner)? == Reach::Write;
        let parent = known.parent.map(|parent| find(tx, parent)).transpose()?.flatten();
        let owns_parent = parent.is_some_and(|parent| parent.owner == Owner::User(who.user));
        Ok(Some(Rights { owns, hands_out: owns_parent || who.is_admin_of(known.tenant) }))
    });
    read.await?.ok_or(Error::NotFound)
}

/// The allocation as it is now, if it fits `select`: what the caller may see, or anything once they have made it.
async fn show(face: &Face, mut select: Select, id: AllocationId) -> Result<wire::Allocation, Error> {
    select.and_equal("allocations.id", Some(id));
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE {}", select.conditions());
    let row = face.store.read(move |tx| tx.query_opt(&sql, select.values())).await?;
    row.as_ref().map(from_row).transpose()?.ok_or(Error::NotFound)
}

/// Of which allocations the caller may know: an administrator of all; others of their own, their projects', and those
/// carved from these.
fn visible(who: &Principal) -> Select {
    let mut select = Select::new();
    access::narrow_to_tenant(&mut select, who, "allocations");
    if !access::is_administrator(who) {
        let user = select.bind(who.user);
        select.and(format!(
            "allocations.id IN (WITH RECURSIVE mine (id) AS (\
             SELECT a.id FROM allocations a WHERE a.owner_type = 'user' AND a.owner_id = {user} \
             UNION SELECT a.id FROM allocations a JOIN project_members m ON m.project_id = a.owner_id \
             WHERE a.owner_type = 'project' AND m.user_id = {user} \
             UNION SELECT a.id FROM allocations a JOIN mine ON a.parent_id = mine.id) SELECT id FROM mine)"
        ));
    }
    select
}

/// The row of an allocation, without what its allotment counts.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub id: AllocationId,
    pub tenant: TenantId,
    pub owner: Owner,
    pub repository: RepositoryId,
    pub parent: Option<AllocationId>,
}

const KNOWN: &str = "SELECT id, tenant_id, owner_type, owner_id, repository_id, parent_id FROM allocations";

fn known(row: &Row) -> Result<Known, StoreError> {
    let owner = Owner::from_row(row, 2)?;
    Ok(Known { id: row.get(0)?, tenant: row.get(1)?, owner, repository: row.get(4)?, parent: row.get(5)? })
}

/// An allocation by id, whoever asks.
pub fn find(tx: &mut Tx, id: AllocationId) -> Result<Option<Known>, StoreError> {
    tx.query_opt(&format!("{KNOWN} WHERE id = $1"), &params![id])?.as_ref().map(known).transpose()
}

/// Where an owner's new data goes when nothing else is said.
pub fn default_of(tx: &mut Tx, owner: Owner) -> Result<Option<Known>, StoreError> {
    let sql = format!("{KNOWN} WHERE owner_type = $1 AND owner_id = $2 AND is_default");
    tx.query_opt(&sql, &params![owner.kind(), owner.id()])?.as_ref().map(known).transpose()
}

fn depth(tx: &mut Tx, id: AllocationId) -> Result<u64, StoreError> {
    let sql = "WITH RECURSIVE up (id, parent_id) AS (SELECT id, parent_id FROM allocations WHERE id = $1 \
        UNION ALL SELECT a.id, a.parent_id FROM allocations a JOIN up ON a.id = up.parent_id) SELECT count(*) FROM up";
    tx.query_opt(sql, &params![id])?.map_or(Ok(0), |row| row.get(0))
}

const COLUMNS: &str = "allocations.id, allocations.repository_id, allocations.owner_type, allocations.owner_id, \
    allocations.parent_id, n.children, n.title, b.quota, r.quota, b.used, r.used, allocations.is_default, \
    allocations.created_at, allocations.updated_at, n.updated_at, \
    users.id, users.email, users.name, users.tenant_id, users.admin, users.repository_admin, users.created_at";
const FROM: &str = "allocations JOIN allotments n ON n.id = allocations.id \
    LEFT JOIN balances b ON b.allotment_id = allocations.id AND b.resource = 'bytes' \
    LEFT JOIN balances r ON r.allotment_id = allocations.id AND r.resource = 'objects' \
    LEFT JOIN users ON allocations.owner_type = 'user' AND users.id = allocations.owner_id";

fn from_row(row: &Row) -> Result<wire::Allocation, StoreError> {
    let owner = Owner::from_row(row, 2)?;
    let owner_project_id = match owner {
        Owner::User(_) => None,
        Owner::Project(project) => Some(project),
    };
    // A limit that the operator took away on the native side is none; here it is the largest there is.
    let limit = |index| Ok::<u64, StoreError>(row.get::<Option<u64>>(index)?.unwrap_or(ledger::AMOUNT_MAX));
    let used = |index| Ok::<u64, StoreError>(row.get::<Option<u64>>(index)?.unwrap_or(0));
    Ok(wire::Allocation {
        id: row.get(0)?,
        repository_id: row.get(1)?,
        owner_user: row.get::<Option<UserId>>(15)?.map(|_| user::from_row(row, 15)).transpose()?,
        owner_project_id,
        parent_id: row.get(4)?,
        children_count: row.get(5)?,
        alias: row.get(6)?,
        data_volume_limit: limit(7)?,
        max_records: limit(8)?,
        current_bytes: used(9)?,
        current_record_count: used(10)?,
        is_default: row.get(11)?,
        created_at: wire::At(row.get(12)?),
        // A limit changed on the native side moves the allotment's only.
        updated_at: wire::At(row.get::<Micros>(13)?.max(row.get(14)?)),
    })
}

fn insert(tx: &mut Tx, plan: &Plan) -> Result<(), StoreError> {
    let (kind, owner, now) = (plan.owner.kind(), plan.owner.id(), tx.now());
    let sql = "SELECT 1 FROM allocations WHERE owner_type = $1 AND owner_id = $2 AND is_default";
    let is_default = plan.parent.is_none() && tx.query_opt(sql, &params![kind, owner])?.is_none();
    let sql = "INSERT INTO allocations (id, tenant_id, owner_type, owner_id, repository_id, parent_id, is_default, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
    let values = params![plan.id, plan.tenant, kind, owner, plan.repository, plan.parent, is_default, now];
    tx.execute(sql, &values)?;
    attach::set(tx, plan.id, plan.asked.attach_to_asset, plan.asked.attach_to_collection)
}

fn touch(tx: &mut Tx, id: AllocationId) -> Result<(), StoreError> {
    let sql = "UPDATE allocations SET updated_at = $2 WHERE id = $1";
    match tx.execute(sql, &params![id, tx.now()])? {
        0 => Err(StoreError::not_found("allocation", id)),
        _ => Ok(()),
    }
}

fn check_empty(tx: &mut Tx, id: AllocationId) -> Result<(), StoreError> {
    let any = |tx: &mut Tx, sql| Ok::<bool, StoreError>(tx.query_opt(sql, &params![id])?.is_some());
    if any(tx, "SELECT 1 FROM records WHERE allocation_id = $1 LIMIT 1")? {
        return Err(Error::Conflict(RECORDS_PRESENT.to_owned()).noun());
    }
    if any(tx, "SELECT 1 FROM allocations WHERE parent_id = $1 LIMIT 1")? {
        return Err(Error::Conflict(CHILDREN_PRESENT.to_owned()).noun());
    }
    Ok(())
}

fn delete(tx: &mut Tx, id: AllocationId) -> Result<(), StoreError> {
    attach::clear(tx, id)?;
    match tx.execute("DELETE FROM allocations WHERE id = $1", &params![id])? {
        0 => Err(StoreError::not_found("allocation", id)),
        _ => Ok(()),
    }
}

fn flip_default(tx: &mut Tx, id: AllocationId) -> Result<(), StoreError> {
    let known = find(tx, id)?.ok_or_else(|| StoreError::not_found("allocation", id))?;
    let (kind, owner, now) = (known.owner.kind(), known.owner.id(), tx.now());
    let unset = "UPDATE allocations SET is_default = FALSE, updated_at = $4 \
        WHERE owner_type = $1 AND owner_id = $2 AND is_default AND id <> $3";
    tx.execute(unset, &params![kind, owner, id, now])?;
    let set = "UPDATE allocations SET is_default = TRUE, updated_at = $2 WHERE id = $1 AND NOT is_default";
    tx.execute(set, &params![id, now]).map(drop)
}
