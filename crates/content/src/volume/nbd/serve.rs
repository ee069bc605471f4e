//! The requests of one connection, one after the other.

use std::io::{self, ErrorKind, Read, Write};

use super::wire::{
    CMD_DISC, CMD_FLUSH, CMD_READ, CMD_TRIM, CMD_WRITE, CMD_WRITE_ZEROES, EINVAL, EIO, ENOSPC, EOVERFLOW, EPERM,
    FLAG_FUA, FLAG_NO_HOLE, REPLY_MAGIC, REQUEST_BYTES_MAX, REQUEST_MAGIC, Socket,
};
use super::{Export, Guest, shake};
use crate::Error;

/// What a connection keeps of a long request's memory.
const KEPT_BYTES: usize = 1 << 20;
/// How much is made zero at once: a moment in which others wait.
const ZERO_BYTES: u64 = 64 << 20;
/// Magic, error, cookie.
const HEAD_BYTES: usize = 16;

struct Request {
    flags: u16,
    kind: u16,
    cookie: u64,
    at: u64,
    length: u32,
}

/// Serves whoever came in, until they leave.
pub(super) fn serve(guest: &Guest, mut socket: Socket) -> io::Result<()> {
    let Some(export) = shake::shake(guest, &mut socket)? else { return Ok(()) };
    socket.set_timeout(None)?;
    // Head and bytes of one request, or of its reply.
    let mut bytes = Vec::new();
    while let Some(request) = next(&mut socket)? {
        if request.kind == CMD_DISC {
            break;
        }
        let is_write = request.kind == CMD_WRITE;
        if is_write && request.length > REQUEST_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, "a request is longer than was agreed"));
        }
        bytes.clear();
        bytes.resize(HEAD_BYTES + if is_write { request.length as usize } else { 0 }, 0);
        socket.read_exact(&mut bytes[HEAD_BYTES..])?;
        let code = done(&export, &request, &mut bytes).err().unwrap_or(0);
        if code != 0 || is_write {
            bytes.truncate(HEAD_BYTES);
        }
        bytes[..4].copy_from_slice(&REPLY_MAGIC.to_be_bytes());
        bytes[4..8].copy_from_slice(&code.to_be_bytes());
        bytes[8..16].copy_from_slice(&request.cookie.to_be_bytes());
        socket.write_all(&bytes)?;
        bytes.truncate(KEPT_BYTES);
        bytes.shrink_to(KEPT_BYTES);
    }
    Ok(())
}

/// The next request; none when the other side has left between two.
fn next(socket: &mut Socket) -> io::Result<Option<Request>> {
    let head: [u8; 28] = match socket.bytes() {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        head => head?,
    };
    let u16_at = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let u32_at = |at: usize| (u32::from(u16_at(at)) << 16) | u32::from(u16_at(at + 2));
    let u64_at = |at: usize| (u64::from(u32_at(at)) << 32) | u64::from(u32_at(at + 4));
    if u32_at(0) != REQUEST_MAGIC {
        return Err(io::Error::new(ErrorKind::InvalidData, "no request"));
    }
    let (flags, kind, cookie) = (u16_at(4), u16_at(6), u64_at(8));
    Ok(Some(Request { flags, kind, cookie, at: u64_at(16), length: u32_at(24) }))
}

/// Does what is asked; what was read is put behind the head.
fn done(export: &Export, request: &Request, bytes: &mut Vec<u8>) -> Result<(), u32> {
    let Request { flags, kind, at, length, .. } = *request;
    let live = &export.handle.open.live;
    let is_change = matches!(kind, CMD_WRITE | CMD_TRIM | CMD_WRITE_ZEROES);
    let known = if kind == CMD_WRITE_ZEROES { FLAG_FUA | FLAG_NO_HOLE } else { FLAG_FUA };
    if flags & !known != 0 {
        return Err(EINVAL);
    }
    if is_change && export.is_read_only {
        return Err(EPERM);
    }
    let size = live.size().map_err(|error| code(&error))?;
    let is_within = at.checked_add(length.into()).is_some_and(|end| end <= size);
    if kind != CMD_FLUSH && !is_within {
        return Err(if is_change { ENOSPC } else { EINVAL });
    }
    let did = match kind {
        CMD_READ if length > REQUEST_BYTES_MAX => return Err(EOVERFLOW),
        CMD_READ => {
            bytes.resize(HEAD_BYTES + length as usize, 0);
            live.read(&mut bytes[HEAD_BYTES..], at)
        }
        CMD_WRITE => live.write(&bytes[HEAD_BYTES..], at),
        CMD_FLUSH => live.flush(),
        CMD_TRIM | CMD_WRITE_ZEROES => {
            let kept = kind == CMD_WRITE_ZEROES && flags & FLAG_NO_HOLE != 0;
            let end = at + u64::from(length);
            let mut parts = (at..end).step_by(ZERO_BYTES as usize);
            parts.try_for_each(|at| live.zero(at, ZERO_BYTES.min(end - at), kept))
        }
        _ => return Err(EINVAL),
    };
    let did = did.and_then(|()| if is_change && flags & FLAG_FUA != 0 { live.flush() } else { Ok(()) });
    did.map_err(|error| code(&error))
}

/// What a client is told of an error.
fn code(error: &Error) -> u32 {
    match error {
        Error::Store(store::Error::Full | store::Error::Refused(_)) => ENOSPC,
        Error::Store(store::Error::Invalid(_)) => EINVAL,
        _ => {
            tracing::warn!(%error, "a request to a volume failed");
            EIO
        }
    }
}
