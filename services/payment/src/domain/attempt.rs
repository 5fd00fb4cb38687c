//! One attempt to pay an order, under a key that never changes.
//!
//! Promises that a later state is never overwritten by an earlier one, whatever the provider says when (R-W 5).

use cartwright_runtime::Time;
use cartwright_vocabulary::PaymentId;
use serde::{Deserialize, Serialize};

/// One attempt to pay an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its id, which is also the key that the provider knows it by.
    pub payment: PaymentId,
    /// Which attempt of its order it is, counted from 1.
    pub number: u32,
    /// The provider's token for how it is paid.
    pub method: String,
    /// How far it came.
    pub state: AttemptState,
    /// The provider's own name of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Why it failed, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// Where the shopper takes the step that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Until when the shopper may take that step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_expires_at: Option<Time>,
    /// When it was written down.
    pub started_at: Time,
    /// When its state last changed.
    pub changed_at: Time,
    /// The fence under which the provider first hears of it. Under any later one it may have heard of it, and is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_fence: Option<u64>,
    /// The provider contradicted what was expected of it: it is asked where it stands before anything else.
    #[serde(default)]
    pub in_doubt: bool,
    /// The provider had never heard of it when the order was closed: it is to be told never to begin.
    #[serde(default)]
    pub unheard: bool,
    /// The shop gave it up while it waited for the shopper.
    #[serde(default)]
    pub given_up: bool,
    /// When taking the money was first tried in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_failing_since: Option<Time>,
    /// The money could not be taken; somebody has to look at it.
    #[serde(default)]
    pub capture_failed: bool,
}

/// How far an attempt came, in the order of its ranks; the last two are ends without money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// The provider was or will be told; its answer is not known yet.
    Processing,
    /// The shopper must take a step.
    RequiresAction,
    /// The money is held.
    Authorized,
    /// The money was taken.
    Captured,
    /// The money was held and is no longer.
    Voided,
    /// The money was never held and never will be.
    Failed,
}

impl AttemptState {
    /// Whether the attempt holds money or took it.
    pub const fn has_money(self) -> bool {
        matches!(self, Self::Authorized | Self::Captured)
    }

    /// Whether the attempt may still come to hold money.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Processing | Self::RequiresAction)
    }
}

/// Where an attempt stands with the provider, in the provider's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The provider works on it.
    Pending,
    /// The shopper must take a step at `url`.
    ActionRequired {
        /// Where.
        url: String,
        /// Until when.
        expires_at: Option<Time>,
    },
    /// The money is held.
    Authorised {
        /// The provider's own name of the attempt.
        reference: String,
    },
    /// It was declined, or given up by the shopper.
    Declined {
        /// Why, for example `insufficient_funds`.
        code: String,
    },
    /// The money was taken.
    Captured {
        /// The provider's own name of the attempt.
        reference: String,
    },
    /// It holds nothing and never will again.
    Voided,
}

/// What a standing made of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing new.
    Same,
    /// It waits for the shopper now.
    NeedsShopper,
    /// Its money is held now.
    Held,
    /// Its money was taken; `held_too` where nobody knew before that it was held.
    Taken {
        /// Whether the holding is news as well.
        held_too: bool,
    },
    /// Its money is held no longer.
    LetGo,
    /// It ended without money.
    Failed,
    /// What cannot follow from where it stood.
    Contradiction,
}

impl Attempt {
    /// An attempt that nobody was told of yet.
    pub const fn new(payment: PaymentId, number: u32, method: String, now: Time) -> Self {
        Self {
            payment,
            number,
            method,
            state: AttemptState::Processing,
            reference: None,
            decline_code: None,
            url: None,
            url_expires_at: None,
            started_at: now,
            changed_at: now,
            first_fence: None,
            in_doubt: false,
            unheard: false,
            given_up: false,
            capture_failing_since: None,
            capture_failed: false,
        }
    }

    /// Ends it without money.
    pub fn fail(&mut self, code: &str, now: Time) {
        self.decline_code = Some(code.to_owned());
        self.enter(AttemptState::Failed, now);
    }

    /// Takes over where the provider says that it stands.
    pub fn stands(&mut self, standing: Standing, now: Time) -> Turn {
        self.in_doubt = false;
        self.unheard = false;
        match standing {
            Standing::Pending => Turn::Same,
            Standing::ActionRequired { url, expires_at } => self.needs_shopper(url, expires_at, now),
            Standing::Authorised { reference } => self.holds(reference, now),
            Standing::Captured { reference } => self.took(reference, now),
            Standing::Declined { code } => self.declined(&code, now),
            Standing::Voided => self.let_go(now),
        }
    }

    fn needs_shopper(&mut self, url: String, expires_at: Option<Time>, now: Time) -> Turn {
        if !self.state.is_open() {
            return Turn::Same;
        }
        let news = self.state == AttemptState::Processing;
        (self.url, self.url_expires_at) = (Some(url), expires_at);
        if news {
            self.enter(AttemptState::RequiresAction, now);
        }
        if news { Turn::NeedsShopper } else { Turn::Same }
    }

    fn holds(&mut self, reference: String, now: Time) -> Turn {
        match self.state {
            AttemptState::Processing | AttemptState::RequiresAction => {
                self.reference = Some(reference);
                self.enter(AttemptState::Authorized, now);
                Turn::Held
            }
            AttemptState::Authorized | AttemptState::Captured => Turn::Same,
            AttemptState::Voided | AttemptState::Failed => Turn::Contradiction,
        }
    }

    fn took(&mut self, reference: String, now: Time) -> Turn {
        let held_too = self.state.is_open();
        match self.state {
            AttemptState::Processing | AttemptState::RequiresAction | AttemptState::Authorized => {
                self.reference = Some(reference);
                self.enter(AttemptState::Captured, now);
                Turn::Taken { held_too }
            }
            AttemptState::Captured => Turn::Same,
            AttemptState::Voided | AttemptState::Failed => Turn::Contradiction,
        }
    }

    fn declined(&mut self, code: &str, now: Time) -> Turn {
        match self.state {
            AttemptState::Processing | AttemptState::RequiresAction => {
                self.fail(code, now);
                Turn::Failed
            }
            AttemptState::Failed => Turn::Same,
            AttemptState::Authorized | AttemptState::Captured | AttemptState::Voided => Turn::Contradiction,
        }
    }

    fn let_go(&mut self, now: Time) -> Turn {
        match self.state {
            AttemptState::Processing | AttemptState::RequiresAction => {
                self.fail("canceled", now);
                Turn::Failed
            }
            AttemptState::Authorized => {
                self.enter(AttemptState::Voided, now);
                Turn::LetGo
            }
            AttemptState::Voided | AttemptState::Failed => Turn::Same,
            AttemptState::Captured => Turn::Contradiction,
        }
    }

    fn enter(&mut self, state: AttemptState, now: Time) {
        if state != AttemptState::RequiresAction {
            (self.url, self.url_expires_at) = (None, None);
        }
        self.state = state;
        self.changed_at = now;
    }
}
