//! The process: alone on its folder, and gone when it is told to go, with nothing half done.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use tests::{Answer, Start};

use crate::site::{self, ADMIN, eventually, text_of};

#[test]
fn a_second_server_on_the_same_folder_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = site::start_in(folder.path());
    let server = start.start();
    let second = start.command().output().expect("the binary starts");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{said}");
    let expected = format!("is in use by another server (process {})", server.pid());
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("hint: "), "{said}");
    server.anonymous().get("/readyz").expect("the first goes on").expect(200);
}

#[test]
fn sigterm_finishes_what_runs_and_exits_0() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = site::start_in(folder.path());
    let mut server = start.start();
    let allocation = site::allocation(&mut server.client(ADMIN));
    let body = vec![7; 100_000];
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        site::upload_path(&allocation, "slow.bin"),
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the head goes");
    stream.write_all(&body[..50_000]).expect("half the body goes");
    eventually("the upload to be under way", || {
        let acme = server.client(ADMIN).get("/plimsoll/v1/allotments/path:acme").ok()?.json();
        (acme["pending"]["bytes"].as_u64()? > 0).then_some(())
    });

    server.terminate();
    eventually("the server to stop accepting", || TcpStream::connect(server.address()).err());
    stream.write_all(&body[50_000..]).expect("the other half goes, too");
    let answer = Answer::read(&mut BufReader::new(stream), "POST").expect("an answer").expect(201);
    let status = server.wait();
    assert_eq!(status.code(), Some(0), "{}", server.said());

    let server = start.start();
    let id = text_of(&answer.json(), "id");
    let back = server.client(ADMIN).get(&format!("/api/records/{id}/download/")).expect("an answer").expect(200);
    assert!(back.body == body, "the record came back changed");
}

#[test]
fn a_site_file_with_a_fault_is_told_by_line_and_nothing_starts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("site.toml");
    std::fs::write(&file, "[[tenant]]\nname = \"acme\"\nlimitz = { bytes = 1 }\n").expect("a file");
    let out = Start::on(&folder.path().join("data")).site(&file).command().output().expect("the binary starts");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success(), "{said}");
    assert!(said.contains("limitz") && said.contains("limits") && said.contains('3'), "{said}");
}
