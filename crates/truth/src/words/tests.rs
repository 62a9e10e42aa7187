//! The live state: order, undo, edge cases, bots.

use super::*;
use crate::stopping::{Decision, StopConfig, retire};

const YES: Answer = Answer { label: Label::Right, text: None };

fn typed(text: u32) -> Answer {
    Answer { label: Label::Wrong, text: Some(Text { number: text, change: 0 }) }
}

fn with_tasks(tasks: usize) -> Inference {
    let mut inference = Inference::new(Config::default());
    for _ in 0..tasks {
        inference.add_task(None, &[]);
    }
    inference
}

#[test]
fn no_words_and_no_answers_are_fine() {
    let mut inference = with_tasks(0);
    assert_eq!(inference.refit().set_apart, 0);
    let mut inference = with_tasks(2);
    inference.refit();
    assert!((inference.verdict(0).right - 0.85).abs() < 0.01);
    assert!(inference.worker(9).informedness > 0.4);
}

#[test]
fn typings_that_agree_are_worth_more_than_one() {
    let mut inference = with_tasks(1);
    let posteriors = [0, 1, 2].map(|worker| {
        inference.set_answer(0, worker, typed(5));
        let (text, posterior) = inference.verdict(0).text.expect("a text was typed");
        assert_eq!(text, 5);
        posterior
    });
    let [one, two, three] = posteriors;
    assert!(one < 0.92 && one > 0.3 && two > 0.85 && three > 0.95, "{posteriors:?}");
}

/// Misreadings are alike: a third that is the same is less of a surprise than the second. Seen to fail when every repeat is as rare as the
/// first; on words that many misread, typed texts were then said to be right in nine of ten cases where they were in four.
#[test]
fn mistakes_that_agree_are_less_of_a_surprise_the_more_there_are() {
    let inference = with_tasks(0);
    let chance = |sizes: &[usize]| inference.alike(sizes, None).exp();
    assert!(chance(&[3]) / chance(&[2]) > chance(&[2]) / chance(&[1]) + 0.1);
    assert!((chance(&[3]) + 3.0 * chance(&[2, 1]) + chance(&[1, 1, 1]) - 1.0).abs() < 1e-12, "all ways to agree");
    assert!((inference.alike(&[2, 4], Some(1)) - inference.alike(&[2], None)).abs() < 1e-12, "what is printed is no mistake");
}

#[test]
fn an_answer_replaced_or_removed_leaves_no_trace() {
    let mut once = with_tasks(3);
    once.set_answer(0, 0, YES);
    let mut changed = with_tasks(3);
    changed.set_answer(0, 0, typed(1));
    changed.set_answer(1, 1, YES);
    changed.set_answer(0, 0, YES);
    changed.remove_answer(1, 1);
    assert_eq!(once.verdict(0), changed.verdict(0));
    assert_eq!(once.worker(0), changed.worker(0));
    assert_eq!(changed.worker(1).answers, 0);
}

#[test]
fn an_answer_to_an_unknown_word_is_ignored() {
    let mut inference = with_tasks(1);
    inference.set_answer(7, 0, YES);
    inference.remove_answer(7, 0);
    inference.set_gold(7, Gold { right: true });
    assert_eq!(inference.verdict(0).answers, 0);
}

#[test]
fn refused_words_are_decided_as_such() {
    let mut inference = with_tasks(1);
    for worker in 0..3 {
        inference.set_answer(0, worker, Answer { label: Label::Unreadable, text: None });
    }
    let verdict = inference.verdict(0);
    assert!(verdict.unreadable > 0.8);
    assert_eq!(retire(&verdict, 3, &StopConfig::default()), Decision::Decided);
}

/// Somebody may still type the several words. Seen to fail when three refusals are enough.
#[test]
fn a_word_refused_as_not_one_waits_for_somebody_who_types() {
    let mut inference = with_tasks(1);
    let decisions: Vec<Decision> = (0..8)
        .map(|worker| {
            inference.set_answer(0, worker, Answer { label: Label::NotOneWord, text: None });
            retire(&inference.verdict(0), worker + 1, &StopConfig::default())
        })
        .collect();
    assert_eq!((decisions[4], decisions[7]), (Decision::Open, Decision::Decided));
}

#[test]
fn always_yes_workers_are_set_apart_and_come_back_when_they_work() {
    let mut inference = with_tasks(200);
    for task in 0..200 {
        let wrong = task % 5 == 0;
        for worker in 0..4 {
            inference.set_answer(task, worker, if wrong { typed(task) } else { YES });
        }
        inference.set_answer(task, 4, YES);
    }
    inference.refit();
    assert_eq!(inference.worker(4).set_apart, Some(Reason::Uninformative));
    assert_eq!(inference.worker(0).set_apart, None);
    for task in (0..200).step_by(5) {
        inference.set_answer(task, 4, typed(task));
    }
    inference.refit();
    assert_eq!(inference.worker(4).set_apart, None);
}

#[test]
fn workers_who_type_the_same_nonsense_are_set_apart() {
    let mut inference = with_tasks(120);
    for task in 0..120 {
        for worker in 0..3 {
            inference.set_answer(task, worker, if task % 4 == 1 { typed(task) } else { YES });
        }
        if task % 4 == 0 {
            inference.set_answer(task, 3, typed(1000 + task));
            inference.set_answer(task, 4, typed(1000 + task));
        } else {
            inference.set_answer(task, 3, YES);
        }
    }
    inference.refit();
    assert!(inference.worker(3).set_apart.is_some() && inference.worker(4).set_apart.is_some());
    assert!(inference.verdict(0).right > 0.95);
}

/// A reader who sees an error that others overlook stands against them again and again, and is no copier for it. Seen to fail when a shared
/// text is judged without those who typed it.
#[test]
fn readers_who_see_what_others_overlook_are_not_set_apart() {
    let mut inference = with_tasks(120);
    for task in 0..120 {
        for worker in 0..7 {
            let sees = worker < 4 && task % 4 == 0;
            inference.set_answer(task, worker, if sees { typed(task) } else { YES });
        }
    }
    inference.refit();
    assert!((0..4).all(|worker| inference.worker(worker).set_apart.is_none()));
    assert!((4..7).all(|worker| inference.worker(worker).set_apart == Some(Reason::Uninformative)), "those who never see anything");
}

/// The engine takes s for f: once many people have said so, one who says it of another word is believed more than one who says what
/// nobody ever found.
#[test]
fn a_change_that_proved_right_elsewhere_is_believed_sooner() {
    let sure_of = |change: u32| {
        let mut inference = Inference::new(Config::default());
        for task in 0..60 {
            inference.add_task(None, &[if task < 30 || task == 59 { 6 } else { 1 }]);
            for worker in 0..5 {
                let answer = Answer { label: Label::Wrong, text: Some(Text { number: task, change: 66 }) };
                if task < 59 {
                    inference.set_answer(task, worker, if task < 30 { answer } else { YES });
                }
            }
        }
        let answer = |number| Answer { label: Label::Wrong, text: Some(Text { number, change }) };
        inference.set_answer(59, 0, answer(59));
        inference.set_answer(59, 1, YES);
        inference.refit();
        inference.verdict(59).text.expect("a text was typed").1
    };
    assert!(sure_of(66) > sure_of(7) + 0.02, "{} {}", sure_of(66), sure_of(7));
}

/// Where nearly every typed text is printed, a kind of change that nearly always is says nothing more. Seen to fail when only the kind's
/// share is held off 1: then it speaks against the text.
#[test]
fn a_kind_of_change_that_is_like_all_others_is_no_evidence() {
    let mut inference = with_tasks(400);
    let text = |number| Text { number, change: 66 };
    for task in 0..400 {
        (0..6).for_each(|worker| inference.set_answer(task, worker, Answer { label: Label::Wrong, text: Some(text(task)) }));
    }
    inference.refit();
    let favour = inference.engine.favour(text(9), &inference.tasks[9]);
    assert!(favour.abs() < 0.05, "{favour}");
}

/// What a word taught is left out where it is judged, and no more: a text that was typed since the last fit taught nothing yet.
/// Seen to fail when the posterior of now is left out instead of what was given.
#[test]
fn an_answer_between_two_fits_takes_away_only_what_its_word_gave() {
    let judged = |given_before: u32| {
        let mut inference = with_tasks(30);
        let change = |number| Answer { label: Label::Wrong, text: Some(Text { number, change: 66 }) };
        for task in 0..6 {
            (0..5).for_each(|worker| inference.set_answer(task, worker, if task < given_before { change(task) } else { YES }));
        }
        inference.refit();
        (0..5).for_each(|worker| inference.set_answer(20, worker, change(20)));
        let task = Task { text: None, ..inference.tasks[20].clone() };
        let favour = |task: &Task| inference.engine.favour(Text { number: 20, change: 66 }, task);
        (favour(&inference.tasks[20]), favour(&task))
    };
    let (now, before) = judged(2);
    assert!((now - before).abs() < 1e-12, "the word taught nothing, so its posterior does not matter: {now} {before}");
}

/// Promise: one inference state.
#[test]
fn any_order_and_any_numbering_of_workers_gives_the_same_bits() {
    let mut answers = Vec::new();
    for task in 0..60u32 {
        for k in 0..4u32 {
            let worker = (task * 7 + k * 5 + task % 3) % 11;
            answers.push((task, worker, if (task * 31 + k * 17) % 7 == 0 { typed(task + k % 2) } else { YES }));
        }
    }
    let run = |answers: &[(u32, u32, Answer)], refit_between: bool, rename: &dyn Fn(u32) -> u32| {
        let mut inference = Inference::new(Config::default());
        for task in 0..60 {
            inference.add_task(Some(0.5 + f64::from(task) / 121.0), &[task % 7 + 1, 9 + task % 3]);
        }
        for (index, (task, worker, answer)) in answers.iter().enumerate() {
            inference.set_answer(*task, rename(*worker), *answer);
            if refit_between && index % 50 == 0 {
                inference.refit();
            }
        }
        inference.refit();
        let verdicts: Vec<Verdict> = (0..60).map(|task| inference.verdict(task)).collect();
        let workers: Vec<WorkerQuality> = (0..11).map(|worker| inference.worker(rename(worker))).collect();
        (verdicts, workers)
    };
    let first = run(&answers, false, &|worker| worker);
    let mut turned = answers.clone();
    turned.reverse();
    assert_eq!(first, run(&turned, true, &|worker| worker));
    turned.sort_by_key(|(task, worker, _)| (worker * 7919 + task * 31) % 101);
    assert_eq!(first, run(&turned, true, &|worker| 10 - worker));
}
