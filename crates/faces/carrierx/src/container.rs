//! Containers: where files lie, how many, and how large they may be together (sections 2 to 4).
//!
//! **Always.** A container is a node of the tree under its partner, or under the container that it lies in, so that what is
//! stored in it is charged on the whole path. Its own being there is one claim on its partner, which is what the cap of
//! containers bounds.

mod rows;
mod traits;

use axum::Json;
use axum::extract::State;
use ledger::{AllotmentId, Amounts, ClaimId, Limits, LoadLine, Mark, Name, Resource};
use serde_json::{Map, Value};
use store::{AllotmentPatch, Error as StoreError, Managed, NewAllotment, NewClaim, Store, SupplyRef, Tx, Unit};

use crate::auth::Caller;
use crate::error::Error;
use crate::ids::{ContainerId, PartnerId};
use crate::input::{At, Fields, Here, Input, Params, boolean, choice, uuid};
use crate::list::{Asked, Page, Picked};
use crate::reply::NoContent;
use crate::select::Select;
use crate::{Face, partner, wire};

pub use rows::{COLUMNS, Container, FROM, Totals, WIDTH, columns, find, from_row, insert, word, words};
pub use traits::{LIFECYCLE_ACTIONS, PUBLISH, SECONDS_MAX, Traits, takes};

/// How deep containers lie in each other: with the nodes above them they stay within what the tree has.
const DEPTH_MAX: u64 = 16;
/// How often a change is tried anew on what others have changed meanwhile.
const TRIES_MAX: u32 = 16;

const SAME_KEYS: &str = "container with the same set of keys already exists";
const NOT_EMPTY: &str = "container is not empty";

/// `GET /storage/containers`.
pub async fn list(State(face): State<Face>, caller: Caller, here: Here, params: Params) -> Result<Json<Page>, Error> {
    let mut select = Select::new();
    select.and_equal("containers.partner_id", Some(caller.partner));
    let asked = Asked::of(&params, &COLUMNS, &mut select)?;
    let page = asked.clone();
    let read = face.store.read(move |tx| {
        let (total, rows) = page.read(tx, &columns(), FROM, &select)?;
        Ok((total, rows.iter().map(from_row).collect::<Result<Vec<_>, _>>()?))
    });
    let (total, found) = read.await?;
    let items = found.into_iter().map(|container| container.shown(&here)).collect();
    asked.page(&here, &params, total, items).map(Json)
}

/// `GET /storage/containers/{sid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ContainerId>,
    here: Here,
    params: Params,
) -> Result<Json<Value>, Error> {
    let found = own(&face, &caller, id).await?;
    Picked::of(&params).of_item(found.shown(&here)).map(Json)
}

/// `POST /storage/containers`: 200, not 201 (section 8, item 1).
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    here: Here,
    Input(given): Input,
) -> Result<Json<wire::Container>, Error> {
    let mut fields = Fields::of(given);
    check_partner(&mut fields, &caller)?;
    let traits = Traits::default().with(&mut fields);
    let encrypted = encrypted(&mut fields, face.settings.is_sealed);
    fields.set("type", &mut "internal", choice(&["internal"]));
    fields.end()?;
    let id = ContainerId(face.store.new_id());
    let new = Container { encrypted, traits, ..Container::new(&face.store, id, caller.partner) };
    let (partner, parent) = (new.partner, new.traits.parent);
    let under = face.store.read(move |tx| place(tx, partner, parent, None).map_err(Error::noun)).await?;
    let row = new.clone();
    let unit = new.made_by(caller.unit(), under)?.rows(move |tx| {
        check_keys(tx, &row, &row.traits)?;
        insert(tx, &row)
    });
    if let Err(error) = face.store.write(unit).await {
        return Err(of_write(&face, &new, error).await);
    }
    Ok(Json(new.shown(&here)))
}

/// `PATCH /storage/containers/{sid}`: only what is given changes.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ContainerId>,
    here: Here,
    Input(given): Input,
) -> Result<Json<wire::Container>, Error> {
    save(&face, &caller, id, given, |before| before.traits.clone()).await.map(|it| Json(it.shown(&here)))
}

/// `PUT /storage/containers/{sid}`: what is not given has its default again.
pub async fn replace(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ContainerId>,
    here: Here,
    Input(given): Input,
) -> Result<Json<wire::Container>, Error> {
    save(&face, &caller, id, given, |_| Traits::default()).await.map(|it| Json(it.shown(&here)))
}

/// Changes a container to `given` on what `base` makes of it as it is.
async fn save(
    face: &Face,
    caller: &Caller,
    id: ContainerId,
    given: Map<String, Value>,
    base: impl Fn(&Container) -> Traits,
) -> Result<Container, Error> {
    for _ in 0..TRIES_MAX {
        let before = own(face, caller, id).await?;
        let mut fields = Fields::of(given.clone());
        check_partner(&mut fields, caller)?;
        let traits = base(&before).with(&mut fields);
        fields.end()?;
        let (partner, parent) = (before.partner, traits.parent);
        let moved = parent != before.traits.parent;
        let under = face.store.read(move |tx| match moved {
            true => place(tx, partner, parent, Some(id)).map(Some).map_err(Error::noun),
            false => Ok(None),
        });
        let mut unit = caller.unit();
        if let Some(patch) = patch(&before.traits, &traits, under.await?) {
            unit = unit.change_allotment(id.allotment(), patch);
        }
        let known = before.clone();
        let unit = unit.rows(move |tx| {
            check_keys(tx, &known, &traits)?;
            rows::update(tx, &known, &traits)
        });
        match face.store.write(unit).await {
            Ok(_) => return own(face, caller, id).await,
            Err(StoreError::Stale) => continue,
            Err(error) => return Err(of_write(face, &before, error).await),
        }
    }
    Err(Error::Conflict("the container is being changed by others"))
}

/// `DELETE /storage/containers/{sid}`: takes back what is empty.
pub async fn remove(State(face): State<Face>, caller: Caller, At(id): At<ContainerId>) -> Result<NoContent, Error> {
    let found = own(&face, &caller, id).await?;
    let default = face.store.read(move |tx| partner::default_container(tx, caller.partner)).await?;
    if default == Some(id) {
        return Err(Error::Conflict("container is the partner's default"));
    }
    // What is over is gone, even if the sweep has not been here yet.
    face.end_files_of(id).await?;
    let unit = caller.unit().release(found.claim).remove_allotment(id.allotment());
    match face.store.write(unit.rows(move |tx| rows::delete(tx, id))).await {
        Ok(_) => Ok(NoContent),
        Err(StoreError::Conflict(_)) => Err(Error::Conflict(NOT_EMPTY)),
        Err(error) => Err(Error::gone(error)),
    }
}

/// The container, if it is the caller's.
async fn own(face: &Face, caller: &Caller, id: ContainerId) -> Result<Container, Error> {
    let partner = caller.partner;
    face.store.read(move |tx| find(tx, partner, id)).await?.ok_or(Error::NotFound)
}

/// What a body says of the partner must be the caller's own (section 1.1).
fn check_partner(fields: &mut Fields, caller: &Caller) -> Result<(), Error> {
    let mut partner = caller.partner.0;
    fields.set("partner_sid", &mut partner, uuid);
    if partner == caller.partner.0 { Ok(()) } else { Err(Error::Forbidden) }
}

/// Whether content is to be encrypted; never accepted and ignored.
fn encrypted(fields: &mut Fields, is_sealed: bool) -> bool {
    let mut encrypted = false;
    fields.set("encrypted", &mut encrypted, boolean);
    if encrypted && !is_sealed {
        fields.fault("encrypted", "this server has no encryption key");
    }
    encrypted
}

/// The node under which a container of the partner lies that has this parent.
fn place(
    tx: &mut Tx,
    partner: PartnerId,
    parent: Option<ContainerId>,
    itself: Option<ContainerId>,
) -> Result<AllotmentId, Error> {
    let Some(parent) = parent else { return Ok(partner::folder(tx, partner)?) };
    match rows::depth(tx, partner, parent, itself)? {
        Some(depth) if depth < DEPTH_MAX => Ok(parent.allotment()),
        Some(_) => Err(Error::field("parent_container_sid", "containers cannot be nested so deep")),
        None => Err(Error::field("parent_container_sid", "there is no such container")),
    }
}

/// That no other container has these keys to itself.
fn check_keys(tx: &mut Tx, container: &Container, traits: &Traits) -> Result<(), StoreError> {
    let Some(key) = traits.unique_key() else { return Ok(()) };
    match rows::same_keys(tx, container.partner, container.id, &key)? {
        Some(other) => Err(Error::taken("unique", SAME_KEYS, other.0).noun()),
        None => Ok(()),
    }
}

/// What a write that failed is here. Keys that another node has taken in the same moment are told by their index.
async fn of_write(face: &Face, container: &Container, error: StoreError) -> Error {
    if !matches!(error, StoreError::Conflict(_)) {
        return error.into();
    }
    let (container, traits) = (container.clone(), container.traits.clone());
    match face.store.read(move |tx| check_keys(tx, &container, &traits)).await {
        Err(taken) => taken.into(),
        Ok(()) => error.into(),
    }
}

impl Container {
    /// A container of which nothing is said.
    pub fn new(store: &Store, id: ContainerId, partner: PartnerId) -> Container {
        Container {
            id,
            partner,
            claim: ClaimId(store.new_id()),
            version: 1,
            encrypted: false,
            traits: Traits::default(),
            totals: Totals { bytes: 0, files: 0, exempt_bytes: 0, exempt_files: 0 },
        }
    }

    /// The unit that makes its node, under another, and counts it; its rows are still to be written.
    pub fn made_by(&self, unit: Unit, under: AllotmentId) -> Result<Unit, StoreError> {
        Ok(unit.charge(self.count()?).create_allotment(self.allotment(under)?))
    }

    /// What it costs to have one: one of those its partner may have.
    fn count(&self) -> Result<NewClaim, StoreError> {
        let one = Amounts::new().with(Resource::CONTAINERS, 1);
        let one = one.map_err(|error| StoreError::Invalid(error.to_string()))?;
        Ok(NewClaim {
            supply: SupplyRef::None,
            managed_by: Some(self.managed()),
            ..NewClaim::held(self.claim, self.partner.allotment(), one)
        })
    }

    fn managed(&self) -> Managed {
        Managed::new("carrierx", "container", self.id)
    }

    fn allotment(&self, under: AllotmentId) -> Result<NewAllotment, StoreError> {
        let invalid = StoreError::Invalid;
        let traits = &self.traits;
        let name: Name = self.id.to_string().parse().map_err(|error: ledger::NameError| invalid(error.to_string()))?;
        let mut limits = Limits::new();
        for (resource, limit) in [(Resource::BYTES, traits.quota_bytes), (Resource::OBJECTS, traits.quota_files)] {
            if let Some(limit) = limit {
                limits.insert(resource, limit).map_err(|error| invalid(error.to_string()))?;
            }
        }
        Ok(NewAllotment {
            title: traits.name.clone(),
            kind: "container".to_owned(),
            limits,
            load_lines: load_lines(traits),
            managed_by: Some(self.managed()),
            ..NewAllotment::new(self.id.allotment(), Some(under.into()), name)
        })
    }

    /// On the wire.
    pub fn shown(self, here: &Here) -> wire::Container {
        let Container { traits, totals, .. } = self;
        let (bytes, files) = totals.counted();
        let [string_key_1, string_key_2, string_key_3, string_key_4] = traits.keys.strings;
        wire::Container {
            allow_publish: traits.allow_publish,
            allowed_classifications: traits.allowed_classifications,
            available_bytes_percent: left(traits.quota_bytes, totals.bytes).unwrap_or(100),
            available_files_percent: left(traits.quota_files, totals.files).unwrap_or(100),
            blocked_classifications: traits.blocked_classifications,
            container_sid: self.id,
            default_file_lifecycle_action: traits.default_file_lifecycle_action,
            default_file_lifecycle_ttl: traits.default_file_lifecycle_ttl,
            default_file_publish: traits.default_file_publish,
            default_file_threshold_include: traits.default_file_threshold_include,
            default_file_unique: traits.default_file_unique,
            durability_class: "unassigned",
            encrypted: self.encrypted,
            external_attributes: traits.external_attributes,
            integer_key_1: traits.keys.integers[0],
            integer_key_2: traits.keys.integers[1],
            name: traits.name,
            parent_container_sid: traits.parent,
            partner_sid: self.partner,
            publish_domain: here.origin.clone(),
            quota_bytes: traits.quota_bytes,
            quota_files: traits.quota_files,
            string_key_1,
            string_key_2,
            string_key_3,
            string_key_4,
            threshold_action: traits.threshold_action,
            threshold_available_bytes_percent: left(traits.threshold_bytes, bytes),
            threshold_available_files_percent: left(traits.threshold_files, files),
            threshold_bytes: traits.threshold_bytes,
            threshold_bytes_target: traits.threshold_bytes_target,
            threshold_files: traits.threshold_files,
            threshold_files_target: traits.threshold_files_target,
            threshold_grace_period: traits.threshold_grace_period,
            threshold_total_bytes: bytes,
            threshold_total_files: files,
            total_bytes: totals.bytes,
            total_files: totals.files,
            kind: "internal",
            unique: traits.unique,
        }
    }
}

impl Totals {
    /// Bytes and files that a threshold counts.
    pub fn counted(&self) -> (u64, u64) {
        (self.bytes.saturating_sub(self.exempt_bytes), self.files.saturating_sub(self.exempt_files))
    }
}

/// The share of a bound that is left, in hundredths; none without a bound.
fn left(bound: Option<u64>, used: u64) -> Option<u64> {
    let bound = u128::from(bound?);
    let left = bound.saturating_sub(u128::from(used));
    Some(u64::try_from((100 * left).checked_div(bound).unwrap_or(0)).unwrap_or(100))
}

/// Thresholds as load lines: that one is passed is an event for whoever watches the allotment. What follows is `sweep.rs`'s.
fn load_lines(traits: &Traits) -> Vec<LoadLine> {
    let line = |resource, threshold: Option<u64>| {
        threshold.map(|threshold| LoadLine { resource, mark: Mark::Amount(threshold.saturating_add(1)) })
    };
    let lines = [line(Resource::BYTES, traits.threshold_bytes), line(Resource::OBJECTS, traits.threshold_files)];
    lines.into_iter().flatten().collect()
}

/// What of the allotment changes from the one to the other; none: nothing.
fn patch(before: &Traits, after: &Traits, under: Option<AllotmentId>) -> Option<AllotmentPatch> {
    let limits = [
        (Resource::BYTES, before.quota_bytes, after.quota_bytes),
        (Resource::OBJECTS, before.quota_files, after.quota_files),
    ];
    let limits = limits.into_iter().filter(|(_, from, to)| from != to).map(|(resource, _, to)| (resource, to));
    let lines = load_lines(after);
    let patch = AllotmentPatch {
        title: (after.name != before.name).then(|| after.name.clone()),
        limits: limits.collect(),
        load_lines: (lines != load_lines(before)).then_some(lines),
        parent: under.map(Into::into),
        ..AllotmentPatch::default()
    };
    let is_nothing =
        patch.title.is_none() && patch.limits.is_empty() && patch.load_lines.is_none() && patch.parent.is_none();
    (!is_nothing).then_some(patch)
}
