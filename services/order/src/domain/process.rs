//! The checkout process: hold stock, hold money, sell; or give both back.
//!
//! A stage and a piece of news give the next stage, or nothing where the news is old or cannot follow. Whatever order the
//! news arrives in, and however often, an order ends once and never leaves its end.

use cartwright_contracts::{Attempt, CancelReason};
use cartwright_runtime::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the checkout of an order stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Stage {
    /// Inventory was asked to hold its stock.
    HoldingStock,
    /// Its stock is held; payment was asked to hold its money.
    HoldingMoney,
    /// Its stock is held; the shopper has to do something about the money.
    AwaitingPayment {
        /// What.
        next_action: NextAction,
    },
    /// Sold: stock and money are held, and will be taken.
    Confirmed,
    /// Not sold: stock and money go back.
    Cancelled {
        /// Why.
        reason: CancelReason,
    },
}

/// What the shopper has to do, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum NextAction {
    /// Confirm the payment at the provider, for example by 3-D Secure.
    Authenticate {
        /// Where.
        url: String,
        /// After that the order is cancelled.
        #[schema(value_type = String, format = DateTime)]
        expires_at: Time,
    },
    /// Pay in another way: this one was declined.
    ChoosePaymentMethod {
        /// The provider's code.
        decline_code: String,
        /// After that the order is cancelled.
        #[schema(value_type = String, format = DateTime)]
        expires_at: Time,
    },
}

/// The state of an order as everybody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Stock and money are being held.
    Pending,
    /// The shopper has to do something.
    AwaitingPayment,
    /// Sold.
    Confirmed,
    /// Not sold.
    Cancelled,
}

/// Who cancels an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canceller {
    /// Its owner.
    Customer,
    /// The shop.
    Admin,
}

/// Something that happened to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// All its stock is held.
    StockReserved,
    /// Something was missing, nothing is held.
    StockRefused,
    /// Its money is held.
    Authorized(Attempt),
    /// An attempt was declined.
    Declined {
        /// Which attempt.
        attempt: Attempt,
        /// What the shopper has to do.
        next_action: NextAction,
    },
    /// An attempt needs a step of the shopper.
    ActionRequired {
        /// Which attempt.
        attempt: Attempt,
        /// What the shopper has to do.
        next_action: NextAction,
    },
    /// It was not paid in time.
    DeadlinePassed,
    /// Somebody cancels it.
    Cancelled(Canceller),
}

/// What the others are told when a stage was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Money is wanted.
    PaymentRequested,
    /// It is sold.
    Confirmed,
    /// It is not sold.
    Cancelled(CancelReason),
}

impl News {
    /// Which attempt it is about and how far that came; later news of a payment ranks higher.
    pub const fn rank(&self) -> Option<(Attempt, u8)> {
        match self {
            Self::ActionRequired { attempt, .. } => Some((*attempt, 1)),
            Self::Declined { attempt, .. } => Some((*attempt, 2)),
            Self::Authorized(attempt) => Some((*attempt, 3)),
            Self::StockReserved | Self::StockRefused | Self::DeadlinePassed | Self::Cancelled(_) => None,
        }
    }
}

impl Stage {
    /// The stage after `news`, or `None` where it changes nothing; `heard` ranks the last news of a payment.
    pub fn after(&self, news: &News, heard: (Attempt, u8)) -> Option<Self> {
        if news.rank().is_some_and(|rank| rank <= heard) {
            return None;
        }
        match (self, news) {
            (Self::HoldingStock, News::StockReserved) => Some(Self::HoldingMoney),
            (Self::HoldingStock, News::StockRefused) => Some(Self::Cancelled { reason: CancelReason::OutOfStock }),
            (Self::HoldingMoney | Self::AwaitingPayment { .. }, News::Authorized(_)) => Some(Self::Confirmed),
            (
                Self::HoldingMoney | Self::AwaitingPayment { .. },
                News::Declined { next_action, .. } | News::ActionRequired { next_action, .. },
            ) => Some(Self::AwaitingPayment { next_action: next_action.clone() }),
            (Self::HoldingStock | Self::HoldingMoney | Self::AwaitingPayment { .. }, News::DeadlinePassed) => {
                Some(Self::Cancelled { reason: self.reason_when_late() })
            }
            (
                Self::HoldingStock | Self::HoldingMoney | Self::AwaitingPayment { .. } | Self::Confirmed,
                News::Cancelled(who),
            ) => Some(Self::Cancelled { reason: who.reason() }),
            // Old news, or news after the end. The stock and payment services end their parts by themselves.
            (
                Self::HoldingMoney | Self::AwaitingPayment { .. } | Self::Confirmed | Self::Cancelled { .. },
                News::StockReserved | News::StockRefused,
            )
            | (
                Self::HoldingStock | Self::Confirmed | Self::Cancelled { .. },
                News::Authorized(_) | News::Declined { .. } | News::ActionRequired { .. },
            )
            | (Self::Confirmed | Self::Cancelled { .. }, News::DeadlinePassed)
            | (Self::Cancelled { .. }, News::Cancelled(_)) => None,
        }
    }

    /// What the others are told on reaching this stage.
    pub const fn announcement(&self) -> Option<Announcement> {
        match self {
            Self::HoldingMoney => Some(Announcement::PaymentRequested),
            Self::Confirmed => Some(Announcement::Confirmed),
            Self::Cancelled { reason } => Some(Announcement::Cancelled(*reason)),
            Self::HoldingStock | Self::AwaitingPayment { .. } => None,
        }
    }

    /// The state as everybody sees it.
    pub const fn status(&self) -> Status {
        match self {
            Self::HoldingStock | Self::HoldingMoney => Status::Pending,
            Self::AwaitingPayment { .. } => Status::AwaitingPayment,
            Self::Confirmed => Status::Confirmed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// Whether it is neither sold nor cancelled.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::HoldingStock | Self::HoldingMoney | Self::AwaitingPayment { .. })
    }

    /// Whether somebody who waits for the order should be answered now: it ended, or needs its shopper.
    pub const fn is_worth_telling(&self) -> bool {
        !matches!(self, Self::HoldingStock | Self::HoldingMoney)
    }

    /// Why it was cancelled.
    pub const fn reason(&self) -> Option<CancelReason> {
        match self {
            Self::Cancelled { reason } => Some(*reason),
            Self::HoldingStock | Self::HoldingMoney | Self::AwaitingPayment { .. } | Self::Confirmed => None,
        }
    }

    /// What the shopper has to do.
    pub const fn next_action(&self) -> Option<&NextAction> {
        match self {
            Self::AwaitingPayment { next_action } => Some(next_action),
            Self::HoldingStock | Self::HoldingMoney | Self::Confirmed | Self::Cancelled { .. } => None,
        }
    }

    const fn reason_when_late(&self) -> CancelReason {
        match self {
            Self::AwaitingPayment { next_action: NextAction::ChoosePaymentMethod { .. } } => {
                CancelReason::PaymentDeclined
            }
            Self::AwaitingPayment { next_action: NextAction::Authenticate { .. } }
            | Self::HoldingStock
            | Self::HoldingMoney
            | Self::Confirmed
            | Self::Cancelled { .. } => CancelReason::PaymentExpired,
        }
    }
}

impl Canceller {
    const fn reason(self) -> CancelReason {
        match self {
            Self::Customer => CancelReason::ByCustomer,
            Self::Admin => CancelReason::ByAdmin,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choose(code: &str) -> NextAction {
        NextAction::ChoosePaymentMethod { decline_code: code.to_owned(), expires_at: Time::from_millis(0) }
    }

    fn news() -> impl Strategy<Value = News> {
        prop_oneof![
            Just(News::StockReserved),
            Just(News::StockRefused),
            (1_u32..4).prop_map(News::Authorized),
            (1_u32..4).prop_map(|attempt| News::Declined { attempt, next_action: choose("x") }),
            (1_u32..4).prop_map(|attempt| News::ActionRequired { attempt, next_action: choose("y") }),
            Just(News::DeadlinePassed),
            Just(News::Cancelled(Canceller::Customer)),
        ]
    }

    proptest! {
        #[test]
        fn an_order_never_leaves_its_end_and_announces_it_once(all in prop::collection::vec(news(), 0..40)) {
            let (mut stage, mut heard, mut ends) = (Stage::HoldingStock, (0, 0), 0);
            for news in all {
                let Some(next) = stage.after(&news, heard) else { continue };
                prop_assert!(!matches!(stage, Stage::Cancelled { .. }), "left its end by {:?}", news);
                heard = news.rank().unwrap_or(heard);
                ends += u32::from(matches!(next.announcement(), Some(Announcement::Cancelled(_))));
                stage = next;
            }
            prop_assert!(ends <= 1);
        }
    }

    #[test]
    fn money_is_asked_for_only_when_stock_is_held() {
        assert_eq!(Stage::HoldingStock.after(&News::Authorized(1), (0, 0)), None);
        let holding = Stage::HoldingStock.after(&News::StockReserved, (0, 0)).unwrap();
        assert_eq!(holding.announcement(), Some(Announcement::PaymentRequested));
    }

    #[test]
    fn a_decline_of_an_older_attempt_changes_nothing() {
        let waiting = Stage::AwaitingPayment { next_action: choose("new") };
        let old = News::Declined { attempt: 1, next_action: choose("old") };
        assert_eq!(waiting.after(&old, (2, 1)), None);
    }

    #[test]
    fn an_unpaid_order_says_why_it_was_cancelled() {
        let declined = Stage::AwaitingPayment { next_action: choose("insufficient_funds") };
        let reason = |stage: Stage| stage.after(&News::DeadlinePassed, (0, 0)).unwrap().reason();
        assert_eq!(reason(declined), Some(CancelReason::PaymentDeclined));
        assert_eq!(reason(Stage::HoldingMoney), Some(CancelReason::PaymentExpired));
    }
}
