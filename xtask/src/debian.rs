//! Programs that are not ours: found, or installed from Debian when we may, or asked for by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run;

/// Finds `program` in PATH or in the folders given.
pub fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = folders.iter().cloned().chain(std::env::split_paths(&path));
    candidates.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Finds a program with `find`; where it is missing, installs Debian's `package` and looks again.
pub fn need(package: &str, find: impl Fn() -> Option<PathBuf>) -> Result<PathBuf> {
    if let Some(program) = find() {
        return Ok(program);
    }
    if !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!("needs {package}: install it (on Debian: apt-get install {package}), then try again");
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        run::step(&format!("apt-get {}", args.join(" ")), &mut command)
    };
    apt(&["update", "-qq"])?;
    apt(&["install", "-qq", "--no-install-recommends", package])?;
    find().with_context(|| format!("{package} is installed, and its program still not found"))
}

/// Whether we may install, and must not run a database.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A user without rights, to run a server as when we are root: name, user id, group id.
pub fn ordinary_user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let ids = |wanted: &str| {
        let fields: Vec<&str> =
            users.lines().map(|line| line.split(':').collect()).find(|f: &Vec<_>| f[0] == wanted)?;
        Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody")).context("neither a user postgres nor a user nobody in /etc/passwd")
}

/// A command that runs `program` without root's rights, and that ends when we do, whatever ended us.
pub fn ordinary(program: &Path) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if is_root() {
        let (user, group) = ordinary_user()?;
        command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()]);
    }
    command.arg(program);
    Ok(command)
}
