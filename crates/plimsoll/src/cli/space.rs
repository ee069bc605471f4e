//! `tree`, `show`, `limit`, `claims`: the tree and what is charged on it.

use clap::{Args, ValueEnum};
use http::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, encoded, reference};
use crate::fault::Fault;
use crate::show::{self, Load, Output, amount};

/// How much of a list is fetched when nothing is said: more than fits a person, less than would hurt.
const ITEMS_MAX: usize = 100_000;

/// Which part of the tree.
#[derive(Args, Debug)]
pub struct Tree {
    /// Only this allotment and what is below it: acme/projects, supply:disk, or an id
    pub path: Option<String>,
    /// How many levels to show below the top
    #[arg(long, value_name = "N")]
    pub depth: Option<usize>,
    /// Only this resource
    #[arg(long, value_name = "NAME")]
    pub resource: Option<String>,
}

impl Tree {
    pub(super) async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let mut allotments = match &self.path {
            None => client.list("/allotments", ITEMS_MAX).await?,
            Some(path) => below(client, path).await?,
        };
        let top = allotments.iter().map(depth).min().unwrap_or_default();
        allotments.retain(|allotment| self.depth.is_none_or(|levels| depth(allotment) - top <= levels));
        if output.is_json {
            return show::print_json(&Value::Array(allotments));
        }
        let wanted = |name: &String| self.resource.as_ref().is_none_or(|resource| resource == name);
        let rows = allotments.iter().map(|allotment| {
            (allotment, show::resources(allotment).into_iter().filter(|name| wanted(name)).collect::<Vec<_>>())
        });
        let rows: Vec<_> = rows.collect();
        show::print(if output.is_terminal { drawn(output, &rows, top) } else { plain(&rows) })
    }
}

fn depth(allotment: &Value) -> usize {
    allotment["path"].as_str().unwrap_or_default().matches('/').count()
}

/// An allotment and all below it, in the order of paths.
async fn below(client: &mut Client, path: &str) -> Result<Vec<Value>, Fault> {
    let top = client.get(&format!("/allotments/{}", reference(path))).await?;
    let (side, path) = (top["side"].as_str().unwrap_or_default(), top["path"].as_str().unwrap_or_default());
    let list = format!("/allotments?side={side}&path={}", encoded(path));
    let is_below = |allotment: &Value| {
        let found = allotment["path"].as_str().unwrap_or_default();
        found.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let found = client.list(&list, ITEMS_MAX).await?;
    Ok(found.into_iter().filter(is_below).collect())
}

type Row<'r> = (&'r Value, Vec<String>);

fn plain(rows: &[Row<'_>]) -> Vec<String> {
    let line = |allotment: &Value, resource: &str| {
        let load = Load::of(allotment, resource);
        let limit = load.limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        let percent = load.percent().map_or(String::new(), |percent| percent.to_string());
        let path = path_of(allotment);
        format!("{path}\t{resource}\t{}\t{}\t{limit}\t{percent}", load.used, load.pending)
    };
    rows.iter().flat_map(|(allotment, names)| names.iter().map(move |name| line(allotment, name))).collect()
}

fn path_of(allotment: &Value) -> String {
    let path = allotment["path"].as_str().unwrap_or_default();
    if allotment["side"] == "supply" { format!("supply:{path}") } else { path.to_owned() }
}

fn drawn(output: Output, rows: &[Row<'_>], top: usize) -> Vec<String> {
    let labels: Vec<String> = rows.iter().enumerate().map(|(at, (it, _))| label(rows, at, it, top)).collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default();
    let resource_width = rows.iter().flat_map(|(_, names)| names).map(String::len).max().unwrap_or_default();
    let (mut lines, mut side) = (Vec::new(), None);
    for ((allotment, names), label) in rows.iter().zip(&labels) {
        if side != allotment["side"].as_str() {
            side = allotment["side"].as_str();
            let what = if side == Some("supply") { "supply: where things lie" } else { "demand: who may use how much" };
            lines.push(output.bold(what));
        }
        let first = format!("{label:width$}");
        if names.is_empty() {
            lines.push(format!("{} {}", first.trim_end(), titled(output, allotment)).trim_end().to_owned());
        }
        for (place, name) in names.iter().enumerate() {
            let start = if place == 0 { first.clone() } else { " ".repeat(width) };
            let name_shown = format!("{name:resource_width$}");
            let (load, title) =
                (Load::of(allotment, name), if place == 0 { titled(output, allotment) } else { String::new() });
            let line = format!("{start}  {name_shown}  {}  {}  {title}", output.bar(load), figures(output, name, load));
            lines.push(line.trim_end().to_owned());
        }
    }
    lines
}

/// The branches that lead to a node, and its name.
fn label(rows: &[Row<'_>], at: usize, allotment: &Value, top: usize) -> String {
    let level = depth(allotment) - top;
    let name = allotment["name"].as_str().unwrap_or_default();
    let mut label = String::new();
    for step in 1..=level {
        // Whether another node follows on that level before the branch ends.
        let later = rows[at + 1..].iter().take_while(|(it, _)| it["side"] == allotment["side"]);
        let goes_on =
            later.map(|(it, _)| depth(it) - top).take_while(|depth| *depth >= step).any(|depth| depth == step);
        label.push_str(match (step == level, goes_on) {
            (true, true) => "├─ ",
            (true, false) => "└─ ",
            (false, true) => "│  ",
            (false, false) => "   ",
        });
    }
    label + name
}

/// The title, where it says more than the name.
fn titled(output: Output, allotment: &Value) -> String {
    let title = allotment["title"].as_str().unwrap_or_default();
    if title.is_empty() || allotment["name"] == title { String::new() } else { output.dim(title) }
}

fn figures(output: Output, resource: &str, load: Load) -> String {
    let pending = match load.pending {
        0 => String::new(),
        pending => format!(" + {} pending", amount(resource, pending)),
    };
    let used = amount(resource, load.used);
    match (load.limit, load.percent()) {
        (Some(limit), Some(percent)) => format!("{percent:>3} %  {used}{pending} of {}", amount(resource, limit)),
        _ => format!("{}  {used}{pending}", output.dim("  no limit")),
    }
}

/// Which allotment.
#[derive(Args, Debug)]
pub struct Show {
    /// Its path (acme/projects/climate, supply:disk) or id
    pub path: String,
}

impl Show {
    pub(super) async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let it = client.get(&format!("/allotments/{}", reference(&self.path))).await?;
        if output.is_json {
            return show::print_json(&it);
        }
        let mut lines = vec![output.bold(&path_of(&it))];
        let text = |key: &str| it[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let managed = it["managed_by"].as_object();
        let managed = managed
            .map(|by| format!("{} {} {}", plain_text(&by["face"]), plain_text(&by["noun"]), plain_text(&by["id"])));
        for (name, value) in [
            ("id", text("id")),
            ("title", text("title")),
            ("kind", text("kind")),
            ("managed by", managed),
            ("overcommit", it["overcommit"].as_f64().map(|ratio| ratio.to_string())),
            ("expires", text("expires_at")),
            ("children", it["children_count"].as_u64().map(|count| count.to_string())),
            ("made", text("created_at")),
        ] {
            lines.extend(value.map(|value| format!("{name:<12}{value}")));
        }
        for name in show::resources(&it) {
            let (load, units) = (Load::of(&it, &name), |map: &str| it[map][&name].as_u64());
            lines.push(String::new());
            lines.push(
                format!("{name:<12}{}  {}", output.bar(load), figures(output, &name, load)).trim_end().to_owned(),
            );
            let more = [("promised", units("promised")), ("headroom", units("headroom"))];
            lines.extend(
                more.iter().filter_map(|(word, units)| Some(format!("{word:<12}{}", amount(&name, (*units)?)))),
            );
        }
        show::print(lines)
    }
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Which limits of which allotment.
#[derive(Args, Debug)]
pub struct Limit {
    /// Its path (acme, supply:disk) or id
    pub path: String,
    /// The limits: RESOURCE=AMOUNT, where bytes take units (10TB, "1.5 TiB"), and `unlimited` takes a limit away
    #[arg(required = true, value_name = "RESOURCE=AMOUNT")]
    pub limits: Vec<String>,
    /// Show who would be over then, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl Limit {
    pub(super) async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let limits = self.limits.iter().map(|text| limit(text)).collect::<Result<Map<String, Value>, Fault>>()?;
        let path = format!("/allotments/{}?dry_run={}", reference(&self.path), self.dry_run);
        let names: Vec<String> = limits.keys().cloned().collect();
        let it = client.call(Method::PATCH, &path, Some(&json!({ "limits": limits }))).await?;
        if output.is_json {
            return show::print_json(&it);
        }
        let (word, path) = (if self.dry_run { "would be" } else { "is" }, path_of(&it));
        let mut lines: Vec<String> = names
            .iter()
            .map(|name| match Load::of(&it, name).limit {
                Some(limit) => format!("{path}: {name} {word} limited to {}", amount(name, limit)),
                None => format!("{path}: {name} {word} unlimited"),
            })
            .collect();
        for over in it["over"].as_array().into_iter().flatten() {
            let resource = plain_text(&over["resource"]);
            let units = |key: &str| amount(&resource, over[key].as_u64().unwrap_or_default());
            let who = plain_text(&over["path"]);
            lines.push(format!(
                "{who}: over its {resource} limit: {} used of {}; nothing more is let in",
                units("used"),
                units("limit")
            ));
        }
        if self.dry_run {
            lines.push(output.dim("nothing was changed: this is a dry run"));
        }
        show::print(lines)
    }
}

/// `bytes=10TB` as a resource and a limit.
fn limit(text: &str) -> Result<(String, Value), Fault> {
    let form =
        || Fault::new(format!("{text:?} is no limit")).hint("write it as bytes=10TB, objects=1000 or bytes=unlimited");
    let (name, value) = text.split_once('=').ok_or_else(form)?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || value.is_empty() {
        return Err(form());
    }
    if matches!(value, "unlimited" | "none" | "null") {
        return Ok((name.to_owned(), Value::Null));
    }
    if name != "bytes" && value.contains(|c: char| !c.is_ascii_digit() && c != '_') {
        return Err(
            Fault::new(format!("{name}={value}: units are for bytes")).hint(format!("write {name} as a whole number"))
        );
    }
    let units = site::size::parse(value).map_err(|error| Fault::new(format!("{name}: {error}")))?;
    Ok((name.to_owned(), json!(units)))
}

/// Which claims.
#[derive(Args, Debug)]
pub struct Claims {
    /// Only those of this allotment: its path or id
    pub path: Option<String>,
    /// Only those in this state
    #[arg(long)]
    pub state: Option<State>,
    /// Only those with this subject
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub limit: usize,
}

/// The two states of a claim.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// Waiting to be settled
    Pending,
    /// Taken
    Held,
}

impl Claims {
    pub(super) async fn run(self, client: &mut Client, output: Output) -> Result<(), Fault> {
        let mut path = "/claims".to_owned();
        let mut joint = '?';
        let state = self.state.map(|state| match state {
            State::Pending => "pending".to_owned(),
            State::Held => "held".to_owned(),
        });
        let allotment = self.path.as_deref().map(reference);
        let subject = self.subject.as_deref().map(encoded);
        for (name, value) in [("allotment", allotment), ("state", state), ("subject", subject)] {
            if let Some(value) = value {
                path.push_str(&format!("{joint}{name}={value}"));
                joint = '&';
            }
        }
        let claims = client.list(&path, self.limit.max(1)).await?;
        if output.is_json {
            return show::print_json(&Value::Array(claims));
        }
        let rows: Vec<Vec<String>> = claims.iter().map(row).collect();
        show::print(show::table(output, &["id", "state", "amounts", "for", "made"], &rows))
    }
}

fn row(claim: &Value) -> Vec<String> {
    let amounts = claim["amounts"].as_object().into_iter().flatten();
    let amounts: Vec<String> =
        amounts.map(|(name, units)| format!("{name} {}", amount(name, units.as_u64().unwrap_or_default()))).collect();
    let noun =
        claim["managed_by"].as_object().map(|by| format!("{} {}", plain_text(&by["noun"]), plain_text(&by["id"])));
    let subject = claim["subject"].as_str().map(str::to_owned);
    vec![
        plain_text(&claim["id"]),
        plain_text(&claim["state"]),
        amounts.join(", "),
        subject.or(noun).unwrap_or_default(),
        plain_text(&claim["created_at"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        assert_eq!(limit("bytes=10TB").unwrap(), ("bytes".to_owned(), json!(10_000_000_000_000_u64)));
        assert_eq!(limit("objects=1_000").unwrap(), ("objects".to_owned(), json!(1000)));
        assert_eq!(limit("bytes=unlimited").unwrap(), ("bytes".to_owned(), Value::Null));
        assert!(limit("bytes").unwrap_err().hint.is_some());
        assert_eq!(limit("objects=10k").unwrap_err().what, "objects=10k: units are for bytes");
        assert!(limit("bytes=10T").unwrap_err().what.contains("\"T\" is not a unit"));
    }

    #[test]
    fn the_tree_is_drawn_with_its_branches() {
        let node = |path: &str, title: &str, limits: Value, used: Value| {
            let name = path.rsplit('/').next().unwrap_or_default();
            json!({ "path": path, "name": name, "title": title, "side": "demand", "limits": limits, "used": used, "pending": {} })
        };
        let nodes = [
            node("acme", "", json!({ "bytes": 1024, "objects": 10 }), json!({ "bytes": 512 })),
            node("acme/projects", "", json!({}), json!({})),
            node("acme/projects/climate", "Climate", json!({ "bytes": 1024 }), json!({ "bytes": 512 })),
            node("acme/users", "", json!({}), json!({})),
        ];
        let rows: Vec<Row<'_>> = nodes.iter().map(|node| (node, show::resources(node))).collect();
        let output = Output { is_terminal: true, is_coloured: false, is_json: false };
        assert_eq!(
            drawn(output, &rows, 0),
            [
                "demand: who may use how much",
                "acme           bytes    ██████████░░░░░░░░░░   50 %  512 B of 1 KiB",
                "               objects  ░░░░░░░░░░░░░░░░░░░░    0 %  0 of 10",
                "├─ projects",
                "│  └─ climate  bytes    ██████████░░░░░░░░░░   50 %  512 B of 1 KiB  Climate",
                "└─ users",
            ]
        );
        assert_eq!(plain(&rows)[0], "acme\tbytes\t512\t0\t1024\t50");
    }
}
