//! What a file is, by its name.

use heartwire_core::wire::json_header::Kind;

/// What existing senders take a file with this name for: by its extension, case ignored.
///
/// ```
/// use heartwire_core::wire::json_header::Kind;
/// use heartwire_files::kind_of;
///
/// assert_eq!(kind_of("run/Report.MD"), Kind::Text);
/// assert_eq!(kind_of("data.csv"), Kind::Csv);
/// assert_eq!(kind_of(".csv"), Kind::Unknown); // a name without an extension
/// ```
#[must_use]
pub fn kind_of(name: &str) -> Kind {
    let name = name.rsplit('/').next().unwrap_or(name);
    let Some((stem, extension)) = name.rsplit_once('.') else { return Kind::Unknown };
    // As Python's `splitext` has it: dots in front are no extension.
    if stem.trim_start_matches('.').is_empty() {
        return Kind::Unknown;
    }
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "md" | "log" | "json" | "xml" => Kind::Text,
        "csv" => Kind::Csv,
        "jpg" | "jpeg" | "png" | "bmp" | "gif" | "tiff" | "webp" => Kind::Image,
        _ => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_extension_as_existing_senders_have_them() {
        for (names, kind) in [
            ("a.txt a.md a.log a.json a.xml A.TXT a.b.Log", Kind::Text),
            ("a.csv x/y.CsV", Kind::Csv),
            ("a.jpg a.jpeg a.png a.bmp a.gif a.tiff a.webp a.JPG", Kind::Image),
            ("a a. a.tif a.txt.gz .txt ..csv a.csv/b txt", Kind::Unknown),
        ] {
            for name in names.split(' ') {
                assert_eq!(kind_of(name), kind, "{name}");
            }
        }
    }
}
