//! Truth inference on any label file: CSV in, likely labels and workers' accuracy out.
//!
//! The command `crowdread infer` calls it, so that the methods of `truth` can be tried on other data and held against published figures.
//! labels.csv → rows (checked one by one) → `truth::Labels` → fit → report.

mod rows;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt::Write as _, io::Read, str::FromStr};

use record::{Error, Result};
use serde::Serialize;
use truth::{Fit, Labels, dawid_skene, majority_vote};

pub use rows::{BadRow, BadRows, Limits};

/// How labels are inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every answer counts the same.
    Majority,
    /// Each worker has a confusion matrix (Dawid & Skene 1979).
    DawidSkene,
}

impl Method {
    /// As written on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::DawidSkene => "dawid-skene",
        }
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Majority, Self::DawidSkene]
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or_else(|| Error::invalid("unknown method").with("found", text).with("expected", "majority or dawid-skene"))
    }
}

/// What was inferred.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InferReport {
    /// How.
    pub method: Method,
    /// Answers that count: one for each item and worker.
    pub answers: usize,
    /// Answers that a later one of the same worker to the same item replaced.
    pub replaced: usize,
    /// The labels that were given, integers in numeric order before others in the order of their bytes.
    pub classes: Vec<Class>,
    /// By item, in the same order.
    pub items: Vec<Item>,
    /// By worker, in the same order.
    pub workers: Vec<Worker>,
    /// Comparison with the truth, if it was given.
    pub truth: Option<Comparison>,
    /// Rows of the label file that do not count.
    pub bad_rows: BadRows,
}

/// A class of labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// The label.
    pub label: String,
    /// Its inferred share of the items, 0 to 1.
    pub share: f64,
}

/// An item and its likely label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    /// The item as named in the file.
    pub item: String,
    /// The likeliest label; of several equally likely ones the first in the order of the classes.
    pub label: String,
    /// Its posterior probability, 0 to 1; for the majority vote its share of the votes.
    pub posterior: f64,
    /// Other labels that are just as likely.
    pub ties: Vec<String>,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worker {
    /// The worker as named in the file.
    pub worker: String,
    /// Answers that count.
    pub answers: usize,
    /// Mean posterior of the labels given, 0 to 1: the expected share of correct answers.
    pub accuracy: f64,
}

/// The inferred labels beside the true ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Items that have both answers and a truth.
    pub n: usize,
    /// Share of them whose inferred label is true; of tied labels each counts as drawn at random. Absent when `n` is 0.
    pub accuracy: Option<f64>,
    /// With two classes: F1 of the second one, from expected counts where labels tie.
    pub f1: Option<ClassF1>,
    /// Items with a truth and no answer; they do not count.
    pub unanswered: usize,
    /// Rows of the truth file that do not count.
    pub bad_rows: BadRows,
}

/// The harmonic mean of precision and recall of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassF1 {
    /// The class.
    pub label: String,
    /// 0 to 1.
    pub value: f64,
}

/// Infers labels from a CSV file with the columns item (or task), worker and label, and compares with the columns item and truth (or label) of
/// another. The first line names the columns, in any order among others; comma, semicolon or tab separate them.
///
/// Rows that cannot be read are left out and listed in the report.
///
/// # Errors
/// Invalid when a column is missing, no row can be used, or a limit of [`Limits`] is passed; unavailable when reading fails.
pub fn infer(labels: impl Read, truth: Option<impl Read>, method: Method) -> Result<InferReport> {
    infer_within(labels, truth, method, &Limits::default())
}

/// The same within given limits.
///
/// # Errors
/// As [`infer`].
pub fn infer_within(labels: impl Read, truth: Option<impl Read>, method: Method, limits: &Limits) -> Result<InferReport> {
    let rows::Table { rows, bad_rows } = rows::read(labels, &[&["item", "task"], &["worker"], &["label"]], "label file", limits)?;
    if rows.is_empty() {
        let error = Error::invalid("no row of the label file can be used").with("expected", "rows of item, worker, label");
        return Err(match bad_rows.first.first() {
            Some(bad) => error.with("line", bad.line).with("problem", &bad.problem),
            None => error,
        });
    }
    let names = [Names::of(&rows, 0), Names::of(&rows, 1), Names::of(&rows, 2)];
    let [items, workers, classes] = &names;
    let cells = items.len().saturating_mul(classes.len());
    if cells > limits.cells_max || classes.len() > usize::from(u16::MAX) {
        return Err(Error::invalid("too many items and labels for one table; is the label column the right one")
            .with("items", items.len())
            .with("labels", classes.len())
            .with("cells_max", limits.cells_max));
    }
    let numbers = |row: &rows::Row| (items.number(&row[0]), workers.number(&row[1]), classes.number(&row[2]));
    let answers = Labels::new(rows.iter().map(numbers).map(|(item, worker, class)| (item, worker, class as u16)));
    let fit = match method {
        Method::Majority => majority_vote::majority_vote(&answers, &majority_vote::Config::default()),
        Method::DawidSkene => dawid_skene::dawid_skene(&answers, &dawid_skene::Config::default()),
    };
    let truth = truth.map(|truth| compare(truth, items, classes, &fit, limits)).transpose()?;
    Ok(InferReport {
        method,
        answers: answers.len(),
        replaced: rows.len() - answers.len(),
        classes: classes
            .sorted
            .iter()
            .zip(&fit.class_prior)
            .map(|(label, share)| Class { label: (*label).into(), share: *share })
            .collect(),
        items: (0..items.len()).map(|item| judged(item, items, classes, &fit)).collect(),
        workers: (0..workers.len())
            .map(|worker| Worker {
                worker: workers.sorted[worker].into(),
                answers: answers.of_worker(worker).count(),
                accuracy: fit.worker_accuracy[worker],
            })
            .collect(),
        truth,
        bad_rows,
    })
}

fn judged(item: usize, items: &Names, classes: &Names, fit: &Fit) -> Item {
    let best = fit.best(item);
    let mut labels = best.iter().map(|class| classes.sorted[usize::from(*class)].to_owned());
    let label = labels.next().expect("every item of the file has an answer");
    Item { item: items.sorted[item].into(), label, posterior: fit.of_task(item)[usize::from(best[0])], ties: labels.collect() }
}

fn compare(truth: impl Read, items: &Names, classes: &Names, fit: &Fit, limits: &Limits) -> Result<Comparison> {
    let rows::Table { rows, mut bad_rows } = rows::read(truth, &[&["item", "task"], &["truth", "label"]], "truth file", limits)?;
    let mut truths: BTreeMap<&str, &str> = BTreeMap::new();
    for row in &rows {
        let first: &str = truths.entry(&*row[0]).or_insert(&*row[1]);
        if first != &*row[1] {
            bad_rows.add(row.line, format!("item {:?} was said to be {first:?} before, expected one truth for an item", &*row[0]));
        }
    }
    let (mut n, mut correct, mut hits, mut said, mut there) = (0, 0.0, 0.0, 0.0, 0.0);
    for (item, truth) in &truths {
        let Some(item) = items.find(item) else { continue };
        n += 1;
        // A truth that nobody answered is never met.
        let class = classes.find(truth);
        correct += class.map_or(0.0, |class| fit.expected_correct(item as usize, class as u16));
        let second = fit.expected_correct(item as usize, 1);
        said += second;
        if class == Some(1) {
            there += 1.0;
            hits += second;
        }
    }
    let f1 =
        (classes.len() == 2 && said + there > 0.0).then(|| ClassF1 { label: classes.sorted[1].into(), value: 2.0 * hits / (said + there) });
    Ok(Comparison { n, accuracy: (n > 0).then(|| correct / n as f64), f1, unanswered: truths.len() - n, bad_rows })
}

/// The distinct values of a column in order; a value's place is its number, so that the order of the rows does not matter.
struct Names<'a> {
    sorted: Vec<&'a str>,
    numbers: std::collections::HashMap<&'a str, u32>,
}

impl<'a> Names<'a> {
    fn of(rows: &'a [rows::Row], column: usize) -> Self {
        let distinct: std::collections::HashSet<&str> = rows.iter().map(|row| &*row[column]).collect();
        let mut sorted: Vec<&str> = distinct.into_iter().collect();
        sorted.sort_by_cached_key(|name| {
            let number = name.parse::<i64>().ok();
            (number.is_none(), number, *name)
        });
        let numbers = sorted.iter().enumerate().map(|(number, name)| (*name, number as u32)).collect();
        Self { sorted, numbers }
    }

    fn len(&self) -> usize {
        self.sorted.len()
    }

    fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    fn number(&self, name: &str) -> u32 {
        self.find(name).expect("the names were taken from these rows")
    }
}

/// Items, workers and bad rows that the text for people lists.
const LISTED_MAX: usize = 10;

impl InferReport {
    /// The report for people: counts, shares, the comparison, and what deserves a look. Every item and worker stands in the JSON form only.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{}: {} answers of {} workers to {} items, {} labels\n",
            self.method.as_str(),
            self.answers,
            self.workers.len(),
            self.items.len(),
            self.classes.len()
        );
        if self.replaced > 0 {
            line(&mut text, format_args!("{} answers replaced by a later one of the same worker to the same item", self.replaced));
        }
        let mut classes: Vec<&Class> = self.classes.iter().collect();
        classes.sort_by(|a, b| b.share.total_cmp(&a.share));
        let shares: Vec<String> =
            classes.iter().take(LISTED_MAX).map(|class| format!("{} {:.1} %", class.label, 100.0 * class.share)).collect();
        line(&mut text, format_args!("inferred shares: {}{}", shares.join(", "), if classes.len() > LISTED_MAX { ", …" } else { "" }));
        line(&mut text, format_args!("ties: {} items", self.items.iter().filter(|item| !item.ties.is_empty()).count()));
        if let Some(truth) = &self.truth {
            truth.write(&mut text);
        }
        let mut unsure: Vec<&Item> = self.items.iter().filter(|item| item.posterior < 0.999).collect();
        unsure.sort_by(|a, b| a.posterior.total_cmp(&b.posterior));
        list(&mut text, "least sure items", &unsure, |item| {
            let ties = if item.ties.is_empty() { String::new() } else { format!(" (tied with {})", item.ties.join(", ")) };
            format!("{}: {} {:.3}{ties}", item.item, item.label, item.posterior)
        });
        let mut workers: Vec<&Worker> = self.workers.iter().filter(|worker| worker.answers >= 5).collect();
        workers.sort_by(|a, b| a.accuracy.total_cmp(&b.accuracy));
        list(&mut text, "least accurate workers with five answers or more", &workers, |worker| {
            format!("{}: {:.3} of {} answers", worker.worker, worker.accuracy, worker.answers)
        });
        self.bad_rows.write("label file", &mut text);
        text
    }
}

impl Comparison {
    fn write(&self, text: &mut String) {
        match self.accuracy {
            Some(accuracy) => line(text, format_args!("accuracy: {accuracy:.4} over {} items with a truth", self.n)),
            None => line(text, format_args!("accuracy: none, no item has both answers and a truth")),
        }
        if let Some(f1) = &self.f1 {
            line(text, format_args!("F1 of {}: {:.4}", f1.label, f1.value));
        }
        if self.unanswered > 0 {
            line(text, format_args!("{} items with a truth have no answer", self.unanswered));
        }
        self.bad_rows.write("truth file", text);
    }
}

fn line(text: &mut String, what: std::fmt::Arguments) {
    writeln!(text, "{what}").expect("writing to a string does not fail");
}

fn list<T>(text: &mut String, title: &str, entries: &[T], show: impl Fn(&T) -> String) {
    if !entries.is_empty() {
        line(text, format_args!("{title}:"));
        entries.iter().take(LISTED_MAX).for_each(|entry| line(text, format_args!("  {}", show(entry))));
    }
}
