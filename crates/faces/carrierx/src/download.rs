//! Bytes out: a file's content by its sid, and published ones without credentials (section 6).
//!
//! **Always.** What users store is never a page of ours: it comes unsniffed and in a sandbox, and as an attachment unless it
//! is published and of a kind that only plays or shows.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use content::range::{self, RangeRequest};
use futures_util::StreamExt;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use store::{Error as StoreError, Unit};

use crate::auth::Caller;
use crate::error::Error;
use crate::file::{self, File};
use crate::ids::{ContainerId, FileId};
use crate::input::{self, At, Named, escape};
use crate::select::Select;
use crate::{Face, class};

/// How old `date_last_accessed` may be before a download refreshes it (section 5): reading is not a commit each time.
const ACCESS_FRESH_US: i64 = 60_000_000;

/// `GET /storage/files/{sid}/data`.
pub async fn data(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<FileId>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let file = file::own(&face, caller.partner, id).await?;
    let answer = send(&face, &headers, &file, false).await?;
    let is_fresh = file.accessed_at.is_some_and(|at| face.store.now() - at < ACCESS_FRESH_US);
    if !is_fresh {
        let unit = Unit::by(caller.actor()).rows(move |tx| file::accessed(tx, id));
        // That it could not be noted is no reason not to answer.
        if let Err(error) = face.store.write(unit).await {
            tracing::debug!(%error, "a download was not noted");
        }
    }
    Ok(answer)
}

/// `GET /f/{sid}`: a file published by its sid.
pub async fn by_sid(State(face): State<Face>, At(id): At<FileId>, headers: HeaderMap) -> Result<Response, Error> {
    let mut select = Select::new();
    select.and_equal("files.id", Some(id));
    published(&face, select, "file_sid", &headers).await
}

/// `GET /f/{container}/{name}`: a file published by its access name.
pub async fn by_name(
    State(face): State<Face>,
    At(id): At<ContainerId>,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let mut select = Select::new();
    select.and_equal("files.container_id", Some(id));
    select.and_equal("files.access_name", Some(name));
    published(&face, select, "file_access_name", &headers).await
}

async fn published(face: &Face, mut select: Select, how: &'static str, headers: &HeaderMap) -> Result<Response, Error> {
    select.and_equal("files.publish", Some(how));
    select.and("containers.allow_publish");
    let file = face.store.read(move |tx| file::find(tx, select)).await?.ok_or(Error::NoSuchPath)?;
    send(face, headers, &file, true).await
}

async fn send(face: &Face, headers: &HeaderMap, file: &File, is_published: bool) -> Result<Response, Error> {
    let blob = file.blob;
    let info = face.store.read(move |tx| content::info(tx, blob)).await?;
    let info = info.ok_or_else(|| StoreError::not_found("file", file.id))?;
    let etag = info.etag();
    if matches(input::header(headers, &IF_NONE_MATCH), &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, value(&etag))]).into_response());
    }
    // A part is of use only to who has the rest of the same bytes.
    let condition = input::header(headers, &IF_RANGE);
    let asked = match condition.is_empty() || condition == etag {
        true => range::parse(input::header(headers, &RANGE), info.size),
        false => RangeRequest::Whole,
    };
    if asked == RangeRequest::Unsatisfiable {
        return Err(Error::Range { size: info.size });
    }
    let (info, bytes) = face.content.open(blob, asked.part()).await?;
    let bytes = bytes.inspect(|piece| {
        if let Err(error) = piece {
            tracing::error!(%error, "a download broke off");
        }
    });
    let (status, length) = match asked {
        RangeRequest::Part(part) => (StatusCode::PARTIAL_CONTENT, part.bytes()),
        RangeRequest::Whole | RangeRequest::Unsatisfiable => (StatusCode::OK, info.size),
    };
    let fixed = fixed(file, &etag, length, is_published);
    let mut answer = (status, fixed, Body::from_stream(bytes)).into_response();
    if let Some(range) = asked.content_range(info.size) {
        answer.headers_mut().insert(CONTENT_RANGE, value(&range));
    }
    Ok(answer)
}

fn fixed(file: &File, etag: &str, length: u64, is_published: bool) -> [(HeaderName, HeaderValue); 8] {
    let mime = file.traits.mime_type.as_deref().unwrap_or(class::UNTYPED);
    let how = if is_published && is_harmless(mime) { "inline" } else { "attachment" };
    let name = file.traits.name.as_deref().unwrap_or_default();
    [
        (CONTENT_TYPE, value(mime)),
        (CONTENT_LENGTH, length.into()),
        (CONTENT_DISPOSITION, value(&disposition(how, name))),
        (ETAG, value(etag)),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (CACHE_CONTROL, HeaderValue::from_static(if is_published { "no-cache" } else { "private, no-cache" })),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
    ]
}

/// Content that a browser only plays or shows: it runs nothing.
fn is_harmless(mime: &str) -> bool {
    let shows = ["audio/", "video/", "image/"].iter().any(|kind| mime.starts_with(kind)) || mime == "text/plain";
    shows && mime != "image/svg+xml"
}

/// A text that was made of visible ASCII; what is not so after all is left out.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(class::UNTYPED))
}

/// Whether one of the tags of a condition is this one. The weak form of a tag counts, as for every read.
fn matches(condition: &str, etag: &str) -> bool {
    condition.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// How a name is sent (RFC 6266): in ASCII for old clients, and as it is.
fn disposition(how: &str, name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '%') || letter == ' ';
    let ascii: String = name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    if ascii == name {
        return format!("{how}; filename=\"{name}\"");
    }
    format!("{how}; filename=\"{ascii}\"; filename*=UTF-8''{}", escape(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_sent_as_it_is_and_in_ascii() {
        assert_eq!(disposition("inline", "a b.txt"), "inline; filename=\"a b.txt\"");
        let told = disposition("attachment", "naïve.txt");
        assert_eq!(told, "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt");
    }

    #[test]
    fn only_what_runs_nothing_is_shown_in_place() {
        assert!(is_harmless("audio/mpeg") && is_harmless("image/png") && is_harmless("text/plain"));
        assert!(!is_harmless("text/html") && !is_harmless("image/svg+xml") && !is_harmless(class::UNTYPED));
    }
}
