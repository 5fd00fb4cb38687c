//! The scenarios that a shop must pass; they are in `tests/`, each a sentence.
