//! The shop that a verb speaks to: the running one, or the store itself where none runs.

use std::sync::Arc;

use anyhow::{Context, Result};
use cartwright::control::{Opened, Operator, ShopOperator, reach};
use cartwright::settings::Settings;

/// A shop to speak to. What was opened here is closed by [`Reached::leave`].
pub(crate) struct Reached {
    /// Does what is wished.
    pub(crate) operator: Arc<dyn Operator>,
    opened: Option<Opened>,
}

impl Reached {
    /// The running shop of `settings`, or its store, opened for this verb alone.
    ///
    /// # Errors
    /// When no shop runs and the store cannot be opened; the text says why, and how to mend it.
    pub(crate) async fn find(settings: &Settings) -> Result<Self> {
        if let Some(operator) = reach(&settings.control_socket()).await {
            return Ok(Self { operator, opened: None });
        }
        let opened = Opened::open(settings).await.context("no shop runs here, and its store cannot be opened")?;
        forget_socket(settings)?;
        let operator = ShopOperator::new(&opened.shop, settings.currency).context("only a part of the shop is here")?;
        Ok(Self { operator: Arc::new(operator), opened: Some(opened) })
    }

    /// Closes what was opened.
    pub(crate) async fn leave(self) {
        drop(self.operator);
        if let Some(opened) = self.opened {
            opened.close().await;
        }
    }
}

/// Removes the socket that a killed shop has left. Whoever has the store open knows that no shop runs.
fn forget_socket(settings: &Settings) -> Result<()> {
    match std::fs::remove_file(settings.control_socket()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}
