//! Reading images with the `tesseract` program: what `crowdread ocr` does.
//!
//! images → as many at once as there are cores → `DIR/<stem>.tsv` beside a link to (or copy of) each image
//!
//! Needs the program and its language data; says which package has them. One image that cannot be read does not stop the rest.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use record::{Error, Result};

/// The most programs that run at once.
pub const PARALLEL_MAX: usize = 64;
/// What is kept of the program's messages, in characters.
const MESSAGE_CHARS_MAX: usize = 400;

/// How to read images.
#[derive(Clone, Debug)]
pub struct Config {
    /// The program; found in `PATH` when it is only a name.
    pub program: PathBuf,
    /// As in Tesseract's `-l`: `spa`, `spa+eng`, `script/Fraktur`; or the path of a `.traineddata` file.
    pub language: String,
    /// The folder for the results; made when it is not there.
    pub out: PathBuf,
    /// Programs at once, 1 to [`PARALLEL_MAX`].
    pub parallel: usize,
}

impl Config {
    /// The `tesseract` in `PATH`, one for each core.
    pub fn new(language: impl Into<String>, out: impl Into<PathBuf>) -> Self {
        let parallel = std::thread::available_parallelism().map_or(1, usize::from);
        Self { program: "tesseract".into(), language: language.into(), out: out.into(), parallel }
    }
}

/// What became of the images.
#[derive(Debug)]
pub struct EngineReport {
    /// The program's name and version, such as `tesseract 5.3.0`.
    pub engine: String,
    /// The results, in the images' order.
    pub written: Vec<PathBuf>,
    /// Images that could not be read, each with the reason.
    pub failed: Vec<(PathBuf, Error)>,
}

/// Told after each image: how many are done, of how many, and which it was.
pub type Progress<'a> = &'a (dyn Fn(usize, usize, &Path) + Sync);

/// Reads all images.
///
/// # Errors
/// `Unavailable` when the program is not there; `Invalid` when its language data is not, or there are no images; both say what to install.
pub fn run(config: &Config, images: &[PathBuf], progress: Progress<'_>) -> Result<EngineReport> {
    if images.is_empty() {
        return Err(Error::invalid("no images: name one or more files (PNG, JPEG, TIFF)"));
    }
    let engine = version(&config.program)?;
    let data = LanguageData::find(config)?;
    fs::create_dir_all(&config.out)
        .map_err(|error| Error::unavailable("cannot make the folder for the results").with("path", config.out.display()).because(error))?;
    let results = Mutex::new(Vec::with_capacity(images.len()));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let doubles = doubled_stems(images);
    std::thread::scope(|scope| {
        for _ in 0..config.parallel.clamp(1, PARALLEL_MAX).min(images.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(image) = images.get(index) else { break };
                    let result = if doubles.contains(&index) {
                        Err(Error::invalid("another image before it has the same name but for its ending or folder: rename one of them"))
                    } else {
                        read_image(config, &data, image)
                    };
                    results.lock().expect("no thread panics while it holds the results").push((index, result));
                    progress(done.fetch_add(1, Ordering::Relaxed) + 1, images.len(), image);
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no thread panics while it holds the results");
    results.sort_by_key(|(index, _)| *index);
    let mut report = EngineReport { engine, written: Vec::new(), failed: Vec::new() };
    for (index, result) in results {
        match result {
            Ok(path) => report.written.push(path),
            Err(error) => report.failed.push((images[index].clone(), error)),
        }
    }
    Ok(report)
}

/// The program's name and version.
///
/// # Errors
/// `Unavailable` when it cannot be run.
pub fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().map_err(|error| {
        Error::unavailable("cannot run the tesseract program: install it, on Debian with `apt-get install tesseract-ocr`")
            .with("program", program.display())
            .because(error)
    })?;
    // Version 3 wrote it to standard error.
    let text = String::from_utf8_lossy(if output.stdout.is_empty() { &output.stderr } else { &output.stdout }).into_owned();
    let first = text.lines().next().unwrap_or_default().trim().to_owned();
    if output.status.success() && first.starts_with("tesseract") {
        return Ok(first);
    }
    Err(Error::unavailable("the program is not tesseract: expected `tesseract --version` to name it")
        .with("program", program.display())
        .with("found", tail(&text)))
}

/// Where the language data is, as the program's arguments.
#[derive(Debug)]
struct LanguageData {
    folder: Option<PathBuf>,
    names: String,
}

impl LanguageData {
    fn find(config: &Config) -> Result<Self> {
        let asked = config.language.trim();
        if asked.ends_with(".traineddata") {
            let path = Path::new(asked);
            if !path.is_file() {
                return Err(Error::invalid("there is no such language data").with("path", asked));
            }
            let folder = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
            return Ok(Self { folder, names: path.file_stem().unwrap_or_default().to_string_lossy().into_owned() });
        }
        let known = installed(&config.program)?;
        let names: Result<Vec<String>> = asked.split('+').map(|name| known_name(name.trim(), &known)).collect();
        Ok(Self { folder: None, names: names?.join("+") })
    }
}

fn installed(program: &Path) -> Result<Vec<String>> {
    let output = Command::new(program)
        .arg("--list-langs")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::unavailable("cannot run the tesseract program").because(error))?;
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains(' ')).map(str::to_owned).collect())
}

/// The name under which the data is installed: Debian has `script/Fraktur` as `Fraktur`, other systems the other way round.
fn known_name(name: &str, known: &[String]) -> Result<String> {
    let other = name.strip_prefix("script/").map_or_else(|| format!("script/{name}"), str::to_owned);
    for candidate in [name, &other] {
        if known.iter().any(|known| known == candidate) {
            return Ok(candidate.to_owned());
        }
    }
    Err(Error::invalid(format!("tesseract has no data for this language: on Debian, {}", install_advice(name)))
        .with("language", name)
        .with("installed", known.join(" ")))
}

/// Which package has the data of a language or script.
fn install_advice(name: &str) -> String {
    const SCRIPTS: [(&str, &str); 8] = [
        ("Arabic", "arab"),
        ("Armenian", "armn"),
        ("Cyrillic", "cyrl"),
        ("Fraktur", "frak"),
        ("Georgian", "geor"),
        ("Greek", "grek"),
        ("Hebrew", "hebr"),
        ("Latin", "latn"),
    ];
    let script = name.strip_prefix("script/").unwrap_or(name);
    if let Some((_, code)) = SCRIPTS.iter().find(|(known, _)| *known == script) {
        return format!("`apt-get install tesseract-ocr-script-{code}`");
    }
    let is_code = (3..=12).contains(&name.len()) && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    if is_code {
        return format!("`apt-get install tesseract-ocr-{}`", name.replace('_', "-"));
    }
    "`apt-cache search tesseract-ocr` lists the packages".to_owned()
}

/// Images whose results would have the name of an earlier one's.
fn doubled_stems(images: &[PathBuf]) -> HashSet<usize> {
    let mut stems = HashSet::new();
    images.iter().enumerate().filter(|(_, image)| !stems.insert(image.file_stem())).map(|(index, _)| index).collect()
}

fn read_image(config: &Config, data: &LanguageData, image: &Path) -> Result<PathBuf> {
    let (Some(stem), Some(name)) = (image.file_stem(), image.file_name()) else {
        return Err(Error::invalid("not the name of an image"));
    };
    if !image.is_file() {
        return Err(Error::invalid("there is no such image"));
    }
    // Written under another name first, so that what is cut off is never taken for a result.
    let partial = config.out.join(format!(".{}.partial", stem.to_string_lossy()));
    let mut command = Command::new(&config.program);
    command.arg(image).arg(&partial).arg("-l").arg(&data.names);
    if let Some(folder) = &data.folder {
        command.arg("--tessdata-dir").arg(folder);
    }
    // `tsv` as a setting, because language data beside the file may come without the configuration of that name.
    let output = command
        .args(["-c", "tessedit_create_tsv=1", "-c", "tessedit_create_txt=0"])
        .env("OMP_THREAD_LIMIT", "1") // threads within one page make many at once slower
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::unavailable("cannot run the tesseract program").because(error))?;
    let written = PathBuf::from(format!("{}.tsv", partial.display()));
    if !output.status.success() || !written.is_file() {
        let _ = fs::remove_file(&written);
        return Err(Error::invalid("tesseract could not read the image").with("it_says", tail(&String::from_utf8_lossy(&output.stderr))));
    }
    let result = config.out.join(format!("{}.tsv", stem.to_string_lossy()));
    let disk = |error: std::io::Error| Error::unavailable("cannot write the result").with("path", result.display()).because(error);
    fs::rename(&written, &result).map_err(disk)?;
    place_beside(image, &config.out.join(name)).map_err(disk)?;
    Ok(result)
}

/// A hard link, or a copy where the file system has none.
fn place_beside(image: &Path, beside: &Path) -> std::io::Result<()> {
    if beside.exists() {
        if fs::canonicalize(beside)? == fs::canonicalize(image)? {
            return Ok(());
        }
        fs::remove_file(beside)?; // of an earlier run
    }
    let image = fs::canonicalize(image)?; // a link to a link would break with it
    fs::hard_link(&image, beside).or_else(|_| fs::copy(&image, beside).map(|_| ()))
}

/// The end of the program's messages, where the reason stands.
fn tail(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let skip = text.chars().count().saturating_sub(MESSAGE_CHARS_MAX);
    text.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests;
