//! A site as a flat map of objects, which is what is compared with the map of the last application.
//!
//! **Always.** No secret is in it. A token is replaced by its SHA-256, which is enough for something long and random. A
//! password is replaced by an argon2 hash: [`Site::objects`] is given the last map, and a way to keep passwords that
//! answers the hash in it as long as it is one of the same password. So equal passwords compare equal though each hash
//! has its own salt, and whoever reads the map learns no more than from the table of users.

use std::collections::BTreeMap;

use ledger::{Limits, Overcommit};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::key::{Key, KeyError, Kind};
use crate::model::{KooDrive, Organization, Partner, Places, Site, StorageType, Tenant};
use crate::{Secret, plan::at};

/// The objects of a site, by key.
pub type Objects = BTreeMap<Key, Value>;

/// Keeps a password: given it and the hash of the last application, answers that hash if it fits, else a new one.
pub type KeepPassword<'k> = dyn Fn(&Secret, Option<&str>) -> String + 'k;

/// The objects as one JSON value, to be kept.
pub fn to_json(objects: &Objects) -> Value {
    Value::Object(objects.iter().map(|(key, value)| (key.to_string(), value.clone())).collect())
}

/// The objects that [`to_json`] made a value of.
pub fn from_json(value: Value) -> Result<Objects, KeyError> {
    let Value::Object(map) = value else { return Err(KeyError(value.to_string())) };
    map.into_iter().map(|(key, value)| Ok((key.parse()?, value))).collect()
}

/// What stands for a token wherever the token itself must not.
pub fn fingerprint(token: &Secret) -> String {
    hex::encode(Sha256::digest(token.expose().as_bytes()))
}

impl Site {
    /// The objects of this site. `before`: those of the last application, for [`KeepPassword`].
    pub fn objects(&self, before: &Objects, keep: &KeepPassword<'_>) -> Objects {
        let mut map = Building { objects: Objects::new(), before, keep };
        self.settings(&mut map);
        self.supply(&mut map);
        for operator in &self.operators {
            let key = Key::site(Kind::Operator, &operator.email);
            let password = map.password(&key, "/password/argon2", operator.password.as_ref());
            map.put(key, &[("uuid", id(operator.uuid)), ("name", json!(operator.name)), ("password", password)]);
            if let Some(token) = &operator.token {
                map.put(Key::site(Kind::Token, fingerprint(token)), &[("user", json!(operator.email))]);
            }
        }
        self.tenants.iter().for_each(|tenant| demand(tenant, &mut map));
        map.objects
    }

    fn settings(&self, map: &mut Building<'_>) {
        let key = self.encryption_key.as_ref().map(|key| json!({ "sha256": fingerprint(key) }));
        let strict_csrf = self.strict_csrf.then_some(Value::Bool(true));
        let settings = [
            ("public_url", self.public_url.clone().map_or(Value::Null, Value::String)),
            ("encryption_key", key.unwrap_or_default()),
            ("strict_csrf", strict_csrf.unwrap_or_default()),
        ];
        if settings.iter().any(|(_, value)| !value.is_null()) {
            map.put(Key::site(Kind::Site, "settings"), &settings);
        }
        let built_in = ledger::Catalog::built_in();
        for resource in self.catalog.iter().filter(|resource| built_in.find(resource.name()).is_none()) {
            map.put(Key::site(Kind::Resource, resource), &[]);
        }
    }

    fn supply(&self, map: &mut Building<'_>) {
        for pool in &self.pools {
            let (default, overcommit) = (flag(pool.default), ratio(pool.overcommit));
            let fields = [("uuid", id(pool.uuid)), ("default", default), ("overcommit", overcommit)];
            map.put(Key::site(Kind::Pool, &pool.name), &fields).limits(&pool.limits);
        }
        for it in &self.repositories {
            let fields = [("uuid", id(it.uuid)), ("pool", json!(it.pool.as_str())), ("type", json!(it.kind))];
            map.put(Key::site(Kind::Repository, &it.name), &fields).limits(&it.limits);
        }
        self.storage_types.iter().for_each(|kind| storage_type(kind, map));
        for drive in &self.library_drives {
            let meta: Map<String, Value> = drive.meta.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
            let image = drive.image.clone().map_or(Value::Null, Value::String);
            let fields = [("uuid", id(drive.uuid)), ("media", json!(drive.media)), ("size", json!(drive.size))];
            map.put(Key::site(Kind::LibraryDrive, &drive.name), &fields)
                .more(&[("image", image), ("meta", meta.into())]);
        }
        for license in &self.licenses {
            let (long_name, user_metric) = (json!(license.long_name), json!(license.user_metric));
            let fields = [("uuid", id(license.uuid)), ("long_name", long_name), ("user_metric", user_metric)];
            map.put(Key::site(Kind::License, &license.name), &fields);
        }
    }
}

fn storage_type(kind: &StorageType, map: &mut Building<'_>) {
    let places = match &kind.places {
        Places::Folders(count) => json!({ "folders": count }),
        Places::Paths(paths) => json!({ "paths": paths }),
    };
    let size = json!({ "min": kind.size_min, "max": kind.size_max });
    let fields = [("uuid", id(kind.uuid)), ("pool", json!(kind.pool.as_str())), ("default", flag(kind.default))];
    let entry = map.put(Key::site(Kind::StorageType, &kind.name), &fields);
    entry.more(&[("places", places), ("size", size)]).limits(&kind.limits);
}

fn demand(tenant: &Tenant, map: &mut Building<'_>) {
    let title = tenant.title.clone().map_or(Value::Null, Value::String);
    let key = Key::site(Kind::Tenant, &tenant.name);
    map.put(key, &[("uuid", id(tenant.uuid)), ("title", title)]).limits(&tenant.limits);
    for user in &tenant.users {
        let key = Key::of(&tenant.name, Kind::User, &user.email);
        let password = map.password(&key, "/password/argon2", user.password.as_ref());
        let roles = json!({ "admin": flag(user.admin), "repository_admin": flag(user.repository_admin) });
        let fields = [("uuid", id(user.uuid)), ("name", json!(user.name)), ("password", password), ("roles", roles)];
        map.put(key, &fields).limits(&user.limits);
    }
    for token in &tenant.tokens {
        let key = Key::of(&tenant.name, Kind::Token, fingerprint(&token.token));
        map.put(key, &[("user", json!(token.user))]);
    }
    for project in &tenant.projects {
        let members: Map<String, Value> =
            project.members.iter().map(|member| (member.user.clone(), json!(member.role))).collect();
        let key = Key::of(&tenant.name, Kind::Project, &project.name);
        map.put(key, &[("uuid", id(project.uuid)), ("members", members.into())]).limits(&project.limits);
    }
    tenant.partners.iter().for_each(|it| partner(tenant, it, map));
    tenant.organizations.iter().for_each(|it| organization(tenant, it, map));
    tenant.koodrive.iter().for_each(|it| koodrive(tenant, it, map));
}

fn partner(tenant: &Tenant, partner: &Partner, map: &mut Building<'_>) {
    let key = Key::of(&tenant.name, Kind::Partner, &partner.name);
    let password = map.password(&key, "/password/argon2", partner.password.as_ref());
    let tokens: Map<String, Value> =
        partner.tokens.iter().map(|token| (fingerprint(&token.token), json!(token.scopes))).collect();
    let login = partner.login.clone().map_or(Value::Null, Value::String);
    let fields = [("uuid", id(partner.uuid)), ("login", login), ("password", password)];
    let default = id(partner.default_container);
    let more = [("max_containers", json!(partner.max_containers)), ("default_container", default)];
    map.put(key, &fields).more(&more).more(&[("tokens", tokens.into())]).limits(&partner.limits);
}

fn organization(tenant: &Tenant, it: &Organization, map: &mut Building<'_>) {
    let spaces = it
        .spaces
        .iter()
        .map(|space| (space.name.clone(), json!({ "uuid": id(space.uuid), "developers": set(&space.developers) })));
    let spaces: Map<String, Value> = spaces.collect();
    let key = Key::of(&tenant.name, Kind::Organization, &it.name);
    map.put(key, &[("uuid", id(it.uuid)), ("managers", set(&it.managers)), ("spaces", spaces.into())]);
}

fn koodrive(tenant: &Tenant, it: &KooDrive, map: &mut Building<'_>) {
    let key = Key::of(&tenant.name, Kind::KooDrive, "drive");
    let users: Map<String, Value> = it
        .users
        .iter()
        .map(|user| (user.id.clone(), json!({ "user": user.user, "admin": flag(user.admin) })))
        .collect();
    let apps = it.apps.iter().map(|app| {
        let place = format!("/apps/{}/secret/argon2", app.id.replace('~', "~0").replace('/', "~1"));
        let secret = map.password(&key, &place, Some(&app.secret));
        (app.id.clone(), json!({ "secret": secret, "response_form": app.response_form }))
    });
    let apps: Map<String, Value> = apps.collect();
    let tokens: Map<String, Value> =
        it.tokens.iter().map(|token| (fingerprint(&token.token), json!({ "user": token.user }))).collect();
    let sizes =
        [("department", json!(it.department)), ("individual", json!(it.individual)), ("group", json!(it.group))];
    map.put(key, &sizes).more(&[("users", users.into()), ("apps", apps.into()), ("tokens", tokens.into())]);
}

/// The map as it is put together.
struct Building<'b> {
    objects: Objects,
    before: &'b Objects,
    keep: &'b KeepPassword<'b>,
}

impl Building<'_> {
    /// Adds an object, without the fields that are null: the file does not speak of them.
    fn put(&mut self, key: Key, fields: &[(&str, Value)]) -> Entry<'_> {
        let value = self.objects.entry(key).or_insert_with(|| Value::Object(Map::new()));
        let mut entry = Entry(value);
        entry.add(fields);
        entry
    }

    fn password(&self, key: &Key, pointer: &str, password: Option<&Secret>) -> Value {
        let Some(password) = password else { return Value::Null };
        let before = self.before.get(key).and_then(|value| at(value, pointer)).and_then(Value::as_str);
        json!({ "argon2": (self.keep)(password, before) })
    }
}

struct Entry<'e>(&'e mut Value);

impl Entry<'_> {
    fn more(mut self, fields: &[(&str, Value)]) -> Self {
        self.add(fields);
        self
    }

    fn add(&mut self, fields: &[(&str, Value)]) {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            self.0[*name] = value.clone();
        }
    }

    fn limits(self, limits: &Limits) {
        let limits: Map<String, Value> =
            limits.iter().map(|(it, units)| (it.name().to_owned(), json!(units))).collect();
        self.more(&[("limits", limits.into())]);
    }
}

fn id(uuid: Option<Uuid>) -> Value {
    uuid.map_or(Value::Null, |uuid| json!(uuid.to_string()))
}

fn flag(set: bool) -> Value {
    Value::Bool(set)
}

fn ratio(overcommit: Option<Overcommit>) -> Value {
    overcommit.map_or(Value::Null, |overcommit| json!({ "permille": overcommit.permille }))
}

/// A list whose order means nothing: as a map, so that one who comes or goes is one difference.
fn set(items: &[String]) -> Value {
    Value::Object(items.iter().map(|item| (item.clone(), Value::Bool(true))).collect())
}
