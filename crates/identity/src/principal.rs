//! Who is calling.

use std::sync::Arc;

use ledger::AllotmentId;
use store::{Actor, Error, Row, TenantId, UserId};

use crate::TokenId;

/// Who is calling, as their row says. Cheap to clone: nothing in it is copied but numbers.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The person.
    pub user: UserId,
    /// Whose customer they are; none is an operator, who belongs to no tenant.
    pub tenant: Option<TenantId>,
    /// The login.
    pub email: Arc<str>,
    /// What people call them.
    pub name: Arc<str>,
    /// Whether all of the tenant is theirs to run.
    pub admin: bool,
    /// Whether they hand out allocations (Allocations).
    pub repository_admin: bool,
    /// Their own node, `acme/users/<id>`; an operator has none.
    pub allotment: Option<AllotmentId>,
    /// The token they came in by, if it was one.
    pub token: Option<TokenId>,
}

impl Principal {
    /// Whether they run the site.
    pub fn is_operator(&self) -> bool {
        self.tenant.is_none()
    }

    /// Whether they run this tenant: its admins do, and operators.
    pub fn is_admin_of(&self, tenant: TenantId) -> bool {
        self.is_operator() || (self.admin && self.tenant == Some(tenant))
    }

    /// As the journal names them.
    pub fn actor(&self) -> Actor {
        Actor::user(self.user)
    }

    /// The tenant that everything they name must be of; none for an operator.
    pub fn tenant_scope(&self) -> Option<TenantId> {
        self.tenant
    }
}

/// The columns of [`from_row`], of table `users`.
pub(crate) const COLUMNS: &str = "users.id, users.tenant_id, users.email, users.name, users.admin, \
    users.repository_admin, users.allotment_id";

/// Reads [`COLUMNS`] from the first seven columns.
pub(crate) fn from_row(row: &Row) -> Result<Principal, Error> {
    Ok(Principal {
        user: row.get(0)?,
        tenant: row.get(1)?,
        email: row.get::<String>(2)?.into(),
        name: row.get::<String>(3)?.into(),
        admin: row.get(4)?,
        repository_admin: row.get(5)?,
        allotment: row.get(6)?,
        token: None,
    })
}

/// One API dialect, as far as sessions go: a cookie of one is none on another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Face {
    /// `/api/…`
    Allocations,
    /// `/console`
    Console,
    /// `/api/2.0/…`
    CloudSigma,
    /// `/core/v2/…`
    CarrierX,
    /// `/v2`, `/v3`, `/oauth`
    CloudFoundry,
    /// `/koodrive/ose/…`
    KooDrive,
    /// `/plimsoll/v1`
    Native,
}

impl Face {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Face::Allocations => "allocations",
            Face::Console => "console",
            Face::CloudSigma => "cloudsigma",
            Face::CarrierX => "carrierx",
            Face::CloudFoundry => "cloudfoundry",
            Face::KooDrive => "koodrive",
            Face::Native => "native",
        }
    }
}
