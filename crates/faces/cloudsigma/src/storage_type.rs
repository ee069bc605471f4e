//! Storage types: where drives are made, how large they may be, and on which of several places (spec, sections 2.1, 2.2 and
//! 3.6).
//!
//! **Always.** How much there is of a type is the limit of its allotment on the supply side, and stands nowhere else.

use ledger::AllotmentId;
use serde_json::Value;
use store::{Error as StoreError, Row, SupplyRef, Tx, params};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::Error;
use crate::ids::DriveId;
use crate::input::{self, OBJECTS_MAX, Params};

/// Sizes are rounded up to a multiple of this (spec, section 2.1).
const STEP_BYTES: u64 = 16 * 1024;
/// The smallest drive, where the site says nothing.
const SIZE_MIN: u64 = 512 << 20;
/// The same on a type that starts higher with the vendor.
const ZADARA_SIZE_MIN: u64 = 1 << 30;
/// The largest drive, where the site says nothing.
const SIZE_MAX: u64 = 128 << 40;
/// The words that the API knows, offered here or not.
const KNOWN: [&str; 6] = ["dssd", "nvme", "zadara", "magnetic", "ssd", "solidfire"];
/// The most types of a site that are looked at.
const TYPES_MAX: usize = 1000;

/// A storage type of the site.
#[derive(Clone, Debug)]
pub struct StorageType {
    /// The word in the API.
    pub name: String,
    /// What it may hold.
    pub allotment: AllotmentId,
    /// Whether drives are made here when nothing else is said.
    pub is_default: bool,
    /// The smallest drive.
    pub size_min: u64,
    /// The largest drive.
    pub size_max: u64,
    /// Its separate places.
    pub places: Places,
}

/// The places of a storage type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Places {
    /// So many folders of the data folder.
    Folders(u64),
    /// Folders of the operator's own.
    Paths(Vec<String>),
}

impl Places {
    /// As the site's objects and the database have them.
    pub fn from_json(value: &Value) -> Places {
        let paths = value["paths"].as_array().map(|paths| paths.iter().filter_map(Value::as_str));
        match paths {
            Some(paths) => Places::Paths(paths.map(str::to_owned).collect()),
            None => Places::Folders(value["folders"].as_u64().unwrap_or(1).max(1)),
        }
    }

    fn count(&self) -> u64 {
        match self {
            Places::Folders(count) => *count,
            Places::Paths(paths) => paths.len().max(1) as u64,
        }
    }
}

impl StorageType {
    /// Where a claim on it lies.
    pub fn supply(&self) -> SupplyRef {
        SupplyRef::At(self.allotment.into())
    }

    /// The size that is stored for one that was asked for, or why there is none.
    pub fn size(&self, asked: u64) -> Result<u64, String> {
        let size = asked.checked_next_multiple_of(STEP_BYTES).filter(|size| *size <= ledger::AMOUNT_MAX);
        let (min, max) = (self.size_min, self.size_max);
        let outside = || format!("The size of a {} drive is {min} to {max} bytes", self.name);
        size.filter(|size| (min..=max).contains(size)).ok_or_else(outside)
    }

    /// The same of an uploaded image, which is filled up to the smallest drive.
    pub fn padded(&self, bytes: u64) -> Result<u64, String> {
        self.size(bytes.max(self.size_min))
    }

    /// Which place a new drive goes to: one that has none of those to avoid, the first of them first (spec, section 3.1).
    pub fn place(&self, seed: Uuid, avoided: &[(String, u64)]) -> u64 {
        let all: Vec<u64> = (0..self.places.count()).collect();
        let mut free = all.clone();
        for (_, place) in avoided.iter().filter(|(name, _)| *name == self.name) {
            let fewer: Vec<u64> = free.iter().copied().filter(|free| free != place).collect();
            if !fewer.is_empty() {
                free = fewer;
            }
        }
        // The last bytes of an id are random.
        let turn = seed.as_u128() as u64;
        free.get((turn % free.len().max(1) as u64) as usize).copied().unwrap_or(0)
    }
}

const COLUMNS: &str = "name, allotment_id, is_default, size_min, size_max, places";

fn from_row(row: &Row) -> Result<StorageType, StoreError> {
    let places: Value = serde_json::from_str(&row.get::<String>(5)?).unwrap_or(Value::Null);
    Ok(StorageType {
        name: row.get(0)?,
        allotment: row.get(1)?,
        is_default: row.get(2)?,
        size_min: row.get(3)?,
        size_max: row.get(4)?,
        places: Places::from_json(&places),
    })
}

/// Those that the site offers, the default one first.
pub fn all(tx: &mut Tx) -> Result<Vec<StorageType>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM storage_types ORDER BY is_default DESC, name LIMIT {TYPES_MAX}");
    tx.query(&sql, &[])?.iter().map(from_row).collect()
}

/// The one that is meant, or the site's default.
pub fn choose<'t>(all: &'t [StorageType], asked: Option<&str>) -> Result<&'t StorageType, Error> {
    match asked {
        None => all.first().ok_or_else(|| Error::NoRoom("dssd".to_owned())),
        Some(name) => match all.iter().find(|kind| kind.name == name) {
            Some(kind) => Ok(kind),
            None if KNOWN.contains(&name) => Err(Error::NoRoom(name.to_owned())),
            None => Err(Error::field("storage_type", format!("\"{name}\" is no storage type"))),
        },
    }
}

/// Where the drives lie that a new one is to keep away from: drives of the query's `avoid`, and those on its servers. What is
/// not the caller's, or not there, is passed over.
pub fn avoided(tx: &mut Tx, caller: &Caller, ids: &[Uuid]) -> Result<Vec<(String, u64)>, StoreError> {
    let mut places = Vec::new();
    let sql = "SELECT storage_type, place FROM drives WHERE owner_id = $1 AND (id = $2 OR id IN \
        (SELECT m.drive_id FROM drive_mounts m JOIN drive_servers s ON s.id = m.server_id \
         WHERE s.id = $2 AND s.owner_id = $1)) ORDER BY id LIMIT 1000";
    for id in ids {
        for row in tx.query(sql, &params![caller.user, *id])? {
            places.push((row.get(0)?, row.get(1)?));
        }
    }
    Ok(places)
}

/// The ids of the query's `avoid`.
pub fn avoid_of(params: &Params) -> Vec<Uuid> {
    let words = params.all("avoid").flat_map(|text| text.split(','));
    words.filter_map(|word| input::id(word.trim())).take(OBJECTS_MAX).collect()
}

/// Groups of the caller's drives that lie at the same place; with `of`, the one of that drive only.
pub fn groups(tx: &mut Tx, caller: &Caller, of: Option<DriveId>) -> Result<Vec<Vec<String>>, Error> {
    let sql =
        "SELECT storage_type, place, id FROM drives WHERE owner_id = $1 ORDER BY storage_type, place, id LIMIT 100000";
    let (mut groups, mut last) = (Vec::<Vec<String>>::new(), None);
    for row in tx.query(sql, &params![caller.user])? {
        let place: (String, u64) = (row.get(0)?, row.get(1)?);
        if last.as_ref() != Some(&place) {
            groups.push(Vec::new());
            last = Some(place);
        }
        if let Some(group) = groups.last_mut() {
            group.push(row.get(2)?);
        }
    }
    if let Some(of) = of {
        let id = of.to_string();
        groups.retain(|group| group.contains(&id));
        if groups.is_empty() {
            return Err(Error::not_there(of));
        }
    }
    Ok(groups)
}

/// The row of a storage type, as the site file has it; in a unit's own rows.
pub fn put(tx: &mut Tx, kind: &StorageType, places: &Value) -> Result<(), StoreError> {
    if kind.is_default {
        tx.execute("UPDATE storage_types SET is_default = FALSE WHERE name <> $1", &params![&kind.name])?;
    }
    let sql = "INSERT INTO storage_types (name, allotment_id, is_default, size_min, size_max, places) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO UPDATE SET allotment_id = excluded.allotment_id, \
        is_default = excluded.is_default, size_min = excluded.size_min, size_max = excluded.size_max, \
        places = excluded.places";
    let values = params![&kind.name, kind.allotment, kind.is_default, kind.size_min, kind.size_max, places.to_string()];
    tx.execute(sql, &values).map(drop)
}

/// Takes it away again.
pub fn delete(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM storage_types WHERE name = $1", &params![name]).map(drop)
}

/// The bounds of a type that the site file does not name.
pub fn bounds(name: &str, min: Option<u64>, max: Option<u64>) -> (u64, u64) {
    let least = if name == "zadara" { ZADARA_SIZE_MIN } else { SIZE_MIN };
    (min.unwrap_or(least), max.unwrap_or(SIZE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(count: u64) -> StorageType {
        StorageType {
            name: "dssd".to_owned(),
            allotment: AllotmentId(Uuid::nil()),
            is_default: true,
            size_min: SIZE_MIN,
            size_max: 1 << 40,
            places: Places::Folders(count),
        }
    }

    /// Checklist 21 and 22, as far as arithmetic goes.
    #[test]
    fn sizes_are_rounded_up_to_16_kib_and_bounded() {
        for (asked, stored) in
            [(1_207_959_631, 1_207_975_936), (536_870_913, 536_887_296), (1_024_000_000, 1_024_000_000)]
        {
            assert_eq!(kind(1).size(asked), Ok(stored));
        }
        for wrong in [0, SIZE_MIN - STEP_BYTES, (1 << 40) + 1, u64::MAX] {
            assert!(kind(1).size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_to_avoid_is_avoided_while_there_is_another() {
        let there = |place| ("dssd".to_owned(), place);
        for seed in 0..8 {
            let seed = Uuid::from_u128(seed);
            assert_eq!(kind(2).place(seed, &[there(0)]), 1);
            assert_eq!(kind(2).place(seed, &[there(1), there(0)]), 0, "the first counts");
            assert_eq!(kind(1).place(seed, &[there(0)]), 0);
            assert_ne!(kind(3).place(seed, &[("zadara".to_owned(), 1), there(2)]), 2);
        }
    }
}
