//! Saves a template in the shop's own words.
//!
//! A template that cannot be compiled is refused; so is one in the place of a built-in that cannot be filled in with what
//! that one is told, since every order would stumble over it.

use cartwright_store::{Changes, Decision, Store};

use crate::documents::SavedTemplate;
use crate::domain::built_in::BuiltIn;
use crate::domain::template::Template;
use crate::domain::words::Shop;
use crate::error::NotificationError;

/// Saves `template` under `name`.
pub(crate) async fn save_template(
    store: &Store,
    shop: Shop<'_>,
    name: &str,
    template: &Template,
) -> Result<Decision<SavedTemplate>, NotificationError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(NotificationError::BadTemplateName);
    }
    template.check().map_err(NotificationError::BadTemplate)?;
    if let Some(built_in) = BuiltIn::named(name) {
        template.render(&shop.sample(built_in)).map_err(NotificationError::BadTemplate)?;
    }
    let before = store.get::<SavedTemplate>(name).await?;
    let saved = SavedTemplate { name: name.to_owned(), template: template.clone(), updated_at: store.clock().now() };
    let changes = Changes::new().save(&saved, before.map(|before| before.revision));
    Ok(Decision::new(changes, saved))
}
