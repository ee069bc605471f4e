//! `cargo xtask audit`: may we ship what we depend on? The rules are in `deny.toml`.

use anyhow::Result;

use crate::run::{cargo, step};

/// Checks licences, bans and sources. Advisories need a database from the network, and are not checked here.
pub fn run() -> Result<()> {
    if !cargo("deny --version").output().is_ok_and(|out| out.status.success()) {
        step("install cargo-deny", &mut cargo("install --quiet --locked cargo-deny"))?;
    }
    step("licences, bans, sources", &mut cargo("deny --all-features check licenses bans sources"))?;
    println!("passed: licences, bans, sources (advisories are not checked)");
    Ok(())
}
