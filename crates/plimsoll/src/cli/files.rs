//! `plimsoll put` and `plimsoll get`: files into and out of the containers of a CarrierX partner.
//!
//! They speak that face's API with one of the partner's tokens, through the socket in the data folder or over the network.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use clap::Args;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, RANGE};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::progress::Progress;
use crate::client::{Body, Client, encoded, whole};
use crate::fault::{Doing, Fault};
use crate::show::{self, Output};

/// Where the face's API begins.
const STORAGE: &str = "/core/v2/storage";
/// How much of a file is read or sent at once.
const PIECE_BYTES: usize = 256 * 1024;

/// With which server, as whom.
#[derive(Args, Debug)]
struct Reach {
    /// A server on the network, as http://HOST:PORT [default: the one that holds the data folder]
    #[arg(long)]
    url: Option<String>,
    /// A token of the partner
    #[arg(long, env = "PLIMSOLL_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// What to store, and where.
#[derive(Args, Debug)]
pub struct Put {
    /// The file
    file: PathBuf,
    /// Where to: PARTNER/CONTAINER
    to: String,
    #[command(flatten)]
    reach: Reach,
}

/// What to fetch, and where to.
#[derive(Args, Debug)]
pub struct Get {
    /// What: PARTNER/CONTAINER/FILE
    from: String,
    /// Where to [default: the file's name, in the working folder]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

impl Put {
    pub(super) async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        let (partner, container) = self.to.split_once('/').ok_or_else(|| misnamed(&self.to, "PARTNER/CONTAINER"))?;
        let shown = self.file.display().to_string();
        let file = File::open(&self.file).await.doing(format_args!("open {shown}"))?;
        let size = file.metadata().await.doing(format_args!("read {shown}"))?.len();
        let mut client = self.reach.connect(data).await?;
        let container = client.container(partner, container).await?;
        let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let path = format!("{STORAGE}/files?container_sid={container}&name={}", encoded(&name));
        let request = client.request(Method::POST, &path).header(CONTENT_TYPE, "application/octet-stream");
        let progress = Progress::new("sent", size, 0, output.is_json);
        let response = client.exchange(request.header(CONTENT_LENGTH, size), sending(file, size, progress)).await?;
        let stored = answer(response).await?;
        match output.is_json {
            true => show::print_json(&stored),
            false => {
                let (sid, size) = (stored["file_sid"].as_str().unwrap_or_default(), site::size::show(size));
                show::print([format!("stored {name} as {sid} ({size})")])
            }
        }
    }
}

/// The file's bytes as a body: as many as it had when it was opened.
pub(super) fn sending(file: File, size: u64, progress: Progress) -> Body {
    let pieces = stream::try_unfold((file, size, progress), |(mut file, left, mut progress)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES)));
        let read = (&mut file).take(left).read_buf(&mut piece).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        progress.add(read as u64);
        Ok(Some((Frame::data(piece.freeze()), (file, left - read as u64, progress))))
    });
    StreamBody::new(pieces).boxed_unsync()
}

impl Get {
    pub(super) async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        let mut segments = self.from.splitn(3, '/');
        let (Some(partner), Some(container), Some(file)) = (segments.next(), segments.next(), segments.next()) else {
            return Err(misnamed(&self.from, "PARTNER/CONTAINER/FILE"));
        };
        let mut client = self.reach.connect(data).await?;
        let container = client.container(partner, container).await?;
        let found = client.file(&container, file).await?;
        let name = found["name"].as_str().unwrap_or_default();
        let out = self.out.unwrap_or_else(|| Path::new(name).file_name().unwrap_or(file.as_ref()).into());
        let size = found["file_bytes"].as_u64().unwrap_or_default();
        let sid = found["file_sid"].as_str().unwrap_or_default();
        let mut part = Part::open(&out, size).await?;
        let before = part.size;
        client.fetch(sid, size, &mut part, output).await?;
        part.keep(&out).await?;
        if output.is_json {
            return show::print_json(&found);
        }
        let went_on = if before > 0 { format!(", {} of it before", site::size::show(before)) } else { String::new() };
        show::print([format!("fetched {} ({}{went_on})", out.display(), site::size::show(size))])
    }
}

impl Reach {
    async fn connect(&self, data: &Path) -> Result<Storage, Fault> {
        let Some(token) = &self.token else {
            return Err(Fault::new("no token was given")
                .hint("give one of the partner's with --token, or in the environment as PLIMSOLL_TOKEN"));
        };
        Ok(match &self.url {
            Some(url) => Storage { client: Client::net(url, Some(token)).await?, operator: None },
            None => {
                let operator = Some(Client::local(data).await?);
                Storage { client: Client::local(data).await?.with_token(token)?, operator }
            }
        })
    }
}

/// A partner's storage, as a token reaches it.
struct Storage {
    client: Client,
    /// Whoever may open the data folder is the operator, too.
    operator: Option<Client>,
}

impl std::ops::Deref for Storage {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for Storage {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Storage {
    /// The SID of a container by its name or SID, which must be the named partner's.
    async fn container(&mut self, partner: &str, called: &str) -> Result<String, Fault> {
        let found = self.one("containers", "container_sid", "name", called, "").await?;
        let owner = found["partner_sid"].as_str().unwrap_or_default();
        let is_theirs = match uuid::Uuid::try_parse(partner) {
            Ok(sid) => sid.to_string() == owner,
            Err(_) => self.is_called(owner, partner).await?,
        };
        if !is_theirs {
            return Err(Fault::new(format!("this token is not one of the partner {partner}")));
        }
        Ok(found["container_sid"].as_str().unwrap_or_default().to_owned())
    }

    /// Whether a partner has this name. Only the operator knows; over the network the token alone says whose it is.
    async fn is_called(&mut self, partner: &str, name: &str) -> Result<bool, Fault> {
        let Some(operator) = &mut self.operator else { return Ok(true) };
        Ok(operator.get(&format!("/allotments/{partner}")).await?["name"] == name)
    }

    async fn file(&mut self, container: &str, called: &str) -> Result<Value, Fault> {
        self.one("files", "file_sid", "name", called, &format!(" and container_sid eq {container}")).await
    }

    /// The one item that has this SID or this name.
    async fn one(&mut self, list: &str, sid: &str, name: &str, called: &str, and: &str) -> Result<Value, Fault> {
        let noun = list.trim_end_matches('s');
        let field = if uuid::Uuid::try_parse(called).is_ok() { sid } else { name };
        let quote = if called.contains('\'') { '"' } else { '\'' };
        let filter = encoded(&format!("{field} eq {quote}{called}{quote}{and}"));
        let answer = self.ask(Method::GET, &format!("{STORAGE}/{list}?limit=2&filter={filter}"), None).await?;
        if !answer.status.is_success() {
            return Err(refused(answer.status, &answer.body));
        }
        match answer.body["items"].as_array().map(Vec::as_slice) {
            Some([one]) => Ok(one.clone()),
            Some([_, _, ..]) => {
                Err(Fault::new(format!("there is more than one {noun} called {called}")).hint("name it by its SID"))
            }
            _ => Err(Fault::new(format!("there is no {noun} {called}"))),
        }
    }

    /// Fetches what is missing of a file.
    async fn fetch(&mut self, sid: &str, size: u64, part: &mut Part, output: Output) -> Result<(), Fault> {
        let path = format!("{STORAGE}/files/{sid}/data");
        // Of what is here wholly, only the checksum is asked for.
        let method = if part.size == size { Method::HEAD } else { Method::GET };
        let mut request = self.request(method.clone(), &path);
        if part.size > 0 && method == Method::GET {
            request = request.header(RANGE, format!("bytes={}-", part.size));
        }
        let response = self.exchange(request, whole(Bytes::new())).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::OK if method == Method::HEAD => {}
            // The whole again, whatever was asked for.
            StatusCode::OK => part.clear().await?,
            _ => return answer(response).await.map(drop),
        }
        let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        part.expected = tag.trim_matches('"').to_owned();
        let mut progress = Progress::new("fetched", size, part.size, output.is_json);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame
                .doing("read the file to its end")
                .map_err(|fault| fault.hint("what is here is kept; the same command again goes on where it stopped"))?;
            if let Ok(bytes) = frame.into_data() {
                part.add(&bytes).await?;
                progress.add(bytes.len() as u64);
            }
        }
        Ok(())
    }
}

/// A file that is not all here yet.
struct Part {
    path: PathBuf,
    file: File,
    size: u64,
    sum: Sha256,
    /// The checksum that the server has.
    expected: String,
}

impl Part {
    /// What is here of a file of `size` bytes.
    async fn open(out: &Path, size: u64) -> Result<Part, Fault> {
        let mut name = out.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let options = File::options().read(true).write(true).create(true).truncate(false).to_owned();
        let file = options.open(&path).await.doing(format_args!("open {}", path.display()))?;
        let mut part = Part { path, file, size: 0, sum: Sha256::new(), expected: String::new() };
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = part.file.read(&mut piece).await.doing(format_args!("read {}", part.path.display()))?;
            if read == 0 {
                break;
            }
            part.sum.update(&piece[..read]);
            part.size += read as u64;
        }
        if part.size > size {
            part.clear().await?;
        }
        Ok(part)
    }

    /// Begins anew.
    async fn clear(&mut self) -> Result<(), Fault> {
        let doing = format!("write {}", self.path.display());
        self.file.set_len(0).await.doing(&doing)?;
        tokio::io::AsyncSeekExt::rewind(&mut self.file).await.doing(&doing)?;
        (self.size, self.sum) = (0, Sha256::new());
        Ok(())
    }

    async fn add(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.file.write_all(bytes).await.doing(format_args!("write {}", self.path.display()))?;
        self.sum.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// The whole, under its own name; if it is what the server has.
    async fn keep(mut self, out: &Path) -> Result<(), Fault> {
        let doing = format!("write {}", out.display());
        self.file.flush().await.doing(&doing)?;
        self.file.sync_all().await.doing(&doing)?;
        if hex::encode(self.sum.finalize()) != self.expected {
            tokio::fs::remove_file(&self.path).await.doing(format_args!("remove {}", self.path.display()))?;
            return Err(Fault::new("what came is not what the server has, and was thrown away")
                .hint("a part of another file may have been here; run it again"));
        }
        tokio::fs::rename(&self.path, out).await.doing(&doing)
    }
}

fn misnamed(text: &str, form: &str) -> Fault {
    Fault::new(format!("{text:?} is not of the form {form}"))
}

/// The JSON of an answer that says yes.
async fn answer(response: http::Response<hyper::body::Incoming>) -> Result<Value, Fault> {
    let status = response.status();
    let bytes = response.into_body().collect().await.doing("read the answer")?.to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
}

/// What this API's errors say, as one line.
fn refused(status: StatusCode, body: &Value) -> Fault {
    let Some(message) = body["message"].as_str() else {
        return Fault::new(format!("the server answered {status}"));
    };
    let errors = body["errors"].as_array().into_iter().flatten();
    let told: Vec<String> = errors
        .filter_map(|error| {
            let (field, why) = (error["field"].as_str()?, error["message"].as_str()?);
            let by = error["reference_sid"].as_str().map(|sid| format!(" ({sid})")).unwrap_or_default();
            Some(format!("{field}: {why}{by}"))
        })
        .collect();
    let fault = Fault::new(if told.is_empty() { message.to_lowercase() } else { told.join("; ") });
    match status {
        StatusCode::UNAUTHORIZED => fault.hint("is the token one of the partner's in the site file?"),
        StatusCode::FORBIDDEN => fault.hint("the token lacks the scope for this"),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_becomes_one_line() {
        let error = json!({ "field": "quota_bytes", "message": "container quota exceeded", "reference_sid": "x" });
        let body = json!({ "message": "object validation error", "errors": [error] });
        let told = refused(StatusCode::UNPROCESSABLE_ENTITY, &body).to_string();
        assert_eq!(told, "quota_bytes: container quota exceeded (x)");
        let body = json!({ "message": "Bad credentials", "errors": [] });
        assert!(refused(StatusCode::UNAUTHORIZED, &body).to_string().starts_with("bad credentials\nhint: "));
        assert_eq!(refused(StatusCode::BAD_GATEWAY, &Value::Null).to_string(), "the server answered 502 Bad Gateway");
    }

    #[tokio::test]
    async fn what_is_here_already_is_taken_for_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a");
        std::fs::write(folder.path().join("a.part"), b"123").unwrap();
        let mut part = Part::open(&out, 6).await.unwrap();
        assert_eq!(part.size, 3);
        part.add(b"456").await.unwrap();
        part.expected = hex::encode(Sha256::digest(b"123456"));
        part.keep(&out).await.unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), b"123456");
        std::fs::write(folder.path().join("a.part"), b"1234567").unwrap();
        assert_eq!(Part::open(&out, 6).await.unwrap().size, 0, "longer than the file: another's");
        let part = Part { expected: "other".to_owned(), ..Part::open(&out, 6).await.unwrap() };
        assert!(part.keep(&out).await.is_err() && !folder.path().join("a.part").exists());
    }
}
