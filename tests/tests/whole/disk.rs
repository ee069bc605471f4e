//! A disk that is full: nothing more goes in, everything still comes out, and it heals by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tests::{Client, Server};

use crate::site::{self, ADMIN, eventually, is_sound, text_of};

/// A small disk in memory. Dropping it takes it away.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None where we may not mount, which is said.
    fn of_mib(size: u32) -> Option<Disk> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}m"), "tmpfs"]).arg(folder.path());
        if !mount.output().is_ok_and(|out| out.status.success()) {
            eprintln!("not run: only root may mount a small disk");
            return None;
        }
        Some(Disk(folder))
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder()).status();
    }
}

/// Uploads files of `size` until the server has no room; the ids of those it took.
fn fill(client: &mut Client, allocation: &str, size: usize) -> Vec<String> {
    let mut taken = Vec::new();
    loop {
        let path = site::upload_path(allocation, &format!("{size}-{}.bin", taken.len()));
        let answer = client.bytes("POST", &path, &vec![taken.len() as u8; size]).expect("an answer");
        match answer.status {
            201 => taken.push(text_of(&answer.json(), "id")),
            507 => return taken,
            other => panic!("a full disk was answered {other}: {}", answer.text()),
        }
        assert!(taken.len() < 10_000, "the small disk takes everything");
    }
}

fn delete(client: &mut Client, ids: &[String]) {
    for id in ids {
        client.call("DELETE", &format!("/api/records/{id}/")).expect("an answer").expect(204);
    }
}

#[test]
fn a_full_disk_refuses_growth_lets_go_of_everything_and_heals_by_itself() {
    let Some(disk) = Disk::of_mib(DISK_MIB) else { return };
    let server = site::start_in(&data_folder(&disk)).start();
    let mut admin = server.client(ADMIN);
    let allocation = site::allocation(&mut admin);
    let held =
        admin.json("POST", "/plimsoll/v1/claims", &json!({"allotment_id": "path:acme", "amounts": {"bytes": 1}}));
    let held = text_of(&held.expect("an answer").expect(201).json(), "id");

    let large = fill(&mut admin, &allocation, 1 << 20);
    let small = fill(&mut admin, &allocation, 4 << 10);
    assert!(large.len() > 3, "only {} large files fitted", large.len());
    check_full(&server, &large, 1 << 20);

    delete(&mut admin, &large[..3]);
    delete(&mut admin, &small);
    admin.call("DELETE", &format!("/plimsoll/v1/claims/{held}")).expect("an answer").expect(204);

    eventually("freed room to be room again", || {
        let path = site::upload_path(&allocation, "after.bin");
        let answer = admin.bytes("POST", &path, &vec![1; 1 << 20]).expect("an answer");
        assert!(matches!(answer.status, 201 | 507), "{}", answer.text());
        (answer.status == 201).then_some(())
    });
    let report = site::doctor(&server);
    assert!(is_sound(&report), "{report:#}");
    server.anonymous().get("/readyz").expect("an answer").expect(200);
}

/// How large the disk is: room for the database, for what it keeps back, and for a few large files.
const DISK_MIB: u32 = 64;

fn data_folder(disk: &Disk) -> PathBuf {
    disk.folder().to_owned()
}

/// With a full disk everything that is there can be read, and nothing is half there.
fn check_full(server: &Server, large: &[String], size: usize) {
    let mut admin = server.client(ADMIN);
    for (number, id) in large.iter().enumerate() {
        let answer = admin.get(&format!("/api/records/{id}/download/")).expect("an answer").expect(200);
        assert!(answer.body == vec![number as u8; size], "record {id} came back changed");
    }
    let report = site::doctor(server);
    assert!(is_sound(&report), "{report:#}");
}
