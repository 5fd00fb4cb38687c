//! What a shop is for.

use cartwright::role::Role;
use serde_json::{Value, json};

use crate::calls::{Caller, order_body, text, until};
use crate::town::{Evidence, Town, plan, rabbitmq, redis};

#[tokio::test]
async fn a_shop_of_processes_sells_over_rabbitmq_and_mutual_tls() {
    let folder = Evidence::new();
    let (plan, _rabbit) = rabbitmq(plan(&folder).await).await;
    sells(Town::open(plan.lay_out()).await).await;
}

#[tokio::test]
async fn a_shop_of_three_processes_on_one_machine_sells_over_redis_without_certificates() {
    let folder = Evidence::new();
    let (plan, _redis) = redis(plan(&folder).await).await;
    let front = [Role::Auth, Role::Cart, Role::Product];
    let back = [Role::Inventory, Role::Payment, Role::Order, Role::Notification];
    sells(Town::open(plan.grouped(&[&front, &back]).lay_out()).await).await;
}

async fn sells(town: Town) {
    let base = town.cluster.base();
    let anonymous = Caller::anonymous(&base);
    let health = anonymous.get("/health").await;
    for role in Role::ALL {
        assert_eq!(health["services"][role.name()]["database"], "connected", "{health}");
    }
    let ada = json!({"email": "ada@example.com", "password": "a fine password 7", "name": "Ada"});
    let registered = anonymous.post("/auth/register", &ada).await.expect(201);
    let ada = anonymous.with_token(&text(&registered["token"]), &text(&registered["user"]["id"]));
    let body = json!({"productId": town.products[0], "quantity": 2});
    ada.post("/cart/add-to-cart", &body).await.expect(200);

    let order = ada.post("/order/create-order", &order_body("pm_card_visa")).await.expect(201);

    assert_eq!(order["status"], "confirmed", "{order}");
    assert_eq!(ada.orders().await, vec![order.clone()]);
    until("the cart is empty", async || (ada.cart().await["items"] == json!([])).then_some(())).await;
    until("the mail is there", async || mails_of(&town, &order)).await;
    town.holds().await;
    assert_eq!(town.sold().await, [2, 0, 0, 0]);
    town.close().await;
}

/// Something, where the shared mailbox tells of the order once.
fn mails_of(town: &Town, order: &Value) -> Option<()> {
    let number = text(&order["orderNumber"]);
    let mails = std::fs::read_dir(town.cluster.shared().join("mail")).unwrap();
    let mails = mails.filter_map(|it| std::fs::read_to_string(it.unwrap().path()).ok());
    let told = mails.filter(|mail| mail.contains(&format!("{number} at Cartwright is confirmed"))).count();
    assert!(told <= 1, "{told} mails");
    (told == 1).then_some(())
}
