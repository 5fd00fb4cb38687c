//! The settings of each service, as they follow from those of the shop.

use cartwright_auth::Pepper;

use super::Settings;

impl Settings {
    /// What each service is told.
    pub fn services(&self) -> crate::shop::Settings {
        crate::shop::Settings {
            auth: cartwright_auth::Settings {
                jwt_secret: self.jwt_secret.clone(),
                jwt_expires_in: self.jwt_expires_in,
                password_min: self.password_min,
                pepper: self.password_pepper.clone().map(|(id, key)| Pepper { id, key }),
                exempt_loopback: self.exempt_loopback,
                allowed_origins: self.origins(),
                ..cartwright_auth::Settings::default()
            },
            product: cartwright_product::Settings {
                index_dir: Some(self.search_index()),
                currency: self.currency,
                fresh_for: self.places.prices_fresh_for,
            },
            inventory: cartwright_inventory::Settings {
                hold_ttl: self.hold_ttl(),
                ..cartwright_inventory::Settings::default()
            },
            payment: cartwright_payment::Settings::default(),
            order: cartwright_order::Settings { payment_deadline: self.payment_deadline, currency: self.currency },
            notification: cartwright_notification::Settings {
                shop_name: self.shop_name.clone(),
                from: self.mail_from.clone(),
                base_url: self.base_url(),
            },
        }
    }

    /// How the sandbox payment provider finds its way back to the shop.
    pub fn sandbox(&self) -> cartwright_payment_sandbox::Settings {
        cartwright_payment_sandbox::Settings {
            public_url: self.base_url(),
            ..cartwright_payment_sandbox::Settings::default()
        }
    }
}
