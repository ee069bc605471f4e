//! Our own knowledge of qcow2 metadata: what imago does not do for us.
//!
//! **What for.** To make an empty layer ([`make`]), to know what a layer holds ([`Map::scan`]), to bring one that was not
//! closed into order ([`repair`]), to refuse a hostile image before anything else touches it ([`inspect()`]), and to give a
//! volume out as one image without writing it anywhere first ([`Layout`]). Bytes of the guest go through imago.
//! **Always.** Every offset is checked against the file before it is followed; tables are read one at a time; memory is a
//! bit a cluster. Backing and data files named in a header are never opened: there is no code that could.

mod inspect;
mod layout;
mod map;
mod repair;

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

pub(super) use inspect::inspect;
pub(super) use layout::{Layout, Piece};
pub(super) use map::{Bits, Map, TABLE_CLUSTERS};
pub(super) use repair::repair;

use super::files::read_at;

/// The clusters of our layers: qemu's default.
pub(super) const CLUSTER_BYTES: u64 = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;
/// Entries in a table of our layers.
const TABLE_ENTRIES: u64 = CLUSTER_BYTES / 8;
/// 16 bits a count: qemu's default, too.
const REFCOUNT_ORDER: u32 = 4;
/// Clusters that one block of counts is for.
const BLOCK_ENTRIES: u64 = CLUSTER_BYTES / 2;
/// The largest volume: what qemu's bound on the table of the first level, 32 MiB, allows is more.
pub(crate) const SIZE_MAX: u64 = 1 << 46;

const MAGIC: u32 = 0x5146_49fb;
const HEADER_BYTES: u32 = 112;
const BACKING_FORMAT: u32 = 0xe279_2aca;
/// Where an entry points to.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// Exactly one entry points there.
const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Reads as zeros, whatever it points to.
const ZERO: u64 = 1;

/// What a header says that we go by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    version: u32,
    cluster_bits: u32,
    pub size: u64,
    l1_offset: u64,
    l1_entries: u64,
    refcount_order: u32,
    reftable_offset: u64,
    reftable_clusters: u64,
    backing_offset: u64,
    backing_len: u32,
    encryption: u32,
    snapshots: u32,
    incompatible: u64,
    header_len: u32,
}

/// An image that is not as it must be.
fn flaw(text: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text.into())
}

impl Head {
    /// Reads a header. What it says is not checked but for the words themselves.
    pub(super) fn read(file: &File) -> io::Result<Head> {
        let mut bytes = [0; 104];
        read_at(file, &mut bytes, 0)?;
        let u32_at = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| (u64::from(u32_at(at)) << 32) | u64::from(u32_at(at + 4));
        if u32_at(0) != MAGIC {
            return Err(flaw("it is no qcow2 image"));
        }
        let version = u32_at(4);
        if !(2..=3).contains(&version) {
            return Err(flaw(format!("version {version} of qcow2 is not known")));
        }
        let is_3 = version == 3;
        Ok(Head {
            version,
            cluster_bits: u32_at(20),
            size: u64_at(24),
            l1_offset: u64_at(40),
            l1_entries: u32_at(36).into(),
            refcount_order: if is_3 { u32_at(96) } else { REFCOUNT_ORDER },
            reftable_offset: u64_at(48),
            reftable_clusters: u32_at(56).into(),
            backing_offset: u64_at(8),
            backing_len: u32_at(16),
            encryption: u32_at(32),
            snapshots: u32_at(60),
            incompatible: if is_3 { u64_at(72) } else { 0 },
            header_len: if is_3 { u32_at(100) } else { 72 },
        })
    }

    /// Reads the header of a layer of ours.
    pub(super) fn read_own(file: &File) -> io::Result<Head> {
        let head = Head::read(file)?;
        let is_ours = head.version == 3
            && (head.cluster_bits, head.refcount_order) == (CLUSTER_BITS, REFCOUNT_ORDER)
            && (head.incompatible, head.encryption, head.snapshots) == (0, 0, 0)
            && head.size <= SIZE_MAX
            && head.l1_entries <= SIZE_MAX / (TABLE_ENTRIES * CLUSTER_BYTES)
            && head.l1_entries >= head.size.div_ceil(TABLE_ENTRIES * CLUSTER_BYTES)
            && head.l1_offset.is_multiple_of(CLUSTER_BYTES);
        if is_ours { Ok(head) } else { Err(flaw("it is no layer of ours")) }
    }

    /// The name by which people find the layer below.
    fn backing_name(&self, file: &File) -> io::Result<Option<String>> {
        if self.backing_offset == 0 {
            return Ok(None);
        }
        let mut name = vec![0; self.backing_len.min(1023) as usize];
        read_at(file, &mut name, self.backing_offset)?;
        Ok(Some(String::from_utf8_lossy(&name).into_owned()))
    }
}

/// Makes sure that a file is a layer of ours.
pub(super) fn check_own(file: &File) -> io::Result<()> {
    Head::read_own(file).map(drop)
}

/// Reads a table of big-endian entries.
fn read_table(file: &File, at: u64, entries: usize) -> io::Result<Vec<u64>> {
    let mut bytes = vec![0; entries * 8];
    read_at(file, &mut bytes, at)?;
    Ok(bytes.chunks_exact(8).map(|part| u64::from_be_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|at| part[at]))).collect())
}

fn to_bytes(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

/// The first cluster of an image of ours.
struct Opening<'n> {
    size: u64,
    l1_cluster: u64,
    reftable_clusters: u64,
    below: Option<&'n str>,
}

impl Opening<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        let name = self.below.unwrap_or_default();
        let extensions_len = if name.is_empty() { 8 } else { 24 };
        let backing_offset = if name.is_empty() { 0 } else { u64::from(HEADER_BYTES) + extensions_len };
        let l1_entries = self.size.div_ceil(TABLE_ENTRIES * CLUSTER_BYTES) as u32;
        let mut put = |part: &[u8]| bytes.extend_from_slice(part);
        put(&MAGIC.to_be_bytes());
        put(&3_u32.to_be_bytes());
        put(&backing_offset.to_be_bytes());
        put(&(name.len() as u32).to_be_bytes());
        put(&CLUSTER_BITS.to_be_bytes());
        put(&self.size.to_be_bytes());
        put(&0_u32.to_be_bytes()); // not encrypted
        put(&l1_entries.to_be_bytes());
        put(&(self.l1_cluster * CLUSTER_BYTES).to_be_bytes());
        put(&CLUSTER_BYTES.to_be_bytes()); // counts begin in the second cluster
        put(&(self.reftable_clusters as u32).to_be_bytes());
        put(&[0; 36]); // no snapshots inside; no features
        put(&REFCOUNT_ORDER.to_be_bytes());
        put(&HEADER_BYTES.to_be_bytes());
        put(&[0; 8]); // compressed clusters, if there are any, are zlib's
        if !name.is_empty() {
            put(&BACKING_FORMAT.to_be_bytes());
            put(&5_u32.to_be_bytes());
            put(b"qcow2\0\0\0");
        }
        put(&[0; 8]); // no more extensions
        put(name.as_bytes());
        bytes
    }
}

/// Writes an empty layer into a new file: header, counts, and a table of the first level that is a hole.
pub(super) fn make(file: &File, size: u64, below: Option<&str>) -> io::Result<()> {
    let l1_cluster = 3;
    let l1_clusters = (size.div_ceil(TABLE_ENTRIES * CLUSTER_BYTES) * 8).div_ceil(CLUSTER_BYTES).max(1);
    let clusters = l1_cluster + l1_clusters;
    file.write_all_at(&Opening { size, l1_cluster, reftable_clusters: 1, below }.bytes(), 0)?;
    file.write_all_at(&(2 * CLUSTER_BYTES).to_be_bytes(), CLUSTER_BYTES)?;
    let counts: Vec<u8> = (0..clusters).flat_map(|_| 1_u16.to_be_bytes()).collect();
    file.write_all_at(&counts, 2 * CLUSTER_BYTES)?;
    file.set_len(clusters * CLUSTER_BYTES)
}

/// Sees to it that the header of a layer names the layer below by this name. Nobody may have it open for writing.
pub(super) fn set_backing_name(file: &File, below: Option<&str>) -> io::Result<()> {
    let head = Head::read_own(file)?;
    if head.backing_name(file)?.as_deref() == below {
        return Ok(());
    }
    let mut bytes = vec![0; HEADER_BYTES as usize];
    read_at(file, &mut bytes, 0)?;
    let opening = Opening { size: head.size, l1_cluster: 0, reftable_clusters: 0, below }.bytes();
    // All but where the header says that the tables are.
    bytes[8..20].copy_from_slice(&opening[8..20]);
    bytes.extend_from_slice(&opening[HEADER_BYTES as usize..]);
    file.write_all_at(&bytes, 0)?;
    file.sync_data()
}
