//! What kind of content a file is, from its type and its name (section 8, item 3).

/// The classes, in the order of the reference.
pub const CLASSES: &[&str] = &["archive", "document", "executable", "media", "unknown"];

/// Content of no known type.
pub const UNTYPED: &str = "application/octet-stream";

/// Extensions, their types and classes.
const KNOWN: &[(&str, &str, &str)] = &[
    ("7z", "application/x-7z-compressed", "archive"),
    ("aac", "audio/aac", "media"),
    ("avi", "video/x-msvideo", "media"),
    ("bat", "application/x-bat", "executable"),
    ("bz2", "application/x-bzip2", "archive"),
    ("css", "text/css", "document"),
    ("csv", "text/csv", "document"),
    ("dll", "application/x-msdownload", "executable"),
    ("doc", "application/msword", "document"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document"),
    ("elf", "application/x-elf", "executable"),
    ("exe", "application/x-msdownload", "executable"),
    ("flac", "audio/flac", "media"),
    ("gif", "image/gif", "media"),
    ("gz", "application/gzip", "archive"),
    ("htm", "text/html", "document"),
    ("html", "text/html", "document"),
    ("jpeg", "image/jpeg", "media"),
    ("jpg", "image/jpeg", "media"),
    ("js", "text/javascript", "document"),
    ("json", "application/json", "document"),
    ("m4a", "audio/mp4", "media"),
    ("md", "text/markdown", "document"),
    ("mov", "video/quicktime", "media"),
    ("mp3", "audio/mpeg", "media"),
    ("mp4", "video/mp4", "media"),
    ("msi", "application/x-msi", "executable"),
    ("odp", "application/vnd.oasis.opendocument.presentation", "document"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet", "document"),
    ("odt", "application/vnd.oasis.opendocument.text", "document"),
    ("ogg", "audio/ogg", "media"),
    ("opus", "audio/opus", "media"),
    ("pdf", "application/pdf", "document"),
    ("png", "image/png", "media"),
    ("ppt", "application/vnd.ms-powerpoint", "document"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", "document"),
    ("rar", "application/vnd.rar", "archive"),
    ("rtf", "application/rtf", "document"),
    ("sh", "application/x-sh", "executable"),
    ("svg", "image/svg+xml", "media"),
    ("tar", "application/x-tar", "archive"),
    ("tgz", "application/gzip", "archive"),
    ("txt", "text/plain", "document"),
    ("wav", "audio/wav", "media"),
    ("webm", "video/webm", "media"),
    ("webp", "image/webp", "media"),
    ("wma", "audio/x-ms-wma", "media"),
    ("xls", "application/vnd.ms-excel", "document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "document"),
    ("xml", "application/xml", "document"),
    ("xz", "application/x-xz", "archive"),
    ("zip", "application/zip", "archive"),
];

/// Types that clients also send for some of these.
const ALSO: &[(&str, &str)] = &[
    ("application/x-dosexec", "executable"),
    ("application/x-executable", "executable"),
    ("application/x-gzip", "archive"),
    ("application/x-rar-compressed", "archive"),
    ("application/x-zip-compressed", "archive"),
];

/// The longest extension that is taken for one.
const EXTENSION_MAX: usize = 16;

/// What follows the last dot of a name, in lower case, where that looks like an extension.
pub fn extension(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let fits = (1..=EXTENSION_MAX).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    (fits && !stem.is_empty()).then(|| extension.to_ascii_lowercase())
}

/// The type of files with this extension.
pub fn mime_of(extension: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _, _)| *known == extension).map(|(_, mime, _)| *mime)
}

/// The class of content of this type; where the type says nothing, the extension does.
pub fn classify(mime: &str, extension: Option<&str>) -> &'static str {
    let by_extension = || {
        let found = KNOWN.iter().find(|(known, _, _)| Some(*known) == extension);
        found.map_or("unknown", |(_, _, class)| *class)
    };
    match mime.split('/').next().unwrap_or_default() {
        "audio" | "video" | "image" => "media",
        "text" => "document",
        _ if mime == UNTYPED => by_extension(),
        _ => {
            let known = KNOWN.iter().map(|(_, mime, class)| (*mime, *class));
            let found = known.chain(ALSO.iter().copied()).find(|(known, _)| *known == mime);
            found.map_or_else(by_extension, |(_, class)| class)
        }
    }
}

/// A content type that can be sent again as a header.
pub fn is_mime(text: &str) -> bool {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_follows_the_type_and_then_the_extension() {
        for (mime, name, class) in [
            ("audio/mpeg", "a.mp3", "media"),
            ("image/png", "a", "media"),
            ("text/html", "a.exe", "document"),
            ("application/pdf", "a", "document"),
            ("application/zip", "a", "archive"),
            ("application/x-gzip", "a", "archive"),
            (UNTYPED, "a.tar", "archive"),
            (UNTYPED, "setup.EXE", "executable"),
            ("application/x-msdownload", "a", "executable"),
            (UNTYPED, "a", "unknown"),
            ("application/x-odd", "a.odd", "unknown"),
        ] {
            assert_eq!(classify(mime, extension(name).as_deref()), class, "{mime} {name}");
        }
    }

    #[test]
    fn an_extension_is_short_and_plain() {
        assert_eq!(extension("song.MP3").as_deref(), Some("mp3"));
        assert_eq!(extension("a.tar.gz").as_deref(), Some("gz"));
        for none in ["song", "song.", ".profile", "a.b c", "a.aaaaaaaaaaaaaaaaa"] {
            assert_eq!(extension(none), None, "{none}");
        }
    }

    #[test]
    fn every_class_in_the_table_is_one() {
        assert!(KNOWN.iter().all(|(_, mime, class)| CLASSES.contains(class) && is_mime(mime)));
    }
}
