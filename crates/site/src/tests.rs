//! The crate as its users see it: a text goes in, a site or sentences come out, and a plan leads from one to the next.

use serde_json::json;

use crate::{Action, Objects, Secret, Site, SiteError, Source, from_json, plan, settle, to_json};

/// Close to the example that operators start from: every noun, every form of value.
const EXAMPLE: &str = include_str!("../site.example.toml");

fn parse(text: &str) -> Result<Site, Vec<SiteError>> {
    Site::parse(text, &|source| match source {
        Source::Env("ADMIN_PASSWORD") => Ok("from the environment".into()),
        Source::File("/run/secrets/token") => Ok("from a file\n".into()),
        _ => Err("there is none".into()),
    })
}

#[track_caller]
fn faults(text: &str) -> Vec<String> {
    parse(text).expect_err("it has faults").iter().map(ToString::to_string).collect()
}

/// Stands for argon2: another salt each time, and the same hash kept for the same password.
fn objects(text: &str, before: &Objects) -> Objects {
    let keep = |secret: &Secret, old: Option<&str>| match old {
        Some(old) if old.strip_suffix(secret.expose()).is_some() => old.to_owned(),
        _ => format!("salt {} of {}", before.len(), secret.expose()),
    };
    parse(text).expect("a good site").objects(before, &keep)
}

/// Applies a file on a base, and answers the lines of the plan.
fn apply(text: &str, base: &mut Objects) -> Vec<String> {
    let want = objects(text, base);
    let changes = plan(base, &want);
    changes.iter().for_each(|change| settle(base, change, &want));
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn the_example_is_a_site() {
    let site = parse(EXAMPLE).expect("the example has no fault");
    assert_eq!(site.default_pool().map(|pool| pool.limits.get(ledger::Resource::BYTES)), Some(20 << 40));
    assert_eq!(site.default_pool().and_then(|pool| pool.overcommit).map(|ratio| ratio.permille), Some(4000));
    let acme = site.tenant("acme").expect("the tenant");
    assert_eq!(acme.limits.get(ledger::Resource::OBJECTS), 1_000_000);
    assert!(acme.user("admin@acme.example").is_some_and(|user| user.admin && user.repository_admin));
    assert_eq!(acme.koodrive.as_ref().map(|drive| drive.department), Some(2000 << 30));
    assert_eq!(acme.partners[0].tokens.len(), 3);
}

#[test]
fn a_site_applied_twice_changes_nothing() {
    let mut base = Objects::new();
    let first = apply(EXAMPLE, &mut base);
    assert!(first.iter().all(|line| line.starts_with("+ ")), "{first:#?}");
    assert_eq!(apply(EXAMPLE, &mut base), [""; 0]);
    let kept = from_json(serde_json::from_str(&to_json(&base).to_string()).expect("JSON"));
    assert_eq!(kept, Ok(base), "what is kept comes back the same");
}

#[test]
fn parents_come_before_children_and_are_removed_after_them() {
    let mut base = Objects::new();
    let made = apply(EXAMPLE, &mut base);
    let place = |lines: &[String], what: &str| lines.iter().position(|line| line.ends_with(what)).expect(what);
    let chain = ["pool/disk", "repository/cold-store", "tenant/acme", "user/ana@acme.example", "project/climate"];
    assert!(chain.is_sorted_by_key(|what| place(&made, what)), "{made:#?}");
    let gone = apply("", &mut base);
    assert!(chain.iter().rev().is_sorted_by_key(|what| place(&gone, what)), "{gone:#?}");
    assert!(base.is_empty());
}

#[test]
fn what_changed_in_the_file_is_changed_field_by_field() {
    let mut base = Objects::new();
    apply(EXAMPLE, &mut base);
    let changed = EXAMPLE
        .replace("bytes = \"4 TiB\", objects = 1_000_000", "bytes = \"5 TiB\"")
        .replace("role = \"manager\"", "role = \"admin\"")
        .replace("\"ana-secret\"", "\"another\"")
        .replace("name = \"Globex Admin\"", "name = \"Glo\"");
    assert_eq!(
        apply(&changed, &mut base),
        [
            "~ tenant/acme: limits.bytes 4 TiB -> 5 TiB, limits.objects 1000000 -> none",
            "~ tenant/acme/user/ana@acme.example: password changed",
            "~ tenant/globex/user/admin@globex.example: name Globex Admin -> Glo",
            "~ tenant/acme/project/climate: members.ana@acme.example manager -> admin",
        ]
    );
    assert_eq!(apply(&changed, &mut base), [""; 0]);
}

#[test]
fn room_is_given_back_before_it_is_taken() {
    let site = |cold: &str, dssd: &str| {
        format!(
            "[[pool]]\nname = \"disk\"\n[[repository]]\nname = \"cold\"\nlimits = {{ bytes = \"{cold}\" }}\n\
             [[storage_type]]\nname = \"dssd\"\nlimits = {{ bytes = \"{dssd}\" }}"
        )
    };
    let mut base = Objects::new();
    apply(&site("1 TiB", "2 TiB"), &mut base);
    let moved = apply(&site("2 TiB", "1 TiB"), &mut base);
    assert_eq!(
        moved,
        ["~ storage_type/dssd: limits.bytes 2 TiB -> 1 TiB", "~ repository/cold: limits.bytes 1 TiB -> 2 TiB"]
    );
}

#[test]
fn a_token_that_is_replaced_is_removed_and_made() {
    let mut base = Objects::new();
    apply(EXAMPLE, &mut base);
    let changes = apply(&EXAMPLE.replace("acme-native-token", "another-token"), &mut base);
    assert_eq!(changes.len(), 2);
    assert!(changes[0].starts_with("- tenant/acme/token/") && changes[1].starts_with("+ tenant/acme/token/"));
}

#[test]
fn no_secret_is_among_the_objects_or_in_debug_output() {
    let site = parse(EXAMPLE).expect("the example");
    let hash = |_: &Secret, _: Option<&str>| "$argon2id$…".to_owned();
    let shown = format!("{site:?} {:?}", to_json(&site.objects(&Objects::new(), &hash)));
    for line in EXAMPLE.lines().filter(|line| line.contains("secret\"") || line.contains("-token\"")) {
        let secret = line.split('"').nth(1).expect("a quoted secret");
        assert!(!shown.contains(secret), "{secret} shows");
    }
}

#[test]
fn secrets_come_from_the_environment_or_a_file() {
    let text =
        "[[operator]]\nemail = \"o@x.example\"\npassword = \"env:ADMIN_PASSWORD\"\ntoken = \"file:/run/secrets/token\"";
    let site = parse(text).expect("a good site");
    let operator = &site.operators[0];
    assert_eq!(operator.password.as_ref().map(Secret::expose), Some("from the environment"));
    assert_eq!(operator.token.as_ref().map(Secret::expose), Some("from a file"), "without the newline");
    assert_eq!(
        faults("[[operator]]\nemail = \"o@x.example\"\npassword = \"env:NO\""),
        ["line 3: operator o@x.example: `password`: env:NO: there is none"]
    );
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_a_suggestion() {
    assert_eq!(
        faults("[[pool]]\nname = \"disk\"\nlimit = 5\n\n[[pol]]\nname = \"x\""),
        [
            "line 3: pool disk: unknown key `limit` (did you mean `limits`?)",
            "line 5: unknown key `pol` (did you mean `pool`?)"
        ]
    );
    assert_eq!(
        faults("[[tenant]]\nname = \"acme\"\n[[tenant.user]]\nemail = \"a@b\"\nzebra = 1"),
        ["line 5: tenant acme, user a@b: unknown key `zebra` (known: email, roles, name, uuid, password, limits)"]
    );
    assert_eq!(
        faults("[[pool]]\nname = \"disk\"\nlimits = { byte = 5 }"),
        ["line 3: pool disk: `limits`: there is no resource `byte` (did you mean `bytes`?)"]
    );
}

#[test]
fn what_has_the_wrong_form_is_told_all_at_once() {
    let text = r#"
public_url = "space.example"
encryption_key = "1234"
[[pool]]
name = "Big Disk"
default = "yes"
overcommit = -1
limits = { bytes = "20 TB!", objects = -1 }
[[tenant]]
uuid = "not-one"
[[tenant.user]]
email = "nobody"
roles = ["admn"]
password = 5
"#;
    let told = faults(text);
    let expected = [
        "line 2: `public_url`: \"space.example\" is not of the form https://host or https://host:port",
        "line 3: `encryption_key` must be 64 hex digits (make one with: openssl rand -hex 32)",
        "line 5: pool Big Disk: `name`: \"Big Disk\" is not a name: 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit",
        "line 6: pool Big Disk: `default` must be true or false, not a string",
        "line 7: pool Big Disk: `overcommit` must be a ratio from 0 to 4294967, such as 1.5, not a whole number",
        "line 8: pool Big Disk: `bytes`: \"TB!\" is not a unit of size: B, KB, MB, GB, TB, PB, EB, or KiB, MiB, GiB, TiB, PiB, EiB",
        "line 8: pool Big Disk: `objects` must be 0 to 9223372036854775807, not -1",
        "line 9: tenant: `name` is missing",
        "line 10: tenant: `uuid`: \"not-one\" is not a UUID",
        "line 12: tenant, user nobody: `email`: \"nobody\" is not an e-mail address",
        "line 13: tenant, user nobody: `roles`: \"admn\" is not one of admin, repository_admin (did you mean `admin`?)",
        "line 14: tenant, user nobody: `password` must be a string: the secret, `env:NAME` or `file:PATH`",
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_reference_that_leads_nowhere_is_told() {
    let text = r#"
[[pool]]
name = "disk"
default = true
[[pool]]
name = "tape"
default = true
[[repository]]
name = "cold"
pool = "dsk"
[[storage_type]]
name = "cold"
pool = "disk"
[[repository]]
name = "warm"
pool = "disk"
limits = { bytes = 10 }
[[tenant]]
name = "acme"
[[tenant.user]]
email = "ana@acme.example"
[[tenant.token]]
user = "anna@acme.example"
token = "t"
[[tenant.project]]
name = "climate"
members = [{ user = "bob@globex.example" }]
[tenant.koodrive]
department = 0
individual = 0
group = 0
users = [{ id = "1", user = "ana@acme.example" }]
[[tenant.koodrive.token]]
token = "k"
user = "2"
"#;
    assert_eq!(
        faults(text),
        [
            "line 5: pools disk and tape are both the default one: content lies in one",
            "line 8: repository cold: there is no pool \"dsk\" (did you mean `disk`?)",
            "line 22: tenant acme: there is no user of the tenant \"anna@acme.example\" (did you mean `ana@acme.example`?)",
            "line 27: tenant acme, project climate: there is no user of the tenant \"bob@globex.example\"",
            "line 33: tenant acme, koodrive: there is no koodrive user of the tenant \"2\"",
        ]
    );
}

#[test]
fn what_must_be_unique_is() {
    let text = r#"
[[pool]]
name = "disk"
limits = { bytes = 10 }
overcommit = 1.5
[[repository]]
name = "cold"
limits = { bytes = 16 }
[[storage_type]]
name = "cold"
[[tenant]]
name = "acme"
uuid = "5b4a69a3-8e78-4c45-a8ba-8b13f0895e23"
user = [{ email = "ana@acme.example" }, { email = "Ana@acme.example" }]
token = [{ user = "ana@acme.example", token = "t" }, { user = "ana@acme.example", token = "t" }]
[[tenant.partner]]
name = "voice"
login = "voice"
[[tenant]]
name = "acme"
uuid = "5B4A69A3-8E78-4C45-A8BA-8B13F0895E23"
"#;
    assert_eq!(
        faults(text),
        [
            "line 2: pool disk: what lies in it is promised 16 bytes in all, and its limits allow 15",
            "line 9: storage_type cold: the pool disk has a repository of that name, on line 6",
            "line 14: the e-mail \"Ana@acme.example\" is there twice: first on line 14",
            "line 15: this token is there twice: first on line 15",
            "line 16: tenant acme, partner voice: `login` and `password` go together: give both or neither",
            "line 19: tenant \"acme\" is there twice: first on line 11",
            "line 19: the uuid \"5b4a69a3-8e78-4c45-a8ba-8b13f0895e23\" is there twice: first on line 11",
        ]
    );
}

#[test]
fn broken_toml_is_told_without_quoting_the_line() {
    let told = faults("[[operator]]\nemail = \"o@x.example\"\npassword = \"hunter2\n");
    assert!(told[0].starts_with("line 3: ") && !told[0].contains("hunter2"), "{told:?}");
}

#[test]
fn a_site_may_add_resources_and_limit_them() {
    let text = "[[resource]]\nname = \"gpus\"\n[[tenant]]\nname = \"acme\"\nlimits = { gpus = 4 }";
    let site = parse(text).expect("a good site");
    let objects = site.objects(&Objects::new(), &|_, _| String::new());
    assert_eq!(
        to_json(&objects),
        json!({ "resource/gpus": {}, "tenant/acme": { "limits": { "gpus": 4 } } }),
        "and the objects are what the file says, no more"
    );
    assert!(plan(&Objects::new(), &objects).iter().all(|change| change.action == Action::Create));
    assert_eq!(
        faults("[[resource]]\nname = \"GPUs\""),
        ["line 1: resource GPUs: resource \"GPUs\": a name is 1 to 32 of a-z, 0-9 and _, and starts with a letter"]
    );
}
