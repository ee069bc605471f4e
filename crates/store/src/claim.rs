//! Claims: what was taken from allotments. Reading them; [`crate::Unit`] changes them.

use ledger::{AllotmentId, Amounts, Catalog, ClaimId, ClaimState, Place, Weight};

use crate::{Error, Micros, Row, TenantId, Tx, params, place};

/// The noun of a face that a claim or an allotment belongs to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Managed {
    /// Which face, or `site`.
    pub face: String,
    /// Which of its nouns.
    pub noun: String,
    /// Which one.
    pub id: String,
}

impl Managed {
    /// Names a noun.
    pub fn new(face: &str, noun: &str, id: impl std::fmt::Display) -> Managed {
        Managed { face: face.to_owned(), noun: noun.to_owned(), id: id.to_string() }
    }

    pub(crate) fn parse(text: &str) -> Option<Managed> {
        let mut parts = text.splitn(3, '/');
        Some(Managed::new(parts.next()?, parts.next()?, parts.next()?))
    }
}

impl std::fmt::Display for Managed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.face, self.noun, self.id)
    }
}

/// An amount taken from allotments.
#[derive(Clone, PartialEq, Debug)]
pub struct Claim {
    /// Its id.
    pub id: ClaimId,
    /// Who asked; none for what is left of a deleted thing.
    pub demand: Option<AllotmentId>,
    /// Where it lies.
    pub supply: Option<AllotmentId>,
    /// How much.
    pub amounts: Amounts,
    /// Pending or held.
    pub state: ClaimState,
    /// Free text of the caller.
    pub subject: Option<String>,
    /// The noun it is charged for.
    pub managed_by: Option<Managed>,
    /// When a pending claim stops counting.
    pub expires_at: Option<Micros>,
    /// Who made it, as in the journal.
    pub created_by: String,
    /// When.
    pub created_at: Micros,
}

impl Claim {
    pub(crate) fn place(&self) -> Place {
        Place { demand: self.demand, supply: self.supply }
    }

    pub(crate) fn weight(&self) -> Weight {
        let place = self.place();
        Weight { place, amounts: self.amounts.clone(), state: self.state }
    }

    pub(crate) fn is_expired(&self, now: Micros) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// Which claims to list, by id.
#[derive(Clone, Debug, Default)]
pub struct ClaimFilter {
    /// At this very allotment.
    pub allotment: Option<AllotmentId>,
    /// With this subject.
    pub subject: Option<String>,
    /// In this state.
    pub state: Option<ClaimState>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Made for a noun of this kind: `face/noun`.
    pub managed: Option<String>,
    /// After this one.
    pub after: Option<ClaimId>,
    /// At most so many.
    pub limit: usize,
}

pub(crate) const COLUMNS: &str = "claims.id, claims.demand_id, claims.supply_id, claims.amounts, claims.state, \
    claims.expires_at, claims.subject, claims.managed, claims.created_by, claims.created_at";

/// The claim, unless it has expired.
pub fn find(tx: &mut Tx, id: ClaimId) -> Result<Option<Claim>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM claims WHERE id = $1");
    let row = tx.query_opt(&sql, &params![id])?;
    let claim = row.map(|row| from_row(tx.catalog(), &row)).transpose()?;
    let now = tx.now();
    Ok(claim.filter(|claim| !claim.is_expired(now)))
}

/// Claims in the order of their ids, which is the order they were made in. Expired ones are left out.
pub fn list(tx: &mut Tx, filter: &ClaimFilter) -> Result<Vec<Claim>, Error> {
    let Some(allotment) = filter.allotment else { return page(tx, filter, None) };
    let (mut found, mut after) = (Vec::new(), filter.after);
    // With another condition beside the allotment, most of what is looked at may not fit it: so many at a time.
    let (is_filtered, most) = (filter.subject.is_some() || filter.state.is_some() || filter.managed.is_some(), 1000);
    let step = if is_filtered { most } else { filter.limit };
    loop {
        let ids = place::list(tx, allotment, after, step)?;
        let Some(last) = ids.last() else { return Ok(found) };
        after = Some(*last);
        found.extend(page(tx, filter, Some(&ids))?);
        if found.len() >= filter.limit || ids.len() < step {
            found.truncate(filter.limit);
            return Ok(found);
        }
    }
}

/// Claims that the filter lets through, of these ids or of all.
fn page(tx: &mut Tx, filter: &ClaimFilter, ids: Option<&[ClaimId]>) -> Result<Vec<Claim>, Error> {
    let mut sql = format!("SELECT {COLUMNS} FROM claims");
    let mut values = params![tx.now()].to_vec();
    if filter.tenant.is_some() {
        sql.push_str(" JOIN allotments ON allotments.id = claims.demand_id");
    }
    sql.push_str(" WHERE (claims.expires_at IS NULL OR claims.expires_at > $1)");
    let mut and = |condition: &str, value: crate::Value| {
        values.push(value);
        sql.push_str(&format!(" AND {condition} ${}", values.len()));
    };
    if let Some(subject) = &filter.subject {
        and("claims.subject =", subject.into());
    }
    if let Some(state) = filter.state {
        and("claims.state =", state.as_str().into());
    }
    if let Some(tenant) = filter.tenant {
        and("allotments.root_id =", tenant.into());
    }
    if let Some(managed) = &filter.managed {
        and("claims.managed >=", format!("{managed}/").into());
        and("claims.managed <", format!("{managed}0").into());
    }
    if let Some(after) = filter.after {
        and("claims.id >", after.into());
    }
    if let Some(ids) = ids {
        // As long as a power of two, so that few statements are prepared.
        let padded = ids.iter().chain(std::iter::repeat(&ids[ids.len() - 1])).take(ids.len().next_power_of_two());
        let mut places = Vec::new();
        for id in padded {
            values.push((*id).into());
            places.push(format!("${}", values.len()));
        }
        sql.push_str(&format!(" AND claims.id IN ({})", places.join(",")));
    }
    values.push(filter.limit.into());
    sql.push_str(&format!(" ORDER BY claims.id LIMIT ${}", values.len()));
    let rows = tx.query(&sql, &values)?;
    rows.iter().map(|row| from_row(tx.catalog(), row)).collect()
}

pub(crate) fn from_row(catalog: &Catalog, row: &Row) -> Result<Claim, Error> {
    let state = match row.get::<String>(4)?.as_str() {
        "held" => ClaimState::Held,
        _ => ClaimState::Pending,
    };
    Ok(Claim {
        id: row.get(0)?,
        demand: row.get(1)?,
        supply: row.get(2)?,
        amounts: amounts_from_text(catalog, &row.get::<String>(3)?)?,
        state,
        expires_at: row.get(5)?,
        subject: row.get(6)?,
        managed_by: row.get::<Option<String>>(7)?.as_deref().and_then(Managed::parse),
        created_by: row.get(8)?,
        created_at: row.get(9)?,
    })
}

/// `{"bytes":4096}`, the form of amounts in a TEXT column.
pub(crate) fn amounts_to_text(amounts: &Amounts) -> String {
    let mut text = String::with_capacity(32);
    text.push('{');
    for (at, (resource, units)) in amounts.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Names of resources are a-z, 0-9 and _, so nothing needs escaping.
        text.push_str(comma);
        text.push('"');
        text.push_str(resource.name());
        text.push_str("\":");
        text.push_str(&units.to_string());
    }
    text.push('}');
    text
}

pub(crate) fn amounts_from_text(catalog: &Catalog, text: &str) -> Result<Amounts, Error> {
    let wrong = || Error::Broken(format!("amounts {text:?} are not as written"));
    let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    let mut amounts = Amounts::new();
    for (name, units) in &map {
        let resource = catalog.find(name).ok_or_else(wrong)?;
        amounts.insert(resource, units.as_u64().ok_or_else(wrong)?).map_err(|_| wrong())?;
    }
    Ok(amounts)
}
