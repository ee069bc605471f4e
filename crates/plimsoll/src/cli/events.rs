//! `plimsoll events`: the journal.

use clap::Args;
use serde_json::Value;

use crate::client::{Client, encoded, reference};
use crate::fault::Fault;
use crate::show::{self, Output};

/// Which events.
#[derive(Args, Debug)]
pub struct Events {
    /// Only those of this allotment: its path or id
    pub path: Option<String>,
    /// Only those of this kind
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only those after this number
    #[arg(long, value_name = "SEQ")]
    pub after: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub limit: usize,
    /// Stay, and show what happens as it happens
    #[arg(long, short, conflicts_with = "limit")]
    pub follow: bool,
}

impl Events {
    pub(super) async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let query = [
            self.path.as_deref().map(|path| format!("allotment={}", reference(path))),
            self.kind.as_deref().map(|kind| format!("kind={}", encoded(kind))),
            self.after.map(|after| format!("after={after}")),
        ];
        let query: Vec<String> = query.into_iter().flatten().collect();
        let path = format!("/events{}{}", if query.is_empty() { "" } else { "?" }, query.join("&"));
        if self.follow {
            return client.follow(&path, |event| drop(show::print([line(output, &event)]))).await;
        }
        let events = client.list(&path, self.limit.max(1)).await?;
        if output.is_json {
            return show::print_json(&Value::Array(events));
        }
        show::print(events.iter().map(|event| line(output, event)))
    }
}

fn line(output: Output, event: &Value) -> String {
    if output.is_json {
        return event.to_string();
    }
    let text = |key: &str| match &event[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let detail = match &event["detail"] {
        Value::Null => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        detail => detail.to_string(),
    };
    let words = [text("seq"), text("at"), text("kind"), text("path"), text("subject"), detail, text("actor")];
    if !output.is_terminal {
        return words.join("\t");
    }
    let [seq, at, kind, path, subject, detail, actor] = words;
    let said = [output.bold(&kind), path, subject, detail].into_iter().filter(|word| !word.is_empty());
    format!("{} {} {}", output.dim(&format!("{seq:>6} {at}")), said.collect::<Vec<_>>().join(" "), output.dim(&actor))
}
