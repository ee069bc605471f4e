//! Passwords that are made for people.

use store::Clock;

/// Letters and digits that cannot be taken for each other, and nothing a shell or JSON would mind.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Some 115 bits.
const LENGTH: usize = 20;

/// A password nobody has had before.
pub fn random() -> site::Secret {
    let clock = Clock::system();
    let bytes = std::iter::repeat_with(|| clock.secret()).flatten();
    // A byte past the last whole round would favour the first letters.
    let rounds = 256 - 256 % LETTERS.len();
    let fair = bytes.filter(|byte| usize::from(*byte) < rounds);
    let text: String = fair.take(LENGTH).map(|byte| LETTERS[usize::from(byte) % LETTERS.len()] as char).collect();
    site::Secret::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_and_new() {
        let (first, second) = (random(), random());
        assert_eq!(first.expose().len(), LENGTH);
        assert_ne!(first.expose(), second.expose());
        assert!(first.expose().bytes().all(|letter| LETTERS.contains(&letter)));
    }
}
