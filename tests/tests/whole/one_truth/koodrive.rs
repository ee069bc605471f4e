//! A client of the KooDrive API: spaces, and transfers between their types.

use serde_json::{Value, json};
use tests::{Answer, Client, Server};

use super::{Caller, Came, Number, Places, THINGS_MAX, Told, Written, number_of, pick};
use crate::account::Random;
use crate::site::text_of;

const SPACE: &str = "/koodrive/ose/v1/space";
/// No room; the capacity is less than what is used; the space is disabled.
const REFUSALS: [u64; 3] = [13_000_311, 13_000_102, 13_000_412];
const TYPES: [&str; 3] = ["department", "individual", "group"];
const GB: u64 = 1 << 30;
const KB: u64 = 1 << 10;

struct Space {
    owner: String,
    kind: u64,
    container: String,
}

pub(super) struct KooDrive {
    client: Client,
    number: u64,
    made: u64,
    places: Places,
    spaces: Vec<Space>,
}

impl KooDrive {
    pub fn new(server: &Server, number: u64, places: &Places) -> KooDrive {
        let client = server.anonymous().with("Authorization", "Bearer+whole-koodrive-token");
        KooDrive { client, number, made: 0, places: places.clone(), spaces: Vec::new() }
    }

    fn create(&mut self, random: &mut Random) -> Came {
        self.made += 1;
        let (owner, kind) = (format!("{}{:06}", self.number, self.made), random.below(2));
        let new = json!({ "type": kind, "capacity": 1 + random.below(3) });
        let came = outcome(self.client.json("POST", &format!("{SPACE}/{owner}"), &new).expect("an answer"));
        if came != Came::Done {
            return came;
        }
        let path = format!("{SPACE}/{owner}?type={kind}");
        let shown = self.client.get(&path).expect("an answer").expect(200).json();
        let container = text_of(&shown["data"], "containerId");
        self.places.put(&container);
        self.spaces.push(Space { owner, kind, container });
        came
    }

    fn change(&mut self, random: &mut Random) -> Came {
        let Some((_, space)) = pick(random, &self.spaces) else { return Came::Nothing };
        let change = match random.below(4) {
            0 => json!({ "type": space.kind, "status": random.below(2).to_string() }),
            _ => json!({ "type": space.kind, "capacity": (1 + random.below(4)).to_string() }),
        };
        outcome(self.client.json("PUT", &format!("{SPACE}/{}", space.owner), &change).expect("an answer"))
    }

    fn remove(&mut self, random: &mut Random) -> Came {
        let Some((at, Space { owner, kind, container })) = pick(random, &self.spaces) else { return Came::Nothing };
        let answer = self.client.call("DELETE", &format!("{SPACE}/{owner}?type={kind}")).expect("an answer");
        let came = outcome(answer);
        if came == Came::Done {
            self.places.remove(container);
            self.spaces.remove(at);
        }
        came
    }

    fn transfer(&mut self, random: &mut Random) -> Came {
        let target = |random: &mut Random| json!({ "type": random.below(3), "expandCapacity": 1 + random.below(3) });
        let target = json!([target(random), target(random)]);
        let body = json!({ "originType": random.below(3), "target": target });
        outcome(self.client.json("POST", &format!("{SPACE}/allocation/transfer"), &body).expect("an answer"))
    }

    fn status(&mut self) -> Value {
        let shown = self.client.get(&format!("{SPACE}/allocation/get")).expect("an answer").expect(200);
        shown.json()["data"].take()
    }
}

/// What came of a call, which may be refused for a few reasons.
fn outcome(answer: Answer) -> Came {
    let told = answer.json();
    let code = number_of(&told, "code");
    assert!(code == 0 || REFUSALS.contains(&code), "{} {told}", answer.status);
    if code == 0 { Came::Done } else { Came::Refused }
}

impl Caller for KooDrive {
    fn step(&mut self, random: &mut Random) -> Came {
        match random.below(8) {
            0..=2 if self.spaces.len() < THINGS_MAX => self.create(random),
            3 | 4 => self.change(random),
            5 => self.transfer(random),
            _ => self.remove(random),
        }
    }

    fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        let status = self.status();
        let totals: u64 = TYPES.iter().enumerate().map(|(at, _)| number_of(&status[at], "totalCapacity")).sum();
        assert_eq!(totals, 24, "a transfer keeps the sum: {status}");
        for (at, kind) in TYPES.into_iter().enumerate() {
            for (field, number) in [("totalCapacity", Number::Limit), ("allocateCapacity", Number::Promised)] {
                told.push(Told {
                    field,
                    place: format!("path:acme/koodrive/{kind}"),
                    resource: "bytes",
                    number,
                    written: Written::Down(GB),
                    said: number_of(&status[at], field),
                });
            }
        }
        for Space { owner, kind, container } in &self.spaces {
            let path = format!("{SPACE}/{owner}?type={kind}");
            let shown = self.client.get(&path).expect("an answer").expect(200).json();
            let fields = [("capacity", Number::Limit, Written::Down(KB)), ("spaceUsed", Number::Used, Written::Up(KB))];
            told.extend(fields.map(|(field, number, written)| Told {
                field,
                place: container.clone(),
                resource: "bytes",
                number,
                written,
                said: number_of(&shown["data"], field),
            }));
        }
        told
    }
}
