//! Who the caller is.

use axum::response::Response;

use crate::auth::Caller;
use crate::error::Error;
use crate::{reply, wire};

/// `GET /whoami`.
pub async fn whoami(caller: Caller) -> Result<Response, Error> {
    let role = match &caller {
        caller if caller.is_operator() => "operator",
        caller if caller.member().is_some() => "member",
        _ => "admin",
    };
    reply::ok(&match caller {
        Caller::Local => wire::Whoami {
            user_id: None,
            tenant_id: None,
            email: None,
            name: "local operator".to_owned(),
            role,
            repository_admin: false,
            allotment_id: None,
            token_id: None,
        },
        Caller::User(who) => wire::Whoami {
            user_id: Some(who.user),
            tenant_id: who.tenant,
            email: Some(who.email.to_string()),
            name: who.name.to_string(),
            role,
            repository_admin: who.repository_admin,
            allotment_id: who.allotment,
            token_id: who.token,
        },
    })
}
