//! `crowdread crowd --url URL --phones N --truth DIR`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use ocr::{
    convention::Convention,
    crowd::{self, CrowdReport, EndReason, ProgressSnapshot, Work},
};
use record::Error;

use super::runtime;
use crate::{
    console::{print, say, spinner},
    interrupt, owner,
};

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
    /// When two texts count as equal: default or diplomatic [default: as the server tells its readers]
    #[arg(long)]
    convention: Option<String>,
    /// Worker kinds and their parts
    #[arg(long, default_value = "careful=62,careless=20,always-yes=7,random=6,colluding=5")]
    mix: String,
    /// The seed of everything that is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long workers look at words: 1 as people do, 0 not at all
    #[arg(long, default_value_t = 0.0)]
    pace: f64,
    /// Share of requests that are sent twice, 0 to 1 [default: 0.015]
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
    #[command(flatten)]
    rates: RateFlags,
}

/// Error rates, each a share from 0 to 1 on easy words; each worker's own lie around them.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Error rates, each 0 to 1")]
struct RateFlags {
    /// Words that cannot be read [default: 0.01]
    #[arg(long, value_name = "SHARE")]
    illegible: Option<f64>,
    /// Wrong words that nearly everyone overlooks [default: 0.03]
    #[arg(long, value_name = "SHARE")]
    overlooked: Option<f64>,
    /// Words with a misreading that suggests itself to one worker in four or so [default: 0.05]
    #[arg(long, value_name = "SHARE")]
    misread: Option<f64>,
    /// Right words that a careful worker calls wrong [default: 0.02]
    #[arg(long, value_name = "SHARE")]
    false_alarms: Option<f64>,
    /// Wrong words that a careful worker calls right [default: 0.033]
    #[arg(long, value_name = "SHARE")]
    overlooks: Option<f64>,
    /// Typed texts of a careful worker with a slip [default: 0.034]
    #[arg(long, value_name = "SHARE")]
    slips: Option<f64>,
    /// As --false-alarms, of a careless worker who does look [default: 0.07]
    #[arg(long, value_name = "SHARE")]
    careless_false_alarms: Option<f64>,
    /// As --overlooks, of a careless worker who does look [default: 0.18]
    #[arg(long, value_name = "SHARE")]
    careless_overlooks: Option<f64>,
    /// As --slips, of a careless worker [default: 0.12]
    #[arg(long, value_name = "SHARE")]
    careless_slips: Option<f64>,
}

impl RateFlags {
    fn rates(&self) -> crowd::Rates {
        let mut rates = crowd::Rates::default();
        for (rate, asked) in [
            (&mut rates.word.illegible, self.illegible),
            (&mut rates.word.overlooked, self.overlooked),
            (&mut rates.word.misread, self.misread),
            (&mut rates.careful.false_alarm, self.false_alarms),
            (&mut rates.careful.overlook, self.overlooks),
            (&mut rates.careful.slip, self.slips),
            (&mut rates.careless.false_alarm, self.careless_false_alarms),
            (&mut rates.careless.overlook, self.careless_overlooks),
            (&mut rates.careless.slip, self.careless_slips),
        ] {
            *rate = asked.unwrap_or(*rate);
        }
        rates
    }
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
            rates: self.rates.rates(),
            ..crowd::Config::default()
        };
        config.resend_share = self.resend.unwrap_or(config.resend_share);
        Ok(config)
    }
}

/// What a server tells of its collections.
#[derive(serde::Deserialize)]
struct Listed {
    collections: Vec<ListedCollection>,
}

#[derive(serde::Deserialize)]
struct ListedCollection {
    name: String,
    convention: ListedConvention,
}

#[derive(serde::Deserialize)]
struct ListedConvention {
    name: String,
}

/// The convention that the server tells its readers; the flag goes before it.
async fn convention(url: &str, collection: Option<&str>, asked: Option<&str>) -> Result<Convention> {
    let url = format!("{}/v1/collections", url.trim_end_matches('/'));
    let response = reqwest::get(&url).await.map_err(|error| {
        // A builder error is about the address itself.
        if error.is_builder() { Error::invalid("not the address of a server").with("found", &url) } else { owner::away(&url, error) }
    })?;
    let listed: Listed = owner::read(response).await?;
    let meant = |one: &&ListedCollection| collection.is_none_or(|name| name == one.name);
    let told = listed.collections.iter().find(meant).map(|one| one.convention.name.as_str());
    if let (Some(asked), Some(told)) = (asked, told)
        && asked != told
    {
        say(format_args!("  the server's readers go by the convention {told}; this crowd goes by {asked}, as --convention says"));
    }
    Ok(Convention::named(asked.or(told).unwrap_or("default"))?)
}

/// Reads what is printed; gives it with the number of files that could not be used.
async fn load(config: &mut crowd::Config, truth: &Path, asked: Option<&str>) -> Result<(crowd::PrintedWords, usize)> {
    let convention = convention(&config.url, config.collection.as_deref(), asked).await?;
    let loaded = crowd::load(&config.url, config.collection.as_deref(), truth, &convention).await?;
    for problem in &loaded.problems {
        say(format_args!("  {problem}"));
    }
    for page in &loaded.pages_without_truth {
        say(format_args!("  {page}: no true text, so its words are not answered"));
    }
    config.collection = Some(loaded.collection);
    Ok((loaded.printed, loaded.problems.len()))
}

/// Runs it.
pub fn run(args: Args) -> Result<()> {
    let mut config = args.config()?;
    runtime()?.block_on(async {
        let end = interrupt::catch()?;
        let mut problems = 0;
        let work = match (args.events, &args.truth) {
            (Some(per_second), _) => Work::Events { per_second },
            (None, Some(truth)) => {
                let printed;
                (printed, problems) = load(&mut config, truth, args.convention.as_deref()).await?;
                Work::Answers(printed)
            }
            (None, None) => return Err(Error::invalid("--truth or --events is needed").into()),
        };
        let is_answers = matches!(work, Work::Answers(_));
        let progress = Arc::new(crowd::Progress::default());
        let mut reading = std::pin::pin!(crowd::run(config, work, progress.clone(), end.clone()));
        let bar = spinner("joining");
        let mut ticks = tokio::time::interval(Duration::from_millis(SHOW_MS));
        let report = loop {
            tokio::select! {
                done = &mut reading => break done?,
                _ = ticks.tick() => bar.set_message(under_way(&progress.snapshot(), is_answers)),
            }
        };
        bar.finish_and_clear();
        say(conclusion(&report, is_answers));
        if args.json {
            print(serde_json::to_string(&report)?)?;
        }
        if problems > 0 {
            return Err(Error::invalid("some files of true text were not used").with("problems", problems).into());
        }
        Ok(())
    })
}

fn under_way(now: &ProgressSnapshot, is_answers: bool) -> String {
    let words = if is_answers { format!(", {} of {} words decided", now.words_decided, now.words) } else { String::new() };
    let troubles = now.retried + now.network_errors;
    let trouble = if troubles > 0 { format!(", {troubles} times the server was away or full") } else { String::new() };
    format!("{} phones, {} stored{words}{trouble}", now.phones, now.stored)
}

fn conclusion(report: &CrowdReport, is_answers: bool) -> String {
    let (total, seconds) = (&report.total, report.elapsed_micros as f64 / 1e6);
    let (stored, resent, rejected) = (total.stored, total.resent, total.rejected_count());
    let words = if is_answers { format!("; {} of {} words decided", report.words_decided, report.words) } else { String::new() };
    let kind = if is_answers { "answers" } else { "events" };
    format!("{stored} {kind} stored in {seconds:.1} s, {resent} sent again, {rejected} rejected{words}; it ended because {}", why(report))
}

/// Why a crowd ended, in words.
pub fn why(report: &CrowdReport) -> &'static str {
    match report.ended {
        EndReason::WordsDecided => "every word was decided",
        EndReason::RecordsMax => "as many records were sent as were asked for",
        EndReason::TimeOver => "the time was over",
        EndReason::NothingOffered if report.workers.iter().any(|worker| worker.gave_up.is_some()) => {
            "phones gave up, and the others were offered no more words"
        }
        EndReason::NothingOffered => "no phone was offered a word any more: each had been shown all that were still open",
        EndReason::ShutDown => "it was told to",
    }
}
