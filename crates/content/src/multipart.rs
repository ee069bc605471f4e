//! `multipart/form-data` (RFC 7578), one part after the other, without ever holding more than one frame of a body.
//!
//! **Why our own.** How many bytes may still come for a part must be known to the byte: it is what is reserved, and an
//! upload that fits exactly must not be refused for the length of a boundary.
//! **Bounds.** The head of a part, the number of parts.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use memchr::memmem;

/// The longest head of a part.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How many parts a form has: some fields, a file, and what else a client may send along.
const PARTS_MAX: usize = 100;
/// The longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// Why a body is no form.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// It ended or broke off inside a part.
    Broken(String),
    /// It is not of this form.
    Malformed(&'static str),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Broken(why) => f.write_str(why),
            Fault::Malformed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Fault {}

/// The head of a part.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Which field it is.
    pub name: String,
    /// None: a field of text.
    pub filename: Option<String>,
    /// Of its content, if it says so.
    pub content_type: Option<String>,
}

/// Where the reading is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the content of a part, or in what comes before the first.
    Inside,
    /// Right behind a boundary.
    Between,
    /// Behind the last boundary.
    End,
}

/// A form on its way in.
pub struct Multipart<S> {
    body: S,
    buffer: BytesMut,
    /// CRLF, two hyphens, the boundary.
    delimiter: Vec<u8>,
    finder: memmem::Finder<'static>,
    place: Place,
    parts: usize,
    /// How many bytes of the body have come so far.
    received: u64,
}

impl<S, E> Multipart<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    /// A form with the boundary that its content type names.
    pub fn new(body: S, content_type: &str) -> Result<Multipart<S>, Fault> {
        let boundary = parameter(content_type, "boundary").unwrap_or_default();
        if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
            return Err(Fault::Malformed("Invalid boundary in multipart"));
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        let finder = memmem::Finder::new(&delimiter).into_owned();
        // The first boundary may be the very first bytes: then this is the line's end before it.
        let buffer = BytesMut::from(&b"\r\n"[..]);
        Ok(Multipart { body, buffer, delimiter, finder, place: Place::Inside, parts: 0, received: 0 })
    }

    /// The next part; what is left of the one before is passed over.
    pub async fn next(&mut self) -> Result<Option<Part>, Fault> {
        while self.chunk().await?.is_some() {}
        if self.place == Place::End || self.is_over().await? {
            self.place = Place::End;
            return Ok(None);
        }
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(Fault::Malformed("Too many parts"));
        }
        let head = loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let head = self.buffer.split_to(at);
                self.buffer.advance(4);
                break head;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(Fault::Malformed("The head of a part is too long"));
            }
            self.fill().await?;
        };
        self.place = Place::Inside;
        part(&String::from_utf8_lossy(&head))
    }

    /// Some more of the part's content; none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        if self.place != Place::Inside {
            return Ok(None);
        }
        loop {
            if let Some(at) = self.finder.find(&self.buffer) {
                let rest = self.buffer.split_to(at).freeze();
                self.buffer.advance(self.delimiter.len());
                self.place = Place::Between;
                return Ok(Some(rest).filter(|rest| !rest.is_empty()));
            }
            // What may be the beginning of a boundary stays.
            let sure = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.fill().await?;
        }
    }

    /// The most bytes that may still come for the part at hand, if the body is as long as it says: all that is left but a
    /// last boundary as clients write it.
    pub fn remaining(&self, body_len: u64) -> u64 {
        let passed = self.received.saturating_sub(self.buffer.len() as u64);
        body_len.saturating_sub(passed).saturating_sub(self.delimiter.len() as u64 + 4)
    }

    /// Whether the boundary just read is the last one. Else what is left begins with the end of its line.
    async fn is_over(&mut self) -> Result<bool, Fault> {
        loop {
            let padding = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            if let [first, second, ..] = self.buffer[padding..] {
                return match [first, second] {
                    [b'-', b'-'] => Ok(true),
                    [b'\r', b'\n'] => {
                        self.buffer.advance(padding);
                        Ok(false)
                    }
                    _ => Err(Fault::Malformed("Something follows a boundary")),
                };
            }
            if padding > HEAD_BYTES_MAX {
                return Err(Fault::Malformed("Something follows a boundary"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        match self.body.next().await {
            Some(Ok(frame)) => {
                self.received += frame.len() as u64;
                self.buffer.extend_from_slice(&frame);
                Ok(())
            }
            Some(Err(error)) => Err(Fault::Broken(error.to_string())),
            None => Err(Fault::Broken("the form ends before its last boundary".to_owned())),
        }
    }
}

/// Reads the head of a part: its lines, each begun by the end of the line before.
fn part(head: &str) -> Result<Option<Part>, Fault> {
    let (mut disposition, mut content_type) = (None, None);
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            return Err(Fault::Malformed("The head of a part is no list of headers"));
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => disposition = Some(value.trim().to_owned()),
            "content-type" => content_type = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let disposition = disposition.unwrap_or_default();
    let name = parameter(&disposition, "name").unwrap_or_default();
    let extended = parameter(&disposition, "filename*").and_then(|text| extended(&text));
    let filename = extended.or_else(|| parameter(&disposition, "filename"));
    Ok(Some(Part { name, filename, content_type }))
}

/// A parameter of a header: `; name=value`, the value quoted or not.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim().trim_start_matches(';').trim();
        let (value, left) = value(after.trim_start());
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = left.trim_start().trim_start_matches(';');
    }
}

/// A value, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            // A backslash before anything else is one of a path, as some clients send it.
            '\\' => match letters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// `UTF-8''na%C3%AFve.txt` (RFC 8187).
fn extended(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut left = encoded.as_bytes();
    while let Some((first, after)) = left.split_first() {
        left = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            left = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=B";

    type Frames = stream::Iter<std::vec::IntoIter<Result<Bytes, String>>>;

    fn form(text: &[u8], frame: usize) -> Multipart<Frames> {
        let frames: Vec<_> = text.chunks(frame).map(|frame| Ok(Bytes::copy_from_slice(frame))).collect();
        Multipart::new(stream::iter(frames), TYPE).unwrap()
    }

    async fn read(text: &[u8], frame: usize) -> Result<Vec<(Part, Vec<u8>)>, Fault> {
        let mut form = form(text, frame);
        let mut parts = Vec::new();
        while let Some(part) = form.next().await? {
            let mut content = Vec::new();
            while let Some(chunk) = form.chunk().await? {
                content.extend_from_slice(&chunk);
            }
            parts.push((part, content));
        }
        Ok(parts)
    }

    fn field(name: &str) -> Part {
        Part { name: name.to_owned(), filename: None, content_type: None }
    }

    const FORM: &[u8] = b"--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n\
        --B \r\ncontent-disposition: form-data; name=\"file\"; filename=\"x.bin\"\r\nContent-Type: text/csv\r\n\r\n\
        \r\n--\r\n--C\r\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--B--\r\n";

    #[tokio::test]
    async fn a_form_is_the_same_however_it_is_cut() {
        for frame in 1..FORM.len() + 1 {
            let parts = read(FORM, frame).await.unwrap();
            assert_eq!(parts.len(), 3, "{frame}");
            assert_eq!(parts[0], (field("a"), b"one".to_vec()));
            assert_eq!(parts[1].0.filename.as_deref(), Some("x.bin"));
            assert_eq!(parts[1].0.content_type.as_deref(), Some("text/csv"));
            assert_eq!(parts[1].1, b"\r\n--\r\n--C\r\r\n");
            assert_eq!(parts[2], (field("empty"), Vec::new()));
        }
    }

    #[tokio::test]
    async fn what_may_still_come_for_the_last_part_is_known_to_the_byte() {
        let text = b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n12345\r\n--B--\r\n";
        for frame in 1..text.len() + 1 {
            let mut form = form(text, frame);
            form.next().await.unwrap().unwrap();
            assert_eq!(form.remaining(text.len() as u64), 5, "{frame}");
        }
    }

    #[tokio::test]
    async fn a_form_that_breaks_off_or_is_none_is_told() {
        for cut in 1..FORM.len() - 4 {
            assert!(matches!(read(&FORM[..cut], 7).await, Err(Fault::Broken(_))), "{cut}");
        }
        let odd = read(b"--B\r\nno header\r\n\r\n\r\n--B--\r\n", 9).await;
        assert!(matches!(odd, Err(Fault::Malformed(_))));
        assert!(matches!(read(b"--Bx\r\n\r\n", 9).await, Err(Fault::Malformed(_))));
        let long = [b"--B\r\nX: ".to_vec(), vec![b'a'; 3 * HEAD_BYTES_MAX]].concat();
        assert!(matches!(read(&long, 4096).await, Err(Fault::Malformed(_))));
        assert!(Multipart::new(stream::iter(Vec::<Result<Bytes, String>>::new()), "multipart/form-data").is_err());
    }

    #[test]
    fn parameters_are_quoted_or_not_and_names_may_be_of_any_letters() {
        let header = r#"form-data; name="a;b=\"c\""; filename="C:\dir\naïve.txt"; x=y"#;
        assert_eq!(parameter(header, "name").unwrap(), r#"a;b="c""#);
        assert_eq!(parameter(header, "filename").unwrap(), r"C:\dir\naïve.txt");
        assert_eq!(parameter(header, "X").unwrap(), "y");
        assert_eq!(parameter(header, "z"), None);
        assert_eq!(parameter("multipart/form-data; charset=utf-8; boundary=\"a b\"", "boundary").unwrap(), "a b");
        assert_eq!(extended("UTF-8''na%C3%AFve.txt").unwrap(), "naïve.txt");
        assert_eq!(extended("UTF-8''%"), None);
        assert_eq!(extended("latin1''x"), None);
    }
}
