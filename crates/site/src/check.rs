//! What holds between the objects of a site: names are unique, references lead somewhere, one default at most, promises
//! are kept.

use std::collections::HashMap;

use ledger::{Limits, Overcommit};
use uuid::Uuid;

use crate::model::{KooDrive, Organization, Partner, Pool, Site, Tenant};
use crate::read::Reading;
use crate::{Secret, suggest};

pub(crate) fn references(site: &Site, reading: &Reading<'_>) {
    unique_names(site, reading);
    unique_people(site, reading);
    unique_uuids(site, reading);
    unique_secrets(site, reading);
    supply(site, reading);
    site.tenants.iter().for_each(|tenant| demand(tenant, reading));
}

/// What was seen before under a name, to tell of the second one.
struct Seen<'r> {
    reading: &'r Reading<'r>,
    what: String,
    lines: HashMap<String, usize>,
}

impl<'r> Seen<'r> {
    fn new(reading: &'r Reading<'r>, what: impl Into<String>) -> Seen<'r> {
        Seen { reading, what: what.into(), lines: HashMap::new() }
    }

    fn note(&mut self, key: &str, line: usize) {
        // An empty one is a stand-in: its fault is told already.
        if !key.is_empty()
            && let Some(first) = self.lines.insert(key.to_lowercase(), line)
        {
            self.reading.fault(line, "", format!("{} {key:?} is there twice: first on line {first}", self.what));
        }
    }

    fn note_all<'k>(mut self, keys: impl IntoIterator<Item = (&'k str, usize)>) {
        keys.into_iter().for_each(|(key, line)| self.note(key, line));
    }
}

fn unique_names(site: &Site, reading: &Reading<'_>) {
    let seen = |what: &str| Seen::new(reading, what);
    seen("pool").note_all(site.pools.iter().map(|pool| (pool.name.as_str(), pool.line)));
    seen("repository").note_all(site.repositories.iter().map(|repository| (repository.name.as_str(), repository.line)));
    seen("storage type").note_all(site.storage_types.iter().map(|kind| (kind.name.as_str(), kind.line)));
    seen("library drive").note_all(site.library_drives.iter().map(|drive| (drive.name.as_str(), drive.line)));
    seen("license").note_all(site.licenses.iter().map(|license| (license.name.as_str(), license.line)));
    seen("tenant").note_all(site.tenants.iter().map(|tenant| (tenant.name.as_str(), tenant.line)));
    for tenant in &site.tenants {
        let seen = |noun: &str| Seen::new(reading, format!("tenant {}, {noun}", tenant.name));
        seen("project").note_all(tenant.projects.iter().map(|project| (project.name.as_str(), project.line)));
        seen("partner").note_all(tenant.partners.iter().map(|partner| (partner.name.as_str(), partner.line)));
        seen("organization").note_all(tenant.organizations.iter().map(|org| (org.name.as_str(), org.line)));
        for project in &tenant.projects {
            let seen = Seen::new(reading, format!("tenant {}, project {}, member", tenant.name, project.name));
            seen.note_all(project.members.iter().map(|member| (member.user.as_str(), member.line)));
        }
        for organization in &tenant.organizations {
            let seen = Seen::new(reading, format!("tenant {}, organization {}, space", tenant.name, organization.name));
            seen.note_all(organization.spaces.iter().map(|space| (space.name.as_str(), space.line)));
        }
    }
}

/// Logins are unique on the whole site: nobody says a tenant's name when logging in.
fn unique_people(site: &Site, reading: &Reading<'_>) {
    let mut emails = Seen::new(reading, "the e-mail");
    site.operators.iter().for_each(|operator| emails.note(&operator.email, operator.line));
    site.tenants.iter().flat_map(|tenant| &tenant.users).for_each(|user| emails.note(&user.email, user.line));
    let mut logins = Seen::new(reading, "the partner login");
    let mut koo_users = Seen::new(reading, "the koodrive user");
    let mut koo_apps = Seen::new(reading, "the koodrive app");
    for tenant in &site.tenants {
        for partner in &tenant.partners {
            partner.login.iter().for_each(|login| logins.note(login, partner.line));
        }
        if let Some(koodrive) = &tenant.koodrive {
            koodrive.users.iter().for_each(|user| koo_users.note(&user.id, user.line));
            koodrive.apps.iter().for_each(|app| koo_apps.note(&app.id, app.line));
        }
    }
}

fn unique_uuids(site: &Site, reading: &Reading<'_>) {
    let mut seen = Seen::new(reading, "the uuid");
    let mut note = |uuid: Option<Uuid>, line: usize| {
        if let Some(uuid) = uuid {
            seen.note(&uuid.to_string(), line);
        }
    };
    site.operators.iter().for_each(|it| note(it.uuid, it.line));
    site.pools.iter().for_each(|it| note(it.uuid, it.line));
    site.repositories.iter().for_each(|it| note(it.uuid, it.line));
    site.storage_types.iter().for_each(|it| note(it.uuid, it.line));
    site.library_drives.iter().for_each(|it| note(it.uuid, it.line));
    site.licenses.iter().for_each(|it| note(it.uuid, it.line));
    for tenant in &site.tenants {
        note(tenant.uuid, tenant.line);
        tenant.users.iter().for_each(|it| note(it.uuid, it.line));
        tenant.projects.iter().for_each(|it| note(it.uuid, it.line));
        tenant.partners.iter().for_each(|it| note(it.uuid, it.line));
        for organization in &tenant.organizations {
            note(organization.uuid, organization.line);
            organization.spaces.iter().for_each(|it| note(it.uuid, it.line));
        }
    }
}

/// A token says who is calling, so no two may be alike within what looks them up. Their text is not told.
fn unique_secrets(site: &Site, reading: &Reading<'_>) {
    let tell = |tokens: Vec<(&Secret, usize)>| {
        let mut lines = HashMap::new();
        for (token, line) in tokens.into_iter().filter(|(token, _)| !token.expose().is_empty()) {
            if let Some(first) = lines.insert(token.expose(), line) {
                reading.fault(line, "", format!("this token is there twice: first on line {first}"));
            }
        }
    };
    let operators = site.operators.iter().filter_map(|operator| Some((operator.token.as_ref()?, operator.line)));
    let tenants = site.tenants.iter().flat_map(|tenant| &tenant.tokens).map(|token| (&token.token, token.line));
    tell(operators.chain(tenants).collect());
    let partners = site.tenants.iter().flat_map(|tenant| &tenant.partners).flat_map(|partner| &partner.tokens);
    tell(partners.map(|token| (&token.token, token.line)).collect());
    let koodrives = site.tenants.iter().filter_map(|tenant| tenant.koodrive.as_ref());
    tell(koodrives.flat_map(|koodrive| &koodrive.tokens).map(|token| (&token.token, token.line)).collect());
}

fn supply(site: &Site, reading: &Reading<'_>) {
    let defaults: Vec<&Pool> = site.pools.iter().filter(|pool| pool.default).collect();
    if let [first, .., last] = defaults.as_slice() {
        let what = format!("pools {} and {} are both the default one: content lies in one", first.name, last.name);
        reading.fault(last.line, "", what);
    }
    let defaults: Vec<_> = site.storage_types.iter().filter(|kind| kind.default).collect();
    if let [first, .., last] = defaults.as_slice() {
        reading.fault(
            last.line,
            "",
            format!("storage types {} and {} are both the default one", first.name, last.name),
        );
    }
    let pools: Vec<&str> = site.pools.iter().map(|pool| pool.name.as_str()).collect();
    let repositories = site.repositories.iter().map(|it| ("repository", &it.name, &it.pool, it.line));
    let storage_types = site.storage_types.iter().map(|it| ("storage_type", &it.name, &it.pool, it.line));
    for kind in &site.storage_types {
        let is_sibling = |it: &&crate::Repository| it.pool == kind.pool && it.name == kind.name;
        if let Some(repository) = site.repositories.iter().find(is_sibling) {
            let what = format!("the pool {} has a repository of that name, on line {}", kind.pool, repository.line);
            reading.fault(kind.line, &format!("storage_type {}", kind.name), what);
        }
    }
    for (noun, name, pool, line) in repositories.chain(storage_types) {
        refer(reading, line, &format!("{noun} {name}"), "pool", pool.as_str(), &pools);
    }
    site.pools.iter().for_each(|pool| promises(site, pool, reading));
}

/// A pool that promises more than it may would be refused half-way through an application: better said here.
fn promises(site: &Site, pool: &Pool, reading: &Reading<'_>) {
    let Some(Overcommit { permille }) = pool.overcommit else { return };
    let within = |limits: &&(&ledger::Name, &Limits)| *limits.0 == pool.name;
    let repositories = site.repositories.iter().map(|it| (&it.pool, &it.limits));
    let nodes: Vec<_> = repositories.chain(site.storage_types.iter().map(|it| (&it.pool, &it.limits))).collect();
    for (resource, limit) in pool.limits.iter() {
        let promised: u128 = nodes.iter().filter(within).map(|(_, limits)| u128::from(limits.get(resource))).sum();
        let most = u128::from(limit) * u128::from(permille) / 1000;
        if promised > most {
            let what = format!("what lies in it is promised {promised} {resource} in all, and its limits allow {most}");
            reading.fault(pool.line, &format!("pool {}", pool.name), what);
        }
    }
}

fn demand(tenant: &Tenant, reading: &Reading<'_>) {
    let users: Vec<&str> = tenant.users.iter().map(|user| user.email.as_str()).collect();
    let place = format!("tenant {}", tenant.name);
    for token in &tenant.tokens {
        refer(reading, token.line, &place, "user of the tenant", &token.user, &users);
    }
    for project in &tenant.projects {
        let place = format!("{place}, project {}", project.name);
        for member in &project.members {
            refer(reading, member.line, &place, "user of the tenant", &member.user, &users);
        }
    }
    for Organization { name, managers, spaces, line, .. } in &tenant.organizations {
        let place = format!("{place}, organization {name}");
        for email in managers {
            refer(reading, *line, &place, "user of the tenant", email, &users);
        }
        for (space, email) in spaces.iter().flat_map(|space| space.developers.iter().map(move |email| (space, email))) {
            refer(reading, space.line, &format!("{place}, space {}", space.name), "user of the tenant", email, &users);
        }
    }
    tenant.partners.iter().for_each(|partner| credentials(partner, &place, reading));
    if let Some(drive) = &tenant.koodrive {
        koodrive(drive, &format!("{place}, koodrive"), &users, reading);
    }
}

fn credentials(partner: &Partner, place: &str, reading: &Reading<'_>) {
    if partner.login.is_some() != partner.password.is_some() {
        let place = format!("{place}, partner {}", partner.name);
        reading.fault(partner.line, &place, "`login` and `password` go together: give both or neither");
    }
}

fn koodrive(drive: &KooDrive, place: &str, users: &[&str], reading: &Reading<'_>) {
    for user in &drive.users {
        refer(reading, user.line, place, "user of the tenant", &user.user, users);
    }
    let ids: Vec<&str> = drive.users.iter().map(|user| user.id.as_str()).collect();
    for token in &drive.tokens {
        refer(reading, token.line, place, "koodrive user of the tenant", &token.user, &ids);
    }
}

fn refer(reading: &Reading<'_>, line: usize, place: &str, noun: &str, name: &str, known: &[&str]) {
    if !name.is_empty() && !known.contains(&name) {
        let hint = suggest::nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        reading.hinted(line, place, format!("there is no {noun} {name:?}"), hint);
    }
}
