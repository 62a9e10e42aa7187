//! `crowdread crowd --url URL --phones N --truth DIR`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use indicatif::ProgressBar;
use ocr::{
    convention::Convention,
    crowd::{self, Work},
};
use tokio_util::sync::CancellationToken;

use super::runtime;
use crate::server::shutdown_signal;

/// How often the progress is shown, in milliseconds.
const SHOW_MS: u64 = 500;

/// Let a simulated crowd read on a running server
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// How many phones
    #[arg(long, default_value_t = 200)]
    phones: usize,
    /// The folder with the true texts (PAGE XML, ALTO, text, TSV), paired with the server's pages by name
    #[arg(long, value_name = "DIR", required_unless_present = "events")]
    truth: Option<PathBuf>,
    /// The collection, where the server has more than one
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// When two texts count as equal, as the collection says it to its readers: default or diplomatic
    #[arg(long, default_value = "default")]
    convention: String,
    /// Worker kinds and their parts
    #[arg(long, default_value = "careful=62,careless=20,always-yes=7,random=6,colluding=5")]
    mix: String,
    /// The seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long workers look at words: 1 as people do, 0 not at all
    #[arg(long, default_value_t = 0.0)]
    pace: f64,
    /// Share of wrong words that nearly everyone overlooks, 0 to 1
    #[arg(long, value_name = "SHARE")]
    overlooked: Option<f64>,
    /// Share of words that cannot be read, 0 to 1
    #[arg(long, value_name = "SHARE")]
    illegible: Option<f64>,
    /// Share of typed texts with a slip, of careful workers, 0 to 1
    #[arg(long, value_name = "SHARE")]
    slips: Option<f64>,
    /// Share of requests that are sent twice, 0 to 1
    #[arg(long, value_name = "SHARE")]
    resend: Option<f64>,
    /// Append each acknowledgement to a file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Send plain events instead, so many a second
    #[arg(long, value_name = "RATE", conflicts_with = "truth")]
    events: Option<f64>,
    /// End after so many answers or events
    #[arg(long, value_name = "N")]
    records_max: Option<u64>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

impl Args {
    fn config(&self) -> Result<crowd::Config> {
        let mut config = crowd::Config {
            url: self.url.clone(),
            collection: self.collection.clone(),
            phones: self.phones,
            seed: self.seed,
            mix: self.mix.parse()?,
            pace: self.pace,
            records_max: self.records_max,
            log: self.log.clone(),
            ..crowd::Config::default()
        };
        let set = |rate: &mut f64, asked: Option<f64>| *rate = asked.unwrap_or(*rate);
        set(&mut config.rates.word.overlooked, self.overlooked);
        set(&mut config.rates.word.illegible, self.illegible);
        set(&mut config.rates.careful.slip, self.slips);
        set(&mut config.resend_share, self.resend);
        Ok(config)
    }
}

async fn load(config: &mut crowd::Config, truth: &Path, convention: &str) -> Result<crowd::PrintedWords> {
    let loaded = crowd::load(&config.url, config.collection.as_deref(), truth, &Convention::named(convention)?).await?;
    for problem in &loaded.problems {
        eprintln!("  {problem}");
    }
    for page in &loaded.pages_without_truth {
        eprintln!("  {page}: no true text, so its words are not answered");
    }
    config.collection = Some(loaded.collection);
    Ok(loaded.printed)
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let mut config = args.config()?;
    runtime()?.block_on(async {
        let work = match (args.events, &args.truth) {
            (Some(per_second), _) => Work::Events { per_second },
            (None, Some(truth)) => Work::Answers(load(&mut config, truth, &args.convention).await?),
            (None, None) => return Err(record::Error::invalid("--truth or --events is needed").into()),
        };
        let shutdown = CancellationToken::new();
        let progress = Arc::new(crowd::Progress::default());
        let mut reading = std::pin::pin!(crowd::run(config, work, progress.clone(), shutdown.clone()));
        let bar = ProgressBar::new_spinner();
        let mut ticks = tokio::time::interval(Duration::from_millis(SHOW_MS));
        let mut end = std::pin::pin!(shutdown_signal()?);
        let report = loop {
            tokio::select! {
                done = &mut reading => break done?,
                () = &mut end, if !shutdown.is_cancelled() => shutdown.cancel(),
                _ = ticks.tick() => {
                    let now = progress.snapshot();
                    bar.set_message(format!("{} phones, {} stored, {} of {} words decided", now.phones, now.stored, now.words_decided, now.words));
                    bar.tick();
                }
            }
        };
        bar.finish_and_clear();
        let seconds = report.elapsed_micros as f64 / 1e6;
        eprintln!(
            "{} records stored in {seconds:.1} s, {} sent again, {} rejected; {} of {} words decided",
            report.total.stored,
            report.total.resent,
            report.total.rejected_count(),
            report.words_decided,
            report.words
        );
        if args.json {
            println!("{}", serde_json::to_string(&report)?);
        }
        Ok(())
    })
}
