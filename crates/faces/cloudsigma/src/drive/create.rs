//! `POST drives/`: makes drives, all or none (spec, section 3.1).

use axum::extract::State;
use content::volume::{self, NewVolume};
use ledger::{Amounts, ClaimId, Resource};
use serde_json::json;
use store::{Error as StoreError, Managed, Store, Tx, Unit};

use crate::auth::{Caller, Home};
use crate::drive::define::{self, Definition};
use crate::drive::{self, Around, Drive, Status};
use crate::error::{Error, Fault};
use crate::ids::DriveId;
use crate::input::{Body, Fields, Params};
use crate::reply::Created;
use crate::storage_type::{self, StorageType};
use crate::{Face, tag, wire};

/// A drive that is asked for, with its id.
#[derive(Clone, Debug)]
pub struct Asked {
    pub id: DriveId,
    pub definition: Definition,
    /// An upload keeps its exact size until it is complete (spec, section 2.1).
    pub is_upload: bool,
}

/// A drive that can be made: its row, where it lies, its tags.
#[derive(Clone, Debug)]
pub struct Planned {
    pub drive: Drive,
    pub kind: StorageType,
    pub tags: Vec<crate::ids::TagId>,
}

impl Planned {
    /// What its volume takes.
    pub fn bytes(&self) -> u64 {
        self.drive.wanted.unwrap_or(self.drive.size)
    }
}

/// `POST drives/`.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    params: Params,
    body: Body,
) -> Result<Created<wire::Drive>, Error> {
    make(&face, &caller, &params, body, false).await
}

/// `POST initupload/`: the same, of drives that wait for their bytes (spec, section 6.10).
pub async fn init_upload(
    State(face): State<Face>,
    caller: Caller,
    params: Params,
    body: Body,
) -> Result<Created<wire::Drive>, Error> {
    make(&face, &caller, &params, body, true).await
}

async fn make(
    face: &Face,
    caller: &Caller,
    params: &Params,
    body: Body,
    is_upload: bool,
) -> Result<Created<wire::Drive>, Error> {
    let home = caller.home()?;
    let asked = read(&face.store, body, is_upload)?;
    let (who, avoid) = (caller.clone(), storage_type::avoid_of(params));
    let planned = face.store.read(move |tx| plan(tx, &who, &avoid, asked).map_err(Error::noun)).await?;
    planned.iter().for_each(|planned| face.note_places(&planned.kind));
    let unit = charge(caller.unit(), &face.store, home, &planned)?;
    let rows = planned.clone();
    let unit = unit.rows(move |tx| tag_all(tx, &rows));
    face.store.write(unit).await.map_err(|error| Error::from(error).on(name_of(&planned)))?;
    let status = if is_upload { Status::Uploading } else { Status::Creating };
    let (user, ids) = (caller.user, planned.iter().map(|planned| planned.drive.id).collect::<Vec<_>>());
    let told = face.store.read(move |tx| tell(tx, user, &ids, status)).await?;
    let location = told.first().map_or_else(String::new, |drive| drive.resource_uri.clone());
    Ok(Created { location, objects: told })
}

/// The type that is named when there is no room: the largest asked for.
fn name_of(planned: &[Planned]) -> &str {
    let largest = planned.iter().max_by_key(|planned| planned.bytes());
    largest.map_or("", |planned| planned.drive.storage_type.as_str())
}

fn read(store: &Store, body: Body, is_upload: bool) -> Result<Vec<Asked>, Error> {
    let (mut asked, mut faults) = (Vec::new(), Vec::<Fault>::new());
    for object in body.objects()? {
        let mut fields = Fields::new(object);
        let definition = Definition::read(&mut fields, true);
        faults.extend(fields.into_faults());
        asked.push(Asked { id: DriveId(store.new_id()), definition, is_upload });
    }
    if asked.is_empty() {
        faults = ["name", "media", "size"].map(|name| Fault::at(name, "This field is required")).to_vec();
    }
    define::none(faults)?;
    Ok(asked)
}

/// The rules: that all that is named is there, and the sizes fit.
pub fn plan(tx: &mut Tx, caller: &Caller, avoid: &[uuid::Uuid], asked: Vec<Asked>) -> Result<Vec<Planned>, Error> {
    let kinds = storage_type::all(tx)?;
    let avoided = storage_type::avoided(tx, caller, avoid)?;
    let (mut planned, mut faults) = (Vec::new(), Vec::new());
    for Asked { id, definition, is_upload } in asked {
        definition.check(tx, caller.user, &mut faults)?;
        let kind = match storage_type::choose(&kinds, definition.storage_type.as_deref()) {
            Ok(kind) => kind,
            Err(Error::Faults(found)) => {
                faults.extend(found);
                continue;
            }
            Err(error) => return Err(error),
        };
        let size = definition.size.unwrap_or(0);
        let stored = if is_upload && size > 0 { kind.padded(size) } else { kind.size(size) };
        match stored {
            Ok(stored) => planned.push(fresh(tx, caller, kind, &avoided, id, (size, stored), definition, is_upload)),
            Err(why) => faults.push(Fault::at("size", why)),
        }
    }
    define::none(faults)?;
    Ok(planned)
}

#[expect(clippy::too_many_arguments, reason = "all of them are of one drive, and this is called once")]
fn fresh(
    tx: &Tx,
    caller: &Caller,
    kind: &StorageType,
    avoided: &[(String, u64)],
    id: DriveId,
    (asked, stored): (u64, u64),
    definition: Definition,
    is_upload: bool,
) -> Planned {
    let drive = Drive {
        id,
        tenant: caller.tenant,
        owner: Some(caller.user),
        name: definition.name.unwrap_or_default(),
        media: definition.media.unwrap_or("disk").to_owned(),
        size: if is_upload { asked } else { stored },
        wanted: is_upload.then_some(stored),
        storage_type: kind.name.clone(),
        place: kind.place(id.0, avoided),
        status: if is_upload { Status::Uploading } else { Status::Unmounted },
        allow_multimount: definition.allow_multimount.unwrap_or(false),
        affinities: definition.affinities.unwrap_or_else(|| json!([])),
        meta: definition.meta.unwrap_or_else(|| json!({})),
        licenses: definition.licenses.unwrap_or_else(|| json!([])),
        licenses_fixed: false,
        source: None,
        chunk: None,
        image: None,
        created_at: tx.now(),
    };
    Planned { drive, kind: kind.clone(), tags: definition.tags.unwrap_or_default() }
}

/// The volume of a new drive, and its charge: its size and one drive.
pub fn volume(store: &Store, home: Home, planned: &Planned) -> Result<NewVolume, Error> {
    let drive = &planned.drive;
    Ok(NewVolume {
        id: drive.volume(),
        claim: ClaimId(store.new_id()),
        size: planned.bytes(),
        place: drive.place(),
        demand: Some(home.node.into()),
        supply: planned.kind.supply(),
        extra: one_drive()?,
        managed_by: Managed::new("cloudsigma", "drive", drive.id),
    })
}

/// What a drive is charged beside its bytes.
pub fn one_drive() -> Result<Amounts, Error> {
    let one = Amounts::new().with(Resource::DRIVES, 1);
    one.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))
}

/// Volumes, charges and rows of new drives, as data.
pub fn charge<T>(unit: Unit<T>, store: &Store, home: Home, planned: &[Planned]) -> Result<Unit<T>, Error> {
    planned.iter().try_fold(unit, |unit, planned| {
        let (into, values) = planned.drive.insert();
        Ok(volume::create(unit, &volume(store, home, planned)?).insert(into, values))
    })
}

/// The tags of new drives; in a unit's own rows.
pub fn tag_all(tx: &mut Tx, planned: &[Planned]) -> Result<(), StoreError> {
    planned.iter().try_for_each(|planned| tag::replace_of(tx, planned.drive.id.0, "drives", &planned.tags))
}

/// Drives as the answer to their making has them, in the order asked.
pub fn tell(tx: &mut Tx, user: store::UserId, ids: &[DriveId], status: Status) -> Result<Vec<wire::Drive>, StoreError> {
    let mut drives = Vec::with_capacity(ids.len());
    for id in ids {
        drives.extend(drive::find(tx, *id)?.map(|drive| Drive { status, ..drive }));
    }
    let around = Around::of(tx, user, &drives)?;
    Ok(drives.iter().map(|drive| around.shown(drive)).collect())
}
