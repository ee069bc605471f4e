//! The library: images that anyone may clone, and nobody but the site file writes (spec, section 6.3).

use axum::extract::State;
use serde_json::{Map, Value, json};
use store::{Error as StoreError, Tx};

use crate::Face;
use crate::auth::Caller;
use crate::drive::{self, Around, COLUMNS, Drive};
use crate::error::Error;
use crate::ids::DriveId;
use crate::input::{At, Params};
use crate::list;
use crate::list::Keep;
use crate::reply::Bare;
use crate::wire;

/// The most images of a site that are looked at.
const IMAGES_MAX: usize = 10_000;

/// The keys of meta that an image tells as fields of its own. A clone gets them in its meta.
const TOLD: [&str; 11] = [
    "arch",
    "category",
    "description",
    "distribution",
    "favourite",
    "image_type",
    "install_notes",
    "os",
    "paid",
    "url",
    "version",
];

/// What the library can be filtered by, beside its name and id.
const FILTERS: [&str; 6] = ["arch", "category", "distribution", "image_type", "os", "version"];

/// `GET libdrives/`, and `libdrives/detail/`: both whole.
pub async fn all(State(face): State<Face>, caller: Caller, params: Params) -> Result<Bare<Value>, Error> {
    let user = caller.user;
    let sql = format!(
        "SELECT {COLUMNS} FROM drives WHERE owner_id IS NULL AND status = 'unmounted' \
         ORDER BY created_at DESC, id DESC LIMIT {IMAGES_MAX}"
    );
    let read = face.store.read(move |tx| {
        let drives = tx.query(&sql, &[])?.iter().map(drive::from_row).collect::<Result<Vec<_>, _>>()?;
        tell(tx, user, &drives)
    });
    let fits = |image: &wire::LibraryDrive| fits(image, &params);
    let objects = read.await?.into_iter().filter(fits).map(|image| json!(image)).collect();
    list::of_few(&params, objects).map(Bare)
}

/// `GET libdrives/{id}/`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<DriveId>,
    params: Params,
) -> Result<Bare<Value>, Error> {
    let user = caller.user;
    let read = face.store.read(move |tx| {
        let found = drive::find(tx, id)?.filter(|drive| drive.owner.is_none());
        let drive = found.ok_or_else(|| Error::not_there(id).noun())?;
        tell(tx, user, &[drive])
    });
    Ok(Bare(Keep::of(&params).cut(read.await?.pop())))
}

/// Whether an image has what each parameter says. There are few, so they are looked at one by one.
fn fits(image: &wire::LibraryDrive, params: &Params) -> bool {
    let told = json!(image);
    let any = |name: &str, fits: &dyn Fn(&str) -> bool| params.get(name).is_none_or(|text| text.split(',').any(fits));
    any("name", &|text| image.name == text)
        && any("name__icontains", &|text| image.name.to_lowercase().contains(&text.to_lowercase()))
        && any("uuid", &|text| image.uuid.eq_ignore_ascii_case(text))
        && FILTERS.iter().all(|key| {
            any(key, &|text| match &told[*key] {
                Value::Array(words) => words.iter().any(|word| word == text),
                other => other == text,
            })
        })
}

fn tell(tx: &mut Tx, user: store::UserId, drives: &[Drive]) -> Result<Vec<wire::LibraryDrive>, StoreError> {
    let around = Around::of(tx, user, drives)?;
    Ok(drives.iter().map(|drive| shown(drive, &around)).collect())
}

fn shown(drive: &Drive, around: &Around) -> wire::LibraryDrive {
    let text = |key: &str| drive.meta.get(key).cloned().unwrap_or_else(|| json!(""));
    let flag = |key: &str| matches!(drive.meta.get(key), Some(Value::Bool(true))) || text(key) == "true";
    let words = text("category");
    let category: Vec<&str> = words.as_str().unwrap_or_default().split(',').filter(|word| !word.is_empty()).collect();
    let rest = drive.meta.as_object().into_iter().flatten().filter(|(key, _)| !TOLD.contains(&key.as_str()));
    let rest: Map<String, Value> = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
    let (jobs, licenses) = around.jobs_and_licenses(drive);
    wire::LibraryDrive {
        affinities: drive.affinities.clone(),
        allow_multimount: drive.allow_multimount,
        arch: text("arch"),
        category: json!(category),
        description: text("description"),
        distribution: text("distribution"),
        favourite: flag("favourite"),
        image_type: text("image_type"),
        install_notes: text("install_notes"),
        jobs,
        licenses,
        media: drive.media.clone(),
        meta: rest.into(),
        mounted_on: Vec::new(),
        name: drive.name.clone(),
        os: text("os"),
        owner: wire::Null,
        paid: flag("paid"),
        resource_uri: wire::uri("libdrives", drive.id),
        size: drive.size,
        status: drive.status.as_str().to_owned(),
        storage_type: wire::Null,
        tags: Vec::new(),
        url: text("url"),
        uuid: drive.id.to_string(),
        version: text("version"),
    }
}

/// The image of this name; for the site file's hand.
pub fn by_name(tx: &mut Tx, name: &str) -> Result<Option<Drive>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM drives WHERE owner_id IS NULL AND name = $1 ORDER BY id LIMIT 1");
    tx.query_opt(&sql, &store::params![name])?.as_ref().map(drive::from_row).transpose()
}
