//! Cloud Foundry, by the clients that people have: cloudfoundry-client on v2 and v3, and cf-nodejs-client on v2.

use std::path::Path;
use std::process::Command;

use tests::{Client, Server, Start};

use crate::site;

/// The organization of the site file.
const ORGANIZATION: &str = "acme-org";

const ORGANIZATIONS: &str = r#"
    [[tenant.user]]
    email = "ana@acme.example"
    name = "Ana"
    password = "ana-secret"

    [[tenant.organization]]
    name = "acme-org"
    uuid = "c9b4ac17-ab4b-4368-b3e2-5cbf09b17a24"
    managers = ["ana@acme.example"]
    spaces = [{ name = "dev", developers = ["ana@acme.example"] }, { name = "old" }]
"#;

fn start_in(folder: &Path) -> Server {
    Start::on(&folder.join("data")).site(&write(folder, ORGANIZATIONS)).start()
}

fn write(folder: &Path, organizations: &str) -> std::path::PathBuf {
    let file = site::write(folder);
    let text = std::fs::read_to_string(&file).expect("it was just written");
    std::fs::write(&file, format!("{text}{organizations}")).expect("a temporary folder takes a file");
    file
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// Runs a client's script against a server of its own.
fn run(mut command: Command) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path());
    let url = format!("http://{}", server.address());
    let arguments = [&url, "admin@acme.example", "acme-admin-secret", ORGANIZATION];
    let ran = command.args(arguments).output().expect("the client starts");
    let (said, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.ends_with("done\n"), "{said}\n{told}");
    assert!(site::is_sound(&site::doctor(&server)));
}

#[test]
fn cloudfoundry_client_finds_v2_and_v3_as_it_knows_them() {
    let python = std::env::var_os("PLIMSOLL_TEST_PYTHON");
    let python = python.expect("PLIMSOLL_TEST_PYTHON is not set: run `cargo xtask test`, which sets it");
    let mut command = Command::new(python);
    command.arg(script("cloudfoundry.py"));
    run(command);
}

#[test]
fn cf_nodejs_client_finds_v2_as_it_knows_it() {
    let modules = std::env::var_os("PLIMSOLL_TEST_NODE_MODULES");
    let modules = modules.expect("PLIMSOLL_TEST_NODE_MODULES is not set: run `cargo xtask test`, which sets it");
    // Either a folder of modules or the one that holds it.
    let inner = Path::new(&modules).join("node_modules");
    let mut command = Command::new("node");
    command.env("NODE_PATH", if inner.is_dir() { inner } else { modules.into() });
    // It was written for an older Node, whose warnings are not ours.
    command.arg("--no-deprecation").arg(script("cloudfoundry.js"));
    run(command);
}

// Checklist 1
#[test]
fn a_program_finds_every_api_at_the_root_and_a_person_the_pages() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path());
    let told = server.anonymous().get("/").expect("an answer").expect(200).json();
    let href = |name: &str| told["links"][name]["href"].as_str().expect("a link").to_owned();
    let base = format!("http://{}", server.address());
    assert_eq!(href("cloud_controller_v2"), format!("{base}/v2"));
    assert_eq!(href("cloud_controller_v3"), format!("{base}/v3"));
    assert_eq!((href("login"), href("uaa"), href("self")), (base.clone(), base.clone(), base));
    assert_eq!(href("native"), "/plimsoll/v1");
    for none in ["logging", "log_stream", "credhub"] {
        assert!(told["links"].as_object().expect("an object")[none].is_null(), "{none}");
    }
    let person = Client::anonymous(server.address()).with("Accept", "text/html").get("/").expect("an answer");
    assert!((300..400).contains(&person.status), "{}", person.status);
}

#[test]
fn an_organization_that_the_site_file_changes_is_another_and_one_that_is_used_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path());
    let apply = |organizations: &str| {
        let file = write(folder.path(), organizations);
        let data = folder.path().join("data");
        let out = Command::new(tests::plimsoll()).arg("apply").arg(file).arg("--data").arg(data).output();
        let out = out.expect("the binary starts");
        (
            out.status.success(),
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)),
        )
    };
    assert_eq!(apply(ORGANIZATIONS).1, "nothing to change\n");
    let form = b"grant_type=password&username=ana%40acme.example&password=ana-secret";
    let mut client = server.anonymous().with("Authorization", "Basic Y2Y6");
    let token = client.bytes("POST", "/oauth/token", form).expect("an answer").expect(200).json();
    let mut ana = Client::bearer(server.address(), token["access_token"].as_str().expect("a token"));
    let spaces = ana.get("/v2/spaces").expect("an answer").expect(200).json();
    assert_eq!(spaces["total_results"], 2);
    let space = spaces["resources"][0]["metadata"]["guid"].clone();
    let app = serde_json::json!({ "name": "app", "space_guid": space, "memory": 64, "state": "STARTED" });
    ana.json("POST", "/v2/apps", &app).expect("an answer").expect(201);
    // An empty space goes, another comes, and somebody is no manager any more.
    let changed =
        ORGANIZATIONS.replace("\"old\"", "\"new\"").replace("managers = [\"ana@acme.example\"]", "managers = []");
    let (is_done, said) = apply(&changed);
    assert!(is_done, "{said}");
    let spaces = ana.get("/v2/spaces").expect("an answer").expect(200).json();
    assert_eq!(spaces["total_results"], 1, "she sees the one she develops in");
    assert_eq!(apply(&changed).1, "nothing to change\n");
    let space = changed.replace("{ name = \"dev\", developers = [\"ana@acme.example\"] }, ", "");
    let whole = ORGANIZATIONS.split("    [[tenant.organization]]").next().expect("the people");
    for gone in [space.as_str(), whole] {
        let (is_done, said) = apply(gone);
        assert!(!is_done && said.contains("64 memory_mb"), "{said}");
    }
    let path = format!("/v2/apps/{}", guid_of_app(&mut ana));
    ana.call("DELETE", &path).expect("an answer").expect(204);
    let (is_done, said) = apply(whole);
    assert!(is_done, "{said}");
    ana.get("/v2/organizations/c9b4ac17-ab4b-4368-b3e2-5cbf09b17a24").expect("an answer").expect(404);
    assert!(site::is_sound(&site::doctor(&server)));
}

fn guid_of_app(client: &mut Client) -> String {
    let apps = client.get("/v2/apps").expect("an answer").expect(200).json();
    apps["resources"][0]["metadata"]["guid"].as_str().expect("an app").to_owned()
}
