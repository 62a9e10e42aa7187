//! `crowdread demo`: everything at once, on the sample that ships in the binary.
//!
//! sample → import → server → simulated crowd over HTTP → report, corrected pages → serve on

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use ocr::{
    align,
    collection::{Collection, import, word_tasks},
    corrections, crowd,
    live::{self, LiveCollection, Thoroughness},
    report::{self, Report},
    sample,
};
use record::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{crowd::why, export, runtime, write_file};
use crate::{
    address,
    console::{print, say, say_text, spinner},
    folder::Folder,
    interrupt,
    server::Server,
    settings::Settings,
};

/// The sample's collection.
const COLLECTION: &str = "sample";
/// The first port that is tried, and how many.
const PORT_FIRST: u16 = 8080;
const PORTS: u16 = 100;
/// How often the progress is shown: on a terminal, and as lines where there is none.
const SHOW_MS: u64 = 500;
const SHOW_LINES_MS: u64 = 5_000;

/// Show everything at once: sample pages, a simulated crowd, the report, and the pages to open
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How many simulated phones
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    phones: u32,
    /// The seed of the simulated crowd
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder to work in; must be new [default: ./crowdread-demo, or the first free one after it]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Bind to all addresses, so that phones in the room can open the pages
    #[arg(long)]
    lan: bool,
    /// End after the report instead of serving on
    #[arg(long)]
    once: bool,
    /// Print one JSON object on standard output, as the last line
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let data = data_folder(args.data.as_deref())?;
    runtime()?.block_on(async {
        let end = interrupt::catch()?;
        let folder = Folder::claim_for_server(&data)?;
        let truth = import_sample(&folder)?;
        let listener = listen(args.lan).await?;
        let settings = Settings { data: data.clone(), ..Settings::default() };
        let server = Server::start(settings, folder, listener).await?;
        greet(&server, &data)?;
        let crowd = let_crowd_read(&args, &server, &truth, &end).await?;
        let work = spinner("landing the answers and working out the accuracy");
        let outcome = conclude(&server, &data, &truth, &crowd).await?;
        work.finish_and_clear();
        say_text(report::to_text(&outcome.report));
        if let Some(note) = left_open(&outcome.report, &crowd) {
            say(note);
        }
        if args.json {
            print(outcome.json)?;
        }
        if args.once || end.is_cancelled() {
            return server.run_until(std::future::ready(())).await;
        }
        let url = server.join_url();
        say(format_args!("\nthe pages are open: {url} to read, {url}board to watch; Ctrl-C ends"));
        server.run_until(end.cancelled()).await
    })
}

/// A new folder: a demo's figures are not to be mixed with anybody's.
fn data_folder(asked: Option<&Path>) -> Result<PathBuf> {
    let is_new = |path: &Path| fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
    match asked {
        Some(path) if is_new(path) => Ok(path.to_owned()),
        Some(path) => Err(Error::invalid("the demo wants a new or empty folder").with("folder", path.display()).into()),
        None => {
            let names = (1..).map(|n| PathBuf::from(if n == 1 { "crowdread-demo".to_owned() } else { format!("crowdread-demo-{n}") }));
            Ok(names.into_iter().find(|path| is_new(path)).unwrap_or_default())
        }
    }
}

/// Imports the sample; gives the printed text of each task, for the crowd alone.
fn import_sample(folder: &Folder) -> Result<HashMap<String, Option<String>>> {
    let mut collection = Collection::open_or_create(&folder.join("collections"), COLLECTION)?;
    "Sample pages / Páginas de muestra".clone_into(&mut collection.settings.title);
    collection.save_settings()?;
    let mut truth = HashMap::new();
    for page in sample::pages()? {
        let imported = import::import_page(&mut collection, &page.files, Some("tesseract"))?;
        let entry = collection.pages.iter().find(|entry| entry.id.to_string() == imported.page);
        let Some((entry, reading)) = entry.and_then(|entry| Some((entry, entry.readings.first()?))) else { continue };
        let aligned = align::align(&reading.page, &page.truth, &collection.settings.convention);
        for task in word_tasks(&collection.settings, &entry.id, reading) {
            truth.insert(task.task.to_string(), aligned.truth_of[task.word].clone());
        }
    }
    Ok(truth)
}

/// The first free port.
async fn listen(lan: bool) -> Result<TcpListener> {
    let ip: IpAddr = if lan { Ipv4Addr::UNSPECIFIED.into() } else { Ipv4Addr::LOCALHOST.into() };
    for port in PORT_FIRST..PORT_FIRST + PORTS {
        if let Ok(listener) = TcpListener::bind(SocketAddr::new(ip, port)).await {
            return Ok(listener);
        }
    }
    Err(Error::unavailable("no free port").with("first", PORT_FIRST).with("last", PORT_FIRST + PORTS - 1).into())
}

fn greet(server: &Server, data: &Path) -> Result<()> {
    let url = server.join_url();
    say(address::qr_code(url)?);
    say(format_args!("  read    {url}\n  board   {url}board\n  data    {}", data.display()));
    say("\n  A simulated crowd reads the sample pages. Ctrl-C ends it early; the report follows.\n");
    Ok(())
}

async fn let_crowd_read(
    args: &Args,
    server: &Server,
    truth: &HashMap<String, Option<String>>,
    end: &CancellationToken,
) -> Result<crowd::CrowdReport> {
    let live = server.live().get(COLLECTION)?;
    let words = live::lock(&live).words().len();
    let bar = ProgressBar::new(words as u64);
    bar.set_style(ProgressStyle::with_template("  {bar:16} {pos}/{len} words, {msg}")?);
    let config = crowd::Config {
        url: server.url().to_owned(),
        collection: Some(COLLECTION.to_owned()),
        phones: args.phones as usize,
        seed: args.seed,
        ..crowd::Config::default()
    };
    let convention = live::lock(&live).settings().convention.clone();
    let printed = crowd::PrintedWords::new(convention, truth.clone());
    let mut reading = std::pin::pin!(crowd::run(config, crowd::Work::Answers(printed), Arc::default(), end.clone()));
    let clock = server.live().clock().clone();
    let mut ticks = tokio::time::interval(Duration::from_millis(if bar.is_hidden() { SHOW_LINES_MS } else { SHOW_MS }));
    loop {
        tokio::select! {
            done = &mut reading => { bar.finish_and_clear(); return Ok(done?) }
            _ = ticks.tick() => show(&bar, &live::lock(&live), clock.now()),
        }
    }
}

fn show(bar: &ProgressBar, live: &LiveCollection, now: record::Timestamp) {
    bar.set_position(live.words_decided() as u64);
    let accuracy = live.accuracy().map_or_else(String::new, |accuracy| {
        let percent = |share: f64| 100.0 * share;
        format!("; {:.1} % right ({:.1} to {:.1})", percent(accuracy.estimate), percent(accuracy.low), percent(accuracy.high))
    });
    let rate = live.answers_per_second(now);
    bar.set_message(format!("{} answers, {rate:.0}/s{accuracy}", live.records()));
    if bar.is_hidden() {
        say(format_args!("  {}/{} words, {}", bar.position(), live.words().len(), bar.message()));
    }
}

/// Why words are still open, if some are.
fn left_open(report: &Report, crowd: &crowd::CrowdReport) -> Option<String> {
    let open = report.words - report.words_decided;
    (open > 0).then(|| match crowd.ended {
        crowd::EndReason::WordsDecided => format!(
            "\n  The crowd ended when every word was decided. The last pass, over all answers together, is less sure of {open} words: they are\n  \
             open again, and are offered to whoever reads next."
        ),
        _ => format!("\n  {open} words are still open. The simulated crowd ended because {}.", why(crowd)),
    })
}

/// How the crowd's phase ended.
struct Outcome {
    report: Report,
    json: serde_json::Value,
}

async fn conclude(server: &Server, data: &Path, truth: &HashMap<String, Option<String>>, crowd: &crowd::CrowdReport) -> Result<Outcome> {
    let books = server.flush().await?;
    let live = server.live().get(COLLECTION)?;
    let simulated = crowd.workers.iter().flat_map(|worker| worker.worker_ids.iter().map(|id| (id.as_str(), worker.kind.as_str())));
    let kinds: HashMap<&str, &str> = simulated.collect();
    // On a copy: readers do not wait for it.
    let mut snapshot = live::lock(&live).snapshot();
    let (mut report, corrected) = tokio::task::block_in_place(|| {
        snapshot.refit();
        snapshot.update_accuracy(Thoroughness::Full);
        let mut report = Report::of(&snapshot);
        report.compare(&snapshot, &|task| Some(truth.get(task)?.clone().unwrap_or_default()));
        report.name_kinds(&|worker| kinds.get(worker).map(|kind| (*kind).to_owned()));
        (report, corrections::of(&snapshot))
    });
    let collection = Collection::open(&data.join("collections").join(COLLECTION))?;
    let (pages, html) = (data.join("corrected"), data.join("report.html"));
    export::write_files(&collection, &corrected, None, &pages)?;
    let table = server.table();
    report.books = Some(books);
    report.files = vec![
        ("table".to_owned(), table.clone()),
        ("corrected pages".to_owned(), pages.display().to_string()),
        ("report".to_owned(), html.display().to_string()),
    ];
    write_file(&html, "the report", report::to_html(&report))?;
    let known = report.known.as_ref().ok_or_else(|| Error::internal("the sample has no true texts"))?;
    let accuracy = report.accuracy.as_ref().map(|accuracy| {
        let truth = known.right_before as f64 / known.words.max(1) as f64;
        serde_json::json!({"estimate": accuracy.estimate, "low": accuracy.low, "high": accuracy.high, "truth": truth})
    });
    let json = serde_json::json!({
        "answers_stored": books.stored, "answers_landed": books.landed, "repeated": books.repeated,
        "dead_letters": books.dead_letters, "in_flight": books.in_flight,
        "words": report.words, "words_decided": report.words_decided, "answers_per_word": report.answers_per_word,
        "accuracy": accuracy, "words_right_before": known.right_before, "words_right_after": known.right_after,
        "table": table, "report": html, "export": pages,
    });
    Ok(Outcome { report, json })
}
