//! Edit distance over any sequence. Called by `align` (characters) and `evaluate` (grapheme clusters, words).

/// The least number of insertions, deletions and substitutions that turn one sequence into the other (Levenshtein 1966).
///
/// Looks only at a band around the diagonal, doubled until it holds the answer (Ukkonen 1985): time O(length × distance).
pub fn distance<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    let same_start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same_start..], &b[same_start..]);
    let same_end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - same_end], &b[..b.len() - same_end]);
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.is_empty() {
        return long.len();
    }
    let mut band = (long.len() - short.len()).max(8);
    loop {
        let found = distance_within(short, long, band);
        if found <= band || band >= long.len() {
            return found;
        }
        band *= 2;
    }
}

/// Right whenever it is at most `band`.
fn distance_within<T: PartialEq>(short: &[T], long: &[T], band: usize) -> usize {
    const FAR: usize = usize::MAX / 2;
    let mut above: Vec<usize> = (0..=long.len()).map(|column| if column <= band { column } else { FAR }).collect();
    let mut row = vec![FAR; long.len() + 1];
    for (index, item) in short.iter().enumerate() {
        let number = index + 1;
        let (first, last) = (number.saturating_sub(band).max(1), (number + band).min(long.len()));
        row[first - 1] = if first == 1 && number <= band { number } else { FAR };
        for column in first..=last {
            let substituted = above[column - 1] + usize::from(*item != long[column - 1]);
            row[column] = substituted.min(above[column] + 1).min(row[column - 1] + 1);
        }
        if last < long.len() {
            row[last + 1] = FAR;
        }
        std::mem::swap(&mut above, &mut row);
    }
    above[long.len()]
}

/// For each item of `b` the item of `a` that it stands against in one of the best alignments; none where it was inserted.
pub fn counterparts<T>(a: &[T], b: &[T], equal: impl Fn(&T, &T) -> bool) -> Vec<Option<usize>> {
    let width = b.len() + 1;
    let mut costs = vec![0usize; (a.len() + 1) * width];
    for row in 0..=a.len() {
        for column in 0..=b.len() {
            costs[row * width + column] = match (row, column) {
                (0, _) => column,
                (_, 0) => row,
                _ => {
                    let substituted = costs[(row - 1) * width + column - 1] + usize::from(!equal(&a[row - 1], &b[column - 1]));
                    substituted.min(costs[(row - 1) * width + column] + 1).min(costs[row * width + column - 1] + 1)
                }
            };
        }
    }
    let mut found = vec![None; b.len()];
    let (mut row, mut column) = (a.len(), b.len());
    while column > 0 {
        let cost = costs[row * width + column];
        if row > 0 && cost == costs[(row - 1) * width + column - 1] + usize::from(!equal(&a[row - 1], &b[column - 1])) {
            (row, column) = (row - 1, column - 1);
            found[column] = Some(row);
        } else if row > 0 && cost == costs[(row - 1) * width + column] + 1 {
            row -= 1;
        } else {
            column -= 1;
        }
    }
    found
}

#[cfg(test)]
mod tests;
