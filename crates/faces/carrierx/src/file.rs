//! Files: stored content. What `quota_files` counts, and `quota_bytes` weighs (sections 5 and 6).
//!
//! **Always.** A file is one blob with one claim on its container: its true size, and one object. Row and charge come, move
//! and go in one commit.

mod rows;
mod traits;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};
use store::{Error as StoreError, Tx};

use crate::auth::Caller;
use crate::container::takes;
use crate::error::Error;
use crate::ids::{ContainerId, FileId, PartnerId};
use crate::input::{At, Fields, Here, Input, Params, escape, uuid};
use crate::list::{Asked, Page, Picked};
use crate::reply::NoContent;
use crate::select::Select;
use crate::{Face, class, wire};

pub use rows::{File, Going, InTheWay, Place, accessed, doom_all, find, going, in_the_way, insert, is_in, place};
pub use traits::Traits;

/// How often a change is tried anew on what others have changed meanwhile.
const TRIES_MAX: u32 = 16;

const SAME_KEYS: &str = "file with the same set of keys already exists";
const SAME_NAME: &str = "file with the same access name already exists";
/// What is told of a class that a container does not take.
pub const NOT_TAKEN: &str = "the container does not accept content of this class";
/// What is told of a container or a file that is named and is not there.
pub const NO_CONTAINER: &str = "there is no such container";
pub const NO_PARENT: &str = "there is no such file in the container";

/// `GET /storage/files`.
pub async fn list(State(face): State<Face>, caller: Caller, here: Here, params: Params) -> Result<Json<Page>, Error> {
    let mut select = Select::new();
    select.and_equal("files.partner_id", Some(caller.partner));
    let asked = Asked::of(&params, &rows::COLUMNS, &mut select)?;
    let page = asked.clone();
    let read = face.store.read(move |tx| {
        rows::narrow(&mut select, tx.now());
        let (total, found) = page.read(tx, rows::READ, rows::FROM, &select)?;
        Ok((total, found.iter().map(rows::from_row).collect::<Result<Vec<_>, _>>()?))
    });
    let (total, found) = read.await?;
    let items = found.into_iter().map(|file| file.shown(&here)).collect();
    asked.page(&here, &params, total, items).map(Json)
}

/// `GET /storage/files/{sid}`.
pub async fn get(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<FileId>,
    here: Here,
    params: Params,
) -> Result<Json<Value>, Error> {
    let found = own(&face, caller.partner, id).await?;
    Picked::of(&params).of_item(found.shown(&here)).map(Json)
}

/// `PATCH /storage/files/{sid}`: only what is given changes, and the file's time begins anew.
pub async fn change(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<FileId>,
    here: Here,
    Input(given): Input,
) -> Result<Json<wire::File>, Error> {
    save(&face, &caller, id, given, false).await.map(|it| Json(it.shown(&here)))
}

/// `PUT /storage/files/{sid}`: what is not given has its container's default again; what came with the content stays.
pub async fn replace(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<FileId>,
    here: Here,
    Input(given): Input,
) -> Result<Json<wire::File>, Error> {
    save(&face, &caller, id, given, true).await.map(|it| Json(it.shown(&here)))
}

/// `DELETE /storage/files/{sid}`: its room is free when this is answered.
pub async fn remove(State(face): State<Face>, caller: Caller, At(id): At<FileId>) -> Result<NoContent, Error> {
    let partner = caller.partner;
    let read = face.store.read(move |tx| match find_own(tx, partner, id)? {
        Some(file) => going(tx, file.id, file.blob),
        None => Ok(None),
    });
    let going = read.await?.ok_or(Error::NotFound)?;
    let unit = doom_all(caller.unit(), vec![going]);
    face.store.write(unit).await.map(|_| NoContent).map_err(Error::gone)
}

fn find_own(tx: &mut Tx, partner: PartnerId, id: FileId) -> Result<Option<File>, StoreError> {
    let mut select = Select::new();
    select.and_equal("files.id", Some(id));
    select.and_equal("files.partner_id", Some(partner));
    find(tx, select)
}

/// The file, if it is the partner's.
pub async fn own(face: &Face, partner: PartnerId, id: FileId) -> Result<File, Error> {
    face.store.read(move |tx| find_own(tx, partner, id)).await?.ok_or(Error::NotFound)
}

async fn save(
    face: &Face,
    caller: &Caller,
    id: FileId,
    given: Map<String, Value>,
    is_whole: bool,
) -> Result<File, Error> {
    for _ in 0..TRIES_MAX {
        let before = own(face, caller.partner, id).await?;
        let mut fields = Fields::of(given.clone());
        let target = container_of(&mut fields, caller, before.container)?;
        let (partner, blob) = (caller.partner, before.blob);
        let read = face.store.read(move |tx| Ok((place(tx, partner, target)?, content::info(tx, blob)?)));
        let (Some(place), Some(info)) = read.await? else {
            return Err(Error::field("container_sid", NO_CONTAINER));
        };
        let mut after = changed(&before, &place, fields, is_whole)?;
        after.modified_at = face.store.now();
        clear_the_way(face, &after).await?;
        let mut unit = caller.unit();
        if after.container != before.container {
            unit = unit.relocate(info.claim, Some(after.container.allotment()));
        }
        let row = after.clone();
        let unit = unit.rows(move |tx| {
            check_parent(tx, &row)?;
            rows::update(tx, before.version, &row)
        });
        match face.store.write(unit).await {
            Ok(_) => return Ok(after),
            Err(StoreError::Stale) => continue,
            Err(StoreError::Conflict(_)) => clear_the_way(face, &after).await?,
            // The container is gone, or the file.
            Err(error) => return Err(Error::gone(error)),
        }
    }
    Err(Error::Conflict("the file is being changed by others"))
}

/// The file with what is given.
fn changed(before: &File, place: &Place, mut fields: Fields, is_whole: bool) -> Result<File, Error> {
    let base = match is_whole {
        false => before.traits.clone(),
        true => {
            let Traits { access_name, mime_type, name, kind, .. } = before.traits.clone();
            Traits { access_name, mime_type, name, kind, ..Traits::of(&place.defaults) }
        }
    };
    let traits = base.with(&mut fields);
    check_kind(&traits, before.size, &mut fields);
    let mut after = File { container: place.id, traits, ..before.clone() };
    after.allow_publish = place.allow_publish;
    after.name_content();
    if !takes(&place.allowed, &place.blocked, &after.class) {
        fields.fault("content_classification", NOT_TAKEN);
    }
    fields.end()?;
    Ok(after)
}

/// The container that a body names, else `otherwise`; and that it names no other partner.
pub fn container_of(fields: &mut Fields, caller: &Caller, otherwise: ContainerId) -> Result<ContainerId, Error> {
    let (mut container, mut partner) = (otherwise.0, caller.partner.0);
    fields.set("container_sid", &mut container, uuid);
    fields.set("partner_sid", &mut partner, uuid);
    if partner == caller.partner.0 { Ok(ContainerId(container)) } else { Err(Error::Forbidden) }
}

/// A directory has no content.
pub fn check_kind(traits: &Traits, size: u64, fields: &mut Fields) {
    if traits.kind == "directory" && size > 0 {
        fields.fault("type", "a directory has no content");
    }
}

/// That the file it belongs to is in the same container.
pub fn check_parent(tx: &mut Tx, file: &File) -> Result<(), StoreError> {
    match file.traits.parent {
        Some(parent) if parent == file.id || !is_in(tx, parent, file.container)? => {
            Err(Error::field("parent_file_sid", NO_PARENT).noun())
        }
        _ => Ok(()),
    }
}

/// That nothing stands in the way of a file in its container; what does so only because the sweep has not been here is
/// removed.
pub async fn clear_the_way(face: &Face, file: &File) -> Result<(), Error> {
    let wanted = file.clone();
    match face.store.read(move |tx| in_the_way(tx, &wanted)).await? {
        None => Ok(()),
        Some(InTheWay { is_over: true, .. }) => face.end_files_of(file.container).await,
        Some(InTheWay { id, is_keys: true, .. }) => Err(Error::taken("unique", SAME_KEYS, id.0)),
        Some(InTheWay { id, .. }) => Err(Error::taken("file_access_name", SAME_NAME, id.0)),
    }
}

impl File {
    /// What its name and type say of its content.
    pub fn name_content(&mut self) {
        let name = self.traits.name.as_deref().unwrap_or_default();
        let extension = class::extension(name);
        let mime = self.traits.mime_type.as_deref().unwrap_or(class::UNTYPED);
        self.class = class::classify(mime, extension.as_deref()).to_owned();
        self.format = extension;
    }

    fn publish_uri(&self, here: &Here) -> Option<String> {
        let origin = &here.origin;
        match self.traits.publish {
            _ if !self.allow_publish => None,
            "file_sid" => Some(format!("{origin}/f/{}", self.id)),
            "file_access_name" => {
                let name = self.traits.access_name.as_deref().unwrap_or_default();
                let path: Vec<String> = name.split('/').map(escape).collect();
                Some(format!("{origin}/f/{}/{}", self.container, path.join("/")))
            }
            _ => None,
        }
    }

    /// On the wire.
    pub fn shown(self, here: &Here) -> wire::File {
        let publish_uri = self.publish_uri(here);
        let File { traits, .. } = self;
        let [string_key_1, string_key_2, string_key_3, string_key_4] = traits.keys.strings;
        wire::File {
            container_sid: self.container,
            content_classification: self.class,
            content_duration: None,
            content_format: self.format,
            content_transcoding_progress: None,
            date_last_accessed: self.accessed_at.map(wire::At),
            date_modified: wire::At(self.modified_at),
            desired_bitrate: traits.desired_bitrate,
            desired_format: traits.desired_format,
            file_access_name: traits.access_name.unwrap_or_default(),
            file_bytes: self.size,
            file_sid: self.id,
            integer_key_1: traits.keys.integers[0],
            integer_key_2: traits.keys.integers[1],
            lifecycle_action: traits.lifecycle_action,
            lifecycle_ttl: traits.lifecycle_ttl,
            mime_type: traits.mime_type.unwrap_or_default(),
            name: traits.name.unwrap_or_default(),
            parent_file_sid: traits.parent,
            partner_sid: self.partner,
            publish: traits.publish,
            publish_uri,
            string_key_1,
            string_key_2,
            string_key_3,
            string_key_4,
            threshold_include: traits.threshold_include,
            kind: traits.kind,
            unique: traits.unique,
        }
    }
}
