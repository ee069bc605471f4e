//! The layers of one volume or snapshot, opened: what is seen through all of them, and the top one for writing.
//!
//! **Always.** The format is qcow2 because we made it, and never because a file looks so. Which layer lies on which is read
//! from the database; what a header names is for people, and imago is told to open nothing by itself. All calls block.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use imago::format::PreallocateMode;
use imago::qcow2::Qcow2;
use imago::{DenyImplicitOpenGate, FormatAccess, FormatDriverBuilder, ShallowMapping};

use super::files::Files;
use super::qcow2::{self, CLUSTER_BYTES, Map};
use super::row::Layer;

type Image = FormatAccess<imago::file::File>;
type Below = Arc<Image>;

/// Opened layers, the top one first. Layers without a file hold nothing and are passed over.
pub(super) struct Chain {
    pub layers: Vec<Layer>,
    top: Option<Image>,
    /// The others that have a file, and their place among the layers.
    below: Vec<(usize, Below)>,
}

impl Chain {
    /// Opens them for reading.
    pub(super) fn open(files: &Files, layers: Vec<Layer>) -> io::Result<Chain> {
        Chain::open_from(files, layers, 0)
    }

    /// Opens them, and the top one, whose file must be there, for writing; it is made as large as its row says.
    pub(super) fn open_for_writing(files: &Files, layers: Vec<Layer>) -> io::Result<Chain> {
        let mut chain = Chain::open_from(files, layers, 1)?;
        let top = &chain.layers[0];
        let file = files.open(&top.place, top.id, true)?.ok_or(io::ErrorKind::NotFound)?;
        let image = image(file, chain.below.first().map(|(_, below)| below.clone()), true)?;
        image.resize_grow(top.size, PreallocateMode::None)?;
        chain.top = Some(image);
        Ok(chain)
    }

    fn open_from(files: &Files, layers: Vec<Layer>, first: usize) -> io::Result<Chain> {
        let mut below: Vec<(usize, Below)> = Vec::new();
        for (at, layer) in layers.iter().enumerate().skip(first).rev() {
            let file = if layer.written { files.open(&layer.place, layer.id, false)? } else { None };
            if let Some(file) = file {
                let next = below.first().map(|(_, below)| below.clone());
                below.insert(0, (at, Arc::new(image(file, next, false)?)));
            }
        }
        Ok(Chain { layers, top: None, below })
    }

    /// The top layer, if it is open for writing.
    pub(super) fn top(&self) -> Option<&Image> {
        self.top.as_ref()
    }

    /// The same, with nobody else reading or writing.
    pub(super) fn top_mut(&mut self) -> Option<&mut Image> {
        self.top.as_mut()
    }

    /// Reads what is seen. Where no layer reaches, there are zeros.
    pub(super) fn read(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        match self.top.as_ref().or_else(|| self.below.first().map(|(_, image)| image.as_ref())) {
            Some(image) => image.read(bytes, at),
            None => {
                bytes.fill(0);
                Ok(())
            }
        }
    }

    /// Whether data are seen in this cluster that no layer but those from `above` on down says anything of: what a write
    /// to the top would hide from its volume, and not from a snapshot there.
    pub(super) fn preserves(&self, cluster: u64, above: usize) -> io::Result<bool> {
        let at = cluster * CLUSTER_BYTES;
        let top = self.top.iter().map(|image| (0, image));
        let images = top.chain(self.below.iter().map(|(index, image)| (*index, image.as_ref())));
        for (index, image) in images.filter(|(_, image)| at < image.size()) {
            let has_data = match image.get_shallow_mapping(at, CLUSTER_BYTES)?.0 {
                ShallowMapping::Raw { .. } | ShallowMapping::Special { .. } => true,
                ShallowMapping::Zero { explicit: true, .. } => false,
                _ => continue,
            };
            return Ok(has_data && index >= above);
        }
        Ok(false)
    }

    /// What is written so far is on disk when this is back.
    pub(super) fn flush(&self) -> io::Result<()> {
        let Some(top) = &self.top else { return Ok(()) };
        top.flush()?;
        top.sync()
    }
}

/// Opens one image.
fn image(file: File, below: Option<Below>, for_writing: bool) -> io::Result<Image> {
    qcow2::check_own(&file)?;
    let storage = imago::file::File::try_from(file)?;
    let opened = Qcow2::<imago::file::File, Below>::builder(storage)
        .write(for_writing)
        .backing(below)
        .data_file(None)
        .open(DenyImplicitOpenGate::default())?;
    Ok(FormatAccess::new(opened))
}

/// Opens an image that was inspected, for reading.
pub(super) fn open_inspected(file: File) -> io::Result<Image> {
    let storage = imago::file::File::try_from(file)?;
    let opened = Qcow2::<imago::file::File, Below>::builder(storage).backing(None).data_file(None);
    Ok(FormatAccess::new(opened.open(DenyImplicitOpenGate::default())?))
}

/// What each of these layers says by itself; the tables of one that is open for writing must have been flushed.
pub(super) fn map(files: &Files, layer: &Layer) -> io::Result<Map> {
    let file = if layer.written { files.open(&layer.place, layer.id, false)? } else { None };
    file.map_or(Ok(Map::default()), |file| Map::scan(&file))
}

/// Sees to it that the headers name the layers below. None of them may be open for writing.
pub(super) fn name_below(files: &Files, layers: &[Layer], skip: impl Fn(&Layer) -> bool) -> io::Result<()> {
    for (at, layer) in layers.iter().enumerate().filter(|(_, layer)| layer.written && !skip(layer)) {
        let Some(file) = files.open(&layer.place, layer.id, true)? else { continue };
        qcow2::set_backing_name(&file, name_of_next(files, layers, at)?.as_deref())?;
    }
    Ok(())
}

/// By which name a header names the next layer down that has a file.
pub(super) fn name_of_next(files: &Files, layers: &[Layer], at: usize) -> io::Result<Option<String>> {
    for below in layers.iter().skip(at + 1).filter(|below| below.written) {
        if files.taken(&below.place, below.id)?.is_some() {
            let (from, to) = (files.folder(&layers[at].place), files.path(&below.place, below.id));
            return Ok(Some(relative(&from, &to).to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

/// The way from a folder to a file.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let is_plain = |path: &Path| path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    if !is_plain(from) || !is_plain(to) {
        return to.to_owned();
    }
    let same = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(same).map(|_| Component::ParentDir);
    up.chain(to.components().skip(same)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_between_folders_is_relative() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).to_string_lossy().into_owned();
        assert_eq!(way("/a/volumes/dssd/0", "/a/volumes/dssd/0/x.qcow2"), "x.qcow2");
        assert_eq!(way("/a/volumes/nvme/1", "/a/volumes/dssd/0/x.qcow2"), "../../dssd/0/x.qcow2");
    }
}
