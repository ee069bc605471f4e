//! Headroom: the least room on the whole path.

use std::collections::HashMap;

use ledger::{AllotmentId, Balance, Resource};
use store::{Allotment, Error, Tx};

/// How much of each resource would still be admitted, in the resources' order. What is not in it is not limited.
pub type Room = Vec<(Resource, u64)>;

/// The room of an allotment, below what has this room.
pub fn below(above: &Room, allotment: &Allotment) -> Room {
    let mut room = above.clone();
    for (resource, balance) in &allotment.balances {
        let Some(own) = own(balance) else { continue };
        match room.binary_search_by_key(resource, |(known, _)| *known) {
            Ok(at) => room[at].1 = room[at].1.min(own),
            Err(at) => room.insert(at, (*resource, own)),
        }
    }
    room
}

fn own(balance: &Balance) -> Option<u64> {
    Some(balance.limit?.saturating_sub(balance.used).saturating_sub(balance.pending))
}

/// The rooms that are known: of a page's parents, each is looked up once.
#[derive(Default)]
pub struct Rooms(HashMap<AllotmentId, Room>);

impl Rooms {
    /// The room of an allotment.
    pub fn of(&mut self, tx: &mut Tx, allotment: &Allotment) -> Result<Room, Error> {
        let above = self.at(tx, allotment.parent)?;
        let room = below(&above, allotment);
        self.0.insert(allotment.id, room.clone());
        Ok(room)
    }

    /// The room at an allotment that is only known by its id; none has all there is.
    pub fn at(&mut self, tx: &mut Tx, id: Option<AllotmentId>) -> Result<Room, Error> {
        let Some(id) = id else { return Ok(Room::new()) };
        if let Some(known) = self.0.get(&id) {
            return Ok(known.clone());
        }
        let mut room = Room::new();
        for allotment in store::allotments::above(tx, id)?.iter().rev() {
            room = below(&room, allotment);
            self.0.insert(allotment.id, room.clone());
        }
        Ok(room)
    }
}
