//! The order of elements.

use super::look_up::LookUp;
use super::texts::{Text, Texts};
use super::{By, Request};
use crate::base::number::parse_f64;
use crate::commands::CommandError;
use std::cmp::Ordering;

impl Request<'_> {
    /// The numbers of all elements, in order.
    pub(super) fn order(&self, elements: &Texts, source: &mut dyn LookUp) -> Result<Vec<usize>, CommandError> {
        let mut order: Vec<usize> = (0..elements.len()).collect();
        match self.by {
            By::Nothing => {
                if self.turned {
                    order.reverse();
                }
            }
            By::Itself if self.alpha => {
                order.sort_unstable_by(|a, b| self.directed(elements.bytes(*a).cmp(elements.bytes(*b))));
            }
            By::Itself => {
                let ranks: Result<Vec<u64>, _> = order.iter().map(|n| rank(elements.bytes(*n))).collect();
                order = self.by_rank(elements, ranks?);
            }
            By::Pattern if self.alpha => {
                let mut weights = Texts::missing(elements.len());
                source.look_up((0, &self.patterns[0]), elements, &order, &mut |n, weight| weights.put(n, weight))?;
                let weight = |n: usize| weights.get(n).map(Text::bytes);
                let by_bytes = |a: usize, b: usize| {
                    if self.of_set { elements.bytes(a).cmp(elements.bytes(b)) } else { Ordering::Equal }
                };
                // Stable, as nothing else decides between equal weights. An element without a weight comes first.
                order.sort_by(|a, b| self.directed(weight(*a).cmp(&weight(*b)).then_with(|| by_bytes(*a, *b))));
            }
            By::Pattern => {
                let mut ranks = vec![rank_of(0.0); elements.len()];
                let mut outcome = Ok(());
                let put = &mut |n: usize, weight: Option<Text<'_>>| {
                    let Some(weight) = weight else { return };
                    match rank(weight.bytes()) {
                        Ok(rank) => ranks[n] = rank,
                        Err(e) => outcome = Err(e),
                    }
                };
                source.look_up((0, &self.patterns[0]), elements, &order, put)?;
                outcome?;
                order = self.by_rank(elements, ranks);
            }
        }
        Ok(order)
    }

    fn directed(&self, order: Ordering) -> Ordering {
        if self.descending { order.reverse() } else { order }
    }

    /// Orders by rank, then by the elements' bytes.
    fn by_rank(&self, elements: &Texts, ranks: Vec<u64>) -> Vec<usize> {
        let mut keyed: Vec<(u64, usize)> = ranks.into_iter().zip(0..).collect();
        keyed.sort_unstable_by(|a, b| {
            self.directed(a.0.cmp(&b.0).then_with(|| elements.bytes(a.1).cmp(elements.bytes(b.1))))
        });
        keyed.into_iter().map(|(_, n)| n).collect()
    }
}

/// The rank of an element or weight that is a number.
fn rank(text: &[u8]) -> Result<u64, CommandError> {
    parse_f64(text).map(rank_of).ok_or(CommandError::fixed("ERR One or more scores can't be converted into double"))
}

/// A number that is larger for larger numbers, none of which is not-a-number; -0 equals 0.
fn rank_of(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_ordered_as_numbers_are() {
        let numbers = [f64::NEG_INFINITY, -1e300, -2.0, -5e-324, 0.0, 5e-324, 1.0, 1.5, 1e300, f64::INFINITY];
        assert!(numbers.windows(2).all(|w| rank_of(w[0]) < rank_of(w[1])));
        assert_eq!(rank_of(-0.0), rank_of(0.0));
    }
}
