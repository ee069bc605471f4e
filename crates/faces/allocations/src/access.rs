//! How close somebody is to what an owner has. The one rule for allocations, records, collections and assets.
//!
//! | | their own | their project's | all of their tenant | all |
//! |---|---|---|---|---|
//! | a user | write | as member: read; as manager or admin: write | | |
//! | an administrator | write | write | write | |
//! | an operator | write | write | write | write |
//!
//! An allocation can also be seen, and no more, by who owns one above it (`allocation.rs`).

use identity::Principal;
use store::{Error, Row, TenantId, Tx, UserId, Value, params};
use uuid::Uuid;

use crate::ids::ProjectId;
use crate::select::Select;

/// Who owns something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// A person.
    User(UserId),
    /// A project, and through it its members.
    Project(ProjectId),
}

impl Owner {
    /// The two words of `owner_type`.
    pub const TYPES: &'static [&'static str] = &["user", "project"];

    /// From the two fields that name one.
    pub fn new(owner_type: &str, id: Uuid) -> Owner {
        if owner_type == "project" { Owner::Project(ProjectId(id)) } else { Owner::User(UserId(id)) }
    }

    /// The word on the wire and in the database.
    pub fn kind(self) -> &'static str {
        match self {
            Owner::User(_) => "user",
            Owner::Project(_) => "project",
        }
    }

    /// The id, whichever it is.
    pub fn id(self) -> Uuid {
        match self {
            Owner::User(user) => user.0,
            Owner::Project(project) => project.0,
        }
    }

    /// The id of the person, if it is one.
    pub fn user(self) -> Option<UserId> {
        match self {
            Owner::User(user) => Some(user),
            Owner::Project(_) => None,
        }
    }

    /// From the columns `owner_type` and `owner_id`, the first at `index`.
    pub fn from_row(row: &Row, index: usize) -> Result<Owner, Error> {
        Ok(Owner::new(&row.get::<String>(index)?, row.get(index + 1)?))
    }
}

/// How close somebody is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// It is not theirs to see.
    None,
    /// They see it and read what is in it.
    Read,
    /// They store in it and change it.
    Write,
}

/// How close `who` is to what `owner` has in `tenant`.
pub fn reach(tx: &mut Tx, who: &Principal, tenant: TenantId, owner: Owner) -> Result<Reach, Error> {
    if who.is_admin_of(tenant) {
        return Ok(Reach::Write);
    }
    if who.tenant != Some(tenant) {
        return Ok(Reach::None);
    }
    match owner {
        Owner::User(user) if user == who.user => Ok(Reach::Write),
        Owner::User(_) => Ok(Reach::None),
        Owner::Project(project) => {
            let sql = "SELECT role FROM project_members WHERE project_id = $1 AND user_id = $2";
            let Some(row) = tx.query_opt(sql, &params![project, who.user])? else { return Ok(Reach::None) };
            Ok(if row.get::<String>(0)? == "member" { Reach::Read } else { Reach::Write })
        }
    }
}

/// Narrows a list to rows of which `who` has [`Reach::Read`]: those have the columns `tenant_id`, `owner_type` and
/// `owner_id` in the table or alias `of`.
pub fn narrow(select: &mut Select, who: &Principal, of: &str) {
    narrow_to_tenant(select, who, of);
    if is_administrator(who) {
        return;
    }
    let user = select.bind(who.user);
    select.and(format!(
        "(({of}.owner_type = 'user' AND {of}.owner_id = {user}) OR ({of}.owner_type = 'project' AND {of}.owner_id IN \
         (SELECT project_id FROM project_members WHERE user_id = {user})))"
    ));
}

/// Narrows a list to the caller's tenant; an operator's is the whole site.
pub fn narrow_to_tenant(select: &mut Select, who: &Principal, of: &str) {
    select.and_equal(&format!("{of}.tenant_id"), who.tenant);
}

/// Whether they administer all that they can see.
pub fn is_administrator(who: &Principal) -> bool {
    who.is_operator() || who.admin
}

/// What is known of an owner who is there.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    /// Whose customer they are.
    pub tenant: TenantId,
    /// The node under which what they are given lies.
    pub node: ledger::AllotmentId,
}

/// Looks an owner up. One of another tenant than the caller's is not there, nor is an operator, who owns nothing.
pub fn home(tx: &mut Tx, who: &Principal, owner: Owner) -> Result<Option<Home>, Error> {
    let sql = match owner {
        Owner::User(_) => "SELECT tenant_id, allotment_id FROM users WHERE id = $1",
        Owner::Project(_) => "SELECT tenant_id, id FROM projects WHERE id = $1",
    };
    let Some(row) = tx.query_opt(sql, &[Value::Id(owner.id())])? else { return Ok(None) };
    let (Some(tenant), Some(node)) = (row.get(0)?, row.get(1)?) else { return Ok(None) };
    Ok(Some(Home { tenant, node }).filter(|home| is_within(who, home.tenant)))
}

/// Whether this tenant is one the caller can know of.
pub fn is_within(who: &Principal, tenant: TenantId) -> bool {
    who.tenant.is_none_or(|own| own == tenant)
}
