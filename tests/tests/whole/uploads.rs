//! Many large uploads at once: none is lost, none goes past the quota, and the server's memory does not grow with them.
//!
//! `cargo xtask soak` runs it as 64 uploads of 256 MiB: `PLIMSOLL_UPLOADS` and `PLIMSOLL_UPLOAD_MIB` say so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use tests::Client;

use crate::carrierx_client::{TOKEN, container, start_in, used};
use crate::site::{self, text_of};

const MIB: u64 = 1 << 20;
/// What one upload may cost the server: two buffers of 1 MiB in content, those of the connection, and what the allocator
/// keeps of them.
const UPLOAD_BYTES_MAX: u64 = 4 * MIB;
/// What the server may need beside that: threads for the disk, the database's pages.
const REST_BYTES_MAX: u64 = 64 * MIB;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The most memory that the process has had.
fn peak_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB") * 1024
}

/// One MiB that no other upload has; a file is so many of it.
fn block(number: u64) -> Vec<u8> {
    let mut state = number + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..MIB).map(|_| next()).collect()
}

#[test]
fn many_large_uploads_at_once_need_little_memory_and_end_at_the_quota() {
    let (uploads, mib) = (number("PLIMSOLL_UPLOADS", 16), number("PLIMSOLL_UPLOAD_MIB", 16));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = start_in(folder.path()).start();
    let fit = uploads * 3 / 4;
    let mut partner = server.client(TOKEN);
    let container = container(&mut partner, &json!({ "quota_bytes": fit * mib * MIB, "quota_files": null }));
    let before = peak_bytes(server.pid());
    let address = server.address();
    let answers: Vec<u16> = std::thread::scope(|threads| {
        let sent: Vec<_> = (0..uploads)
            .map(|number| {
                let container = &container;
                threads.spawn(move || upload(address, container, number, mib))
            })
            .collect();
        sent.into_iter().map(|upload| upload.join().expect("an upload ends")).collect()
    });
    let grown = peak_bytes(server.pid()) - before;
    let stored = answers.iter().filter(|status| **status == 201).count() as u64;
    let refused = answers.iter().filter(|status| **status == 422).count() as u64;
    assert_eq!((stored, refused), (fit, uploads - fit), "{answers:?}");
    assert_eq!(used(&mut partner, &container), (fit * mib * MIB, fit));
    let bound = uploads * UPLOAD_BYTES_MAX + REST_BYTES_MAX;
    assert!(grown < bound, "{uploads} uploads of {mib} MiB took {} MiB of memory", grown / MIB);
    for (number, _) in (0..).zip(&answers).filter(|(_, status)| **status == 201) {
        compare(&mut partner, &container, number, mib);
    }
    assert!(site::is_sound(&site::doctor(&server)));
    eprintln!("{uploads} uploads of {mib} MiB: {stored} stored, {refused} refused, {} MiB of memory", grown / MIB);
}

/// Uploads a file, every second one as a form whose container comes behind its data. Answers the status.
fn upload(address: SocketAddr, container: &str, number: u64, mib: u64) -> u16 {
    let (block, is_form) = (block(number), number % 2 == 1);
    let object = json!({ "container_sid": container, "name": format!("{number}.bin") });
    let (query, kind, first, last) = match is_form {
        false => {
            let query = format!("?container_sid={container}&name={number}.bin");
            (query, "application/octet-stream", String::new(), String::new())
        }
        true => {
            let first = "--xyz\r\nContent-Disposition: form-data; name=\"data\"; filename=\"x\"\r\n\r\n".to_owned();
            let last = format!(
                "\r\n--xyz\r\nContent-Disposition: form-data; name=\"file_object\"\r\n\r\n{object}\r\n--xyz--\r\n"
            );
            (String::new(), "multipart/form-data; boundary=xyz", first, last)
        }
    };
    let length = first.len() as u64 + mib * MIB + last.len() as u64;
    let mut stream = BufReader::new(TcpStream::connect(address).expect("the server listens"));
    // A server that refuses at once is asked first, so that its answer is not lost behind a body nobody reads.
    let head = format!(
        "POST /core/v2/storage/files{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: {kind}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    );
    stream.get_mut().write_all(head.as_bytes()).expect("the head goes");
    let status = status(&mut stream);
    if status != 100 {
        return status;
    }
    stream.get_mut().write_all(first.as_bytes()).expect("the body goes");
    for _ in 0..mib {
        stream.get_mut().write_all(&block).expect("the body goes");
    }
    stream.get_mut().write_all(last.as_bytes()).expect("the body goes");
    self::status(&mut stream)
}

/// Reads the head of an answer.
fn status(stream: &mut BufReader<TcpStream>) -> u16 {
    let mut lines = stream.take(64 << 10).lines().map(|line| line.expect("an answer"));
    let first = lines.next().expect("an answer");
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    lines.find(String::is_empty).expect("the end of the head");
    status
}

/// That the file came as it was sent.
fn compare(partner: &mut Client, container: &str, number: u64, mib: u64) {
    let filter = format!("name%20eq%20{number}.bin%20and%20container_sid%20eq%20{container}");
    let found = partner.get(&format!("/core/v2/storage/files?filter={filter}")).expect("an answer").expect(200).json();
    let sid = text_of(&found["items"][0], "file_sid");
    let block = block(number);
    let body = partner.get(&format!("/core/v2/storage/files/{sid}/data")).expect("an answer").expect(200).body;
    assert_eq!(body.len() as u64, mib * MIB);
    assert!(body.chunks(block.len()).all(|piece| piece == block), "{number} came back changed");
}
