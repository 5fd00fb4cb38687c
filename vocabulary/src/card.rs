//! Card numbers, which never enter this system: finding one in what somebody sent.
//!
//! A card number is 13 to 19 digits whose last one is the Luhn check digit (ISO/IEC 7812). Identifiers and telephone
//! numbers in the international form are full of digits and are none.

/// The shortest and the longest card number (ISO/IEC 7812).
const SHORTEST: usize = 13;
const LONGEST: usize = 19;
/// Digits in one group of a number that is written in groups, like `4242 4242 4242 4242`.
const LARGEST_GROUP: usize = 7;
/// Hexadecimal words of this length and more are identifiers, not numbers.
const SHORTEST_ID: usize = 24;

/// Whether a card number stands anywhere in `bytes`, in one piece or in groups parted by single spaces or hyphens.
pub fn holds_card_number(bytes: &[u8]) -> bool {
    let words = words(bytes);
    words.iter().any(Word::holds_one) || words.chunk_by(|left, right| right.continues(left)).any(grouped)
}

/// Letters, digits and underscores in a row, with what stands before them.
struct Word<'a> {
    text: &'a [u8],
    at: usize,
    after_plus: bool,
    after_separator: bool,
}

fn words(bytes: &[u8]) -> Vec<Word<'_>> {
    let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut words = Vec::new();
    let mut at = 0_usize;
    for run in bytes.chunk_by(|left, right| of_word(left) == of_word(right)) {
        if run.first().is_some_and(of_word) {
            let before = at.checked_sub(1).and_then(|place| bytes.get(place));
            words.push(Word {
                text: run,
                at,
                after_plus: before == Some(&b'+'),
                after_separator: matches!(before, Some(b' ' | b'-')),
            });
        }
        at = at.saturating_add(run.len());
    }
    words
}

impl Word<'_> {
    fn holds_one(&self) -> bool {
        let digits = self.text.chunk_by(|left, right| left.is_ascii_digit() == right.is_ascii_digit());
        !self.after_plus && !self.is_id() && digits.into_iter().any(is_card_number)
    }

    /// An identifier: a long hexadecimal word that is not all digits, perhaps with a prefix like `ord_`.
    fn is_id(&self) -> bool {
        let prefix = self.text.iter().rposition(|byte| *byte == b'_').map_or(0, |place| place.saturating_add(1));
        let bare = self.text.get(prefix..).unwrap_or_default();
        let plain = bare.iter().all(u8::is_ascii_digit) && prefix == 0;
        bare.len() >= SHORTEST_ID && bare.iter().all(u8::is_ascii_hexdigit) && !plain
    }

    fn is_group(&self) -> bool {
        (2..=LARGEST_GROUP).contains(&self.text.len()) && self.text.iter().all(u8::is_ascii_digit)
    }

    /// Whether this is the next group of the number that `before` is a group of.
    fn continues(&self, before: &Self) -> bool {
        let next = before.at.saturating_add(before.text.len()).saturating_add(1);
        self.after_separator && self.at == next && self.is_group() && before.is_group()
    }
}

/// Whether some groups in a row make a card number; a telephone number (`+49 30 …`) is none.
fn grouped(groups: &[Word<'_>]) -> bool {
    if groups.first().is_some_and(|first| first.after_plus) {
        return false;
    }
    (0..groups.len()).any(|first| {
        let mut digits = Vec::with_capacity(LONGEST);
        groups.iter().skip(first).any(|group| {
            digits.extend_from_slice(group.text);
            is_card_number(&digits)
        })
    })
}

fn is_card_number(digits: &[u8]) -> bool {
    (SHORTEST..=LONGEST).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) && passes_luhn(digits)
}

/// The Luhn check (ISO/IEC 7812-1, annex B): every second digit from the right counts twice.
fn passes_luhn(digits: &[u8]) -> bool {
    let counted = digits.iter().rev().enumerate().map(|(place, byte)| {
        let digit = u32::from(byte.saturating_sub(b'0'));
        match (place & 1, digit) {
            (0, digit) => digit,
            (_, digit @ 0..=4) => digit.saturating_mul(2),
            (_, digit) => digit.saturating_mul(2).saturating_sub(9),
        }
    });
    counted.sum::<u32>().checked_rem(10) == Some(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn card_numbers_are_found_in_every_place_and_grouping() {
        for body in [
            r#"{"paymentMethod": "4242424242424242"}"#,
            r#"{"note": {"deep": ["4111 1111 1111 1111"]}}"#,
            r#"{"card": 378282246310005}"#,
            r#"{"card": "3782-822463-10005", "x": 1}"#,
            r#"{"card": "4222222222222"}"#,
            "pan=6011111111111117&cvc=123",
            "no. 12 4242 4242 4242 4242 12/30",
            "visa4242424242424242",
        ] {
            assert!(holds_card_number(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn what_only_looks_like_a_card_number_passes() {
        for body in [
            r#"{"orderId": "ord_01994242424242424242a1b2c3d4e5f6", "paymentMethod": "pm_card_visa"}"#,
            r#"{"id": "507f42424242424242424242"}"#,
            r#"{"id": "01994242-4242-7424-8242-424242424242"}"#,
            r#"{"card": "4242424242424241"}"#,
            r#"{"phone": "+4242424242424242"}"#,
            r#"{"phone": "+42 4242 4242 4242 42"}"#,
            r#"{"a": 42424242, "b": 42424242}"#,
            r#"{"long": "42424242424242424242424242424242"}"#,
            "",
        ] {
            assert!(!holds_card_number(body.as_bytes()), "{body}");
        }
    }

    proptest! {
        #[test]
        fn a_wrong_check_digit_is_no_card_number(digits in "[2-6][0-9]{11,17}", wrong in 1_u8..10) {
            let right = (b'0'..=b'9').find(|check| passes_luhn(&[digits.as_bytes(), &[*check]].concat())).unwrap();
            let other = b'0' + (right - b'0' + wrong) % 10;
            prop_assert!(holds_card_number(&[digits.as_bytes(), &[right]].concat()));
            prop_assert!(!holds_card_number(&[digits.as_bytes(), &[other]].concat()));
        }

        #[test]
        fn any_bytes_are_looked_through(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _found: bool = holds_card_number(&bytes);
        }
    }
}
