//! Conversion between units of one kind, by their UN/CEFACT codes.

/// What a unit measures, how many of the first unit of its kind it is, and where its zero lies.
const UNITS: [(&str, &str, f64, f64); 38] = [
    ("GQ", "mass in air", 1.0, 0.0),
    ("GP", "mass in air", 1_000.0, 0.0),
    ("61", "share of parts", 1.0, 0.0),
    ("59", "share of parts", 1_000.0, 0.0),
    ("C62", "ratio", 1.0, 0.0),
    ("P1", "ratio", 0.01, 0.0),
    ("MTS", "speed", 1.0, 0.0),
    ("KMH", "speed", 1.0 / 3.6, 0.0),
    ("KNT", "speed", 1_852.0 / 3_600.0, 0.0),
    ("CEL", "temperature", 1.0, 0.0),
    ("KEL", "temperature", 1.0, -273.15),
    ("FAH", "temperature", 5.0 / 9.0, -160.0 / 9.0),
    ("MTR", "length", 1.0, 0.0),
    ("CMT", "length", 0.01, 0.0),
    ("MMT", "length", 0.001, 0.0),
    ("KMT", "length", 1_000.0, 0.0),
    ("A97", "pressure", 1.0, 0.0),
    ("PAL", "pressure", 0.01, 0.0),
    ("KPA", "pressure", 10.0, 0.0),
    ("BAR", "pressure", 1_000.0, 0.0),
    ("MBR", "pressure", 1.0, 0.0),
    ("MQS", "flow", 1.0, 0.0),
    ("MQH", "flow", 1.0 / 3_600.0, 0.0),
    ("G42", "conductivity in cm", 1.0, 0.0),
    ("D10", "conductivity", 1.0, 0.0),
    ("KWH", "energy", 1.0, 0.0),
    ("WHR", "energy", 0.001, 0.0),
    ("MWH", "energy", 1_000.0, 0.0),
    ("KWT", "power", 1.0, 0.0),
    ("WTT", "power", 0.001, 0.0),
    ("MAW", "power", 1_000.0, 0.0),
    ("VLT", "voltage", 1.0, 0.0),
    ("KVT", "voltage", 1_000.0, 0.0),
    ("AMP", "current", 1.0, 0.0),
    ("4K", "current", 0.001, 0.0),
    ("KGM", "mass", 1.0, 0.0),
    ("TNE", "mass", 1_000.0, 0.0),
    ("LTR", "volume", 1.0, 0.0),
];

/// How a number of one unit becomes one of another: times the first, plus the second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    factor: f64,
    offset: f64,
}

impl Conversion {
    /// From one unit to another; nothing if they do not measure the same, or are not known.
    pub fn between(from: &str, to: &str) -> Option<Self> {
        if from == to {
            return Some(Self { factor: 1.0, offset: 0.0 });
        }
        let find = |code: &str| UNITS.iter().find(|unit| unit.0 == code);
        let ((_, kind, factor, zero), (_, other, scale, origin)) = (find(from)?, find(to)?);
        (kind == other).then(|| Self { factor: factor / scale, offset: (zero - origin) / scale })
    }

    /// The number in the other unit, without the noise of binary fractions.
    pub fn apply(self, number: f64) -> f64 {
        let exact = number * self.factor + self.offset;
        // Twelve digits are more than any instrument has.
        format!("{exact:.11e}").parse().unwrap_or(exact)
    }

    /// Whether nothing changes.
    pub fn is_none(self) -> bool {
        self.factor == 1.0 && self.offset == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_kind_become_each_other() {
        for (from, number, to, result) in [
            ("P1", 71.0, "C62", 0.71),
            ("KMH", 36.0, "MTS", 10.0),
            ("KNT", 10.0, "MTS", 5.14444444444),
            ("KEL", 300.15, "CEL", 27.0),
            ("CEL", 27.0, "KEL", 300.15),
            ("FAH", 212.0, "CEL", 100.0),
            ("WTT", 1500.0, "KWT", 1.5),
            ("MWH", 0.5, "KWH", 500.0),
            ("GP", 0.33, "GQ", 330.0),
            ("59", 0.3, "61", 300.0),
            ("XYZ", 5.0, "XYZ", 5.0),
        ] {
            let conversion = Conversion::between(from, to).expect("of one kind");
            assert_eq!(conversion.apply(number), result, "{number} {from} in {to}");
        }
        assert_eq!(Conversion::between("CEL", "MTS"), None);
        assert_eq!(Conversion::between("XYZ", "MTS"), None);
    }
}
