//! Postal addresses.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where something is sent or billed to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    /// Who lives there.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// Flat, floor, care of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// City.
    pub city: String,
    /// State, province or region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Postal code.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2 code.
    pub country: String,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// A field of an address that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct InvalidAddress {
    /// The field's name in JSON.
    pub field: &'static str,
    /// What is wrong with it.
    pub detail: &'static str,
}

impl Address {
    /// The address with white space trimmed, if a carrier could use it.
    ///
    /// # Errors
    /// The first field that is missing, too long, or no country.
    pub fn checked(mut self) -> Result<Self, InvalidAddress> {
        for text in [&mut self.name, &mut self.line1, &mut self.city, &mut self.postal_code, &mut self.country] {
            *text = text.trim().to_owned();
        }
        self.country = self.country.to_uppercase();
        let needed =
            [("name", &self.name), ("line1", &self.line1), ("city", &self.city), ("postalCode", &self.postal_code)];
        for (field, text) in needed {
            if text.is_empty() {
                return Err(InvalidAddress { field, detail: "must not be empty" });
            }
            check_text(field, text)?;
        }
        for (field, text) in [("line2", &self.line2), ("region", &self.region), ("phone", &self.phone)] {
            text.as_deref().map_or(Ok(()), |text| check_text(field, text))?;
        }
        if !COUNTRIES.as_bytes().chunks(2).any(|code| code == self.country.as_bytes()) {
            return Err(InvalidAddress {
                field: "country",
                detail: "an ISO 3166-1 alpha-2 code is needed, for example DE",
            });
        }
        Ok(self)
    }
}

fn check_text(field: &'static str, text: &str) -> Result<(), InvalidAddress> {
    if text.chars().count() > 200 {
        return Err(InvalidAddress { field, detail: "at most 200 characters" });
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidAddress { field, detail: "no control characters" });
    }
    Ok(())
}

/// Printed as a placeholder: addresses do not belong into logs.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[address]")
    }
}

/// The officially assigned codes of ISO 3166-1 alpha-2, end to end.
const COUNTRIES: &str = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW";

#[cfg(test)]
mod tests {
    use super::*;

    fn address(country: &str, city: &str) -> Address {
        let text = |text: &str| text.to_owned();
        Address {
            name: text("Ada"),
            line1: text("1 Main St"),
            line2: None,
            city: text(city),
            region: None,
            postal_code: text("10115"),
            country: text(country),
            phone: None,
        }
    }

    #[test]
    fn a_country_that_is_none_and_an_empty_city_are_refused() {
        assert_eq!(address("de", " Berlin ").checked().unwrap(), address("DE", "Berlin"));
        assert_eq!(address("XX", "Berlin").checked().unwrap_err().field, "country");
        assert_eq!(address("DE", " ").checked().unwrap_err().field, "city");
    }

    #[test]
    fn there_are_249_countries() {
        assert_eq!(COUNTRIES.len(), 2 * 249);
    }
}
