//! PostgreSQL as the store: on a database of one's own, and what happens when it goes away and comes back.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::site::{self, ADMIN, eventually, is_sound};

/// Makes an empty database beside the one that PLIMSOLL_TEST_POSTGRES names. None where there is no server, which is said.
pub fn fresh_database(name: &str) -> Option<String> {
    let Ok(url) = std::env::var("PLIMSOLL_TEST_POSTGRES") else {
        eprintln!("not run: PLIMSOLL_TEST_POSTGRES names no server (cargo xtask test starts one)");
        return None;
    };
    let name = format!("whole_{name}_{}", std::process::id());
    let mut client = postgres::Client::connect(&url, postgres::NoTls).expect("PostgreSQL is there");
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).expect("an old database goes");
    client.batch_execute(&format!("CREATE DATABASE {name}")).expect("a new database comes");
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    Some(format!("{server}/{name}"))
}

/// A door between the server and its database, which a test can shut.
struct Door {
    address: SocketAddr,
    is_shut: Arc<AtomicBool>,
}

impl Door {
    fn to(database: SocketAddr) -> Door {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let is_shut = Arc::new(AtomicBool::new(false));
        let shut = Arc::clone(&is_shut);
        // It lives as long as the test's process, as do the threads of its connections.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !shut.load(Ordering::SeqCst) {
                    let _ = pass(stream, database, &shut);
                }
            }
        });
        Door { address, is_shut }
    }

    fn shut(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.is_shut.store(false, Ordering::SeqCst);
    }
}

/// Carries bytes both ways until either side ends or the door is shut.
fn pass(client: TcpStream, database: SocketAddr, shut: &Arc<AtomicBool>) -> io::Result<()> {
    let server = TcpStream::connect(database)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let shut = Arc::clone(shut);
        from.set_read_timeout(Some(std::time::Duration::from_millis(20)))?;
        std::thread::spawn(move || carry(from, to, &shut));
    }
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream, shut: &AtomicBool) {
    let mut buffer = [0; 16 << 10];
    while !shut.load(Ordering::SeqCst) {
        match io::Read::read(&mut from, &mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                if io::Write::write_all(&mut to, &buffer[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn while_the_database_is_away_the_server_says_so_and_then_goes_on() {
    let Some(database) = fresh_database("away") else { return };
    let (head, name) = database.rsplit_once('/').expect("a URL with a database");
    let (_, place) = head.rsplit_once('@').expect("a URL with a user");
    let door = Door::to(place.parse().expect("the test database is named by address"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let through = head.replace(place, &door.address.to_string());
    let start = site::start_in(folder.path()).argument("--database").argument(&format!("{through}/{name}"));
    let server = start.start();
    let mut admin = server.client(ADMIN);
    let claim = json!({"allotment_id": "path:acme", "amounts": {"bytes": 1000}});
    admin.json("POST", "/plimsoll/v1/claims", &claim).expect("an answer").expect(201);

    door.shut();
    eventually("/readyz to say that it cannot commit", || {
        (server.anonymous().get("/readyz").ok()?.status == 503).then_some(())
    });
    server.anonymous().get("/healthz").expect("an answer").expect(200);
    let refused = admin.json("POST", "/plimsoll/v1/claims", &claim).expect("an answer").expect(503);
    assert!(refused.header("retry-after").is_some(), "{:?}", refused.headers);

    door.open();
    eventually("/readyz to say that it can again", || {
        (server.anonymous().get("/readyz").ok()?.status == 200).then_some(())
    });
    admin.json("POST", "/plimsoll/v1/claims", &claim).expect("an answer").expect(201);
    let report = site::doctor(&server);
    assert!(is_sound(&report), "{report:#}");
}
