//! What clients ask an account for at their start: its balance, prices, and things that are not handed out here (spec,
//! sections 6.5 and 6.9).

use axum::extract::State;
use serde_json::{Value, json};

use crate::Face;
use crate::auth::Caller;
use crate::error::Error;
use crate::input::Params;
use crate::list;
use crate::reply::Bare;

/// `GET balance/`.
pub async fn balance(State(_): State<Face>, _: Caller) -> Bare<Value> {
    Bare(json!({ "balance": "0.00", "credit_limit": null, "currency": "USD" }))
}

/// `GET pricing/`: nothing has a price.
pub async fn pricing(State(_): State<Face>, _: Caller, params: Params) -> Result<Bare<Value>, Error> {
    let mut told = list::of_few(&params, Vec::new())?;
    told["current"] = json!({});
    told["next"] = json!({});
    Ok(Bare(told))
}

/// A list of what there is none of.
pub async fn nothing(State(_): State<Face>, _: Caller, params: Params) -> Result<Bare<Value>, Error> {
    list::of_few(&params, Vec::new()).map(Bare)
}

/// Making one of them.
pub async fn refuse(State(_): State<Face>, _: Caller) -> Error {
    Error::Denied("This is not offered here".to_owned())
}

/// What is not there, and to nobody: the websocket, sessions (spec, section 1.2).
pub async fn absent(State(_): State<Face>, _: Caller, params: Params) -> Error {
    Error::NotThere(params.action().to_owned())
}
