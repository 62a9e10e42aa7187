//! The three estimators behind [`accuracy`](super::accuracy), from predictions to interval.

use super::{Accuracy, Config, Evidence, Given};
use crate::{
    numeric::{normal_quantile, student_quantile},
    words::{Inference, Label},
};

/// The population's predictions.
struct Predictions {
    /// By word of the population: number, prediction, weight of refusals ≥ half.
    words: Vec<(u32, f64, bool)>,
    mean: f64,
    /// Variance of the mean, if the posteriors hold and census words stand for the others.
    variance: f64,
    answered: usize,
}

pub(super) fn accuracy(inference: &Inference, given: &Given, config: &Config, full: bool) -> Option<Accuracy> {
    let predictions = predict(inference, given)?;
    let (evidence, estimate, half_low, half_high, assumptions) = expert(&predictions, given, config)
        .or_else(|| gold(inference, &predictions, given, config))
        .unwrap_or_else(|| model(inference, &predictions, given, config, full));
    let refused = predictions.words.iter().filter(|(_, _, refused)| *refused);
    let held: f64 = refused.clone().map(|(_, prediction, _)| prediction).sum::<f64>() / predictions.words.len() as f64;
    let share = refused.count() as f64 / predictions.words.len() as f64;
    Some(Accuracy {
        estimate,
        low: (estimate - half_low).clamp(0.0, 1.0),
        high: (estimate + half_high).clamp(0.0, 1.0),
        level: config.level,
        evidence,
        assumptions,
        unreadable_bound: ((estimate - held).clamp(0.0, 1.0), (estimate - held + share).clamp(0.0, 1.0)),
        words: predictions.words.len(),
        answered: predictions.answered,
    })
}

fn predict(inference: &Inference, given: &Given) -> Option<Predictions> {
    let flag = |flags: &[bool], task: u32| flags.get(task as usize).copied().unwrap_or(false);
    let inside: Vec<u32> = (0..inference.tasks() as u32).filter(|task| !flag(given.outside, *task)).collect();
    let mut residuals = Vec::new();
    let mut others = Vec::new();
    let mut words = Vec::with_capacity(inside.len());
    let (mut answered, mut spread) = (0, 0.0);
    for &task in &inside {
        let verdict = inference.verdict(task);
        let heard = verdict.answers > 0;
        if heard {
            answered += 1;
            spread += verdict.right * (1.0 - verdict.right);
            let list = if flag(given.census, task) { &mut residuals } else { &mut others };
            list.push(verdict.right - verdict.prior_right);
        }
        words.push((task, if heard { verdict.right } else { verdict.prior_right }, verdict.unreadable + verdict.not_one_word >= 0.5));
    }
    if answered == 0 {
        return None;
    }
    // Without a census worth the name all answered words stand in, though they were chosen.
    if residuals.len() < 20 {
        residuals.append(&mut others);
    }
    let n = residuals.len() as f64;
    let shift = residuals.iter().sum::<f64>() / n;
    let scatter = residuals.iter().map(|residual| (residual - shift).powi(2)).sum::<f64>() / (n - 1.0).max(1.0) + 0.25 / (n + 1.0);
    let open: Vec<usize> = (0..words.len()).filter(|at| inference.verdict(words[*at].0).answers == 0).collect();
    for &at in &open {
        words[at].1 = (words[at].1 + shift).clamp(0.0, 1.0);
    }
    let total = words.len() as f64;
    let unread = open.len() as f64;
    // Unanswered words differ from their prediction one by one, and all by the census mean's error.
    let variance = (spread + unread * scatter + unread * unread * scatter / n) / (total * total);
    let mean = words.iter().map(|(_, prediction, _)| prediction).sum::<f64>() / total;
    Some(Predictions { words, mean, variance, answered })
}

type Interval = (Evidence, f64, f64, f64, Vec<&'static str>);

fn expert(predictions: &Predictions, given: &Given, config: &Config) -> Option<Interval> {
    let usable = |label: &&super::ExpertLabel| label.inclusion > 0.0 && label.inclusion <= 1.0;
    let mut rows: Vec<(u32, f64, f64)> = Vec::new();
    for label in given.experts.iter().filter(usable) {
        let at = predictions.words.binary_search_by_key(&label.task, |(task, _, _)| *task);
        let Ok(at) = at else { continue };
        rows.push((label.task, 1.0 / label.inclusion, f64::from(u8::from(label.right)) - predictions.words[at].1));
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0).then(a.2.total_cmp(&b.2)));
    rows.dedup_by_key(|row| row.0);
    let n = rows.len() as f64;
    if rows.len() < config.expert_words_min {
        return None;
    }
    let weight: f64 = rows.iter().map(|row| row.1).sum();
    let shift = rows.iter().map(|row| row.1 * row.2).sum::<f64>() / weight;
    let mut variance = rows.iter().map(|row| (row.1 * (row.2 - shift)).powi(2)).sum::<f64>() / (weight * weight) * n / (n - 1.0);
    if rows.iter().filter(|row| row.2.abs() > 0.5).count() < 5 {
        variance += 0.75 / (n * n); // no disagreement seen is not no disagreement
    }
    let half = student_quantile(config.level, n - 1.0) * variance.sqrt();
    let assumptions = vec!["the expert words were drawn with the stated probabilities", "the experts are right"];
    Some((Evidence::ExpertSample, (predictions.mean + shift).clamp(0.0, 1.0), half, half, assumptions))
}

fn gold(inference: &Inference, predictions: &Predictions, given: &Given, config: &Config) -> Option<Interval> {
    let mut seen = std::collections::BTreeMap::new();
    for gold in given.gold.iter().filter(|gold| (gold.task as usize) < inference.tasks()) {
        if inference.verdict(gold.task).answers > 0 {
            seen.insert(gold.task, gold.right);
        }
    }
    if seen.len() < 2 * config.gold_words_min {
        return None;
    }
    let mut judge = inference.clone();
    let blind: std::collections::BTreeMap<u32, f64> = seen.keys().map(|task| (*task, judge.score_without_truth(*task))).collect();
    let scores = |right: bool| -> Vec<f64> { seen.iter().filter(|(_, truth)| **truth == right).map(|(task, _)| blind[task]).collect() };
    let summary = |scores: &[f64]| {
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let between = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let shrunk = (mean * n + 0.5) / (n + 1.0);
        (mean, between.max(0.25 * shrunk * (1.0 - shrunk)) / n, between)
    };
    let (right, wrong) = (scores(true), scores(false));
    if right.len().min(wrong.len()) < config.gold_words_min {
        return None;
    }
    let ((b1, v1, s1), (b0, v0, s0)) = (summary(&right), summary(&wrong));
    let reach = b1 - b0;
    if reach < 0.3 {
        return None;
    }
    // Gold words were judged without their truth; the population's mean must be judged alike.
    let mean = predictions.words.iter().map(|(task, p, _)| blind.get(task).unwrap_or(p)).sum::<f64>() / predictions.words.len() as f64;
    let estimate = ((mean - b0) / reach).clamp(0.0, 1.0);
    let words = predictions.words.len() as f64;
    let own = (estimate * s1 + (1.0 - estimate) * s0) / (reach * reach * words);
    let open = predictions.words.len() - predictions.answered;
    let sampling = if open > 0 { predictions.variance / (reach * reach) } else { 0.0 };
    let variance = (estimate.powi(2) * v1 + (1.0 - estimate).powi(2) * v0) / (reach * reach) + own + sampling;
    let half = student_quantile(config.level, (right.len().min(wrong.len()) - 1) as f64) * variance.sqrt();
    let assumptions = vec!["the gold words were drawn at random from this collection", "the experts who settled them are right"];
    Some((Evidence::RandomGold, estimate, half, half, assumptions))
}

fn model(inference: &Inference, predictions: &Predictions, given: &Given, config: &Config, full: bool) -> Interval {
    let words = predictions.words.len() as f64;
    let mean = predictions.mean;
    let workers = if full { jackknife(inference, given, config) } else { mean * (1.0 - mean) / words };
    let z = normal_quantile(0.5 + config.level / 2.0);
    let half = z * (predictions.variance + workers + majority_distance(inference, predictions).powi(2) / (z * z)).sqrt();
    let reach = |(count, share): (f64, f64)| count / words + share;
    let mut assumptions =
        vec!["readers err independently of each other, word difficulty aside", "readings that nearly all readers misjudge alike are few"];
    if predictions.answered < predictions.words.len() {
        assumptions.push("words not read yet are as the census words with the same confidence");
    }
    (Evidence::ConditionalOnModel, mean, half + reach(config.overlooked), half + reach(config.disputed), assumptions)
}

/// How far the model moves from a plain vote over the answered words: what the model's assumptions are worth, at most.
fn majority_distance(inference: &Inference, predictions: &Predictions) -> f64 {
    let mut distance = 0.0;
    for (task, prediction, _) in &predictions.words {
        let answers = &inference.tasks[*task as usize].answers;
        let heard = |label: Label| {
            answers.iter().filter(|(worker, answer)| answer.label == label && inference.workers[*worker as usize].apart.is_none()).count()
        };
        let (yes, no) = (heard(Label::Right), heard(Label::Wrong));
        if yes + no > 0 {
            let vote = if yes == no { 0.5 } else { f64::from(u8::from(yes > no)) };
            distance += vote - prediction;
        }
    }
    distance / predictions.words.len() as f64
}

/// Delete-a-group jackknife (Kott 2001): workers by their given number modulo the number of groups.
fn jackknife(inference: &Inference, given: &Given, config: &Config) -> f64 {
    let groups = config.groups.clamp(2, 100);
    let group_of = |worker: u32| given.workers.get(worker as usize).copied().unwrap_or(worker) as usize % groups;
    let means: Vec<f64> = (0..groups)
        .filter_map(|group| {
            let mut left = inference.without_workers(|worker| group_of(worker) == group);
            left.refit();
            predict(&left, given).map(|predictions| predictions.mean)
        })
        .collect();
    let n = means.len() as f64;
    let centre = means.iter().sum::<f64>() / n.max(1.0);
    (n - 1.0).max(0.0) / n.max(1.0) * means.iter().map(|mean| (mean - centre).powi(2)).sum::<f64>()
}
