//! What can go wrong between two services, whatever lies between them.

use cartwright_store::StoreError;

/// A peer did not answer the question.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{peer} does not answer: {cause}")]
pub struct PeerError {
    /// Which service was asked.
    pub peer: &'static str,
    /// Why there was no answer, for the log.
    pub cause: String,
}

impl PeerError {
    /// `peer`'s store did not answer it.
    pub fn store(peer: &'static str, error: &StoreError) -> Self {
        Self { peer, cause: error.to_string() }
    }
}
