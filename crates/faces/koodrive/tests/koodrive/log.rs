//! What the operator's log says of a signature that was not accepted, and what it does not.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::house::{GET, House};
use crate::signer::Signer;

on_both! {
    a_bad_signature_is_in_the_log_with_the_request_as_it_was_seen_and_no_secret
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Log;
    fn make_writer(&'w self) -> Log {
        self.clone()
    }
}

impl Log {
    /// What was said since the last look.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

async fn a_bad_signature_is_in_the_log_with_the_request_as_it_was_seen_and_no_secret(house: House) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    // Of this thread, on which the test's runtime runs.
    let _guard = tracing::subscriber::set_default(subscriber);
    let more = vec![("cookie", "session=very-secret".to_owned())];
    let right = Signer { more, ..house.signer() };
    let query = [("b", "2"), ("a", "1")];
    house.call_as(&right, "GET", GET, &query, None).await.expect(0);
    assert_eq!(log.take(), "", "a good one is not worth a line");

    let cases = [
        (Signer { secret: "wrong".into(), ..right.clone() }, "not that of this request"),
        (Signer { app: "nobody".into(), ..right.clone() }, "no such app"),
        (Signer { date: house.date(-16), ..right.clone() }, "15 minutes"),
        (Signer { user: "nobody".into(), ..right.clone() }, "no user of the app's tenant"),
    ];
    for (signer, why) in cases {
        let answer = house.call_as(&signer, "GET", GET, &query, None).await.expect(13_000_201);
        assert!(!String::from_utf8_lossy(&answer.body).contains("ignature"));
        let said = log.take();
        assert!(said.contains(why), "{said}");
        let seen = format!(
            "GET\\n{GET}/\\na=1&b=2\\ncookie:***\\nhost:drive.example\\nx-date:{}\\nx-user-id:{}\\n\\n\
             cookie;host;x-date;x-user-id\\ne3b0c442",
            signer.date, signer.user
        );
        assert!(said.contains(&seen) || said.replace('\n', "\\n").contains(&seen), "{said}");
        for secret in ["very-secret", "wrong"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}
