//! How fast passwords can be guessed: after some failures of an account or an address, each next one has to wait twice as
//! long as the one before.
//!
//! **Always.** Only failures count. What is counted is bounded, and whoever waits is forgotten last.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use store::Micros;

/// Failures of one account that cost nothing.
const ACCOUNT_FREE: u32 = 5;
/// Failures of one address that cost nothing: many people can sit behind one.
const ADDRESS_FREE: u32 = 20;
/// The longest wait: somebody else's guessing must not lock an owner out for long.
const WAIT_MAX_S: u64 = 300;
/// Failures are forgotten this long after the last.
const FORGET_US: Micros = 3_600_000_000;
/// The most accounts, and the most addresses, that failures are counted of.
const COUNTED_MAX: usize = 16_384;

const _: () = assert!(FORGET_US > WAIT_MAX_S as Micros * 1_000_000, "a wait is over before it is forgotten");

/// The failures of accounts and addresses.
pub(crate) struct Throttle {
    hash: RandomState,
    accounts: Mutex<Failures<u64>>,
    addresses: Mutex<Failures<IpAddr>>,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle {
            hash: RandomState::new(),
            accounts: Mutex::new(Failures::new(ACCOUNT_FREE)),
            addresses: Mutex::new(Failures::new(ADDRESS_FREE)),
        }
    }
}

impl Throttle {
    /// How many seconds a login of this account from this address has to wait; none: it may be tried now.
    pub fn wait_s(&self, account: &str, from: IpAddr, now: Micros) -> Option<u64> {
        let account = locked(&self.accounts).wait_us(&self.hash.hash_one(account), now);
        let address = locked(&self.addresses).wait_us(&place(from), now);
        let wait_us = account.max(address);
        (wait_us > 0).then(|| (wait_us as u64).div_ceil(1_000_000))
    }

    pub fn failed(&self, account: &str, from: IpAddr, now: Micros) {
        locked(&self.accounts).add(self.hash.hash_one(account), now);
        locked(&self.addresses).add(place(from), now);
    }

    /// The account's failures are forgiven. The address's are not: else an account of one's own would buy more guesses.
    pub fn succeeded(&self, account: &str) {
        locked(&self.accounts).counts.remove(&self.hash.hash_one(account));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever has one IPv6 address has the 2^64 of its network.
fn place(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

struct Count {
    failures: u32,
    last: Micros,
    until: Micros,
}

struct Failures<K> {
    free: u32,
    counts: HashMap<K, Count>,
}

impl<K: Hash + Eq + Clone> Failures<K> {
    fn new(free: u32) -> Failures<K> {
        Failures { free, counts: HashMap::new() }
    }

    fn wait_us(&self, key: &K, now: Micros) -> Micros {
        self.counts.get(key).map_or(0, |count| count.until - now).max(0)
    }

    fn add(&mut self, key: K, now: Micros) {
        if self.counts.len() >= COUNTED_MAX && !self.counts.contains_key(&key) {
            self.make_room(now);
        }
        let count = self.counts.entry(key).or_insert(Count { failures: 0, last: now, until: now });
        let before = if now - count.last > FORGET_US { 0 } else { count.failures };
        count.failures = before.saturating_add(1);
        count.last = now;
        if let Some(more) = count.failures.checked_sub(self.free) {
            let wait_s = 1u64.checked_shl(more).unwrap_or(WAIT_MAX_S).min(WAIT_MAX_S);
            count.until = now + wait_s as Micros * 1_000_000;
        }
    }

    /// Forgets what is old; if that is not enough, a quarter of the rest: the fewest and oldest failures first, so that a
    /// flood of made-up accounts does not set a real one free.
    fn make_room(&mut self, now: Micros) {
        self.counts.retain(|_, count| now - count.last <= FORGET_US);
        if self.counts.len() < COUNTED_MAX {
            return;
        }
        let mut ranked: Vec<(u32, Micros, K)> =
            self.counts.iter().map(|(key, count)| (count.failures, count.last, key.clone())).collect();
        ranked.select_nth_unstable_by_key(COUNTED_MAX / 4, |(failures, last, _)| (*failures, *last));
        for (_, _, key) in &ranked[..COUNTED_MAX / 4] {
            self.counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Micros = 1_000_000;
    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn the_fifth_failure_of_an_account_costs_a_second_and_each_next_twice_as_much() {
        let throttle = Throttle::default();
        let waits: Vec<_> = (0..8)
            .map(|_| {
                throttle.failed("ana", HOME, 0);
                throttle.wait_s("ana", HOME, 0)
            })
            .collect();
        assert_eq!(waits, [None, None, None, None, Some(1), Some(2), Some(4), Some(8)]);
        assert_eq!(throttle.wait_s("ana", HOME, 8 * S), None);
        assert_eq!(throttle.wait_s("ben", HOME, 0), None);
        (0..50).for_each(|_| throttle.failed("ana", HOME, 0));
        assert_eq!(throttle.wait_s("ana", HOME, 0), Some(WAIT_MAX_S));
    }

    #[test]
    fn an_address_has_twenty_failures_whoever_is_tried_and_a_network_is_one_address() {
        let throttle = Throttle::default();
        for n in 0..20 {
            throttle.failed(&format!("user-{n}"), format!("2001:db8::{n}").parse().unwrap(), 0);
        }
        assert_eq!(throttle.wait_s("ana", "2001:db8::ffff".parse().unwrap(), 0), Some(1));
        assert_eq!(throttle.wait_s("ana", "2001:db8:0:1::1".parse().unwrap(), 0), None);
    }

    #[test]
    fn success_forgives_the_account_and_an_hour_forgives_all() {
        let throttle = Throttle::default();
        (0..6).for_each(|_| throttle.failed("ana", HOME, 0));
        throttle.succeeded("ana");
        assert_eq!(throttle.wait_s("ana", HOME, 0), None);
        (0..6).for_each(|_| throttle.failed("ana", HOME, 0));
        throttle.failed("ana", HOME, FORGET_US + 1);
        assert_eq!(throttle.wait_s("ana", HOME, FORGET_US + 1), None);
    }

    #[test]
    fn a_flood_of_made_up_accounts_neither_grows_for_ever_nor_frees_one_that_waits() {
        let throttle = Throttle::default();
        (0..20).for_each(|_| throttle.failed("ana", HOME, 0));
        for n in 0..2 * COUNTED_MAX {
            throttle.failed(&n.to_string(), HOME, 1);
        }
        assert!(locked(&throttle.accounts).counts.len() <= COUNTED_MAX);
        assert!(throttle.wait_s("ana", "192.0.2.9".parse().unwrap(), 1).is_some());
    }
}
