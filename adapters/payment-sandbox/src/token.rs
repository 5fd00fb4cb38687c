//! The tokens that the sandbox takes, and what each does. The README lists them for people.

/// What happens to a charge with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// The money is held at once.
    Succeeds,
    /// It is declined with this code.
    Declines(&'static str),
    /// The shopper must approve it on the hosted page.
    NeedsShopper,
    /// The money is held, and the answer never comes.
    AnswerLost,
    /// The first request never arrives; asked again, the money is held.
    RequestLost,
    /// It is worked on for some seconds before the money is held.
    AnswersLate,
}

const TOKENS: &[(&str, Behaviour)] = &[
    ("pm_card_visa", Behaviour::Succeeds),
    ("pm_card_mastercard", Behaviour::Succeeds),
    ("pm_card_amex", Behaviour::Succeeds),
    ("pm_card_chargeDeclined", Behaviour::Declines("generic_decline")),
    ("pm_card_chargeDeclinedInsufficientFunds", Behaviour::Declines("insufficient_funds")),
    ("pm_card_chargeDeclinedLostCard", Behaviour::Declines("lost_card")),
    ("pm_card_chargeDeclinedStolenCard", Behaviour::Declines("stolen_card")),
    ("pm_card_chargeDeclinedExpiredCard", Behaviour::Declines("expired_card")),
    ("pm_card_chargeDeclinedIncorrectCvc", Behaviour::Declines("incorrect_cvc")),
    ("pm_card_chargeDeclinedProcessingError", Behaviour::Declines("processing_error")),
    ("pm_card_authenticationRequired", Behaviour::NeedsShopper),
    ("pm_sandbox_timeoutAfterCharge", Behaviour::AnswerLost),
    ("pm_sandbox_timeoutBeforeCharge", Behaviour::RequestLost),
    ("pm_sandbox_answersLate", Behaviour::AnswersLate),
    (CAPTURE_FAILS, Behaviour::Succeeds),
    (REFUND_FAILS, Behaviour::Succeeds),
];

/// The money is held and can never be taken.
pub(crate) const CAPTURE_FAILS: &str = "pm_sandbox_captureFails";
/// The money is taken and can never be given back.
pub(crate) const REFUND_FAILS: &str = "pm_sandbox_refundFails";

/// What `token` does; what is not on the list is declined.
pub(crate) fn behaviour_of(token: &str) -> Behaviour {
    let known = TOKENS.iter().find(|(name, _)| *name == token);
    known.map_or(Behaviour::Declines("invalid_payment_method"), |(_, behaviour)| *behaviour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_token() {
        let readme = include_str!("../README.md");
        for (token, _) in TOKENS {
            assert!(readme.contains(&format!("`{token}`")), "{token}");
        }
    }

    #[test]
    fn an_unknown_token_is_declined() {
        assert_eq!(behaviour_of("pm_card_vis"), Behaviour::Declines("invalid_payment_method"));
        assert_eq!(behaviour_of("pm_card_visa"), Behaviour::Succeeds);
    }
}
