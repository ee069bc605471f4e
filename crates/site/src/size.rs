//! Sizes as people write them: `20 TiB`, `500 GB`, `1_048_576`. Exact, or refused.

use ledger::AMOUNT_MAX;

/// The units, largest first, so that [`show`] finds the one that reads best.
const BINARY: [(&str, u64); 6] =
    [("EiB", 1 << 60), ("PiB", 1 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL: [(&str, u64); 8] = [
    ("EB", 1_000_000_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("kB", 1_000),
    ("B", 1),
];

/// The most digits after a point: beyond it no unit can make the number whole.
const FRACTION_DIGITS_MAX: usize = 18;

/// Why a text is no size. Says what is wrong with it, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// No number at the start, or something else than a number and a unit.
    #[error("{0:?} is not a size: write a number of bytes, or one with a unit such as \"20 TiB\" or \"500 GB\"")]
    Form(String),
    /// A unit that is none of ours.
    #[error("{unit:?} is not a unit of size: B, KB, MB, GB, TB, PB, EB, or KiB, MiB, GiB, TiB, PiB, EiB")]
    Unit {
        /// What stood there.
        unit: String,
    },
    /// Half a byte.
    #[error("{0:?} is not a whole number of bytes")]
    Fraction(String),
    /// Past 2^63 − 1.
    #[error("{0:?} is more than {AMOUNT_MAX}, the largest amount there is")]
    TooLarge(String),
}

/// Reads a size. Units count, underscores between digits do not; a fraction must come out at whole bytes.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let form = || SizeError::Form(text.to_owned());
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let no_digits = |digits: &str| digits.is_empty() || digits.starts_with('_') || digits.ends_with('_');
    if no_digits(whole) || (number.contains('.') && no_digits(fraction)) || fraction.contains('.') {
        return Err(form());
    }
    let digits: String = whole.chars().chain(fraction.chars()).filter(|c| *c != '_').collect();
    let fraction_digits = fraction.chars().filter(|c| *c != '_').count();
    if fraction_digits > FRACTION_DIGITS_MAX {
        return Err(SizeError::Fraction(text.to_owned()));
    }
    let too_large = || SizeError::TooLarge(text.to_owned());
    let mantissa: u128 = digits.parse().map_err(|_| too_large())?;
    let scaled = mantissa.checked_mul(u128::from(factor(unit.trim())?)).ok_or_else(too_large)?;
    let divisor = 10_u128.pow(fraction_digits as u32);
    if scaled % divisor != 0 {
        return Err(SizeError::Fraction(text.to_owned()));
    }
    u64::try_from(scaled / divisor).ok().filter(|size| *size <= AMOUNT_MAX).ok_or_else(too_large)
}

fn factor(unit: &str) -> Result<u64, SizeError> {
    if unit.is_empty() {
        return Ok(1);
    }
    let known = BINARY.iter().chain(&DECIMAL).find(|(name, _)| *name == unit);
    known.map(|(_, factor)| *factor).ok_or_else(|| SizeError::Unit { unit: unit.to_owned() })
}

/// A size for people, in binary units: exact where it is round (`4 TiB`), else to one digit after the point.
pub fn show(bytes: u64) -> String {
    let Some((unit, factor)) = BINARY.iter().find(|(_, factor)| bytes >= *factor) else {
        return format!("{bytes} B");
    };
    if bytes.is_multiple_of(*factor) {
        return format!("{} {unit}", bytes / factor);
    }
    let tenths = u128::from(bytes) * 10 / u128::from(*factor);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_exactly_in_both_kinds_of_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1_048_576", 1 << 20),
            ("20 TiB", 20 << 40),
            ("500 GB", 500_000_000_000),
            ("10TB", 10_000_000_000_000),
            ("1.5 KiB", 1536),
            ("0.001 kB", 1),
            (" 512 MiB ", 512 << 20),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_why() {
        let says = |text: &str| parse(text).expect_err(text).to_string();
        assert!(says("TiB").contains("is not a size"));
        assert!(says("-1 GB").contains("is not a size"));
        assert!(says("1.2.3 GB").contains("is not a size"));
        assert!(says("20 TiBs").contains("\"TiBs\" is not a unit"));
        assert!(says("20 T").contains("\"T\" is not a unit"));
        assert!(says("0.3 B").contains("whole number of bytes"));
        assert!(says("8 EiB").contains("more than 9223372036854775807"));
        assert!(says(&"9".repeat(60)).contains("more than"));
    }

    #[test]
    fn sizes_are_shown_in_the_unit_that_reads_best() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1 << 10, "1 KiB"), (1536, "1.5 KiB"), (20 << 40, "20 TiB")]
        {
            assert_eq!(show(bytes), text);
        }
        assert_eq!(show(AMOUNT_MAX), "7.9 EiB");
    }
}
