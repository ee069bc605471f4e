//! The book and the model, side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledger::model::{Allotment, Claim, Model, Objection};
use ledger::{
    AllotmentId, Amounts, Book, ClaimId, ClaimState, Denied, Limits, LoadLine, Node, Overcommit, Place, Resource,
    Shape, Side, Weight,
};

/// Both, and what a store would keep beside the book: the claims.
#[derive(Default)]
pub struct Pair {
    pub book: Book,
    pub model: Model,
    pub claims: BTreeMap<ClaimId, Claim>,
    frozen: BTreeSet<AllotmentId>,
    shapes: BTreeMap<AllotmentId, Shape>,
}

/// A point to go back to.
pub struct Point {
    mark: usize,
    model: Model,
    claims: BTreeMap<ClaimId, Claim>,
    shapes: BTreeMap<AllotmentId, Shape>,
}

pub type Answer = Result<(), Objection>;

impl Pair {
    pub fn create(
        &mut self,
        id: AllotmentId,
        path: &str,
        side: Side,
        parent: Option<AllotmentId>,
        limits: &Limits,
    ) -> Answer {
        let above = parent.and_then(|parent| self.book.node(parent));
        let (root, depth) = above.map_or((id, 0), |above| (above.root, above.depth + 1));
        let node = Node {
            id,
            side,
            parent,
            path: Arc::from(path),
            root,
            depth,
            overcommit: None,
            load_lines: Vec::new(),
            frozen: false,
            expires_at: None,
            balances: Default::default(),
        };
        let book = self.book.create(node, limits);
        let model = self.model.create(id, Allotment::new(path, side, parent, limits));
        self.same(book.map_err(Objection::Denied), model)
    }

    pub fn set_limit(&mut self, id: AllotmentId, resource: Resource, limit: Option<u64>) -> Answer {
        let book = self.book.set_limit(id, resource, limit);
        let model = self.model.set_limit(id, resource, limit);
        self.same(book.map_err(Objection::Denied), model)
    }

    /// That nothing hangs on a node is for the store to know: here the model says it.
    pub fn remove(&mut self, id: AllotmentId) -> Answer {
        let model = self.model.remove(id);
        match model {
            Err(Objection::Occupied(_)) => model,
            _ => {
                let book = self.book.remove(id);
                self.same(book.map_err(Objection::Denied), model)
            }
        }
    }

    pub fn set_overcommit(&mut self, id: AllotmentId, overcommit: Option<Overcommit>) -> Answer {
        let shape = Shape { overcommit, ..self.shape(id) };
        let book = self.reshape(id, shape);
        let model = self.model.set_overcommit(id, overcommit);
        self.same(book, model)
    }

    pub fn set_expiry(&mut self, id: AllotmentId, expires_at: Option<i64>) -> Answer {
        let shape = Shape { expires_at, ..self.shape(id) };
        let book = self.reshape(id, shape);
        let model = self.model.set_expiry(id, expires_at);
        self.same(book, model)
    }

    /// The model knows no load lines: they change nothing that it answers.
    pub fn set_lines(&mut self, id: AllotmentId, load_lines: Vec<LoadLine>) -> Answer {
        let shape = Shape { load_lines, ..self.shape(id) };
        self.reshape(id, shape)
    }

    pub fn freeze(&mut self, id: AllotmentId) -> Answer {
        self.book.freeze(id);
        self.frozen.insert(id);
        self.model.freeze(id)
    }

    pub fn charge(&mut self, id: ClaimId, claim: Claim) -> Answer {
        let book = self.shift(None, Some(&claim));
        let model = self.model.charge(id, claim.clone());
        self.kept(id, book, model, Some(claim))
    }

    pub fn settle(&mut self, id: ClaimId, amounts: Option<Amounts>) -> Answer {
        let before = self.claim(id)?;
        if before.state == ClaimState::Held {
            assert_eq!(self.model.settle(id, amounts), Err(Objection::Held(id)));
            return Err(Objection::Held(id));
        }
        let after = Claim {
            amounts: amounts.clone().unwrap_or_else(|| before.amounts.clone()),
            state: ClaimState::Held,
            expires_at: None,
            ..before.clone()
        };
        let book = self.shift(Some(&before), Some(&after));
        let model = self.model.settle(id, amounts);
        self.kept(id, book, model, Some(after))
    }

    pub fn set(&mut self, id: ClaimId, amounts: Amounts) -> Answer {
        let before = self.claim(id)?;
        let after = Claim { amounts: amounts.clone(), ..before.clone() };
        let book = self.shift(Some(&before), Some(&after));
        let model = self.model.set(id, amounts);
        self.kept(id, book, model, Some(after))
    }

    pub fn relocate(&mut self, id: ClaimId, demand: Option<AllotmentId>) -> Answer {
        let before = self.claim(id)?;
        let after = Claim { place: Place { demand, ..before.place }, ..before.clone() };
        let book = self.shift(Some(&before), Some(&after));
        let model = self.model.relocate(id, demand);
        self.kept(id, book, model, Some(after))
    }

    pub fn release(&mut self, id: ClaimId) -> Answer {
        let before = self.claim(id)?;
        let book = self.shift(Some(&before), None);
        let model = self.model.release(id);
        self.kept(id, book, model, None)
    }

    /// Time goes on, and what has expired by then is let go, as a store does.
    pub fn set_now(&mut self, now: i64) {
        self.book.set_now(now);
        self.model.expire_all(now);
        let ended: Vec<ClaimId> = self
            .claims
            .iter()
            .filter(|(_, it)| it.expires_at.is_some_and(|end| end <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            let before = self.claims.remove(&id).unwrap();
            self.shift(Some(&before), None).expect("letting go is never refused");
        }
        self.agree();
    }

    pub fn mark(&self) -> Point {
        let (model, claims, shapes) = (self.model.clone(), self.claims.clone(), self.shapes.clone());
        Point { mark: self.book.mark(), model, claims, shapes }
    }

    /// Goes back. Time does not, and what was frozen stays so.
    pub fn rollback(&mut self, point: Point) {
        let now = self.model.now;
        self.book.rollback(point.mark);
        (self.model, self.claims, self.shapes) = (point.model, point.claims, point.shapes);
        for id in &self.frozen {
            // A node that is not there any more is not frozen either.
            let _ = self.model.freeze(*id);
        }
        self.agree();
        self.set_now(now);
    }

    /// Every sum of every node, counted by both; and the nodes themselves.
    pub fn agree(&self) {
        assert_eq!(self.book.len(), self.model.nodes.len(), "how many nodes there are");
        let counted = self.model.balances();
        for (id, told) in &self.model.nodes {
            let node = self.book.node(*id).unwrap_or_else(|| panic!("{} is not in the book", told.path));
            assert_eq!(
                (node.overcommit, node.expires_at, node.frozen),
                (told.overcommit, told.expires_at, told.frozen)
            );
            for (resource, _) in &node.balances {
                let counted = counted.get(&(*id, *resource)).copied().unwrap_or_default();
                assert_eq!(node.balance(*resource), counted, "{}: {resource}, book and model", told.path);
            }
        }
        for ((id, resource), counted) in counted {
            let path = &self.model.nodes[&id].path;
            assert_eq!(self.book.node(id).unwrap().balance(resource), counted, "{path}: {resource}, book and model");
        }
    }

    fn claim(&self, id: ClaimId) -> Result<Claim, Objection> {
        assert_eq!(self.claims.get(&id), self.model.claims.get(&id), "claim {id}");
        self.claims.get(&id).cloned().ok_or(Objection::NoClaim(id))
    }

    fn shape(&self, id: AllotmentId) -> Shape {
        self.shapes.get(&id).cloned().unwrap_or_default()
    }

    fn reshape(&mut self, id: AllotmentId, shape: Shape) -> Answer {
        self.book.set_shape(id, shape.clone())?;
        self.shapes.insert(id, shape);
        Ok(())
    }

    fn shift(&mut self, before: Option<&Claim>, after: Option<&Claim>) -> Result<(), Denied> {
        let weight = |it: &Claim| Weight { place: it.place, amounts: it.amounts.clone(), state: it.state };
        self.book.shift(before.map(weight).as_ref(), after.map(weight).as_ref())
    }

    fn kept(&mut self, id: ClaimId, book: Result<(), Denied>, model: Answer, after: Option<Claim>) -> Answer {
        match (&book, after) {
            (Ok(()), Some(after)) => drop(self.claims.insert(id, after)),
            (Ok(()), None) => drop(self.claims.remove(&id)),
            (Err(_), _) => {}
        }
        self.same(book.map_err(Objection::Denied), model)
    }

    fn same(&self, book: Answer, model: Answer) -> Answer {
        assert_eq!(book, model, "the book's answer and the model's");
        self.agree();
        book
    }
}
