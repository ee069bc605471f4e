//! Bytes in: `POST /storage/files` as a form, as they are, or as a description of nothing (section 6).
//!
//! **Order.** Where a form's `file_object` comes before its `data`, the bytes are charged on their container as they arrive, and
//! a limit is told as soon as it is met. Where `data` is first, up to 32 KiB wait in memory; more are charged on the
//! partner's own node while they come, and moved to the container in the commit that makes the file: so its limits are
//! looked at then, and nothing is ever taken in that nobody is charged for.
//! **Always.** One commit makes a file: row, blob and charge. An upload that breaks off leaves nothing.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::{FromRequest, Request, State};
use bytes::Bytes;
use content::multipart::{Fault, Multipart};
use content::{BlobId, Draft, SMALL_BYTES_MAX, Staged};
use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, EXPECT};
use ledger::{AllotmentId, Amounts, Resource};
use serde_json::{Map, Value};
use store::{Error as StoreError, Managed, NewClaim, SupplyRef};

use crate::auth::Caller;
use crate::container::takes;
use crate::error::Error;
use crate::file::{self, File, Place, Traits};
use crate::ids::{ContainerId, FileId};
use crate::input::{self, Fields, Here, Input, JSON_BYTES_MAX, Params, TEXT_MAX};
use crate::reply::Created;
use crate::{Face, class, partner, wire};

/// How much of a body that was refused is still taken from the wire, and for how long: a client that is cut off while it
/// sends does not see why.
const DRAIN_BYTES_MAX: u64 = 64 * 1024 * 1024;
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// How long the claim of an upload that is moved lives between two steps of one commit.
const MOVE_LEASE_S: i64 = 60;

/// `POST /storage/files`: 201, not 200 (section 8, item 1).
pub async fn create(
    State(face): State<Face>,
    caller: Caller,
    here: Here,
    params: Params,
    request: Request,
) -> Result<Created<wire::File>, Error> {
    let upload = Upload { id: FileId(face.store.new_id()), face, caller };
    let said = Said { query: params.object(), form: Map::new() };
    let kind = input::essence(input::header(request.headers(), &CONTENT_TYPE)).to_ascii_lowercase();
    if kind == "application/json" {
        let Input(form) = Input::from_request(request, &upload.face).await?;
        let stored = upload.nothing(Said { form, ..said }).await;
        return stored.map(|file| Created(file.shown(&here)));
    }
    let (head, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let stored = match kind.as_str() {
        "multipart/form-data" => upload.form(&head.headers, said, &mut body).await,
        class::UNTYPED => upload.raw(&head.headers, said, &mut body).await,
        _ => Err(Error::MediaType),
    };
    let stored = finish(stored, &head.headers, &mut body).await?;
    Ok(Created(stored.shown(&here)))
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

/// An upload that makes a file.
struct Upload {
    id: FileId,
    face: Face,
    caller: Caller,
}

/// What is said of a file beside its bytes: in the query, and in a JSON object, which counts more.
#[derive(Clone, Default)]
struct Said {
    query: Map<String, Value>,
    form: Map<String, Value>,
}

/// What a part says of its content.
#[derive(Clone, Default)]
struct Label {
    name: Option<String>,
    mime: Option<String>,
}

/// A form's content that has come in.
enum Arrived {
    /// Small, in hand: it waits for the fields behind it.
    Small(Vec<Bytes>),
    /// Large, on disk, charged on this container; none: on the partner's own node.
    Large(Box<Staged>, Option<ContainerId>),
}

impl Upload {
    /// A file without content, as the vendor's client makes them.
    async fn nothing(&self, said: Said) -> Result<File, Error> {
        let file = self.plan(&said, &Label::default()).await?;
        self.take_small(Vec::new(), file).await
    }

    async fn raw(&self, headers: &HeaderMap, said: Said, body: &mut BodyDataStream) -> Result<File, Error> {
        let file = self.plan(&said, &Label::default()).await?;
        let declared = input::declared_len(headers);
        let draft = Draft { declared_is_exact: declared.is_some(), ..self.draft(file.container, declared)? };
        let staged = self.face.content.receive(draft, body).await?;
        self.keep(staged, file, None).await
    }

    async fn form(&self, headers: &HeaderMap, mut said: Said, body: &mut BodyDataStream) -> Result<File, Error> {
        let mut form = Multipart::new(body, input::header(headers, &CONTENT_TYPE)).map_err(malformed)?;
        let mut arrived = None;
        while let Some(part) = form.next().await.map_err(malformed)? {
            match part.name.as_str() {
                "file_object" => said.form = input::object(&text(&mut form).await?)?,
                "data" if arrived.is_none() => {
                    let label = Label::of(part.filename.as_deref(), part.content_type.as_deref());
                    let most = input::declared_len(headers).map(|length| form.remaining(length));
                    let content = self.arrive(&mut form, &said, &label, most).await?;
                    arrived = Some((label, content));
                }
                // What nobody asked for is passed over.
                _ => {}
            }
        }
        let (label, arrived) = arrived.ok_or_else(|| Error::field("data", "is required"))?;
        let file = self.plan(&said, &label).await?;
        match arrived {
            Arrived::Small(frames) => self.take_small(frames, file).await,
            Arrived::Large(staged, Some(charged)) if charged == file.container => self.keep(*staged, file, None).await,
            Arrived::Large(staged, _) => {
                let moved = NewClaim {
                    id: staged.claim,
                    demand: Some(file.container.allotment().into()),
                    supply: SupplyRef::Default,
                    amounts: amounts(staged.size)?,
                    lease: Some(MOVE_LEASE_S),
                    subject: None,
                    managed_by: Some(self.managed()),
                };
                self.keep(*staged, file, Some(moved)).await
            }
        }
    }

    /// Takes a form's content in: whole, if it is small; else charged where the fields so far say, or on the partner's own
    /// node where they say nothing.
    async fn arrive<S>(
        &self,
        form: &mut Multipart<S>,
        said: &Said,
        label: &Label,
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
                let charged = match said.names_container() {
                    true => Some(self.plan(said, label).await?.container),
                    false => None,
                };
                let draft = match charged {
                    Some(container) => self.draft(container, most)?,
                    None => self.draft_at(self.caller.partner.allotment(), most)?,
                };
                let rest = stream::unfold(form, |form| async {
                    let frame = form.chunk().await.transpose()?;
                    Some((frame, form))
                });
                let body = stream::iter(head.into_iter().map(Ok)).chain(rest);
                let staged = self.face.content.receive(draft, body).await?;
                return Ok(Arrived::Large(Box::new(staged), charged));
            }
        }
        Ok(Arrived::Small(head))
    }

    async fn take_small(&self, frames: Vec<Bytes>, file: File) -> Result<File, Error> {
        let size = frames.iter().map(|frame| frame.len() as u64).sum();
        let draft = Draft { declared_is_exact: true, ..self.draft(file.container, Some(size))? };
        let body = stream::iter(frames.into_iter().map(Ok::<_, Fault>));
        let staged = self.face.content.receive(draft, body).await?;
        self.keep(staged, file, None).await
    }

    /// The file as it will be, but for its bytes: with all that is said, and what its container says where it is silent.
    async fn plan(&self, said: &Said, label: &Label) -> Result<File, Error> {
        let (mut query, mut form) = (Fields::of_text(said.query.clone()), Fields::of(said.form.clone()));
        let (partner, is_named) = (self.caller.partner, said.names_container());
        let mut container = ContainerId(uuid::Uuid::nil());
        for fields in [&mut query, &mut form] {
            container = file::container_of(fields, &self.caller, container)?;
        }
        let read = self.face.store.read(move |tx| {
            let default = if is_named { None } else { partner::default_container(tx, partner)? };
            match (is_named, default) {
                (false, None) => Err(Error::field("container_sid", "is required").noun()),
                (_, default) => file::place(tx, partner, default.unwrap_or(container)),
            }
        });
        let place = read.await?.ok_or_else(|| Error::field("container_sid", file::NO_CONTAINER))?;
        let traits = Traits::of(&place.defaults).with(&mut query);
        query.end()?;
        let traits = traits.with(&mut form);
        let file = self.named(&place, traits, label);
        if !takes(&place.allowed, &place.blocked, &file.class) {
            form.fault("content_classification", file::NOT_TAKEN);
        }
        form.end()?;
        Ok(file)
    }

    /// Fills in what was not said: a name, a type, a path in the container.
    fn named(&self, place: &Place, mut traits: Traits, label: &Label) -> File {
        let name = traits.name.take().or_else(|| label.name.clone()).unwrap_or_else(|| self.id.to_string());
        let extension = class::extension(&name);
        let by_name = || extension.as_deref().and_then(class::mime_of).map(str::to_owned);
        let mime = traits.mime_type.take().or_else(|| label.mime.clone()).or_else(by_name);
        traits.mime_type = Some(mime.unwrap_or_else(|| class::UNTYPED.to_owned()));
        traits.access_name.get_or_insert_with(|| match &extension {
            Some(extension) => format!("{}.{extension}", self.id),
            None => self.id.to_string(),
        });
        traits.name = Some(name);
        let mut file = File {
            id: self.id,
            container: place.id,
            partner: self.caller.partner,
            blob: BlobId(uuid::Uuid::nil()),
            size: 0,
            version: 1,
            modified_at: 0,
            accessed_at: None,
            class: String::new(),
            format: None,
            traits,
            allow_publish: place.allow_publish,
        };
        file.name_content();
        file
    }

    /// The commit: row, blob and charge.
    async fn keep(&self, staged: Staged, file: File, moved: Option<NewClaim>) -> Result<File, Error> {
        let file = File { blob: staged.blob, size: staged.size, modified_at: self.face.store.now(), ..file };
        self.check(&file).await?;
        let unit = self.caller.unit();
        // Given back and taken anew under the same id: all limits of the container are looked at.
        let unit = moved.into_iter().fold(unit, |unit, moved| unit.release(moved.id).charge(moved));
        match staged.commit(file::insert(unit, &file)).await {
            Ok(_) => Ok(file),
            Err(StoreError::Conflict(why)) => {
                file::clear_the_way(&self.face, &file).await?;
                Err(Error::Store(StoreError::Conflict(why)))
            }
            Err(StoreError::NotFound { .. }) => Err(Error::field("container_sid", file::NO_CONTAINER)),
            Err(error) => Err(error.into()),
        }
    }

    /// What can only be looked at with the content in hand. Most files have nothing of it, and cost no read.
    async fn check(&self, file: &File) -> Result<(), Error> {
        let mut fields = Fields::of(Map::new());
        file::check_kind(&file.traits, file.size, &mut fields);
        fields.end()?;
        if file.traits.parent.is_some() {
            let file = file.clone();
            self.face.store.read(move |tx| file::check_parent(tx, &file)).await?;
        }
        let own_name = file.traits.access_name.as_deref().is_some_and(|name| name.starts_with(&self.id.to_string()));
        if file.traits.unique || !own_name {
            file::clear_the_way(&self.face, file).await?;
        }
        Ok(())
    }

    fn draft(&self, container: ContainerId, declared_len: Option<u64>) -> Result<Draft, Error> {
        self.draft_at(container.allotment(), declared_len)
    }

    fn draft_at(&self, demand: AllotmentId, declared_len: Option<u64>) -> Result<Draft, Error> {
        let (by, supply) = (self.caller.actor(), SupplyRef::Default);
        let (extra, managed_by) = (amounts(0)?, self.managed());
        Ok(Draft { by, demand, supply, extra, managed_by, declared_len, declared_is_exact: false })
    }

    fn managed(&self) -> Managed {
        Managed::new("carrierx", "file", self.id)
    }
}

impl Said {
    fn names_container(&self) -> bool {
        [&self.query, &self.form].into_iter().any(|given| given.contains_key("container_sid"))
    }
}

impl Label {
    /// A part's: the last part of the path that some clients send, and the type if it says anything.
    fn of(filename: Option<&str>, content_type: Option<&str>) -> Label {
        let name = filename.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
        let name: String = name.chars().filter(|letter| !letter.is_control()).take(TEXT_MAX).collect();
        let mime = input::essence(content_type.unwrap_or_default()).to_ascii_lowercase();
        Label {
            name: Some(name).filter(|name| !name.trim().is_empty()),
            mime: Some(mime).filter(|mime| class::is_mime(mime) && mime != class::UNTYPED && mime.len() <= TEXT_MAX),
        }
    }
}

/// What a file of so many bytes costs.
fn amounts(bytes: u64) -> Result<Amounts, Error> {
    let amounts = Amounts::new().with(Resource::BYTES, bytes).and_then(|it| it.with(Resource::OBJECTS, 1));
    amounts.map_err(|error| Error::Store(StoreError::Invalid(error.to_string())))
}

/// A text part of a form.
async fn text<S>(form: &mut Multipart<S>) -> Result<Vec<u8>, Error>
where
    S: Stream<Item = Result<Bytes, axum::Error>> + Unpin,
{
    let mut text = Vec::new();
    while let Some(frame) = form.chunk().await.map_err(malformed)? {
        if text.len() + frame.len() > JSON_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        text.extend_from_slice(&frame);
    }
    Ok(text)
}

fn malformed(fault: Fault) -> Error {
    Error::Body(fault.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_a_name_without_its_path_and_a_type_that_says_something() {
        let of = |name: &str, kind: &str| {
            let label = Label::of(Some(name), Some(kind));
            (label.name, label.mime)
        };
        assert_eq!(of("C:\\dir\\a.mp3", "Audio/MPEG; x=y"), (Some("a.mp3".to_owned()), Some("audio/mpeg".to_owned())));
        assert_eq!(of("../../etc/passwd", class::UNTYPED), (Some("passwd".to_owned()), None));
        assert_eq!(of("a/", "no type"), (None, None));
    }
}
