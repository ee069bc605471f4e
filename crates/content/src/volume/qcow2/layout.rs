//! A volume as one qcow2 image that is written nowhere: every byte of it can be told, so it can be sent, from anywhere on.

use super::{BLOCK_ENTRIES, Bits, CLUSTER_BYTES, COPIED, Opening, TABLE_CLUSTERS, TABLE_ENTRIES, to_bytes};

/// Where everything lies in the image: header, counts, tables, data in the guest's order.
pub(in super::super) struct Layout {
    size: u64,
    data: Bits,
    /// The parts of the volume that have data, and how many clusters of data come before each.
    parts: Vec<(u64, u64)>,
    reftable_clusters: u64,
    blocks: u64,
    l1_clusters: u64,
    data_clusters: u64,
}

/// What is in one cluster of the image.
pub(in super::super) enum Piece {
    /// These bytes, and zeros behind them.
    Bytes(Vec<u8>),
    /// This cluster of the guest.
    Guest(u64),
}

impl Layout {
    /// The image of a volume of this size that has these clusters of data.
    pub(in super::super) fn new(size: u64, data: Bits) -> Layout {
        let (mut parts, mut before) = (Vec::new(), 0);
        for (part, count) in data.parts() {
            parts.push((part, before));
            before += count;
        }
        let l1_clusters = (size.div_ceil(TABLE_ENTRIES * CLUSTER_BYTES) * 8).div_ceil(CLUSTER_BYTES).max(1);
        let mut layout =
            Layout { size, data, parts, reftable_clusters: 1, blocks: 1, l1_clusters, data_clusters: before };
        while layout.clusters().div_ceil(BLOCK_ENTRIES) > layout.blocks
            || (layout.blocks * 8).div_ceil(CLUSTER_BYTES) > layout.reftable_clusters
        {
            layout.blocks = layout.clusters().div_ceil(BLOCK_ENTRIES);
            layout.reftable_clusters = (layout.blocks * 8).div_ceil(CLUSTER_BYTES);
        }
        layout
    }

    fn l1_cluster(&self) -> u64 {
        1 + self.reftable_clusters + self.blocks
    }

    fn tables_cluster(&self) -> u64 {
        self.l1_cluster() + self.l1_clusters
    }

    fn data_cluster(&self) -> u64 {
        self.tables_cluster() + self.parts.len() as u64
    }

    fn clusters(&self) -> u64 {
        self.data_cluster() + self.data_clusters
    }

    /// How long the image is.
    pub(in super::super) fn len(&self) -> u64 {
        self.clusters() * CLUSTER_BYTES
    }

    /// What is in a cluster of the image.
    pub(in super::super) fn piece(&self, cluster: u64) -> Piece {
        let block_cluster = 1 + self.reftable_clusters;
        let words = |words: Vec<u64>| Piece::Bytes(to_bytes(&words));
        if cluster == 0 {
            let (l1_cluster, reftable_clusters) = (self.l1_cluster(), self.reftable_clusters);
            Piece::Bytes(Opening { size: self.size, l1_cluster, reftable_clusters, below: None }.bytes())
        } else if cluster < block_cluster {
            let first = (cluster - 1) * TABLE_ENTRIES;
            let blocks = first..self.blocks.min(first + TABLE_ENTRIES);
            words(blocks.map(|block| (block_cluster + block) * CLUSTER_BYTES).collect())
        } else if cluster < self.l1_cluster() {
            let first = (cluster - block_cluster) * BLOCK_ENTRIES;
            let counted = self.clusters().saturating_sub(first).min(BLOCK_ENTRIES);
            Piece::Bytes((0..counted).flat_map(|_| 1_u16.to_be_bytes()).collect())
        } else if cluster < self.tables_cluster() {
            words(self.l1(cluster - self.l1_cluster()))
        } else if cluster < self.data_cluster() {
            words(self.table((cluster - self.tables_cluster()) as usize))
        } else {
            self.guest(cluster - self.data_cluster()).map_or(Piece::Bytes(Vec::new()), Piece::Guest)
        }
    }

    /// One cluster of the table of the first level.
    fn l1(&self, index: u64) -> Vec<u64> {
        let first = index * TABLE_ENTRIES;
        let mut entries = vec![0; TABLE_ENTRIES as usize];
        let tables = (self.tables_cluster()..).zip(&self.parts);
        for (cluster, (part, _)) in tables.filter(|(_, (part, _))| (first..first + TABLE_ENTRIES).contains(part)) {
            entries[(part - first) as usize] = (cluster * CLUSTER_BYTES) | COPIED;
        }
        entries
    }

    /// A table of the second level.
    fn table(&self, index: usize) -> Vec<u64> {
        let (part, before) = self.parts[index];
        let mut next = self.data_cluster() + before;
        let mut entries = vec![0; TABLE_ENTRIES as usize];
        for (entry, cluster) in entries.iter_mut().zip(part * TABLE_CLUSTERS..) {
            if self.data.has(cluster) {
                *entry = (next * CLUSTER_BYTES) | COPIED;
                next += 1;
            }
        }
        entries
    }

    /// The guest's cluster before which there are `rank` with data.
    fn guest(&self, rank: u64) -> Option<u64> {
        let at = self.parts.partition_point(|(_, before)| *before <= rank).checked_sub(1)?;
        let (part, before) = self.parts[at];
        self.data.select(part, rank - before)
    }
}
