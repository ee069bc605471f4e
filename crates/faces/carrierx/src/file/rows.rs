//! The rows of files. One whose time is over is not there, whether the sweep has been here or not.

use content::{BlobId, BlobInfo};
use store::{Error as StoreError, Micros, Row, Tx, Unit, Value, params};

use super::traits::{Defaults, KINDS, Traits};
use crate::class::CLASSES;
use crate::container::{LIFECYCLE_ACTIONS, PUBLISH, word, words};
use crate::filter::{Column, Columns, Kind};
use crate::ids::{ContainerId, FileId, PartnerId};
use crate::keys::Keys;
use crate::select::Select;

/// A file as it was read.
#[derive(Clone, Debug)]
pub struct File {
    pub id: FileId,
    pub container: ContainerId,
    pub partner: PartnerId,
    pub blob: BlobId,
    pub size: u64,
    /// Grows with each change.
    pub version: i64,
    pub modified_at: Micros,
    pub accessed_at: Option<Micros>,
    pub class: String,
    pub format: Option<String>,
    pub traits: Traits,
    /// Whether its container lets files be published.
    pub allow_publish: bool,
}

impl File {
    /// When it ends by itself.
    pub fn expires_at(&self) -> Option<Micros> {
        let ends = self.traits.lifecycle_action == "delete" && self.traits.lifecycle_ttl >= 0;
        ends.then(|| self.modified_at.saturating_add(self.traits.lifecycle_ttl.saturating_mul(1_000_000)))
    }
}

/// A container, as far as its files need to know.
#[derive(Clone, Debug)]
pub struct Place {
    pub id: ContainerId,
    pub allow_publish: bool,
    pub allowed: Vec<&'static str>,
    pub blocked: Vec<&'static str>,
    pub defaults: Defaults,
}

/// The container of this partner as a place for files.
pub fn place(tx: &mut Tx, partner: PartnerId, id: ContainerId) -> Result<Option<Place>, StoreError> {
    let sql = "SELECT allow_publish, allowed_classifications, blocked_classifications, default_file_lifecycle_action, \
        default_file_lifecycle_ttl, default_file_publish, default_file_threshold_include, default_file_unique \
        FROM containers WHERE id = $1 AND partner_id = $2";
    let Some(row) = tx.query_opt(sql, &params![id, partner])? else { return Ok(None) };
    Ok(Some(Place {
        id,
        allow_publish: row.get(0)?,
        allowed: words(&row.get::<String>(1)?, CLASSES),
        blocked: words(&row.get::<String>(2)?, CLASSES),
        defaults: Defaults {
            lifecycle_action: word(&row.get::<String>(3)?, LIFECYCLE_ACTIONS),
            lifecycle_ttl: row.get(4)?,
            publish: word(&row.get::<String>(5)?, PUBLISH),
            threshold_include: row.get(6)?,
            unique: row.get(7)?,
        },
    }))
}

const INTO: &str = "files (id, container_id, partner_id, blob_id, size_bytes, version, created_at, date_modified, \
    date_last_accessed, expires_at, content_classification, content_format, desired_bitrate, desired_format, \
    access_name, integer_key_1, integer_key_2, string_key_1, string_key_2, string_key_3, string_key_4, \
    lifecycle_action, lifecycle_ttl, mime_type, name, parent_id, publish, threshold_include, kind, is_unique, \
    unique_key)";

/// What a change of a file writes: the columns of [`changed_values`], in their order.
const CHANGED: [&str; 24] = [
    "container_id",
    "date_modified",
    "expires_at",
    "content_classification",
    "content_format",
    "desired_bitrate",
    "desired_format",
    "access_name",
    "integer_key_1",
    "integer_key_2",
    "string_key_1",
    "string_key_2",
    "string_key_3",
    "string_key_4",
    "lifecycle_action",
    "lifecycle_ttl",
    "mime_type",
    "name",
    "parent_id",
    "publish",
    "threshold_include",
    "kind",
    "is_unique",
    "unique_key",
];

fn changed_values(file: &File) -> Vec<Value> {
    let traits = &file.traits;
    let mut values = params![file.container, file.modified_at].to_vec();
    values.extend(noun_values(file));
    values.extend(params![traits.unique, traits.unique_key()]);
    values
}

/// From `expires_at` to `kind`, in the order of both lists.
fn noun_values(file: &File) -> Vec<Value> {
    let traits = &file.traits;
    let mut values = params![
        file.expires_at(),
        &file.class,
        file.format.as_ref(),
        traits.desired_bitrate,
        traits.desired_format.as_ref(),
        traits.access_name.as_ref(),
    ]
    .to_vec();
    values.extend(traits.keys.values());
    values.extend(params![
        traits.lifecycle_action,
        traits.lifecycle_ttl,
        traits.mime_type.as_ref(),
        traits.name.as_ref(),
        traits.parent,
        traits.publish,
        traits.threshold_include,
        traits.kind,
    ]);
    values
}

/// The row of a new file, as data: many uploads go in by one statement.
pub fn insert<T>(unit: Unit<T>, file: &File) -> Unit<T> {
    let mut values = params![
        file.id,
        file.container,
        file.partner,
        file.blob,
        file.size,
        file.version,
        file.modified_at,
        file.modified_at,
        file.accessed_at,
    ]
    .to_vec();
    values.extend(noun_values(file));
    values.extend(params![file.traits.unique, file.traits.unique_key()]);
    unit.insert(INTO, values)
}

/// Writes a file that is still as it was when version `before` was read; else [`StoreError::Stale`].
pub fn update(tx: &mut Tx, before: i64, file: &File) -> Result<(), StoreError> {
    let set: Vec<String> = CHANGED.iter().enumerate().map(|(at, column)| format!("{column} = ${}", at + 3)).collect();
    let sql = format!("UPDATE files SET version = version + 1, {} WHERE id = $1 AND version = $2", set.join(", "));
    let mut values = params![file.id, before].to_vec();
    values.extend(changed_values(file));
    if tx.execute(&sql, &values)? == 0 { Err(StoreError::Stale) } else { Ok(()) }
}

/// From which tables a file is read.
pub const FROM: &str = "files JOIN containers ON containers.id = files.container_id";

/// The columns that [`from_row`] reads.
pub const READ: &str = "files.id, files.container_id, files.partner_id, files.blob_id, files.size_bytes, \
    files.version, files.date_modified, files.date_last_accessed, files.content_classification, \
    files.content_format, files.desired_bitrate, files.desired_format, files.access_name, files.integer_key_1, \
    files.integer_key_2, files.string_key_1, files.string_key_2, files.string_key_3, files.string_key_4, \
    files.lifecycle_action, files.lifecycle_ttl, files.mime_type, files.name, files.parent_id, files.publish, \
    files.threshold_include, files.kind, files.is_unique, containers.allow_publish";

/// A file from the columns of [`READ`].
pub fn from_row(row: &Row) -> Result<File, StoreError> {
    Ok(File {
        id: row.get(0)?,
        container: row.get(1)?,
        partner: row.get(2)?,
        blob: row.get(3)?,
        size: row.get(4)?,
        version: row.get(5)?,
        modified_at: row.get(6)?,
        accessed_at: row.get(7)?,
        class: row.get(8)?,
        format: row.get(9)?,
        traits: Traits {
            desired_bitrate: row.get(10)?,
            desired_format: row.get(11)?,
            access_name: row.get(12)?,
            keys: Keys::from_row(row, 13)?,
            lifecycle_action: word(&row.get::<String>(19)?, LIFECYCLE_ACTIONS),
            lifecycle_ttl: row.get(20)?,
            mime_type: row.get(21)?,
            name: row.get(22)?,
            parent: row.get(23)?,
            publish: word(&row.get::<String>(24)?, PUBLISH),
            threshold_include: row.get(25)?,
            kind: word(&row.get::<String>(26)?, KINDS),
            unique: row.get(27)?,
        },
        allow_publish: row.get(28)?,
    })
}

/// What files are filtered and ordered by.
pub const COLUMNS: Columns = Columns {
    named: &[
        text("container_sid", "files.container_id"),
        text("content_classification", "files.content_classification"),
        text("content_format", "files.content_format"),
        time("date_last_accessed", "files.date_last_accessed"),
        time("date_modified", "files.date_modified"),
        integer("desired_bitrate", "files.desired_bitrate"),
        text("desired_format", "files.desired_format"),
        text("file_access_name", "files.access_name"),
        integer("file_bytes", "files.size_bytes"),
        text("file_sid", "files.id"),
        integer("integer_key_1", "files.integer_key_1"),
        integer("integer_key_2", "files.integer_key_2"),
        text("lifecycle_action", "files.lifecycle_action"),
        integer("lifecycle_ttl", "files.lifecycle_ttl"),
        text("mime_type", "files.mime_type"),
        text("name", "files.name"),
        text("parent_file_sid", "files.parent_id"),
        text("partner_sid", "files.partner_id"),
        text("publish", "files.publish"),
        text("string_key_1", "files.string_key_1"),
        text("string_key_2", "files.string_key_2"),
        text("string_key_3", "files.string_key_3"),
        text("string_key_4", "files.string_key_4"),
        Column { name: "threshold_include", sql: "files.threshold_include", kind: Kind::Flag },
        text("type", "files.kind"),
        Column { name: "unique", sql: "files.is_unique", kind: Kind::Flag },
    ],
    nested: None,
    made: ["files.created_at", "files.id"],
};

const fn text(name: &'static str, sql: &'static str) -> Column {
    Column { name, sql, kind: Kind::Text }
}

const fn integer(name: &'static str, sql: &'static str) -> Column {
    Column { name, sql, kind: Kind::Integer }
}

const fn time(name: &'static str, sql: &'static str) -> Column {
    Column { name, sql, kind: Kind::Time }
}

/// Narrows a list to files whose time is not over.
pub fn narrow(select: &mut Select, now: Micros) {
    let now = select.bind(now);
    select.and(format!("(files.expires_at IS NULL OR files.expires_at > {now})"));
}

/// The file that fits, if its time is not over.
pub fn find(tx: &mut Tx, mut select: Select) -> Result<Option<File>, StoreError> {
    narrow(&mut select, tx.now());
    let sql = format!("SELECT {READ} FROM {FROM} WHERE {}", select.conditions());
    tx.query_opt(&sql, select.values())?.as_ref().map(from_row).transpose()
}

/// What would stand in the way of a file in its container: another with the same keys, or with the same access name.
/// Says which and when that one ends.
pub fn in_the_way(tx: &mut Tx, file: &File) -> Result<Option<InTheWay>, StoreError> {
    let key = file.traits.unique_key();
    let sql = "SELECT id, expires_at FROM files WHERE container_id = $1 AND unique_key = $2 AND id <> $3";
    let same = tx.query_opt(sql, &params![file.container, key.as_ref(), file.id])?;
    let (row, is_keys) = match same {
        Some(row) => (Some(row), true),
        None => {
            let sql = "SELECT id, expires_at FROM files WHERE container_id = $1 AND access_name = $2 AND id <> $3";
            let values = params![file.container, file.traits.access_name.as_ref(), file.id];
            (tx.query_opt(sql, &values)?, false)
        }
    };
    let Some(row) = row else { return Ok(None) };
    let is_over = row.get::<Option<Micros>>(1)?.is_some_and(|end| end <= tx.now());
    Ok(Some(InTheWay { id: row.get(0)?, is_keys, is_over }))
}

/// See [`in_the_way`].
pub struct InTheWay {
    pub id: FileId,
    /// Whether it is the keys that are the same, or the access name.
    pub is_keys: bool,
    /// Whether its time is over, and only the sweep has not been here.
    pub is_over: bool,
}

/// Whether the file is in that container, and its time is not over.
pub fn is_in(tx: &mut Tx, id: FileId, container: ContainerId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM files WHERE id = $1 AND container_id = $2 AND (expires_at IS NULL OR expires_at > $3)";
    Ok(tx.query_opt(sql, &params![id, container, tx.now()])?.is_some())
}

/// A file that is about to go.
#[derive(Clone, Debug)]
pub struct Going {
    pub id: FileId,
    pub blob: BlobInfo,
}

/// A file with what it leaves to be freed; none where it is gone.
pub fn going(tx: &mut Tx, id: FileId, blob: BlobId) -> Result<Option<Going>, StoreError> {
    Ok(content::info(tx, blob)?.map(|blob| Going { id, blob }))
}

/// Gives back what they take, in the commit that deletes their rows.
pub fn doom_all(unit: Unit, going: Vec<Going>) -> Unit {
    let unit = going.iter().fold(unit, |unit, going| content::doom(unit, &going.blob));
    unit.rows(move |tx| {
        going.iter().try_for_each(|going| match tx.execute("DELETE FROM files WHERE id = $1", &params![going.id])? {
            0 => Err(StoreError::not_found("file", going.id)),
            _ => Ok(()),
        })
    })
}

/// Notes that a file was downloaded.
pub fn accessed(tx: &mut Tx, id: FileId) -> Result<(), StoreError> {
    tx.execute("UPDATE files SET date_last_accessed = $2 WHERE id = $1", &params![id, tx.now()]).map(drop)
}
