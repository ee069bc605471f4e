//! The grammar of `Range` (RFC 9110, section 14): one range of bytes, or the whole.

/// What a `Range` header asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeRequest {
    /// Everything: no range, one that is not understood, or several at once, which a server may ignore.
    Whole,
    /// One part: answer 206.
    Part(Part),
    /// A part that lies behind the end: answer 416.
    Unsatisfiable,
}

/// A part that exists: `start <= end < size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end: u64,
}

impl Part {
    /// How many bytes it has.
    pub fn bytes(self) -> u64 {
        self.end - self.start + 1
    }
}

impl RangeRequest {
    /// The part as [`crate::Content::open`] takes it; none is the whole, or nothing.
    pub fn part(self) -> Option<(u64, u64)> {
        match self {
            RangeRequest::Part(part) => Some((part.start, part.end)),
            RangeRequest::Whole | RangeRequest::Unsatisfiable => None,
        }
    }

    /// The `Content-Range` that goes with the answer, 206 or 416.
    pub fn content_range(self, size: u64) -> Option<String> {
        match self {
            RangeRequest::Whole => None,
            RangeRequest::Part(Part { start, end }) => Some(format!("bytes {start}-{end}/{size}")),
            RangeRequest::Unsatisfiable => Some(format!("bytes */{size}")),
        }
    }
}

/// Reads the header of a request for something of `size` bytes.
pub fn parse(header: &str, size: u64) -> RangeRequest {
    let Some((unit, set)) = header.split_once('=') else { return RangeRequest::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return RangeRequest::Whole;
    }
    // An empty element of a list is no element (section 5.6.1).
    let mut specs = set.split(',').map(trim).filter(|spec| !spec.is_empty());
    match (specs.next(), specs.next()) {
        (Some(spec), None) => one(spec, size),
        _ => RangeRequest::Whole,
    }
}

fn one(spec: &str, size: u64) -> RangeRequest {
    let Some((first, last)) = spec.split_once('-') else { return RangeRequest::Whole };
    match (position(first), position(last)) {
        (Position::At(start), Position::None) => part(start, u64::MAX, size),
        (Position::At(start), Position::At(end)) if start <= end => part(start, end, size),
        (Position::None, Position::At(0)) => RangeRequest::Unsatisfiable,
        // The last bytes of nothing are nothing, which is the whole and has no Content-Range.
        (Position::None, Position::At(_)) if size == 0 => RangeRequest::Whole,
        (Position::None, Position::At(count)) => part(size.saturating_sub(count), u64::MAX, size),
        _ => RangeRequest::Whole,
    }
}

fn part(start: u64, end: u64, size: u64) -> RangeRequest {
    if start >= size {
        return RangeRequest::Unsatisfiable;
    }
    RangeRequest::Part(Part { start, end: end.min(size - 1) })
}

enum Position {
    None,
    At(u64),
    Wrong,
}

/// Digits only: no sign, no space. More than fits 64 bits is as good as the largest.
fn position(digits: &str) -> Position {
    match digits {
        "" => Position::None,
        _ if digits.bytes().all(|digit| digit.is_ascii_digit()) => Position::At(digits.parse().unwrap_or(u64::MAX)),
        _ => Position::Wrong,
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(header: &str, size: u64) -> String {
        let request = parse(header, size);
        request.content_range(size).unwrap_or_else(|| "whole".to_owned())
    }

    #[test]
    fn one_range_is_a_part_cut_at_the_end() {
        assert_eq!(told("bytes=0-0", 10), "bytes 0-0/10");
        assert_eq!(told("bytes=2-5", 10), "bytes 2-5/10");
        assert_eq!(told("bytes=9-100", 10), "bytes 9-9/10");
        assert_eq!(told("bytes=4-", 10), "bytes 4-9/10");
        assert_eq!(told("Bytes = 1-2 ", 10), "bytes 1-2/10");
        assert_eq!(told("bytes=,1-2,", 10), "bytes 1-2/10");
        assert_eq!(told("bytes=1-99999999999999999999999999", 10), "bytes 1-9/10");
        assert_eq!(Part { start: 1, end: 9 }.bytes(), 9);
    }

    #[test]
    fn a_suffix_is_the_last_bytes_and_at_most_all() {
        assert_eq!(told("bytes=-3", 10), "bytes 7-9/10");
        assert_eq!(told("bytes=-99", 10), "bytes 0-9/10");
        assert_eq!(told("bytes=-0", 10), "bytes */10");
        assert_eq!(told("bytes=-5", 0), "whole");
    }

    #[test]
    fn what_begins_behind_the_end_is_unsatisfiable() {
        assert_eq!(told("bytes=10-", 10), "bytes */10");
        assert_eq!(told("bytes=10-20", 10), "bytes */10");
        assert_eq!(told("bytes=0-", 0), "bytes */0");
        assert_eq!(told("bytes=99999999999999999999999999-", 10), "bytes */10");
    }

    #[test]
    fn what_is_no_range_or_several_is_ignored() {
        let odd = [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "bytes=1--2",
            "bytes=1 -2",
            "bytes= 1",
            "rows=1-2",
            "bytes=0x1-2",
            "bytes=-1-2",
            "bytes=１-２",
        ];
        for header in odd {
            assert_eq!(told(header, 10), "whole", "{header:?}");
        }
    }
}
