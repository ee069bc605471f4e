//! `kill -9` after each step of each operation: what was acknowledged is there, what was not is whole or not there, qemu finds
//! nothing wrong, and nothing is left over.
//!
//! The child is this very program. `PLIMSOLL_CRASH_ROUNDS` says how often each cell of the matrix is tried, on every
//! database, at later and later passes of its step; without it each is tried once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use bytes::Bytes;
use content::Content;
use content::volume::{self, Branch, Format, NewVolume, Source, VolumeId};
use ledger::{AllotmentId, Resource};
use store::{Clock, Database, Unit};

use crate::support::*;
use crate::volume_support::*;

const OPERATIONS: [&str; 11] = [
    "write",
    "trim",
    "snapshot",
    "clone",
    "copy",
    "resize",
    "delete",
    "delete-source",
    "delete-snapshot",
    "import",
    "flatten",
];
const SIZE: u64 = 6 * MIB;
const BLOCK: u64 = 100_000;
const BLOCKS: u64 = 16;

/// What the child is told, in its environment.
#[derive(Clone)]
struct Order {
    operation: String,
    /// After which pass of which step it is killed; none: it tells all steps.
    kill: Option<(String, usize)>,
}

/// What is there before the operation: a volume with a snapshot under writes of its own, and a clone of it.
struct Scene {
    lab: Lab,
    volume: VolumeId,
    clone: VolumeId,
    snapshot: volume::SnapshotId,
    /// What the operation makes, if it makes anything.
    made: VolumeId,
    made_snapshot: volume::SnapshotId,
}

fn block(at: u64) -> Vec<u8> {
    noise(1000 + at, BLOCK)
}

impl Scene {
    async fn new(ground: Ground) -> Scene {
        let mut lab = ground.lab(1 << 30).await;
        let volume = lab.create(SIZE).await;
        lab.write(volume, 0, &noise(1, 3 * MIB)).await;
        let snapshot = lab.snapshot(volume).await;
        lab.write(volume, MIB, &noise(2, MIB)).await;
        let clone = lab.clone_of(volume).await;
        lab.write(clone, 2 * MIB, &noise(3, MIB)).await;
        let (made, made_snapshot) = (VolumeId(lab.site.store.new_id()), volume::SnapshotId(lab.site.store.new_id()));
        Scene { lab, volume, clone, snapshot, made, made_snapshot }
    }

    /// Lets a child do the operation on what is here; answers what it said.
    async fn child(self, order: &Order) -> (Scene, Vec<String>) {
        let Scene { lab: Lab { site, volumes, snapshots }, volume, clone, snapshot, made, made_snapshot } = self;
        site.store.close().await;
        let Site { ground, acme, pool, content, store } = site;
        drop((content, store));
        let database = match &ground.database {
            Database::Sqlite(file) => file.to_str().unwrap().to_owned(),
            Database::Postgres(url) => url.clone(),
        };
        let words = [
            order.operation.clone(),
            ground.files().to_str().unwrap().to_owned(),
            database,
            ground.clock.now().to_string(),
            [acme.0, pool.0, volume.0, clone.0, snapshot.0, made.0, made_snapshot.0].map(|id| id.to_string()).join(" "),
            order.kill.as_ref().map_or(String::new(), |(step, pass)| format!("{pass} {step}")),
        ];
        let me = std::env::current_exe().unwrap();
        let output = tokio::task::spawn_blocking(move || {
            let mut child = Command::new(me);
            child.args(["--exact", "volume_crash::a_child_does_what_it_is_told", "--nocapture"]);
            child.env("PLIMSOLL_CRASH_CHILD", words.join("\n")).stderr(Stdio::inherit()).output().unwrap()
        });
        let output = output.await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let said: Vec<String> =
            said.lines().filter_map(|line| line.split("child: ").nth(1)).map(str::to_owned).collect();
        let store = ground.open().await;
        let content = Content::new(store.clone(), ground.files(), None);
        content.start().await.unwrap();
        let lab = Lab { site: Site { ground, store, content, acme, pool }, volumes, snapshots };
        (Scene { lab, volume, clone, snapshot, made, made_snapshot }, said)
    }

    /// Looks at what is left, and makes it what is expected from now on.
    async fn look(&mut self, operation: &str, said: &[String]) {
        let is_done = said.iter().any(|line| line == "done");
        let lab = &mut self.lab;
        let before = lab.volumes[&self.volume].clone();
        match operation {
            "write" | "snapshot" | "clone" => {
                let flushed = said.iter().filter_map(|line| line.strip_prefix("flushed ")?.parse().ok()).max();
                let now = lab.site.all(Source::Volume(self.volume)).await;
                for at in 0..BLOCKS {
                    let (start, new) = ((at * BLOCK) as usize, block(at));
                    let place = start..start + BLOCK as usize;
                    let is_flushed = flushed.is_some_and(|last: u64| at <= last);
                    assert!(!is_flushed || now[place.clone()] == new, "block {at} was flushed");
                    let either = now[place.clone()].iter().zip(before[place].iter().zip(&new));
                    assert!(
                        either.into_iter().all(|(now, (old, new))| now == old || now == new),
                        "block {at} is old or new"
                    );
                }
                let rest = (BLOCKS * BLOCK) as usize;
                assert!(now[rest..] == before[rest..], "what was not written to is as before");
                lab.volumes.insert(self.volume, now);
                let mut then = before.clone();
                then[..BLOCK as usize].copy_from_slice(&block(0));
                let (made, snapshot) = (lab.site.volume(self.made).await, lab.site.snapshot(self.made_snapshot).await);
                assert!(!is_done || made.is_some() || snapshot.is_some() || operation == "write");
                if made.is_some() {
                    lab.volumes.insert(self.made, then);
                } else if snapshot.is_some() {
                    lab.snapshots.insert(self.made_snapshot, then);
                }
            }
            "trim" => {
                let now = lab.site.all(Source::Volume(self.volume)).await;
                let mut zero = before.clone();
                zero[5000..(2 * MIB) as usize].fill(0);
                let is_either =
                    now.iter().zip(before.iter().zip(&zero)).all(|(now, (old, new))| now == old || now == new);
                assert!(if is_done { now == zero } else { is_either });
                lab.volumes.insert(self.volume, now);
            }
            "copy" | "import" => {
                let made = lab.site.volume(self.made).await;
                assert!(!is_done || made.is_some());
                if made.is_some_and(|info| operation == "copy" || info.job.is_some() || is_done) {
                    lab.volumes.insert(self.made, before);
                } else if lab.site.volume(self.made).await.is_some() {
                    lab.volumes.insert(self.made, lab.site.all(Source::Volume(self.made)).await);
                }
            }
            "resize" => {
                let size = lab.site.volume(self.volume).await.unwrap().size;
                assert!(if is_done { size == 2 * SIZE } else { size == SIZE || size == 2 * SIZE });
                lab.volumes.get_mut(&self.volume).unwrap().resize(size as usize, 0);
            }
            "delete" | "delete-source" => {
                let which = if operation == "delete" { self.clone } else { self.volume };
                let is_there = lab.site.volume(which).await.is_some();
                assert!(!(is_done && is_there));
                if !is_there {
                    lab.volumes.remove(&which);
                }
            }
            "delete-snapshot" => {
                let is_there = lab.site.snapshot(self.snapshot).await.is_some();
                assert!(!(is_done && is_there));
                if !is_there {
                    lab.snapshots.remove(&self.snapshot);
                }
            }
            _ => {}
        }
    }

    /// Everything can still be used and deleted, and nothing is left.
    async fn end(mut self) {
        let lab = &mut self.lab;
        let volumes: Vec<VolumeId> = lab.volumes.keys().copied().collect();
        for id in &volumes {
            lab.write(*id, MIB / 2, &noise(9, MIB)).await;
        }
        lab.check().await;
        for id in lab.snapshots.keys().copied().collect::<Vec<_>>() {
            lab.delete_snapshot(id).await;
        }
        for id in volumes {
            lab.delete(id).await;
        }
        assert_eq!(lab.layers().await, (0, 0));
        lab.site.assert_empty().await;
        lab.check().await;
    }
}

/// A cell of the matrix; the steps that the child passed.
async fn cell(ground: Ground, order: &Order) -> Vec<String> {
    let scene = Scene::new(ground).await;
    let (mut scene, said) = scene.child(order).await;
    let is_over = said.iter().any(|line| line == "over");
    assert!(order.kill.is_some() || is_over, "{}: the child did not come to its end: {said:?}", order.operation);
    scene.look(&order.operation, &said).await;
    scene.lab.settle().await;
    scene.lab.check().await;
    scene.end().await;
    said.iter().filter_map(|line| line.strip_prefix("step ")).map(str::to_owned).collect()
}

async fn row(operation: &str) {
    let rounds: usize = std::env::var("PLIMSOLL_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let databases = if rounds == 0 { 1 } else { usize::MAX };
    for number in 0..grounds().len().min(databases) {
        let ground = || grounds().swap_remove(number);
        let steps = cell(ground(), &Order { operation: operation.to_owned(), kill: None }).await;
        let mut passes: BTreeMap<String, usize> = BTreeMap::new();
        steps.into_iter().for_each(|step| *passes.entry(step).or_default() += 1);
        assert!(!passes.is_empty(), "{operation} has steps");
        let mut cells = 0;
        for (step, count) in &passes {
            for round in 0..rounds.max(1) {
                let pass = if rounds == 0 { count.div_ceil(2) } else { 1 + round % count };
                cell(ground(), &Order { operation: operation.to_owned(), kill: Some((step.clone(), pass)) }).await;
                cells += 1;
            }
        }
        println!("{operation}: killed {cells} times, after each of {:?}", passes.keys().collect::<Vec<_>>());
    }
}

macro_rules! rows {
    ($($name:ident: $operations:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            for operation in $operations {
                row(operation).await;
            }
        })*
    };
}

rows! {
    a_kill_while_a_volume_is_written_to_loses_nothing_that_was_flushed: ["write", "trim"];
    a_kill_while_a_volume_is_branched_leaves_both_or_one: ["snapshot", "clone", "resize"];
    a_kill_while_a_volume_is_copied_lets_the_copy_go_on: ["copy", "flatten", "import"];
    a_kill_while_something_is_deleted_lets_the_delete_go_on: ["delete", "delete-source", "delete-snapshot"];
}

#[test]
fn every_operation_has_a_row() {
    assert_eq!(OPERATIONS.len(), 2 + 3 + 3 + 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_does_what_it_is_told() {
    let Ok(words) = std::env::var("PLIMSOLL_CRASH_CHILD") else { return };
    let words: Vec<&str> = words.split('\n').collect();
    let [operation, folder, database, now, ids, kill] = words[..] else { panic!("{words:?}") };
    let ids: Vec<uuid::Uuid> = ids.split(' ').map(|id| id.parse().unwrap()).collect();
    let [acme, pool, volume, clone, snapshot, made, made_snapshot] = ids[..] else { panic!("{ids:?}") };
    let database = match database.starts_with("postgres") {
        true => Database::Postgres(database.to_owned()),
        false => Database::Sqlite(PathBuf::from(database)),
    };
    let clock = Clock::manual(now.parse().unwrap());
    let store = support_store::open(&database, clock.clone()).await;
    let content = Content::new(store.clone(), PathBuf::from(folder), None);
    let kill = kill.split_once(' ').map(|(pass, step)| (step.to_owned(), pass.parse::<usize>().unwrap()));
    let passed: Mutex<BTreeMap<&str, usize>> = Mutex::default();
    content.volumes().on_step(move |step| {
        say(&format!("step {step}"));
        let mut passed = passed.lock().unwrap();
        let count = passed.entry(step).or_default();
        *count += 1;
        if kill.as_ref().is_some_and(|(at, pass)| at == step && count == pass) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    });
    content.start().await.unwrap();
    let ground = Ground { folder: tempfile::tempdir().unwrap(), database, clock };
    let site = Site { ground, store, content, acme: AllotmentId(acme), pool: AllotmentId(pool) };
    let new = |place| NewVolume { id: VolumeId(made), ..site.new_volume(SIZE, place) };
    let (volume, unit) = (VolumeId(volume), || Unit::by(tester()));
    match operation {
        "write" => {
            let handle = site.volumes().open(volume).await.unwrap();
            for at in 0..BLOCKS {
                handle.write(at * BLOCK, Bytes::from(block(at))).await.unwrap();
                say("step written");
                if at % 5 == 4 {
                    handle.flush().await.unwrap();
                    say(&format!("flushed {at}"));
                }
            }
            handle.close().await.unwrap();
            say(&format!("flushed {}", BLOCKS - 1));
        }
        "trim" => {
            let handle = site.volumes().open(volume).await.unwrap();
            handle.trim(5000, 2 * MIB - 5000).await.unwrap();
            handle.close().await.unwrap();
        }
        "snapshot" | "clone" => {
            let handle = site.volumes().open(volume).await.unwrap();
            handle.write(0, Bytes::from(block(0))).await.unwrap();
            let branch = match operation {
                "clone" => Branch::Clone { of: Source::Volume(volume), new: new(dssd()) },
                _ => {
                    let id = volume::SnapshotId(made_snapshot);
                    Branch::Snapshot { of: volume, new: volume::NewSnapshot { id, ..site.new_snapshot() } }
                }
            };
            site.volumes().branch(vec![branch], unit()).await.unwrap();
            say("flushed 0");
            say("done");
            for at in 1..BLOCKS {
                handle.write(at * BLOCK, Bytes::from(block(at))).await.unwrap();
            }
            handle.close().await.unwrap();
        }
        "copy" => {
            let branch = Branch::Clone { of: Source::Volume(volume), new: new(nvme()) };
            site.volumes().branch(vec![branch], unit()).await.unwrap();
        }
        "import" => {
            site.store.write(volume::create(unit(), &new(dssd()))).await.unwrap();
            let export = site.volumes().export(Source::Volume(volume), Format::Qcow2).await.unwrap();
            let image = export.stream(None).unwrap();
            site.volumes().import(VolumeId(made), export.size, image, unit()).await.unwrap();
        }
        "resize" => {
            let handle = site.volumes().open(volume).await.unwrap();
            handle.write(0, Bytes::from(noise(1, 100))).await.unwrap();
            site.volumes().resize(volume, 2 * SIZE, one(Resource::DRIVES), unit()).await.unwrap();
            say("done");
            handle.write(2 * SIZE - 100, Bytes::from(vec![0; 100])).await.unwrap();
            handle.close().await.unwrap();
        }
        "delete" | "delete-source" => {
            let which = if operation == "delete" { VolumeId(clone) } else { volume };
            let info = site.volume(which).await.unwrap();
            site.store.write(volume::doom(unit(), &info)).await.unwrap();
        }
        "delete-snapshot" => {
            let info = site.snapshot(volume::SnapshotId(snapshot)).await.unwrap();
            site.store.write(volume::doom_snapshot(unit(), &info)).await.unwrap();
        }
        "flatten" => drop(site.volumes().flatten(VolumeId(clone)).await.unwrap()),
        _ => panic!("{operation}"),
    }
    say("done");
    let lab = Lab { site, volumes: Default::default(), snapshots: Default::default() };
    lab.settle().await;
    say("over");
    lab.site.store.close().await;
}

/// To the parent, at once.
fn say(words: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "\nchild: {words}");
    let _ = out.flush();
}
