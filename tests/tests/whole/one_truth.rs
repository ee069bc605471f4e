//! One truth: every API is driven at once, at random, and whatever each says of a place is what the native API says of it.
//!
//! **Shape.** A [`Caller`] is one client of one API; each API has a file here, with what its client does and what it is told.
//! Some steps are done by all of them at once, then nobody calls and all are compared; and again, and at the end the doctor
//! recounts everything.
//! **Always.** A seed is printed, and `PLIMSOLL_TRUTH_SEED` replays each caller's choices. Callers of all APIs meet on the
//! same tenant and the same pool, and the native ones charge the places that the others have made.

mod allocations;
mod koodrive;
mod native;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tests::{Client, Server, Start};

use crate::account::Random;
use crate::site::{self, ADMIN, is_sound};
use crate::store_away;

/// How many things are done when nothing else is said.
const OPERATIONS: u64 = 400;
/// How many clients each API has.
const CALLERS: u64 = 2;
/// What each of them does between two comparisons.
const STEPS: u64 = 8;
/// More things than this and a client gives back before it takes more: what is compared stays bounded.
const THINGS_MAX: usize = 6;

const SITE: &str = r#"
[[pool]]
name = "disk"
default = true
limits = { bytes = "50 GiB" }

[[repository]]
name = "cold-store"
uuid = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
pool = "disk"
type = "posix"
limits = { bytes = "20 GiB" }

[[operator]]
email = "operator@site.example"
name = "Operator"
password = "operator-secret"
token = "whole-operator-token"

[[tenant]]
name = "acme"
limits = { bytes = "24 GiB", objects = 1_000 }

    [[tenant.user]]
    email = "admin@acme.example"
    name = "Acme Admin"
    uuid = "5b4a69a3-8e78-4c45-a8ba-8b13f0895e23"
    password = "acme-admin-secret"
    roles = ["admin", "repository_admin"]

    [[tenant.token]]
    user = "admin@acme.example"
    token = "whole-acme-token"

    [tenant.koodrive]
    department = "12 GiB"
    individual = "8 GiB"
    group = "4 GiB"
    users = [{ id = "1505084218764547200", user = "admin@acme.example", admin = true }]

    [[tenant.koodrive.token]]
    token = "whole-koodrive-token"
    user = "1505084218764547200"
"#;

/// One client of one API.
trait Caller: Send {
    /// Does one thing, chosen at random. What must not be answered is a panic.
    fn step(&mut self, random: &mut Random) -> Came;
    /// What the API says of what this client has made, while nobody calls.
    fn told(&mut self) -> Vec<Told>;
}

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Came {
    Done,
    /// There was no room, or what it was about was in use or gone.
    Refused,
    /// There was nothing to do it to.
    Nothing,
}

/// Which of an allotment's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Number {
    Limit,
    Used,
    Promised,
}

impl Number {
    fn word(self) -> &'static str {
        match self {
            Number::Limit => "limits",
            Number::Used => "used",
            Number::Promised => "promised",
        }
    }
}

/// How an API writes a number of units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Written {
    Whole,
    /// In so many units each, a begun one not counted.
    Down(u64),
    /// Likewise, and counted.
    Up(u64),
}

impl Written {
    fn of(self, units: u64) -> u64 {
        match self {
            Written::Whole => units,
            Written::Down(each) => units / each,
            Written::Up(each) => units.div_ceil(each),
        }
    }
}

/// One number that an API has told.
#[derive(Clone, Debug)]
struct Told {
    /// Its own name for it.
    field: &'static str,
    /// The allotment by which the native API knows the place: an id or `path:…`.
    place: String,
    resource: &'static str,
    number: Number,
    written: Written,
    said: u64,
}

/// The places that other APIs have made, for the native clients to charge.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<BTreeSet<String>>>);

impl Places {
    fn put(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    fn remove(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn pick(&self, random: &mut Random) -> Option<String> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = random.below(places.len().max(1) as u64);
        places.iter().nth(at as usize).cloned()
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_api_says_of_a_place_what_the_native_one_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(start_in(folder.path()));
}

#[test]
fn every_api_says_of_a_place_what_the_native_one_says_on_postgresql() {
    let Some(database) = store_away::fresh_database("truth") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(start_in(folder.path()).argument("--database").argument(&database));
}

fn start_in(folder: &Path) -> Start {
    let file = folder.join("site.toml");
    std::fs::write(&file, SITE).expect("a temporary folder takes a file");
    Start::on(&folder.join("data")).site(&file)
}

fn run(start: Start) {
    let server = start.start();
    let seed = setting("PLIMSOLL_TRUTH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let wanted = setting("PLIMSOLL_TRUTH_OPERATIONS").unwrap_or(OPERATIONS);
    println!("seed {seed}");
    let places = Places::default();
    let mut callers: Vec<(Box<dyn Caller>, Random)> = Vec::new();
    for number in 0..CALLERS {
        for caller in callers_of(&server, number, &places) {
            let random = Random::new(seed.wrapping_add(1 + callers.len() as u64));
            callers.push((caller, random));
        }
    }
    let (mut done, mut refused, mut compared) = (0, 0, 0);
    while done + refused < wanted {
        for came in all_at_once(&mut callers) {
            done += u64::from(came == Came::Done);
            refused += u64::from(came == Came::Refused);
        }
        compared += compare(&server, callers.iter_mut().map(|(caller, _)| caller), seed, done + refused);
    }
    let report = site::doctor(&server);
    assert!(is_sound(&report), "seed {seed}: {report:#}");
    println!("{done} operations done, {refused} refused, {compared} numbers compared");
}

/// Some steps of every caller, each in a thread of its own.
fn all_at_once(callers: &mut [(Box<dyn Caller>, Random)]) -> Vec<Came> {
    std::thread::scope(|scope| {
        let steps = |(caller, random): &mut (Box<dyn Caller>, Random)| {
            (0..STEPS).map(|_| caller.step(random)).collect::<Vec<_>>()
        };
        let threads: Vec<_> = callers.iter_mut().map(|caller| scope.spawn(move || steps(caller))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a caller got an answer it must not get")).collect()
    })
}

/// The clients of each API: one line an API.
fn callers_of(server: &Server, number: u64, places: &Places) -> Vec<Box<dyn Caller>> {
    vec![
        Box::new(native::Native::new(server, number, places)),
        Box::new(allocations::Allocations::new(server, places)),
        Box::new(koodrive::KooDrive::new(server, number, places)),
    ]
}

fn compare<'c>(server: &Server, callers: impl Iterator<Item = &'c mut Box<dyn Caller>>, seed: u64, done: u64) -> usize {
    let mut native = server.client(ADMIN);
    let told: Vec<Told> = callers.flat_map(|caller| caller.told()).collect();
    for Told { field, place, resource, number, written, said } in &told {
        let node = allotment(&mut native, place);
        let units = &node[number.word()][resource];
        let units = units.as_u64().unwrap_or_else(|| panic!("no {number:?} of {resource}: {node}"));
        let right = written.of(units);
        assert_eq!(*said, right, "seed {seed}, after {done} operations: {field} of {place}, natively {units}: {node}");
    }
    told.len()
}

fn allotment(native: &mut Client, place: &str) -> Value {
    let path = format!("/plimsoll/v1/allotments/{}", place.replace('/', "%2F"));
    native.get(&path).expect("an answer").expect(200).json()
}

/// The number in a field that holds one, or its digits.
fn number_of(value: &Value, field: &str) -> u64 {
    let found = &value[field];
    let number = found.as_u64().or_else(|| found.as_str()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number in {field:?} of {value}"))
}

/// One of a list, at random.
fn pick<'l, T>(random: &mut Random, list: &'l [T]) -> Option<(usize, &'l T)> {
    let at = random.below(list.len().max(1) as u64) as usize;
    list.get(at).map(|found| (at, found))
}
