//! From the text to a [`Tenant`]: the demand side.

use crate::model::{
    KooApp, KooDrive, KooToken, KooUser, Member, Organization, Partner, PartnerToken, Project, Space, Tenant, Token,
    User,
};
use crate::read::Table;

/// What a CarrierX token may do with storage.
const SCOPES: [&str; 5] = ["storage.manage", "storage.create", "storage.read", "storage.update", "storage.delete"];

pub(crate) fn tenant(table: Table<'_>) -> Tenant {
    let read = Tenant {
        name: table.need_name("name"),
        uuid: table.uuid("uuid"),
        title: table.text("title"),
        limits: table.limits("limits"),
        users: table.tables("user", "email").into_iter().map(user).collect(),
        tokens: table.tables("token", "user").into_iter().map(token).collect(),
        projects: table.tables("project", "name").into_iter().map(project).collect(),
        partners: table.tables("partner", "name").into_iter().map(partner).collect(),
        organizations: table.tables("organization", "name").into_iter().map(organization).collect(),
        koodrive: table.table("koodrive").map(koodrive),
        line: table.line,
    };
    table.finish();
    read
}

fn user(table: Table<'_>) -> User {
    let (email, roles) = (table.need_email("email"), table.words("roles", &["admin", "repository_admin"]));
    let read = User {
        name: table.text("name").unwrap_or_else(|| email.clone()),
        email,
        uuid: table.uuid("uuid"),
        password: table.secret("password"),
        admin: roles.iter().any(|role| role == "admin"),
        repository_admin: roles.iter().any(|role| role == "repository_admin"),
        limits: table.limits("limits"),
        line: table.line,
    };
    table.finish();
    read
}

fn token(table: Table<'_>) -> Token {
    let read = Token { user: table.need_email("user"), token: table.need_secret("token"), line: table.line };
    table.finish();
    read
}

fn project(table: Table<'_>) -> Project {
    let read = Project {
        name: table.need_text("name"),
        uuid: table.uuid("uuid"),
        members: table.tables("members", "user").into_iter().map(member).collect(),
        limits: table.limits("limits"),
        line: table.line,
    };
    table.finish();
    read
}

fn member(table: Table<'_>) -> Member {
    let read = Member {
        user: table.need_email("user"),
        role: table.choice("role", &["member", "manager", "admin"]).unwrap_or_else(|| "member".to_owned()),
        line: table.line,
    };
    table.finish();
    read
}

fn partner(table: Table<'_>) -> Partner {
    let read = Partner {
        name: table.need_name("name"),
        uuid: table.uuid("uuid"),
        login: table.text("login"),
        password: table.secret("password"),
        max_containers: table.count("max_containers"),
        default_container: table.uuid("default_container"),
        limits: table.limits("limits"),
        tokens: table.tables("tokens", "").into_iter().map(partner_token).collect(),
        line: table.line,
    };
    table.finish();
    read
}

fn partner_token(table: Table<'_>) -> PartnerToken {
    let read =
        PartnerToken { token: table.need_secret("token"), scopes: table.words("scopes", &SCOPES), line: table.line };
    table.finish();
    read
}

fn organization(table: Table<'_>) -> Organization {
    let read = Organization {
        name: table.need_text("name"),
        uuid: table.uuid("uuid"),
        managers: people(&table, "managers"),
        spaces: table.tables("spaces", "name").into_iter().map(space).collect(),
        line: table.line,
    };
    table.finish();
    read
}

fn space(table: Table<'_>) -> Space {
    let read = Space {
        name: table.need_text("name"),
        uuid: table.uuid("uuid"),
        developers: people(&table, "developers"),
        line: table.line,
    };
    table.finish();
    read
}

fn people(table: &Table<'_>, key: &'static str) -> Vec<String> {
    table.texts(key).into_iter().map(|(_, email)| email).collect()
}

fn koodrive(table: Table<'_>) -> KooDrive {
    let read = KooDrive {
        department: table.need_size("department"),
        individual: table.need_size("individual"),
        group: table.need_size("group"),
        users: table.tables("users", "id").into_iter().map(koo_user).collect(),
        apps: table.tables("app", "id").into_iter().map(koo_app).collect(),
        tokens: table.tables("token", "user").into_iter().map(koo_token).collect(),
    };
    table.finish();
    read
}

fn koo_user(table: Table<'_>) -> KooUser {
    let read = KooUser {
        id: table.need_text("id"),
        user: table.need_email("user"),
        admin: table.flag("admin").unwrap_or_default(),
        line: table.line,
    };
    table.finish();
    read
}

fn koo_app(table: Table<'_>) -> KooApp {
    let read = KooApp {
        id: table.need_text("id"),
        secret: table.need_secret("secret"),
        response_form: table.choice("response_form", &["table", "example"]).unwrap_or_else(|| "table".to_owned()),
        line: table.line,
    };
    table.finish();
    read
}

fn koo_token(table: Table<'_>) -> KooToken {
    let read = KooToken { token: table.need_secret("token"), user: table.need_text("user"), line: table.line };
    table.finish();
    read
}
