//! `cargo xtask bench pages`: the whole way on real pages, many crowds each, as the tables of `docs/real-pages.md`.
//!
//! image → `ocr` → for each seed: `import` → `serve` ⇄ `crowd --truth` → `report` → `export` → `evaluate` before and after
//!
//! Everything runs as a person would run it: the commands of the binary, over loopback, each seed in a new folder. The figures do not
//! depend on the machine's speed but for the order in which answers arrive.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::processes::Guard;
use crate::{machine, sample, workspace};

/// The pages: name, image, true text, Tesseract's language.
const PAGES: [(&str, &str, &str, &str); 3] = [
    ("kant-1784", "INPUT_0017.tif", "PAGE_0017_PAGE.xml", "frk"),
    ("valdes-1816", "delirio_page-0003.jpg", "delirio_page-0003.xml", "spa"),
    ("egana-1829", "ocios_filosoficos_page_80.png", "ocios_filosoficos_page_80.xml", "spa"),
];
const CONVENTIONS: [&str; 2] = ["default", "diplomatic"];
/// The name of the drawn sample, and its seed: not that of the shipped one.
const DRAWN: &str = "drawn";
const SAMPLE_SEED: u64 = 20;
/// A server that does not answer in this many tenths of a second does not start.
const STARTS_MAX: usize = 600;

/// One collection to be read: its name, the engine's files with their images, and the true texts.
struct Case {
    name: String,
    read: PathBuf,
    truth: PathBuf,
}

/// What a seed gave.
struct Outcome {
    before: Figures,
    after: Figures,
    estimate: f64,
    low: f64,
    high: f64,
    answers_per_word: f64,
}

/// The figures of `evaluate`.
#[derive(Clone, Copy)]
struct Figures {
    boxes: u64,
    right: u64,
    without_box: u64,
    cer: f64,
    wer: f64,
}

impl Figures {
    fn share(self) -> f64 {
        self.right as f64 / self.boxes.max(1) as f64
    }
}

/// Reads `[--seeds N] [--phones N] [NAME …]`, runs the named pages (default: all) and prints the table.
///
/// # Errors
/// Wrong arguments, missing pages or packages, or a command that fails; its own words stand above.
pub fn run(args: &[&str]) -> Result<()> {
    let (mut seeds, mut phones, mut names) = (40, 40, Vec::new());
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let place = match *word {
            "--seeds" => &mut seeds,
            "--phones" => &mut phones,
            name if name == DRAWN || PAGES.iter().any(|page| page.0 == name) => {
                names.push(name);
                continue;
            }
            other => bail!("bench pages does not know `{other}`: bench pages [--seeds N] [--phones N] [NAME …], names as in the table"),
        };
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        *place = value.parse::<u64>().with_context(|| format!("{word} takes a whole number, not `{value}`"))?.max(1);
    }
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    machine::install(&machine::TEST_NEEDS)?;
    let bench = Bench::new()?;
    let mut cases = bench.real_pages(&wanted)?;
    if wanted(DRAWN) {
        cases.push(bench.drawn_pages()?);
    }
    println!("{HEAD}");
    for case in &cases {
        for convention in CONVENTIONS {
            let outcomes: Result<Vec<Outcome>> = (1..=seeds).map(|seed| bench.one(case, convention, seed, phones)).collect();
            println!("{}", row(case, convention, &outcomes?));
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}

const HEAD: &str = "| page | convention | boxes | right before | right after (least) | without a box | CER before → after | WER before → after | estimate | half width | holds | answers a word |\n\
|---|---|---|---|---|---|---|---|---|---|---|---|";

fn row(case: &Case, convention: &str, outcomes: &[Outcome]) -> String {
    let seeds = outcomes.len() as f64;
    let mean = |of: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / seeds;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let before = outcomes[0].before;
    let holds = outcomes.iter().filter(|one| (one.low..=one.high).contains(&before.share())).count();
    let least = outcomes.iter().map(|one| one.after.share()).fold(f64::INFINITY, f64::min);
    format!(
        "| {} | {convention} | {} | {} | {} ({}) | {} → {:.1} | {} → {} | {} → {} | {} | {:.1} | {holds} of {} | {:.2} |",
        case.name,
        before.boxes,
        percent(before.share()),
        percent(mean(&|one| one.after.share())),
        percent(least),
        before.without_box,
        mean(&|one| one.after.without_box as f64),
        percent(before.cer),
        percent(mean(&|one| one.after.cer)),
        percent(before.wer),
        percent(mean(&|one| one.after.wer)),
        percent(mean(&|one| one.estimate)),
        100.0 * mean(&|one| (one.high - one.low) / 2.0),
        outcomes.len(),
        mean(&|one| one.answers_per_word),
    )
}

/// The binary and the folder to work in, which goes with it.
struct Bench {
    guard: Guard,
    binary: PathBuf,
    folder: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A folder that cannot be removed lies in the cache and disturbs nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Bench {
    fn new() -> Result<Self> {
        let built = workspace::cargo().args(["build", "--package", "crowdread"]).stdin(Stdio::null()).status();
        if !built.context("cargo build does not start")?.success() {
            bail!("the binary cannot be built");
        }
        let target = workspace::metadata(false)?["target_directory"].as_str().map(PathBuf::from).context("no target folder")?;
        let folder = workspace::cache()?.join(format!("bench-pages-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { guard: Guard::start()?, binary: target.join("debug/crowdread"), folder })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).stdin(Stdio::null());
        self.guard.mark(&mut command);
        command
    }

    /// Runs a command to its end and gives what it printed.
    fn output(&self, args: &[&str]) -> Result<String> {
        let output = self.command(args).output().context("the binary does not start")?;
        if !output.status.success() {
            bail!("crowdread {} ended with {}: {}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.output(args)?;
        let last = output.lines().last().unwrap_or_default();
        serde_json::from_str(last).with_context(|| format!("crowdread {} printed no JSON", args.join(" ")))
    }

    /// The pages of the shared folder, read by Tesseract.
    fn real_pages(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Case>> {
        let beside = workspace::root().parent().map(|above| above.join("shared"));
        if !PAGES.iter().any(|page| wanted(page.0)) {
            return Ok(Vec::new());
        }
        let shared = std::env::var_os("CROWDREAD_SHARED").map(PathBuf::from).or(beside).context("no folder above the checkout")?;
        let pages = shared.join("data/pages");
        if !pages.is_dir() {
            bail!("no real pages at {}: set CROWDREAD_SHARED to the folder that has data/pages", pages.display());
        }
        let case = |(name, image, truth, language): (&str, &str, &str, &str)| {
            let case = self.case(name)?;
            self.output(&["ocr", &text(&pages.join(name).join(image)), "--lang", language, "--out", &text(&case.read)])?;
            copy(&pages.join(name).join(truth), &case.truth.join(truth))?;
            Ok(case)
        };
        PAGES.into_iter().filter(|page| wanted(page.0)).map(case).collect()
    }

    /// Pages that the sample's generator draws from another seed, read anew as anybody's own pages.
    fn drawn_pages(&self) -> Result<Case> {
        let drawn = self.folder.join("sample");
        sample::run(&["--seed", &SAMPLE_SEED.to_string(), "--out", &text(&drawn)])?;
        let case = self.case(DRAWN)?;
        for (language, prefix) in [("eng", "en-"), ("spa", "es-")] {
            let of_language = |path: &PathBuf| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                name.starts_with(prefix) && !name.ends_with(".tsv")
            };
            let images = files_in(&drawn.join("pages"))?.into_iter().filter(of_language).map(|path| text(&path));
            let images: Vec<String> = images.collect();
            let mut args: Vec<&str> = vec!["ocr"];
            args.extend(images.iter().map(String::as_str));
            let out = text(&case.read);
            args.extend(["--lang", language, "--out", &out]);
            self.output(&args)?;
        }
        for path in files_in(&drawn.join("truth"))? {
            copy(&path, &case.truth.join(path.file_name().unwrap_or_default()))?;
        }
        Ok(case)
    }

    fn case(&self, name: &str) -> Result<Case> {
        let folder = self.folder.join(name);
        let case = Case { name: name.to_string(), read: folder.join("read"), truth: folder.join("truth") };
        std::fs::create_dir_all(&case.truth).with_context(|| format!("cannot make {}", case.truth.display()))?;
        Ok(case)
    }

    /// One crowd's way.
    fn one(&self, case: &Case, convention: &str, seed: u64, phones: u64) -> Result<Outcome> {
        let folder = self.folder.join("run");
        let (data, out) = (text(&folder.join("data")), text(&folder.join("out")));
        let (read, truth) = (text(&case.read), text(&case.truth));
        self.output(&["import", &read, "--data", &data, "--collection", "pages", "--convention", convention])?;
        let (mut server, url) = self.serve(&data)?;
        let (seed, phones) = (seed.to_string(), phones.to_string());
        let crowd = ["crowd", "--url", &url, "--phones", &phones, "--truth", &truth, "--convention", convention, "--seed", &seed, "--json"];
        let read_by_crowd = self.json(&crowd).and_then(|_| {
            let report = self.json(&["report", "--data", &data, "--json"])?;
            self.output(&["export", "--data", &data, "--out", &out])?;
            Ok(report)
        });
        let ended = Command::new("kill").arg(server.id().to_string()).status().context("kill does not start");
        server.wait().context("the server was lost")?;
        ended?;
        let report = read_by_crowd?;
        let outcome = Outcome {
            before: self.evaluate(&read, &truth, convention)?,
            after: self.evaluate(&out, &truth, convention)?,
            estimate: number(&report, "/accuracy/estimate")?,
            low: number(&report, "/accuracy/low")?,
            high: number(&report, "/accuracy/high")?,
            answers_per_word: number(&report, "/answers_per_word")?,
        };
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        Ok(outcome)
    }

    /// Starts a server and waits until it answers.
    fn serve(&self, data: &str) -> Result<(Child, String)> {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).context("no free port")?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = self.command(&["serve", "--data", data, "--listen", &address]);
        let mut server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("the server does not start")?;
        for _ in 0..STARTS_MAX {
            if std::net::TcpStream::connect(&address).is_ok() {
                return Ok((server, format!("http://{address}")));
            }
            if let Some(status) = server.try_wait()? {
                bail!("the server ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        server.kill()?;
        bail!("the server does not answer at {address}")
    }

    fn evaluate(&self, read: &str, truth: &str, convention: &str) -> Result<Figures> {
        let all = self.json(&["evaluate", read, truth, "--convention", convention, "--json"])?;
        let count = |name: &str| number(&all, &format!("/all/{name}")).map(|count| count as u64);
        Ok(Figures {
            boxes: count("boxes")?,
            right: count("boxes_right")?,
            without_box: count("printed_without_box")?,
            cer: number(&all, "/all/cer")?,
            wer: number(&all, "/all/wer")?,
        })
    }
}

fn number(value: &Value, pointer: &str) -> Result<f64> {
    value.pointer(pointer).and_then(Value::as_f64).with_context(|| format!("no number at {pointer}"))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).map(|_| ()).with_context(|| format!("cannot copy {}", from.display()))
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}
