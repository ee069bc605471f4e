//! KooDrive, by a client of its own: Python's `requests`, and a signature made from the documentation.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::Server;

use crate::site;

const APP: &str = "a378331eca141163119eb602adb67b7802cc79cd33ba44c7d2fe61d1586c96a1";
const USER: &str = "1505084218764547200";
const TOKEN: &str = "whole-koodrive-token";

const DRIVE: &str = r#"
    [tenant.koodrive]
    department = "2000 GiB"
    individual = "1000 GiB"
    group = "500 GiB"
    users = [{ id = "1505084218764547200", user = "admin@acme.example", admin = true }]

    [[tenant.koodrive.app]]
    id = "a378331eca141163119eb602adb67b7802cc79cd33ba44c7d2fe61d1586c96a1"
    secret = "acme-app-secret"

    [[tenant.koodrive.token]]
    token = "whole-koodrive-token"
    user = "1505084218764547200"
"#;

#[test]
fn a_python_client_that_signs_for_itself_finds_what_is_documented() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(folder.path(), DRIVE);
    run(&server, "acme-app-secret");
    assert!(site::is_sound(&site::doctor(&server)));
}

#[test]
fn a_secret_that_changes_in_the_site_file_is_the_apps_from_then_on_and_no_secret_is_in_the_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Keys are sealed where the site has a key to seal with.
    let key = format!("encryption_key = \"{}\"\n", "5a".repeat(32));
    let file = write(folder.path(), &key, DRIVE);
    let server = tests::Start::on(&folder.path().join("data")).site(&file).start();
    drop(server);
    let file = write(folder.path(), &key, &DRIVE.replace("acme-app-secret", "another-app-secret"));
    let server = tests::Start::on(&folder.path().join("data")).site(&file).start();
    run(&server, "another-app-secret");
    server.kill();
    for name in ["plimsoll.db", "plimsoll.db-wal"] {
        let bytes = std::fs::read(folder.path().join("data").join(name)).unwrap_or_default();
        for secret in [&b"acme-app-secret"[..], b"another-app-secret"] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{name}");
        }
    }
}

#[test]
fn what_is_claimed_natively_shows_as_used_and_a_drive_with_spaces_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start(folder.path(), DRIVE);
    let mut drive = server.anonymous().with("Authorization", &format!("Bearer+{TOKEN}"));
    let made = json!({ "type": 1, "capacity": 1 });
    drive.json("POST", "/koodrive/ose/v1/space/600", &made).unwrap().expect(200);
    let space = |drive: &mut tests::Client| -> Value {
        drive.get("/koodrive/ose/v1/space/600?type=1").unwrap().expect(200).json()["data"].take()
    };
    let container = site::text_of(&space(&mut drive), "containerId");
    let mut native = server.client(site::ADMIN);
    let node = native.get(&format!("/plimsoll/v1/allotments/{container}")).unwrap().expect(200).json();
    let path = format!("acme/koodrive/individual/{container}");
    assert_eq!((&node["path"], &node["limits"]["bytes"]), (&json!(path), &json!(1 << 30)));
    let claim = |bytes: u64| json!({ "allotment_id": format!("path:{path}"), "amounts": { "bytes": bytes } });
    native.json("POST", "/plimsoll/v1/claims", &claim(3 << 20)).unwrap().expect(201);
    assert_eq!(space(&mut drive)["spaceUsed"], (3 << 10).to_string());
    native.json("POST", "/plimsoll/v1/claims", &claim(1 << 30)).unwrap().expect(409);
    let renamed = json!({ "name": "other" });
    native.json("PATCH", &format!("/plimsoll/v1/allotments/{container}"), &renamed).unwrap().expect(409);
    // A site file that no longer speaks of the drive would strand the space.
    let without = write(folder.path(), "", "");
    let applied = Command::new(tests::plimsoll())
        .args(["apply", &without.to_string_lossy(), "--data", &folder.path().join("data").to_string_lossy()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&applied.stderr).into_owned();
    assert!(!applied.status.success() && said.contains(&container), "{said}");
    drive.get("/koodrive/ose/v1/space/allocation/get").unwrap().expect(200);
    assert!(site::is_sound(&site::doctor(&server)));
}

fn start(folder: &Path, drive: &str) -> Server {
    let file = write(folder, "", drive);
    tests::Start::on(&folder.join("data")).site(&file).start()
}

/// The small site, with lines before and after it.
fn write(folder: &Path, before: &str, after: &str) -> std::path::PathBuf {
    let file = site::write(folder);
    let text = std::fs::read_to_string(&file).expect("it was just written");
    std::fs::write(&file, format!("{before}{text}{after}")).expect("a temporary folder takes a file");
    file
}

fn run(server: &Server, secret: &str) {
    let python = std::env::var_os("PLIMSOLL_TEST_PYTHON");
    let python = python.expect("PLIMSOLL_TEST_PYTHON is not set: run `cargo xtask test`, which sets it");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/koodrive.py");
    let url = format!("http://{}", server.address());
    let ran = Command::new(python).arg(script).args([&url, APP, secret, USER, TOKEN]).output().expect("Python starts");
    let (said, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.ends_with("done\n"), "{said}\n{told}");
}
