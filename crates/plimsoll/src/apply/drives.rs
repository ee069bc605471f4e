//! Library drives and licences: nouns of the CloudSigma face, which has the hands.

use cloudsigma::apply::{self, LibraryDriveWanted};
use serde_json::{Value, json};
use site::{Action, Change};
use store::Error;

use super::values::{text, uuid};
use super::{Applier, by};

pub(super) async fn library_drive(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let (store, called) = (&applier.store, change.key.name.clone());
    if change.action == Action::Remove {
        return apply::remove_library_drive(store, by(), called).await;
    }
    let meta = if value["meta"].is_null() { json!({}) } else { value["meta"].clone() };
    let wanted = LibraryDriveWanted {
        id: uuid(value),
        name: called,
        media: text(value, "media"),
        size: value["size"].as_u64().unwrap_or_default(),
        image: value["image"].as_str().map(str::to_owned),
        meta,
    };
    apply::put_library_drive(store, by(), wanted).await
}

pub(super) async fn license(applier: &Applier, change: &Change, value: &Value) -> Result<(), Error> {
    let (store, called) = (&applier.store, change.key.name.clone());
    match change.action {
        Action::Remove => apply::remove_license(store, by(), called).await,
        _ => apply::put_license(store, by(), called, text(value, "long_name"), text(value, "user_metric")).await,
    }
}
