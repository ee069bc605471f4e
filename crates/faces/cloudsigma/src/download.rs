//! Bytes out: a drive as a raw image, whole or a part of it, or as a qcow2 file (spec, section 6.10).

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use content::range::{self, RangeRequest};
use content::volume::{Format, Source};
use futures_util::StreamExt;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::Face;
use crate::auth::Caller;
use crate::drive::{self, Drive};
use crate::error::Error;
use crate::ids::DriveId;
use crate::input::{self, At, Params};

/// `GET drives/{id}/download/`; with `format=qcow2` (ours) as a file of that format.
pub async fn download(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<DriveId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let read = face.store.read(move |tx| {
        let find = |tx: &mut store::Tx<'_>| {
            let drive = drive::own_or_library(tx, caller.user, id)?;
            let is_running = drive.owner.is_some() && drive::is_running(tx, id)?;
            drive.check("download", drive.status.is_usable() && !is_running)?;
            Ok::<Drive, Error>(drive)
        };
        find(tx).map_err(Error::noun)
    });
    let drive = read.await?;
    let source = Source::Volume(drive.volume());
    match params.get("format") {
        None | Some("" | "raw") => raw(&face, &drive, source, &headers).await,
        Some("qcow2") => {
            let export = face.content.volumes().export(source, Format::Qcow2).await?;
            let length = export.size;
            let head = fixed(&format!("{}.qcow2", drive.id), length);
            let bytes = export.stream(None)?;
            Ok((StatusCode::OK, head, Body::from_stream(bytes)).into_response())
        }
        Some(other) => Err(Error::field("format", format!("\"{other}\" is no format of an image"))),
    }
}

async fn raw(face: &Face, drive: &Drive, source: Source, headers: &HeaderMap) -> Result<Response, Error> {
    let asked = range::parse(input::header(headers, &RANGE), drive.size);
    if asked == RangeRequest::Unsatisfiable {
        return Err(Error::Range { size: drive.size });
    }
    let (size, bytes) = face.content.volumes().download(source, asked.part()).await?;
    let bytes = bytes.inspect(|piece| {
        if let Err(error) = piece {
            tracing::error!(%error, "a download broke off");
        }
    });
    let (status, length) = match asked {
        RangeRequest::Part(part) => (StatusCode::PARTIAL_CONTENT, part.bytes()),
        RangeRequest::Whole | RangeRequest::Unsatisfiable => (StatusCode::OK, size),
    };
    let mut answer = (status, fixed(&drive.id.to_string(), length), Body::from_stream(bytes)).into_response();
    if let Some(range) = asked.content_range(size).and_then(|range| HeaderValue::try_from(range).ok()) {
        answer.headers_mut().insert(CONTENT_RANGE, range);
    }
    Ok(answer)
}

/// What users store is never a page of ours: it comes as an attachment, unsniffed, in a sandbox.
fn fixed(name: &str, length: u64) -> [(HeaderName, HeaderValue); 6] {
    let disposition = HeaderValue::try_from(format!("attachment; filename={name}"));
    [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_LENGTH, length.into()),
        (CONTENT_DISPOSITION, disposition.unwrap_or_else(|_| HeaderValue::from_static("attachment"))),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
    ]
}
