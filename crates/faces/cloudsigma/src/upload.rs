//! Bytes in: a raw image at once, or in chunks of any order (spec, section 6.10).
//!
//! **Always.** A drive is charged at its final size before its first byte comes. A direct upload that breaks off leaves
//! neither drive nor charge; one in chunks waits until it is complete or deleted. A chunk counts once its bytes are on disk,
//! and nobody else writes there meanwhile.

use std::sync::PoisonError;

use axum::body::Body as Bytes;
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use content::volume;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{Actor, Error as StoreError, Micros, Tx, Unit, UserId, params};

use crate::Face;
use crate::auth::Caller;
use crate::drive::create::{self, Asked, Planned};
use crate::drive::define::{self, Definition};
use crate::drive::{self, Drive, Status};
use crate::error::Error;
use crate::ids::DriveId;
use crate::input::{self, Body, Params};
use crate::reply::{self, Bare};
use crate::wire;

/// How long a chunk's link can be used: five minutes.
const LINK_US: Micros = 300 * 1_000_000;
/// The most chunks of one upload.
const CHUNKS_MAX: u64 = 1_000_000;

/// `POST drives/upload/`, and with a file's name: an image, whose drive's id is the answer. It is raw, as the vendor has it;
/// with `format=qcow2` (ours) it is one of that format, for a drive of `size` bytes.
pub async fn direct(
    State(face): State<Face>,
    caller: Caller,
    name: Option<Name>,
    params: Params,
    request: Request,
) -> Result<Response, Error> {
    let home = caller.home()?;
    let length = input::declared_len(request.headers()).ok_or(Error::LengthRequired)?;
    let is_qcow2 = match params.get("format") {
        None | Some("" | "raw") => false,
        Some("qcow2") => true,
        Some(other) => return Err(Error::field("format", format!("\"{other}\" is no format of an image"))),
    };
    let size = match is_qcow2 {
        true => params.get("size").and_then(|size| size.parse().ok()),
        false => Some(length),
    };
    let size = size.ok_or_else(|| Error::field("size", "This field is required"))?;
    let id = DriveId(face.store.new_id());
    let name = name.map_or_else(|| format!("upload-{id}"), |Name(name)| name);
    let definition = Definition { name: Some(name), size: Some(size), ..Definition::default() };
    let asked = vec![Asked { id, definition, is_upload: true }];
    let who = caller.clone();
    let planned = face.store.read(move |tx| create::plan(tx, &who, &[], asked).map_err(Error::noun)).await?;
    let planned: Vec<Planned> = planned.into_iter().map(arriving).collect();
    let storage_type = planned.first().map(|planned| planned.drive.storage_type.clone()).unwrap_or_default();
    planned.iter().for_each(|planned| face.note_places(&planned.kind));
    let unit = create::charge(caller.unit(), &face.store, home, &planned)?;
    let mut left = Left { face: face.clone(), drive: Some(id) };
    if let Err(error) = face.store.write(unit).await {
        let is_known = !matches!(error, StoreError::Busy { .. } | StoreError::Broken(_));
        left.drive = left.drive.filter(|_| !is_known);
        return Err(Error::from(error).on(&storage_type));
    }
    let arrived = |status: &'static str| {
        caller.unit().rows(move |tx| {
            let sql = "UPDATE drives SET status = $2 WHERE id = $1 AND status = 'creating'";
            define::unchanged(tx.execute(sql, &params![id, status])?)
        })
    };
    match is_qcow2 {
        // A job of content reads it, and tells this face when it is through.
        true => {
            let unit = arrived(Status::CloningDst.as_str());
            let body = request.into_body().into_data_stream();
            face.content.volumes().import(volume::VolumeId(id.0), length, body, unit).await?;
        }
        false => {
            fill(&face, id, 0, request.into_body(), length).await?;
            face.store.write(arrived(Status::Unmounted.as_str())).await?;
        }
    }
    left.drive = None;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], id.to_string()).into_response())
}

/// A drive whose bytes come with the call: it has its final size from the start.
fn arriving(planned: Planned) -> Planned {
    let size = planned.bytes();
    let drive = Drive { size, wanted: None, status: Status::Creating, ..planned.drive };
    Planned { drive, ..planned }
}

/// What an upload that broke off has left: taken away when this is dropped.
struct Left {
    face: Face,
    drive: Option<DriveId>,
}

impl Drop for Left {
    fn drop(&mut self) {
        let Some(id) = self.drive else { return };
        let face = self.face.clone();
        tokio::spawn(async move {
            if let Err(error) = take_away(&face, id).await {
                tracing::warn!(drive.id = %id, %error, "an upload that broke off is left for the next start");
            }
        });
    }
}

/// Takes away a drive whose bytes never came.
pub async fn take_away(face: &Face, id: DriveId) -> Result<(), Error> {
    // What its call has asked to be written is written before this, and so it is seen.
    face.store.ready().await?;
    if face.store.read(move |tx| drive::find(tx, id)).await?.is_none_or(|drive| drive.status != Status::Creating) {
        return Ok(());
    }
    let info = face.store.read(move |tx| volume::info(tx, volume::VolumeId(id.0))).await?;
    let unit = Unit::by(Actor::system("cloudsigma"));
    let unit = info.iter().fold(unit, volume::doom).rows(move |tx| {
        let sql = "DELETE FROM drives WHERE id = $1 AND status = 'creating'";
        define::unchanged(tx.execute(sql, &params![id])?)
    });
    face.store.write(unit).await?;
    Ok(())
}

/// Brings a body to the disk.
async fn fill(face: &Face, id: DriveId, offset: u64, body: Bytes, length: u64) -> Result<(), Error> {
    let handle = face.content.volumes().open(volume::VolumeId(id.0)).await?;
    let written = handle.write_all(offset, body.into_data_stream(), length).await;
    let flushed = match written {
        Ok(()) => handle.flush().await,
        Err(error) => Err(error),
    };
    let closed = handle.close().await;
    flushed?;
    closed?;
    Ok(())
}

/// The name of a file in a path.
pub struct Name(String);

impl axum::extract::OptionalFromRequestParts<Face> for Name {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Option<Self>, Error> {
        let Some(name) = input::path_param(parts, face, "name").await else { return Ok(None) };
        let name = input::name(&Value::String(name)).map_err(|why| Error::field("name", why))?;
        Ok(Some(Name(name)))
    }
}

/// An upload in chunks, as far as one chunk goes.
#[derive(Clone, Copy)]
struct Chunk {
    drive: DriveId,
    number: u64,
    size: u64,
    count: u64,
    total: u64,
}

impl Chunk {
    /// Of a drive that waits for chunks of so many bytes; the last one takes what is left over (spec, section 6.10).
    fn of(drive: &Drive, number: u64, size: u64) -> Result<Chunk, Error> {
        let total = drive.size;
        let count =
            total.checked_div(size).ok_or_else(|| Error::field("chunk_size", "A chunk has at least one byte"))?;
        let count = count.max(1);
        if count > CHUNKS_MAX {
            return Err(Error::field("chunk_size", format!("An upload has at most {CHUNKS_MAX} chunks")));
        }
        if number >= count {
            return Err(Error::field("chunk_number", format!("There are {count} chunks, counted from 0")));
        }
        Ok(Chunk { drive: drive.id, number, size, count, total })
    }

    fn offset(self) -> u64 {
        self.number * self.size
    }

    fn length(self) -> u64 {
        if self.number + 1 == self.count { self.total - self.offset() } else { self.size }
    }
}

/// `do=upload_chunk`: a link to which a chunk can be sent for five minutes, without credentials.
pub async fn link(face: &Face, caller: &Caller, id: DriveId, body: Body) -> Result<Bare<Value>, Error> {
    let mut fields = body.object()?;
    let number = fields.need("chunk_number", input::integer);
    let size = fields.need("chunk_size", input::integer);
    fields.end()?;
    let (number, size, user) = (number.unwrap_or(0), size.unwrap_or(0), caller.user);
    let token = hex::encode(face.store.secret());
    let key = digest(&token);
    let unit = caller.unit().rows(move |tx| {
        let chunk = waiting(tx, user, id, number, size).map_err(Error::noun)?;
        tx.execute("UPDATE drives SET chunk_bytes = $2 WHERE id = $1", &params![id, size])?;
        let sql = "DELETE FROM drive_chunk_links WHERE drive_id = $1 AND expires_at <= $2";
        tx.execute(sql, &params![id, tx.now()])?;
        let sql = "INSERT INTO drive_chunk_links (sha256, drive_id, number, expires_at) VALUES ($1, $2, $3, $4)";
        tx.execute(sql, &params![key.clone(), chunk.drive, number, tx.now() + LINK_US]).map(drop)
    });
    face.store.write(unit).await?;
    Ok(Bare(json!({ "link": format!("{}/upload/{token}/", wire::ROOT) })))
}

/// A chunk that a drive still waits for.
fn waiting(tx: &mut Tx, user: UserId, id: DriveId, number: u64, size: u64) -> Result<Chunk, Error> {
    let drive = drive::own(tx, user, id)?;
    if drive.status != Status::Uploading {
        return Err(Error::state("upload to", "drive", drive.status.as_str(), Status::Uploading.as_str()));
    }
    if drive.chunk.is_some_and(|chunk| chunk != size) {
        return Err(Error::field("chunk_size", "All chunks of an upload have the same size"));
    }
    let chunk = Chunk::of(&drive, number, size)?;
    if is_there(tx, chunk)? { Err(Error::ChunkThere(number)) } else { Ok(chunk) }
}

fn is_there(tx: &mut Tx, chunk: Chunk) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM drive_chunks WHERE drive_id = $1 AND number = $2";
    Ok(tx.query_opt(sql, &params![chunk.drive, chunk.number])?.is_some())
}

fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// The secret in a link.
pub struct Token(String);

impl FromRequestParts<Face> for Token {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Error> {
        Ok(Token(input::path_param(parts, face, "token").await.unwrap_or_default()))
    }
}

/// `POST upload/{token}/`: a chunk's bytes. The link says whose and which.
pub async fn chunk(State(face): State<Face>, Token(token): Token, request: Request) -> Result<Response, Error> {
    let key = digest(&token);
    let chunk = face.store.read(move |tx| linked(tx, key, &token).map_err(Error::noun)).await?;
    let length = chunk.length();
    if let Some(received) = input::declared_len(request.headers()).filter(|declared| *declared != length) {
        return Err(content::Error::Length { declared: length, received }.into());
    }
    let _receiving = Receiving::begin(&face, chunk)?;
    // Whoever was here before may have just finished.
    face.store.read(move |tx| check_missing(tx, chunk).map_err(Error::noun)).await?;
    fill(&face, chunk.drive, chunk.offset(), request.into_body(), length).await?;
    let unit = Unit::by(Actor::system("cloudsigma")).rows(move |tx| note(tx, chunk));
    face.store.write(unit).await?;
    Ok(reply::json(StatusCode::OK, &json!({})))
}

fn linked(tx: &mut Tx, key: Vec<u8>, token: &str) -> Result<Chunk, Error> {
    let sql = "SELECT drive_id, number FROM drive_chunk_links WHERE sha256 = $1 AND expires_at > $2";
    let row = tx.query_opt(sql, &params![key, tx.now()])?.ok_or_else(|| Error::not_there(token))?;
    let (id, number): (DriveId, u64) = (row.get(0)?, row.get(1)?);
    let drive = drive::find(tx, id)?.ok_or_else(|| Error::not_there(id))?;
    let chunk = Chunk { drive: id, number, size: 0, count: 0, total: 0 };
    if is_there(tx, chunk)? {
        return Err(Error::ChunkThere(number));
    }
    Chunk::of(&drive, number, drive.chunk.unwrap_or(0))
}

fn check_missing(tx: &mut Tx, chunk: Chunk) -> Result<(), Error> {
    if is_there(tx, chunk)? { Err(Error::ChunkThere(chunk.number)) } else { Ok(()) }
}

/// A chunk that is being received. Dropping it lets the next one in.
struct Receiving {
    face: Face,
    chunk: (DriveId, u64),
}

impl Receiving {
    fn begin(face: &Face, chunk: Chunk) -> Result<Receiving, Error> {
        let chunk = (chunk.drive, chunk.number);
        let is_first = face.receiving.lock().unwrap_or_else(PoisonError::into_inner).insert(chunk);
        if is_first { Ok(Receiving { face: face.clone(), chunk }) } else { Err(Error::Lost) }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.face.receiving.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.chunk);
    }
}

/// A chunk is there; with the last missing one the drive is.
fn note(tx: &mut Tx, chunk: Chunk) -> Result<(), StoreError> {
    // First the drive's row: of two that end at once, the second sees the first's chunk.
    let sql = "UPDATE drives SET updated_at = $2 WHERE id = $1 AND status = 'uploading'";
    define::unchanged(tx.execute(sql, &params![chunk.drive, tx.now()])?)?;
    let sql = "INSERT INTO drive_chunks (drive_id, number) VALUES ($1, $2) ON CONFLICT (drive_id, number) DO NOTHING";
    tx.execute(sql, &params![chunk.drive, chunk.number])?;
    let sql = "SELECT count(*) FROM drive_chunks WHERE drive_id = $1";
    let there = tx.query_opt(sql, &params![chunk.drive])?.map_or(Ok(0), |row| row.get::<u64>(0))?;
    if there < chunk.count {
        return Ok(());
    }
    let sql = "UPDATE drives SET status = 'unmounted', size_bytes = COALESCE(wanted_bytes, size_bytes), \
        wanted_bytes = NULL, chunk_bytes = NULL WHERE id = $1";
    tx.execute(sql, &params![chunk.drive])?;
    tx.execute("DELETE FROM drive_chunk_links WHERE drive_id = $1", &params![chunk.drive])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(total: u64, size: u64, number: u64) -> Result<(u64, u64), Error> {
        let drive = Drive {
            id: DriveId(uuid::Uuid::nil()),
            tenant: None,
            owner: None,
            name: String::new(),
            media: String::new(),
            size: total,
            wanted: None,
            storage_type: String::new(),
            place: 0,
            status: Status::Uploading,
            allow_multimount: false,
            affinities: json!([]),
            meta: json!({}),
            licenses: json!([]),
            licenses_fixed: false,
            source: None,
            chunk: None,
            image: None,
            created_at: 0,
        };
        Chunk::of(&drive, number, size).map(|chunk| (chunk.offset(), chunk.length()))
    }

    #[test]
    fn the_last_chunk_takes_what_is_left_over() {
        assert_eq!(told(5, 2, 0).ok(), Some((0, 2)));
        assert_eq!(told(5, 2, 1).ok(), Some((2, 3)));
        assert!(told(5, 2, 2).is_err());
        assert_eq!(told(5, 10, 0).ok(), Some((0, 5)));
        assert_eq!(told(4, 2, 1).ok(), Some((2, 2)));
        assert!(told(5, 0, 0).is_err());
        assert!(told(1 << 40, 1, 0).is_err());
    }
}
