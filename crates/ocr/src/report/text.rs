//! The report on a terminal.

use std::fmt::Write;

use super::Report;

/// The report as lines of text, at most 100 columns wide.
pub fn to_text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, report);
    out
}

/// `0.9142` as `91.4 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn write_all(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "\n{} ({}): {} pages, {} words", report.title, report.collection, report.pages, report.words)?;
    writeln!(out, "\n  How accurate is the engine?")?;
    match &report.accuracy {
        Some(accuracy) => {
            let (low, high) = (percent(accuracy.low), percent(accuracy.high));
            writeln!(
                out,
                "    {} of its words are right, between {low} and {high} ({})",
                percent(accuracy.estimate),
                level(accuracy.level)
            )?;
            writeln!(out, "    The interval rests on {}.", accuracy.evidence.as_str())?;
            let (low, high) = accuracy.unreadable_bound;
            if high - low >= 0.0005 {
                writeln!(out, "    With all unreadable words wrong it is {}, with all of them right {}.", percent(low), percent(high))?;
            }
            for assumption in &accuracy.assumptions {
                writeln!(out, "      it assumes: {assumption}")?;
            }
        }
        None => writeln!(out, "    not known yet: no answers")?,
    }
    if let Some(known) = &report.known {
        let truth = known.right_before as f64 / known.words.max(1) as f64;
        writeln!(out, "    The true texts say {} ({} of {} words).", percent(truth), known.right_before, known.words)?;
    }
    writeln!(out, "\n  What became of the words?")?;
    let states: Vec<String> = report.states.iter().map(|(state, words)| format!("{words} {state}")).collect();
    writeln!(
        out,
        "    {} of {} decided with {:.2} answers each: {}",
        report.words_decided,
        report.words,
        report.answers_per_word,
        states.join(", ")
    )?;
    writeln!(out, "    {} words are mended", report.words_mended)?;
    if let Some(expected) = report.right_after_expected {
        writeln!(out, "    The model itself expects {} to be right after that: this tends to be too high", percent(expected))?;
    }
    if let Some(known) = &report.known {
        let share = |right: usize| percent(right as f64 / known.words.max(1) as f64);
        writeln!(out, "    By the true texts: {} right before, {} after", share(known.right_before), share(known.right_after))?;
    }
    writeln!(out, "\n  Which words stayed hard?")?;
    for word in report.hardest.iter().take(8) {
        let (typed, sure) = (said(word.typed.as_deref()), percent(word.right));
        write!(out, "    {:<20} typed {typed:<20} {sure:>7} sure of the engine, {} answers, {}", word.text, word.answers, word.page)?;
        match &word.truth {
            Some(truth) => writeln!(out, ", printed {truth}")?,
            None => writeln!(out)?,
        }
    }
    write_workers(out, report)?;
    if let Some(books) = &report.books {
        let sum = format!("{} landed + {} repeated + {} dead letters", books.landed, books.repeated, books.dead_letters);
        writeln!(out, "\n  Is every answer there?")?;
        writeln!(out, "    {} stored = {sum} + {} quarantined + {} in flight", books.stored, books.quarantined, books.in_flight)?;
    }
    if !report.files.is_empty() {
        writeln!(out, "\n  Where is what?")?;
    }
    for (what, place) in &report.files {
        writeln!(out, "    {what:<16} {place}")?;
    }
    Ok(())
}

/// A typed text in words.
pub(super) fn said(typed: Option<&str>) -> &str {
    match typed {
        None => "–",
        Some("") => "(nothing printed)",
        Some(text) => text,
    }
}

fn write_workers(out: &mut String, report: &Report) -> std::fmt::Result {
    let apart = report.workers.iter().filter(|worker| worker.set_apart.is_some()).count();
    writeln!(out, "\n  Who read?")?;
    writeln!(out, "    {} workers; the answers of {apart} carry no weight", report.workers.len() + report.workers_more)?;
    for line in &report.kinds {
        writeln!(
            out,
            "    {:<12} {:>4} workers {:>7} answers  informedness {:>5.2}  set apart {:>4}",
            line.kind, line.workers, line.answers, line.informedness, line.set_apart
        )?;
    }
    Ok(())
}

fn level(level: f64) -> String {
    format!("{:.0} % interval", 100.0 * level)
}
