//! Text as other programs write it: with a byte order mark, in UTF-16, or behind the headers of an HTTP answer.

use std::borrow::Cow;

/// What `>` and Out-File of PowerShell put in front of UTF-8.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why bytes are not text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A compressed file.
    #[error("compressed by {program}: unpack it first")]
    Compressed {
        /// What unpacks it.
        program: &'static str,
    },
    /// Bytes of another encoding, or no text at all.
    #[error("not text: expected UTF-8 or UTF-16 with a byte order mark, found other bytes at offset {offset}")]
    Encoding {
        /// Bytes from the start of the file.
        offset: usize,
    },
}

/// Decodes UTF-8 with or without a byte order mark, and UTF-16 with one. Of an HTTP answer, as `curl -i` prints it, the
/// body is returned.
///
/// # Errors
/// When the bytes are compressed, or in another encoding.
pub fn decode_text(bytes: &[u8]) -> Result<Cow<'_, str>, TextError> {
    let text = match bytes {
        [0x1f, 0x8b, ..] => return Err(TextError::Compressed { program: "gunzip" }),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(TextError::Compressed { program: "unzstd" }),
        [0xff, 0xfe, rest @ ..] => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        [0xfe, 0xff, rest @ ..] => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
        _ => {
            let rest = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
            let offset = |error: std::str::Utf8Error| bytes.len() - rest.len() + error.valid_up_to();
            Cow::Borrowed(std::str::from_utf8(rest).map_err(|error| TextError::Encoding { offset: offset(error) })?)
        }
    };
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(body(text)),
        Cow::Owned(text) => Cow::Owned(body(&text).to_owned()),
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, TextError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>());
    text.ok().filter(|_| rest.is_empty()).ok_or(TextError::Encoding { offset: 2 })
}

/// What follows the headers of an HTTP answer; all of any other text.
fn body(text: &str) -> &str {
    if !text.starts_with("HTTP/") {
        return text;
    }
    let ends = ["\r\n\r\n", "\n\n"];
    ends.iter().find_map(|end| text.split_once(end)).map_or(text, |(_, body)| body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_every_kind_is_decoded() {
        let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let wanted = "[\"\u{e9}\"]";
        assert_eq!(decode_text(wanted.as_bytes()).unwrap(), wanted);
        assert_eq!(decode_text(&[UTF8_MARK, wanted.as_bytes()].concat()).unwrap(), wanted);
        let with_mark = format!("\u{feff}{wanted}");
        assert_eq!(decode_text(&utf16(&with_mark, u16::to_le_bytes)).unwrap(), wanted);
        assert_eq!(decode_text(&utf16(&with_mark, u16::to_be_bytes)).unwrap(), wanted);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{wanted}");
        assert_eq!(decode_text(answer.as_bytes()).unwrap(), wanted);
    }

    #[test]
    fn what_is_not_text_is_named() {
        assert_eq!(decode_text(b"\x1f\x8b\x08"), Err(TextError::Compressed { program: "gunzip" }));
        assert_eq!(decode_text(b"ab\xff"), Err(TextError::Encoding { offset: 2 }));
        assert_eq!(decode_text(b"\xff\xfea"), Err(TextError::Encoding { offset: 2 }));
    }
}
