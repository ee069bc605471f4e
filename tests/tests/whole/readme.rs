//! The README is run: every `console` block after `<!-- run -->` is typed into one shell beside a fresh server, and must
//! print what it says it prints. `…` in it stands for anything.

use std::path::Path;
use std::process::Command;

use tests::{Start, plimsoll};

/// The address in the README; the server of the test has another.
const ADDRESS: &str = "127.0.0.1:8080";
/// Printed between two commands, so that their outputs can be told apart.
const MARK: &str = "\u{1}";

/// One command, and what the README says it prints.
struct Shown {
    command: String,
    prints: String,
}

/// The commands of all blocks that are to be run.
fn commands(readme: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    for block in readme.split("<!-- run -->").skip(1) {
        let block = block.trim_start();
        let inside = block.strip_prefix("```console\n").expect("<!-- run --> stands before a console block");
        let (inside, _) = inside.split_once("\n```").expect("a block has an end");
        let mut goes_on = false;
        for line in inside.lines() {
            match (line.strip_prefix("$ "), shown.last_mut()) {
                (Some(command), _) => shown.push(Shown { command: command.to_owned(), prints: String::new() }),
                (None, Some(last)) if goes_on => last.command.push_str(&format!("\n{line}")),
                (None, Some(last)) => last.prints.push_str(&format!("{line}\n")),
                (None, None) => panic!("a block begins with a command: {line:?}"),
            }
            let is_command = goes_on || line.starts_with("$ ");
            goes_on = is_command && line.ends_with('\\');
        }
    }
    shown
}

/// Whether `text` is what `pattern` shows, where `…` is anything.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest, &text[at..]))
}

#[test]
fn the_readme_is_true() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("a README");
    let shown = commands(&readme);
    assert!(shown.len() >= 5, "only {} commands to run were found", shown.len());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Start::on(&folder.path().join("plimsoll-data")).start();
    let script: String = shown.iter().map(|it| format!("{}\nprintf '{MARK}'\n", it.command)).collect();
    let binary = plimsoll();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binary.parent().expect("a binary lies in a folder").display());
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script.replace(ADDRESS, &server.address().to_string())]);
    let out =
        bash.current_dir(folder.path()).env("PATH", path).env_remove("PLIMSOLL_DATA").output().expect("bash is there");
    let printed = String::from_utf8_lossy(&out.stdout).replace(&server.address().to_string(), ADDRESS);
    let printed: Vec<&str> = printed.split(MARK).collect();
    let ran = printed.len() - 1;
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "failed: {}\n{errors}", shown.get(ran).map_or("", |it| it.command.as_str()));
    for (it, printed) in shown.iter().zip(printed) {
        let (prints, printed) = (it.prints.trim_end(), printed.trim_end());
        assert!(fits(prints, printed), "$ {}\nthe README shows:\n{prints}\nit prints:\n{printed}", it.command);
    }
}

#[test]
fn what_the_first_start_prints_works_when_it_is_pasted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Start::on(&folder.path().join("plimsoll-data")).start();
    let said = server.said();
    let (_, lines) = said.split_once("To paste into another terminal:\n").expect("there are lines to paste");
    let (lines, _) = lines.split_once("\nplimsoll is ready").expect("they end before the address");
    assert!(lines.contains("/api/auth/login/") && lines.contains("/api/2.0/drives/") && lines.contains("/claims"));
    // An answer that is an error fails its line.
    let script = lines.replace("curl -s ", "curl -sf ");
    let mut bash = Command::new("bash");
    let out =
        bash.args(["-euo", "pipefail", "-c", &script]).current_dir(folder.path()).output().expect("bash is there");
    let printed = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{printed}\n{}", String::from_utf8_lossy(&out.stderr));
    for made in ["\"data_volume_limit\":1000000000", "hello.txt", "\"name\":\"web\"", "\"state\":\"held\""] {
        assert!(printed.contains(made), "{made} is not in\n{printed}");
    }
}

#[test]
fn an_ellipsis_fits_anything_and_the_rest_itself_only() {
    assert!(fits("a…c", "abc") && fits("a…", "a") && fits("…\n…x", "1\n2x") && fits("same", "same"));
    assert!(!fits("a…c", "ab") && !fits("same", "same!") && !fits("…x", "xy"));
}
