//! The arrows of the house: which crate may lean on which, and what may not enter it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate may depend on, among ours. A face is any crate below `crates/faces`.
const MAY_LEAN_ON: [(&str, &[&str]); 9] = [
    ("ledger", &[]),
    ("site", &["ledger"]),
    ("store", &["ledger"]),
    ("content", &["ledger", "store"]),
    ("identity", &["ledger", "store", "site"]),
    ("api", &["ledger", "store", "content", "identity", "site"]),
    ("xtask", &[]),
    ("tests", &[]),
    ("bench", &["tests"]),
];
const A_FACE_MAY_LEAN_ON: &[&str] = &["ledger", "store", "content", "identity", "site"];

/// All that the pure core needs: no I/O, no clock, no async can come in through these.
const LEDGER_NEEDS: &[&str] = &["serde", "smallvec", "thiserror", "uuid"];

/// Doors: crates of others, and the only ones of ours that may use them.
const DOORS: [(&str, &[&str]); 7] = [
    ("rusqlite", &["store", "bench"]),
    ("postgres", &["store", "bench"]),
    ("refinery", &["store"]),
    ("hyper", &["plimsoll"]),
    ("hyper-util", &["plimsoll"]),
    ("tokio-rustls", &["plimsoll"]),
    ("argon2", &["identity"]),
];

/// One crate of the workspace.
struct Crate {
    is_face: bool,
    /// What it depends on, tests aside.
    needs: BTreeSet<String>,
}

fn crates() -> BTreeMap<String, Crate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let out = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo starts");
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a workspace has packages");
    packages.iter().map(read).collect()
}

fn read(package: &Value) -> (String, Crate) {
    let is_face = package["manifest_path"].as_str().is_some_and(|path| path.contains("/crates/faces/"));
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    // The kind of an ordinary dependency is null.
    let ordinary = dependencies.filter(|dependency| dependency["kind"].is_null());
    let needs = ordinary.filter_map(|dependency| dependency["name"].as_str()).map(str::to_owned).collect();
    (package["name"].as_str().unwrap_or_default().to_owned(), Crate { is_face, needs })
}

#[test]
fn dependencies_go_one_way() {
    let crates = crates();
    let mut wrong = Vec::new();
    for (name, it) in &crates {
        let may: Vec<&str> = match MAY_LEAN_ON.iter().find(|(known, _)| known == name) {
            Some((_, may)) => may.to_vec(),
            None if it.is_face => A_FACE_MAY_LEAN_ON.to_vec(),
            // The binary composes all of it, but nothing that tests or builds it.
            None if name == "plimsoll" => {
                crates.keys().map(String::as_str).filter(|ours| !["xtask", "tests", "bench"].contains(ours)).collect()
            }
            None => panic!("{name} is a new crate: say in this test what it may lean on"),
        };
        let ours = it.needs.iter().filter(|need| crates.contains_key(*need));
        wrong.extend(ours.filter(|need| !may.contains(&need.as_str())).map(|need| format!("{name} -> {need}")));
    }
    assert!(wrong.is_empty(), "against the arrows: {wrong:?}");
}

#[test]
fn the_ledger_is_pure_and_every_door_has_its_keeper() {
    let crates = crates();
    let strangers: Vec<_> =
        crates["ledger"].needs.iter().filter(|need| !LEDGER_NEEDS.contains(&need.as_str())).collect();
    assert!(strangers.is_empty(), "the ledger needs {strangers:?}");
    for (door, keepers) in DOORS {
        let users = crates.iter().filter(|(_, it)| it.needs.contains(door)).map(|(name, _)| name.as_str());
        let others: Vec<_> = users.filter(|name| !keepers.contains(name)).collect();
        assert!(others.is_empty(), "{door} is for {keepers:?}, and {others:?} use it");
    }
}
