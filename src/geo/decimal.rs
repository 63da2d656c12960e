//! Doubles as decimals.

/// Appends the shortest decimal that reads back as the same double, with a point.
pub fn write_double(out: &mut Vec<u8>, number: f64) {
    const SCALE: f64 = 1e6;
    let scaled = (number * SCALE).round();
    // What sensors send has few decimals. As long as the digits are fewer than sixteen, the
    // decimal that reads back as the double is the only one so short.
    if scaled / SCALE != number || scaled.abs() >= 1e15 || scaled.abs() < 1e3 {
        return out.extend_from_slice(ryu::Buffer::new().format(number).as_bytes());
    }
    let digits = scaled.abs() as u64;
    if number < 0.0 {
        out.push(b'-');
    }
    out.extend_from_slice(itoa::Buffer::new().format(digits / 1_000_000).as_bytes());
    let mut decimals = *b".000000";
    let mut rest = digits % 1_000_000;
    let mut end = 1;
    for place in (1..7).rev() {
        decimals[place] += (rest % 10) as u8;
        if end == 1 && !rest.is_multiple_of(10) {
            end = place;
        }
        rest /= 10;
    }
    out.extend_from_slice(&decimals[..=end]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn doubles_are_written_as_ryu_writes_them(
            number in prop_oneof![
                any::<f64>().prop_filter("finite", |number| number.is_finite()),
                (-1_000_000_000_i64..1_000_000_000).prop_map(|number| number as f64 / 1e3),
                (-1_000_000_000_i64..1_000_000_000).prop_map(|number| number as f64 / 1e6),
                (-1_000_i64..1_000).prop_map(|number| number as f64 * 1e6),
                (0..100_i32).prop_map(|exponent| 1.5 * 10_f64.powi(exponent - 50)),
            ],
        ) {
            let mut out = Vec::new();
            write_double(&mut out, number);
            prop_assert_eq!(
                String::from_utf8(out).expect("ASCII"), ryu::Buffer::new().format(number).to_owned()
            );
        }
    }
}
