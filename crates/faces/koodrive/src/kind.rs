//! The types of space, and how much there is of each.
//!
//! **Always.** A type's total moves by amounts that the store applies to what it is at that moment: a transfer is one unit, so
//! all of it happens or nothing, and the sum of the totals stays what it was.

use axum::extract::State;
use ledger::{AllotmentId, Resource};
use store::{AllotmentPatch, Error as StoreError, TenantId, Tx, params};

use crate::Face;
use crate::call::Call;
use crate::error::Error;
use crate::speech::{self, Reply};
use crate::wire::{self, Overview, Transfer};

/// The folder of a tenant under which its types lie.
pub const FOLDER: &str = "koodrive";

/// A type of space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Of departments.
    Department,
    /// Of people.
    Individual,
    /// Of groups.
    Group,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Kind; 3] = [Kind::Department, Kind::Individual, Kind::Group];

    /// On the wire and in the database.
    pub fn number(self) -> i64 {
        match self {
            Kind::Department => 0,
            Kind::Individual => 1,
            Kind::Group => 2,
        }
    }

    /// From that number.
    pub fn from_number(number: u64) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| u64::try_from(kind.number()) == Ok(number))
    }

    /// Its segment of the path.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Department => "department",
            Kind::Individual => "individual",
            Kind::Group => "group",
        }
    }
}

/// How much there is of one type, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Total {
    /// Which.
    pub kind: Kind,
    /// What the tenant has of it.
    pub limit: u64,
    /// What was handed out to spaces.
    pub promised: u64,
    /// What is used.
    pub used: u64,
}

/// `GET /space/allocation/get`: what is handed out of each type, and what there is.
pub async fn status(State(face): State<Face>, call: Call) -> Result<Reply, Error> {
    let tenant = call.caller.tenant;
    let totals = face.store.read(move |tx| totals(tx, tenant)).await?;
    Reply::with(speech::OPERATION_SUCCESSFUL, wire::status(&totals, call.caller.form))
}

/// `GET /space/usage/overview`: all types together.
pub async fn overview(State(face): State<Face>, call: Call) -> Result<Reply, Error> {
    let tenant = call.caller.tenant;
    let totals = face.store.read(move |tx| totals(tx, tenant)).await?;
    Reply::with(speech::OPERATION_SUCCESSFUL, Overview::of(&totals))
}

/// `POST /space/allocation/transfer`: what is not handed out goes from one type to others.
pub async fn transfer(State(face): State<Face>, call: Call) -> Result<Reply, Error> {
    call.caller.check_admin()?;
    let asked = Transfer::read(&call.json()?)?;
    let tenant = call.caller.tenant;
    let by_so_much = |bytes| AllotmentPatch {
        limits_by: vec![(Resource::BYTES, bytes)],
        covering: true,
        ..AllotmentPatch::default()
    };
    let (origin, sum) = (asked.origin, asked.sum()?);
    let kinds: Vec<Kind> = asked.targets.iter().map(|(kind, _)| *kind).chain([origin]).collect();
    let nodes = face.store.read(move |tx| kinds.into_iter().map(|kind| node(tx, tenant, kind)).collect());
    let nodes: Vec<AllotmentId> = nodes.await?;
    let Some((origin, targets)) = nodes.split_last() else { return Err(Error::NoSpace) };
    // The whole sum leaves first: what would only come back to the origin must be there, too (spec, section 4).
    let unit = call.caller.unit().change_allotment(*origin, by_so_much(-sum));
    let moves = targets.iter().zip(&asked.targets);
    let unit = moves.fold(unit, |unit, (node, (_, bytes))| unit.change_allotment(*node, by_so_much(*bytes)));
    face.store.write(unit).await?;
    Ok(Reply::done(speech::SUCCESSFUL))
}

/// The node of a type.
pub fn node(tx: &mut Tx, tenant: TenantId, kind: Kind) -> Result<AllotmentId, StoreError> {
    let sql = "SELECT n.id FROM allotments f JOIN allotments n ON n.parent_id = f.id \
        WHERE f.parent_id = $1 AND f.name = $2 AND n.name = $3";
    let row = tx.query_opt(sql, &params![tenant, FOLDER, kind.as_str()])?;
    row.ok_or_else(|| StoreError::not_found("space type", kind.as_str()))?.get(0)
}

/// All types, in the order of their numbers; one that is not there has nothing.
fn totals(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Total>, StoreError> {
    let sql = "SELECT n.name, b.quota, b.promised, b.used FROM allotments f \
        JOIN allotments n ON n.parent_id = f.id \
        LEFT JOIN balances b ON b.allotment_id = n.id AND b.resource = 'bytes' \
        WHERE f.parent_id = $1 AND f.name = $2 AND n.kind = 'space_type'";
    let rows = tx.query(sql, &params![tenant, FOLDER])?;
    let total = |kind: Kind| -> Result<Total, StoreError> {
        let none = Total { kind, limit: 0, promised: 0, used: 0 };
        for row in &rows {
            if row.get::<String>(0)? == kind.as_str() {
                // Unlimited, as a site's operator may make it, is the most there can be.
                let limit = row.get::<Option<u64>>(1)?.unwrap_or(ledger::AMOUNT_MAX);
                let promised = row.get::<Option<String>>(2)?.unwrap_or_default();
                let promised = promised.parse().unwrap_or(0);
                return Ok(Total { kind, limit, promised, used: row.get::<Option<u64>>(3)?.unwrap_or(0) });
            }
        }
        Ok(none)
    };
    Kind::ALL.into_iter().map(total).collect()
}
