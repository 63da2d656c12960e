//! With how many decimals a time is written, where that does not follow from the time itself:
//! `12:00:00.50Z` comes back as it came. Most records say nothing of it.

use crate::model::Timestamp;

/// A number below eight: zero if the decimals are the usual ones, else one more than they are.
pub(super) fn code(time: Option<Timestamp>) -> u8 {
    time.and_then(Timestamp::unusual_decimals).map_or(0, |decimals| decimals + 1)
}

/// The time with the decimals of a [`code`].
pub(super) fn restore(time: Timestamp, code: u8) -> Timestamp {
    match code & 7 {
        0 => time,
        more => time.written_with(more - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_come_back() {
        for text in
            ["00Z", "00.5Z", "00.50Z", "00.500Z", "00.000Z", "00.0Z", "00.123456Z", "00.1234Z"]
        {
            let time: Timestamp = format!("2026-01-31T12:00:{text}").parse().unwrap();
            let plain = Timestamp::from_micros(time.micros());
            assert_eq!(restore(plain, code(Some(time))).to_string(), time.to_string());
            assert_eq!(code(Some(plain)), 0);
        }
        assert_eq!(code(None), 0);
    }
}
