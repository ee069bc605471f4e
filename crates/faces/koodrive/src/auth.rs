//! Who is calling: a token, or an app that signs for one of its tenant's users.
//!
//! **Always.** Whatever is wrong with a call's credentials, the answer is the same 401. The operator's log says what it was,
//! and for a signature the request as the server saw it, without secrets. What is compared with a secret is compared in
//! constant time, and an app that is not there costs what a wrong signature does.

mod canonical;

use http::header::AUTHORIZATION;
use http::request::Parts;
use identity::{Face as Dialect, HmacKey};
use store::{Micros, TenantId, Unit, UserId};

use crate::error::Error;
use crate::person::{self, App, Person};
use crate::{Face, session};
use canonical::{ALGORITHM, Canonical, single};

const DATE: &str = "x-date";
const USER: &str = "x-user-id";
/// How old a signature may be, in microseconds.
const AGE_MAX_US: Micros = 15 * 60 * 1_000_000;
/// How far a caller's clock may run ahead.
const DRIFT_MAX_US: Micros = 60 * 1_000_000;
/// The longest id of an app or a user that is looked up, in bytes.
pub const ID_MAX: usize = 128;
/// The most headers that a signature covers.
const SIGNED_MAX: usize = 64;

/// Which of the documentation's two forms the caller expects (spec, section 7).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Form {
    /// As its tables say.
    #[default]
    Table,
    /// As its example is printed.
    Example,
}

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Their id in this API.
    pub id: String,
    /// Who that is.
    pub user: UserId,
    /// Their tenant.
    pub tenant: TenantId,
    /// Whether they may change spaces.
    pub admin: bool,
    /// Which form they expect.
    pub form: Form,
}

impl Caller {
    fn new(person: Person, form: Form) -> Caller {
        let Person { id, user, tenant, admin } = person;
        Caller { id, user, tenant, admin, form }
    }

    /// A unit of work in their name, which can name nothing of another tenant.
    pub fn unit(&self) -> Unit {
        Unit::by(store::Actor::user(self.user)).within(self.tenant)
    }

    /// That they may change spaces.
    pub fn check_admin(&self) -> Result<(), Error> {
        if self.admin { Ok(()) } else { Err(Error::Denied) }
    }

    /// That they may look into this owner's spaces: an admin into all, others into their own.
    pub fn check_reader(&self, owner: &str) -> Result<(), Error> {
        if self.admin || self.id == owner { Ok(()) } else { Err(Error::Denied) }
    }
}

/// Finds out who is calling.
pub async fn authenticate(face: &Face, parts: &Parts, body: &[u8]) -> Result<Caller, Error> {
    let Some(sent) = parts.headers.get(AUTHORIZATION) else {
        let cookie = identity::cookie_of(&parts.headers, session::COOKIE).ok_or(Error::Unauthenticated)?;
        return by_token(face, cookie).await;
    };
    let sent = sent.to_str().map_err(|_| Error::Unauthenticated)?.trim();
    match sent.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(ALGORITHM) => by_signature(face, parts, rest, body).await,
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => by_token(face, token.trim()).await,
        Some(_) => Err(Error::Unauthenticated),
        // The documentation's samples write the space as a plus; its page about tokens has no scheme at all.
        None => by_token(face, sent.strip_prefix("Bearer+").unwrap_or(sent)).await,
    }
}

async fn by_token(face: &Face, token: &str) -> Result<Caller, Error> {
    if let Some(person) = session::resume(face, token).await? {
        return Ok(Caller::new(person, Form::default()));
    }
    let digest = person::digest(token);
    let person = face.store.read(move |tx| person::by_token(tx, digest)).await?;
    person.map(|person| Caller::new(person, Form::default())).ok_or(Error::Unauthenticated)
}

/// The header's three parts.
struct Signed {
    app: String,
    headers: Vec<String>,
    signature: Vec<u8>,
}

impl Signed {
    fn read(text: &str) -> Option<Signed> {
        let (mut app, mut headers, mut signature) = (None, None, None);
        for part in text.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            match name {
                "AppId" => app = Some(value.to_owned()),
                "SignedHeaders" => headers = Some(value.split(';').map(str::to_ascii_lowercase).collect::<Vec<_>>()),
                "Signature" => signature = hex::decode(value).ok(),
                _ => return None,
            }
        }
        let (app, headers) = (app?, headers?);
        let fits = app.len() <= ID_MAX && headers.len() <= SIGNED_MAX;
        fits.then_some(Signed { app, headers, signature: signature? })
    }

    fn covers(&self, name: &str) -> bool {
        self.headers.iter().any(|header| header == name)
    }
}

async fn by_signature(face: &Face, parts: &Parts, sent: &str, body: &[u8]) -> Result<Caller, Error> {
    let Some(signed) = Signed::read(sent) else {
        tracing::warn!("a signature was not accepted: the Authorization header is not of the documented form");
        return Err(Error::Unauthenticated);
    };
    let canonical = Canonical::of(parts, &signed.headers, body);
    let caller = verify(face, parts, &signed, canonical.as_ref()).await?;
    caller.map_err(|why| {
        let request = canonical.map(|canonical| canonical.shown).unwrap_or_default();
        tracing::warn!(why, app = %signed.app, canonical_request = %request, "a signature was not accepted");
        Error::Unauthenticated
    })
}

/// Who signed, or what is wrong, for the log.
async fn verify(
    face: &Face,
    parts: &Parts,
    signed: &Signed,
    canonical: Option<&Canonical>,
) -> Result<Result<Caller, &'static str>, Error> {
    if !signed.covers(DATE) || !signed.covers(USER) {
        return Ok(Err("x-date and x-user-id must be among the signed headers"));
    }
    let Some(canonical) = canonical else { return Ok(Err("a signed header is not there, or there twice")) };
    let (Some(date), Some(user)) = (single(&parts.headers, DATE), single(&parts.headers, USER)) else {
        return Ok(Err("x-date and x-user-id must be there once"));
    };
    let known = lookup(face, &signed.app, user).await?;
    // Whether there is such an app must not show in how long this takes.
    let nobodys = face.identity.nobodys_hmac_key();
    let key = known.key.as_ref().unwrap_or(&nobodys);
    let is_right = key.verifies(canonical.string_to_sign().as_bytes(), &signed.signature);
    let Some(app) = known.app.filter(|_| known.key.is_some()) else { return Ok(Err("there is no such app")) };
    if !is_right {
        return Ok(Err("the signature is not that of this request by this app's secret"));
    }
    let Some(at) = micros(date) else { return Ok(Err("x-date is not of the form 20240909T033325Z")) };
    let now = face.store.now();
    if at < now - AGE_MAX_US || at > now + DRIFT_MAX_US {
        return Ok(Err("x-date is more than 15 minutes old, or in the future"));
    }
    let caller = known.person.map(|person| Caller::new(person, app.form));
    Ok(caller.ok_or("x-user-id is no user of the app's tenant"))
}

/// What the database knows of an app and the user it signs for.
struct Known {
    app: Option<App>,
    key: Option<HmacKey>,
    person: Option<Person>,
}

async fn lookup(face: &Face, app: &str, user: &str) -> Result<Known, Error> {
    let (identity, app, user) = (face.identity.clone(), app.to_owned(), user.to_owned());
    let read = face.store.read(move |tx| {
        let key = identity.hmac_key(tx, Dialect::KooDrive, &app)?;
        let app = person::app(tx, &app)?;
        let person = match &app {
            Some(app) if user.len() <= ID_MAX => person::by_id(tx, app.tenant, &user)?,
            _ => None,
        };
        Ok(Known { app, key, person })
    });
    Ok(read.await?)
}

/// `20240909T033325Z`, in microseconds since 1970.
fn micros(text: &str) -> Option<Micros> {
    let digits = text.strip_suffix('Z')?;
    let is_plain = digits.len() == 15
        && digits.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            _ => byte.is_ascii_digit(),
        });
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", digits).ok().filter(|_| is_plain)?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_three_parts_with_or_without_spaces_between_them() {
        for text in [
            "AppId=a=1,SignedHeaders=Host;x-date,Signature=0aFF",
            "AppId=a=1, SignedHeaders=host;x-date , Signature=0aff",
        ] {
            let signed = Signed::read(text).unwrap();
            assert_eq!((signed.app.as_str(), signed.signature), ("a=1", vec![0x0a, 0xff]));
            assert_eq!(signed.headers, ["host", "x-date"]);
        }
        for none in ["", "AppId=a", "AppId=a,SignedHeaders=host", "AppId=a,SignedHeaders=host,Signature=xy", "a,b,c"] {
            assert!(Signed::read(none).is_none(), "{none}");
        }
    }

    #[test]
    fn a_date_has_one_form() {
        assert_eq!(micros("20240909T033325Z"), Some(1_725_852_805_000_000));
        for none in ["20240909T033325", "2024-09-09T03:33:25Z", "20240909T033325+0100", "20241309T033325Z", "", "Z"] {
            assert_eq!(micros(none), None, "{none}");
        }
    }
}
