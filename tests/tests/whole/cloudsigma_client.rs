//! CloudSigma 2.0 by the clients people have: pycloudsigma and Apache Libcloud unmodified; and the drives themselves by the
//! programs that read images: `nbdinfo`, `nbdcopy`, `qemu-img`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Client, Server, Start};

use crate::site;

const DISK: &str = "11111111-1111-4111-8111-111111111111";
const CDROM: &str = "22222222-2222-4222-8222-222222222222";
const EMAIL: &str = "admin@acme.example";
const PASSWORD: &str = "acme-admin-secret";
/// `admin@acme.example:acme-admin-secret`.
const BASIC: &str = "Basic YWRtaW5AYWNtZS5leGFtcGxlOmFjbWUtYWRtaW4tc2VjcmV0";
const GIB: u64 = 1 << 30;

const DRIVES: &str = r#"
[[storage_type]]
name = "dssd"
default = true
pool = "disk"
limits = { bytes = "2 TiB" }
availability_groups = 2
size = { min = "512 MiB", max = "16 TiB" }

[[storage_type]]
name = "zadara"
pool = "disk"

[[storage_type]]
name = "nvme"
pool = "disk"
limits = { bytes = 0 }

[[library_drive]]
name = "Debian 12 (empty)"
uuid = "11111111-1111-4111-8111-111111111111"
media = "disk"
size = "1 GiB"
meta = { os = "linux", arch = "64", distribution = "debian", version = "12", image_type = "preinst" }

[[library_drive]]
name = "Installer"
uuid = "22222222-2222-4222-8222-222222222222"
media = "cdrom"
size = "1 GiB"
meta = { image_type = "install" }

[[license]]
name = "windows_server"
long_name = "Windows Server"
user_metric = "smp"
"#;

#[test]
fn pycloudsigma_and_libcloud_find_the_api_they_know() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let python = std::env::var_os("PLIMSOLL_TEST_PYTHON");
    let python = python.expect("PLIMSOLL_TEST_PYTHON is not set: run `cargo xtask test`, which sets it");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/cloudsigma_clients.py");
    let url = format!("http://{}", server.address());
    let arguments = [url.as_str(), EMAIL, PASSWORD, DISK, CDROM];
    let ran = Command::new(python).arg(script).args(arguments).output().expect("Python starts");
    let (said, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.ends_with("done\n"), "{said}\n{told}");
    assert!(site::is_sound(&site::doctor(&server)));
}

#[test]
fn a_running_servers_drive_is_exported_and_its_blocks_come_back_after_clone_and_snapshot() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let mut caller = caller(&server);
    let (drive, guest) = mounted(&mut caller);
    let url = started(&mut caller, folder.path(), &guest, &drive);
    assert!(run("nbdinfo", &["--size", &url]).trim() == GIB.to_string());
    // What a guest writes, a clone and a snapshot keep, while it goes on writing.
    let (then, now, back) =
        (filled(folder.path(), "then", b'A'), filled(folder.path(), "now", b'B'), path(folder.path(), "back"));
    run("nbdcopy", &[text(&then), &url]);
    let body = json!({ "drive": drive });
    let snapshot = one(&caller.json("POST", "/api/2.0/snapshots/", &body).unwrap().expect(201).json());
    let clone = format!("/api/2.0/drives/{drive}/action/?do=clone");
    let clone = one(&caller.json("POST", &clone, &json!({})).unwrap().expect(202).json());
    run("nbdcopy", &[text(&now), &url]);
    run("nbdcopy", &[&url, text(&back)]);
    assert!(same(&back, &now), "what was written is read back");
    let told = caller.get(&format!("/api/2.0/snapshots/{snapshot}/")).unwrap().expect(200).json();
    assert!(told["allocated_size"].as_u64().unwrap() >= 1 << 20, "{told}");
    act(&mut caller, &guest, "stop");
    assert!(failed("nbdinfo", &[&url]), "a stop ends the export");
    assert_eq!(read(&mut caller, &drive), b'B');
    assert_eq!(read(&mut caller, &clone), b'A');
    let of_snapshot = format!("/api/2.0/snapshots/{snapshot}/action/?do=clone");
    let of_snapshot = one(&caller.json("POST", &of_snapshot, &json!({})).unwrap().expect(202).json());
    assert_eq!(read(&mut caller, &of_snapshot), b'A');
    assert!(site::is_sound(&site::doctor(&server)));
}

#[test]
fn a_download_as_qcow2_is_an_image_that_qemu_knows_and_a_killed_server_exports_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let mut caller = caller(&server);
    let (drive, guest) = mounted(&mut caller);
    let url = started(&mut caller, folder.path(), &guest, &drive);
    let then = filled(folder.path(), "then", b'C');
    run("nbdcopy", &["--flush", text(&then), &url]);
    server.kill();
    let server = start_in(folder.path()).start();
    let mut caller = self::caller(&server);
    let back = path(folder.path(), "back");
    run("qemu-img", &["convert", "-f", "raw", "-O", "raw", &url, text(&back)]);
    assert!(same(&back, &then), "what was flushed is there after a kill -9");
    act(&mut caller, &guest, "stop");
    let answer = caller.get(&format!("/api/2.0/drives/{drive}/download/?format=qcow2")).unwrap().expect(200);
    let image = path(folder.path(), "image.qcow2");
    std::fs::write(&image, &answer.body).expect("a temporary folder takes a file");
    run("qemu-img", &["check", text(&image)]);
    run("qemu-img", &["compare", "-f", "qcow2", "-F", "raw", text(&image), text(&then)]);
    assert!(site::is_sound(&site::doctor(&server)));
}

#[test]
fn a_person_makes_clones_exports_and_imports_drives_on_the_command_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let drive = |arguments: &[&str]| {
        let ran = Command::new(tests::plimsoll())
            .args(["drive", arguments[0], "--data", text(&folder.path().join("data"))])
            .args(&arguments[1..])
            .args(["--user", EMAIL, "--password", PASSWORD])
            .current_dir(folder.path())
            .output()
            .expect("the binary starts");
        (ran.status.success(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    let done = |arguments: &[&str]| {
        let (is_success, said) = drive(arguments);
        assert!(is_success, "{arguments:?}: {said}");
        said
    };
    let (image, back) = (filled(folder.path(), "image.raw", b'D'), path(folder.path(), "back.raw"));
    assert!(done(&["import", text(&image), "--name", "first"]).contains("imported first as "));
    assert!(done(&["clone", "first", "--name", "second", "--type", "zadara"]).contains("cloned second as "));
    assert!(done(&["snapshot", "second", "--name", "then"]).starts_with("taken then as "));
    assert!(done(&["export", "second", "-o", text(&back)]).contains("exported second to "));
    assert!(same(&back, &image));
    done(&["export", "second", "--format", "qcow2"]);
    let qcow2 = path(folder.path(), "second.qcow2");
    run("qemu-img", &["check", text(&qcow2)]);
    assert!(done(&["import", text(&qcow2), "--name", "third"]).contains("imported third as "));
    done(&["export", "third", "-o", text(&back)]);
    assert!(same(&back, &image), "what came as qcow2 is what it was");
    assert!(done(&["create", "fourth", "1 GiB"]).contains("(1 GiB)"));
    let listed = done(&["ls"]);
    assert!(["first", "second", "third", "fourth"].iter().all(|name| listed.contains(name)), "{listed}");
    let (is_success, said) = drive(&["create", "fifth", "1 GiB", "--type", "nvme"]);
    assert!(!is_success && said.contains("cannot provide enough resources to create a nvme drive"), "{said}");
    assert!(!drive(&["clone", "nobody"]).0);
    assert!(site::is_sound(&site::doctor(&server)));
}

/// Spec, checklist 87: whatever was on its way, nothing is stuck afterwards, and the sums come out.
#[test]
fn after_a_kill_in_the_middle_of_everything_no_drive_is_stuck_and_each_is_charged_its_size() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for round in 0..ROUNDS {
        let server = start_in(folder.path()).start();
        let workers: Vec<_> = (0..4).map(|worker| std::thread::spawn(busy(caller(&server), worker))).collect();
        std::thread::sleep(Duration::from_millis(150 + 40 * round));
        server.kill();
        workers.into_iter().for_each(|worker| worker.join().expect("a worker only stops"));
    }
    let server = start_in(folder.path()).start();
    let mut caller = caller(&server);
    let since = Instant::now();
    let drives = loop {
        let mut listed = caller.get("/api/2.0/drives/detail/?limit=0").expect("an answer").expect(200).json();
        let drives = listed["objects"].as_array_mut().map(std::mem::take).expect("a list");
        // An upload in chunks waits until it is complete or deleted, and nothing else is on its way for long.
        let is_settled = |drive: &Value| drive["status"] == "unmounted" || drive["status"] == "uploading";
        if drives.iter().all(is_settled) {
            break drives;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "stuck: {drives:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(drives.len() > ROUNDS as usize, "{}", drives.len());
    let started = caller.get("/api/2.0/jobs/?state=started").expect("an answer").expect(200).json();
    assert_eq!(started["meta"]["total_count"], 0);
    assert!(site::is_sound(&site::doctor(&server)));
    let ids: Vec<Value> = drives.iter().map(|drive| json!({ "uuid": drive["uuid"] })).collect();
    for part in ids.chunks(500) {
        caller.json("DELETE", "/api/2.0/drives/", &json!(part)).expect("an answer").expect(204);
    }
    let usage = caller.get("/api/2.0/currentusage/").expect("an answer").expect(200).json();
    assert_eq!((&usage["usage"]["dssd"]["using"], &usage["usage"]["zadara"]["using"]), (&json!(0), &json!(0)));
    assert!(site::is_sound(&site::doctor(&server)));
}

/// How often the server is killed.
const ROUNDS: u64 = 6;

/// Somebody who makes, fills, grows, clones, snapshots and deletes drives until the server is gone.
fn busy(mut caller: Client, worker: u64) -> impl FnOnce() + Send + 'static {
    move || {
        let mut work = || -> std::io::Result<()> {
            for turn in 0.. {
                let named = format!("w{worker}-{turn}");
                let image = vec![worker as u8 + 1; 300_000];
                let made = caller.bytes("POST", &format!("/api/2.0/drives/upload/{named}/"), &image)?.text();
                let drive = format!("/api/2.0/drives/{made}/");
                let body = json!({ "name": named, "media": "disk", "size": GIB });
                caller.json("POST", &format!("{drive}action/?do=resize"), &body)?;
                caller.json("POST", &format!("{drive}action/?do=clone"), &json!({}))?;
                caller.json("POST", &format!("{drive}action/?do=clone"), &json!({ "storage_type": "zadara" }))?;
                caller.json("POST", "/api/2.0/snapshots/", &json!({ "drive": made }))?;
                caller.json("POST", "/api/2.0/initupload/", &json!({ "name": named, "media": "disk", "size": 5 }))?;
                if turn % 3 == 2 {
                    caller.call("DELETE", &drive)?;
                }
            }
            Ok(())
        };
        // It ends with the server.
        let _ = work();
    }
}

#[test]
fn the_example_site_has_no_nvme_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let mut caller = caller(&server);
    let body = json!({ "name": "d", "media": "disk", "size": GIB, "storage_type": "nvme" });
    let told = caller.json("POST", "/api/2.0/drives/", &body).unwrap().expect(503).json();
    let why = "We currently cannot provide enough resources to create a nvme drive";
    assert_eq!(told, json!([{ "error_type": "backend", "error_message": why, "error_point": null }]));
    // The other API below /api is where it was.
    caller.get("/api/allocations/").unwrap().expect(403);
    caller.get("/api/nothing/").unwrap().expect(404);
    let licenses = caller.get("/api/2.0/licenses/").unwrap().expect(200).json();
    assert_eq!(licenses["objects"][0]["name"], "windows_server");
}

fn start_in(folder: &Path) -> Start {
    let file = site::write(folder);
    let text = std::fs::read_to_string(&file).expect("it was just written");
    std::fs::write(&file, format!("{text}{DRIVES}")).expect("a temporary folder takes a file");
    Start::on(&folder.join("data")).site(&file)
}

fn caller(server: &Server) -> Client {
    server.anonymous().with("Authorization", BASIC)
}

fn one(answer: &Value) -> String {
    site::text_of(answer.get("objects").map_or(answer, |objects| &objects[0]), "uuid")
}

/// A drive of 1 GiB on a server.
fn mounted(caller: &mut Client) -> (String, String) {
    let body = json!({ "name": "d", "media": "disk", "size": GIB });
    let drive = one(&caller.json("POST", "/api/2.0/drives/", &body).expect("an answer").expect(201).json());
    let body = json!({ "name": "g", "cpu": 1000, "mem": GIB, "vnc_password": "x", "drives": [drive] });
    let guest = one(&caller.json("POST", "/api/2.0/servers/", &body).expect("an answer").expect(201).json());
    (drive, guest)
}

/// Starts a server; where its drive is found by NBD.
fn started(caller: &mut Client, folder: &Path, guest: &str, drive: &str) -> String {
    act(caller, guest, "start");
    format!("nbd+unix:///{drive}?socket={}", folder.join("data/nbd.sock").display())
}

fn act(caller: &mut Client, guest: &str, action: &str) {
    caller
        .json("POST", &format!("/api/2.0/servers/{guest}/action/?do={action}"), &json!({}))
        .expect("an answer")
        .expect(202);
}

/// The first byte of a drive, which is one that its whole beginning has.
fn read(caller: &mut Client, drive: &str) -> u8 {
    caller.get(&format!("/api/2.0/drives/{drive}/")).expect("an answer").expect(200);
    let path = format!("/api/2.0/drives/{drive}/download/");
    let part = caller.send("GET", &path, "Range: bytes=0-1048575\r\n", b"").expect("an answer").expect(206).body;
    assert!(part.len() == 1 << 20 && part.iter().all(|byte| *byte == part[0]));
    part[0]
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}

/// A raw image of 1 GiB whose first 2 MiB are this byte.
fn filled(folder: &Path, name: &str, byte: u8) -> PathBuf {
    let file = path(folder, name);
    std::fs::write(&file, vec![byte; 2 << 20]).expect("a temporary folder takes a file");
    let image = std::fs::OpenOptions::new().write(true).open(&file).expect("it was just written");
    image.set_len(GIB).expect("a sparse file");
    file
}

fn same(one: &Path, other: &Path) -> bool {
    !failed("qemu-img", &["compare", "-f", "raw", "-F", "raw", text(one), text(other)])
}

fn run(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program} is not there ({error}): run `cargo xtask test`"));
    assert!(ran.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn failed(program: &str, arguments: &[&str]) -> bool {
    !Command::new(program).args(arguments).output().expect("it is there").status.success()
}
