//! What an image is, by its own bytes: PNG, JPEG or WebP, and how large. Nothing is decoded. Anything else, SVG first of all, is
//! none: it could run scripts where it is shown.

/// The largest image that is kept.
pub const BYTES: usize = 512 * 1024;
/// The longest side, in pixels.
pub const SIDE: u32 = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    pub content_type: &'static str,
    pub width: u32,
    pub height: u32,
}

/// Reads what it is; None for what is none of the three, or is broken off in its head.
pub fn read(bytes: &[u8]) -> Option<Image> {
    let (content_type, (width, height)) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        ("image/png", png(bytes)?)
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        ("image/jpeg", jpeg(bytes)?)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12)? == b"WEBP" {
        ("image/webp", webp(bytes)?)
    } else {
        return None;
    };
    (width > 0 && height > 0).then_some(Image { content_type, width, height })
}

/// The first chunk is `IHDR`.
fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    if bytes.get(8..16)? != b"\0\0\0\x0dIHDR" {
        return None;
    }
    Some((big_endian(bytes.get(16..20)?), big_endian(bytes.get(20..24)?)))
}

/// Segments, up to the first that begins a frame.
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if *bytes.get(at)? != 0xff {
            return None;
        }
        let marker = *bytes.get(at + 1)?;
        match marker {
            0xff => at += 1, // padding
            0x01 | 0xd0..=0xd7 => at += 2,
            // Start of frame, of every process; not DHT, JPG and DAC, which lie between.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let (height, width) = (bytes.get(at + 5..at + 7)?, bytes.get(at + 7..at + 9)?);
                return Some((big_endian(width), big_endian(height)));
            }
            0xd8..=0xda => return None, // another image, its end, or its data: and there was no frame
            _ => {
                let length = big_endian(bytes.get(at + 2..at + 4)?) as usize;
                at += 2 + length.max(2);
            }
        }
    }
}

/// Lossy, lossless, or extended.
fn webp(bytes: &[u8]) -> Option<(u32, u32)> {
    match bytes.get(12..16)? {
        b"VP8 " if bytes.get(23..26)? == b"\x9d\x01\x2a" => {
            let side = |at: usize| Some(little_endian(bytes.get(at..at + 2)?) & 0x3fff);
            Some((side(26)?, side(28)?))
        }
        b"VP8L" if *bytes.get(20)? == 0x2f => {
            let bits = little_endian(bytes.get(21..25)?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let side = |at: usize| Some(little_endian(bytes.get(at..at + 3)?) + 1);
            Some((side(24)?, side(27)?))
        }
        _ => None,
    }
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x40\0\0\0\xf0\x08\x06\0\0\0";
    const JPEG: &[u8] =
        b"\xff\xd8\xff\xe0\0\x04ab\xff\xc4\0\x03c\xff\xff\xc2\0\x0b\x08\x00\xf0\x01\x40\x03";
    const LOSSY: &[u8] = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x40\x01\xf0\0";
    const LOSSLESS: &[u8] = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x3f\xc1\x3b\0";
    const EXTENDED: &[u8] = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x3f\x01\0\xef\0\0";

    #[test]
    fn images_are_known_by_their_bytes() {
        for (bytes, content_type) in [
            (PNG, "image/png"),
            (JPEG, "image/jpeg"),
            (LOSSY, "image/webp"),
            (LOSSLESS, "image/webp"),
            (EXTENDED, "image/webp"),
        ] {
            assert_eq!(read(bytes), Some(Image { content_type, width: 320, height: 240 }));
        }
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_none() {
        for whole in [PNG, JPEG, LOSSY, LOSSLESS, EXTENDED] {
            for length in 0..16 {
                assert_eq!(read(&whole[..length]), None);
            }
        }
        for bad in [
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".as_slice(),
            b"GIF89a\x01\0\x01\0",
            b"\xff\xd8\xff\xda\0\x02",
            b"\xff\xd8\xff\xe0\0\0",
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(read(bad), None);
        }
    }
}
