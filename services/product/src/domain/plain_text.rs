//! The text in a piece of HTML.
//!
//! Promises that what comes out holds no tag: descriptions are shown as text, and nothing in an import can run anywhere.

const BREAKS: [&str; 9] = ["br", "p", "div", "li", "ul", "ol", "tr", "h1", "h2"];

/// `html` without tags, its common entities resolved and its paragraphs on lines of their own.
pub(crate) fn plain_text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        text.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let Some(end) = rest.find('>') else {
            rest = "";
            break;
        };
        let (tag, opens) = rest[..end].strip_prefix('/').map_or((&rest[..end], true), |tag| (tag, false));
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        rest = &rest[end + 1..];
        if opens && (name == "script" || name == "style") {
            // What stands in them is no text for people.
            let close = rest.to_ascii_lowercase().find(&format!("</{name}"));
            rest = close.map_or("", |close| &rest[close..]);
        }
        if BREAKS.contains(&name.as_str()) {
            text.push('\n');
        }
    }
    text.push_str(rest);
    tidy(&entities(&text))
}

fn entities(text: &str) -> String {
    let named = [("&nbsp;", " "), ("&lt;", "‹"), ("&gt;", "›"), ("&quot;", "\""), ("&#39;", "'"), ("&apos;", "'")];
    let text = named.into_iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    text.replace("&amp;", "&")
}

fn tidy(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_paragraphs_and_entities_stay() {
        let html = "<p>Soft &amp; <b>warm</b></p><ul><li>wool</li><li>grey</li></ul>";
        assert_eq!(plain_text(html), "Soft & warm\nwool\ngrey");
    }

    #[test]
    fn nothing_that_could_run_is_left() {
        assert_eq!(plain_text("a<SCRIPT>if (1<2) alert(1)</script>b"), "ab");
        assert!(!plain_text("<img src=x onerror=alert(1)").contains("onerror"));
        assert!(!plain_text("&lt;script&gt;").contains('<'));
    }
}
