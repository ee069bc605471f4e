//! Bytes out: a record's file, whole or a part of it.
//!
//! **Always.** What users store is never a page of ours: it comes as an attachment, unsniffed, in a sandbox.

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

use crate::access::Reach;
use crate::auth::Caller;
use crate::error::Error;
use crate::ids::{RecordId, TransferId};
use crate::input::{self, At, Named, Params};
use crate::record::{self, File};
use crate::{Face, page, transfer};

/// `GET /api/records/{id}/download/`: the record's file; of several the first, or the one that `file` names.
pub async fn whole(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<RecordId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let read = face.store.read(move |tx| record::reachable(tx, &caller, id, Reach::Read).map_err(Error::noun));
    let mut files = read.await?.record.files.into_iter();
    let file = match params.get("file") {
        Some(name) => files.find(|file| file.name == name),
        None => files.next(),
    };
    send(&face, &headers, &file.ok_or(Error::NotFound)?).await
}

/// `GET /api/transfers/{id}/files/{name}`: a file of a transfer's record.
pub async fn file(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<TransferId>,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let file = face.store.read(move |tx| transfer::file(tx, &caller, id, &name).map_err(Error::noun)).await?;
    send(&face, &headers, &file).await
}

async fn send(face: &Face, headers: &HeaderMap, file: &File) -> Result<Response, Error> {
    let etag = content::etag(&file.sha256);
    if matches(input::header(headers, &IF_NONE_MATCH), &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, value(&etag))]).into_response());
    }
    // A part is of use only to who has the rest of the same bytes.
    let condition = input::header(headers, &IF_RANGE);
    let asked = match condition.is_empty() || condition == etag {
        true => range::parse(input::header(headers, &RANGE), file.size),
        false => RangeRequest::Whole,
    };
    if asked == RangeRequest::Unsatisfiable {
        return Err(Error::Range { size: file.size });
    }
    let (info, bytes) = face.content.open(file.blob, asked.part()).await?;
    let bytes = bytes.inspect(|piece| {
        if let Err(error) = piece {
            tracing::error!(%error, "a download broke off");
        }
    });
    let (status, length) = match asked {
        RangeRequest::Part(part) => (StatusCode::PARTIAL_CONTENT, part.bytes()),
        RangeRequest::Whole | RangeRequest::Unsatisfiable => (StatusCode::OK, info.size),
    };
    let mut answer = (status, fixed(file, &etag, length), Body::from_stream(bytes)).into_response();
    if let Some(range) = asked.content_range(info.size) {
        answer.headers_mut().insert(CONTENT_RANGE, value(&range));
    }
    Ok(answer)
}

fn fixed(file: &File, etag: &str, length: u64) -> [(HeaderName, HeaderValue); 8] {
    [
        (CONTENT_TYPE, value(&file.data_type)),
        (CONTENT_LENGTH, length.into()),
        (CONTENT_DISPOSITION, value(&disposition(&file.name))),
        (ETAG, value(etag)),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")),
    ]
}

/// A text that was made of visible ASCII; what is not so after all is left out.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"))
}

/// Whether one of the tags of a condition is this one. The weak form of a tag counts, as for every read.
fn matches(condition: &str, etag: &str) -> bool {
    condition.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// An attachment of this name (RFC 6266): in ASCII for old clients, and as it is.
fn disposition(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '%') || letter == ' ';
    let ascii: String = name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    if ascii == name {
        return format!("attachment; filename=\"{name}\"");
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", page::escape(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_sent_as_it_is_and_in_ascii() {
        assert_eq!(disposition("a b.txt"), "attachment; filename=\"a b.txt\"");
        let told = disposition("naïve \"x\".txt");
        assert_eq!(told, "attachment; filename=\"na_ve _x_.txt\"; filename*=UTF-8''na%C3%AFve%20%22x%22.txt");
    }

    #[test]
    fn a_tag_matches_itself_weak_or_in_a_list() {
        assert!(matches("\"a\"", "\"a\"") && matches("W/\"a\"", "\"a\"") && matches("\"b\", \"a\"", "\"a\""));
        assert!(matches("*", "\"a\"") && !matches("", "\"a\"") && !matches("\"b\"", "\"a\""));
    }
}
