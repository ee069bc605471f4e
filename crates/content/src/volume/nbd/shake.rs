//! The first words: which export, and what there is to know of it.

use std::io::{self, ErrorKind, Read, Write};

use super::wire::{
    EXPORT_FLAGS, FIXED_NEWSTYLE, INFO_BLOCK_SIZE, INFO_EXPORT, NBD_MAGIC, NO_ZEROES, OPT_ABORT, OPT_EXPORT_NAME,
    OPT_GO, OPT_INFO, OPT_LIST, OPTION_BYTES_MAX, OPTION_MAGIC, OPTION_REPLY_MAGIC, OPTIONS_MAX, READ_ONLY, REP_ACK,
    REP_ERR_INVALID, REP_ERR_POLICY, REP_ERR_TOO_BIG, REP_ERR_UNKNOWN, REP_ERR_UNSUP, REP_INFO, REP_SERVER,
    REQUEST_BYTES_MAX, SHAKE_TIMEOUT, Socket,
};
use super::{Export, Guest};

/// Blocks of any length are taken; a cluster at a time is best.
const BLOCK_BYTES_MIN: u32 = 1;
const BLOCK_BYTES_BEST: u32 = 65536;

/// Who does not speak as it must be is left.
fn wrong(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text.to_owned())
}

/// Speaks the first words; none when the other side has changed its mind.
pub(super) fn shake(guest: &Guest, socket: &mut Socket) -> io::Result<Option<Export>> {
    socket.set_timeout(Some(SHAKE_TIMEOUT))?;
    let mut hello = [NBD_MAGIC, OPTION_MAGIC].map(u64::to_be_bytes).concat();
    hello.extend((FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes());
    socket.write_all(&hello)?;
    let flags = socket.u32()?;
    if flags & !u32::from(FIXED_NEWSTYLE | NO_ZEROES) != 0 {
        return Err(wrong("flags that are not known"));
    }
    let is_short = flags & u32::from(NO_ZEROES) != 0;
    for _ in 0..OPTIONS_MAX {
        if socket.u64()? != OPTION_MAGIC {
            return Err(wrong("no option"));
        }
        let (option, length) = (socket.u32()?, socket.u32()?);
        if length > OPTION_BYTES_MAX {
            io::copy(&mut Read::by_ref(socket).take(length.into()), &mut io::sink())?;
            reply(socket, option, REP_ERR_TOO_BIG, &[])?;
            continue;
        }
        let mut data = vec![0; length as usize];
        socket.read_exact(&mut data)?;
        match option {
            OPT_EXPORT_NAME => return by_name(guest, socket, &data, is_short).map(Some),
            OPT_ABORT => {
                reply(socket, option, REP_ACK, &[])?;
                return Ok(None);
            }
            OPT_LIST => list(guest, socket, &data)?,
            OPT_INFO | OPT_GO => {
                if let Some(export) = info(guest, socket, option, &data)? {
                    return Ok(Some(export));
                }
            }
            _ => reply(socket, option, REP_ERR_UNSUP, &[])?,
        }
    }
    Err(wrong("too many options"))
}

fn reply(socket: &mut Socket, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut bytes = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
    [option, kind, data.len() as u32].iter().for_each(|word| bytes.extend(word.to_be_bytes()));
    bytes.extend_from_slice(data);
    socket.write_all(&bytes)
}

/// Size and flags. A volume that cannot be told of is as good as not there.
fn told(export: &Export) -> Option<Vec<u8>> {
    let size = export.handle.open.live.size().ok()?;
    let flags = EXPORT_FLAGS | if export.is_read_only { READ_ONLY } else { 0 };
    Some([size.to_be_bytes().as_slice(), &flags.to_be_bytes()].concat())
}

/// The old way in, which has no words for an error.
fn by_name(guest: &Guest, socket: &mut Socket, name: &[u8], is_short: bool) -> io::Result<Export> {
    let name = std::str::from_utf8(name).map_err(|_| wrong("a name that is no text"))?;
    let export = guest.enter(name).ok_or_else(|| wrong("an export that is not there"))?;
    let mut bytes = told(&export).ok_or_else(|| wrong("a volume that is not there"))?;
    if !is_short {
        bytes.extend([0; 124]);
    }
    socket.write_all(&bytes)?;
    Ok(export)
}

fn list(guest: &Guest, socket: &mut Socket, data: &[u8]) -> io::Result<()> {
    if !data.is_empty() {
        return reply(socket, OPT_LIST, REP_ERR_INVALID, &[]);
    }
    let Some(names) = guest.names() else { return reply(socket, OPT_LIST, REP_ERR_POLICY, &[]) };
    for name in names {
        let told = [(name.len() as u32).to_be_bytes().as_slice(), name.as_bytes()].concat();
        reply(socket, OPT_LIST, REP_SERVER, &told)?;
    }
    reply(socket, OPT_LIST, REP_ACK, &[])
}

/// Tells of an export; goes in to it where that was asked.
fn info(guest: &Guest, socket: &mut Socket, option: u32, data: &[u8]) -> io::Result<Option<Export>> {
    let Some(name) = asked(data) else {
        reply(socket, option, REP_ERR_INVALID, &[])?;
        return Ok(None);
    };
    let export = if option == OPT_GO { guest.enter(name) } else { guest.export(name) };
    let Some((export, told)) = export.and_then(|export| told(&export).map(|told| (export, told))) else {
        reply(socket, option, REP_ERR_UNKNOWN, b"there is no such export")?;
        return Ok(None);
    };
    reply(socket, option, REP_INFO, &[INFO_EXPORT.to_be_bytes().as_slice(), &told].concat())?;
    let sizes = [BLOCK_BYTES_MIN, BLOCK_BYTES_BEST, REQUEST_BYTES_MAX].map(u32::to_be_bytes).concat();
    reply(socket, option, REP_INFO, &[INFO_BLOCK_SIZE.to_be_bytes().as_slice(), &sizes].concat())?;
    reply(socket, option, REP_ACK, &[])?;
    Ok((option == OPT_GO).then_some(export))
}

/// The name in an option, which also lists what its sender wants to know: all is told.
fn asked(data: &[u8]) -> Option<&str> {
    let length = u32::from_be_bytes(data.get(..4)?.try_into().ok()?) as usize;
    let name = data.get(4..4_usize.checked_add(length)?)?;
    let rest = data.get(4 + length..)?;
    let count = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
    if rest.len() != 2 + 2 * usize::from(count) {
        return None;
    }
    std::str::from_utf8(name).ok()
}
