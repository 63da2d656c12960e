//! Columns of whole numbers: runs of 128, each as distances from its least number or from one
//! number to the next, in as few bits as the run needs.

use crate::store::record::{Damaged, In, Out};

/// How many numbers make a run. Runs can be read one by one.
pub(in crate::store) const RUN: usize = 128;

/// How a whole column is written.
mod form {
    /// One number for all.
    pub const SAME: u8 = 0;
    /// A first number, and one distance from each to the next.
    pub const EVEN: u8 = 1;
    /// Runs.
    pub const RUNS: u8 = 2;
}

/// The bit in the first byte of a run that says its numbers are distances from one to the next.
const STEPS: u8 = 0x80;

/// Appends a column.
pub(in crate::store) fn write_ints(out: &mut Out, numbers: &[i64]) {
    let Some(&first) = numbers.first() else { return out.byte(form::SAME) };
    let step = numbers.get(1).map_or(0, |second| second.wrapping_sub(first));
    if numbers.windows(2).all(|two| two[1].wrapping_sub(two[0]) == step) {
        out.byte(if step == 0 { form::SAME } else { form::EVEN });
        out.signed(first);
        if step != 0 {
            out.signed(step);
        }
        return;
    }
    out.byte(form::RUNS);
    let mut before = 0;
    for run in numbers.chunks(RUN) {
        before = write_run(out, run, before);
    }
}

/// Writes a run; returns the number that the next one's base is a distance from.
fn write_run(out: &mut Out, run: &[i64], before: i64) -> i64 {
    let mut steps = [0; RUN];
    for (step, two) in steps.iter_mut().zip(run.windows(2)) {
        *step = two[1].wrapping_sub(two[0]);
    }
    let steps = &steps[..run.len() - 1];
    let (least, width) = spread(run);
    let (least_step, step_width) = spread(steps);
    if step_width < width {
        out.byte(STEPS | step_width as u8);
        out.signed(run[0].wrapping_sub(before));
        out.signed(least_step);
        pack(out, steps, least_step, step_width);
        run[0]
    } else {
        out.byte(width as u8);
        out.signed(least.wrapping_sub(before));
        pack(out, run, least, width);
        least
    }
}

/// The least number, and how many bits a distance from it needs.
fn spread(numbers: &[i64]) -> (i64, u32) {
    let least = numbers.iter().copied().min().unwrap_or(0);
    let most = numbers.iter().copied().max().unwrap_or(0);
    (least, 64 - (most.wrapping_sub(least) as u64).leading_zeros())
}

fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

fn pack(out: &mut Out, numbers: &[i64], least: i64, width: u32) {
    let mut waiting = 0_u128;
    let mut bits = 0;
    for number in numbers {
        waiting |= u128::from(number.wrapping_sub(least) as u64) << bits;
        bits += width;
        while bits >= 64 {
            out.0.extend_from_slice(&(waiting as u64).to_le_bytes());
            waiting >>= 64;
            bits -= 64;
        }
    }
    let rest = (waiting as u64).to_le_bytes();
    out.0.extend_from_slice(&rest[..bits.div_ceil(8) as usize]);
}

/// Appends the numbers of a column that stand in `rows`. The column has `count` in all.
pub(in crate::store) fn read_ints(
    mut column: In<'_>,
    count: usize,
    rows: std::ops::Range<usize>,
    numbers: &mut Vec<i64>,
) -> Result<(), Damaged> {
    debug_assert!(rows.end <= count);
    if rows.is_empty() {
        return Ok(());
    }
    match column.byte()? {
        form::SAME => {
            let number = column.signed()?;
            numbers.extend(std::iter::repeat_n(number, rows.len()));
        }
        form::EVEN => {
            let (first, step) = (column.signed()?, column.signed()?);
            let at = |row: usize| first.wrapping_add(step.wrapping_mul(row as i64));
            numbers.extend(rows.map(at));
        }
        form::RUNS => {
            let mut before = 0;
            let mut begin = 0;
            while begin < rows.end {
                let length = RUN.min(count - begin);
                let wanted = rows.start.max(begin)..rows.end.min(begin + length);
                let wanted =
                    (wanted.start < wanted.end).then(|| wanted.start - begin..wanted.end - begin);
                before = read_run(&mut column, length, before, wanted, numbers)?;
                begin += length;
            }
        }
        _ => return Err(Damaged("a column is of no known form")),
    }
    Ok(())
}

/// Reads a run, or skips it if nothing of it is wanted.
fn read_run(
    column: &mut In<'_>,
    length: usize,
    before: i64,
    wanted: Option<std::ops::Range<usize>>,
    numbers: &mut Vec<i64>,
) -> Result<i64, Damaged> {
    let head = column.byte()?;
    let width = u32::from(head & !STEPS);
    if width > 64 {
        return Err(Damaged("a run is too wide"));
    }
    let base = before.wrapping_add(column.signed()?);
    let by_steps = head & STEPS != 0;
    let least = if by_steps { column.signed()? } else { base };
    let packed = length - usize::from(by_steps);
    let bytes = column.bytes(packed_bytes(packed, width))?;
    let Some(wanted) = wanted else { return Ok(base) };
    if by_steps {
        let mut number = base;
        if wanted.start == 0 {
            numbers.push(number);
        }
        unpack(bytes, width, 0..wanted.end - 1, |place, distance| {
            number = number.wrapping_add(least).wrapping_add(distance as i64);
            if place + 1 >= wanted.start {
                numbers.push(number);
            }
        });
    } else {
        unpack(bytes, width, wanted, |_, distance| {
            numbers.push(least.wrapping_add(distance as i64));
        });
    }
    Ok(base)
}

/// Shows the packed numbers in these places.
fn unpack(
    bytes: &[u8],
    width: u32,
    places: std::ops::Range<usize>,
    mut show: impl FnMut(usize, u64),
) {
    if width == 0 {
        return places.for_each(|place| show(place, 0));
    }
    let width = width as usize;
    let mask = u64::MAX >> (64 - width);
    // Whole words can be read as long as so many bytes follow.
    let safe = (bytes.len().saturating_sub(8) * 8) / width;
    if width <= 57 {
        for place in places.start..places.end.min(safe) {
            let bit = place * width;
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[bit / 8..bit / 8 + 8]);
            show(place, (u64::from_le_bytes(word) >> (bit % 8)) & mask);
        }
    }
    let begin = if width <= 57 { places.start.max(safe) } else { places.start };
    for place in begin..places.end {
        let bit = place * width;
        let mut word = [0; 16];
        let rest = &bytes[bit / 8..bytes.len().min(bit / 8 + 16)];
        word[..rest.len()].copy_from_slice(rest);
        show(place, (u128::from_le_bytes(word) >> (bit % 8)) as u64 & mask);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn round(numbers: &[i64]) -> usize {
        let mut out = Out::default();
        write_ints(&mut out, numbers);
        let mut again = Vec::new();
        read_ints(In(&out.0), numbers.len(), 0..numbers.len(), &mut again).unwrap();
        assert_eq!(again, numbers);
        let (from, to) = (numbers.len() / 3, numbers.len() - numbers.len() / 4);
        again.clear();
        read_ints(In(&out.0), numbers.len(), from..to, &mut again).unwrap();
        assert_eq!(again, &numbers[from..to]);
        out.0.len()
    }

    #[test]
    fn what_is_regular_takes_little() {
        assert!(round(&[]) <= 1);
        assert!(round(&[7; 4_000]) <= 3);
        let quarters: Vec<i64> =
            (0..4_000).map(|n| 1_700_000_000_000_000 + n * 900_000_000).collect();
        assert!(round(&quarters) < 24);
        let jitter: Vec<i64> =
            quarters.iter().map(|at| at + at / 900_000_000 * 7_919 % 13).collect();
        assert!(round(&jitter) < 4_000);
        let noise: Vec<i64> = (0..4_000).map(|n| n * 7_919 % 251).collect();
        assert!(round(&noise) < 4_300);
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(numbers in vec(any::<i64>(), 0..400), shift in 0_u32..63) {
            round(&numbers);
            round(&numbers.iter().map(|number| number >> shift).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400), count in 1_usize..300) {
            let _ = read_ints(In(&bytes), count, 0..count, &mut Vec::new());
        }
    }
}
