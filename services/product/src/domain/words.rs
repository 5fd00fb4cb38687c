//! Text as it is compared: words in lower case, without diacritics.
//!
//! What a shopper types and what a product says go through the same function, so `jalapeno` finds `Jalapeño`.

use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer};

/// The name under which the index knows [`analyzer`].
pub(crate) const ANALYZER: &str = "folded";

/// Bytes beyond which a word is no word that anybody looks for.
const LONGEST_WORD: usize = 60;

/// Cuts text into folded words.
pub(crate) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(LONGEST_WORD))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// The folded words of `text`, in order.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut analyzer = analyzer();
    let mut stream = analyzer.token_stream(text);
    let mut words = Vec::new();
    while stream.advance() {
        words.push(stream.token().text.clone());
    }
    words
}

/// The folded words with single spaces between them: what names are sorted and brands compared by.
pub(crate) fn fold(text: &str) -> String {
    words(text).join(" ")
}

/// The part of an address that names `text`: ASCII letters and digits with hyphens between, 80 at most; may be empty.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for word in words(text) {
        let word: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
        if word.is_empty() || slug.len() + word.len() > 79 {
            continue;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word);
    }
    slug
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diacritics_case_and_punctuation_make_no_difference() {
        assert_eq!(words("Jalapeño-Öl, CRÈME brûlée"), ["jalapeno", "ol", "creme", "brulee"]);
        assert_eq!(fold("  Atelier  BRUME "), "atelier brume");
    }

    #[test]
    fn a_slug_is_short_plain_ascii() {
        assert_eq!(slug("Café crème, 250 g"), "cafe-creme-250-g");
        assert_eq!(slug("烏龍茶"), "");
        assert!(slug(&"word ".repeat(50)).len() <= 80);
    }
}
