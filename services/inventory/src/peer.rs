//! Inventory as its peers ask it in the same process: one point read a product.

use async_trait::async_trait;
use cartwright_contracts::{Availability, PeerError, Stock};
use cartwright_store::Store;
use cartwright_vocabulary::ProductId;
use futures::future;

use crate::documents::StockLevel;

/// Answers from the levels.
pub(crate) struct LocalStock(pub(crate) Store);

#[async_trait]
impl Stock for LocalStock {
    async fn availability(&self, ids: &[ProductId]) -> Result<Vec<Availability>, PeerError> {
        let asked = ids.iter().map(|id| async move {
            let level = self.0.get::<StockLevel>(id.to_string()).await?;
            Ok(level.map_or_else(|| StockLevel::empty(*id), |level| level.doc).availability())
        });
        future::try_join_all(asked).await.map_err(|error| PeerError::store("inventory", &error))
    }
}
