//! `plimsoll drive …`: disk images, for the people who own them.
//!
//! It speaks the CloudSigma API with somebody's e-mail address and password, through the socket in the data folder or over the
//! network.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::files::sending;
use super::progress::Progress;
use crate::client::{Client, encoded, whole};
use crate::fault::{Doing, Fault};
use crate::show::{self, Output};

/// Where the face's API begins.
const BASE: &str = "/api/2.0";
/// How often a copy is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// What a qcow2 file begins with, and where it says how large its drive is.
const QCOW2_MAGIC: &[u8] = b"QFI\xfb";
const QCOW2_SIZE_AT: usize = 24;

/// What to do about drives.
#[derive(Subcommand, Debug)]
pub enum Drive {
    /// List your drives
    #[command(after_help = "Example:\n  plimsoll drive ls --user ana@acme.example")]
    Ls(List),
    /// Make an empty drive
    #[command(after_help = "Examples:\n  plimsoll drive create web \"10 GiB\"\n  \
                            plimsoll drive create scratch 1TB --type zadara")]
    Create(Create),
    /// Make a drive with the bytes of another; a name or a uuid says of which
    #[command(
        after_help = "Examples:\n  plimsoll drive clone web\n  plimsoll drive clone web --name web-2 --type zadara"
    )]
    Clone(Clone),
    /// Keep a drive as it is now
    #[command(after_help = "Example:\n  plimsoll drive snapshot web --name before-the-upgrade")]
    Snapshot(Snapshot),
    /// Write a drive's bytes to a file
    #[command(
        after_help = "Examples:\n  plimsoll drive export web -o web.raw\n  plimsoll drive export web --format qcow2"
    )]
    Export(Export),
    /// Make a drive of an image file; one that ends in .qcow2 is of that format, any other is raw
    #[command(
        after_help = "Examples:\n  plimsoll drive import debian.qcow2 --name debian\n  plimsoll drive import disk.raw"
    )]
    Import(Import),
}

/// With which server, as whom.
#[derive(Args, Debug)]
struct Reach {
    /// A server on the network, as http://HOST:PORT [default: the one that holds the data folder]
    #[arg(long)]
    url: Option<String>,
    /// Your e-mail address
    #[arg(long, env = "PLIMSOLL_USER")]
    user: Option<String>,
    /// Your password
    #[arg(long, env = "PLIMSOLL_PASSWORD", hide_env_values = true)]
    password: Option<String>,
}

/// Which list.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    reach: Reach,
}

/// A drive to be made.
#[derive(Args, Debug)]
pub struct Create {
    /// What to call it
    name: String,
    /// How large: "10 GiB", 1TB
    size: String,
    /// Of which storage type [default: the site's]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// A clone to be made.
#[derive(Args, Debug)]
pub struct Clone {
    /// Of which drive: its name or uuid
    drive: String,
    /// What to call it [default: as your profile says]
    #[arg(long)]
    name: Option<String>,
    /// How large, if larger
    #[arg(long)]
    size: Option<String>,
    /// Of which storage type [default: the drive's]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// A snapshot to be taken.
#[derive(Args, Debug)]
pub struct Snapshot {
    /// Of which drive: its name or uuid
    drive: String,
    /// What to call it [default: the drive and the time]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// What to export, and where to.
#[derive(Args, Debug)]
pub struct Export {
    /// Which drive: its name or uuid
    drive: String,
    /// Where to [default: the drive's name and format, in the working folder]
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Raw)]
    format: Format,
    #[command(flatten)]
    reach: Reach,
}

/// What to import.
#[derive(Args, Debug)]
pub struct Import {
    /// The image
    file: PathBuf,
    /// What to call the drive [default: the file's name]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// Of what format a file is.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Raw,
    Qcow2,
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        }
    }
}

impl Drive {
    pub(super) async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        match self {
            Drive::Ls(List { reach }) => list(reach.connect(data).await?, output).await,
            Drive::Create(create) => create.run(data, output).await,
            Drive::Clone(clone) => clone.run(data, output).await,
            Drive::Snapshot(snapshot) => snapshot.run(data, output).await,
            Drive::Export(export) => export.run(data, output).await,
            Drive::Import(import) => import.run(data, output).await,
        }
    }
}

impl Reach {
    async fn connect(&self, data: &Path) -> Result<Drives, Fault> {
        let (Some(user), Some(password)) = (&self.user, &self.password) else {
            return Err(Fault::new("no user or no password was given").hint(
                "give them with --user and --password, or in the environment as PLIMSOLL_USER and PLIMSOLL_PASSWORD",
            ));
        };
        let client = match &self.url {
            Some(url) => Client::net(url, None).await?,
            None => Client::local(data).await?,
        };
        Ok(Drives(client.with_basic(user, password)?))
    }
}

async fn list(mut drives: Drives, output: Output) -> Result<(), Fault> {
    let found = drives.call(Method::GET, "/drives/detail/?limit=0", None).await?;
    if output.is_json {
        return show::print_json(&found["objects"]);
    }
    let text = |drive: &Value, key: &str| drive[key].as_str().unwrap_or_default().to_owned();
    let row = |drive: &Value| {
        let size = site::size::show(drive["size"].as_u64().unwrap_or_default());
        let (name, kind, status) = (text(drive, "name"), text(drive, "storage_type"), text(drive, "status"));
        vec![name, size, kind, status, text(drive, "uuid")]
    };
    let rows: Vec<Vec<String>> = found["objects"].as_array().into_iter().flatten().map(row).collect();
    show::print(show::table(output, &["NAME", "SIZE", "TYPE", "STATUS", "UUID"], &rows))
}

impl Create {
    async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        let size = bytes_of(&self.size)?;
        let mut drives = self.reach.connect(data).await?;
        let body = json!({ "name": self.name, "media": "disk", "size": size, "storage_type": self.kind });
        let made = drives.call(Method::POST, "/drives/", Some(&body)).await?["objects"][0].take();
        told(output, "made", &made)
    }
}

impl Clone {
    async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        let size = self.size.as_deref().map(bytes_of).transpose()?;
        let mut drives = self.reach.connect(data).await?;
        let of = id_of(&drives.find(&self.drive).await?);
        let body = json!({ "name": self.name, "size": size, "storage_type": self.kind });
        let path = format!("/drives/{of}/action/?do=clone");
        let made = drives.call(Method::POST, &path, Some(&body)).await?["objects"][0].take();
        let made = drives.filled(&made, output).await?;
        told(output, "cloned", &made)
    }
}

impl Snapshot {
    async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        let mut drives = self.reach.connect(data).await?;
        let of = id_of(&drives.find(&self.drive).await?);
        let body = json!({ "drive": of, "name": self.name });
        let made = drives.call(Method::POST, "/snapshots/", Some(&body)).await?["objects"][0].take();
        told(output, "taken", &made)
    }
}

impl Export {
    async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        let mut drives = self.reach.connect(data).await?;
        let found = drives.find(&self.drive).await?;
        let (name, format) = (found["name"].as_str().unwrap_or_default(), self.format.as_str());
        let out = self.out.unwrap_or_else(|| PathBuf::from(format!("{}.{format}", name.replace('/', "_"))));
        let path = format!("{BASE}/drives/{}/download/?format={format}", id_of(&found));
        let request = drives.0.request(Method::GET, &path);
        let response = drives.0.exchange(request, whole(Bytes::new())).await?;
        if response.status() != StatusCode::OK {
            return answer(response).await.map(drop);
        }
        let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length = length.unwrap_or_default();
        receive(response, &out, length, output).await?;
        match output.is_json {
            true => show::print_json(&json!({ "file": out.display().to_string(), "bytes": length })),
            false => show::print([format!("exported {name} to {} ({})", out.display(), site::size::show(length))]),
        }
    }
}

/// Writes an answer's body to a file; what is zeros becomes a hole in it.
async fn receive(response: Response<Incoming>, out: &Path, length: u64, output: Output) -> Result<(), Fault> {
    let doing = format!("write {}", out.display());
    let mut file = File::create(out).await.doing(&doing)?;
    let mut progress = Progress::new("exported", length, 0, output.is_json);
    let (mut body, mut received) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.doing("read the drive to its end")?.into_data() else { continue };
        match bytes.iter().all(|byte| *byte == 0) {
            true => {
                let over = i64::try_from(bytes.len()).unwrap_or_default();
                file.seek(std::io::SeekFrom::Current(over)).await.doing(&doing)?;
            }
            false => file.write_all(&bytes).await.doing(&doing)?,
        }
        received += bytes.len() as u64;
        progress.add(bytes.len() as u64);
    }
    file.flush().await.doing(&doing)?;
    file.set_len(received).await.doing(&doing)?;
    file.sync_all().await.doing(&doing)?;
    if received == length { Ok(()) } else { Err(Fault::new(format!("only {received} of {length} bytes came"))) }
}

impl Import {
    async fn run(self, data: &Path, output: Output) -> Result<(), Fault> {
        let shown = self.file.display().to_string();
        let mut file = File::open(&self.file).await.doing(format_args!("open {shown}"))?;
        let length = file.metadata().await.doing(format_args!("read {shown}"))?.len();
        let is_qcow2 = self.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("qcow2"));
        let query = if is_qcow2 {
            format!("?format=qcow2&size={}", qcow2_size(&mut file, &shown).await?)
        } else {
            String::new()
        };
        let stem = || self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = self.name.clone().or_else(stem).unwrap_or_else(|| "image".to_owned());
        let mut drives = self.reach.connect(data).await?;
        let path = format!("{BASE}/drives/upload/{}/{query}", encoded(&name));
        let request = drives.0.request(Method::POST, &path).header(CONTENT_TYPE, "application/octet-stream");
        let progress = Progress::new("sent", length, 0, output.is_json);
        let response =
            drives.0.exchange(request.header(CONTENT_LENGTH, length), sending(file, length, progress)).await?;
        let id = answer(response).await?;
        let made = drives.call(Method::GET, &format!("/drives/{}/", id.as_str().unwrap_or_default()), None).await?;
        let made = drives.filled(&made, output).await?;
        told(output, "imported", &made)
    }
}

/// How large the drive of a qcow2 file is, as it says itself.
async fn qcow2_size(file: &mut File, shown: &str) -> Result<u64, Fault> {
    let mut head = [0; QCOW2_SIZE_AT + 8];
    let is_read = file.read_exact(&mut head).await.is_ok();
    file.rewind().await.doing(format_args!("read {shown}"))?;
    let (start, size) = head.split_at(QCOW2_SIZE_AT);
    if !is_read || !start.starts_with(QCOW2_MAGIC) {
        return Err(Fault::new(format!("{shown} is no qcow2 image")).hint("a raw one must not be called so"));
    }
    Ok(size.iter().fold(0, |size, byte| (size << 8) | u64::from(*byte)))
}

/// Somebody's drives.
struct Drives(Client);

impl Drives {
    async fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let answer = self.0.ask(method, &format!("{BASE}{path}"), body).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(refused(answer.status, &answer.body)) }
    }

    /// The one drive of this uuid or name.
    async fn find(&mut self, called: &str) -> Result<Value, Fault> {
        if uuid::Uuid::try_parse(called).is_ok() {
            return self.call(Method::GET, &format!("/drives/{}/", called.to_lowercase()), None).await;
        }
        let name = encoded(&called.replace('\\', "\\\\").replace(',', "\\,"));
        let found = self.call(Method::GET, &format!("/drives/detail/?limit=2&name={name}"), None).await?;
        match found["objects"].as_array().map(Vec::as_slice) {
            Some([one]) => Ok(one.clone()),
            Some([_, _, ..]) => Err(Fault::new(format!("there is more than one drive called {called}"))
                .hint("name it by its uuid; `plimsoll drive ls` shows them")),
            _ => Err(Fault::new(format!("there is no drive {called}")).hint("`plimsoll drive ls` shows what there is")),
        }
    }

    /// The drive once its bytes are there.
    async fn filled(&mut self, made: &Value, output: Output) -> Result<Value, Fault> {
        let (id, size) = (id_of(made), made["size"].as_u64().unwrap_or_default());
        let mut progress = Progress::new("copied", size, 0, output.is_json);
        let mut before = 0;
        loop {
            let drive = self.call(Method::GET, &format!("/drives/{id}/"), None).await?;
            match drive["status"].as_str() {
                Some("cloning_dst" | "creating") => {}
                Some("unavailable") => {
                    return Err(Fault::new("the drive could not be filled").hint("the server's log says why"));
                }
                _ => return Ok(drive),
            }
            if let Some(job) = drive["jobs"][0]["uuid"].as_str() {
                let job = self.call(Method::GET, &format!("/jobs/{job}/"), None).await?;
                let done = size / 100 * job["data"]["progress"].as_u64().unwrap_or_default();
                progress.add(done.saturating_sub(before));
                before = before.max(done);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

fn id_of(found: &Value) -> String {
    found["uuid"].as_str().unwrap_or_default().to_owned()
}

fn bytes_of(text: &str) -> Result<u64, Fault> {
    site::size::parse(text).map_err(|error| Fault::new(error.to_string()))
}

fn told(output: Output, what: &str, made: &Value) -> Result<(), Fault> {
    if output.is_json {
        return show::print_json(made);
    }
    let size = made["size"].as_u64().map(|size| format!(" ({})", site::size::show(size))).unwrap_or_default();
    let name = made["name"].as_str().unwrap_or_default();
    show::print([format!("{what} {name} as {}{size}", id_of(made))])
}

/// The body of an answer that says yes: JSON, or the text it is.
async fn answer(response: Response<Incoming>) -> Result<Value, Fault> {
    let status = response.status();
    let bytes = response.into_body().collect().await.doing("read the answer")?.to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
    if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
}

/// What this API's errors say, as one line.
fn refused(status: StatusCode, body: &Value) -> Fault {
    let line = |entry: &Value| {
        let why = entry["error_message"].as_str()?;
        Some(entry["error_point"].as_str().map_or_else(|| why.to_owned(), |point| format!("{point}: {why}")))
    };
    let told: Vec<String> = body.as_array().into_iter().flatten().filter_map(line).collect();
    let fault = match told.is_empty() {
        true => Fault::new(format!("the server answered {status}")),
        false => Fault::new(told.join("; ")),
    };
    match status {
        StatusCode::UNAUTHORIZED => fault.hint("are the e-mail address and the password right?"),
        StatusCode::PAYMENT_REQUIRED => fault.hint("`plimsoll tree` shows who may use how much"),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_becomes_one_line() {
        let entry = |point: Value| json!({ "error_type": "x", "error_message": "This field is required", "error_point": point });
        let body = json!([entry(json!("name")), entry(Value::Null)]);
        let told = refused(StatusCode::BAD_REQUEST, &body).to_string();
        assert_eq!(told, "name: This field is required; This field is required");
        assert_eq!(refused(StatusCode::BAD_GATEWAY, &Value::Null).to_string(), "the server answered 502 Bad Gateway");
    }

    #[tokio::test]
    async fn a_qcow2_file_says_itself_how_large_its_drive_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.qcow2");
        let mut head = vec![0; 104];
        head[..4].copy_from_slice(QCOW2_MAGIC);
        head[24..32].copy_from_slice(&(5_u64 << 30).to_be_bytes());
        std::fs::write(&path, &head).unwrap();
        assert_eq!(qcow2_size(&mut File::open(&path).await.unwrap(), "a").await.unwrap(), 5 << 30);
        std::fs::write(&path, b"QFI\xfb").unwrap();
        assert!(qcow2_size(&mut File::open(&path).await.unwrap(), "a").await.is_err());
    }
}
