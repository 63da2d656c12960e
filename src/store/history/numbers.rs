//! Columns of doubles: as whole numbers of the smallest decimal unit where that is exact, else as
//! their bits.

use super::ints::{read_ints, write_ints};
use crate::store::record::{Damaged, In, Out};

/// The first byte of a column whose numbers are written as their bits; smaller ones are the
/// decimals of all numbers.
const BITS: u8 = 0x7f;

/// The most decimals; ten to this power is exact as a double.
const MAX_DECIMALS: u8 = 15;

/// Whole numbers up to this are exact as doubles.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Appends a column. Every number is finite.
pub(in crate::store) fn write_numbers(out: &mut Out, numbers: &[f64]) {
    let mut ints = Vec::with_capacity(numbers.len());
    match decimals(numbers, &mut ints) {
        Some(decimals) => out.byte(decimals),
        None => {
            out.byte(BITS);
            ints.clear();
            ints.extend(numbers.iter().map(|number| number.to_bits() as i64));
        }
    }
    write_ints(out, &ints);
}

/// How many decimals all numbers have at most, and the numbers in units of the last one; None if
/// that would not be exact.
fn decimals(numbers: &[f64], ints: &mut Vec<i64>) -> Option<u8> {
    let mut decimals = 0;
    'again: loop {
        ints.clear();
        for number in numbers {
            match scaled(*number, decimals) {
                Some(int) => ints.push(int),
                None if decimals == MAX_DECIMALS => return None,
                None => {
                    decimals = (decimals + 1..=MAX_DECIMALS)
                        .find(|decimals| scaled(*number, *decimals).is_some())?;
                    continue 'again;
                }
            }
        }
        return Some(decimals);
    }
}

/// The number in units of its last decimal, if it can be got back from that.
fn scaled(number: f64, decimals: u8) -> Option<i64> {
    let power = POWERS[usize::from(decimals)];
    let scaled = (number * power).round();
    // Minus zero is no whole number.
    let int = scaled as i64;
    let exact = scaled.abs() <= MAX_EXACT && (int as f64 / power).to_bits() == number.to_bits();
    exact.then_some(int)
}

/// Appends the numbers of a column that stand in `rows`. The column has `count` in all.
pub(in crate::store) fn read_numbers(
    mut column: In<'_>,
    count: usize,
    rows: std::ops::Range<usize>,
    numbers: &mut Vec<f64>,
) -> Result<(), Damaged> {
    if rows.is_empty() {
        return Ok(());
    }
    let decimals = column.byte()?;
    let mut ints = Vec::with_capacity(rows.len());
    read_ints(column, count, rows, &mut ints)?;
    if decimals == BITS {
        let before = numbers.len();
        numbers.extend(ints.into_iter().map(|bits| f64::from_bits(bits as u64)));
        let finite = numbers[before..].iter().all(|number| number.is_finite());
        return if finite { Ok(()) } else { Err(Damaged("a number is not finite")) };
    }
    let power = *POWERS.get(usize::from(decimals)).ok_or(Damaged("there are too many decimals"))?;
    if decimals == 0 {
        numbers.extend(ints.into_iter().map(|int| int as f64));
    } else {
        numbers.extend(ints.into_iter().map(|int| int as f64 / power));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn round(numbers: &[f64]) -> usize {
        let mut out = Out::default();
        write_numbers(&mut out, numbers);
        let mut again = Vec::new();
        read_numbers(In(&out.0), numbers.len(), 0..numbers.len(), &mut again).unwrap();
        let bits = |all: &[f64]| all.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&again), bits(numbers));
        out.0.len()
    }

    #[test]
    fn readings_with_few_decimals_take_little() {
        let pm: Vec<f64> = (0..2_000).map(|n| f64::from(n * 7_919 % 1_500) / 10.0).collect();
        assert!(round(&pm) < 2_900, "{}", round(&pm));
        round(&[0.0, -0.0, 1e300, 5e-324, 0.1, 1.0 / 3.0, 9_007_199_254_740_993.0]);
        round(&[-0.0]);
        round(&[0.1, 0.25, 1e-15, 12.000_000_1]);
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(numbers in vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 0..300)) {
            round(&numbers);
        }

        #[test]
        fn decimal_numbers_come_back(numbers in vec(-1_000_000_i64..1_000_000, 0..300), decimals in 0_usize..7) {
            round(&numbers.iter().map(|n| *n as f64 / POWERS[decimals]).collect::<Vec<_>>());
        }
    }
}
