//! Gathers a body's frames until they are worth a write.

use bytes::{Bytes, BytesMut};

/// Frames below this are copied together: a body sent byte by byte would otherwise pin a buffer of its own for each.
const COPY_BELOW: usize = 8 * 1024;

/// Frames in their order.
#[derive(Default)]
pub(crate) struct Gather {
    frames: Vec<Bytes>,
    small: BytesMut,
    len: usize,
}

impl Gather {
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.len += frame.len();
        if frame.len() < COPY_BELOW {
            self.small.extend_from_slice(&frame);
        } else {
            self.close();
            self.frames.push(frame);
        }
    }

    /// How many bytes it holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What it holds; it is empty then.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.close();
        self.len = 0;
        std::mem::take(&mut self.frames)
    }

    fn close(&mut self) {
        if !self.small.is_empty() {
            self.frames.push(self.small.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_frames_are_joined_and_large_ones_are_not_copied() {
        let mut gather = Gather::default();
        let large = Bytes::from(vec![7; COPY_BELOW]);
        for frame in [Bytes::from_static(b"a"), Bytes::from_static(b"b"), large.clone(), Bytes::from_static(b"c")] {
            gather.push(frame);
        }
        assert_eq!(gather.len(), COPY_BELOW + 3);
        let frames = gather.take();
        assert_eq!(frames, [Bytes::from_static(b"ab"), large.clone(), Bytes::from_static(b"c")]);
        assert_eq!(frames[1].as_ptr(), large.as_ptr());
        assert_eq!((gather.len(), gather.take().len()), (0, 0));
    }
}
