//! Users: people. Operators and admins make and change them; everybody reads themselves, and changes their name and
//! password.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use identity::{NewUser, PAGE_MAX, Secret, User, UserPatch};
use store::{TenantId, UserId};

use crate::allotments::new_limits;
use crate::auth::Caller;
use crate::error::{Error, Fault};
use crate::input::{At, Params, Posted};
use crate::reply::{self, Page};
use crate::{Api, tenants, wire};

/// The longest password, in bytes: more is work for argon2 and no more secret.
const PASSWORD_BYTES_MAX: usize = 1024;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// `POST /users`.
pub async fn create(State(api): State<Api>, caller: Caller, posted: Posted) -> Result<Response, Error> {
    let asked: wire::NewUser = posted.json()?;
    if caller.member().is_some() {
        return Err(Error::Forbidden("people are an admin's to make"));
    }
    let tenant = tenant_of(&api, &caller, &asked).await?;
    let new = plan(&api, asked, tenant)?;
    let aside = api.set_aside(&caller, posted.key).await?;
    let known = if aside.is_old { api.identity.user(UserId(aside.id)).await? } else { None };
    let user = match known {
        Some(known) => known,
        None => api.identity.create_user(caller.actor(), NewUser { id: Some(aside.id), ..new }).await?,
    };
    reply::json(StatusCode::CREATED, &wire::User::new(&user))
}

/// Whose customer the new user is. Only an operator makes operators, and says so.
async fn tenant_of(api: &Api, caller: &Caller, asked: &wire::NewUser) -> Result<Option<TenantId>, Error> {
    match &asked.tenant_id {
        Some(Some(text)) => match api.tenant(caller, text).await {
            Err(Error::NotFound(_)) if caller.is_operator() => {
                Err(Error::invalid("/tenant_id", "there is no such tenant"))
            }
            found => Ok(Some(found?.id)),
        },
        Some(None) if caller.is_operator() => Ok(None),
        Some(None) => Err(Error::Forbidden("operators are an operator's to make")),
        None if caller.is_operator() => {
            Err(Error::invalid("/tenant_id", "must be a tenant's id, or null to make an operator"))
        }
        None => Ok(caller.tenant_scope()),
    }
}

fn plan(api: &Api, asked: wire::NewUser, tenant: Option<TenantId>) -> Result<NewUser, Error> {
    let mut faults = Vec::new();
    let limits = new_limits(api.store.catalog(), &asked.limits, &mut faults);
    if tenant.is_none() && !limits.is_empty() {
        let detail = "an operator has no allotment to limit".to_owned();
        faults.push(Fault { pointer: "/limits".to_owned(), detail });
    }
    // Identity knows the form; the database, what no text may hold.
    if asked.email.contains(char::is_control) {
        faults.push(Fault { pointer: "/email".to_owned(), detail: "must be an e-mail address".to_owned() });
    }
    let name = name(asked.name.unwrap_or_default(), &mut faults);
    let password = asked.password.map(|password| secret(password, &mut faults));
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let (email, admin, repository_admin) = (asked.email, asked.admin, asked.repository_admin);
    Ok(NewUser { id: None, tenant, email, name, password, admin, repository_admin, limits })
}

fn name(text: String, faults: &mut Vec<Fault>) -> String {
    if text.len() > NAME_BYTES_MAX || text.contains('\0') {
        let detail = format!("must be at most {NAME_BYTES_MAX} bytes, none of them 0");
        faults.push(Fault { pointer: "/name".to_owned(), detail });
    }
    text
}

fn secret(text: String, faults: &mut Vec<Fault>) -> Secret {
    if !(1..=PASSWORD_BYTES_MAX).contains(&text.len()) {
        let detail = format!("must be 1 to {PASSWORD_BYTES_MAX} bytes");
        faults.push(Fault { pointer: "/password".to_owned(), detail });
    }
    Secret::from(text)
}

/// The user, if the caller may see them.
async fn find(api: &Api, caller: &Caller, id: UserId) -> Result<User, Error> {
    let found = api.identity.user(id).await?;
    found.filter(|user| caller.runs(user.tenant) || caller.is(user.id)).ok_or(Error::NotFound("user"))
}

/// `GET /users`.
pub async fn list(State(api): State<Api>, caller: Caller, params: Params) -> Result<Response, Error> {
    let limit = params.limit()?;
    let after: Option<UserId> = params.parse("after", "a user's id")?;
    let found = match caller.member() {
        Some(own) => {
            let own = api.identity.user(own.user).await?;
            own.into_iter().filter(|own| after.is_none_or(|after| own.id > after)).collect()
        }
        None => {
            let tenant = tenants::of_list(&api, &caller, &params).await?;
            page(&api, tenant, after, limit).await?
        }
    };
    reply::ok(&Page::of(found, limit, |user: &User| user.id.to_string(), wire::User::new))
}

/// A page, and one more user if there is one: identity's lists are no longer than pages.
async fn page(api: &Api, tenant: Option<TenantId>, after: Option<UserId>, limit: usize) -> Result<Vec<User>, Error> {
    let mut found = api.identity.users(tenant, after, (limit + 1).min(PAGE_MAX)).await?;
    if found.len() == limit && limit == PAGE_MAX {
        let last = found.last().map(|user| user.id);
        found.extend(api.identity.users(tenant, last, 1).await?);
    }
    Ok(found)
}

/// `GET /users/{id}`.
pub async fn show(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    reply::ok(&wire::User::new(&find(&api, &caller, at.id("user")?).await?))
}

/// `PATCH /users/{id}`.
pub async fn change(State(api): State<Api>, caller: Caller, at: At, posted: Posted) -> Result<Response, Error> {
    let user = find(&api, &caller, at.id("user")?).await?;
    let asked: wire::UserPatch = posted.json()?;
    let takes_rank = asked.admin.is_some() || asked.repository_admin.is_some() || asked.disabled.is_some();
    if takes_rank && !caller.runs(user.tenant) {
        return Err(Error::Forbidden("your own rights are an admin's to change"));
    }
    let mut faults = Vec::new();
    let patch = UserPatch {
        name: asked.name.map(|text| name(text, &mut faults)),
        password: asked.password.map(|password| password.map(|text| secret(text, &mut faults))),
        admin: asked.admin,
        repository_admin: asked.repository_admin,
        disabled: asked.disabled,
    };
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let user = api.identity.change_user(caller.actor(), user.id, patch).await?;
    reply::ok(&wire::User::new(&user))
}

/// `DELETE /users/{id}`.
pub async fn remove(State(api): State<Api>, caller: Caller, at: At) -> Result<Response, Error> {
    let user = find(&api, &caller, at.id("user")?).await?;
    if !caller.runs(user.tenant) {
        return Err(Error::Forbidden("people are an admin's to remove"));
    }
    api.identity.remove_user(caller.actor(), user.id).await?;
    Ok(reply::nothing())
}
