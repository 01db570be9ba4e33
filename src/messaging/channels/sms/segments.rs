//! How long a text message is on the air. One character outside GSM 03.38 turns the whole of it to UCS-2, of which a
//! segment holds less than half as many.

use unicode_segmentation::UnicodeSegmentation;

/// Beyond so many segments a template is doubtful, and refused.
pub const MANY_SEGMENTS: u32 = 2;
pub const TOO_MANY_SEGMENTS: u32 = 4;
/// What a variable of a registered template may hold.
pub const LONGEST_VARIABLE: usize = 30;

/// The basic alphabet. Its extension costs two places.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION: &str = "^{}\\[]~|€\u{c}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Gsm7,
    Ucs2,
}

impl Encoding {
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Gsm7 => "gsm7",
            Encoding::Ucs2 => "ucs2",
        }
    }

    /// Places of a message that is one segment, and of each segment of a longer one.
    fn room(self) -> (u32, u32) {
        match self {
            Encoding::Gsm7 => (160, 153),
            Encoding::Ucs2 => (70, 67),
        }
    }
}

/// A text, measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub encoding: Encoding,
    /// Septets, or UTF-16 units.
    pub units: u32,
    pub segments: u32,
}

/// Measures a text as it will be sent.
pub fn measure(text: &str) -> Measured {
    let widths: Option<Vec<u32>> = text.chars().map(septets).collect();
    let (encoding, widths) = match widths {
        Some(widths) => (Encoding::Gsm7, widths),
        None => (Encoding::Ucs2, text.chars().map(|letter| letter.len_utf16() as u32).collect()),
    };
    let units: u32 = widths.iter().sum();
    let (alone, joined) = encoding.room();
    if units <= alone {
        return Measured { encoding, units, segments: 1 };
    }
    // What takes two places is never split between segments, so the last place of one may stay empty.
    let mut segments = 1;
    let mut used = 0;
    for width in widths {
        if used + width > joined {
            segments += 1;
            used = 0;
        }
        used += width;
    }
    Measured { encoding, units, segments }
}

fn septets(letter: char) -> Option<u32> {
    match () {
        () if BASIC.contains(letter) => Some(1),
        () if EXTENSION.contains(letter) => Some(2),
        () => None,
    }
}

/// As much of a text as so many UTF-16 units hold, cut between what a reader sees as letters.
pub fn cut(text: &str, most: usize) -> &str {
    let mut units = 0;
    for (at, letter) in text.grapheme_indices(true) {
        units += letter.encode_utf16().count();
        if units > most {
            return text[..at].trim_end();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> (&'static str, u32, u32) {
        let Measured { encoding, units, segments } = measure(text);
        (encoding.as_str(), units, segments)
    }

    #[test]
    fn texts_measure_as_the_table_says() {
        for (text, measured) in [
            (String::new(), ("gsm7", 0, 1)),
            ("a".repeat(160), ("gsm7", 160, 1)),
            ("a".repeat(161), ("gsm7", 161, 2)),
            ("a".repeat(306), ("gsm7", 306, 2)),
            ("a".repeat(307), ("gsm7", 307, 3)),
            ("€".repeat(80), ("gsm7", 160, 1)),
            ("€".repeat(81), ("gsm7", 162, 2)),
            ("€".repeat(153), ("gsm7", 306, 3)), // 76 in each, one place left empty
            ("क".repeat(70), ("ucs2", 70, 1)),
            ("क".repeat(71), ("ucs2", 71, 2)),
            ("क".repeat(134), ("ucs2", 134, 2)),
            ("क".repeat(135), ("ucs2", 135, 3)),
            ("😀".repeat(35), ("ucs2", 70, 1)),
            ("😀".repeat(67), ("ucs2", 134, 3)), // 33 in each: a pair is not split
            ("आपका कोड 123456 है। 5 मिनट में समाप्त।".into(), ("ucs2", 38, 1)),
            ("₹1250 paid".into(), ("ucs2", 10, 1)),
            ("it’s".into(), ("ucs2", 4, 1)),
            ("9 – 5".into(), ("ucs2", 5, 1)),
            ("^{}\\[]~|".into(), ("gsm7", 16, 1)),
            ("@shanti.nadi.health #482913".into(), ("gsm7", 27, 1)),
        ] {
            assert_eq!(told(&text), measured, "{text}");
        }
    }

    #[test]
    fn the_basic_alphabet_is_whole() {
        assert_eq!(BASIC.chars().count(), 127, "128 with the escape");
        assert!(BASIC.chars().all(|letter| !EXTENSION.contains(letter)));
    }

    #[test]
    fn a_name_is_cut_between_letters() {
        for (name, most, cut_to) in [
            ("Lakshmi", 30, "Lakshmi"),
            ("Lakshmi Menon", 8, "Lakshmi"),
            ("लक्ष्मी", 2, "ल"),
            ("லக்ஷ்மி", 3, "லக்"),
            ("👩‍⚕️ Asha", 4, ""),
            ("e\u{301}a", 1, ""),
        ] {
            assert_eq!(cut(name, most), cut_to, "{name}");
        }
    }

    /// The slow way: put letters into segments one after the other.
    fn reference(text: &str) -> (Encoding, u32) {
        let plain = text.chars().all(|c| BASIC.contains(c) || EXTENSION.contains(c));
        let width = |c: char| match plain {
            true => 1 + usize::from(EXTENSION.contains(c)),
            false => c.len_utf16(),
        };
        let (alone, joined) = if plain { (160, 153) } else { (70, 67) };
        let encoding = if plain { Encoding::Gsm7 } else { Encoding::Ucs2 };
        if text.chars().map(width).sum::<usize>() <= alone {
            return (encoding, 1);
        }
        let mut segments = vec![Vec::new()];
        for letter in text.chars() {
            let last: &mut Vec<char> = segments.last_mut().unwrap();
            if last.iter().copied().map(width).sum::<usize>() + width(letter) > joined {
                segments.push(vec![letter]);
            } else {
                last.push(letter);
            }
        }
        (encoding, segments.len() as u32)
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_slow_way(text in "[a-z€\\[\\]{}~ ]{0,700}|[कखगिा😀a ]{0,300}") {
            let measured = measure(&text);
            prop_assert_eq!((measured.encoding, measured.segments), reference(&text));
        }

        #[test]
        fn a_cut_text_fits_and_is_a_beginning(text in "\\PC{0,60}", most in 0usize..40) {
            let cut_text = cut(&text, most);
            prop_assert!(text.starts_with(cut_text));
            prop_assert!(cut_text.encode_utf16().count() <= most);
            let whole: Vec<&str> = text.graphemes(true).collect();
            let part: Vec<&str> = cut_text.graphemes(true).collect();
            prop_assert_eq!(&whole[..part.len()], &part[..]);
        }
    }
}
