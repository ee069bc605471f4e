//! The doctor: every sum recounted from the claims, in one picture of the database.

use std::collections::HashMap;

use ledger::{AllotmentId, Balance, ClaimId, ClaimState, Resource, Side};

use crate::claim::{self, Claim};
use crate::{Allotment, AllotmentFilter, Error, TenantId, Tx, allotment, params, place};

/// How many rows are read at once.
const PAGE: usize = 1000;

/// What a recount found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Doctor {
    /// How many allotments were looked at.
    pub allotments: u64,
    /// How many claims were.
    pub claims: u64,
    /// How many of them lie on an allotment of the demand side.
    pub(crate) demanded: u64,
    /// What is not as it must be, a sentence each, with the tenant it is about; none is the supply side.
    pub drift: Vec<(Option<TenantId>, String)>,
}

/// What a node should count.
#[derive(Default)]
struct Counted {
    used: HashMap<Resource, u64>,
    pending: HashMap<Resource, u64>,
    promised: HashMap<Resource, u128>,
    children: u64,
}

/// Recounts.
pub(crate) fn run(tx: &mut Tx) -> Result<Doctor, Error> {
    let mut doctor = Doctor::default();
    let nodes = nodes(tx)?;
    doctor.allotments = nodes.len() as u64;
    let at: HashMap<AllotmentId, usize> = nodes.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
    let mut counted: Vec<Counted> = nodes.iter().map(|_| Counted::default()).collect();
    shape(&nodes, &at, &mut counted, &mut doctor);
    let mut after = None;
    loop {
        let page = claims(tx, after)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        doctor.claims += page.len() as u64;
        for claim in page {
            doctor.demanded += u64::from(claim.demand.is_some());
            count(&claim, &nodes, &at, &mut counted, &mut doctor);
        }
    }
    let (noted, demanded) = (place::count(tx)?, doctor.demanded);
    if noted != demanded {
        doctor.drift.push((None, format!("{noted} claims are noted at their allotments and {demanded} are there")));
    }
    nodes.iter().zip(&counted).for_each(|(node, counted)| compare(node, counted, &mut doctor));
    Ok(doctor)
}

fn nodes(tx: &mut Tx) -> Result<Vec<Allotment>, Error> {
    let mut nodes: Vec<Allotment> = Vec::new();
    loop {
        let after = nodes.last().map(|node| (node.side, node.path.clone()));
        let page = allotment::list(tx, &AllotmentFilter { after, limit: PAGE, ..AllotmentFilter::default() })?;
        if page.is_empty() {
            return Ok(nodes);
        }
        nodes.extend(page);
    }
}

fn claims(tx: &mut Tx, after: Option<ClaimId>) -> Result<Vec<Claim>, Error> {
    let sql = format!("SELECT {} FROM claims WHERE id > $1 ORDER BY id LIMIT {PAGE}", claim::COLUMNS);
    let after = after.map_or(String::new(), |after| after.to_string());
    let rows = tx.query(&sql, &params![after])?;
    rows.iter().map(|row| claim::from_row(tx.catalog(), row)).collect()
}

/// Parents, paths, depths and promises.
fn shape(nodes: &[Allotment], at: &HashMap<AllotmentId, usize>, counted: &mut [Counted], doctor: &mut Doctor) {
    for node in nodes {
        let Some(parent) = node.parent else {
            if node.path != node.name || node.root != node.id || node.depth != 0 {
                doctor.drift.push((node.tenant(), format!("{} is a root and not noted as one", node.path)));
            }
            continue;
        };
        let Some(&place) = at.get(&parent) else {
            doctor.drift.push((node.tenant(), format!("{} has no parent: {parent} is not there", node.path)));
            continue;
        };
        let above = &nodes[place];
        let as_noted = node.path == format!("{}/{}", above.path, node.name)
            && (node.root, node.depth, node.side) == (above.root, above.depth + 1, above.side);
        if !as_noted {
            doctor
                .drift
                .push((node.tenant(), format!("{} does not lie where its parent {} does", node.path, above.path)));
        }
        counted[place].children += 1;
        for (resource, limit) in node.limits().iter() {
            *counted[place].promised.entry(resource).or_default() += u128::from(limit);
        }
    }
}

fn count(
    claim: &Claim,
    nodes: &[Allotment],
    at: &HashMap<AllotmentId, usize>,
    counted: &mut [Counted],
    doctor: &mut Doctor,
) {
    for (leaf, side) in [(claim.demand, Side::Demand), (claim.supply, Side::Supply)] {
        let mut next = leaf;
        while let Some(id) = next {
            let Some(node) = at.get(&id).map(|place| (&nodes[*place], &mut counted[*place])) else {
                doctor.drift.push((None, format!("claim {} lies on {id}, which is not there", claim.id)));
                break;
            };
            if node.0.side != side {
                doctor
                    .drift
                    .push((node.0.tenant(), format!("claim {} lies on the wrong side, on {}", claim.id, node.0.path)));
                break;
            }
            let sums = match claim.state {
                ClaimState::Held => &mut node.1.used,
                ClaimState::Pending => &mut node.1.pending,
            };
            for (resource, units) in claim.amounts.iter() {
                let sum = sums.entry(resource).or_default();
                *sum = sum.saturating_add(units);
            }
            next = node.0.parent;
        }
    }
}

fn compare(node: &Allotment, counted: &Counted, doctor: &mut Doctor) {
    let mut resources: Vec<Resource> = node.balances.iter().map(|(resource, _)| *resource).collect();
    let also = counted.used.keys().chain(counted.pending.keys()).chain(counted.promised.keys());
    resources.extend(also);
    resources.sort_unstable();
    resources.dedup();
    for resource in resources {
        let Balance { used, pending, promised, .. } = node.balance(resource);
        let of = |sums: &HashMap<Resource, u64>| sums.get(&resource).copied().unwrap_or(0);
        let found = [
            ("used", u128::from(used), u128::from(of(&counted.used))),
            ("pending", u128::from(pending), u128::from(of(&counted.pending))),
            ("promised", promised, counted.promised.get(&resource).copied().unwrap_or(0)),
        ];
        for (what, noted, counted) in found.into_iter().filter(|(_, noted, counted)| noted != counted) {
            let text = format!("{}: {resource} {what} is noted as {noted} and counted as {counted}", node.path);
            doctor.drift.push((node.tenant(), text));
        }
    }
    if node.children != counted.children {
        let text = format!("{}: {} children are noted and {} are there", node.path, node.children, counted.children);
        doctor.drift.push((node.tenant(), text));
    }
}
