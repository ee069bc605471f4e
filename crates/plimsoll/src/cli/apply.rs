//! `plimsoll apply`: the plan, and then the doing.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::client::{self, Answer, Client, encoded};
use crate::fault::{Doing, Fault};
use crate::show::{self, Output};

/// Which file, and whether only to look.
#[derive(Args, Debug)]
pub struct Apply {
    /// The site file
    pub file: PathBuf,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Apply {
    pub(super) async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let text = std::fs::read_to_string(&self.file).doing(format_args!("read {}", self.file.display()))?;
        // Secrets named `file:PATH` are meant from where the site file is, and the server reads them.
        let folder = self.file.canonicalize().ok().and_then(|file| file.parent().map(|folder| folder.to_owned()));
        let folder = folder.map_or(String::new(), |folder| format!("&folder={}", encoded(&folder.to_string_lossy())));
        let path = format!("/site/apply?dry_run={}{folder}", self.dry_run);
        let answer = client.post_text(&path, text).await?;
        if !answer.status.is_success() {
            return Err(self.refused(&answer));
        }
        let answer = answer.body;
        if output.is_json {
            return show::print_json(&answer);
        }
        let texts = |key: &str| {
            let list = answer[key].as_array().cloned().unwrap_or_default();
            list.into_iter().filter_map(|line| line.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let changes = answer["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines = changes.iter().filter_map(|change| change["line"].as_str());
        show::print(lines.map(|line| output.signed(line)))?;
        show::print(texts("notes").iter().map(|note| output.dim(&format!("note: {note}"))))?;
        show::print([summary(changes, self.dry_run)])
    }

    /// Each fault of the file is a line of its own.
    fn refused(&self, answer: &Answer) -> Fault {
        let errors = answer.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines = errors.iter().filter_map(|error| error["detail"].as_str());
        let lines: Vec<String> = lines.map(|line| format!("{}, {line}", self.file.display())).collect();
        let fault = client::refused(answer);
        if lines.is_empty() { fault } else { Fault { what: lines.join("\n"), ..fault } }
    }
}

fn summary(changes: &[Value], is_dry: bool) -> String {
    let count = |action: &str| changes.iter().filter(|change| change["action"] == action).count();
    match (changes.len(), is_dry) {
        (0, _) => "nothing to change".to_owned(),
        (_, dry) => {
            let (made, changed, removed) = (count("create"), count("update"), count("remove"));
            let would = if dry { " (nothing was done: this is a dry run)" } else { "" };
            format!("{made} made, {changed} changed, {removed} removed{would}")
        }
    }
}
