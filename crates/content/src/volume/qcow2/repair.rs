//! Bringing a layer that was not closed into order: the counts are made anew from the tables.
//!
//! **Why.** imago keeps counts in memory until a flush. A process that is killed before leaves tables that are right and
//! counts that are not, and the next one would take clusters that are in use. What was flushed is in the tables; what an
//! entry says that cannot be (outside the file, or a cluster that is in use) was never flushed, and is taken out.
//! **Always.** The header points to the new counts after they are on disk. Interrupted, it is done again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::{
    BLOCK_ENTRIES, CLUSTER_BYTES, COMPRESSED, COPIED, Head, OFFSET, TABLE_ENTRIES, ZERO, flaw, read_table, to_bytes,
};

/// Clusters of the file that are in use.
struct Used {
    bits: Vec<u64>,
    file_clusters: u64,
}

impl Used {
    /// Takes a cluster; false when it cannot be had.
    fn take(&mut self, cluster: u64) -> bool {
        if cluster >= self.file_clusters {
            return false;
        }
        let (word, bit) = ((cluster / 64) as usize, 1_u64 << (cluster % 64));
        let is_free = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        is_free
    }

    fn has(&self, cluster: u64) -> bool {
        self.bits.get((cluster / 64) as usize).is_some_and(|word| word & (1 << (cluster % 64)) != 0)
    }

    /// The first cluster behind all that are in use.
    fn end(&self) -> u64 {
        let last = self.bits.iter().rposition(|word| *word != 0);
        last.map_or(0, |word| (word as u64 + 1) * 64 - u64::from(self.bits[word].leading_zeros()))
    }
}

/// Makes the counts of a layer of ours anew, and takes out of its tables what cannot be. On disk when it is back.
pub(in super::super) fn repair(file: &File) -> io::Result<()> {
    let head = Head::read_own(file)?;
    let file_clusters = file.metadata()?.len().div_ceil(CLUSTER_BYTES);
    let mut used = Used { bits: vec![0; file_clusters.div_ceil(64) as usize], file_clusters };
    let l1_clusters = (head.l1_entries * 8).div_ceil(CLUSTER_BYTES).max(1);
    let first = head.l1_offset / CLUSTER_BYTES;
    if !used.take(0) || !(first..first + l1_clusters).all(|cluster| used.take(cluster)) {
        return Err(flaw("the table of the first level is not in the file"));
    }
    tables(file, &head, &mut used)?;
    counts(file, &used)
}

/// Goes through the tables, notes what is in use, and takes out what cannot be.
fn tables(file: &File, head: &Head, used: &mut Used) -> io::Result<()> {
    let mut l1 = read_table(file, head.l1_offset, head.l1_entries as usize)?;
    let before = l1.clone();
    // All tables first: an entry that was never flushed must not take the cluster of a table.
    for entry in &mut l1 {
        let at = *entry & OFFSET;
        let is_sound = at != 0 && at.is_multiple_of(CLUSTER_BYTES) && used.take(at / CLUSTER_BYTES);
        *entry = if is_sound { at | COPIED } else { 0 };
    }
    for entry in l1.iter().filter(|entry| **entry != 0) {
        let at = entry & OFFSET;
        let mut table = read_table(file, at, TABLE_ENTRIES as usize)?;
        let before = table.clone();
        table.iter_mut().for_each(|entry| *entry = sound(*entry, used));
        if table != before {
            file.write_all_at(&to_bytes(&table), at)?;
        }
    }
    if l1 != before {
        file.write_all_at(&to_bytes(&l1), head.l1_offset)?;
    }
    Ok(())
}

/// The entry as it must be.
fn sound(entry: u64, used: &mut Used) -> u64 {
    let (at, zero) = (entry & OFFSET, entry & ZERO);
    if entry & COMPRESSED != 0 {
        return 0;
    }
    let is_sound = at != 0 && at.is_multiple_of(CLUSTER_BYTES) && used.take(at / CLUSTER_BYTES);
    if is_sound { at | zero | COPIED } else { zero }
}

/// Writes counts behind all that is in use, points the header to them, and cuts off what is behind them.
fn counts(file: &File, used: &Used) -> io::Result<()> {
    let end = used.end();
    let (mut blocks, mut table_clusters) = (1, 1);
    // More counts need more room, which needs counts; this ends since each is for many.
    while (end + blocks + table_clusters).div_ceil(BLOCK_ENTRIES) > blocks
        || (blocks * 8).div_ceil(CLUSTER_BYTES) > table_clusters
    {
        blocks = (end + blocks + table_clusters).div_ceil(BLOCK_ENTRIES);
        table_clusters = (blocks * 8).div_ceil(CLUSTER_BYTES);
    }
    let total = end + blocks + table_clusters;
    for block in 0..blocks {
        let counted = (block * BLOCK_ENTRIES..(block + 1) * BLOCK_ENTRIES)
            .flat_map(|cluster| u16::from(used.has(cluster) || (end..total).contains(&cluster)).to_be_bytes());
        file.write_all_at(&counted.collect::<Vec<u8>>(), (end + block) * CLUSTER_BYTES)?;
    }
    let mut table: Vec<u64> = (0..blocks).map(|block| (end + block) * CLUSTER_BYTES).collect();
    table.resize((table_clusters * TABLE_ENTRIES) as usize, 0);
    file.write_all_at(&to_bytes(&table), (end + blocks) * CLUSTER_BYTES)?;
    file.set_len(total * CLUSTER_BYTES)?;
    file.sync_all()?;
    let mut pointer = ((end + blocks) * CLUSTER_BYTES).to_be_bytes().to_vec();
    pointer.extend_from_slice(&(table_clusters as u32).to_be_bytes());
    file.write_all_at(&pointer, 48)?;
    file.sync_all()
}
