//! `user` and `token`: who may come in, and with what.

use std::io::Read;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, encoded};
use crate::fault::{Doing, Fault};
use crate::password;
use crate::show::{self, Output};

/// How many people or tokens are looked through.
const ITEMS_MAX: usize = 100_000;

/// What to do about people.
#[derive(Subcommand, Debug)]
pub enum User {
    /// Make a user; their password is shown once
    #[command(after_help = "Examples:\n  plimsoll user create ana@acme.example --tenant acme --name Ana\n  \
                            plimsoll user create boss@acme.example --tenant acme --admin\n  \
                            plimsoll user create op@site.example --operator")]
    Create(Create),
    /// List people
    List(ListUsers),
    /// Give somebody a new password, shown once; they have to log in anew everywhere
    Reset(Reset),
    /// Remove somebody who has nothing left
    Remove(Email),
}

/// A user to be made.
#[derive(Args, Debug)]
pub struct Create {
    /// Their e-mail, which they log in with
    pub email: String,
    /// The tenant they belong to
    #[arg(long, required_unless_present = "operator")]
    pub tenant: Option<String>,
    /// Make an operator, who runs the site and belongs to no tenant
    #[arg(long, conflicts_with_all = ["tenant", "admin", "repository_admin"])]
    pub operator: bool,
    /// What people call them [default: the e-mail]
    #[arg(long)]
    pub name: Option<String>,
    /// All of the tenant is theirs to run
    #[arg(long)]
    pub admin: bool,
    /// They hand out allocations
    #[arg(long)]
    pub repository_admin: bool,
    /// Read the password from standard input instead of making one
    #[arg(long)]
    pub password_stdin: bool,
}

/// Whose list.
#[derive(Args, Debug)]
pub struct ListUsers {
    /// Only those of this tenant
    #[arg(long)]
    pub tenant: Option<String>,
}

/// Whose password.
#[derive(Args, Debug)]
pub struct Reset {
    /// Their e-mail
    pub email: String,
    /// Read the password from standard input instead of making one
    #[arg(long)]
    pub password_stdin: bool,
}

/// Whom.
#[derive(Args, Debug)]
pub struct Email {
    /// Their e-mail
    pub email: String,
}

impl User {
    pub(super) async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        match self {
            User::Create(create) => create.run(client, output).await,
            User::List(list) => list.run(client, output).await,
            User::Reset(Reset { email, password_stdin }) => {
                let (secret, made) = new_password(password_stdin)?;
                let path = format!("/users/{}", find_user(client, &email).await?);
                let user = client.call(Method::PATCH, &path, Some(&json!({ "password": secret }))).await?;
                shown(output, &user, &format!("{email} has a new password"), made.then_some(&secret))
            }
            User::Remove(Email { email }) => {
                let path = format!("/users/{}", find_user(client, &email).await?);
                client.call(Method::DELETE, &path, None).await?;
                shown(output, &Value::Null, &format!("{email} is removed"), None)
            }
        }
    }
}

impl Create {
    async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let (secret, made) = new_password(self.password_stdin)?;
        let tenant = match &self.tenant {
            Some(name) => Some(find_tenant(client, name).await?),
            None => None,
        };
        let body = json!({
            "tenant_id": tenant, "email": self.email, "name": self.name.as_ref().unwrap_or(&self.email),
            "password": secret, "admin": self.admin, "repository_admin": self.repository_admin,
        });
        let user = client.call(Method::POST, "/users", Some(&body)).await?;
        shown(output, &user, &format!("{} is made", self.email), made.then_some(&secret))
    }
}

impl ListUsers {
    async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let path = match &self.tenant {
            Some(name) => format!("/users?tenant={}", find_tenant(client, name).await?),
            None => "/users".to_owned(),
        };
        let users = client.list(&path, ITEMS_MAX).await?;
        if output.is_json {
            return show::print_json(&Value::Array(users));
        }
        let tenants = client.list("/tenants", ITEMS_MAX).await?;
        let rows: Vec<Vec<String>> = users.iter().map(|user| user_row(user, &tenants)).collect();
        show::print(show::table(output, &["email", "name", "tenant", "roles", "id"], &rows))
    }
}

fn user_row(user: &Value, tenants: &[Value]) -> Vec<String> {
    let text = |key: &str| user[key].as_str().unwrap_or_default().to_owned();
    let tenant = tenants.iter().find(|tenant| tenant["id"] == user["tenant_id"]).and_then(|it| it["name"].as_str());
    let roles = [("admin", "admin"), ("repository_admin", "repository_admin"), ("disabled", "disabled")];
    let roles: Vec<&str> = roles.iter().filter(|(key, _)| user[*key] == true).map(|(_, word)| *word).collect();
    let roles = if user["tenant_id"].is_null() { "operator".to_owned() } else { roles.join(", ") };
    vec![text("email"), text("name"), tenant.unwrap_or_default().to_owned(), roles, text("id")]
}

/// A password and whether it was made here, so that somebody has to be told.
fn new_password(from_stdin: bool) -> Result<(String, bool), Fault> {
    if !from_stdin {
        return Ok((password::random().expose().to_owned(), true));
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text).doing("read the password")?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Fault::new("there is no password on standard input"));
    }
    Ok((text.to_owned(), false))
}

fn shown(output: Output, value: &Value, line: &str, secret: Option<&String>) -> Result<(), Fault> {
    if output.is_json {
        let mut value = value.clone();
        if let (Some(secret), Some(fields)) = (secret, value.as_object_mut()) {
            fields.insert("password".to_owned(), json!(secret));
        }
        return show::print_json(&value);
    }
    show::print(std::iter::once(line.to_owned()).chain(secret.map(|secret| format!("password (shown once): {secret}"))))
}

async fn find_user(client: &mut Client, email: &str) -> Result<String, Fault> {
    find(client, "/users", "email", email, "user").await
}

async fn find_tenant(client: &mut Client, name: &str) -> Result<String, Fault> {
    find(client, "/tenants", "name", name, "tenant").await
}

async fn find(client: &mut Client, list: &str, key: &str, wanted: &str, noun: &str) -> Result<String, Fault> {
    let items = client.list(list, ITEMS_MAX).await?;
    let is_it = |item: &&Value| item[key].as_str().is_some_and(|found| found.eq_ignore_ascii_case(wanted));
    if let Some(id) = items.iter().find(is_it).and_then(|item| item["id"].as_str()) {
        return Ok(id.to_owned());
    }
    let known = items.iter().filter_map(|item| item[key].as_str());
    let hint = site::suggest::nearest(wanted, known).map(|near| format!("did you mean {near}?"));
    Err(Fault { what: format!("there is no {noun} {wanted}"), hint })
}

/// What to do about tokens.
#[derive(Subcommand, Debug)]
pub enum Token {
    /// Make a token; it is shown once
    #[command(after_help = "A token can do what its user can, and no more.\n\n\
                            Example:\n  plimsoll token create --user admin@acme.example --name backup --days 90")]
    Create(CreateToken),
    /// List tokens
    List(ListTokens),
    /// End a token, at once
    Revoke(Revoke),
}

/// A token to be made.
#[derive(Args, Debug)]
pub struct CreateToken {
    /// Whose, by e-mail
    #[arg(long)]
    pub user: String,
    /// What it is for
    #[arg(long, default_value = "command line")]
    pub name: String,
    /// After how many days it ends [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub days: Option<u64>,
}

/// Whose tokens.
#[derive(Args, Debug)]
pub struct ListTokens {
    /// Only this user's, by e-mail
    #[arg(long)]
    pub user: Option<String>,
}

/// Which token.
#[derive(Args, Debug)]
pub struct Revoke {
    /// Its id, as `plimsoll token list` shows it
    pub id: String,
}

impl Token {
    pub(super) async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        match self {
            Token::Create(create) => create.run(client, output).await,
            Token::List(list) => list.run(client, output).await,
            Token::Revoke(Revoke { id }) => {
                client.call(Method::DELETE, &format!("/tokens/{}", encoded(&id)), None).await?;
                shown(output, &Value::Null, &format!("token {id} is revoked"), None)
            }
        }
    }
}

impl CreateToken {
    async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let user = find_user(client, &self.user).await?;
        let mut body = json!({ "user_id": user, "name": self.name });
        if let Some(days) = self.days {
            body["expires_in"] = json!(days * 24 * 3600);
        }
        let token = client.call(Method::POST, "/tokens", Some(&body)).await?;
        if output.is_json {
            return show::print_json(&token);
        }
        let text = |key: &str| token[key].as_str().unwrap_or_default();
        show::print([
            format!("token {} of {} is made", text("id"), self.user),
            format!("token (shown once): {}", text("token")),
        ])
    }
}

impl ListTokens {
    async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let path = match &self.user {
            Some(email) => format!("/tokens?user={}", find_user(client, email).await?),
            None => "/tokens".to_owned(),
        };
        let tokens = client.list(&path, ITEMS_MAX).await?;
        if output.is_json {
            return show::print_json(&Value::Array(tokens));
        }
        let users = client.list("/users", ITEMS_MAX).await?;
        let row = |token: &Value| {
            let text = |key: &str| token[key].as_str().unwrap_or_default().to_owned();
            let user = users.iter().find(|user| user["id"] == token["user_id"]).and_then(|user| user["email"].as_str());
            vec![text("id"), user.unwrap_or_default().to_owned(), text("name"), text("created_at"), text("expires_at")]
        };
        let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
        show::print(show::table(output, &["id", "user", "name", "made", "ends"], &rows))
    }
}
