//! What a body says of a drive: the fields that a user may write (spec, section 2).

use serde_json::{Value, json};
use store::{Error as StoreError, Tx, UserId};

use crate::error::{Error, Fault};
use crate::ids::TagId;
use crate::input::{self, Fields};
use crate::{license, tag};

/// The most tags, affinities or licences of a drive.
const ITEMS_MAX: usize = 1000;

/// The fields of a drive that a body has. What it does not say is none.
#[derive(Clone, Default, Debug)]
pub struct Definition {
    pub name: Option<String>,
    pub media: Option<&'static str>,
    pub size: Option<u64>,
    pub storage_type: Option<String>,
    pub allow_multimount: Option<bool>,
    pub affinities: Option<Value>,
    pub meta: Option<Value>,
    pub tags: Option<Vec<TagId>>,
    pub licenses: Option<Value>,
}

impl Definition {
    /// Reads it; `is_whole`: name, media and size must be there (spec, sections 3.1 and 3.2).
    pub fn read(fields: &mut Fields, is_whole: bool) -> Definition {
        let media = || input::choice(&["disk", "cdrom"]);
        let (name, media, size) = match is_whole {
            true => {
                (fields.need("name", input::name), fields.need("media", media()), fields.need("size", input::integer))
            }
            false => {
                (fields.may("name", input::name), fields.may("media", media()), fields.may("size", input::integer))
            }
        };
        let affinities = fields.may("affinities", input::list(ITEMS_MAX, input::choice(&["ssd"])));
        let tags = fields.may("tags", input::list(ITEMS_MAX, input::reference));
        Definition {
            name,
            media,
            size,
            storage_type: fields.may("storage_type", input::text),
            allow_multimount: fields.may("allow_multimount", input::boolean),
            affinities: affinities.map(|words| json!(words)),
            meta: fields.may("meta", input::meta),
            tags: tags.map(|tags| tags.into_iter().map(TagId).collect()),
            licenses: fields.may("licenses", license::read),
        }
    }

    /// That the tags are this user's own, and the licences the site's.
    pub fn check(&self, tx: &mut Tx, user: UserId, faults: &mut Vec<Fault>) -> Result<(), Error> {
        if let Some(tags) = &self.tags {
            tag::check_own(tx, user, tags)?;
        }
        if let Some(licenses) = &self.licenses {
            let known = license::by_name(tx)?;
            faults.extend(
                license::unknown(licenses, &known)
                    .map(|name| Fault::at("licenses", format!("There is no license {name}"))),
            );
        }
        Ok(())
    }
}

/// That a list of faults is empty.
pub fn none(faults: Vec<Fault>) -> Result<(), Error> {
    if faults.is_empty() { Ok(()) } else { Err(Error::Faults(faults)) }
}

/// Whether the store's closure lost a race: what it looked for is not as it was.
pub fn unchanged(touched: u64) -> Result<(), StoreError> {
    if touched == 0 { Err(Error::Lost.noun()) } else { Ok(()) }
}
