//! What is promised, as ratios within one run. The floor must hold; the goal is what we are after.

/// Who has a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Ours: claims through one root.
    Ours,
    /// Ours: claims on paths that share nothing.
    OursDisjoint,
    /// Ours: claims that are all refused.
    OursRefused,
    /// Ours: batches; counted in claims.
    OursBatch,
    /// The empty handler.
    Empty,
    /// PostgreSQL, four statements a charge.
    Postgres,
    /// PostgreSQL, one call a charge.
    PostgresOneCall,
    /// SQLite, a transaction a charge.
    Sqlite,
    /// Redis, a script a charge.
    Redis,
}

impl Side {
    /// The name in the table, and in the JSON.
    pub fn label(self) -> &'static str {
        match self {
            Side::Ours => "plimsoll, hot root",
            Side::OursDisjoint => "plimsoll, disjoint paths",
            Side::OursRefused => "plimsoll, all refused",
            Side::OursBatch => "plimsoll, batches of 1,000",
            Side::Empty => "axum, nothing kept",
            Side::Postgres => "PostgreSQL, 4 statements",
            Side::PostgresOneCall => "PostgreSQL, one call",
            Side::Sqlite => "SQLite, tx a charge",
            Side::Redis => "Redis, appendfsync always",
        }
    }

    /// In what way the comparison is not of equals.
    pub fn differs(self) -> &'static str {
        match self {
            Side::Ours | Side::OursDisjoint | Side::OursRefused | Side::OursBatch => "",
            Side::Empty => "not durable, no auth",
            Side::Postgres | Side::PostgresOneCall | Side::Redis => "no HTTP, no auth",
            Side::Sqlite => "in process, no HTTP, no auth",
        }
    }
}

/// Our rate as a multiple of a peer's.
pub struct Goal {
    /// The peer.
    pub beside: Side,
    /// At how many clients.
    pub clients: u32,
    /// What must hold.
    pub floor: f64,
    /// What we are after.
    pub goal: f64,
}

const fn goal(beside: Side, clients: u32, floor: f64, goal: f64) -> Goal {
    Goal { beside, clients, floor, goal }
}

/// Charges through a hot root.
pub const CHARGE: [Goal; 6] = [
    goal(Side::Postgres, 64, 20.0, 40.0),
    goal(Side::Sqlite, 64, 5.0, 8.0),
    goal(Side::Redis, 64, 1.2, 2.0),
    goal(Side::Redis, 8, 1.0, 1.5),
    goal(Side::Redis, 1, 0.6, 0.8),
    goal(Side::Empty, 64, 0.4, 0.5),
];

/// Our p99 as a multiple of the empty handler's, at the most clients.
pub const P99_BESIDE_EMPTY_MAX: f64 = 3.0;
/// Claims a second through batches.
pub const BATCH_CLAIMS_MIN: f64 = 100_000.0;
/// The hot root's rate as a share of disjoint paths'.
pub const HOT_BESIDE_DISJOINT_MIN: f64 = 0.9;
/// Refusals a second as a share of admissions.
pub const REFUSALS_BESIDE_ADMISSIONS_MIN: f64 = 1.0;
