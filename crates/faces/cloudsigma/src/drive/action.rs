//! `POST drives/{id}/action/?do=…`: which action is which.

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::auth::Caller;
use crate::drive::{clone, edit};
use crate::error::Error;
use crate::ids::DriveId;
use crate::input::{At, Body, Params, no_such_action};
use crate::{Face, upload};

/// `POST drives/{id}/action/`.
pub async fn act(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<DriveId>,
    params: Params,
    body: Body,
) -> Result<Response, Error> {
    match params.action() {
        "resize" => edit::resize(&face, &caller, id, body).await.map(IntoResponse::into_response),
        "clone" => clone::clone(&face, &caller, id, &params, body).await.map(IntoResponse::into_response),
        "upload_chunk" => upload::link(&face, &caller, id, body).await.map(IntoResponse::into_response),
        other => Err(no_such_action(other)),
    }
}

/// `POST libdrives/{id}/action/`: drives of the library can only be cloned.
pub async fn act_on_library(
    State(face): State<Face>,
    caller: Caller,
    At(id): At<DriveId>,
    params: Params,
    body: Body,
) -> Result<Response, Error> {
    match params.action() {
        "clone" => clone::clone(&face, &caller, id, &params, body).await.map(IntoResponse::into_response),
        other => Err(no_such_action(other)),
    }
}
