//! Making the site as its file says.
//!
//! **Shape.** [`Applier::apply`] compares what the file says with what it said when it was last applied (kept in the store's
//! settings), checks that nothing would be stranded, and then makes one change after the other, parents first. Each kind of
//! object has its hands in one file here: `supply`, `people`, `nouns`.
//! **Always.** Each change can be made again and then does nothing, and what was made is noted even if a later one fails:
//! so an application that was cut off is finished by the next. A removal that would strand a claim is refused before
//! anything is changed.
//! **Not here.** The plan itself, which is `site`'s; what a tenant, a user, a repository are, which is their crates'.

mod drives;
mod koodrive;
mod nouns;
mod organization;
mod partner;
mod people;
pub mod route;
mod strand;
mod supply;
mod values;

use std::path::Path;
use std::sync::Arc;

use identity::Identity;
use serde_json::{Value, json};
use site::{Action, Change, Kind, Objects, Secret, Site, SiteError, Source};
use store::{Actor, Store, Unit, params};

use self::koodrive::AppSecrets;
use crate::fault::Fault;

/// Where what was applied last is kept, among the store's settings.
const APPLIED: &str = "site.applied";

/// The kinds of objects that this version makes something of. Those of faces not built yet are checked and kept: when a
/// version that serves them starts, they are new to it.
const SERVED: [Kind; 15] = [
    Kind::Site,
    Kind::Resource,
    Kind::Operator,
    Kind::Pool,
    Kind::Repository,
    Kind::StorageType,
    Kind::LibraryDrive,
    Kind::License,
    Kind::Tenant,
    Kind::User,
    Kind::Token,
    Kind::Project,
    Kind::Partner,
    Kind::KooDrive,
    Kind::Organization,
];

/// The kinds that are only kept: this version makes nothing of them yet.
const KEPT: &[Kind] = &[];

/// Applies site files, one at a time.
#[derive(Clone)]
pub struct Applier {
    store: Store,
    identity: Identity,
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

/// What an application did, or would do.
pub struct Report {
    /// The plan, in order.
    pub changes: Vec<Change>,
    /// What else there is to know of it.
    pub notes: Vec<String>,
}

/// Why a site was not applied, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The text is no site. Nothing was changed.
    #[error("the site file has faults")]
    Faults(Vec<SiteError>),
    /// It would strand something, or change what cannot change. Nothing was changed.
    #[error("the site file asks for what cannot be done")]
    Refused(Vec<String>),
    /// A change failed; those before it were made.
    #[error("{line}: {error}")]
    Failed {
        /// The change, as the plan shows it.
        line: String,
        /// Why.
        error: store::Error,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Applier {
    /// Applies to this store.
    pub fn new(store: Store, identity: Identity) -> Applier {
        Applier { store, identity, one_at_a_time: Arc::default() }
    }

    /// What was applied last; none: nothing ever.
    pub async fn base(&self) -> Result<Option<Objects>, store::Error> {
        let sql = "SELECT value FROM settings WHERE key = $1";
        let read = move |tx: &mut store::Tx<'_>| {
            tx.query_opt(sql, &params![APPLIED])?.map(|row| row.get::<String>(0)).transpose()
        };
        self.store.read(read).await?.map(|text| from_text(&text)).transpose()
    }

    /// Does what the site says, or with `dry` only says what that is.
    pub async fn apply(&self, site: Site, dry: bool) -> Result<Report, ApplyError> {
        let _held = self.one_at_a_time.lock().await;
        let mut base = self.base().await?.unwrap_or_default();
        let secrets = AppSecrets::of(&site);
        let want = self.objects(site, base.clone()).await?;
        let changes = site::plan(&base, &want);
        let mut notes = notes(&changes);
        let refused = strand::check(self, &changes, &base, &want).await?;
        if !refused.is_empty() {
            return Err(ApplyError::Refused(refused));
        }
        if !dry && !changes.is_empty() {
            let made = self.make(&changes, &mut base, &want, &secrets).await;
            self.keep(&base).await?;
            notes.extend(made?);
        }
        Ok(Report { changes, notes })
    }

    async fn objects(&self, site: Site, base: Objects) -> Result<Objects, ApplyError> {
        let identity = self.identity.clone();
        let hashing = tokio::task::spawn_blocking(move || {
            let failed = std::cell::RefCell::new(None);
            let keep = |password: &Secret, before: Option<&str>| {
                let kept = identity::apply::keep_password(&identity, password.expose(), before);
                kept.map(|hash| hash.expose().to_owned()).unwrap_or_else(|error| {
                    failed.replace(Some(error));
                    String::new()
                })
            };
            let objects = site.objects(&base, &keep);
            failed.take().map_or(Ok(objects), Err)
        });
        let objects =
            hashing.await.map_err(|stopped| store::Error::Broken(format!("hashing was stopped: {stopped}")))?;
        Ok(objects?)
    }

    async fn make(
        &self,
        changes: &[Change],
        base: &mut Objects,
        want: &Objects,
        secrets: &AppSecrets,
    ) -> Result<Vec<String>, ApplyError> {
        let mut notes = Vec::new();
        for change in changes {
            let done = self.make_one(change, want, secrets).await;
            notes.extend(done.map_err(|error| ApplyError::Failed { line: change.to_string(), error })?);
            tracing::info!(change = %change, "the site was changed");
            site::settle(base, change, want);
        }
        Ok(notes)
    }

    async fn make_one(
        &self,
        change: &Change,
        want: &Objects,
        secrets: &AppSecrets,
    ) -> Result<Option<String>, store::Error> {
        let value = want.get(&change.key).unwrap_or(&Value::Null);
        match change.key.kind {
            Kind::Pool => supply::pool(self, change, value).await.map(|()| None),
            Kind::StorageType => supply::storage_type(self, change, value).await.map(|()| None),
            Kind::LibraryDrive => drives::library_drive(self, change, value).await.map(|()| None),
            Kind::License => drives::license(self, change, value).await.map(|()| None),
            Kind::Repository => nouns::repository(self, change, value).await.map(|()| None),
            Kind::Project => nouns::project(self, change, value).await.map(|()| None),
            Kind::Operator | Kind::User => people::user(self, change, value).await.map(|()| None),
            Kind::Tenant => people::tenant(self, change, value).await.map(|()| None),
            Kind::Token => people::token(self, change, value).await.map(|()| None),
            Kind::Partner => partner::partner(self, change, value).await.map(|()| None),
            Kind::KooDrive => koodrive::drive(self, change, value, secrets).await.map(|()| None),
            Kind::Organization => organization::organization(self, change, value).await.map(|()| None),
            // Read at the start.
            Kind::Site | Kind::Resource => Ok(None),
        }
    }

    async fn keep(&self, base: &Objects) -> Result<(), store::Error> {
        let text = to_text(base);
        let sql =
            "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let unit = Unit::by(by()).rows(move |tx| tx.execute(sql, &params![APPLIED, &text]).map(drop));
        self.store.write(unit).await.map(drop)
    }
}

/// As the journal names us.
fn by() -> Actor {
    Actor::system("site")
}

fn to_text(base: &Objects) -> String {
    let served: Vec<&str> = SERVED.iter().map(|kind| kind.as_str()).collect();
    json!({ "served": served, "objects": site::to_json(base) }).to_string()
}

fn from_text(text: &str) -> Result<Objects, store::Error> {
    let broken = |why: String| store::Error::Broken(format!("what was applied last is not as written: {why}"));
    let mut value: Value = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    let was_served = value["served"].take();
    let was_served = |kind: Kind| was_served.as_array().is_some_and(|kinds| kinds.iter().any(|it| it == kind.as_str()));
    let mut objects = site::from_json(value["objects"].take()).map_err(|error| broken(error.to_string()))?;
    // What an earlier version only kept, and this one makes something of, is still to be made.
    objects.retain(|key, _| was_served(key.kind) || !SERVED.contains(&key.kind));
    Ok(objects)
}

fn notes(changes: &[Change]) -> Vec<String> {
    let mut notes = Vec::new();
    let any = |kinds: &[Kind]| changes.iter().any(|change| kinds.contains(&change.key.kind));
    if any(&[Kind::Site, Kind::Resource]) {
        notes.push(
            "public_url, encryption_key, strict_csrf and resources take effect at the next start with this file"
                .to_owned(),
        );
    }
    for kind in KEPT {
        let made = changes.iter().any(|change| change.key.kind == *kind && change.action != Action::Remove);
        if made {
            let word = kind.as_str();
            notes.push(format!("{word}: checked and kept; this version has no face that serves it yet"));
        }
    }
    notes
}

/// Reads a site's text. Secrets are looked up in the environment and in files, which are meant from `folder` on; without
/// a folder they are not looked up.
pub fn parse(text: &str, folder: Option<&Path>) -> Result<Site, ApplyError> {
    let resolve = |source: Source<'_>| match folder {
        Some(folder) => look_up(source, folder),
        None => Err("it is looked up only when the file is applied on the server itself".to_owned()),
    };
    Site::parse(text, &resolve).map_err(ApplyError::Faults)
}

/// The most that a secret's file holds: one named by mistake is not read whole.
const SECRET_FILE_MAX: u64 = 64 * 1024;

fn look_up(source: Source<'_>, folder: &Path) -> Result<String, String> {
    match source {
        Source::Env(name) => {
            std::env::var(name).map_err(|_| "the server's environment has no such variable".to_owned())
        }
        Source::File(path) => {
            let path = folder.join(path);
            let size = path.metadata().map_err(|error| error.to_string())?.len();
            if size > SECRET_FILE_MAX {
                return Err(format!("the file has {size} bytes, which is no secret"));
            }
            // The kind only: nothing of the file may show.
            std::fs::read_to_string(&path).map_err(|error| error.kind().to_string())
        }
    }
}

/// As lines for the terminal.
impl From<ApplyError> for Fault {
    fn from(error: ApplyError) -> Fault {
        match error {
            ApplyError::Faults(faults) => {
                let lines: Vec<String> = faults.iter().map(|fault| format!("site file, {fault}")).collect();
                Fault::new(lines.join("\n"))
            }
            ApplyError::Refused(lines) => Fault::new(lines.join("\n")).hint("nothing was changed"),
            ApplyError::Failed { .. } => {
                Fault::new(error.to_string()).hint("the changes before it were made; apply again when it is put right")
            }
            ApplyError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use site::Key;

    use super::*;

    #[test]
    fn what_an_earlier_version_only_kept_is_new_to_one_that_serves_it() {
        let base: Objects = [Key::site(Kind::Pool, "disk"), Key::site(Kind::License, "windows")]
            .into_iter()
            .map(|key| (key, json!({})))
            .collect();
        assert_eq!(from_text(&to_text(&base)).unwrap(), base, "this version's own comes back");
        let earlier = to_text(&base).replace("\"pool\",", "");
        assert_eq!(from_text(&earlier).unwrap().keys().map(|key| key.kind).collect::<Vec<_>>(), [Kind::License]);
    }
}
