//! kill -9 under load: what was acknowledged is there, what was not has left no trace, and the sums come out.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Client, Server, Start};

use crate::account::{Account, Claim, Found, Known, Random, Stop, content};
use crate::site::{self, ADMIN, OPERATOR, eventually, is_sound, text_of};
use crate::store_away;

/// How many clients load the server.
const CLIENTS: usize = 32;
/// When a kill comes, after the load has begun.
const KILL_AFTER_MS: std::ops::RangeInclusive<u64> = 50..=1_500;
/// How many rounds there are when nothing else is said.
const ROUNDS: u64 = 30;
/// How soon after a kill the server must be ready again.
const RESTART_MAX: Duration = Duration::from_secs(5);
/// Bytes of a leaf that is full now and then, so that refusals are among the answers.
const TIGHT_BYTES: u64 = 400_000;

fn rounds() -> u64 {
    std::env::var("PLIMSOLL_KILL_ROUNDS").ok().map_or(ROUNDS, |text| text.parse().expect("a number of rounds"))
}

/// A server that is killed again and again, and the clients who remember.
struct Run {
    start: Start,
    data: std::path::PathBuf,
    accounts: Vec<Account>,
    allocation: String,
    random: Random,
    in_doubt: usize,
    slowest_start: Duration,
}

#[test]
fn kill_9_under_load_loses_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(site::start_in(folder.path()), folder.path(), rounds());
}

#[test]
fn kill_9_under_load_loses_nothing_on_postgresql() {
    let Some(database) = store_away::fresh_database("killed") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = site::start_in(folder.path()).argument("--database").argument(&database);
    run(start, folder.path(), rounds().div_ceil(5));
}

fn run(start: Start, folder: &Path, rounds: u64) {
    // One seed a run: a failure tells it. What the kill interrupts still differs from run to run.
    let seed = u64::from(std::process::id());
    let server = start.start();
    let (allotments, allocation) = make_places(&server);
    let accounts = (0..CLIENTS).map(|number| Account::new(number, seed, &allotments, &allocation)).collect();
    let data = folder.join("data");
    let mut run = Run {
        start,
        data,
        accounts,
        allocation,
        random: Random::new(seed),
        in_doubt: 0,
        slowest_start: Duration::ZERO,
    };
    let mut server = server;
    for round in 1..=rounds {
        run.load_and_kill(server);
        server = run.start.start();
        run.slowest_start = run.slowest_start.max(server.started_in());
        run.check(&server, &format!("seed {seed}, round {round}"));
    }
    let (acknowledged, refused) = run.accounts.iter().fold((0, 0), |(a, r), it| (a + it.acknowledged, r + it.refused));
    let (in_doubt, slowest) = (run.in_doubt, run.slowest_start.as_millis());
    eprintln!(
        "{rounds} kills: {acknowledged} calls acknowledged, {refused} refused, {in_doubt} in doubt; slowest start {slowest} ms"
    );
    assert!(in_doubt > 0, "no kill hit work under way: this proves nothing");
    assert!(acknowledged > 0 && refused > 0, "the load did not do what it is for");
}

/// Eight leaves to charge, one of them tight, and an allocation for records.
fn make_places(server: &Server) -> (Vec<String>, String) {
    let mut admin = server.client(ADMIN);
    let mut leaf = |number: u64| {
        let limit = if number == 0 { json!({"bytes": TIGHT_BYTES}) } else { json!({}) };
        let body = json!({"parent_id": "path:acme", "name": format!("leaf-{number}"), "limits": limit});
        text_of(&admin.json("POST", "/plimsoll/v1/allotments", &body).expect("an answer").expect(201).json(), "id")
    };
    let leaves = (0..8).map(&mut leaf).collect();
    (leaves, site::allocation(&mut server.client(ADMIN)))
}

impl Run {
    /// All clients at work, and the end of the server in the middle of it.
    fn load_and_kill(&mut self, server: Server) {
        let span = KILL_AFTER_MS.end() - KILL_AFTER_MS.start();
        let after = Duration::from_millis(KILL_AFTER_MS.start() + self.random.below(span + 1));
        let (address, killed) = (server.address(), AtomicBool::new(false));
        std::thread::scope(|threads| {
            let clients: Vec<_> = self
                .accounts
                .iter_mut()
                .map(|account| {
                    let killed = &killed;
                    threads.spawn(move || match account.work(&mut Client::bearer(address, ADMIN)) {
                        Stop::Gone => {
                            assert!(killed.load(Ordering::SeqCst), "the server broke a connection while alive")
                        }
                        Stop::Wrong(what) => panic!("{what}"),
                    })
                })
                .collect();
            std::thread::sleep(after);
            killed.store(true, Ordering::SeqCst);
            server.kill();
            // A client that panicked has said why.
            assert!(clients.into_iter().all(|client| client.join().is_ok()), "a client was answered wrongly");
        });
        self.in_doubt += self.accounts.iter().map(Account::in_doubt).sum::<usize>();
    }

    /// Compares all that there is with all that the clients remember, and settles what was in doubt.
    fn check(&mut self, server: &Server, when: &str) {
        assert!(server.started_in() < RESTART_MAX, "{when}: the start took {:?}", server.started_in());
        let mut admin = server.client(ADMIN);
        let found = self.swept(&mut admin);
        for account in &mut self.accounts {
            settle_claims(account, &found, when);
            settle_records(account, &found, when);
            retry(account, &mut admin, &found, when);
        }
        self.nothing_else_is_there(&found, when);
        let found = Found::read(&mut admin, &self.allocation);
        self.sums_come_out(&mut admin, &found, when);
        self.bytes_are_right(server, &mut admin, when);
        let report = site::doctor(server);
        assert!(is_sound(&report), "{when}: the doctor finds {report:#}");
    }

    /// What is there once the uploads that died with the server are cleared away.
    fn swept(&self, admin: &mut Client) -> Found {
        eventually("the claims of broken uploads to be given back", || {
            let found = Found::read(admin, &self.allocation);
            let as_many = found.managed.len() == found.records.len();
            as_many.then_some(found)
        })
    }

    fn nothing_else_is_there(&self, found: &Found, when: &str) {
        let known = |subject: &String| self.accounts.iter().any(|account| account.claims.contains_key(subject));
        let leaked: Vec<_> = found.claims.keys().filter(|subject| !known(subject)).collect();
        assert!(leaked.is_empty(), "{when}: claims that nobody holds: {leaked:?}");
        let known = |name: &String| self.accounts.iter().any(|account| account.records.contains_key(name));
        let leaked: Vec<_> = found.records.keys().filter(|name| !known(name)).collect();
        assert!(leaked.is_empty(), "{when}: records that nobody holds: {leaked:?}");
        for (id, size) in found.records.values() {
            assert_eq!(found.managed.get(id), Some(&Claim::Held { bytes: *size }), "{when}: the claim of record {id}");
        }
    }

    /// The tenant's sums are the sums of what its claims say.
    fn sums_come_out(&self, admin: &mut Client, found: &Found, when: &str) {
        let claims = found.claims.values().map(|(_, claim)| claim).chain(found.managed.values());
        let (mut used, mut pending) = ((0, 0), (0, 0));
        for claim in claims {
            let (sum, bytes) = match claim {
                Claim::Held { bytes } => (&mut used, bytes),
                Claim::Pending { bytes } => (&mut pending, bytes),
            };
            *sum = (sum.0 + bytes, sum.1 + 1);
        }
        let acme = admin.get("/plimsoll/v1/allotments/path:acme").expect("an answer").expect(200).json();
        assert_eq!((amounts(&acme["used"]), amounts(&acme["pending"])), (used, pending), "{when}: {acme}");
        let tight = admin.get("/plimsoll/v1/allotments/path:acme%2Fleaf-0").expect("an answer").expect(200).json();
        assert!(
            amounts(&tight["used"]).0 + amounts(&tight["pending"]).0 <= TIGHT_BYTES,
            "{when}: over its limit: {tight}"
        );
    }

    /// Every acknowledged upload downloads as it was sent, and there is no file that no row knows.
    fn bytes_are_right(&self, server: &Server, admin: &mut Client, when: &str) {
        for (id, known) in self.accounts.iter().flat_map(|account| account.records.values()) {
            let Some(record) = &known.now else { continue };
            let answer = admin.get(&format!("/api/records/{id}/download/")).expect("an answer").expect(200);
            assert!(answer.body == content(record), "{when}: record {id} came back changed");
        }
        let blobs = self.data.join("blobs");
        eventually("the files of deleted records to be removed", || {
            let report = site::doctor(server);
            (files_in(&blobs) <= report["checked"]["blobs"].as_u64().unwrap_or(0) as usize).then_some(())
        });
    }
}

fn amounts(map: &Value) -> (u64, u64) {
    let of = |resource: &str| map[resource].as_u64().unwrap_or(0);
    (of("bytes"), of("objects"))
}

fn settle_claims(account: &mut Account, found: &Found, when: &str) {
    account.claims.retain(|subject, (id, known)| {
        let there = found.claims.get(subject);
        let now = there.map(|(_, claim)| claim.clone());
        assert!(is_possible(known, &now), "{when}: claim {subject} {id} is {now:?}, known was {known:?}");
        let is_created_in_doubt = known.now.is_none();
        if let Some((there, _)) = there {
            assert!(id.is_empty() || id == there, "{when}: claim {subject} was {id} and is {there}");
            *id = there.clone();
        }
        // A charge that got no answer stays in doubt: it is sent again, see `retry`.
        if !is_created_in_doubt {
            *known = Known { now, doubt: None };
        }
        known.now.is_some() || known.doubt.is_some()
    });
}

fn settle_records(account: &mut Account, found: &Found, when: &str) {
    account.records.retain(|name, (id, known)| {
        let there = found.records.get(name);
        // Its bytes are compared later; here, that it is there and of its size.
        let now = there.and_then(|(_, size)| {
            let states = [known.now.clone(), known.doubt.clone().flatten()];
            states.into_iter().flatten().find(|record| record.size as u64 == *size)
        });
        assert_eq!(now.is_some(), there.is_some(), "{when}: record {name} is of another size");
        assert!(is_possible(known, &now), "{when}: record {name} {id} is {now:?}, known was {known:?}");
        if let Some((there, _)) = there {
            *id = there.clone();
        }
        *known = Known { now, doubt: None };
        known.now.is_some()
    });
}

fn is_possible<T: PartialEq>(known: &Known<T>, now: &Option<T>) -> bool {
    *now == known.now || known.doubt.as_ref() == Some(now)
}

/// A charge that got no answer is sent again with its key: whether it had been done or not, it is done once.
fn retry(account: &mut Account, admin: &mut Client, found: &Found, when: &str) {
    let doubtful = account.claims.iter().filter(|(_, (_, known))| known.doubt.is_some());
    let doubtful: Vec<String> = doubtful.map(|(subject, _)| subject.clone()).collect();
    for subject in doubtful {
        match account.charge_again(admin, &subject) {
            Ok(()) => {}
            Err(Stop::Gone) => panic!("{when}: the server is gone"),
            Err(Stop::Wrong(what)) => panic!("{when}: sent again, {what}"),
        }
        if let Some((there, _)) = found.claims.get(&subject) {
            let (id, _) = account.claims.get(&subject).expect("what was done is not refused when it is asked again");
            assert_eq!(id, there, "{when}: {subject} was charged twice");
        }
    }
}

/// How many files lie at or below `folder`.
pub fn files_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_in(&entry.path()) } else { 1 }).sum()
}

#[test]
fn a_killed_server_starts_on_an_empty_folder_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = site::start_in(folder.path());
    start.start().kill();
    let server = start.start();
    server.client(OPERATOR).get("/plimsoll/v1/allotments/path:acme").expect("an answer").expect(200);
    assert!(is_sound(&site::doctor(&server)));
}
