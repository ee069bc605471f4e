//! A client of the Allocations API: allocations, and records in them.

use serde_json::json;
use tests::{Client, Server};

use super::{Caller, Came, Number, Places, THINGS_MAX, Told, Written, number_of, pick};
use crate::account::{Random, Record, content};
use crate::site::{ADMIN, REPOSITORY, text_of, upload_path};

const OWNER: &str = "5b4a69a3-8e78-4c45-a8ba-8b13f0895e23";

pub(super) struct Allocations {
    client: Client,
    places: Places,
    allocations: Vec<String>,
    records: Vec<String>,
}

impl Allocations {
    pub fn new(server: &Server, places: &Places) -> Allocations {
        let (allocations, records) = (Vec::new(), Vec::new());
        Allocations { client: server.client(ADMIN), places: places.clone(), allocations, records }
    }

    fn create(&mut self, random: &mut Random) -> Came {
        let body = json!({
            "owner_type": "user", "owner_id": OWNER, "repository_id": REPOSITORY,
            "data_volume_limit": 1 + random.below(1 << 30), "max_records": 1 + random.below(6),
        });
        let made = self.client.json("POST", "/api/allocations/", &body).expect("an answer").expect(201).json();
        let id = text_of(&made, "id");
        self.places.put(&id);
        self.allocations.push(id);
        Came::Done
    }

    fn change(&mut self, random: &mut Random) -> Came {
        let Some((_, id)) = pick(random, &self.allocations) else { return Came::Nothing };
        let body = json!({ "data_volume_limit": 1 + random.below(1 << 30), "max_records": 1 + random.below(6) });
        self.client.json("PATCH", &format!("/api/allocations/{id}/"), &body).expect("an answer").expect(200);
        Came::Done
    }

    fn remove(&mut self, random: &mut Random) -> Came {
        let Some((at, id)) = pick(random, &self.allocations) else { return Came::Nothing };
        let answer = self.client.call("DELETE", &format!("/api/allocations/{id}/")).expect("an answer");
        // A record lies in it, or what somebody claimed natively.
        if answer.status == 409 {
            return Came::Refused;
        }
        answer.expect(204);
        self.places.remove(id);
        self.allocations.remove(at);
        Came::Done
    }

    fn upload(&mut self, random: &mut Random) -> Came {
        let Some((_, allocation)) = pick(random, &self.allocations) else { return Came::Nothing };
        // Some lie in the database, some in files.
        let record = Record { seed: random.below(u64::MAX), size: random.below(100 << 10) as usize };
        let answer = self.client.bytes("POST", &upload_path(allocation, "file"), &content(&record));
        let answer = answer.expect("an answer");
        // No room there, or above it.
        if answer.status == 400 {
            return Came::Refused;
        }
        self.records.push(text_of(&answer.expect(201).json(), "id"));
        Came::Done
    }

    fn delete(&mut self, random: &mut Random) -> Came {
        let Some((at, id)) = pick(random, &self.records) else { return Came::Nothing };
        self.client.call("DELETE", &format!("/api/records/{id}/")).expect("an answer").expect(204);
        self.records.remove(at);
        Came::Done
    }
}

impl Caller for Allocations {
    fn step(&mut self, random: &mut Random) -> Came {
        match random.below(10) {
            0 | 1 if self.allocations.len() < THINGS_MAX => self.create(random),
            2 => self.change(random),
            3 => self.remove(random),
            4..=6 if self.records.len() < 2 * THINGS_MAX => self.upload(random),
            _ => self.delete(random),
        }
    }

    fn told(&mut self) -> Vec<Told> {
        const FIELDS: [(&str, &str, Number); 4] = [
            ("data_volume_limit", "bytes", Number::Limit),
            ("max_records", "objects", Number::Limit),
            ("current_bytes", "bytes", Number::Used),
            ("current_record_count", "objects", Number::Used),
        ];
        let mut told = Vec::new();
        for id in &self.allocations {
            let shown = self.client.get(&format!("/api/allocations/{id}/")).expect("an answer").expect(200).json();
            told.extend(FIELDS.map(|(field, resource, number)| Told {
                field,
                place: id.clone(),
                resource,
                number,
                written: Written::Whole,
                said: number_of(&shown, field),
            }));
        }
        told
    }
}
