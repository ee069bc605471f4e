//! Apps: what takes memory and instances while it is started.
//!
//! **Always.** An app has one claim for its life, with its own id: of its memory times its instances while it is started, of
//! nothing while it is stopped. Every change says what the claim is to be, in the commit of the row; the store judges it. So
//! two changes of one app cannot add up wrongly, and one that takes no more than before is always let through.

use ledger::{Amounts, Resource};
use serde_json::{Map, Value};
use store::{Error as StoreError, Managed, Micros, NewClaim, Row, SupplyRef, TenantId, Tx, params};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{Error, Noun};
use crate::ids::{self, AppId, OrgId, SpaceId};
use crate::list::Table;
use crate::over::{self, Over, Subject};
use crate::{Face, access, rule, space};

/// The largest memory of an instance, the most instances: their product is an amount.
pub const NUMBER_MAX: i64 = i32::MAX as i64;
/// The longest of what is kept and of no consequence, as JSON.
const DETAIL_MAX: usize = 256 * 1024;
/// The longest name.
pub const NAME_MAX: usize = 255;

/// Where apps are, and what may be asked of their list.
pub const TABLE: Table = Table {
    name: "cf_apps",
    q: &[
        ("name", "cf_apps.name {}"),
        ("space_guid", "cf_apps.space_id {}"),
        ("organization_guid", "cf_apps.organization_id {}"),
        ("diego", "'true' {}"),
        ("stack_guid", "'6e9c2b4c-3f5c-4a6e-9d57-0f5c1d6a3b10' {}"),
    ],
    filters: &[
        ("names", "cf_apps.name {}"),
        ("space_guids", "cf_apps.space_id {}"),
        ("organization_guids", "cf_apps.organization_id {}"),
    ],
    by_name: false,
    strict: false,
};

/// An app.
#[derive(Clone, PartialEq, Debug)]
pub struct App {
    /// Its id, which is its claim's.
    pub id: AppId,
    /// Whose customer's.
    pub tenant: TenantId,
    /// In which organization.
    pub org: OrgId,
    /// In which space.
    pub space: SpaceId,
    /// Unique in the space.
    pub name: String,
    /// Whether it takes anything.
    pub started: bool,
    /// Memory of one instance.
    pub memory_mb: i64,
    /// How many there are when it is started.
    pub instances: i64,
    /// Kept, and not charged.
    pub disk_mb: i64,
    /// What is kept and shown, and of no consequence.
    pub detail: Map<String, Value>,
    /// Grows with each change.
    pub version: i64,
    /// When it was started.
    pub started_at: Option<Micros>,
    /// When it was made.
    pub created_at: Micros,
    /// When it was changed.
    pub updated_at: Micros,
}

/// The columns of [`from_row`].
pub const COLUMNS: &str = "cf_apps.id, cf_apps.tenant_id, cf_apps.organization_id, cf_apps.space_id, cf_apps.name, \
    cf_apps.started, cf_apps.memory_mb, cf_apps.instances, cf_apps.disk_mb, cf_apps.detail, cf_apps.version, \
    cf_apps.started_at, cf_apps.created_at, cf_apps.updated_at";

/// Reads [`COLUMNS`].
pub fn from_row(row: &Row) -> Result<App, StoreError> {
    Ok(App {
        id: row.get(0)?,
        tenant: row.get(1)?,
        org: row.get(2)?,
        space: row.get(3)?,
        name: row.get(4)?,
        started: row.get(5)?,
        memory_mb: row.get(6)?,
        instances: row.get(7)?,
        disk_mb: row.get(8)?,
        detail: serde_json::from_str(&row.get::<String>(9)?).unwrap_or_default(),
        version: row.get(10)?,
        started_at: row.get(11)?,
        created_at: row.get(12)?,
        updated_at: row.get(13)?,
    })
}

impl App {
    /// A new app, stopped, of the sizes that are usual.
    pub fn fresh(id: AppId, space: &space::Space, name: String) -> App {
        App {
            id,
            tenant: space.tenant,
            org: space.org,
            space: space.id,
            name,
            started: false,
            memory_mb: 1024,
            instances: 1,
            disk_mb: 1024,
            detail: Map::new(),
            version: 1,
            started_at: None,
            created_at: 0,
            updated_at: 0,
        }
    }

    /// What its claim is.
    fn amounts(&self) -> Result<Amounts, StoreError> {
        let mut amounts = Amounts::new();
        if self.started {
            let number = |value: i64| u64::try_from(value).unwrap_or(0);
            let memory = number(self.memory_mb).saturating_mul(number(self.instances));
            let fault = |error: ledger::AmountError| StoreError::Invalid(error.to_string());
            amounts.insert(Resource::MEMORY_MB, memory).map_err(fault)?;
            amounts.insert(Resource::INSTANCES, number(self.instances)).map_err(fault)?;
        }
        Ok(amounts)
    }

    /// A guid that changes with every change.
    pub fn version_guid(&self) -> Uuid {
        let mut bytes = *self.id.0.as_bytes();
        for (byte, version) in bytes[8..].iter_mut().zip(self.version.to_be_bytes()) {
            *byte ^= version;
        }
        // Still of version 4 and its variant: the byte that says so keeps its upper bits.
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uuid::from_bytes(bytes)
    }

    /// What is wrong with it, in the words of v2.
    pub fn check(&self) -> Result<(), Error> {
        if self.memory_mb <= 0 {
            return Err(Error::NoMemory);
        }
        let why = match self {
            app if app.name.trim().is_empty() => "name presence".to_owned(),
            app if app.name.chars().count() > NAME_MAX => "name max_length".to_owned(),
            app if app.instances < 0 => "Number of instances less than 0".to_owned(),
            app if app.disk_mb <= 0 => "disk_quota zero_or_less".to_owned(),
            app if [app.memory_mb, app.instances, app.disk_mb].iter().any(|number| *number > NUMBER_MAX) => {
                format!("a number is at most {NUMBER_MAX}")
            }
            app if Value::from(app.detail.clone()).to_string().len() > DETAIL_MAX => {
                format!("what describes it has at most {DETAIL_MAX} bytes")
            }
            _ => return Ok(()),
        };
        Err(Error::Invalid(Noun::App, why))
    }

    /// Whether the rule for one instance is to be asked: not where it takes no more than it did.
    fn asks_rule(&self, before: Option<&App>) -> bool {
        self.started && before.is_none_or(|before| !before.started || self.memory_mb > before.memory_mb)
    }
}

/// An app that is there for the caller, and its space.
pub fn find(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<(App, space::Space), StoreError> {
    let missing = || Error::NotFound(Noun::App, guid.to_owned()).noun();
    let id = AppId(ids::parse(guid).ok_or_else(missing)?);
    let sql = format!("SELECT {COLUMNS} FROM cf_apps WHERE id = $1");
    let app = tx.query_opt(&sql, &params![id])?.as_ref().map(from_row).transpose()?.ok_or_else(missing)?;
    let space = space::find(tx, app.space)?.filter(|space| caller.knows(space.tenant)).ok_or_else(missing)?;
    Ok((app, space))
}

/// One that the caller may run.
pub fn developed(tx: &mut Tx, caller: &Caller, guid: &str) -> Result<App, StoreError> {
    let (app, space) = find(tx, caller, guid)?;
    access::check_develops(tx, caller, &space)?;
    Ok(app)
}

/// That no other app of the space has its name.
pub fn check_name(tx: &mut Tx, app: &App) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cf_apps WHERE space_id = $1 AND name = $2 AND id <> $3";
    let taken = tx.query_opt(sql, &params![app.space, &app.name, app.id])?;
    taken.map_or(Ok(()), |_| Err(Error::Taken(Noun::App, app.name.clone()).noun()))
}

/// What planning found out about a change of an app.
pub struct Plan {
    /// As it is; none: it is new.
    pub before: Option<App>,
    /// As it is to be.
    pub after: App,
    broken: Vec<Over>,
}

/// Looks at a change before it is made: its form, its name, and the rules for one instance.
pub fn plan(tx: &mut Tx, before: Option<App>, after: App) -> Result<Plan, StoreError> {
    after.check().map_err(Error::noun)?;
    if before.as_ref().is_none_or(|before| before.name != after.name) {
        check_name(tx, &after)?;
    }
    let broken = match after.asks_rule(before.as_ref()) {
        true => rule::instance_memory(tx, after.space, after.memory_mb)?,
        false => Vec::new(),
    };
    Ok(Plan { before, after, broken })
}

/// Makes or changes an app and what it takes, in one commit.
pub async fn save(face: &Face, caller: &Caller, plan: Plan) -> Result<App, Error> {
    let Plan { before, after, broken } = plan;
    let (amounts, space) = (after.amounts()?, after.space);
    let asks = after.asks_rule(before.as_ref());
    let unit = match &before {
        Some(_) => caller.unit().set(after.id.claim(), amounts),
        None => caller.unit().charge(claim(after.id.0, space, amounts, "app")),
    };
    let unit = unit.rows(move |tx| {
        // The sums fit; a rule may still be broken, also one that was made stricter since it was planned.
        if asks
            && let found = rule::instance_memory(tx, after.space, after.memory_mb)?
            && !found.is_empty()
        {
            return Err(Error::Over(Subject::App, over::in_order(Subject::App, &found)).noun());
        }
        if before.as_ref().is_none_or(|before| before.name != after.name) {
            check_name(tx, &after)?;
        }
        match &before {
            Some(before) => update(tx, before, &after),
            None => insert(tx, &after),
        }
    });
    let written = face.store.write(unit).await;
    let done = written.map_err(|error| over::refused(Subject::App, Some(space), error, broken))?;
    Ok(done.value)
}

/// A claim of one of this face's things, in a space: it lies nowhere, so it takes no supply.
pub fn claim(id: Uuid, space: SpaceId, amounts: Amounts, noun: &str) -> NewClaim {
    NewClaim {
        supply: SupplyRef::None,
        managed_by: Some(Managed::new("cloudfoundry", noun, id)),
        ..NewClaim::held(ledger::ClaimId(id), space.allotment(), amounts)
    }
}

fn insert(tx: &mut Tx, app: &App) -> Result<App, StoreError> {
    let now = tx.now();
    let sql = "INSERT INTO cf_apps (id, tenant_id, organization_id, space_id, name, started, memory_mb, instances, \
        disk_mb, detail, version, tasks_made, started_at, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, 0, $11, $12, $12)";
    let started_at = app.started.then_some(now);
    let values = params![
        app.id,
        app.tenant,
        app.org,
        app.space,
        &app.name,
        app.started,
        app.memory_mb,
        app.instances,
        app.disk_mb,
        Value::from(app.detail.clone()).to_string(),
        started_at,
        now
    ];
    tx.execute(sql, &values)?;
    Ok(App { started_at, created_at: now, updated_at: now, ..app.clone() })
}

/// [`Error::Moved`] when it is not as it was planned with.
fn update(tx: &mut Tx, before: &App, app: &App) -> Result<App, StoreError> {
    let now = tx.now();
    let started_at = match (before.started, app.started) {
        (false, true) => Some(now),
        (true, true) => before.started_at,
        (_, false) => None,
    };
    let sql = "UPDATE cf_apps SET name = $3, started = $4, memory_mb = $5, instances = $6, disk_mb = $7, detail = $8, \
        started_at = $9, updated_at = $10, version = version + 1 WHERE id = $1 AND version = $2";
    let values = params![
        app.id,
        before.version,
        &app.name,
        app.started,
        app.memory_mb,
        app.instances,
        app.disk_mb,
        Value::from(app.detail.clone()).to_string(),
        started_at,
        now
    ];
    crate::quota::moved_if_none(tx.execute(sql, &values)?)?;
    Ok(App { started_at, updated_at: now, version: before.version + 1, ..app.clone() })
}

/// Deletes an app with its tasks, and gives back what they take.
pub async fn delete(face: &Face, caller: &Caller, guid: &str) -> Result<TenantId, Error> {
    let deleted = crate::again(|| async {
        let (who, wanted) = (caller.clone(), guid.to_owned());
        let read = face.store.read(move |tx| {
            let app = developed(tx, &who, &wanted)?;
            let tasks = tx.query("SELECT id FROM cf_tasks WHERE app_id = $1 AND running", &params![app.id])?;
            let tasks = tasks.iter().map(|row| row.get(0)).collect::<Result<Vec<Uuid>, _>>()?;
            Ok((app, tasks))
        });
        let (app, tasks) = read.await?;
        let unit = tasks.iter().fold(caller.unit(), |unit, task| unit.release(ledger::ClaimId(*task)));
        let id = app.id;
        let unit = unit.release(id.claim()).rows(move |tx| {
            let running = tx.query("SELECT id FROM cf_tasks WHERE app_id = $1 AND running", &params![id])?;
            if running.len() != tasks.len() {
                return Err(Error::Moved.noun());
            }
            tx.execute("DELETE FROM cf_tasks WHERE app_id = $1", &params![id])?;
            crate::quota::moved_if_none(tx.execute("DELETE FROM cf_apps WHERE id = $1", &params![id])?)
        });
        face.store.write(unit).await?;
        Ok(app.tenant)
    });
    deleted.await
}
