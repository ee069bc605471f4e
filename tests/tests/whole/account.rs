//! What one client of a crash remembers: what it was told is so, and where the answer never came.
//!
//! **Always.** A thing is touched by one client only, one call at a time. So its true state is the last one acknowledged,
//! or, when the last call got no answer, the one that call would have made. Nothing else is right.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};
use tests::{Answer, Client};

use crate::site::{self, text_of};

/// What a claim is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    Pending { bytes: u64 },
    Held { bytes: u64 },
}

/// What a record holds: the bytes that `content` makes of its seed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub seed: u64,
    pub size: usize,
}

/// What is known of one thing. `None` is: not there.
#[derive(Clone, Debug)]
pub struct Known<T> {
    /// As acknowledged.
    pub now: Option<T>,
    /// As the call that got no answer would have made it.
    pub doubt: Option<Option<T>>,
}

/// Random numbers that a seed replays.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn pick<'a, K, V>(&mut self, map: &'a BTreeMap<K, V>) -> Option<(&'a K, &'a V)> {
        let at = self.below(map.len().max(1) as u64);
        map.iter().nth(at as usize)
    }
}

/// The bytes of a record.
pub fn content(record: &Record) -> Vec<u8> {
    let mut random = Random::new(record.seed);
    (0..record.size).map(|_| random.below(256) as u8).collect()
}

/// The most bytes of a record: a few times what lies in the database, so that both ways of keeping bytes are hit.
const RECORD_BYTES_MAX: u64 = 200 << 10;
/// More things than this and the client gives back before it takes more: what a round must look through stays bounded.
const THINGS_MAX: usize = 16;

/// One client.
pub struct Account {
    name: String,
    random: Random,
    made: u64,
    allotments: Vec<String>,
    allocation: String,
    /// By subject, which is unique to one claim.
    pub claims: BTreeMap<String, (String, Known<Claim>)>,
    /// By file name, likewise.
    pub records: BTreeMap<String, (String, Known<Record>)>,
    /// How many calls were acknowledged, and how many refused for a limit.
    pub acknowledged: u64,
    pub refused: u64,
}

/// Why a client stopped.
pub enum Stop {
    /// The connection broke: the server is gone.
    Gone,
    /// The server said what it must not say.
    Wrong(String),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Stop {
        Stop::Gone
    }
}

impl Account {
    pub fn new(number: usize, seed: u64, allotments: &[String], allocation: &str) -> Account {
        Account {
            name: format!("c{number}"),
            random: Random::new(seed + number as u64),
            made: 0,
            allotments: allotments.to_vec(),
            allocation: allocation.to_owned(),
            claims: BTreeMap::new(),
            records: BTreeMap::new(),
            acknowledged: 0,
            refused: 0,
        }
    }

    /// One call after the other until the server is gone.
    pub fn work(&mut self, client: &mut Client) -> Stop {
        loop {
            if let Err(stop) = self.step(client) {
                return stop;
            }
        }
    }

    fn step(&mut self, client: &mut Client) -> Result<(), Stop> {
        match self.random.below(8) {
            0 | 1 if self.claims.len() < THINGS_MAX => self.charge(client),
            2 | 3 if self.records.len() < THINGS_MAX => self.upload(client),
            4 => self.delete_record(client),
            5 => self.settle_or_resize(client),
            _ => self.release(client),
        }
    }

    fn charge(&mut self, client: &mut Client) -> Result<(), Stop> {
        self.made += 1;
        let subject = format!("{}-{}", self.name, self.made);
        let bytes = 1 + self.random.below(100_000);
        let claim = if self.random.below(2) == 0 { Claim::Held { bytes } } else { Claim::Pending { bytes } };
        let known = Known { now: None, doubt: Some(Some(claim)) };
        self.claims.insert(subject.clone(), (String::new(), known));
        self.charge_again(client, &subject)
    }

    /// Sends a charge that is in doubt: for the first time, or once more with the same key.
    pub fn charge_again(&mut self, client: &mut Client, subject: &str) -> Result<(), Stop> {
        let (known_id, known) = self.claims.get_mut(subject).expect("a charge in doubt is known");
        let Some(Some(claim)) = known.doubt.clone() else { return Ok(()) };
        let (state, bytes) = match claim {
            Claim::Pending { bytes } => ("pending", bytes),
            Claim::Held { bytes } => ("held", bytes),
        };
        // The same subject is always charged on the same allotment: a key goes with one body.
        let place = subject.bytes().map(usize::from).sum::<usize>() % self.allotments.len();
        let mut body = json!({
            "allotment_id": self.allotments[place], "amounts": {"bytes": bytes, "objects": 1}, "state": state,
            "subject": subject,
        });
        if state == "pending" {
            body["expires_in"] = json!(86_400);
        }
        let lines = format!("Content-Type: application/json\r\nIdempotency-Key: {subject}\r\n");
        let answer = client.send("POST", "/plimsoll/v1/claims", &lines, body.to_string().as_bytes())?;
        match answer.status {
            201 => {
                *known_id = text_of(&answer.json(), "id");
                *known = Known { now: Some(claim), doubt: None };
                self.acknowledged += 1;
            }
            409 if answer.text().contains("limit-exceeded") => {
                self.claims.remove(subject);
                self.refused += 1;
            }
            _ => return Err(wrong("a charge", &answer)),
        }
        Ok(())
    }

    fn upload(&mut self, client: &mut Client) -> Result<(), Stop> {
        self.made += 1;
        let filename = format!("{}-{}.bin", self.name, self.made);
        // As many small ones as large ones: a size has a random number of bits.
        let most = 1 << self.random.below(RECORD_BYTES_MAX.ilog2() as u64 + 2);
        let size = 1 + self.random.below(RECORD_BYTES_MAX.min(most)) as usize;
        let record = Record { seed: self.random.below(u64::MAX), size };
        let known = Known { now: None, doubt: Some(Some(record.clone())) };
        self.records.insert(filename.clone(), (String::new(), known));
        let answer = client.bytes("POST", &site::upload_path(&self.allocation, &filename), &content(&record))?;
        if answer.status != 201 {
            return Err(wrong("an upload", &answer));
        }
        let id = text_of(&answer.json(), "id");
        self.records.insert(filename, (id, Known { now: Some(record), doubt: None }));
        self.acknowledged += 1;
        Ok(())
    }

    fn delete_record(&mut self, client: &mut Client) -> Result<(), Stop> {
        let Some((filename, (id, known))) = self.random.pick(&self.records) else { return Ok(()) };
        let (filename, id, now) = (filename.clone(), id.clone(), known.now.clone());
        self.records.insert(filename.clone(), (id.clone(), Known { now, doubt: Some(None) }));
        let answer = client.call("DELETE", &format!("/api/records/{id}/"))?;
        if answer.status != 204 {
            return Err(wrong("the deletion of a record", &answer));
        }
        self.records.remove(&filename);
        self.acknowledged += 1;
        Ok(())
    }

    fn settle_or_resize(&mut self, client: &mut Client) -> Result<(), Stop> {
        let Some((subject, (id, known))) = self.random.pick(&self.claims) else { return Ok(()) };
        let (subject, id, now) = (subject.clone(), id.clone(), known.now.clone());
        let bytes = 1 + self.random.below(100_000);
        let (method, path) = match now {
            Some(Claim::Pending { .. }) => ("POST", format!("/plimsoll/v1/claims/{id}/settle")),
            _ => ("PATCH", format!("/plimsoll/v1/claims/{id}")),
        };
        let held = Claim::Held { bytes };
        let doubt = Known { now: now.clone(), doubt: Some(Some(held.clone())) };
        self.claims.insert(subject.clone(), (id.clone(), doubt));
        let body = json!({"amounts": {"bytes": bytes, "objects": 1}});
        let answer = client.json(method, &path, &body)?;
        let now = match answer.status {
            200 => Some(held),
            409 if answer.text().contains("limit-exceeded") => now,
            _ => return Err(wrong("a settle or a resize", &answer)),
        };
        self.claims.insert(subject, (id, Known { now, doubt: None }));
        if answer.status == 200 {
            self.acknowledged += 1
        } else {
            self.refused += 1
        }
        Ok(())
    }

    fn release(&mut self, client: &mut Client) -> Result<(), Stop> {
        let Some((subject, (id, known))) = self.random.pick(&self.claims) else { return Ok(()) };
        let (subject, id, now) = (subject.clone(), id.clone(), known.now.clone());
        self.claims.insert(subject.clone(), (id.clone(), Known { now, doubt: Some(None) }));
        let answer = client.call("DELETE", &format!("/plimsoll/v1/claims/{id}"))?;
        if answer.status != 204 {
            return Err(wrong("a release", &answer));
        }
        self.claims.remove(&subject);
        self.acknowledged += 1;
        Ok(())
    }

    /// How many calls got no answer.
    pub fn in_doubt(&self) -> usize {
        let claims = self.claims.values().filter(|(_, known)| known.doubt.is_some()).count();
        claims + self.records.values().filter(|(_, known)| known.doubt.is_some()).count()
    }
}

fn wrong(what: &str, answer: &Answer) -> Stop {
    Stop::Wrong(format!("{what} was answered {}: {}", answer.status, answer.text()))
}

/// What the server says now: claims by subject, records by file name, each with its id.
pub struct Found {
    pub claims: BTreeMap<String, (String, Claim)>,
    pub records: BTreeMap<String, (String, u64)>,
    /// Claims that a record manages: the record's id, and the claim's state and bytes.
    pub managed: BTreeMap<String, Claim>,
}

impl Found {
    /// Reads all of it.
    pub fn read(client: &mut Client, allocation: &str) -> Found {
        let mut found = Found { claims: BTreeMap::new(), records: BTreeMap::new(), managed: BTreeMap::new() };
        for claim in native_list(client, "/plimsoll/v1/claims?limit=1000") {
            found.add_claim(&claim);
        }
        let mut page = format!("/api/records/?allocation_id={allocation}&page_size=200");
        loop {
            let answer = client.get(&page).expect("an answer").expect(200).json();
            for record in answer["results"].as_array().expect("a page has results") {
                let file = &record["files"][0];
                let size = record["size_bytes"].as_u64().expect("a record has a size");
                let twice = found.records.insert(text_of(file, "filename"), (text_of(record, "id"), size));
                assert!(twice.is_none(), "two records of one upload: {record}");
            }
            let Some(next) = answer["next"].as_str() else { return found };
            page = next[next.find("/api/").expect("a page of this API")..].to_owned();
        }
    }

    fn add_claim(&mut self, claim: &Value) {
        let bytes = claim["amounts"]["bytes"].as_u64().unwrap_or(0);
        assert_eq!(claim["amounts"]["objects"], 1, "{claim}");
        let state = match claim["state"].as_str() {
            Some("held") => Claim::Held { bytes },
            Some("pending") => Claim::Pending { bytes },
            _ => panic!("a claim in no state: {claim}"),
        };
        let twice = match claim["managed_by"]["id"].as_str() {
            Some(record) => self.managed.insert(record.to_owned(), state).is_some(),
            None => self.claims.insert(text_of(claim, "subject"), (text_of(claim, "id"), state)).is_some(),
        };
        assert!(!twice, "two claims of one charge: {claim}");
    }
}

/// All pages of a list of the native API.
fn native_list(client: &mut Client, path: &str) -> Vec<Value> {
    let (mut items, mut page) = (Vec::new(), path.to_owned());
    loop {
        let answer = client.get(&page).expect("an answer").expect(200).json();
        items.extend(answer["items"].as_array().expect("a list has items").iter().cloned());
        let Some(next) = answer["next"].as_str() else { return items };
        page = format!("{path}&after={next}");
    }
}
