//! `cargo xtask sample`: makes the sample collection. The work stands in `examples/sample`, so that its fonts and pictures
//! cost nothing when xtask itself is compiled; this file gets what the machine lacks and calls it.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::machine::{self, Need};
use crate::workspace;

/// The engine, its languages and the fonts of `examples/sample/typeset.rs`.
const NEEDS: [Need; 7] = [
    Need { thing: "tesseract", package: "tesseract-ocr" },
    Need { thing: "/usr/share/tesseract-ocr/5/tessdata/eng.traineddata", package: "tesseract-ocr-eng" },
    Need { thing: "/usr/share/tesseract-ocr/5/tessdata/spa.traineddata", package: "tesseract-ocr-spa" },
    Need { thing: "/usr/share/fonts/opentype/junicode/JunicodeTwoBeta-Regular.otf", package: "fonts-junicode" },
    Need { thing: "/usr/share/fonts/opentype/ebgaramond/EBGaramond12-Regular.otf", package: "fonts-ebgaramond" },
    Need { thing: "/usr/share/fonts/opentype/sortsmill/GoudyBookletter1911.otf", package: "fonts-goudybookletter" },
    Need { thing: "/usr/share/fonts/opentype/didot/GFSDidot.otf", package: "fonts-gfs-didot" },
];

/// Reads `--seed N [--out DIR]` and makes the collection.
///
/// # Errors
/// Wrong arguments; a missing package that cannot be installed; the generator's own failure.
pub fn run(args: &[&str]) -> Result<()> {
    let (mut seed, mut out) = (None, workspace::root().join("crates/ocr/sample"));
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match *word {
            "--seed" => seed = Some(value.parse::<u64>().with_context(|| format!("--seed takes a whole number, not `{value}`"))?),
            "--out" => out = std::env::current_dir().context("no current folder")?.join(PathBuf::from(value)),
            other => bail!("sample does not know `{other}`: sample --seed N [--out DIR]"),
        }
    }
    let seed = seed.context("sample needs --seed N; the shipped collection names its own in collection.json")?;
    machine::install(&NEEDS)?;
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--package", "xtask", "--example", "sample", "--", &seed.to_string()]).arg(&out);
    if !command.stdin(Stdio::null()).status().context("cargo does not start")?.success() {
        bail!("the sample was not made; the reason stands above");
    }
    Ok(())
}
