//! Random numbers that cost nothing and come out the same in every run.

/// A xorshift generator.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of client `number`.
    pub fn of(number: usize) -> Rng {
        Rng(0x1234_5678_9abc_def1 ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % bound as u64) as usize
    }

    /// How many bytes a charge takes: four digits, so that every request is of one length.
    pub fn bytes(&mut self) -> u64 {
        1_000 + self.below(9_000) as u64
    }
}
