//! Values of the header Content-Type.

use hubwire_protocol::http::ContentType;

/// Parses a value; one that is good means the same when it is written with other quotes, spaces and parameters.
///
/// # Panics
///
/// If it does not, or holds what was not there.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(parsed) = ContentType::parse(&text) else {
        return;
    };
    let media_type = parsed.media_type;
    assert!(text.trim_start().starts_with(media_type));
    assert!(media_type.split('/').count() == 2 && !media_type.contains([' ', ';', '"', ',']));

    let mut written = media_type.to_owned();
    if let Some(charset) = &parsed.charset {
        let escaped: String = charset.chars().flat_map(|char| ['\\', char]).collect();
        written.push_str(&format!(";\tCHARSET=\"{escaped}\" "));
    }
    assert_eq!(ContentType::parse(&written).as_ref(), Some(&parsed));
    written.push_str("; q=\";charset=x\";; v=1");
    assert_eq!(ContentType::parse(&written).as_ref(), Some(&parsed));
    if parsed.charset.is_some() {
        written.push_str(";charset=another");
        assert_eq!(ContentType::parse(&written).as_ref(), Some(&parsed));
    }
    written.push_str("; broken");
    assert_eq!(ContentType::parse(&written), None);
}
