//! Where things stand: the checkout, the cache folder, the crates and their arrows. Every command asks here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A crate of this workspace, as `cargo metadata` tells it.
pub struct Member {
    /// The package's name.
    pub name: String,
    /// Names of the workspace crates that it depends on, dev-dependencies apart; sorted.
    pub arrows: Vec<String>,
    /// The same for dev-dependencies alone.
    pub dev_arrows: Vec<String>,
}

/// The checkout's root: the folder above this crate.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The folder for what is kept between runs: `$XDG_CACHE_HOME/crowdread` or `$HOME/.cache/crowdread`.
///
/// # Errors
/// Neither variable is set.
pub fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set, so there is no cache folder")?.join("crowdread"))
}

/// The cargo that started us, or the one on the path.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// What `cargo metadata` says; `whole` with the dependencies of dependencies too.
///
/// # Errors
/// Cargo fails or its answer is not JSON.
pub fn metadata(whole: bool) -> Result<Value> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1"]);
    if !whole {
        command.arg("--no-deps");
    }
    let output = command.output().context("cargo metadata does not start")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata did not answer with JSON")
}

/// The workspace's crates, sorted by name.
///
/// # Errors
/// As [`metadata`].
pub fn members() -> Result<Vec<Member>> {
    let metadata = metadata(false)?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut members: Vec<Member> = packages.iter().map(|package| member(package, &names)).collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn member(package: &Value, names: &[&str]) -> Member {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let (mut arrows, mut dev_arrows) = (Vec::new(), Vec::new());
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let name = text(&dependency["name"]);
        if names.contains(&name.as_str()) {
            // `kind` is null for what the crate itself needs, "dev" or "build" otherwise.
            if dependency["kind"] == "dev" { dev_arrows.push(name) } else { arrows.push(name) }
        }
    }
    for list in [&mut arrows, &mut dev_arrows] {
        list.sort();
        list.dedup();
    }
    Member { name: text(&package["name"]), arrows, dev_arrows }
}
