//! The same words, for mail programs that show HTML.

use html_escape::encode_text as escaped;

use super::language::Language;

/// A text as a page: an empty line parts paragraphs, a line that is an address, or ends with one after a colon, holds a
/// link.
pub fn of(text: &str, language: Language) -> String {
    let paragraphs: Vec<String> = text
        .trim()
        .split("\n\n")
        .map(|paragraph| {
            let lines: Vec<String> = paragraph.lines().map(line).collect();
            format!("<p>{}</p>", lines.join("<br>"))
        })
        .collect();
    format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"></head><body>{}</body></html>",
        language.as_str(),
        paragraphs.join("\n")
    )
}

fn line(line: &str) -> String {
    if let Some((words, address)) = line.rsplit_once(": ") {
        return format!("{}: {}", escaped(words), link(address));
    }
    link(line)
}

fn link(line: &str) -> String {
    let is_address = line.starts_with("https://") || line.starts_with("http://");
    if !is_address || line.contains(char::is_whitespace) {
        return escaped(line).into_owned();
    }
    let href = html_escape::encode_double_quoted_attribute(line);
    format!("<a href=\"{href}\">{}</a>", escaped(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_write_html() {
        let html =
            of("Dear <script>alert(1)</script>,\n\nhttps://a.example/?t=\"><b>", Language::En);

        assert!(!html.contains("<script>") && !html.contains("\"><b>"), "{html}");
    }

    #[test]
    fn paragraphs_lines_and_links_stay_what_they_are() {
        let html = of("a\nb & c\n\nhttps://a.example/?t=1", Language::Hi);

        assert!(html.contains("<html lang=\"hi\">"));
        assert!(html.contains("<p>a<br>b &amp; c</p>"), "{html}");
        assert!(html.contains("<a href=\"https://a.example/?t=1\">https://a.example/?t=1</a>"));
    }
}
