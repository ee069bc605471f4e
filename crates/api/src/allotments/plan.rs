//! What was asked of allotments, as what the store takes; and what is wrong with it.

use ledger::{AllotmentId, Catalog, Limits, LoadLine, Mark, Name, Overcommit, Resource, Side};
use store::{Allotment, AllotmentPatch, Micros, NewAllotment};

use super::some_limits;
use crate::error::{Error, Fault};
use crate::wire;

/// The longest title and kind, in bytes.
const TITLE_BYTES_MAX: usize = 1024;
const KIND_BYTES_MAX: usize = 63;
/// The kind of what tenants are, which are made otherwise.
const TENANT: &str = "tenant";
/// Whose nouns the site's own allotments stand for, as if it were a face.
const SITE: &str = "site";
/// The largest ratio of an overcommit: a million times what there is.
const OVERCOMMIT_MAX: f64 = 1e6;
/// The largest share of a load line, in hundredths of the limit.
const PERCENT_MAX: u32 = 1000;
/// The most load lines of an allotment: each is looked at with each claim.
const LOAD_LINES_MAX: usize = 32;

/// An allotment below another.
pub fn child(
    catalog: &Catalog,
    asked: wire::NewAllotment,
    id: AllotmentId,
    parent: &Allotment,
) -> Result<NewAllotment, Error> {
    if asked.side.as_deref().is_some_and(|side| side != parent.side.as_str()) {
        return Err(Error::invalid("/side", "a child is on its parent's side"));
    }
    let new = new(catalog, asked, id)?;
    Ok(NewAllotment { parent: Some(parent.id.into()), side: parent.side, ..new })
}

/// A root of the supply side.
pub fn pool(catalog: &Catalog, mut asked: wire::NewAllotment, id: AllotmentId) -> Result<NewAllotment, Error> {
    if asked.side.as_deref() != Some(Side::Supply.as_str()) {
        return Err(Error::invalid("/side", "without a parent: \"supply\" makes a pool; POST /tenants makes a tenant"));
    }
    asked.kind.get_or_insert_with(|| "pool".to_owned());
    Ok(NewAllotment { side: Side::Supply, ..new(catalog, asked, id)? })
}

fn new(catalog: &Catalog, asked: wire::NewAllotment, id: AllotmentId) -> Result<NewAllotment, Error> {
    let mut faults = Vec::new();
    let name = name(&asked.name, &mut faults);
    let limits = limits(catalog, &asked.limits, &mut faults);
    let new = NewAllotment {
        title: title(asked.title.unwrap_or_default(), &mut faults),
        kind: kind(asked.kind.unwrap_or_else(|| "allotment".to_owned()), &mut faults),
        limits: some_limits(limits),
        overcommit: overcommit(asked.overcommit, &mut faults),
        load_lines: load_lines(catalog, asked.load_lines, &mut faults),
        expires_at: expires_at(asked.expires_at.as_deref(), &mut faults),
        // A fault is noted if there is no name.
        ..NewAllotment::new(id, None, name.ok_or_else(|| Error::Invalid(faults.clone()))?)
    };
    if faults.is_empty() { Ok(new) } else { Err(Error::Invalid(faults)) }
}

/// A change of an allotment.
pub fn patch(catalog: &Catalog, asked: wire::AllotmentPatch) -> Result<AllotmentPatch, Error> {
    let mut faults = Vec::new();
    let patch = AllotmentPatch {
        name: asked.name.and_then(|text| name(&text, &mut faults)),
        title: asked.title.map(|text| title(text.unwrap_or_default(), &mut faults)),
        kind: asked.kind.map(|text| kind(text, &mut faults)),
        limits: limits(catalog, &asked.limits, &mut faults),
        overcommit: asked.overcommit.map(|ratio| overcommit(ratio, &mut faults)),
        load_lines: asked.load_lines.map(|lines| load_lines(catalog, lines.unwrap_or_default(), &mut faults)),
        expires_at: asked.expires_at.map(|text| expires_at(text.as_deref(), &mut faults)),
        ..AllotmentPatch::default()
    };
    if faults.is_empty() { Ok(patch) } else { Err(Error::Invalid(faults)) }
}

/// Whether it changes what an allotment is called.
pub fn names_it(patch: &AllotmentPatch) -> bool {
    patch.name.is_some() || patch.title.is_some() || patch.kind.is_some()
}

/// Whether it changes what an allotment may hold.
pub fn limits_it(patch: &AllotmentPatch) -> bool {
    let AllotmentPatch { limits, overcommit, load_lines, expires_at, .. } = patch;
    !limits.is_empty() || overcommit.is_some() || load_lines.is_some() || expires_at.is_some()
}

/// That a change is one that this allotment takes. What else a face's noun refuses, the unit itself sees to.
pub fn check_patch(before: &Allotment, patch: &AllotmentPatch) -> Result<(), Error> {
    // Tenants are found by their kind.
    if before.kind == TENANT && patch.kind.is_some() {
        return Err(Error::invalid("/kind", "a tenant stays one"));
    }
    match &before.managed_by {
        // How much may be promised below it is for its face to say; the site's own has no face that would.
        Some(managed) if patch.overcommit.is_some() && managed.face != SITE => {
            Err(store::Error::Managed(managed.clone()).into())
        }
        _ => Ok(()),
    }
}

fn fault(faults: &mut Vec<Fault>, pointer: impl Into<String>, detail: impl Into<String>) {
    faults.push(Fault { pointer: pointer.into(), detail: detail.into() });
}

/// A segment of a path.
fn name(text: &str, faults: &mut Vec<Fault>) -> Option<Name> {
    text.parse().map_err(|error: ledger::NameError| fault(faults, "/name", error.to_string())).ok()
}

/// What people call it.
pub fn title(text: String, faults: &mut Vec<Fault>) -> String {
    if text.len() > TITLE_BYTES_MAX || text.contains('\0') {
        fault(faults, "/title", format!("must be at most {TITLE_BYTES_MAX} bytes, none of them 0"));
    }
    text
}

fn kind(text: String, faults: &mut Vec<Fault>) -> String {
    if text.is_empty() || text.len() > KIND_BYTES_MAX || text.contains(char::is_control) {
        fault(faults, "/kind", format!("must be 1 to {KIND_BYTES_MAX} bytes, none of them a control character"));
    }
    if text == TENANT {
        fault(faults, "/kind", "POST /tenants makes a tenant");
    }
    text
}

/// Limits by resource; none inside is unlimited.
pub fn limits(
    catalog: &Catalog,
    asked: &wire::ByName<Option<wire::Units>>,
    faults: &mut Vec<Fault>,
) -> Vec<(Resource, Option<u64>)> {
    let known = asked.resources(catalog, ("", "limits"), faults);
    known.into_iter().map(|(resource, limit)| (resource, limit.map(|units| units.0))).collect()
}

fn overcommit(ratio: Option<f64>, faults: &mut Vec<Fault>) -> Option<Overcommit> {
    let ratio = ratio?;
    if !(0.0..=OVERCOMMIT_MAX).contains(&ratio) {
        fault(faults, "/overcommit", format!("must be null, or a ratio from 0 to {OVERCOMMIT_MAX}"));
        return None;
    }
    Some(Overcommit { permille: (ratio * 1000.0).round() as u32 })
}

fn load_lines(catalog: &Catalog, asked: Vec<wire::LoadLine>, faults: &mut Vec<Fault>) -> Vec<LoadLine> {
    if asked.len() > LOAD_LINES_MAX {
        fault(faults, "/load_lines", format!("must be at most {LOAD_LINES_MAX}"));
        return Vec::new();
    }
    let mut lines = Vec::with_capacity(asked.len());
    for (number, line) in asked.into_iter().enumerate() {
        let pointer = format!("/load_lines/{number}");
        let mark = match (line.percent, line.amount) {
            (Some(percent), None) if (1..=PERCENT_MAX).contains(&percent) => Some(Mark::Percent(percent)),
            (None, Some(units)) => Some(Mark::Amount(units.0)),
            _ => None,
        };
        match (catalog.find(&line.resource), mark) {
            (Some(resource), Some(mark)) => lines.push(LoadLine { resource, mark }),
            (None, _) => fault(faults, format!("{pointer}/resource"), "there is no such resource"),
            (_, None) => fault(faults, pointer, format!("must have percent (1 to {PERCENT_MAX}) or amount")),
        }
    }
    lines
}

fn expires_at(text: Option<&str>, faults: &mut Vec<Fault>) -> Option<Micros> {
    let time = wire::time(text?);
    if time.is_none() {
        fault(faults, "/expires_at", "must be null, or a time as in RFC 3339: 2026-12-31T00:00:00Z");
    }
    time
}

/// The limits of something new.
pub fn new_limits(catalog: &Catalog, asked: &wire::ByName<Option<wire::Units>>, faults: &mut Vec<Fault>) -> Limits {
    some_limits(limits(catalog, asked, faults))
}
