//! The templates that every shop starts with. A shop may say them in its own words; it cannot remove them.

use crate::domain::template::Template;

/// A template that is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    /// To somebody who registered.
    Welcome,
    /// An order is confirmed.
    OrderConfirmed,
    /// An order was cancelled.
    OrderCancelled,
    /// Money went back.
    Refund,
}

macro_rules! template {
    ($name:literal) => {
        [
            include_str!(concat!("../../templates/", $name, ".subject.txt")),
            include_str!(concat!("../../templates/", $name, ".txt")),
            include_str!(concat!("../../templates/", $name, ".html")),
        ]
    };
}

impl BuiltIn {
    /// All of them, by name.
    pub(crate) const ALL: [Self; 4] = [Self::OrderCancelled, Self::OrderConfirmed, Self::Refund, Self::Welcome];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::OrderConfirmed => "order-confirmed",
            Self::OrderCancelled => "order-cancelled",
            Self::Refund => "refund",
        }
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Its words.
    pub(crate) fn template(self) -> Template {
        let [subject, text, html] = match self {
            Self::Welcome => template!("welcome"),
            Self::OrderConfirmed => template!("order-confirmed"),
            Self::OrderCancelled => template!("order-cancelled"),
            Self::Refund => template!("refund"),
        };
        Template { subject: subject.to_owned(), text: text.to_owned(), html: html.to_owned() }
    }
}
