//! What the machine lacks for the whole test run, and how to get it: `test` and `sample` call this.
//!
//! Installs through apt where it may (as root, or with a sudo that asks nothing), and says what. Else it names the packages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A thing that must be there, and the Debian package that brings it.
pub struct Need {
    /// The program on the path, or an absolute file or folder.
    pub thing: &'static str,
    /// The package's name in Debian 12 and later.
    pub package: &'static str,
}

/// A program and its package.
pub const fn need(thing: &'static str, package: &'static str) -> Need {
    Need { thing, package }
}

/// What the tests of real programs use.
pub const TEST_NEEDS: [Need; 12] = [
    need("tesseract", "tesseract-ocr"),
    need("/usr/share/tesseract-ocr/5/tessdata/eng.traineddata", "tesseract-ocr-eng"),
    need("/usr/share/tesseract-ocr/5/tessdata/spa.traineddata", "tesseract-ocr-spa"),
    need("/usr/share/tesseract-ocr/5/tessdata/deu.traineddata", "tesseract-ocr-deu"),
    need("/usr/share/tesseract-ocr/5/tessdata/frk.traineddata", "tesseract-ocr-frk"),
    need("/usr/share/tesseract-ocr/5/tessdata/Fraktur.traineddata", "tesseract-ocr-script-frak"),
    need("chromium", "chromium"),
    need("chromedriver", "chromium-driver"),
    need("xmllint", "libxml2-utils"),
    need("curl", "curl"),
    need("mosquitto_pub", "mosquitto-clients"),
    need("cc", "gcc"),
];

/// What the bench of the doors uses.
pub const BENCH_NEEDS: [Need; 1] = [need("wrk", "wrk")];

/// What the fault tests use beside Python: `cc` compiles the shim, `mount` makes small disks.
pub const FAULT_NEEDS: [Need; 2] = [need("cc", "gcc"), need("mount", "mount")];

/// Libraries that are not ours, to read the table, to send records and to read the API's document with; pinned, so that a run next year is the same run.
const PYTHON_PACKAGES: [&str; 10] = [
    "deltalake==1.6.6",
    "pyarrow==26.0.1",
    "cloudevents==2.2.0",
    "requests==2.34.2",
    "websockets==17.4",
    "paho-mqtt==2.2.0",
    "pynng==0.9.0",
    "trio==0.35.0",
    "schemathesis==4.32.5",
    "openapi-spec-validator==0.9.0",
];

/// Source packages of PyPI that have the schemas of the formats that are written; pinned. The schemas are used for checks alone and are
/// not part of this repository: ALTO's are under CC BY-SA 4.0.
const SCHEMA_PACKAGES: [(&str, &str); 2] = [("kraken", "5.2.9"), ("pdfalto", "0.6.3")];

/// Package, file in it, and the name under which the tests look for it.
const SCHEMAS: [(&str, &str, &str); 4] = [
    ("kraken", "tests/resources/pagecontent.xsd", "page-2019.xsd"),
    ("kraken", "tests/resources/alto-4-3.xsd", "alto-4.xsd"),
    ("kraken", "tests/resources/xlink.xsd", "xlink.xsd"),
    ("pdfalto", "schema/alto.xsd", "alto-3.xsd"),
];

/// Takes a file out of a source package, so that its import is found beside it and nothing is fetched when it is used.
const TAKE_OUT: &str = "import sys, tarfile
archive, inside, out = sys.argv[1:]
text = tarfile.open(archive).extractfile(inside).read()
open(out, 'wb').write(text.replace(b'http://www.loc.gov/standards/xlink/xlink.xsd', b'xlink.xsd'))";

/// Installs the packages of those things that are not there.
///
/// # Errors
/// Something is missing and cannot be installed from here; the message names the packages.
pub fn install(needs: &[Need]) -> Result<()> {
    let missing = |needs: &[Need]| -> Vec<&'static str> {
        let mut packages: Vec<_> = needs.iter().filter(|need| find(need.thing).is_none()).map(|need| need.package).collect();
        packages.dedup();
        packages
    };
    let packages = missing(needs);
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    let Some(prefix) = apt_prefix() else {
        bail!("missing packages, and no right to install them: run `apt-get install {list}` as root, or use --quick");
    };
    eprintln!("xtask: installing {list}");
    if !apt(&prefix, &packages) {
        // The lists may be old, or may never have been fetched in a fresh image.
        run_apt(&prefix, &["update".to_string()]);
        apt(&prefix, &packages);
    }
    let left = missing(needs);
    if !left.is_empty() {
        bail!("still missing after the installation: {}; install them by hand, or use --quick", left.join(" "));
    }
    Ok(())
}

/// The Python of a virtual environment in the cache folder that has [`PYTHON_PACKAGES`]; made when it is missing or old.
///
/// # Errors
/// There is no Python 3, or the packages cannot be installed.
pub fn python() -> Result<PathBuf> {
    let folder = workspace::cache()?.join("python");
    let python = folder.join("bin/python");
    let stamp = folder.join("packages.txt");
    let wanted = PYTHON_PACKAGES.join("\n");
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    eprintln!("xtask: making a Python environment with {}", PYTHON_PACKAGES.join(" "));
    let made = || Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).stdin(Stdio::null()).status();
    if !made().is_ok_and(|status| status.success()) {
        // Debian splits `venv` from Python; the folder that a failed try leaves is cleared by the next one.
        install(&[need("python3", "python3"), need("/usr/share/doc/python3-venv", "python3-venv")])?;
        if !made().context("python3 does not start")?.success() {
            bail!("python3 cannot make a virtual environment; install python3-venv");
        }
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PYTHON_PACKAGES);
    if !pip.stdin(Stdio::null()).status().context("pip does not start")?.success() {
        bail!("pip could not install {}", PYTHON_PACKAGES.join(" "));
    }
    std::fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}

/// The folder in the cache folder that has the schemas of PAGE and ALTO, for `xmllint`; fetched when it is missing or old.
///
/// # Errors
/// A package cannot be had, or does not have its schema any more.
pub fn schemas(python: &Path) -> Result<PathBuf> {
    let folder = workspace::cache()?.join("schemas");
    let stamp = folder.join("packages.txt");
    let wanted: Vec<String> = SCHEMA_PACKAGES.iter().map(|(name, version)| format!("{name}=={version}")).collect();
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted.join("\n")) {
        return Ok(folder);
    }
    eprintln!("xtask: fetching the schemas of PAGE and ALTO out of {} (82 MB, once)", wanted.join(" "));
    let archives = folder.join("archives");
    std::fs::create_dir_all(&archives).with_context(|| format!("cannot make {}", archives.display()))?;
    let names = SCHEMA_PACKAGES.map(|(name, _)| name).join(",");
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", &names, "--dest"]);
    if !pip.arg(&archives).args(&wanted).stdin(Stdio::null()).status().context("pip does not start")?.success() {
        bail!("pip could not fetch {}", wanted.join(" "));
    }
    for (package, inside, name) in SCHEMAS {
        let version = SCHEMA_PACKAGES.iter().find(|(known, _)| *known == package).map_or("", |(_, version)| version);
        let archive = archives.join(format!("{package}-{version}.tar.gz"));
        let mut take = Command::new(python);
        take.arg("-c").arg(TAKE_OUT).arg(&archive).arg(format!("{package}-{version}/{inside}")).arg(folder.join(name));
        if !take.stdin(Stdio::null()).status().context("python does not start")?.success() {
            bail!("{} has no {inside}", archive.display());
        }
    }
    std::fs::remove_dir_all(&archives).with_context(|| format!("cannot remove {}", archives.display()))?;
    std::fs::write(&stamp, wanted.join("\n")).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(folder)
}

/// Adds the parts of the toolchain that the checks need and a minimal one lacks.
///
/// # Errors
/// A part is missing and rustup is not there or cannot add it.
pub fn toolchain() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
        if quiet(workspace::cargo().args([subcommand, "--version"])) {
            continue;
        }
        eprintln!("xtask: adding {component} to the toolchain");
        if !Command::new("rustup").args(["component", "add", component]).status().is_ok_and(|status| status.success()) {
            bail!("cargo {subcommand} is missing; run `rustup component add {component}`");
        }
    }
    Ok(())
}

/// Where a program on the path, or an absolute file, is.
pub fn find(thing: &str) -> Option<PathBuf> {
    if thing.starts_with('/') {
        return Some(PathBuf::from(thing)).filter(|path| path.exists());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(thing)).find(|path| path.is_file())
}

/// How apt is called from here: directly as root, through sudo where it asks nothing; none where neither holds.
fn apt_prefix() -> Option<Vec<&'static str>> {
    find("apt-get")?;
    let answers = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    if answers("id", &["-u"]).as_deref() == Some("0") {
        return Some(Vec::new());
    }
    answers("sudo", &["-n", "true"]).map(|_| vec!["sudo", "-n"])
}

fn apt(prefix: &[&str], packages: &[&str]) -> bool {
    let mut args: Vec<String> = ["install", "-y", "-qq", "--no-install-recommends"].map(String::from).to_vec();
    args.extend(packages.iter().map(ToString::to_string));
    run_apt(prefix, &args)
}

fn run_apt(prefix: &[&str], args: &[String]) -> bool {
    let mut words: Vec<&str> = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(args).current_dir(Path::new("/"));
    // Its own output goes to standard error, so that standard output stays the report of the run.
    command.stdin(Stdio::null()).stdout(std::io::stderr()).status().is_ok_and(|status| status.success())
}
