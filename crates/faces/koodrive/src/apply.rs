//! The KooDrive of the site file, applied.
//!
//! **Shape.** As identity's: [`put_drive`] for what the file names for the first time (made, or taken over if it is there),
//! [`change_drive`] for what it says anew, [`remove_drive`] for what it no longer names.
//! **Always.** Each can be done again and then does nothing: no commit, no entry in the journal. What is not spoken of stays:
//! totals that a transfer has moved are set only where the file says something new of them.

use identity::{Face as Dialect, Identity, NewHmacKey, Secret};
use ledger::{AllotmentId, Limits, Overcommit, Resource, Side};
use store::{
    Actor, Allotment, AllotmentPatch, AllotmentRef, Error, Managed, NewAllotment, Store, TenantId, Tx, Unit, params,
};

use crate::auth::{Form, ID_MAX};
use crate::kind::FOLDER;
pub use crate::kind::Kind;
use crate::person::{self, App, Person};

/// How many bytes a tenant has of each type, in the order of their numbers.
pub type Sizes = [u64; 3];

/// What the file says of users, apps and tokens; none inside: there is none any more.
#[derive(Clone, Default, Debug)]
pub struct Callers {
    /// Users, by id.
    pub users: Vec<(String, Option<UserWanted>)>,
    /// Apps, by id.
    pub apps: Vec<(String, Option<AppWanted>)>,
    /// Tokens, by their SHA-256: the id of their user.
    pub tokens: Vec<([u8; 32], Option<String>)>,
}

/// A user as the file has them.
#[derive(Clone, Debug)]
pub struct UserWanted {
    /// Who that is, by e-mail address.
    pub email: String,
    /// Whether they may change spaces.
    pub admin: bool,
}

/// An app as the file has it.
#[derive(Clone, Debug)]
pub struct AppWanted {
    /// What it signs with.
    pub secret: Secret,
    /// `table` or `example`.
    pub response_form: String,
}

/// The drive is there, with these totals and callers.
pub async fn put_drive(
    store: &Store,
    identity: &Identity,
    by: Actor,
    tenant: TenantId,
    sizes: Sizes,
    callers: Callers,
) -> Result<(), Error> {
    let folder = drive_node(store, tenant).await?;
    let unit = match &folder {
        None => make(store, tenant, sizes, Unit::by(by))?,
        Some(folder) => {
            let wanted = Kind::ALL.into_iter().zip(sizes).collect();
            resize(store, folder, wanted, Unit::by(by)).await?
        }
    };
    let (unit, is_new) = unit;
    write(store, identity, tenant, callers, unit, is_new).await
}

/// The file says something else of the drive: of these types, and these callers.
pub async fn change_drive(
    store: &Store,
    identity: &Identity,
    by: Actor,
    tenant: TenantId,
    sizes: Vec<(Kind, u64)>,
    callers: Callers,
) -> Result<(), Error> {
    let folder = drive_node(store, tenant).await?.ok_or_else(|| Error::not_found("koodrive of tenant", tenant))?;
    let (unit, is_new) = resize(store, &folder, sizes, Unit::by(by)).await?;
    write(store, identity, tenant, callers, unit, is_new).await
}

/// The file no longer names the drive. [`Error::Conflict`] while it has spaces. Says whether it was there.
pub async fn remove_drive(store: &Store, by: Actor, tenant: TenantId) -> Result<bool, Error> {
    let Some(folder) = drive_node(store, tenant).await? else { return Ok(false) };
    let id = folder.id;
    let types = store.read(move |tx| types(tx, id)).await?;
    let unit = types.into_iter().fold(Unit::by(by), |unit, node| unit.remove_allotment(node.id));
    let unit = unit.remove_allotment(folder.id).rows(move |tx| {
        let sql = "SELECT id FROM koodrive_apps WHERE tenant_id = $1";
        for row in tx.query(sql, &params![tenant])? {
            person::remove_app(tx, tenant, &row.get::<String>(0)?)?;
        }
        tx.execute("DELETE FROM koodrive_tokens WHERE tenant_id = $1", &params![tenant])?;
        tx.execute("DELETE FROM koodrive_users WHERE tenant_id = $1", &params![tenant]).map(drop)
    });
    store.write(unit).await.map(|_| true)
}

/// The node under which a tenant's types lie.
pub async fn drive_node(store: &Store, tenant: TenantId) -> Result<Option<Allotment>, Error> {
    let sql = "SELECT id FROM allotments WHERE parent_id = $1 AND name = $2";
    let read = store.read(move |tx| match tx.query_opt(sql, &params![tenant, FOLDER])? {
        Some(row) => store::allotments::find(tx, &AllotmentRef::Id(row.get(0)?)),
        None => Ok(None),
    });
    read.await
}

/// A type by the word that the file has for it.
pub fn kind(word: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
}

fn types(tx: &mut Tx, folder: AllotmentId) -> Result<Vec<Allotment>, Error> {
    let filter = store::AllotmentFilter { parent: Some(folder), limit: Kind::ALL.len() + 1, ..Default::default() };
    store::allotments::list(tx, &filter)
}

/// A unit that may have nothing to do yet, and whether it has.
type Prepared = (Unit, bool);

fn make(store: &Store, tenant: TenantId, sizes: Sizes, unit: Unit) -> Result<Prepared, Error> {
    let name = |text: &str| text.parse().map_err(|error: ledger::NameError| Error::Broken(error.to_string()));
    let id = AllotmentId(store.new_id());
    let folder = NewAllotment {
        kind: "folder".to_owned(),
        managed_by: Some(Managed::new("koodrive", "folder", tenant)),
        ..NewAllotment::new(id, Some(tenant.into()), name(FOLDER)?)
    };
    let mut unit = unit.create_allotment(folder);
    for (kind, size) in Kind::ALL.into_iter().zip(sizes) {
        let limits = Limits::new().with(Resource::BYTES, size).map_err(|error| Error::Invalid(error.to_string()))?;
        unit = unit.create_allotment(NewAllotment {
            side: Side::Demand,
            kind: "space_type".to_owned(),
            limits,
            // Spaces of a type never add up to more than the type has.
            overcommit: Some(Overcommit { permille: 1000 }),
            managed_by: Some(Managed::new("koodrive", "space_type", format!("{tenant}/{}", kind.as_str()))),
            ..NewAllotment::new(AllotmentId(store.new_id()), Some(id.into()), name(kind.as_str())?)
        });
    }
    Ok((unit, true))
}

async fn resize(store: &Store, folder: &Allotment, sizes: Vec<(Kind, u64)>, unit: Unit) -> Result<Prepared, Error> {
    if folder.managed_by.as_ref().is_none_or(|managed| managed.face != "koodrive") {
        return Err(Error::Conflict(format!("{} is there, and no drive", folder.path)));
    }
    let id = folder.id;
    let types = store.read(move |tx| types(tx, id)).await?;
    let (mut unit, mut is_new) = (unit, false);
    for (kind, size) in sizes {
        let node = types.iter().find(|node| node.name == kind.as_str());
        let node = node.ok_or_else(|| Error::not_found("space type", kind.as_str()))?;
        if node.balance(Resource::BYTES).limit != Some(size) {
            let limits = vec![(Resource::BYTES, Some(size))];
            // Not under what was handed out, however that has come about.
            let patch = AllotmentPatch { limits, covering: true, ..AllotmentPatch::default() };
            (unit, is_new) = (unit.change_allotment(node.id, patch), true);
        }
    }
    Ok((unit, is_new))
}

/// What is to be written of the callers, found to be different from what is there.
#[derive(Default)]
struct Rows {
    users: Vec<(String, Option<Person>)>,
    apps: Vec<(String, Option<(App, NewHmacKey)>)>,
    tokens: Vec<([u8; 32], Option<String>)>,
}

async fn write(
    store: &Store,
    identity: &Identity,
    tenant: TenantId,
    callers: Callers,
    unit: Unit,
    is_new: bool,
) -> Result<(), Error> {
    let identity = identity.clone();
    let rows = store.read(move |tx| different(tx, &identity, tenant, callers)).await?;
    if !is_new && rows.users.is_empty() && rows.apps.is_empty() && rows.tokens.is_empty() {
        return Ok(());
    }
    store.write(unit.rows(move |tx| put_rows(tx, tenant, &rows))).await.map(drop)
}

fn different(tx: &mut Tx, identity: &Identity, tenant: TenantId, callers: Callers) -> Result<Rows, Error> {
    let mut rows = Rows::default();
    for (id, wanted) in callers.users {
        let wanted = wanted.map(|wanted| user(tx, tenant, &id, &wanted)).transpose()?;
        if stored_user(tx, tenant, &id)? != wanted {
            rows.users.push((id, wanted));
        }
    }
    for (id, wanted) in callers.apps {
        check_id(&id)?;
        let known = person::app(tx, &id)?.filter(|known| known.tenant == tenant);
        match wanted {
            None if known.is_none() => {}
            None => rows.apps.push((id, None)),
            Some(AppWanted { secret, response_form }) => {
                let app = App { tenant, form: Form::from_text(&response_form)? };
                let same_key = identity.is_hmac_key(tx, Dialect::KooDrive, &id, &secret);
                // A key that does not open any more is replaced.
                if known != Some(app.clone()) || !same_key.unwrap_or(false) {
                    let key = identity.new_hmac_key(Dialect::KooDrive, &id, &secret)?;
                    rows.apps.push((id, Some((app, key))));
                }
            }
        }
    }
    for (sha256, wanted) in callers.tokens {
        let sql = "SELECT user_id FROM koodrive_tokens WHERE sha256 = $1 AND tenant_id = $2";
        let row = tx.query_opt(sql, &params![sha256.as_slice(), tenant])?;
        if row.map(|row| row.get::<String>(0)).transpose()? != wanted {
            rows.tokens.push((sha256, wanted));
        }
    }
    Ok(rows)
}

fn put_rows(tx: &mut Tx, tenant: TenantId, rows: &Rows) -> Result<(), Error> {
    for (id, wanted) in &rows.users {
        match wanted {
            Some(wanted) => person::put(tx, wanted)?,
            None => person::remove(tx, tenant, id)?,
        }
    }
    for (id, wanted) in &rows.apps {
        match wanted {
            Some((app, key)) => {
                person::put_app(tx, id, app)?;
                key.put(tx)?;
            }
            None => person::remove_app(tx, tenant, id)?,
        }
    }
    for (sha256, wanted) in &rows.tokens {
        match wanted {
            Some(user) => person::put_token(tx, tenant, sha256, user)?,
            None => person::remove_token(tx, tenant, sha256)?,
        }
    }
    Ok(())
}

fn user(tx: &mut Tx, tenant: TenantId, id: &str, wanted: &UserWanted) -> Result<Person, Error> {
    check_id(id)?;
    let sql = "SELECT id FROM users WHERE email_key = $1 AND tenant_id = $2";
    let row = tx.query_opt(sql, &params![wanted.email.trim().to_lowercase(), tenant])?;
    let user = row.ok_or_else(|| Error::not_found("user", &wanted.email))?.get(0)?;
    Ok(Person { id: id.to_owned(), user, tenant, admin: wanted.admin })
}

/// The row as the file made it, without what the person may do anyway.
fn stored_user(tx: &mut Tx, tenant: TenantId, id: &str) -> Result<Option<Person>, Error> {
    let sql = "SELECT id, user_id, tenant_id, admin FROM koodrive_users WHERE id = $1 AND tenant_id = $2";
    let row = tx.query_opt(sql, &params![id, tenant])?;
    let person =
        |row: store::Row| Ok(Person { id: row.get(0)?, user: row.get(1)?, tenant: row.get(2)?, admin: row.get(3)? });
    row.map(person).transpose()
}

fn check_id(id: &str) -> Result<(), Error> {
    if (1..=ID_MAX).contains(&id.len()) && !id.contains(|c: char| c == ',' || c.is_control()) {
        return Ok(());
    }
    Err(Error::Invalid(format!("an id of KooDrive has 1 to {ID_MAX} bytes, and no comma")))
}
