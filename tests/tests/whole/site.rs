//! A small site: one tenant with an admin, one who must never see it, one repository for records.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Client, Server, Start};

/// The operator's token.
pub const OPERATOR: &str = "whole-operator-token";
/// The token of acme's admin, who may also make allocations.
pub const ADMIN: &str = "whole-acme-token";
/// The repository records lie in.
pub const REPOSITORY: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";
/// Acme's admin.
const ADMIN_ID: &str = "5b4a69a3-8e78-4c45-a8ba-8b13f0895e23";

/// The site file's text.
const TEXT: &str = r#"
[[operator]]
email = "operator@site.example"
name = "Operator"
password = "operator-secret"
token = "whole-operator-token"

[[pool]]
name = "disk"
default = true
limits = { bytes = "20 TiB" }

[[repository]]
name = "cold-store"
uuid = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
pool = "disk"
type = "posix"
limits = { bytes = "5 TiB" }

[[tenant]]
name = "acme"
limits = { bytes = "4 TiB", objects = 1_000_000 }

    [[tenant.user]]
    email = "admin@acme.example"
    name = "Acme Admin"
    uuid = "5b4a69a3-8e78-4c45-a8ba-8b13f0895e23"
    password = "acme-admin-secret"
    roles = ["admin", "repository_admin"]

    [[tenant.token]]
    user = "admin@acme.example"
    token = "whole-acme-token"
"#;

/// Writes the site file into `folder`.
pub fn write(folder: &Path) -> PathBuf {
    let file = folder.join("site.toml");
    std::fs::write(&file, TEXT).expect("a temporary folder takes a file");
    file
}

/// How to start a server with this site, its data in `folder`.
pub fn start_in(folder: &Path) -> Start {
    Start::on(&folder.join("data")).site(&write(folder))
}

/// Makes an allocation for the admin, and answers its id.
pub fn allocation(client: &mut Client) -> String {
    let body = json!({
        "owner_type": "user", "owner_id": ADMIN_ID, "repository_id": REPOSITORY,
        "data_volume_limit": 1_u64 << 40, "max_records": 1_000_000,
    });
    text_of(&client.json("POST", "/api/allocations/", &body).expect("an answer").expect(201).json(), "id")
}

/// Uploads a record as it is.
pub fn upload_path(allocation: &str, filename: &str) -> String {
    format!("/api/records/?allocation_id={allocation}&filename={filename}")
}

/// A field that holds text.
pub fn text_of(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no text in {field:?} of {value}")).to_owned()
}

/// `plimsoll doctor`, as the operator sees it.
pub fn doctor(server: &Server) -> Value {
    server.client(OPERATOR).get("/plimsoll/v1/doctor").expect("an answer").expect(200).json()
}

/// Whether the doctor finds everything in order.
pub fn is_sound(report: &Value) -> bool {
    report["ok"] == true && report["drift"].as_array().is_some_and(Vec::is_empty)
}

/// Waits until `look` finds something: for what the server does in the background.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
