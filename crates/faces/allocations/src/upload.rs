//! Bytes in: `POST /api/records/` as a form or as they are, and the files of upload transfers.
//!
//! **Order.** Fields that come before the file say where it goes: it is charged there as it arrives, and a limit is told as
//! soon as it is met. Fields may also follow the file. Up to 32 KiB then wait in memory. A larger file is charged on the
//! caller's own node while it comes, and moved to where it goes in the commit that makes the record; so its limits are
//! looked at then, and nothing is ever taken in that nobody is charged for.
//! **Always.** One commit makes a record: rows, blob and charge. An upload that breaks off leaves nothing.

use std::time::Duration;

use axum::Json;
use axum::body::BodyDataStream;
use axum::extract::{Request, State};
use bytes::Bytes;
use content::multipart::{Fault, Multipart};
use content::{Draft, SMALL_BYTES_MAX, Staged};
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, EXPECT};
use ledger::{AllotmentId, Amounts, Resource};
use serde_json::{Map, Value};
use store::{Error as StoreError, Managed, NewClaim, SupplyRef, Unit};

use crate::auth::Caller;
use crate::error::Error;
use crate::ids::RecordId;
use crate::input::{self, At, Fields, Named, Params, TEXT_MAX};
use crate::record::{self, File, Record};
use crate::reply::Created;
use crate::target::{self, Asked, Target};
use crate::{Face, ids, transfer, wire};

/// How much of a body that was refused is still taken from the wire, and for how long: a client that is cut off while it
/// sends does not see why.
const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How long the claim of an upload that is moved lives between two steps of one commit.
const MOVE_LEASE_S: i64 = 60;

/// The longest text of a form's field.
const FIELD_BYTES_MAX: usize = 4096;

/// What a file without a name is called, and content without a type.
const UNNAMED: &str = "file";
const UNTYPED: &str = "application/octet-stream";

/// `POST /api/records/`: stores a file.
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    params: Params,
    request: Request,
) -> Result<Created<wire::Record>, Error> {
    let (head, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let upload = Upload { id: RecordId(face.store.new_id()), face, caller };
    let content_type = input::header(&head.headers, &CONTENT_TYPE);
    let stored = match input::essence(content_type).to_ascii_lowercase().as_str() {
        "multipart/form-data" => upload.form(&head.headers, &params, &mut body).await,
        UNTYPED => upload.raw(&head.headers, &params, &mut body).await,
        _ => Err(Error::MediaType(content_type.to_owned())),
    };
    finish(stored.map(Created), &head.headers, &mut body).await
}

/// `PUT /api/transfers/{id}/files/{name}`: a file of an upload transfer, into the transfer's record.
pub async fn file(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<ids::TransferId>,
    Named(name): Named,
    request: Request,
) -> Result<Json<wire::File>, Error> {
    let (head, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let stored = put(&face, &caller, id, name, &head.headers, &mut body).await;
    finish(stored.map(Json), &head.headers, &mut body).await
}

/// The answer; but a refusal only once the client has had its say, within bounds. One that waits to be asked for its body
/// is not asked.
async fn finish<T>(stored: Result<T, Error>, headers: &HeaderMap, body: &mut BodyDataStream) -> Result<T, Error> {
    if stored.is_err() && !headers.contains_key(EXPECT) {
        let draining = async {
            let mut drained = 0;
            while let Some(Ok(frame)) = body.next().await {
                drained += frame.len() as u64;
                if drained > DRAIN_BYTES_MAX {
                    break;
                }
            }
        };
        // Whether it came to its end makes no difference to the answer.
        let _ = tokio::time::timeout(DRAIN_MAX, draining).await;
    }
    stored
}

/// An upload that makes a record.
struct Upload {
    id: RecordId,
    face: Face,
    caller: Caller,
}

/// What a record's file is called and is, beside its bytes.
struct Label {
    name: String,
    data_type: String,
}

/// A file that has come in.
enum Arrived {
    /// Small, in hand: it waits for the fields behind it.
    Small(Vec<Bytes>),
    /// Large, on disk, charged where it was then to go; none: on the caller's own node.
    Large(Box<Staged>, Option<Target>),
}

impl Upload {
    async fn raw(
        &self,
        headers: &HeaderMap,
        params: &Params,
        body: &mut BodyDataStream,
    ) -> Result<wire::Record, Error> {
        let asked = Asked::read(params.fields())?;
        let label = label(params.get("filename"), Some(UNTYPED))?;
        let target = self.find(asked).await?;
        let declared = input::declared_len(headers);
        let draft = Draft { declared_is_exact: declared.is_some(), ..self.draft(&target, declared)? };
        let staged = self.face.content.receive(draft, body).await?;
        self.keep(staged, target, label, None).await
    }

    async fn form(
        &self,
        headers: &HeaderMap,
        params: &Params,
        body: &mut BodyDataStream,
    ) -> Result<wire::Record, Error> {
        let mut form = Multipart::new(body, input::header(headers, &CONTENT_TYPE)).map_err(malformed)?;
        let mut given: Map<String, Value> = Map::new();
        for name in target::FIELDS {
            given.extend(params.get(name).map(|value| (name.to_owned(), value.into())));
        }
        let mut file = None;
        while let Some(part) = form.next().await.map_err(malformed)? {
            match part.filename {
                Some(filename) if part.name == "file" && file.is_none() && !filename.is_empty() => {
                    let label = label(Some(&filename), part.content_type.as_deref())?;
                    let most = input::declared_len(headers).map(|length| form.remaining(length));
                    file = Some((label, self.arrive(&mut form, &given, most).await?));
                }
                None if part.name == "file" => {
                    let why = "The submitted data was not a file. Check the encoding type on the form.";
                    return Err(Error::field("file", why));
                }
                None if target::FIELDS.contains(&part.name.as_str()) => {
                    let value = text(&mut form, &part.name).await?;
                    if !value.is_empty() {
                        given.insert(part.name, value.into());
                    }
                }
                // What nobody asked for is passed over.
                _ => {}
            }
        }
        let (label, arrived) = file.ok_or_else(|| Error::field("file", "No file was submitted."))?;
        let target = self.find(Asked::read(Fields::new(given))?).await?;
        self.settle(arrived, target, label).await
    }

    /// Takes a form's file in: whole, if it is small; else charged where the fields so far say, or on the caller's own node
    /// where they say nothing.
    async fn arrive<S>(
        &self,
        form: &mut Multipart<S>,
        given: &Map<String, Value>,
        most: Option<u64>,
    ) -> Result<Arrived, Error>
    where
        S: Stream<Item = Result<Bytes, axum::Error>> + Unpin + Send,
    {
        let (mut head, mut size) = (Vec::new(), 0);
        while let Some(frame) = form.chunk().await.map_err(malformed)? {
            size += frame.len();
            head.push(frame);
            if size > SMALL_BYTES_MAX {
                let asked = Asked::read(Fields::new(given.clone()))?;
                let own = self.caller.allotment.filter(|_| !asked.is_anything());
                let (target, draft) = match own {
                    Some(own) => (None, self.draft_at(own, SupplyRef::Default, most)?),
                    None => {
                        let target = self.find(asked).await?;
                        (Some(target), self.draft(&target, most)?)
                    }
                };
                let rest = stream::unfold(form, |form| async {
                    let frame = form.chunk().await.transpose()?;
                    Some((frame, form))
                });
                let body = stream::iter(head.into_iter().map(Ok)).chain(rest);
                let staged = self.face.content.receive(draft, body).await?;
                return Ok(Arrived::Large(Box::new(staged), target));
            }
        }
        Ok(Arrived::Small(head))
    }

    async fn settle(&self, arrived: Arrived, target: Target, label: Label) -> Result<wire::Record, Error> {
        match arrived {
            Arrived::Small(frames) => {
                let size = frames.iter().map(|frame| frame.len() as u64).sum();
                let draft = Draft { declared_is_exact: true, ..self.draft(&target, Some(size))? };
                let body = stream::iter(frames.into_iter().map(Ok::<_, Fault>));
                let staged = self.face.content.receive(draft, body).await?;
                self.keep(staged, target, label, None).await
            }
            Arrived::Large(staged, Some(charged)) if same_place(charged, target) => {
                self.keep(*staged, target, label, None).await
            }
            Arrived::Large(staged, _) => {
                let amounts = amounts(staged.size)?;
                let moved = NewClaim {
                    id: staged.claim,
                    demand: Some(target.allocation.allotment().into()),
                    supply: SupplyRef::At(target.repository.allotment().into()),
                    amounts,
                    lease: Some(MOVE_LEASE_S),
                    subject: None,
                    managed_by: Some(self.managed()),
                };
                self.keep(*staged, target, label, Some(moved)).await
            }
        }
    }

    /// The commit: rows, blob and charge.
    async fn keep(
        &self,
        staged: Staged,
        target: Target,
        Label { name, data_type }: Label,
        moved: Option<NewClaim>,
    ) -> Result<wire::Record, Error> {
        let now = self.face.store.now();
        let (size, sha256, blob) = (staged.size, staged.sha256, staged.blob);
        let file = File { name, blob, size, sha256, data_type, counts_record: true };
        let record = Record {
            id: self.id,
            allocation: target.allocation,
            asset: target.asset,
            size,
            created_at: now,
            updated_at: now,
            files: vec![file],
        };
        let unit = Unit::by(self.caller.actor()).within(target.tenant);
        // Given back and taken anew under the same id: where it lies changes, too, and all limits there are looked at.
        let unit = moved.into_iter().fold(unit, |unit, moved| unit.release(moved.id).charge(moved));
        match staged.commit(record::insert(unit, &record)).await {
            Ok(_) => Ok(record.shown()),
            // The only constraint of these rows that a caller can break: the asset went meanwhile.
            Err(StoreError::Conflict(_)) if target.asset.is_some() => {
                Err(Error::field("asset_id", "Invalid asset - object does not exist."))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn find(&self, asked: Asked) -> Result<Target, Error> {
        let caller = self.caller.clone();
        Ok(self.face.store.read(move |tx| asked.find(tx, &caller).map_err(Error::noun)).await?)
    }

    fn draft(&self, target: &Target, declared_len: Option<u64>) -> Result<Draft, Error> {
        let supply = SupplyRef::At(target.repository.allotment().into());
        self.draft_at(target.allocation.allotment(), supply, declared_len)
    }

    fn draft_at(&self, demand: AllotmentId, supply: SupplyRef, declared_len: Option<u64>) -> Result<Draft, Error> {
        let by = self.caller.actor();
        let (extra, managed_by) = (amounts(0)?, self.managed());
        Ok(Draft { by, demand, supply, extra, managed_by, declared_len, declared_is_exact: false })
    }

    fn managed(&self) -> Managed {
        Managed::new("allocations", "record", self.id)
    }
}

fn same_place(a: Target, b: Target) -> bool {
    (a.allocation, a.repository) == (b.allocation, b.repository)
}

/// What a record of so many bytes costs.
fn amounts(bytes: u64) -> Result<Amounts, Error> {
    let amounts = Amounts::new().with(Resource::BYTES, bytes).and_then(|it| it.with(Resource::OBJECTS, 1));
    amounts.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))
}

/// A text field of a form.
async fn text<S>(form: &mut Multipart<S>, name: &str) -> Result<String, Error>
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Unpin,
{
    let mut text = Vec::new();
    while let Some(frame) = form.chunk().await.map_err(malformed)? {
        if text.len() + frame.len() > FIELD_BYTES_MAX {
            return Err(Error::field(
                name,
                format!("Ensure this field has no more than {FIELD_BYTES_MAX} characters."),
            ));
        }
        text.extend_from_slice(&frame);
    }
    String::from_utf8(text).map(|text| text.trim().to_owned()).map_err(|_| Error::field(name, "Not a valid string."))
}

fn malformed(fault: Fault) -> Error {
    Error::Parse(format!("Multipart form parse error - {fault}"))
}

/// What a file is called: the last part of the path that some clients send.
fn label(filename: Option<&str>, content_type: Option<&str>) -> Result<Label, Error> {
    let name = filename.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
    let name = match name.trim() {
        "" | "." | ".." => UNNAMED.to_owned(),
        name => name.to_owned(),
    };
    let length = name.chars().count();
    if length > TEXT_MAX {
        let why = format!("Ensure this filename has at most {TEXT_MAX} characters (it has {length}).");
        return Err(Error::field("file", why));
    }
    Ok(Label { name, data_type: data_type(content_type) })
}

/// A content type that can be sent again as a header; else that of bytes of no known kind.
fn data_type(content_type: Option<&str>) -> String {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let essence = input::essence(content_type.unwrap_or_default());
    match essence.split_once('/') {
        Some((kind, subtype)) if is_token(kind) && is_token(subtype) && essence.len() <= TEXT_MAX => {
            essence.to_ascii_lowercase()
        }
        _ => UNTYPED.to_owned(),
    }
}

/// Stores a file of a transfer in its record, in place of the one of the same name.
async fn put(
    face: &Face,
    caller: &Caller,
    id: ids::TransferId,
    name: String,
    headers: &HeaderMap,
    body: &mut BodyDataStream,
) -> Result<wire::File, Error> {
    let who = caller.clone();
    let place = face.store.read(move |tx| transfer::place(tx, &who, id, name).map_err(Error::noun)).await?;
    let declared_len = input::declared_len(headers);
    let counts_record = place.before.as_ref().is_some_and(|(_, counts_record)| *counts_record);
    let draft = Draft {
        by: caller.actor(),
        demand: place.allocation.allotment(),
        supply: SupplyRef::At(place.repository.allotment().into()),
        extra: if counts_record { amounts(0)? } else { Amounts::new() },
        managed_by: Managed::new("allocations", "record", place.record),
        declared_len,
        declared_is_exact: declared_len.is_some(),
    };
    let staged = face.content.receive(draft, body).await?;
    let (size, sha256, blob) = (staged.size, staged.sha256, staged.blob);
    let data_type = data_type(Some(input::header(headers, &CONTENT_TYPE)));
    let file = File { name: place.name, blob, size, sha256, data_type, counts_record };
    let shown = wire::File { filename: file.name.clone(), size, checksum: file.checksum() };
    let unit = Unit::by(caller.actor()).within(place.tenant);
    let before = place.before.as_ref().map(|(info, _)| info.id);
    let unit = place.before.iter().fold(unit, |unit, (info, _)| content::doom(unit, info));
    let unit = unit.rows(move |tx| {
        record::put_file(tx, place.record, &file, before)?;
        transfer::moved(tx, id, size)
    });
    match staged.commit(unit).await {
        Ok(_) => Ok(shown),
        Err(StoreError::Conflict(_)) => Err(Error::Conflict("The file was replaced by another upload.".to_owned())),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_by_the_last_part_of_its_name() {
        let name = |given: &str| label(Some(given), None).unwrap().name;
        assert_eq!(name("a.txt"), "a.txt");
        assert_eq!(name("C:\\dir\\a.txt"), "a.txt");
        assert_eq!(name("../../etc/passwd"), "passwd");
        assert_eq!(name("a\r\nb"), "ab");
        assert_eq!((name(""), name("a/.."), name(" ")), ("file".into(), "file".into(), "file".into()));
        assert!(label(Some(&"x".repeat(256)), None).is_err());
    }

    #[test]
    fn a_type_that_is_none_is_octets() {
        assert_eq!(data_type(Some("Text/CSV; charset=utf-8")), "text/csv");
        for none in ["", "text", "text/", "a b/c", "text/x\r\ny"] {
            assert_eq!(data_type(Some(none)), UNTYPED, "{none:?}");
        }
    }
}
