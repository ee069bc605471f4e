//! The caller's profile (spec, section 6.4).

use axum::extract::State;
use serde_json::{Map, Value, json};
use store::{Error as StoreError, Tx, UserId, params};

use crate::Face;
use crate::auth::Caller;
use crate::error::Error;
use crate::input::{self, Body};
use crate::naming::STRATEGIES;
use crate::reply::Bare;

/// What people write of themselves, and nothing here looks at.
const TEXTS: [&str; 10] = [
    "address",
    "bank_reference",
    "company",
    "country",
    "first_name",
    "last_name",
    "my_notes",
    "phone",
    "postcode",
    "town",
];

/// `GET profile/`.
pub async fn get(State(face): State<Face>, caller: Caller) -> Result<Bare<Value>, Error> {
    show(&face, &caller).await.map(Bare)
}

/// `PUT profile/`: names, meta and `clone_naming`; the rest is passed over.
pub async fn put(State(face): State<Face>, caller: Caller, body: Body) -> Result<Bare<Value>, Error> {
    let mut fields = body.object()?;
    let naming = fields.may("clone_naming", input::choice(STRATEGIES));
    let mut given = Map::new();
    for name in TEXTS {
        given.extend(fields.may(name, input::text).map(|text| (name.to_owned(), json!(text))));
    }
    given.extend(fields.may("meta", input::meta).map(|meta| ("meta".to_owned(), meta)));
    fields.end()?;
    let user = caller.user;
    let unit = caller.unit().rows(move |tx| {
        let (before, mut written) = row(tx, user)?;
        written.extend(given.clone());
        let sql = "INSERT INTO drive_profiles (user_id, clone_naming, fields) VALUES ($1, $2, $3) \
            ON CONFLICT (user_id) DO UPDATE SET clone_naming = excluded.clone_naming, fields = excluded.fields";
        let naming = naming.map_or(before, str::to_owned);
        tx.execute(sql, &params![user, naming, Value::Object(written).to_string()]).map(drop)
    });
    face.store.write(unit).await?;
    show(&face, &caller).await.map(Bare)
}

async fn show(face: &Face, caller: &Caller) -> Result<Value, Error> {
    let user = caller.user;
    let (naming, written) = face.store.read(move |tx| row(tx, user)).await?;
    let (first, last) = caller.name.split_once(' ').unwrap_or((&caller.name, ""));
    let text = |name: &str| written.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let own = |name: &str, known: &str| if written.contains_key(name) { text(name) } else { known.to_owned() };
    Ok(json!({
        "address": text("address"),
        "api_https_only": false,
        "bank_reference": text("bank_reference"),
        "clone_naming": naming,
        "company": text("company"),
        "country": text("country"),
        "currency": "USD",
        "email": &*caller.email,
        "first_name": own("first_name", first),
        "key_auth": false,
        "language": "en-au",
        "last_name": own("last_name", last),
        "meta": written.get("meta").cloned().unwrap_or_else(|| json!({})),
        "my_notes": text("my_notes"),
        "nickname": "",
        "phone": text("phone"),
        "postcode": text("postcode"),
        "reseller": "",
        "state": "REGULAR",
        "title": "",
        "town": text("town"),
        "uuid": user,
        "vat": "",
    }))
}

fn row(tx: &mut Tx, user: UserId) -> Result<(String, Map<String, Value>), StoreError> {
    let sql = "SELECT clone_naming, fields FROM drive_profiles WHERE user_id = $1";
    let Some(row) = tx.query_opt(sql, &params![user])? else { return Ok((STRATEGIES[0].to_owned(), Map::new())) };
    let fields = serde_json::from_str(&row.get::<String>(1)?);
    Ok((row.get(0)?, fields.unwrap_or_default()))
}

/// How clones of this user are named.
pub fn clone_naming(tx: &mut Tx, user: UserId) -> Result<String, StoreError> {
    row(tx, user).map(|(naming, _)| naming)
}
