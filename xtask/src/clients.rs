//! The clients that people have, for the tests: Python's in an environment of their own, Node's in a folder of modules.
//!
//! Which ones, and of which version, is said in `tests/clients`. They are installed below `target` once, and again when
//! that changes. Debian's programs that the tests run are looked for here, too.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian;
use crate::run::{self, step};

/// Debian's programs that tests run, and the packages they come in.
const PROGRAMS: [(&str, &str); 3] = [("qemu-img", "qemu-utils"), ("nbdinfo", "libnbd-bin"), ("nbdcopy", "libnbd-bin")];

/// Installs what is missing, and says where it is as environment variables of the tests.
pub fn install() -> Result<Vec<(&'static str, OsString)>> {
    for (program, package) in PROGRAMS {
        debian::need(package, || debian::find(program, &[]))?;
    }
    let lists = run::root().join("tests").join("clients");
    let folder = run::target()?.join("clients");
    let python = python(&lists.join("requirements.txt"), &folder.join("python"))?;
    let modules = node(&lists.join("package.json"), &folder.join("node"))?;
    Ok(vec![
        ("PLIMSOLL_TEST_PYTHON", python.into_os_string()),
        ("PLIMSOLL_TEST_NODE_MODULES", modules.into_os_string()),
    ])
}

/// A program that came with one of Python's packages.
pub fn python_program(name: &str) -> Result<PathBuf> {
    let list = run::root().join("tests").join("clients").join("requirements.txt");
    let python = python(&list, &run::target()?.join("clients").join("python"))?;
    Ok(python.with_file_name(name))
}

/// A Python that has what `list` names.
fn python(list: &Path, folder: &Path) -> Result<PathBuf> {
    let python = folder.join("bin").join("python");
    once(list, folder, || {
        let found =
            debian::need("python3-venv", || debian::find("python3", &[]).filter(|it| can_make_environments(it)))?;
        step("a Python for the clients", Command::new(found).args(["-m", "venv", "--clear"]).arg(folder))?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(list);
        step("clients from PyPI", &mut pip)
    })?;
    Ok(python)
}

/// A folder of modules with what `list` names.
fn node(list: &Path, folder: &Path) -> Result<PathBuf> {
    once(list, folder, || {
        let npm = debian::need("npm", || debian::find("npm", &[]))?;
        fs::create_dir_all(folder)?;
        fs::copy(list, folder.join("package.json"))?;
        let mut command = Command::new(npm);
        command.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder);
        step("clients from npm", &mut command)
    })?;
    Ok(folder.join("node_modules"))
}

/// Whether this Python can make environments: Debian's can only with the package that we ask for.
fn can_make_environments(python: &Path) -> bool {
    Command::new(python).args(["-c", "import venv, ensurepip"]).output().is_ok_and(|out| out.status.success())
}

/// Does `install` unless it was done for this very list.
fn once(list: &Path, folder: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read(list).with_context(|| list.display().to_string())?;
    let done = folder.join("installed");
    if fs::read(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(&done, wanted).with_context(|| done.display().to_string())
}
