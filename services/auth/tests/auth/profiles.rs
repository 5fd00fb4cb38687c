//! One's own profile.

use serde_json::{Value, json};

use crate::desk::{Answer, Desk};

async fn patch(desk: &Desk, token: &str, body: Value) -> Answer {
    desk.call("PATCH", "/me", &[("authorization", &format!("Bearer {token}"))], Some(body)).await
}

fn address(city: &str) -> Value {
    json!({ "name": "Ada", "line1": "1 Main St", "city": city, "postalCode": "10115", "country": "de" })
}

#[tokio::test]
async fn a_profile_is_changed_field_by_field_and_kept() {
    let desk = Desk::open().await;
    let token = desk.register("ada@example.com").await.token();

    patch(&desk, &token, json!({ "name": "Ada", "phone": "+49 30 1" })).await.expect(200);
    patch(&desk, &token, json!({ "addresses": [address("Bonn"), address("Ulm")] })).await.expect(200);
    patch(&desk, &token, json!({ "notificationPreferences": { "marketing": true } })).await.expect(200);
    patch(&desk, &token, json!({ "phone": null })).await.expect(200);

    let me = desk.me(&token).await.expect(200).body;
    assert_eq!((&me["name"], &me["phone"]), (&json!("Ada"), &json!(null)));
    assert_eq!(me["notificationPreferences"], json!({ "email": true, "sms": false, "push": false, "marketing": true }));
    assert_eq!((&me["addresses"][0]["country"], &me["addresses"][1]["city"]), (&json!("DE"), &json!("Ulm")));
    let defaults =
        |place: usize| (&me["addresses"][place]["defaultShipping"], &me["addresses"][place]["defaultBilling"]);
    assert_eq!(defaults(0), (&json!(true), &json!(true)));
    assert_eq!(defaults(1), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_a_pointer_and_the_profile_is_as_before() {
    let desk = Desk::open().await;
    let token = desk.register("ada@example.com").await.token();
    let before = desk.me(&token).await.body;

    let mut double = [address("Bonn"), address("Ulm")];
    double.iter_mut().for_each(|address| address["defaultBilling"] = json!(true));
    for (body, pointer) in [
        (json!({ "addresses": [address("Bonn"), address(" ")] }), "/addresses/1/city"),
        (json!({ "addresses": double }), "/addresses/1/defaultBilling"),
        (json!({ "addresses": vec![address("Bonn"); 21] }), "/addresses"),
        (json!({ "name": "x".repeat(201) }), "/name"),
        (json!({ "phone": 7 }), "/phone"),
        (json!({ "name": "Eve", "notificationPreferences": { "sms": "yes" } }), "/notificationPreferences/sms"),
    ] {
        let refused = patch(&desk, &token, body).await.problem(400, "invalid_input");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
    assert_eq!(desk.me(&token).await.body, before);
}

#[tokio::test]
async fn without_a_token_there_is_no_profile_and_a_service_has_none() {
    let desk = Desk::open().await;

    let refused = desk.call("GET", "/me", &[], None).await.problem(401, "token_missing");
    assert_eq!(refused.headers["www-authenticate"], "Bearer");
    desk.me("x.y.z").await.problem(401, "invalid_token");
    let service = desk.auth.service_token("order", std::time::Duration::from_secs(60)).unwrap();
    desk.me(&service).await.problem(403, "forbidden");
}
