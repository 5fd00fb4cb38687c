//! The addresses somebody keeps. Invariant: where there is one, exactly one is the default for each purpose.

use cartwright_vocabulary::Address;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most addresses that somebody may keep.
const MOST: usize = 20;

/// An address and what it is the default for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SavedAddress {
    /// The address.
    #[serde(flatten)]
    pub(crate) address: Address,
    /// Whether goods go here unless something else is said.
    #[serde(default)]
    pub(crate) default_shipping: bool,
    /// Whether bills go here unless something else is said.
    #[serde(default)]
    pub(crate) default_billing: bool,
}

/// Addresses, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AddressBook(Vec<SavedAddress>);

/// Why addresses cannot be kept; the pointer is relative to the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidAddressBook {
    pub(crate) pointer: String,
    pub(crate) detail: &'static str,
}

impl AddressBook {
    /// The addresses, if each could be used and none competes for being the default. The first one is the default where none is named.
    ///
    /// # Errors
    /// The first place that is wrong.
    pub(crate) fn checked(saved: Vec<SavedAddress>) -> Result<Self, InvalidAddressBook> {
        let wrong = |pointer: String, detail| InvalidAddressBook { pointer, detail };
        if saved.len() > MOST {
            return Err(wrong(String::new(), "at most 20 addresses"));
        }
        let mut book = Vec::with_capacity(saved.len());
        for (place, SavedAddress { address, default_shipping, default_billing }) in saved.into_iter().enumerate() {
            let address =
                address.checked().map_err(|invalid| wrong(format!("/{place}/{}", invalid.field), invalid.detail))?;
            book.push(SavedAddress { address, default_shipping, default_billing });
        }
        one_default(&mut book, |saved| &mut saved.default_shipping)
            .map_err(|place| wrong(format!("/{place}/defaultShipping"), "another address is the default already"))?;
        one_default(&mut book, |saved| &mut saved.default_billing)
            .map_err(|place| wrong(format!("/{place}/defaultBilling"), "another address is the default already"))?;
        Ok(Self(book))
    }

    /// The addresses.
    pub(crate) fn saved(&self) -> &[SavedAddress] {
        &self.0
    }
}

/// Leaves exactly one default; gives the place of a second one.
fn one_default(book: &mut [SavedAddress], mut flag: impl FnMut(&mut SavedAddress) -> &mut bool) -> Result<(), usize> {
    let mut named = None;
    for (place, saved) in book.iter_mut().enumerate() {
        if *flag(saved) && named.replace(place).is_some() {
            return Err(place);
        }
    }
    if let (None, Some(first)) = (named, book.first_mut()) {
        *flag(first) = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(city: &str, default_shipping: bool) -> SavedAddress {
        let text = |text: &str| text.to_owned();
        let address = Address {
            name: text("Ada"),
            line1: text("1 Main St"),
            line2: None,
            city: text(city),
            region: None,
            postal_code: text("10115"),
            country: text("DE"),
            phone: None,
        };
        SavedAddress { address, default_shipping, default_billing: false }
    }

    #[test]
    fn the_first_address_is_the_default_where_none_is_named() {
        let book = AddressBook::checked(vec![saved("Bonn", false), saved("Ulm", true)]).unwrap();
        let defaults: Vec<_> = book.saved().iter().map(|it| (it.default_shipping, it.default_billing)).collect();
        assert_eq!(defaults, [(false, true), (true, false)]);
    }

    #[test]
    fn two_defaults_and_an_unusable_address_are_refused_with_their_place() {
        let two = AddressBook::checked(vec![saved("Bonn", true), saved("Ulm", true)]).unwrap_err();
        assert_eq!(two.pointer, "/1/defaultShipping");
        assert_eq!(AddressBook::checked(vec![saved(" ", true)]).unwrap_err().pointer, "/0/city");
        assert!(AddressBook::checked(vec![saved("Bonn", false); 21]).is_err());
    }
}
