//! CarrierX, by a client of its own, by our command line, and over a network that breaks.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::{Client, Server, Start};

use crate::site::{self, eventually, text_of};

/// Acme's partner.
const PARTNER: &str = "e00430c3-a7d0-4666-ab5c-f7202448382f";
pub const TOKEN: &str = "5ebc03d6-8b2b-44ad-bf65-72d4f1491dda";

const PARTNERS: &str = r#"
    [[tenant.partner]]
    name = "acme-voice"
    uuid = "e00430c3-a7d0-4666-ab5c-f7202448382f"
    login = "acme-voice"
    password = "acme-voice-secret"
    max_containers = 100
    tokens = [{ token = "5ebc03d6-8b2b-44ad-bf65-72d4f1491dda", scopes = ["storage.manage"] }]

    [[tenant.partner]]
    name = "acme-fax"
    tokens = [{ token = "fax-token", scopes = ["storage.manage"] }]
"#;

/// How to start a server with two partners.
pub fn start_in(folder: &Path) -> Start {
    Start::on(&folder.join("data")).site(&write(folder, PARTNERS))
}

fn write(folder: &Path, partners: &str) -> std::path::PathBuf {
    let file = site::write(folder);
    let text = std::fs::read_to_string(&file).expect("it was just written");
    std::fs::write(&file, format!("{text}{partners}")).expect("a temporary folder takes a file");
    file
}

/// A container of acme's partner.
pub fn container(client: &mut Client, body: &Value) -> String {
    let made = client.json("POST", "/core/v2/storage/containers", body).expect("an answer").expect(200);
    text_of(&made.json(), "container_sid")
}

/// Bytes and files in it.
pub fn used(client: &mut Client, container: &str) -> (u64, u64) {
    let told = client.get(&format!("/core/v2/storage/containers/{container}")).expect("an answer").expect(200).json();
    (told["total_bytes"].as_u64().expect("a number"), told["total_files"].as_u64().expect("a number"))
}

// Checklist 51
#[test]
fn a_client_with_the_vendors_habits_finds_what_is_documented() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let python = std::env::var_os("PLIMSOLL_TEST_PYTHON");
    let python = python.expect("PLIMSOLL_TEST_PYTHON is not set: run `cargo xtask test`, which sets it");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/carrierx.py");
    let url = format!("http://{}", server.address());
    let arguments = [&url, TOKEN, "acme-voice", "acme-voice-secret", PARTNER];
    let ran = Command::new(python).arg(script).args(arguments).output().expect("Python starts");
    let (said, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.ends_with("done\n"), "{said}\n{told}");
    assert!(site::is_sound(&site::doctor(&server)));
}

// Checklist 50 and 52
#[test]
fn a_file_ends_although_the_server_died_meanwhile() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = start_in(folder.path());
    let server = start.start();
    let mut partner = server.client(TOKEN);
    let container = container(&mut partner, &json!({ "name": "short" }));
    let upload = |partner: &mut Client, ttl: i64| {
        let query = format!("container_sid={container}&lifecycle_action=delete&lifecycle_ttl={ttl}");
        let stored = partner.bytes("POST", &format!("/core/v2/storage/files?{query}"), &[7; 100_000]);
        text_of(&stored.expect("an answer").expect(201).json(), "file_sid")
    };
    let (short, long) = (upload(&mut partner, 1), upload(&mut partner, 1000));
    server.kill();
    let server = start.start();
    let mut partner = server.client(TOKEN);
    eventually("the file to end and its room to be free", || {
        (used(&mut partner, &container) == (100_000, 1)).then_some(())
    });
    partner.get(&format!("/core/v2/storage/files/{short}")).expect("an answer").expect(404);
    let kept = partner.get(&format!("/core/v2/storage/files/{long}/data")).expect("an answer").expect(200);
    assert_eq!(kept.body, [7; 100_000]);
    eventually("the bytes to be gone", || site::is_sound(&site::doctor(&server)).then_some(()));
}

// Checklist 40
#[test]
fn a_connection_that_breaks_leaves_no_bytes_and_no_claim() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let mut partner = server.client(TOKEN);
    let container = container(&mut partner, &json!({ "quota_bytes": 4_000_000 }));
    let mut native = server.client(site::ADMIN);
    let mut pending = || {
        let claims = native.get("/plimsoll/v1/claims?state=pending").expect("an answer").expect(200).json();
        claims["items"].as_array().expect("a list").len()
    };
    for size in [1000, 4_000_000] {
        let mut stream = TcpStream::connect(server.address()).expect("the server listens");
        let head = format!(
            "POST /core/v2/storage/files?container_sid={container} HTTP/1.1\r\nHost: x\r\n\
             Authorization: Bearer {TOKEN}\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {size}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the head goes");
        stream.write_all(&vec![7; size / 2]).expect("half the body goes");
        // What is small is charged in the commit that stores it, and not before.
        if size > 100_000 {
            eventually("the upload to be under way", || (pending() == 1).then_some(()));
        }
        drop(stream);
        eventually("the claim to be given back", || (pending() == 0).then_some(()));
    }
    assert_eq!(used(&mut partner, &container), (0, 0));
    eventually("the bytes to be gone", || {
        (crate::crash::files_in(&folder.path().join("data/blobs")) == 0).then_some(())
    });
    // All the room is there again.
    let path = format!("/core/v2/storage/files?container_sid={container}");
    partner.bytes("POST", &path, &vec![7; 4_000_000]).expect("an answer").expect(201);
    assert!(site::is_sound(&site::doctor(&server)));
}

#[test]
fn a_partner_that_the_site_file_changes_is_another_and_one_with_containers_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let container = container(&mut server.client(TOKEN), &json!({}));
    let apply = |partners: &str| {
        let file = write(folder.path(), partners);
        let data = folder.path().join("data");
        let out = Command::new(tests::plimsoll()).arg("apply").arg(file).arg("--data").arg(data).output();
        let out = out.expect("the binary starts");
        (
            out.status.success(),
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)),
        )
    };
    let default = "6f0e5d0a-6a3c-4f0e-9d52-0d3b8f6f9a11";
    let changed = PARTNERS.replace(TOKEN, "another-token").replace("max_containers = 100", "max_containers = 2");
    let changed = changed.replace("login = ", &format!("default_container = \"{default}\"\n    login = "));
    let (is_done, said) = apply(&changed);
    assert!(is_done && said.contains("tokens changed") && !said.contains("another-token"), "{said}");
    assert_eq!(apply(&changed).1, "nothing to change\n");
    server.client(TOKEN).get("/core/v2/storage/containers").expect("an answer").expect(401);
    let mut partner = server.client("another-token");
    partner.json("POST", "/core/v2/storage/containers", &json!({})).expect("an answer").expect(422);
    partner.bytes("POST", "/core/v2/storage/files", b"12345").expect("an answer").expect(201);
    assert_eq!(used(&mut partner, default), (5, 1));
    let (is_done, said) = apply("");
    assert!(!is_done && said.contains(&format!("acme-voice/containers/{container}")), "{said}");
    let native = server.client(site::ADMIN).get("/plimsoll/v1/allotments/path:acme%2Fpartners%2Facme-voice");
    assert_eq!(native.expect("an answer").expect(200).json()["limits"]["containers"], 2);
    assert!(site::is_sound(&site::doctor(&server)));
}

/// What a command prints, and whether it ended well.
fn typed(server: &Server, folder: &Path, words: &[&str], token: &str) -> (bool, String) {
    assert!(server.pid() > 0, "the server runs beside it");
    let mut command = Command::new(tests::plimsoll());
    command.args(words).arg("--data").arg(folder.join("data")).current_dir(folder);
    let out = command.env("PLIMSOLL_TOKEN", token).env_remove("PLIMSOLL_DATA").output().expect("the binary starts");
    (out.status.success(), format!("{}{}", String::from_utf8_lossy(&out.stderr), String::from_utf8_lossy(&out.stdout)))
}

#[test]
fn the_command_line_puts_files_and_gets_them_back_from_where_it_stopped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let container = container(&mut server.client(TOKEN), &json!({ "name": "greetings", "quota_bytes": 21 << 20 }));
    let content: Vec<u8> = (0..20_u32 << 20).map(|at| (at * 31 + at / 251) as u8).collect();
    std::fs::write(folder.path().join("song one.mp3"), &content).expect("a temporary folder takes a file");
    let url = format!("http://{}", server.address());
    let run = |words: &[&str]| typed(&server, folder.path(), words, TOKEN);

    let (is_done, said) = run(&["put", "song one.mp3", "acme-voice/greetings"]);
    assert!(
        is_done && said.contains("stored song one.mp3 as ") && said.contains("sent 20 MiB of 20 MiB (100 %)"),
        "{said}"
    );
    assert_eq!(used(&mut server.client(TOKEN), &container), (20 << 20, 1));
    let (is_done, said) = run(&["put", "song one.mp3", "acme-voice/greetings", "--url", &url]);
    assert!(!is_done && said.contains(&format!("quota_bytes: container quota exceeded ({container})")), "{said}");

    // A part is here; it goes on behind it.
    std::fs::write(folder.path().join("copy.mp3.part"), &content[..5 << 20]).expect("a temporary folder takes a file");
    let (is_done, said) = run(&["get", "acme-voice/greetings/song one.mp3", "-o", "copy.mp3", "--url", &url]);
    assert!(is_done && said.contains("fetched copy.mp3 (20 MiB, 5 MiB of it before)"), "{said}");
    assert!(std::fs::read(folder.path().join("copy.mp3")).expect("it is there") == content);
    assert!(!folder.path().join("copy.mp3.part").exists());
    // A part of something else is found out.
    std::fs::write(folder.path().join("copy.mp3.part"), vec![0; 5 << 20]).expect("a temporary folder takes a file");
    let (is_done, said) = run(&["get", "acme-voice/greetings/song one.mp3", "-o", "copy.mp3"]);
    assert!(!is_done && said.contains("is not what the server has"), "{said}");
    let (is_done, said) = run(&["get", &format!("{PARTNER}/{container}/song one.mp3"), "-o", "copy.mp3"]);
    assert!(is_done && said.contains("fetched copy.mp3 (20 MiB)"), "{said}");
    std::fs::remove_file(folder.path().join("song one.mp3")).expect("it is there");
    std::fs::rename(folder.path().join("copy.mp3"), folder.path().join("song one.mp3.part")).expect("it is there");
    let (is_done, said) = run(&["get", "acme-voice/greetings/song one.mp3"]);
    assert!(is_done && said.contains("fetched song one.mp3 (20 MiB, 20 MiB of it before)"), "{said}");
    assert!(std::fs::read(folder.path().join("song one.mp3")).expect("it is there") == content);

    for (words, told) in [
        (&["put", "nothing", "acme-voice/greetings"][..], "cannot open nothing"),
        (&["put", "song one.mp3", "greetings"], "is not of the form PARTNER/CONTAINER"),
        (&["put", "song one.mp3", "acme-voice/other"], "there is no container other"),
        (&["put", "song one.mp3", "acme-fax/greetings"], "this token is not one of the partner acme-fax"),
        (&["get", "acme-voice/greetings/other"], "there is no file other"),
        (&["get", "acme-voice/greetings/song one.mp3", "--token", "wrong"], "bad credentials"),
    ] {
        let (is_done, said) = run(words);
        assert!(!is_done && said.contains(told), "{words:?}: {said}");
    }
    let (is_done, said) = typed(&server, folder.path(), &["put", "song one.mp3", "acme-fax/greetings"], "fax-token");
    assert!(!is_done && said.contains("there is no container greetings"), "{said}");
}
