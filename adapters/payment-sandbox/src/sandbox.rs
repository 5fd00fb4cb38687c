//! The sandbox itself: what each call of the port does to the book and the ledger.

use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cartwright_payment::{PaymentProvider, ProviderError, Standing};
use cartwright_runtime::Clock;
use cartwright_vocabulary::{Money, PaymentId, RefundId};

use crate::book::{Book, Charge, State};
use crate::ledger::{Effect, Ledger, LedgerEntry, LedgerError};
use crate::token::{Behaviour, CAPTURE_FAILS, REFUND_FAILS, behaviour_of};

/// How the sandbox behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address that shoppers reach the hosted page at, without a slash at the end: `http://localhost:3001`.
    pub public_url: String,
    /// Where the hosted page sends the shopper back to, if anywhere.
    pub return_url: Option<String>,
    /// How long `pm_sandbox_answersLate` is worked on.
    pub late_by: Duration,
    /// How long a lost answer is waited for before the connection counts as cut.
    pub cut_after: Duration,
    /// How long a shopper may take to approve.
    pub approve_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: "http://localhost:3001".to_owned(),
            return_url: None,
            late_by: Duration::from_secs(3),
            cut_after: Duration::from_secs(1),
            approve_within: Duration::from_secs(3600),
        }
    }
}

/// A payment provider that behaves as its tokens say. Cheap to clone; clones are one provider, and so are all that share a
/// ledger, in this process and others.
#[derive(Clone)]
pub struct Sandbox {
    clock: Clock,
    pub(crate) settings: Arc<Settings>,
    state: Arc<Mutex<Books>>,
}

struct Books {
    book: Book,
    ledger: Ledger,
}

impl Sandbox {
    /// The sandbox whose ledger is in `folder`, as it was left.
    ///
    /// # Errors
    /// When the ledger cannot be read or written; see [`LedgerError`].
    pub fn open(folder: &Path, clock: Clock, settings: Settings) -> Result<Self, LedgerError> {
        let state = Arc::new(Mutex::new(Books { book: Book::default(), ledger: Ledger::open(folder)? }));
        Ok(Self { clock, settings: Arc::new(settings), state })
    }

    /// What a charge is and where it stands, once that is on disk; `None` where there is none.
    pub(crate) async fn look(&self, key: PaymentId) -> Result<Option<Charge>, ProviderError> {
        self.change(key, |_| Ok(None)).await
    }

    /// The shopper's answer on the hosted page. Where the charge no longer waits for one, it stays as it is.
    pub(crate) async fn answer(&self, key: PaymentId, approved: bool) -> Result<Option<Charge>, ProviderError> {
        self.change(key, |charge| {
            let Some(Charge { state: State::ActionRequired(_), amount: Some(amount), method, .. }) = charge else {
                return Ok(None);
            };
            Ok(Some(if approved {
                Effect::Authorised { amount: *amount, method: method.clone() }
            } else {
                Effect::Declined { code: "authentication_failed".to_owned() }
            }))
        })
        .await
    }

    /// Lets time take its effect on the charge, then `decide`; gives the charge once all of that is on disk.
    async fn change(
        &self,
        key: PaymentId,
        decide: impl Fn(Option<&Charge>) -> Result<Option<Effect>, ProviderError>,
    ) -> Result<Option<Charge>, ProviderError> {
        let (charge, number, mut synced) = {
            let mut books = self.books();
            let Books { book, ledger } = &mut *books;
            let synced = ledger.synced();
            let mut turn = ledger.turn().map_err(unwritten)?;
            turn.news().map_err(unwritten)?.iter().for_each(|entry| book.apply(entry));
            let now = self.clock.now();
            let mut enter = |book: &mut Book, effect: Option<Effect>| {
                let Some(effect) = effect else { return Ok(()) };
                let entry = LedgerEntry { at: now, key, effect };
                turn.append(&entry).map_err(unwritten)?;
                book.apply(&entry);
                Ok::<_, ProviderError>(())
            };
            let overtaken = book.charge(key).and_then(|charge| charge.overtaken(now));
            enter(book, overtaken)?;
            let decided = decide(book.charge(key))?;
            enter(book, decided)?;
            (book.charge(key).cloned(), turn.number(), synced)
        };
        let on_disk = synced.wait_for(|done| *done >= number).await;
        on_disk.map(drop).map_err(unwritten)?;
        Ok(charge)
    }

    fn begin(&self, amount: Money, method: &str) -> Effect {
        let (now, method) = (self.clock.now(), method.to_owned());
        match behaviour_of(&method) {
            Behaviour::Succeeds | Behaviour::AnswerLost | Behaviour::RequestLost => {
                Effect::Authorised { amount, method }
            }
            Behaviour::Declines(code) => Effect::Declined { code: code.to_owned() },
            Behaviour::NeedsShopper => {
                Effect::ActionRequired { amount, method, expires_at: now.plus(self.settings.approve_within) }
            }
            Behaviour::AnswersLate => Effect::Pending { amount, method, until: now.plus(self.settings.late_by) },
        }
    }

    /// Whether this is the request of `key` that never arrives.
    fn is_lost(&self, key: PaymentId, method: &str) -> bool {
        let mut books = self.books();
        behaviour_of(method) == Behaviour::RequestLost
            && books.book.charge(key).is_none()
            && books.book.lost_once.insert(key)
    }

    async fn cut<T>(&self) -> Result<T, ProviderError> {
        self.clock.sleep(self.settings.cut_after).await;
        Err(ProviderError::Unknown("the connection was cut".to_owned()))
    }

    fn standing(&self, key: PaymentId, charge: &Charge) -> Standing {
        charge.standing(key, |key| format!("{}/payment/sandbox/{key}", self.settings.public_url))
    }

    fn stands(&self, key: PaymentId, charge: Option<Charge>) -> Result<Standing, ProviderError> {
        let charge = charge.ok_or_else(|| ProviderError::Refused("there is no such charge".to_owned()))?;
        Ok(self.standing(key, &charge))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unwritten(cause: impl Display) -> ProviderError {
    ProviderError::Unknown(format!("the sandbox provider's ledger cannot be written: {cause}"))
}

#[async_trait]
impl PaymentProvider for Sandbox {
    async fn authorise(&self, key: PaymentId, amount: Money, method: &str) -> Result<Standing, ProviderError> {
        if self.is_lost(key, method) {
            return self.cut().await;
        }
        let begun = AtomicBool::new(false);
        let charge = self.change(key, |charge| {
            begun.store(charge.is_none(), Ordering::Relaxed);
            Ok(charge.is_none().then(|| self.begin(amount, method)))
        });
        let charge = charge.await?;
        if begun.into_inner() && behaviour_of(method) == Behaviour::AnswerLost {
            return self.cut().await;
        }
        self.stands(key, charge)
    }

    async fn ask(&self, key: PaymentId) -> Result<Option<Standing>, ProviderError> {
        let charge = self.look(key).await?;
        Ok(charge.map(|charge| self.standing(key, &charge)))
    }

    async fn capture(&self, key: PaymentId, amount: Money) -> Result<Standing, ProviderError> {
        let charge = self
            .change(key, |charge| match charge {
                Some(Charge { state: State::Authorised, method, .. }) if method == CAPTURE_FAILS => {
                    Err(ProviderError::Refused("this card's money can never be taken".to_owned()))
                }
                Some(Charge { state: State::Authorised, amount: held, .. }) if *held == Some(amount) => {
                    Ok(Some(Effect::Captured { amount }))
                }
                Some(Charge { state: State::Authorised, .. }) => {
                    Err(ProviderError::Refused("another amount is held".to_owned()))
                }
                Some(_) | None => Ok(None),
            })
            .await?;
        self.stands(key, charge)
    }

    async fn void(&self, key: PaymentId) -> Result<Standing, ProviderError> {
        let charge = self
            .change(key, |charge| match charge.map(|charge| &charge.state) {
                None | Some(State::ActionRequired(_) | State::Authorised) => Ok(Some(Effect::Voided)),
                Some(State::Pending(_)) => Err(ProviderError::Refused("it is being worked on".to_owned())),
                Some(State::Declined(_) | State::Captured | State::Voided) => Ok(None),
            })
            .await?;
        self.stands(key, charge)
    }

    async fn refund(&self, key: PaymentId, refund: RefundId, amount: Money) -> Result<(), ProviderError> {
        let refuse = |why: &str| Err(ProviderError::Refused(why.to_owned()));
        let made = self.change(key, |charge| {
            let Some(charge) = charge else { return refuse("there is no such charge") };
            if charge.refunds.contains_key(&refund) {
                return Ok(None);
            }
            match charge.refundable() {
                Some(_) if charge.method == REFUND_FAILS => refuse("this card takes no money back"),
                Some(left) if amount.currency() == left.currency() && (1..=left.minor()).contains(&amount.minor()) => {
                    Ok(Some(Effect::Refunded { refund, amount }))
                }
                Some(_) => refuse("more than is left of what was captured"),
                None => refuse("nothing was captured"),
            }
        });
        made.await.map(drop)
    }
}
