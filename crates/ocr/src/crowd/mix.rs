//! Which kinds of workers a crowd is made of, and in which shares: `careful=62,careless=20,…`. Read from the command line;
//! `run` deals the kinds out to the phones.

use std::{collections::BTreeMap, fmt, str::FromStr};

use rand::seq::SliceRandom;
use record::{Error, Result};
use serde::Serialize;

use super::draw;

/// How a simulated worker behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerKind {
    /// Reads each word and types what is printed; errs as attentive people do.
    Careful,
    /// Often says *right* after a glance; overlooks and mistypes more; dislikes typing.
    Careless,
    /// A bot that says *right* to everything.
    AlwaysYes,
    /// A bot that answers by chance.
    Random,
    /// One of a ring whose members give the same made-up answers.
    Colluding,
}

/// The parts of a crowd by kind; only their proportions count.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    parts: BTreeMap<WorkerKind, f64>,
}

impl WorkerKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Careful, Self::Careless, Self::AlwaysYes, Self::Random, Self::Colluding];

    /// The name used in `--mix` and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Careful => "careful",
            Self::Careless => "careless",
            Self::AlwaysYes => "always-yes",
            Self::Random => "random",
            Self::Colluding => "colluding",
        }
    }
}

impl fmt::Display for WorkerKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Default for Mix {
    /// Of 100 phones 62 careful, 20 careless, 7 always-yes, 6 random, 5 colluding.
    fn default() -> Self {
        Self { parts: WorkerKind::ALL.into_iter().zip([62.0, 20.0, 7.0, 6.0, 5.0]).collect() }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, part)) in self.parts.iter().enumerate() {
            write!(out, "{}{kind}={part}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Mix {
    type Err = Error;

    /// Reads `careful=60,careless=20`; a kind that is not named has no workers.
    ///
    /// # Errors
    /// `Invalid` for an unknown or repeated kind, a part that is not a number of at least 0, or parts that are all 0.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |found: &str, expected: &'static str| Error::invalid(expected).with("found", format_args!("{found:?}"));
        let mut parts = BTreeMap::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, part) = item.split_once('=').ok_or_else(|| wrong(item, "a mix is written kind=part,kind=part"))?;
            let kind = WorkerKind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == name.trim())
                .ok_or_else(|| wrong(name, "the kinds of workers are careful, careless, always-yes, random and colluding"))?;
            let part = part.trim().parse::<f64>().ok().filter(|part| (0.0..=1e6).contains(part));
            let part = part.ok_or_else(|| wrong(item, "a kind's part must be a number of at least 0"))?;
            if parts.insert(kind, part).is_some() {
                return Err(wrong(name, "each kind of worker may be named once"));
            }
        }
        if parts.values().sum::<f64>() <= 0.0 {
            return Err(wrong(text, "a mix needs at least one kind with a part above 0"));
        }
        Ok(Self { parts })
    }
}

impl Mix {
    /// One kind for each phone: shares by largest remainder, order shuffled by the seed.
    pub fn deal(&self, phones: usize, seed: u64) -> Vec<WorkerKind> {
        let sum: f64 = self.parts.values().sum();
        let mut shares: Vec<(WorkerKind, f64)> = self.parts.iter().map(|(&kind, part)| (kind, part / sum * phones as f64)).collect();
        let mut kinds: Vec<WorkerKind> =
            shares.iter().flat_map(|&(kind, share)| std::iter::repeat_n(kind, share.floor() as usize)).collect();
        shares.sort_by(|left, right| right.1.fract().total_cmp(&left.1.fract()).then(left.0.cmp(&right.0)));
        let missing = phones.saturating_sub(kinds.len());
        kinds.extend(shares.iter().cycle().take(missing).map(|&(kind, _)| kind));
        kinds.shuffle(&mut draw::rng(seed, "deal", &[]));
        kinds
    }
}
