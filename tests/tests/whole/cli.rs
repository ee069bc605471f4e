//! The command line, as typed into a pipe beside a running server.

use std::path::Path;
use std::process::Command;

use tests::{Server, Start, plimsoll};

/// The example that operators start from.
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/site/site.example.toml");

/// A server with the example's site, and a shell beside it.
struct Shell {
    folder: tempfile::TempDir,
    _server: Server,
}

impl Shell {
    fn start() -> Shell {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Start::on(&folder.path().join("data")).site(Path::new(EXAMPLE)).start();
        Shell { folder, _server: server }
    }

    /// What a command prints: standard output, then standard error, then how it ended unless that was well.
    fn run(&self, arguments: &str) -> String {
        let mut command = Command::new(plimsoll());
        command.args(arguments.split_whitespace()).arg("--data").arg(self.folder.path().join("data"));
        let out =
            command.current_dir(self.folder.path()).env_remove("PLIMSOLL_DATA").output().expect("the binary starts");
        let mut text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        if !out.status.success() {
            text.push_str(&format!("({})\n", out.status));
        }
        text
    }
}

#[test]
fn applying_a_site_twice_changes_nothing() {
    let shell = Shell::start();
    // The start has applied it once.
    for _ in 0..2 {
        assert_eq!(shell.run(&format!("apply {EXAMPLE}")), "nothing to change\n");
    }
    assert_eq!(shell.run(&format!("apply {EXAMPLE} --dry-run")), "nothing to change\n");
}
