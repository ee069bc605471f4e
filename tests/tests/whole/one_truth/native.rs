//! A client of the native API: an allotment of its own, and claims there and at what others have made.

use serde_json::json;
use tests::{Client, Server};

use super::{Caller, Came, Number, Places, THINGS_MAX, Told, Written, pick};
use crate::account::Random;
use crate::site::{ADMIN, text_of};

struct Held {
    id: String,
    at: String,
    bytes: u64,
    pending: bool,
}

pub(super) struct Native {
    client: Client,
    /// Its own place.
    own: String,
    places: Places,
    held: Vec<Held>,
}

impl Native {
    pub fn new(server: &Server, number: u64, places: &Places) -> Native {
        let mut client = server.client(ADMIN);
        let new = json!({ "parent_id": "path:acme", "name": format!("own-{number}"), "limits": { "bytes": 1 << 30 } });
        let made = client.json("POST", "/plimsoll/v1/allotments", &new).expect("an answer").expect(201).json();
        Native { client, own: text_of(&made, "id"), places: places.clone(), held: Vec::new() }
    }

    fn charge(&mut self, random: &mut Random) -> Came {
        let theirs = self.places.pick(random).filter(|_| random.below(2) == 0);
        let (at, bytes) = (theirs.unwrap_or_else(|| self.own.clone()), 1 + random.below(400 << 20));
        let pending = random.below(4) == 0;
        let mut claim = json!({ "allotment_id": at, "amounts": { "bytes": bytes } });
        if pending {
            claim["state"] = json!("pending");
            claim["expires_in"] = json!(3600);
        }
        let answer = self.client.json("POST", "/plimsoll/v1/claims", &claim).expect("an answer");
        // No room; the place is disabled, or gone.
        if matches!(answer.status, 409 | 404) {
            return Came::Refused;
        }
        let id = text_of(&answer.expect(201).json(), "id");
        self.held.push(Held { id, at, bytes, pending });
        Came::Done
    }

    fn change(&mut self, random: &mut Random) -> Came {
        let Some((at, held)) = pick(random, &self.held) else { return Came::Nothing };
        let (path, bytes) = (format!("/plimsoll/v1/claims/{}", held.id), 1 + random.below(400 << 20));
        let amounts = json!({ "amounts": { "bytes": bytes } });
        let answer = match held.pending {
            true => self.client.json("POST", &format!("{path}/settle"), &amounts),
            false => self.client.json("PATCH", &path, &amounts),
        };
        let answer = answer.expect("an answer");
        if answer.status == 409 {
            return Came::Refused;
        }
        answer.expect(200);
        let held = &mut self.held[at];
        (held.bytes, held.pending) = (bytes, false);
        Came::Done
    }

    fn release(&mut self, random: &mut Random) -> Came {
        let Some((at, held)) = pick(random, &self.held) else { return Came::Nothing };
        self.client.call("DELETE", &format!("/plimsoll/v1/claims/{}", held.id)).expect("an answer").expect(204);
        self.held.remove(at);
        Came::Done
    }

    /// What a face shows as its own field is changed here, behind its back.
    fn limit(&mut self, random: &mut Random) -> Came {
        let Some(place) = self.places.pick(random) else { return Came::Nothing };
        let limits = json!({ "limits": { "bytes": random.below(2 << 30) } });
        let answer = self.client.json("PATCH", &format!("/plimsoll/v1/allotments/{place}"), &limits);
        let answer = answer.expect("an answer");
        if matches!(answer.status, 404 | 409) {
            return Came::Refused;
        }
        answer.expect(200);
        Came::Done
    }
}

impl Caller for Native {
    fn step(&mut self, random: &mut Random) -> Came {
        match random.below(8) {
            0..=2 if self.held.len() < THINGS_MAX => self.charge(random),
            3 => self.change(random),
            4 => self.limit(random),
            _ => self.release(random),
        }
    }

    /// Of its own place it knows the sum by itself.
    fn told(&mut self) -> Vec<Told> {
        let own = self.held.iter().filter(|held| held.at == self.own && !held.pending);
        vec![Told {
            field: "what was claimed",
            place: self.own.clone(),
            resource: "bytes",
            number: Number::Used,
            written: Written::Whole,
            said: own.map(|held| held.bytes).sum(),
        }]
    }
}
