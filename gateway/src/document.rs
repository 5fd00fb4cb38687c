//! One OpenAPI document out of those of the services, or the checked-in one where services run elsewhere.
//!
//! Promises that each path stands where the gateway serves it, that no two operations share an id, and that a schema keeps
//! its meaning: one name for two different schemas becomes two names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::aliases;

const SCHEMAS: &str = "#/components/schemas/";

/// The public contract, as a shop in one process writes it down. The services elsewhere are of this version too.
const CHECKED_IN: &str = include_str!("../../openapi/gateway.json");

/// The checked-in document of the whole contract, for the shop of this name.
pub(crate) fn checked_in(shop: &str, version: &str) -> serde_json::Result<Value> {
    let mut document: Value = serde_json::from_str(CHECKED_IN)?;
    document["info"]["title"] = title(shop);
    document["info"]["version"] = version.into();
    Ok(document)
}

fn title(shop: &str) -> Value {
    format!("{shop} API").into()
}

/// A service's own document, with paths as the service has them.
pub(crate) struct Part {
    pub(crate) service: String,
    pub(crate) document: Value,
}

/// The gateway's own operations, under no prefix, and the services' under theirs.
pub(crate) fn merge(shop: &str, version: &str, own: Value, parts: Vec<Part>) -> Value {
    let tags: Vec<Value> = parts.iter().map(|part| json!({"name": part.service})).collect();
    let mut parts = parts;
    parts.insert(0, Part { service: "gateway".to_owned(), document: own });
    give_clashing_schemas_two_names(&mut parts);

    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for (place, part) in parts.into_iter().enumerate() {
        let prefix = if place == 0 { String::new() } else { format!("/{}", part.service) };
        add_paths(&mut paths, &prefix, &part);
        schemas.extend(schemas_of(&part.document).map(|(name, schema)| (name.clone(), schema.clone())));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title(shop),
            "version": version,
            "description": "Carts, prices, stock, payments and orders. Money is an exact decimal number beside its \
                currency. Every refusal is an RFC 9457 document; its codes are listed at /docs/problems.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    })
}

fn add_paths(paths: &mut Map<String, Value>, prefix: &str, part: &Part) {
    for (path, item) in fields(&part.document, "/paths") {
        let mut item = item.clone();
        for operation in operations(&mut item) {
            adorn(operation, &part.service);
        }
        if aliases::is_alias(&part.service, path) {
            drop(paths.insert(path.clone(), unprefixed(&item)));
        }
        drop(paths.insert(format!("{prefix}{path}"), item));
    }
}

/// Gives an operation an id that is the service's own, the service's tag, and what every operation may answer.
fn adorn(operation: &mut Map<String, Value>, service: &str) {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or("unnamed");
    let id = if id.starts_with(service) { id.to_owned() } else { format!("{service}{}", capitalised(id)) };
    drop(operation.insert("operationId".to_owned(), Value::String(id)));
    if !operation.get("tags").is_some_and(Value::is_array) {
        drop(operation.insert("tags".to_owned(), json!([service])));
    }
    if let Some(responses) = operation.entry("responses").or_insert_with(|| json!({})).as_object_mut()
        && !responses.contains_key("default")
    {
        drop(responses.insert(
            "default".to_owned(),
            json!({
                "description": "Why the request was refused.",
                "content": {"application/problem+json": {"schema": {"$ref": format!("{SCHEMAS}Problem")}}},
            }),
        ));
    }
}

/// The part of `item` that is also served without the prefix: its reads, under ids of their own.
fn unprefixed(item: &Value) -> Value {
    let mut item = item.clone();
    if let Some(item) = item.as_object_mut() {
        item.retain(|method, _| !METHODS.contains(&method.as_str()) || method == "get" || method == "head");
    }
    for operation in operations(&mut item) {
        if let Some(Value::String(id)) = operation.get_mut("operationId") {
            id.push_str("Unprefixed");
        }
    }
    item
}

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

fn operations(item: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let fields = item.as_object_mut().into_iter().flatten();
    fields
        .filter(|(method, _)| METHODS.contains(&method.as_str()))
        .filter_map(|(_, operation)| operation.as_object_mut())
}

/// Where services mean different things by one name, each gets the service's name before it.
fn give_clashing_schemas_two_names(parts: &mut [Part]) {
    let clashing = clashing(parts);
    for part in parts {
        let rename = |name: &str| format!("{}{name}", capitalised(&part.service));
        if let Some(Value::Object(schemas)) = part.document.pointer_mut("/components/schemas") {
            let renamed = std::mem::take(schemas).into_iter().map(|(name, schema)| {
                let name = if clashing.contains(&name) { rename(&name) } else { name };
                (name, schema)
            });
            *schemas = renamed.collect();
        }
        rewrite(&mut part.document, &|text| {
            let name = text.strip_prefix(SCHEMAS)?;
            clashing.contains(name).then(|| format!("{SCHEMAS}{}", rename(name)))
        });
    }
}

/// Names that stand for different schemas, and names of schemas that refer to such and so differ as well.
fn clashing(parts: &[Part]) -> BTreeSet<String> {
    let mut meanings: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for part in parts {
        for (name, schema) in schemas_of(&part.document) {
            meanings.entry(name).or_default().push(schema);
        }
    }
    meanings.retain(|_, schemas| schemas.len() > 1);
    let differ = |schemas: &[&Value]| schemas.iter().any(|schema| *schema != schemas[0]);
    let mut clashing: BTreeSet<String> =
        meanings.iter().filter(|(_, schemas)| differ(schemas)).map(|(name, _)| (*name).to_owned()).collect();
    loop {
        let refers = |schema: &Value| {
            let text = schema.to_string();
            clashing.iter().any(|name| text.contains(&format!("\"{SCHEMAS}{name}\"")))
        };
        let more: Vec<String> = meanings
            .iter()
            .filter(|(name, schemas)| !clashing.contains(**name) && refers(schemas[0]))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        if more.is_empty() {
            return clashing;
        }
        clashing.extend(more);
    }
}

fn rewrite(value: &mut Value, with: &impl Fn(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = with(text) {
                *text = new;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rewrite(value, with)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rewrite(value, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn schemas_of(document: &Value) -> impl Iterator<Item = (&String, &Value)> {
    fields(document, "/components/schemas")
}

fn fields<'a>(document: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    document.pointer(pointer).and_then(Value::as_object).into_iter().flatten()
}

/// `create_order` and `createOrder` as `CreateOrder`.
fn capitalised(name: &str) -> String {
    let words = name.split('_').filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(service: &str, schemas: Value) -> Part {
        let get =
            json!({"get": {"operationId": "read_item", "responses": {"200": {"$ref": "#/components/schemas/Page"}}}});
        let document = json!({"paths": {"/item": get}, "components": {"schemas": schemas}});
        Part { service: service.to_owned(), document }
    }

    fn merged(parts: Vec<Part>) -> Value {
        merge("Shop", "1", json!({"paths": {}}), parts)
    }

    #[test]
    fn one_name_for_two_schemas_becomes_two_names_and_so_does_what_refers_to_it() {
        let page = json!({"items": {"$ref": "#/components/schemas/Item"}});
        let document = merged(vec![
            part("cart", json!({"Item": {"type": "string"}, "Page": page, "Same": {"type": "null"}})),
            part("order", json!({"Item": {"type": "number"}, "Page": page, "Same": {"type": "null"}})),
        ]);
        let schemas: Vec<&String> = schemas_of(&document).map(|(name, _)| name).collect();
        assert_eq!(schemas, ["CartItem", "CartPage", "OrderItem", "OrderPage", "Same"]);
        let page = &document["paths"]["/order/item"]["get"]["responses"]["200"]["$ref"];
        assert_eq!(page, "#/components/schemas/OrderPage");
        assert_eq!(document["components"]["schemas"]["OrderPage"]["items"]["$ref"], "#/components/schemas/OrderItem");
    }

    #[test]
    fn an_operation_is_named_after_its_service_once() {
        let document = merged(vec![part("cart", json!({})), part("read", json!({}))]);
        assert_eq!(document["paths"]["/cart/item"]["get"]["operationId"], "cartReadItem");
        assert_eq!(document["paths"]["/read/item"]["get"]["operationId"], "read_item");
    }
}
