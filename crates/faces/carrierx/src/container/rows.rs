//! The rows of containers. A container's name and quotas are its allotment's, its totals are what that counts.

use ledger::ClaimId;
use serde_json::{Map, Value as Json};
use store::{Error as StoreError, Row, Tx, Value, params};

use super::traits::{LIFECYCLE_ACTIONS, PUBLISH, THRESHOLD_ACTIONS, Traits, flat};
use crate::class::CLASSES;
use crate::filter::{Column, Columns, Kind};
use crate::ids::{ContainerId, PartnerId};
use crate::keys::Keys;

/// A container as it was read.
#[derive(Clone, Debug)]
pub struct Container {
    pub id: ContainerId,
    pub partner: PartnerId,
    /// By which it is counted among the partner's.
    pub claim: ClaimId,
    /// Grows with each change, so that two changes of what was read do not undo each other.
    pub version: i64,
    pub encrypted: bool,
    pub traits: Traits,
    pub totals: Totals,
}

/// What lies in a container and in those inside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    pub bytes: u64,
    pub files: u64,
    /// Of these, what a threshold does not count.
    pub exempt_bytes: u64,
    /// Likewise.
    pub exempt_files: u64,
}

/// The columns that hold a container's traits, in the order of [`trait_values`].
const TRAITS: [&str; 23] = [
    "allow_publish",
    "allowed_classifications",
    "blocked_classifications",
    "default_file_lifecycle_action",
    "default_file_lifecycle_ttl",
    "default_file_publish",
    "default_file_threshold_include",
    "default_file_unique",
    "external_attributes",
    "integer_key_1",
    "integer_key_2",
    "string_key_1",
    "string_key_2",
    "string_key_3",
    "string_key_4",
    "threshold_action",
    "threshold_bytes",
    "threshold_bytes_target",
    "threshold_files",
    "threshold_files_target",
    "threshold_grace_period",
    "is_unique",
    "parent_id",
];

fn trait_values(traits: &Traits) -> Vec<Value> {
    let attributes = Json::Object(traits.external_attributes.clone()).to_string();
    let mut values = params![
        traits.allow_publish,
        traits.allowed_classifications.join(","),
        traits.blocked_classifications.join(","),
        traits.default_file_lifecycle_action,
        traits.default_file_lifecycle_ttl,
        traits.default_file_publish,
        traits.default_file_threshold_include,
        traits.default_file_unique,
        attributes,
    ]
    .to_vec();
    values.extend(traits.keys.values());
    values.extend(params![
        traits.threshold_action,
        traits.threshold_bytes,
        traits.threshold_bytes_target,
        traits.threshold_files,
        traits.threshold_files_target,
        traits.threshold_grace_period,
        traits.unique,
        traits.parent,
    ]);
    values
}

/// What of the files in a container, and in those inside it, a threshold does not count. They are the exception, and an
/// index holds them alone.
macro_rules! exempt {
    ($what:literal) => {
        concat!(
            "COALESCE((SELECT CAST(",
            $what,
            " AS BIGINT) FROM allotments d JOIN files f ON f.container_id = d.id WHERE d.side = 'demand' \
             AND d.path >= n.path AND d.path < n.path || '0' AND (d.path = n.path OR d.path >= n.path || '/') \
             AND NOT f.threshold_include), 0)"
        )
    };
}
macro_rules! counted {
    ($balance:literal, $what:literal) => {
        concat!("(COALESCE(", $balance, ".used, 0) - ", exempt!($what), ")")
    };
}
/// The share of a bound that is left, in hundredths (section 2). In two forms, so that no product is out of range.
macro_rules! percent {
    ($bound:literal, $used:expr, $unbounded:literal) => {
        concat!(
            "CASE WHEN ",
            $bound,
            " IS NULL THEN ",
            $unbounded,
            " WHEN ",
            $used,
            " >= ",
            $bound,
            " THEN 0 WHEN ",
            $bound,
            " <= 90000000000000000 THEN 100 * (",
            $bound,
            " - ",
            $used,
            ") / ",
            $bound,
            " ELSE (",
            $bound,
            " - ",
            $used,
            ") / (",
            $bound,
            " / 100) END"
        )
    };
}

/// From which tables a container is read.
pub const FROM: &str = "containers JOIN allotments n ON n.id = containers.id \
    LEFT JOIN balances b ON b.allotment_id = containers.id AND b.resource = 'bytes' \
    LEFT JOIN balances o ON o.allotment_id = containers.id AND o.resource = 'objects'";

/// The columns that [`from_row`] reads.
pub fn columns() -> String {
    let traits: Vec<String> = TRAITS.iter().map(|column| format!("containers.{column}")).collect();
    format!(
        "containers.id, containers.partner_id, containers.claim_id, containers.version, containers.encrypted, {}, \
         n.title, b.quota, o.quota, COALESCE(b.used, 0), COALESCE(o.used, 0), {}, {}",
        traits.join(", "),
        exempt!("sum(f.size_bytes)"),
        exempt!("count(*)"),
    )
}

/// How many columns those are.
pub const WIDTH: usize = 5 + TRAITS.len() + 7;

/// A container from the columns of [`columns`].
pub fn from_row(row: &Row) -> Result<Container, StoreError> {
    let after = 5 + TRAITS.len();
    let mut traits = traits_from_row(row, 5)?;
    traits.name = row.get(after)?;
    traits.quota_bytes = row.get(after + 1)?;
    traits.quota_files = row.get(after + 2)?;
    Ok(Container {
        id: row.get(0)?,
        partner: row.get(1)?,
        claim: row.get(2)?,
        version: row.get(3)?,
        encrypted: row.get(4)?,
        traits,
        totals: Totals {
            bytes: row.get(after + 3)?,
            files: row.get(after + 4)?,
            exempt_bytes: row.get(after + 5)?,
            exempt_files: row.get(after + 6)?,
        },
    })
}

fn traits_from_row(row: &Row, at: usize) -> Result<Traits, StoreError> {
    let attributes: Map<String, Json> = serde_json::from_str(&row.get::<String>(at + 8)?)
        .map_err(|error| StoreError::Broken(format!("attributes of a container: {error}")))?;
    let action: Option<String> = row.get(at + 15)?;
    Ok(Traits {
        allow_publish: row.get(at)?,
        allowed_classifications: words(&row.get::<String>(at + 1)?, CLASSES),
        blocked_classifications: words(&row.get::<String>(at + 2)?, CLASSES),
        default_file_lifecycle_action: word(&row.get::<String>(at + 3)?, LIFECYCLE_ACTIONS),
        default_file_lifecycle_ttl: row.get(at + 4)?,
        default_file_publish: word(&row.get::<String>(at + 5)?, PUBLISH),
        default_file_threshold_include: row.get(at + 6)?,
        default_file_unique: row.get(at + 7)?,
        external_attributes: attributes,
        keys: Keys::from_row(row, at + 9)?,
        threshold_action: action.map(|action| word(&action, THRESHOLD_ACTIONS)),
        threshold_bytes: row.get(at + 16)?,
        threshold_bytes_target: row.get(at + 17)?,
        threshold_files: row.get(at + 18)?,
        threshold_files_target: row.get(at + 19)?,
        threshold_grace_period: row.get(at + 20)?,
        unique: row.get(at + 21)?,
        parent: row.get(at + 22)?,
        ..Traits::default()
    })
}

/// A word that was written from this list.
pub fn word(text: &str, words: &'static [&'static str]) -> &'static str {
    words.iter().find(|word| **word == text).or(words.first()).copied().unwrap_or_default()
}

/// Words that were written from this list, with commas between.
pub fn words(text: &str, words: &'static [&'static str]) -> Vec<&'static str> {
    let found = text.split(',').filter_map(|text| words.iter().find(|word| **word == text));
    found.copied().collect()
}

/// What containers are filtered and ordered by.
pub const COLUMNS: Columns = Columns {
    named: &[
        flag("allow_publish", "containers.allow_publish"),
        text("allowed_classifications", "containers.allowed_classifications"),
        integer("available_bytes_percent", percent!("b.quota", "COALESCE(b.used, 0)", "100")),
        integer("available_files_percent", percent!("o.quota", "COALESCE(o.used, 0)", "100")),
        text("blocked_classifications", "containers.blocked_classifications"),
        text("container_sid", "containers.id"),
        text("default_file_lifecycle_action", "containers.default_file_lifecycle_action"),
        integer("default_file_lifecycle_ttl", "containers.default_file_lifecycle_ttl"),
        text("default_file_publish", "containers.default_file_publish"),
        flag("default_file_threshold_include", "containers.default_file_threshold_include"),
        flag("default_file_unique", "containers.default_file_unique"),
        flag("encrypted", "containers.encrypted"),
        integer("integer_key_1", "containers.integer_key_1"),
        integer("integer_key_2", "containers.integer_key_2"),
        text("name", "n.title"),
        text("parent_container_sid", "containers.parent_id"),
        text("partner_sid", "containers.partner_id"),
        integer("quota_bytes", "b.quota"),
        integer("quota_files", "o.quota"),
        text("string_key_1", "containers.string_key_1"),
        text("string_key_2", "containers.string_key_2"),
        text("string_key_3", "containers.string_key_3"),
        text("string_key_4", "containers.string_key_4"),
        text("threshold_action", "containers.threshold_action"),
        integer(
            "threshold_available_bytes_percent",
            percent!("containers.threshold_bytes", counted!("b", "sum(f.size_bytes)"), "NULL"),
        ),
        integer(
            "threshold_available_files_percent",
            percent!("containers.threshold_files", counted!("o", "count(*)"), "NULL"),
        ),
        integer("threshold_bytes", "containers.threshold_bytes"),
        integer("threshold_bytes_target", "containers.threshold_bytes_target"),
        integer("threshold_files", "containers.threshold_files"),
        integer("threshold_files_target", "containers.threshold_files_target"),
        integer("threshold_grace_period", "containers.threshold_grace_period"),
        integer("threshold_total_bytes", counted!("b", "sum(f.size_bytes)")),
        integer("threshold_total_files", counted!("o", "count(*)")),
        integer("total_bytes", "COALESCE(b.used, 0)"),
        integer("total_files", "COALESCE(o.used, 0)"),
        flag("unique", "containers.is_unique"),
    ],
    nested: Some((
        "external_attributes",
        "(SELECT value FROM container_attributes e WHERE e.container_id = containers.id AND e.name = {})",
    )),
    made: ["containers.created_at", "containers.id"],
};

const fn text(name: &'static str, sql: &'static str) -> Column {
    Column { name, sql, kind: Kind::Text }
}

const fn integer(name: &'static str, sql: &'static str) -> Column {
    Column { name, sql, kind: Kind::Integer }
}

const fn flag(name: &'static str, sql: &'static str) -> Column {
    Column { name, sql, kind: Kind::Flag }
}

/// A container of this partner.
pub fn find(tx: &mut Tx, partner: PartnerId, id: ContainerId) -> Result<Option<Container>, StoreError> {
    let sql = format!("SELECT {} FROM {FROM} WHERE containers.id = $1 AND containers.partner_id = $2", columns());
    tx.query_opt(&sql, &params![id, partner])?.as_ref().map(from_row).transpose()
}

/// Another container of the partner that has these keys to itself.
pub fn same_keys(
    tx: &mut Tx,
    partner: PartnerId,
    id: ContainerId,
    key: &str,
) -> Result<Option<ContainerId>, StoreError> {
    let sql = "SELECT id FROM containers WHERE partner_id = $1 AND unique_key = $2 AND id <> $3";
    tx.query_opt(sql, &params![partner, key, id])?.map(|row| row.get(0)).transpose()
}

/// How many containers lie above this one, itself counted; none where it is not the partner's, or is below `not_below`.
pub fn depth(
    tx: &mut Tx,
    partner: PartnerId,
    id: ContainerId,
    not_below: Option<ContainerId>,
) -> Result<Option<u64>, StoreError> {
    let (mut depth, mut next) = (0, Some(id));
    while let Some(id) = next {
        let sql = "SELECT parent_id FROM containers WHERE id = $1 AND partner_id = $2";
        let Some(row) = tx.query_opt(sql, &params![id, partner])?.filter(|_| Some(id) != not_below) else {
            return Ok(None);
        };
        (depth, next) = (depth + 1, row.get(0)?);
    }
    Ok(Some(depth))
}

/// The rows of a new container.
pub fn insert(tx: &mut Tx, new: &Container) -> Result<(), StoreError> {
    let into = format!(
        "containers (id, partner_id, claim_id, version, created_at, encrypted, unique_key, {})",
        TRAITS.join(", ")
    );
    let key = new.traits.unique_key();
    let mut values = params![new.id, new.partner, new.claim, new.version, tx.now(), new.encrypted, key].to_vec();
    values.extend(trait_values(&new.traits));
    tx.insert_rows(&into, "", &[values])?;
    insert_attributes(tx, new)
}

fn insert_attributes(tx: &mut Tx, container: &Container) -> Result<(), StoreError> {
    let row = |(name, value): (String, String)| params![container.id, name, value];
    let rows: Vec<_> = flat(&container.traits.external_attributes).into_iter().map(row).collect();
    tx.insert_rows("container_attributes (container_id, name, value)", "", &rows)
}

/// Writes the traits of a container that is still as it was when it was read; else [`StoreError::Stale`].
pub fn update(tx: &mut Tx, before: &Container, traits: &Traits) -> Result<(), StoreError> {
    let set: Vec<String> = TRAITS.iter().enumerate().map(|(at, column)| format!("{column} = ${}", at + 4)).collect();
    let sql = format!(
        "UPDATE containers SET version = version + 1, unique_key = $3, {} WHERE id = $1 AND version = $2",
        set.join(", ")
    );
    let mut values = params![before.id, before.version, traits.unique_key()].to_vec();
    values.extend(trait_values(traits));
    if tx.execute(&sql, &values)? == 0 {
        return Err(StoreError::Stale);
    }
    if traits.external_attributes != before.traits.external_attributes {
        tx.execute("DELETE FROM container_attributes WHERE container_id = $1", &params![before.id])?;
        let after = Container { traits: traits.clone(), ..before.clone() };
        insert_attributes(tx, &after)?;
    }
    Ok(())
}

/// Deletes the rows of a container.
pub fn delete(tx: &mut Tx, id: ContainerId) -> Result<(), StoreError> {
    match tx.execute("DELETE FROM containers WHERE id = $1", &params![id])? {
        0 => Err(StoreError::not_found("container", id)),
        _ => Ok(()),
    }
}
