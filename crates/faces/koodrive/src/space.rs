//! Spaces: what was handed out of a type, to an owner.
//!
//! **Always.** A space is an allotment under its type's, with the same id. Its capacity is the limit, which the type has
//! promised: whether that fits is decided in the commit. A space that is disabled keeps its capacity and admits nothing new.
//! An owner has one department space at most: a unique index says so, too.

use axum::extract::State;
use ledger::{AllotmentId, Limits, Resource};
use store::{AllotmentPatch, Error as StoreError, Managed, NewAllotment, Row, TenantId, Tx, params};

use crate::Face;
use crate::auth::Caller;
use crate::call::{Call, Owner};
use crate::error::Error;
use crate::kind::{self, Kind};
use crate::speech::{self, Reply};
use crate::wire::{self, NewSpace, SpaceChange, SpaceInfo};

/// The most individual spaces of one owner: bounds every list of them.
const SPACES_MAX: u64 = 1000;

ledger::id! {
    /// A space; its allotment has the same id.
    SpaceId
}
store::sql_id!(SpaceId);

impl SpaceId {
    fn allotment(self) -> AllotmentId {
        AllotmentId(self.0)
    }

    /// As the wire has it: hex digits, like all its ids.
    pub fn container(self) -> String {
        self.0.simple().to_string()
    }
}

/// A space, with what its allotment counts.
#[derive(Clone, Debug)]
pub struct Space {
    /// Its id.
    pub id: SpaceId,
    /// Whose customer's.
    pub tenant: TenantId,
    /// Of which type.
    pub kind: Kind,
    /// Whose, as the client says it.
    pub owner: String,
    /// Whether it admits nothing new.
    pub disabled: bool,
    /// Who made it.
    pub creator: String,
    /// Who changed it last.
    pub modifier: String,
    /// In bytes.
    pub capacity: u64,
    /// In bytes.
    pub used: u64,
}

/// `POST /space/{ownerId}`: hands out a space.
pub async fn create(State(face): State<Face>, Owner(owner): Owner, call: Call) -> Result<Reply, Error> {
    call.caller.check_admin()?;
    let asked = NewSpace::read(&call.json()?)?;
    let (tenant, kind, id) = (call.caller.tenant, asked.kind, SpaceId(face.store.new_id()));
    let under = face.store.read(move |tx| kind::node(tx, tenant, kind)).await?;
    let new = allotment(id, under, &owner, asked.capacity)?;
    let caller = call.caller.clone();
    let unit = call.caller.unit().create_allotment(new).rows(move |tx| insert(tx, id, &caller, &owner, &asked));
    face.store.write(unit).await?;
    Ok(Reply::done(speech::OK))
}

/// `PUT /space/{ownerId}`: another capacity, another status.
pub async fn change(State(face): State<Face>, Owner(owner): Owner, call: Call) -> Result<Reply, Error> {
    call.caller.check_admin()?;
    let asked = SpaceChange::read(&call.json()?)?;
    let space = only(&face, &call.caller, owner, asked.kind, asked.container.clone()).await?;
    let now = face.store.now();
    let patch = AllotmentPatch {
        limits: asked.capacity.map(|bytes| (Resource::BYTES, Some(bytes))).into_iter().collect(),
        covering: true,
        expires_at: asked.disabled.map(|disabled| disabled.then_some(now)),
        ..AllotmentPatch::default()
    };
    let modifier = call.caller.id.clone();
    let unit = call.caller.unit().change_allotment(space.id.allotment(), patch);
    let unit = unit.rows(move |tx| update(tx, space.id, &asked, &modifier));
    face.store.write(unit).await.map_err(Error::of_space)?;
    Ok(Reply::done(speech::OK))
}

/// `DELETE /space/{ownerId}`: takes back a space that is empty.
pub async fn remove(State(face): State<Face>, Owner(owner): Owner, call: Call) -> Result<Reply, Error> {
    call.caller.check_admin()?;
    let (kind, container) = which(&call)?;
    let space = only(&face, &call.caller, owner, kind, container).await?;
    let unit = call.caller.unit().remove_allotment(space.id.allotment()).rows(move |tx| delete(tx, space.id));
    face.store.write(unit).await.map_err(Error::of_space)?;
    Ok(Reply::done(speech::OK))
}

/// `GET /space/{ownerId}`: one space.
pub async fn get(State(face): State<Face>, Owner(owner): Owner, call: Call) -> Result<Reply, Error> {
    call.caller.check_reader(&owner)?;
    let (kind, container) = which(&call)?;
    let space = only(&face, &call.caller, owner, kind, container).await?;
    Reply::with(speech::OPERATION_SUCCESSFUL, SpaceInfo::from(space))
}

/// `GET /koodrive/ose/v2/space/{ownerId}`: all of an owner's spaces of a type.
pub async fn list(State(face): State<Face>, Owner(owner): Owner, call: Call) -> Result<Reply, Error> {
    call.caller.check_reader(&owner)?;
    let (kind, container) = which(&call)?;
    let found = matching(&face, &call.caller, owner, kind, container).await?;
    let found: Vec<SpaceInfo> = found.into_iter().map(SpaceInfo::from).collect();
    if found.is_empty() { Err(Error::NoSpace) } else { Reply::with(speech::OPERATION_SUCCESSFUL, found) }
}

fn which(call: &Call) -> Result<(Kind, Option<String>), Error> {
    let container = wire::container_id(call.param("containerId").map(str::to_owned))?;
    Ok((wire::kind_param(call.param("type"))?, container))
}

/// The one space that was meant.
async fn only(
    face: &Face,
    caller: &Caller,
    owner: String,
    kind: Kind,
    container: Option<String>,
) -> Result<Space, Error> {
    let mut found = matching(face, caller, owner, kind, container).await?;
    match (found.pop(), found.is_empty()) {
        (Some(space), true) => Ok(space),
        (Some(_), false) => Err(Error::Parameters("the owner has several such spaces: containerId says which")),
        (None, _) => Err(Error::NoSpace),
    }
}

async fn matching(
    face: &Face,
    caller: &Caller,
    owner: String,
    kind: Kind,
    container: Option<String>,
) -> Result<Vec<Space>, Error> {
    let tenant = caller.tenant;
    let sql = "SELECT s.id, s.tenant_id, s.kind, s.owner_id, s.disabled, s.creator, s.modifier, b.quota, b.used \
        FROM koodrive_spaces s \
        LEFT JOIN balances b ON b.allotment_id = s.id AND b.resource = 'bytes' \
        WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.kind = $3 ORDER BY s.id LIMIT $4";
    let values = params![tenant, owner, kind.number(), SPACES_MAX];
    let rows = face.store.read(move |tx| tx.query(sql, &values)).await?;
    let spaces = rows.iter().map(space).collect::<Result<Vec<_>, _>>()?;
    let is_meant = |space: &Space| container.as_ref().is_none_or(|container| space.id.container() == *container);
    Ok(spaces.into_iter().filter(is_meant).collect())
}

fn space(row: &Row) -> Result<Space, StoreError> {
    let number: u64 = row.get(2)?;
    let kind = Kind::from_number(number).ok_or_else(|| StoreError::Broken(format!("no space type {number}")))?;
    Ok(Space {
        id: row.get(0)?,
        tenant: row.get(1)?,
        kind,
        owner: row.get(3)?,
        disabled: row.get(4)?,
        creator: row.get(5)?,
        modifier: row.get(6)?,
        // Unlimited, as the native API may make it, is the most there can be.
        capacity: row.get::<Option<u64>>(7)?.unwrap_or(ledger::AMOUNT_MAX),
        used: row.get::<Option<u64>>(8)?.unwrap_or(0),
    })
}

fn allotment(id: SpaceId, under: AllotmentId, owner: &str, capacity: u64) -> Result<NewAllotment, Error> {
    let broken = |why: String| Error::Store(StoreError::Broken(why));
    let name = id.container().parse().map_err(|error: ledger::NameError| broken(error.to_string()))?;
    let limits = Limits::new().with(Resource::BYTES, capacity).map_err(|error| broken(error.to_string()))?;
    Ok(NewAllotment {
        title: owner.to_owned(),
        kind: "space".to_owned(),
        limits,
        managed_by: Some(Managed::new("koodrive", "space", id.container())),
        ..NewAllotment::new(id.allotment(), Some(under.into()), name)
    })
}

fn insert(tx: &mut Tx, id: SpaceId, caller: &Caller, owner: &str, new: &NewSpace) -> Result<(), StoreError> {
    let count = "SELECT count(*) FROM koodrive_spaces WHERE tenant_id = $1 AND owner_id = $2 AND kind = $3";
    let row = tx.query_opt(count, &params![caller.tenant, owner, new.kind.number()])?;
    let most = if new.kind == Kind::Department { 1 } else { SPACES_MAX };
    if row.map_or(Ok(0), |row| row.get::<u64>(0))? >= most {
        return Err(Error::Parameters("the owner has as many such spaces as one can have").noun());
    }
    let sql = "INSERT INTO koodrive_spaces (id, tenant_id, kind, owner_id, disabled, capabilities, creator, modifier, \
        created_at, updated_at) VALUES ($1, $2, $3, $4, FALSE, $5, $6, $6, $7, $7)";
    let capabilities = new.capabilities.as_deref();
    let values = params![id, caller.tenant, new.kind.number(), owner, capabilities, &caller.id, tx.now()];
    tx.execute(sql, &values).map(drop)
}

/// The row's part of a change. A disabled space is enabled before, or with, its new capacity.
fn update(tx: &mut Tx, id: SpaceId, asked: &SpaceChange, modifier: &str) -> Result<(), StoreError> {
    let row = tx.query_opt("SELECT disabled FROM koodrive_spaces WHERE id = $1", &params![id])?;
    let disabled = row.ok_or_else(|| Error::NoSpace.noun())?.get::<bool>(0)?;
    if asked.capacity.is_some() && asked.disabled.unwrap_or(disabled) {
        return Err(Error::Inactive.noun());
    }
    let sql = "UPDATE koodrive_spaces SET disabled = $2, modifier = $3, updated_at = $4 WHERE id = $1";
    tx.execute(sql, &params![id, asked.disabled.unwrap_or(disabled), modifier, tx.now()]).map(drop)
}

fn delete(tx: &mut Tx, id: SpaceId) -> Result<(), StoreError> {
    match tx.execute("DELETE FROM koodrive_spaces WHERE id = $1", &params![id])? {
        0 => Err(Error::NoSpace.noun()),
        _ => Ok(()),
    }
}
