//! The doors to time and randomness. Nothing else in the house opens them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{NoContext, Timestamp, Uuid};

/// Microseconds since 1970, UTC.
pub type Micros = i64;

/// Where time comes from: the system, or a hand that holds it in a test.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    held: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Clock {
        Clock { held: None }
    }

    /// Time stands still at `start` until it is set.
    pub fn manual(start: Micros) -> Clock {
        Clock { held: Some(Arc::new(AtomicI64::new(start))) }
    }

    /// Sets a manual clock; a system clock stays what it is.
    pub fn set(&self, now: Micros) {
        if let Some(held) = &self.held {
            held.store(now, Ordering::SeqCst);
        }
    }

    /// Moves a manual clock on.
    pub fn advance(&self, by: Micros) {
        if let Some(held) = &self.held {
            held.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Whether a test holds it.
    pub fn is_manual(&self) -> bool {
        self.held.is_some()
    }

    /// What time it is.
    #[expect(clippy::disallowed_methods, reason = "this is the door to the system's clock")]
    pub fn now(&self) -> Micros {
        match &self.held {
            Some(held) => held.load(Ordering::SeqCst),
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64),
        }
    }

    /// A new id, version 7: later ids sort after earlier ones, so that new rows go to the end of an index.
    #[expect(clippy::disallowed_methods, reason = "this is the door to new ids")]
    pub fn new_id(&self) -> Uuid {
        let micros = u64::try_from(self.now()).unwrap_or(0);
        let at = Timestamp::from_unix(NoContext, micros / 1_000_000, (micros % 1_000_000 * 1_000) as u32);
        Uuid::new_v7(at)
    }

    /// 32 random bytes from the system's generator.
    #[expect(clippy::disallowed_methods, reason = "this is the door to randomness")]
    pub fn secret(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // A version 4 UUID has 122 random bits of the system's generator; four of them hash to 256.
        let mut seed = [0; 64];
        for part in seed.chunks_exact_mut(16) {
            part.copy_from_slice(Uuid::new_v4().as_bytes());
        }
        bytes.copy_from_slice(&<sha2::Sha256 as sha2::Digest>::digest(seed));
        bytes
    }
}
