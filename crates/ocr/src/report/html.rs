//! The report as one HTML page that needs no other file.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    HardWord, Report,
    text::{percent, said},
};

/// Colours and type as on the other pages; light and dark from the system.
const STYLE: &str = include_str!("report.css");

/// The report as an HTML page.
pub fn to_html(report: &Report) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { "Report: " (report.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (report.title) }
                p.soft { (report.pages) " pages, " (report.words) " words, " (report.answers) " answers" }
                (accuracy(report))
                (words(report))
                (hardest(&report.hardest))
                (workers(report))
                (books(report))
            }
        }
    }
    .into_string()
}

fn accuracy(report: &Report) -> Markup {
    html! {
        section {
            h2 { "How accurate is the engine?" }
            @match &report.accuracy {
                Some(accuracy) => {
                    p.big { (percent(accuracy.estimate)) }
                    p { "of its words are right, between " b { (percent(accuracy.low)) } " and " b { (percent(accuracy.high)) }
                        " (" (format!("{:.0}", 100.0 * accuracy.level)) " % interval, n = " (report.words) " words, " (accuracy.answers) " answers)." }
                    (scale(report))
                    p { "The interval rests on " (accuracy.evidence.as_str()) "." }
                    @let (low, high) = accuracy.unreadable_bound;
                    @if high - low >= 0.0005 {
                        p { "With all unreadable words wrong it is " (percent(low)) ", with all of them right " (percent(high)) "." }
                    }
                    @if !accuracy.assumptions.is_empty() {
                        p { "It assumes:" }
                        ul { @for assumption in &accuracy.assumptions { li { (assumption) } } }
                    }
                }
                None => { p { "Not known yet: there are no answers." } }
            }
            @if let Some(known) = &report.known {
                p { "The true texts say " b { (percent(known.right_before as f64 / known.words.max(1) as f64)) }
                    " (" (known.right_before) " of " (known.words) " words)." }
            }
            p.soft { "Right means equal to the print under the convention “" (report.convention.0) "”: " (report.convention.1.join(" ")) }
        }
    }
}

/// The interval and, where known, the truth on a line from 0 to 100 %.
fn scale(report: &Report) -> Markup {
    let Some(accuracy) = &report.accuracy else { return html! {} };
    let x = |share: f64| format!("{:.1}", 1_000.0 * share);
    html! {
        svg viewBox="0 0 1000 60" role="img" aria-label="The interval on a line from 0 to 100 percent" {
            line x1="0" y1="30" x2="1000" y2="30" class="axis" {}
            @for tick in 0..=10 { line x1=(100 * tick) x2=(100 * tick) y1="24" y2="36" class="axis" {} }
            rect x=(x(accuracy.low)) y="18" width=(x((accuracy.high - accuracy.low).max(0.001))) height="24" rx="3" class="interval" {}
            line x1=(x(accuracy.estimate)) x2=(x(accuracy.estimate)) y1="10" y2="50" class="estimate" {}
            @if let Some(known) = &report.known {
                @let truth = known.right_before as f64 / known.words.max(1) as f64;
                circle cx=(x(truth)) cy="30" r="6" class="truth" { title { "true texts: " (percent(truth)) } }
            }
        }
    }
}

fn words(report: &Report) -> Markup {
    html! {
        section {
            h2 { "What became of the words?" }
            table {
                thead { tr { th { "Words" } th.n { "n" } th.n { "share" } } }
                tbody {
                    @for (state, words) in &report.states {
                        tr { td { (state) } td.n { (words) } td.n { (percent(*words as f64 / report.words.max(1) as f64)) } }
                    }
                    tr { td { "mended" } td.n { (report.words_mended) } td.n { (percent(report.words_mended as f64 / report.words.max(1) as f64)) } }
                }
            }
            p { (report.words_decided) " of " (report.words) " words are decided, with " (format!("{:.2}", report.answers_per_word))
                " answers each." }
            @if let Some(expected) = report.right_after_expected {
                p { "After mending, the model itself expects " (percent(expected)) " to be right. This tends to be too high, and has no interval: it \
                     does not know of errors that nearly everyone overlooks." }
            }
            @if let Some(known) = &report.known {
                p { "By the true texts of " (known.words) " words, "
                    b { (percent(known.right_before as f64 / known.words.max(1) as f64)) } " were right before and "
                    b { (percent(known.right_after as f64 / known.words.max(1) as f64)) } " are right after." }
            }
        }
    }
}

fn hardest(words: &[HardWord]) -> Markup {
    html! {
        section {
            h2 { "Which words stayed hard?" }
            div.cards {
                @for word in words {
                    figure {
                        @if let Some(picture) = &word.picture { img src=(picture) alt={ "the print that was read as " (word.text) }; }
                        figcaption {
                            span.word { (word.text) }
                            @if word.typed.is_some() { " " span.typed { (said(word.typed.as_deref())) } }
                            @if let Some(truth) = &word.truth { span.soft { "printed: " (truth) } }
                            span.soft { (percent(word.right)) " sure of the engine · " (word.answers) " answers · " (word.page) }
                        }
                    }
                }
                @if words.is_empty() { p { "None: no word has two answers yet." } }
            }
        }
    }
}

fn workers(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Who read?" }
            @if !report.kinds.is_empty() {
                p { "The simulation knows what its workers are; the inference does not." }
                table {
                    thead { tr { th { "Kind" } th.n { "workers" } th.n { "answers" } th.n { "informedness" } th.n { "set apart" } } }
                    tbody { @for line in &report.kinds {
                        tr { td { (line.kind) } td.n { (line.workers) } td.n { (line.answers) }
                            td.n { (format!("{:.2}", line.informedness)) } td.n { (line.set_apart) } }
                    } }
                }
            }
            details {
                summary { "Each worker (" (report.workers.len() + report.workers_more) ")" }
                table {
                    thead { tr { th { "Worker" } th.n { "answers" } th.n { "says right when right" } th.n { "says wrong when wrong" }
                        th.n { "informedness" } th { "set apart" } @if !report.kinds.is_empty() { th { "simulated as" } } } }
                    tbody { @for worker in &report.workers {
                        tr { td.id { (worker.worker_id.get(..8).unwrap_or(&worker.worker_id)) } td.n { (worker.answers) } td.n { (percent(worker.sensitivity)) }
                            td.n { (percent(worker.specificity)) }
                            td.n { (format!("{:.2} ({:.2} to {:.2})", worker.informedness, worker.informedness_interval.0, worker.informedness_interval.1)) }
                            td { (worker.set_apart.as_deref().unwrap_or("")) }
                            @if !report.kinds.is_empty() { td { (worker.kind.as_deref().unwrap_or("a person")) } } }
                    } }
                }
                @if report.workers_more > 0 { p { "and " (report.workers_more) " more" } }
            }
        }
    }
}

fn books(report: &Report) -> Markup {
    html! {
        @if let Some(books) = &report.books {
            section {
                h2 { "Is every answer there?" }
                table {
                    tbody {
                        @for (what, count) in [("stored", books.stored), ("landed in the table", books.landed), ("repeated", books.repeated),
                            ("dead letters", books.dead_letters), ("quarantined", books.quarantined), ("in flight", books.in_flight)] {
                            tr { td { (what) } td.n { (count) } }
                        }
                    }
                }
            }
        }
        @if !report.files.is_empty() {
            section {
                h2 { "Where is what?" }
                dl { @for (what, place) in &report.files { dt { (what) } dd { code { (place) } } } }
            }
        }
    }
}
