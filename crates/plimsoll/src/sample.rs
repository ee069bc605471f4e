//! The first start without a site file: a small site to look around in, and lines to paste.

use std::fmt::Write;
use std::path::PathBuf;

use identity::{Identity, NewToken, Principal, User, UserPatch};
use store::Actor;
use uuid::Uuid;

use crate::fault::{Doing, Fault};
use crate::folder::Folder;
use crate::password;

/// The administrator of the sample's tenant.
pub const ADMIN: &str = "admin@acme.example";
/// The operator of the sample.
pub const OPERATOR: &str = "operator@site.example";

/// How much of the free disk the pool is given, in hundredths: the rest is for the database, its log, and the system.
const POOL_PERCENT: u64 = 80;

/// What is told of a sample site, once.
pub struct FirstLogin {
    /// Where the site's text was written.
    pub file: PathBuf,
    /// The administrator's password. Stored only as its hash.
    pub admin_password: site::Secret,
    /// The operator's password, likewise.
    pub operator_password: site::Secret,
    /// The administrator's token for the native API, likewise.
    pub token: site::Secret,
    /// Ids that the lines to paste need.
    pub ids: Ids,
}

/// The ids a sample site gives its objects.
#[derive(Clone, Copy, Debug)]
pub struct Ids {
    /// The repository `files`.
    pub repository: Uuid,
    /// The project `climate`.
    pub project: Uuid,
}

/// Writes the sample's text into the data folder. It holds no secret: passwords are made and stored apart.
pub fn write(folder: &Folder, ids: Ids) -> Result<(PathBuf, String), Fault> {
    let (free, _) = folder.free()?;
    let pool = round(free / 100 * POOL_PERCENT);
    let text = text(pool, ids);
    let path = folder.sample_site();
    std::fs::write(&path, &text).doing(format_args!("write {}", path.display()))?;
    Ok((path, text))
}

/// Down to a whole number of the largest unit that leaves at least ten of it: a limit that people can read.
fn round(bytes: u64) -> u64 {
    let unit = [40, 30, 20, 10].into_iter().map(|bits| 1_u64 << bits).find(|unit| bytes / unit >= 10).unwrap_or(1);
    bytes / unit * unit
}

fn text(pool: u64, Ids { repository, project }: Ids) -> String {
    let (all, half) = (site::size::show(pool), site::size::show(round(pool / 2)));
    format!(
        r#"# A small site to start from. Change it, then: plimsoll apply FILE --dry-run
# Passwords are not in it: `plimsoll user reset EMAIL` makes a new one. Or give each user a `password`, as text,
# `env:NAME` or `file:PATH`.

[[operator]]                    # runs the site; belongs to no tenant
email = "{OPERATOR}"
name = "Operator"

[[pool]]                        # {POOL_PERCENT} % of what was free on the disk
name = "disk"
default = true
limits = {{ bytes = "{all}" }}

[[repository]]                  # Allocations: where allocations lie
name = "files"
uuid = "{repository}"
pool = "disk"
type = "posix"

[[storage_type]]                # CloudSigma: where drives lie
name = "dssd"
default = true
pool = "disk"

[[tenant]]
name = "acme"
limits = {{ bytes = "{all}", objects = 1_000_000 }}

    [[tenant.user]]
    email = "{ADMIN}"
    name = "Acme Admin"
    roles = ["admin", "repository_admin"]

    [[tenant.project]]          # Allocations: a project that can own
    name = "climate"
    uuid = "{project}"
    members = [{{ user = "{ADMIN}", role = "manager" }}]
    limits = {{ bytes = "{half}" }}

    [[tenant.organization]]     # Cloud Foundry: an organization under the quota `default`
    name = "acme-org"
    managers = ["{ADMIN}"]

    [tenant.koodrive]           # KooDrive: room for each type of space
    department = "{half}"
    individual = "{half}"
    group = "{half}"
    users = [{{ id = "1", user = "{ADMIN}", admin = true }}]

# CarrierX: a partner needs a password or a token. [[tenant.partner]] in site.example.toml shows how.
"#
    )
}

/// Makes the passwords and the token of a sample that was just applied.
pub async fn first_login(identity: &Identity, file: PathBuf, ids: Ids) -> Result<FirstLogin, Fault> {
    let operator_password = new_password(identity, OPERATOR).await?.1;
    let (admin, admin_password) = new_password(identity, ADMIN).await?;
    let new = NewToken { name: "first start".to_owned(), ..NewToken::default() };
    let (_, token) = identity.create_token(&admin, admin.user, new).await?;
    Ok(FirstLogin { file, admin_password, operator_password, token: token.expose().into(), ids })
}

async fn new_password(identity: &Identity, email: &str) -> Result<(Principal, site::Secret), Fault> {
    let password = password::random();
    let user = identity.user_by_email(email).await?.ok_or_else(|| Fault::new(format!("the sample has no {email}")))?;
    let patch = UserPatch { password: Some(Some(password.expose().into())), ..UserPatch::default() };
    let User { id, tenant, email, name, admin, repository_admin, allotment, .. } =
        identity.change_user(Actor::system("site"), user.id, patch).await?;
    let (email, name) = (email.into(), name.into());
    Ok((Principal { user: id, tenant, email, name, admin, repository_admin, allotment, token: None }, password))
}

impl FirstLogin {
    /// What is printed, once.
    pub fn lines(&self, url: &str) -> String {
        let (password, token) = (self.admin_password.expose(), self.token.expose());
        let Ids { repository, project } = self.ids;
        let mut text = String::new();
        let mut say = |line: &str| writeln!(text, "{line}").expect("a string takes all");
        say(&format!("A sample site was made: {}", self.file.display()));
        say("These are shown once, and kept only as hashes:");
        say(&format!("  administrator  {ADMIN}  {password}"));
        say(&format!("  operator       {OPERATOR}  {}", self.operator_password.expose()));
        say(&format!("  token          {token}  (of {ADMIN}, for /plimsoll/v1)"));
        say("");
        say("To paste into another terminal:");
        say("");
        say("# log in to the Allocations API");
        say(&format!(
            "curl -s -c cookies.txt -H 'Content-Type: application/json' \\\n  -d '{{\"email\": \"{ADMIN}\", \"password\": \"{password}\"}}' {url}/api/auth/login/"
        ));
        say("# create an allocation of 1 GB and 1000 records for the project climate");
        say(&format!(
            "curl -s -b cookies.txt -H 'Content-Type: application/json' \\\n  -d '{{\"owner_type\": \"project\", \"owner_id\": \"{project}\", \"repository_id\": \"{repository}\", \
             \"data_volume_limit\": 1000000000, \"max_records\": 1000}}' \\\n  {url}/api/allocations/"
        ));
        say("# upload a file into it");
        say(&format!(
            "echo 'hello' | curl -s -b cookies.txt -F 'file=@-;filename=hello.txt' \\\n  -F owner_type=project -F owner_id={project} {url}/api/records/"
        ));
        say("# list what is there");
        say(&format!("curl -s -b cookies.txt {url}/api/records/"));
        say("# make a drive of 1 GiB through the CloudSigma API");
        say(&format!(
            "curl -s -u {ADMIN}:{password} -H 'Content-Type: application/json' \\\n  -d '{{\"name\": \"web\", \"media\": \"disk\", \"size\": 1073741824}}' {url}/api/2.0/drives/"
        ));
        say("# claim space through the native API");
        say(&format!(
            "curl -s -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\\n  -d '{{\"allotment_id\": \"path:acme/projects/climate\", \"amounts\": {{\"bytes\": 4096}}}}' {url}/plimsoll/v1/claims"
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_site_without_secrets() {
        let ids = Ids { repository: Uuid::from_u128(1), project: Uuid::from_u128(2) };
        for free in [0, 1 << 20, 123_456_789_012, 20 << 40] {
            let text = text(round(free), ids);
            let site = site::Site::parse(&text, &|_| Err("none".into())).unwrap();
            assert!(site.operators[0].password.is_none() && site.tenants[0].users[0].password.is_none());
            let limit = site.pools[0].limits.get(ledger::Resource::BYTES);
            assert!(limit <= free && limit >= free / 100 * 90, "{free} became {limit}");
        }
    }
}
