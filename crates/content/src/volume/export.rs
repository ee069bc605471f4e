//! Giving a volume out as one image: raw, or qcow2 that is put together while it is sent.

use bytes::{Bytes, BytesMut};

use super::chain;
use super::handle::{View, pieces, within};
use super::qcow2::{CLUSTER_BYTES, Layout, Map, Piece};
use super::{Source, Volumes};
use crate::error::blocking;
use crate::{ByteStream, Error};

/// The format of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The bytes of the guest.
    Raw,
    /// qemu's, version 3, without what was never written.
    Qcow2,
}

/// An image of a volume or a snapshot that can be sent, from anywhere on.
pub struct Export {
    /// How long it is.
    pub size: u64,
    view: View,
    layout: Option<std::sync::Arc<Layout>>,
}

impl Volumes {
    /// Makes an image of a volume or a snapshot. While a volume is written to, its image in qcow2 tells of what had data when
    /// this was called; parts of two calls fit together when nothing was written between.
    pub async fn export(&self, source: Source, format: Format) -> Result<Export, Error> {
        let view = self.view(source).await?;
        if format == Format::Raw {
            return Ok(Export { size: view.size, view, layout: None });
        }
        if let Source::Volume(id) = source {
            // Its tables are read from the disk.
            self.open(id).await?.flush().await?;
        }
        let (house, layers, size) = (self.house.clone(), self.layers(source).await?.1, view.size);
        let layout = blocking(move || {
            let maps = layers.iter().map(|layer| chain::map(&house.files, layer)).collect::<Result<Vec<Map>, _>>();
            let maps = maps.map_err(Error::disk("reading layers"))?;
            let seen = maps.into_iter().rev().fold(Map::default(), |below, map| map.over(below));
            Ok::<_, Error>(Layout::new(size, seen.data))
        });
        let layout = layout.await??;
        Ok(Export { size: layout.len(), view, layout: Some(std::sync::Arc::new(layout)) })
    }
}

impl Export {
    /// Its bytes from one to another, both included; the end is cut at its own.
    pub fn stream(&self, range: Option<(u64, u64)>) -> Result<ByteStream, Error> {
        let (start, end) = within(self.size, range)?;
        let (view, layout) = (self.view.clone(), self.layout.clone());
        Ok(pieces(start, end, move |at, length| match &layout {
            None => part(&view, None, at, length),
            Some(layout) => part(&view, Some(layout), at, length),
        }))
    }
}

fn part(view: &View, layout: Option<&Layout>, at: u64, length: usize) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::zeroed(length);
    let Some(layout) = layout else {
        view.read(&mut bytes, at)?;
        return Ok(bytes.freeze());
    };
    let mut done = 0;
    while done < length {
        let (cluster, skip) = ((at + done as u64) / CLUSTER_BYTES, ((at + done as u64) % CLUSTER_BYTES) as usize);
        let until = (done + CLUSTER_BYTES as usize - skip).min(length);
        let into = &mut bytes[done..until];
        match layout.piece(cluster) {
            Piece::Bytes(piece) => {
                let piece = piece.get(skip..).unwrap_or_default();
                let length = piece.len().min(into.len());
                into[..length].copy_from_slice(&piece[..length]);
            }
            Piece::Guest(cluster) => {
                let at = cluster * CLUSTER_BYTES + skip as u64;
                let length = into.len().min(view.size.saturating_sub(at) as usize);
                view.read(&mut into[..length], at)?;
            }
        }
        done = until;
    }
    Ok(bytes.freeze())
}
