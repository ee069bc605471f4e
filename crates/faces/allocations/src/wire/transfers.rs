//! JSON of transfers.

use serde::Serialize;
use serde_json::Value;

use super::{At, File};
use crate::ids::{AssetId, RecordId, TransferId};
use crate::input::{Fields, Read, TEXT_MAX, blank, choice, integer, list, text, uuid};

/// How many files, and how many protocols, a transfer names.
const FILES_MAX: usize = 1000;
const PROTOCOLS_MAX: usize = 100;

/// A transfer, as it is answered when it is made.
#[derive(Serialize)]
pub struct TransferMade {
    pub transfer_id: TransferId,
    pub credentials: Value,
    pub endpoint: String,
    pub prefix: String,
    pub files: Vec<TransferFile>,
    pub expires_at: At,
}

/// Where a file of a transfer goes to or comes from.
#[derive(Serialize)]
pub struct TransferFile {
    pub filename: String,
    pub url: String,
}

/// A transfer.
#[derive(Serialize)]
pub struct Transfer {
    pub transfer_id: TransferId,
    pub content_id: RecordId,
    pub asset_id: Option<AssetId>,
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub origin: String,
    pub files: Value,
    pub supported_protocols: Value,
    pub bytes_transferred: u64,
    pub completed_files: Value,
    pub expires_at: At,
    pub created_at: At,
    pub updated_at: At,
}

/// `POST /api/transfers/`.
pub struct NewTransfer {
    pub record: RecordId,
    pub kind: &'static str,
    pub files: Vec<String>,
    pub expires_in_s: i64,
    pub protocols: Vec<String>,
    pub origin: &'static str,
}

/// How long a transfer can be open, in seconds.
const EXPIRES_IN_S_MIN: u64 = 60;
const EXPIRES_IN_S_MAX: u64 = 604_800;
const EXPIRES_IN_S: u64 = 86_400;

impl Read for NewTransfer {
    fn read(fields: &mut Fields) -> Option<Self> {
        let record = fields.need("content_id", uuid);
        let kind = fields.need("type", choice(&["upload", "download"]));
        let files = fields.may("files", list(FILES_MAX, filename)).unwrap_or_default();
        let expires_in = fields.may("expires_in", integer(EXPIRES_IN_S_MIN)).unwrap_or(EXPIRES_IN_S);
        if expires_in > EXPIRES_IN_S_MAX {
            fields.fault("expires_in", format!("Ensure this value is less than or equal to {EXPIRES_IN_S_MAX}."));
        }
        let protocols = fields.may("supported_protocols", list(PROTOCOLS_MAX, text(64))).unwrap_or_default();
        let origin = fields.may("origin", choice(&["user", "system"])).unwrap_or("user");
        let expires_in_s = i64::try_from(expires_in).unwrap_or_default();
        Some(NewTransfer { record: RecordId(record?), kind: kind?, files, expires_in_s, protocols, origin })
    }
}

/// A file's name, as a transfer gives it.
pub fn filename(value: &Value) -> Result<String, String> {
    let name = text(TEXT_MAX)(value)?;
    let is_plain = name.chars().all(|letter| !letter.is_control() && letter != '\\');
    let is_inside = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if is_plain && is_inside { Ok(name) } else { Err("Not a valid file name.".to_owned()) }
}

/// `PATCH /api/transfers/{id}/`.
pub struct TransferChange {
    pub bytes_transferred: Option<u64>,
    pub completed_files: Option<Vec<File>>,
}

impl Read for TransferChange {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(TransferChange {
            bytes_transferred: fields.may("bytes_transferred", integer(0)),
            completed_files: fields.may("completed_files", list(FILES_MAX, completed)),
        })
    }
}

fn completed(value: &Value) -> Result<File, String> {
    let checksum = match &value["checksum"] {
        Value::Null => String::new(),
        given => blank(TEXT_MAX)(given)?,
    };
    Ok(File { filename: filename(&value["filename"])?, size: integer(0)(&value["size"])?, checksum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_inside() {
        for good in ["a", "a/b.txt", "..a", "a b"] {
            assert!(filename(&good.into()).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/../b", "..", "a//b", "a\\b", "a\nb", "a/"] {
            assert!(filename(&bad.into()).is_err(), "{bad}");
        }
    }
}
