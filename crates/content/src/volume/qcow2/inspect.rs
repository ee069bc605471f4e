//! Looking at an image that somebody sent, before anything else touches it.
//!
//! **Always.** It is refused unless all of it is as the format says: nothing is opened that it names, nothing is followed
//! that leads outside it or to where something else is. What is looked at is bounded by the file that was sent, and paid for.

use std::fs::File;
use std::io;

use super::super::files::read_at;
use super::{COMPRESSED, Head, OFFSET, SIZE_MAX, ZERO, flaw, read_table};

/// The most clusters that a file may have: a bit each is 64 MiB.
const FILE_CLUSTERS_MAX: u64 = 1 << 29;
/// qemu's bounds on the two tables that are read whole.
const L1_BYTES_MAX: u64 = 32 << 20;
const REFTABLE_BYTES_MAX: u64 = 8 << 20;
/// The most header extensions.
const EXTENSIONS_MAX: usize = 64;

/// What is in a file, a bit a cluster.
struct Look<'f> {
    file: &'f File,
    head: Head,
    cluster: u64,
    len: u64,
    used: Vec<u64>,
    /// Clusters that hold compressed data.
    packed: Vec<u64>,
    /// Bytes that compressed clusters take, all together.
    compressed: u64,
}

/// The size of an image that may be read by imago, or why it may not: an error of kind `InvalidData`.
pub(in super::super) fn inspect(file: &File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    if len < 72 {
        return Err(flaw("it is too short for an image"));
    }
    let head = Head::read(file)?;
    check_head(&head)?;
    let cluster = 1_u64 << head.cluster_bits;
    let clusters = len.div_ceil(cluster);
    if clusters > FILE_CLUSTERS_MAX {
        return Err(flaw("it has too many clusters"));
    }
    let (used, packed) = (vec![0; clusters.div_ceil(64) as usize], vec![0; clusters.div_ceil(64) as usize]);
    let mut look = Look { file, head, cluster, len, used, packed, compressed: 0 };
    look.extensions()?;
    look.take(0, cluster, "the header")?;
    look.tables()?;
    look.counts()?;
    if look.used.iter().zip(&look.packed).any(|(used, packed)| used & packed != 0) {
        return Err(flaw("compressed data lie where something else is"));
    }
    Ok(look.head.size)
}

fn check_head(head: &Head) -> io::Result<()> {
    let refuse = |is_wrong: bool, why: &str| if is_wrong { Err(flaw(why)) } else { Ok(()) };
    refuse(!(9..=21).contains(&head.cluster_bits), "its clusters are smaller or larger than there are")?;
    refuse(head.size > SIZE_MAX, "it is larger than any volume")?;
    refuse(head.encryption != 0, "it is encrypted")?;
    refuse(head.backing_offset != 0 || head.backing_len != 0, "it needs another image: a backing file")?;
    refuse(head.incompatible & 4 != 0, "it needs another file: its data")?;
    refuse(head.incompatible & 1 != 0, "it was not closed: repair it with qemu-img check -r all")?;
    refuse(head.incompatible & 2 != 0, "it is marked as damaged")?;
    refuse(head.incompatible != 0, "it has features that are not known here")?;
    refuse(head.snapshots != 0, "it has snapshots inside: convert it with qemu-img convert")?;
    refuse(head.refcount_order > 6, "its counts are wider than there are")?;
    let (min, max) = if head.version == 3 { (104, 1 << head.cluster_bits.min(16)) } else { (72, 72) };
    let is_odd = head.header_len < min || head.header_len > max || !head.header_len.is_multiple_of(8);
    refuse(is_odd, "its header is longer or shorter than there are")?;
    let cluster = 1_u64 << head.cluster_bits;
    let mapped = (cluster / 8).saturating_mul(cluster);
    refuse(head.l1_entries * 8 > L1_BYTES_MAX, "its table of the first level is too long")?;
    refuse(head.l1_entries < head.size.div_ceil(mapped), "its table of the first level is too short")?;
    refuse(head.reftable_clusters * cluster > REFTABLE_BYTES_MAX, "its table of counts is too long")?;
    refuse(head.reftable_clusters == 0, "it has no table of counts")
}

impl Look<'_> {
    /// Takes the bytes for one thing: they must be in the file, and nothing else's.
    fn take(&mut self, at: u64, bytes: u64, what: &str) -> io::Result<()> {
        let end = at.checked_add(bytes).ok_or_else(|| flaw(format!("{what} has no end")))?;
        if !at.is_multiple_of(self.cluster) {
            return Err(flaw(format!("{what} does not begin with a cluster")));
        }
        // The last cluster may be cut short: what is missing reads as zeros.
        if at >= self.len || end > self.len.next_multiple_of(self.cluster) {
            return Err(flaw(format!("{what} is not in the file")));
        }
        for cluster in at / self.cluster..end.div_ceil(self.cluster) {
            let (word, bit) = ((cluster / 64) as usize, 1_u64 << (cluster % 64));
            if self.used[word] & bit != 0 {
                return Err(flaw(format!("{what} lies where something else is")));
            }
            self.used[word] |= bit;
        }
        Ok(())
    }

    /// Header extensions must end, within the first cluster. What they name is not opened; a data file is refused.
    fn extensions(&mut self) -> io::Result<()> {
        let mut at = u64::from(self.head.header_len);
        for _ in 0..EXTENSIONS_MAX {
            if self.head.version == 2 && at + 8 > self.cluster {
                return Ok(());
            }
            let mut bytes = [0; 8];
            read_at(self.file, &mut bytes, at)?;
            let kind = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let len = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            match kind {
                0 => return Ok(()),
                0x4441_5441 => return Err(flaw("it names another file for its data")),
                0x0537_be77 => return Err(flaw("it is encrypted")),
                _ => at += 8 + u64::from(len).next_multiple_of(8),
            }
            if at + 8 > self.cluster {
                return Err(flaw("its header extensions do not end"));
            }
        }
        Err(flaw("it has too many header extensions"))
    }

    /// The tables, and all they point to.
    fn tables(&mut self) -> io::Result<()> {
        let (offset, entries) = (self.head.l1_offset, self.head.l1_entries);
        if entries == 0 {
            return Ok(());
        }
        self.take(offset, entries * 8, "the table of the first level")?;
        let l1 = read_table(self.file, offset, entries as usize)?;
        for entry in &l1 {
            if *entry & !(OFFSET | super::COPIED) != 0 {
                return Err(flaw("an entry of the first level has bits that are not known"));
            }
            if entry & OFFSET != 0 {
                self.take(entry & OFFSET, self.cluster, "a table of the second level")?;
            }
        }
        for entry in l1.iter().filter(|entry| *entry & OFFSET != 0) {
            for entry in read_table(self.file, entry & OFFSET, (self.cluster / 8) as usize)? {
                self.entry(entry)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: u64) -> io::Result<()> {
        if entry & COMPRESSED != 0 {
            return self.compressed(entry);
        }
        let zero = if self.head.version == 3 { ZERO } else { 0 };
        if entry & !(OFFSET | super::COPIED | zero) != 0 {
            return Err(flaw("an entry of the second level has bits that are not known"));
        }
        match entry & OFFSET {
            0 => Ok(()),
            at => self.take(at, self.cluster, "a cluster of data"),
        }
    }

    /// Compressed clusters may share a cluster of the file, but not their bytes: else a small file could be a large volume
    /// many times over.
    fn compressed(&mut self, entry: u64) -> io::Result<()> {
        let shift = 62 - (self.head.cluster_bits - 8);
        let at = entry & ((1 << shift) - 1);
        let sectors = ((entry & (COMPRESSED - 1)) >> shift) + 1;
        let end = (at & !511) + sectors * 512;
        if at < self.cluster || at >= self.len || end > self.len.next_multiple_of(self.cluster) {
            return Err(flaw("compressed data are not in the file"));
        }
        // The last sector may begin the next one's bytes.
        self.compressed += (end - at).saturating_sub(511).max(1);
        if self.compressed > self.len {
            return Err(flaw("it has more compressed data than the file has bytes"));
        }
        for cluster in at / self.cluster..=(end - 1) / self.cluster {
            self.packed[(cluster / 64) as usize] |= 1 << (cluster % 64);
        }
        Ok(())
    }

    /// Whatever is in use must be counted; a count of nothing would have the next writer take it.
    fn counts(&mut self) -> io::Result<()> {
        let tables = self.used.clone();
        let (offset, clusters) = (self.head.reftable_offset, self.head.reftable_clusters);
        self.take(offset, clusters * self.cluster, "the table of counts")?;
        let table = read_table(self.file, offset, (clusters * self.cluster / 8) as usize)?;
        for block in table.iter().filter(|block| **block != 0) {
            if block & 511 != 0 {
                return Err(flaw("an entry of the table of counts has bits that are not known"));
            }
            self.take(*block, self.cluster, "a block of counts")?;
        }
        let bits = 1_u64 << self.head.refcount_order;
        let block_clusters = self.cluster * 8 / bits;
        for first in (0..self.len.div_ceil(self.cluster)).step_by(block_clusters as usize) {
            let block = table.get((first / block_clusters) as usize).copied().unwrap_or(0);
            let mut counts = vec![0; self.cluster as usize];
            if block != 0 {
                read_at(self.file, &mut counts, block)?;
            }
            let last = (first + block_clusters).min(self.len.div_ceil(self.cluster));
            for cluster in first..last {
                let is_used = tables[(cluster / 64) as usize] & (1 << (cluster % 64)) != 0;
                if is_used && is_zero(&counts, cluster - first, bits) {
                    return Err(flaw("it uses clusters that it counts as free"));
                }
            }
        }
        Ok(())
    }
}

/// Whether the count at `index` of a block, `bits` wide, is 0.
fn is_zero(block: &[u8], index: u64, bits: u64) -> bool {
    if bits >= 8 {
        let bytes = (bits / 8) as usize;
        return block[index as usize * bytes..][..bytes].iter().all(|byte| *byte == 0);
    }
    let (byte, shift) = ((index * bits / 8) as usize, index * bits % 8);
    (block[byte] >> shift) & ((1 << bits) - 1) == 0
}
