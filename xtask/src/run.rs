//! Programs as steps: each has a name, says it when it starts, and says it again when it fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The folder of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// `cargo` with `args` (words split at spaces), in the workspace.
pub fn cargo(args: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args.split_whitespace()).current_dir(root());
    // Set by the cargo that started us, for our own package: wrong for every other one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs one step to its end, its output going where ours goes.
pub fn step(name: &str, command: &mut Command) -> Result<()> {
    eprintln!("── {name}");
    let status = command.status().with_context(|| format!("{name}: {:?} did not start", command.get_program()))?;
    if !status.success() {
        bail!("failed: {name} ({status})");
    }
    Ok(())
}

/// What a program prints, if it succeeds.
pub fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let out = command.output().with_context(|| format!("{program} did not start"))?;
    if !out.status.success() {
        bail!("{program}: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr).trim_end());
    }
    String::from_utf8(out.stdout).with_context(|| format!("{program} did not print text"))
}

/// Where cargo puts what it builds.
pub fn target() -> Result<PathBuf> {
    let text = output(&mut cargo("metadata --no-deps --format-version 1"))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("cargo metadata is not JSON")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?;
    Ok(target.into())
}
