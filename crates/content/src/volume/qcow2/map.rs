//! What a layer holds: a bit a cluster.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use super::{COMPRESSED, Head, OFFSET, TABLE_ENTRIES, ZERO, flaw, read_table};

/// Clusters in one part of [`Bits`]: those that one table of the second level maps.
pub(in super::super) const TABLE_CLUSTERS: u64 = TABLE_ENTRIES;
const WORDS: usize = (TABLE_CLUSTERS / 64) as usize;

/// A set of clusters that takes memory where it has members.
#[derive(Clone, Default, Debug)]
pub(in super::super) struct Bits(BTreeMap<u64, Box<[u64; WORDS]>>);

impl Bits {
    pub(in super::super) fn has(&self, cluster: u64) -> bool {
        let (part, word, bit) = place(cluster);
        self.0.get(&part).is_some_and(|words| words[word] & bit != 0)
    }

    pub(in super::super) fn add(&mut self, cluster: u64) {
        let (part, word, bit) = place(cluster);
        self.0.entry(part).or_insert_with(|| Box::new([0; WORDS]))[word] |= bit;
    }

    pub(in super::super) fn add_all(&mut self, other: &Bits) {
        for (part, theirs) in &other.0 {
            let words = self.0.entry(*part).or_insert_with(|| Box::new([0; WORDS]));
            words.iter_mut().zip(theirs.iter()).for_each(|(word, theirs)| *word |= theirs);
        }
    }

    pub(in super::super) fn remove_all(&mut self, other: &Bits) {
        for (part, theirs) in &other.0 {
            if let Some(words) = self.0.get_mut(part) {
                words.iter_mut().zip(theirs.iter()).for_each(|(word, theirs)| *word &= !theirs);
            }
        }
    }

    /// How many are in both.
    pub(in super::super) fn common(&self, other: &Bits) -> u64 {
        let both = self.0.iter().filter_map(|(part, words)| Some((words, other.0.get(part)?)));
        both.map(|(ours, theirs)| {
            ours.iter().zip(theirs.iter()).map(|(a, b)| u64::from((a & b).count_ones())).sum::<u64>()
        })
        .sum()
    }

    /// The parts that have members: which, how many, and one after the other.
    pub(in super::super) fn parts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(part, words)| (*part, count(words))).filter(|(_, count)| *count > 0)
    }

    /// The member of a part before which there are `rank` in it.
    pub(in super::super) fn select(&self, part: u64, mut rank: u64) -> Option<u64> {
        let words = self.0.get(&part)?;
        for (at, word) in words.iter().enumerate() {
            let ones = u64::from(word.count_ones());
            if rank < ones {
                let mut word = *word;
                (0..rank).for_each(|_| word &= word - 1);
                return Some(part * TABLE_CLUSTERS + at as u64 * 64 + u64::from(word.trailing_zeros()));
            }
            rank -= ones;
        }
        None
    }

    /// Runs of members, as (first, how many), none longer than `most`.
    pub(in super::super) fn runs(&self, most: u64) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (part, words) in &self.0 {
            for (at, word) in words.iter().enumerate().filter(|(_, word)| **word != 0) {
                for bit in (0..64).filter(|bit| word & (1 << bit) != 0) {
                    let cluster = part * TABLE_CLUSTERS + at as u64 * 64 + bit;
                    match runs.last_mut() {
                        Some((first, len)) if *first + *len == cluster && *len < most => *len += 1,
                        _ => runs.push((cluster, 1)),
                    }
                }
            }
        }
        runs
    }
}

fn count(words: &[u64; WORDS]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

fn place(cluster: u64) -> (u64, usize, u64) {
    let within = cluster % TABLE_CLUSTERS;
    (cluster / TABLE_CLUSTERS, (within / 64) as usize, 1 << (within % 64))
}

/// What a layer of ours says of the guest's clusters: these are data, these are zeros, and of the others it says nothing.
#[derive(Clone, Default, Debug)]
pub(in super::super) struct Map {
    pub data: Bits,
    pub zeros: Bits,
}

impl Map {
    /// Reads it from the tables.
    pub(in super::super) fn scan(file: &File) -> io::Result<Map> {
        let head = Head::read_own(file)?;
        let mut map = Map::default();
        let l1 = read_table(file, head.l1_offset, head.l1_entries as usize)?;
        for (index, entry) in (0..).zip(l1).filter(|(_, entry)| entry & OFFSET != 0) {
            let table = read_table(file, entry & OFFSET, TABLE_ENTRIES as usize)?;
            for (at, entry) in (0..).zip(table).filter(|(_, entry)| *entry != 0) {
                let cluster = index * TABLE_ENTRIES + at;
                if entry & COMPRESSED != 0 {
                    return Err(flaw("a layer of ours has nothing compressed"));
                }
                match (entry & ZERO != 0, entry & OFFSET != 0) {
                    (true, _) => map.zeros.add(cluster),
                    (false, true) => map.data.add(cluster),
                    (false, false) => {}
                }
            }
        }
        Ok(map)
    }

    /// What is there when this lies on `below`.
    pub(in super::super) fn over(mut self, below: Map) -> Map {
        let Map { mut data, mut zeros } = below;
        data.remove_all(&self.zeros);
        zeros.remove_all(&self.data);
        self.data.add_all(&data);
        self.zeros.add_all(&zeros);
        self
    }

    /// All clusters of which it says anything.
    pub(in super::super) fn said(&self) -> Bits {
        let mut said = self.data.clone();
        said.add_all(&self.zeros);
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_found_and_listed() {
        let mut bits = Bits::default();
        let members = [0, 1, 63, 64, 8191, 8192, 1 << 30];
        members.iter().chain(&members).for_each(|member| bits.add(*member));
        assert!(members.iter().all(|member| bits.has(*member)) && !bits.has(2));
        assert_eq!(bits.common(&bits), 7);
        assert_eq!(bits.parts().collect::<Vec<_>>(), [(0, 5), (1, 1), (1 << 17, 1)]);
        assert_eq!(bits.select(0, 4), Some(8191));
        assert_eq!(bits.select(0, 5), None);
        assert_eq!(bits.runs(10), [(0, 2), (63, 2), (8191, 2), (1 << 30, 1)]);
        assert_eq!(bits.runs(1).len(), 7);
    }

    #[test]
    fn what_lies_above_hides_what_lies_below() {
        let map = |data: &[u64], zeros: &[u64]| {
            let mut map = Map::default();
            data.iter().for_each(|cluster| map.data.add(*cluster));
            zeros.iter().for_each(|cluster| map.zeros.add(*cluster));
            map
        };
        let seen = map(&[1], &[2]).over(map(&[1, 2, 3], &[1, 4]));
        assert_eq!((seen.data.runs(9), seen.zeros.runs(9)), (vec![(1, 1), (3, 1)], vec![(2, 1), (4, 1)]));
        assert_eq!(seen.said().runs(9), [(1, 4)]);
    }
}
